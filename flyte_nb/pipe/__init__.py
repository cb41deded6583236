"""Carry messages between the processes of an attempt.

`pipe.py` has the framed JSON between a host and a worker. `sockets.py` has messages with open file
descriptors between the warm host and its zygotes. The room knows nothing of tasks or literals.

It is part of the travelling ring: it imports `api` and the standard library only. `sockets.py` is also
loaded by its path, without any package. `docs/types-and-literals.md` lists what travels on the pipe.
"""
