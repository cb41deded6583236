"""The calls that FlyteAdmin serves, one file a noun: check the request, then read or write the store.

Each service is a class whose `rpcs()` maps names of calls to methods; `server.py` makes one of each.
Checks run in FlyteAdmin's order and answer in FlyteAdmin's words, because clients compare both.
A service may use `store/`, `wire`, the compiler (through `admin/compiling.py`) and the engine, and
it knows nothing of gRPC. Start reading at `tasks.py`, then `executions.py`.
"""
