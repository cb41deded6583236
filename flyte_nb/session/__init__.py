"""A session: the one place where discovery, drafting, registering, executions and the backend meet.

Any room but `commands` and `testing` may be used here. Heavy modules are imported when they are first
needed, so that `wf(n=3)` in a fresh kernel loads neither gRPC nor the backend (a test holds that). Start
reading at `session.Session`; `online` and `offline` do what needs FlyteAdmin and what does not, and
`local_runner` runs a workflow in this process.
"""
