"""Pickle payloads so that equal cells give equal bytes, in every kernel and for every hash seed.

`reductions.py` decides how functions, classes and modules are taken apart. Buffers of at least
`OUT_OF_BAND_BYTES` are kept out of the payload and become members of their own (pickle protocol 5).
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
    """A payload and its out-of-band buffers, in their order."""

    def __init__(self, payload: bytes, buffers: "list[memoryview]") -> None:
        self.payload = payload
        self.buffers = buffers


def dump(
    value: object,
    references: References,
    fingerprinter: Fingerprinter,
    *,
    with_options: bool = False,
) -> Pickled:
    """Pickle `value` together with the source lines of its functions.

    Args:
        value: the task, or any value of one.
        references: decides what travels by reference.
        fingerprinter: digests classes, whose digests become their names in the payload.
        with_options: whether tasks keep their options, see `Reductions`.

    Raises:
        Exception: anything that a class raises which cannot be pickled.
    """
    buffers: list[memoryview] = []

    def out_of_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_BYTES:
            return True  # keep it in the payload
        buffers.append(raw)
        return False

    target = io.BytesIO()
    sources = Sources(references.file_names)
    reductions = Reductions(references, fingerprinter, sources, with_options=with_options)
    _pickler_class()(target, reductions, out_of_band).dump((value, sources))
    return Pickled(target.getvalue(), buffers)


@functools.cache
def _pickler_class() -> Any:
    """Return a class derived from the private cloudpickle's pickler, which only packing loads."""
    base = cloudpickle()

    class PayloadPickler(base.Pickler):  # type: ignore[misc,name-defined]
        def __init__(self, target: io.BytesIO, reductions: Reductions, out_of_band: object) -> None:
            self.reducer_override = reductions.of
            # Set before the base's `__init__`, because the C pickler reads the table only there.
            self.dispatch_table = ChainMap(reductions.table(), base.Pickler.dispatch_table)
            super().__init__(target, protocol=5, buffer_callback=out_of_band)

    return PayloadPickler
