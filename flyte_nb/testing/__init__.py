"""Public help for tests of workflows, for tests of whoever extends flyte_nb, and for the project's own tests.

`trial` runs a workflow in a test with what it needs replaced; `clock` is its clock, `run_events` says what
happened.
`*_conformance` are suites: derive a class, give it your store, registrar or executor, and pytest collects
what every one of them has to do. `backend` starts a local backend, `isolation` is a pytest plugin that
keeps the person's configuration out, `waiting` waits for conditions. `scenarios` and `simulation` run the
engine against files and faults (`scenario_runs`, `stepped_engine`, `simulated_world`); the rest makes small
inputs. The room may import everything below it. Start reading at the suite of the port that you implement.
"""
