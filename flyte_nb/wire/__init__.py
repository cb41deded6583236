"""Translate between `api` values and flyteidl messages. No other room does both.

Functions are named `…_to_idl` and `…_from_idl` for messages, `…_to_bytes` and `…_from_bytes` for bytes. They
are pure; no argument is changed. Equal values give equal bytes, which versions and goldens rely on.

The room imports `api`, flyteidl, protobuf and msgpack. Start reading at `literals.py` and `types.py`, then
`specs.py` and `nodes.py`. Two hot paths write protobuf's bytes by hand: `columns.py` and `nodes.py`, with
`encoding.py` below them. The life of a value through this room is in `docs/types-and-literals.md`.
"""
