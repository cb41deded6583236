"""Convert Python values: Python type -> codec -> `LiteralType` and `Literal`, and back.

A `Registry` finds the codec of a type. The codec knows Flyte's type for it, writes values as literals and
reads them again. There is one file for each family of types (scalars, times, files, frames, ...).

The room is part of the travelling ring: it imports `api` and the standard library only. pandas, numpy and
pyarrow are imported where a codec needs them, from the user's environment. Files move through the port
`DataAccess`. Start reading at `codec.py`, then `registry.py` and `scalars.py`. The theory of operation is
in `docs/types-and-literals.md`.
"""
