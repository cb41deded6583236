"""Stage the golden bundle of this release for the Python that runs this file.

`python tests/runtime/goldens/make.py` writes `<release>-py<minor>.zip` beside itself; run it once a
release for every supported Python, and never again: what a release staged is what later hosts have
to run. The members keep the bytes that were staged; the index's URIs begin with `file:///golden`,
and whoever unpacks it says in their place where that is.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.version import __version__
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells
from flyte_nb.wire.literal_bytes import literal_map_to_bytes

ROOT = "file:///golden"

MODULE = "OFFSET = 40\n\n\ndef up(n):\n    return n + OFFSET\n"

CELL = """\
import pickle
from dataclasses import dataclass
from typing import NamedTuple

import golden_helpers
from flyte_nb import task


class Table:
    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return Table, (pickle.PickleBuffer(self.data),)


@dataclass
class Model:
    weight: float
    labels: list[str]


class Scored(NamedTuple):
    total: float
    names: list[str]
    model: Model


table = Table(bytes(range(256)) * 1200)


def weigh(model, rows):
    return model.weight * sum(rows)


@task
def score(n: int, rows: list[int], model: Model, label: str = "golden") -> Scored:
    if n < 0:
        raise ValueError(f"{n} is negative")
    total = weigh(model, rows) + golden_helpers.up(n) + memoryview(table.data)[255]
    return Scored(total, [*model.labels, label], Model(total, ["made"]))
"""

INPUTS = {
    "n": Literal("integer", 2),
    "rows": Literal("column", ("integer", [1, 2, 3])),
    "model": Literal("struct", {"weight": 0.5, "labels": ["a", "b"]}),
}


def main() -> None:
    """Write the golden of this release and Python."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    store = MemoryStore()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "golden_helpers.py").write_text(MODULE)
        sys.path.insert(0, folder)
        cells = Cells()
        cells.run(CELL)
        packed = pack(cells["score"], scope=Scope(main_module="nb"), local_roots=[folder])
    stage([packed], DirectoryStaging(ROOT, store))
    target = Path(__file__).parent / f"{__version__}-py{python.replace('.', '')}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for uri in sorted(store.list(ROOT)):
            archive.writestr(uri.removeprefix(ROOT + "/"), store.read(uri))
        archive.writestr("inputs.pb", literal_map_to_bytes(INPUTS))
        failing = {**INPUTS, "n": Literal("integer", -1)}
        archive.writestr("failing-inputs.pb", literal_map_to_bytes(failing))
    print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
