"""Run one attempt, as a task's container does (`flyte-nb execute`): this room is the attempt's host.

The host fetches and verifies the bundle, serves the worker, which holds the user's code, and writes the
results. It never unpickles. It imports `bundle`, `storage`, `wire` and the ring. Every cold attempt
pays for what is imported on its way, so modules that few attempts need are imported where they are
needed, with the reason beside the import.

Start reading at `execute.py`, then `host.py` and `attempt.py`; `warm/` does the same for many attempts
in one process (`docs/warm-attempts.md`).
"""
