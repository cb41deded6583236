"""The engine: run compiled workflows, and write every change down before acting on it.

It takes a compiled closure and inputs, and gives records (`records.py`). What it needs from outside
comes through the ports in `ports.py`: a recorder, an executor, a catalog of cached results and a clock.
It imports `runtime` and the rooms below, and knows nothing of the backend that serves it.

Start reading at `records.py` and `tables.py` (what can happen), then `moves.py` and `machine.py` (the
pure state machine), `driver.py` (one execution), `engine.py` (all of them) and `executors/process.py`
(attempts as processes). The theory of operation is in `docs/propeller.md`.
"""
