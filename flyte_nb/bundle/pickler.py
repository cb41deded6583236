"""The pickler of payloads: equal cells give equal bytes, in every kernel and for every hash seed.

How things are taken apart is in `reductions`. Buffers over `OUT_OF_BAND_BYTES` leave the stream.
"""

import functools
import io
import pickle
from collections import ChainMap
from typing import Any

from flyte_nb.bundle.by_reference import References
from flyte_nb.bundle.fingerprint import Fingerprinter
from flyte_nb.bundle.reductions import OUT_OF_BAND_BYTES, Reductions
from flyte_nb.bundle.shaded import cloudpickle
from flyte_nb.bundle.source_names import Sources


class Pickled:
    """A payload and its buffers, in order."""

    def __init__(self, payload: bytes, buffers: "list[memoryview]") -> None:
        self.payload = payload
        self.buffers = buffers


def dump(
    value: Any,
    references: References,
    fingerprinter: Fingerprinter,
    *,
    with_options: bool = False,
) -> Pickled:
    """Pickle `value` together with the sources of its functions; `with_options` as of `Reductions`.

    Raises:
        Exception: whatever a class raises that cannot be pickled.
    """
    buffers: list[memoryview] = []

    def out_of_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_BYTES:
            return True  # in band
        buffers.append(raw)
        return False

    target = io.BytesIO()
    sources = Sources(references.file_names)
    reductions = Reductions(references, fingerprinter, sources, with_options=with_options)
    _pickler_class()(target, reductions, out_of_band).dump((value, sources))
    return Pickled(target.getvalue(), buffers)


@functools.cache
def _pickler_class() -> Any:
    """A class over the private cloudpickle's pickler, which is loaded when packing only."""
    base = cloudpickle()

    class PayloadPickler(base.Pickler):  # type: ignore[misc,name-defined]
        def __init__(self, target: io.BytesIO, reductions: Reductions, out_of_band: Any) -> None:
            self.reducer_override = reductions.of
            # Before the base's __init__: the C pickler looks the table up there, and only there.
            self.dispatch_table = ChainMap(reductions.table(), base.Pickler.dispatch_table)
            super().__init__(target, protocol=5, buffer_callback=out_of_band)

    return PayloadPickler
