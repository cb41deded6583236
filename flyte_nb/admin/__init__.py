"""The embedded FlyteAdmin: one background process a home folder, which serves and runs what it is sent.

`daemon.py` finds, starts and stops the process, `__main__.py` is the process, and `server.py` puts a
backend together (`Backend` also runs inside a test). The room may use every room below it. Above it,
only code that starts or stops a backend imports it; all else goes by gRPC. Start reading at
`server.py`, then `rpc.py`, `services/tasks.py`, `services/executions.py` and `recorder.py`. The theory
of operation is in `docs/admin.md`.
"""
