"""Embedded FlyteAdmin: one background process per user that serves and runs what it is asked to.

`daemon` finds, starts and stops it; `server.Backend` is the same thing inside a process, for tests.
"""
