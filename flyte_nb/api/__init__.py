"""What everybody speaks: identifiers, types, literals, specs, the index, errors and ports.

Plain values on the standard library only; part of the ring that travels inside every bundle. This
room is append-only: a name once published here keeps its meaning (`tests/api` holds a snapshot).
Import from the submodules; nothing is re-exported, so that a worker loads only what it uses.
"""
