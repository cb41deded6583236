"""The session: the one place where discovery, drafting, registering, executions and the backend meet.

Heavy rooms are imported when they are first needed, so that `wf(n=3)` in a fresh kernel loads neither gRPC
nor the backend. Start reading at `session.Session`; `local_runner` runs a workflow in this process.
"""
