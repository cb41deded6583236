"""The values and ports that all rooms share: identifiers, types, literals, specs, the index, errors, ports.

The room has plain values and no behaviour. It imports the standard library only, and it is part of the ring
that travels inside every bundle. It is append-only: a published name keeps its meaning, which a snapshot in
`tests/api` checks. Import from the submodules; nothing is re-exported, so that a worker loads only what it
uses. Start reading at `literals.py` and `literal_types.py`, then `specs.py`, `ports.py` and `errors.py`.
"""
