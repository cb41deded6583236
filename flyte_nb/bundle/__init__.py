"""Pack tasks into content-addressed members, stage them, and fetch them again as verified files.

The room has two halves. In the author's process `pack.py` turns a task into a fingerprint, a payload and
its modules, and `stage.py` stores them with an index. Where the task runs `fetch.py` reads them back and
`unpack.py` unpacks the modules; these two, `retrying.py` and `side_by_side.py` use the standard library
only, so that a task starts quickly. `inventory.py` verifies and cleans up what is stored.

The room imports floors below `compiler` and `graph`, and no store: it gets a `BlobStore` or a
`StagingArea`. Start reading at `pack.py`, then `members.py`, `stage.py` and `fetch.py`. The theory of
operation is in `docs/bundles.md`.
"""
