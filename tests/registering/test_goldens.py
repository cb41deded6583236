"""Versions and messages of a broad set of entities do not change: a change gives everybody new versions.

The definitions are in `goldens/`: cells, a local module and a local package, cell tasks, and spec files.
`expected.json` holds, of each entity, its version, the sha256 of its message's bytes, and the message for a
person to read. The bundle's index is left out of both: it pins the bytes of the ring, which is every
release's own.

Run `python tests/registering/test_goldens.py` to write `expected.json` anew: when a definition is added, and
at a release, whose number is part of every version. Before that, look that nothing else differs.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
from flyteidl.admin.launch_plan_pb2 import LaunchPlan as LaunchPlanMessage
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec
from google.protobuf.json_format import MessageToDict

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.stage import stage
from flyte_nb.client.data import KernelData
from flyte_nb.discovery.specs.registrar import read_specs
from flyte_nb.drafting.compile_report import compile_all
from flyte_nb.drafting.draft import all_problems, with_index
from flyte_nb.registering.place import Place, drafts_for
from flyte_nb.registering.serializing import serialize
from flyte_nb.registering.staging_places import Baked
from flyte_nb.sdk import cell
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry

SOURCES = Path(__file__).with_name("goldens")
EXPECTED = SOURCES / "expected.json"
MODULES = ("golden_helpers", "golden_package", "golden_package.flows", "golden_package.scaling")
CELL_TASKS = {
    "fit(rows: list[float], depth: int = 3) -> error: float, names: list[str]": (
        "error = sum(rows) / depth\nnames = [str(row) for row in rows]\n"
    ),
    "shout(text: str = 'x') -> loud: str with cache=True, retries=2": "loud = text.upper()\n",
    "note(n: int)": "print(n)\n",
}
INDEX = re.compile(r"index-[0-9a-f]{64}\.json")
SCOPE = Scope("shop", "production", "nb")


class Defined:
    """The entities of the goldens' sources, and a place to register them at."""

    def __init__(self) -> None:
        cells = Cells()
        cells.run((SOURCES / "cells.py").read_text())
        for signature, body in CELL_TASKS.items():
            cell.define(cell.parse(signature), body, cells.namespace)
        flows = sys.modules["golden_package.flows"]
        scope = [*cells.namespace.items(), *vars(flows).items()]
        named = {
            id(value): value
            for _, value in scope
            if hasattr(value, "resource_type") and not isinstance(value, type)
        }
        read = read_specs([str(SOURCES / "specs.yaml")])
        assert read.problems == ()
        self.sdk = list(named.values())
        self.specs = list(read.specs)
        self.store = MemoryStore()
        self.area = DirectoryStaging("memory://golden", self.store)
        self.registry = default_registry(warn_pickled=False)
        self.data = KernelData(self.store, folder_uri="memory://golden/uploads")
        self.place = Place(
            SCOPE,
            self.registry,
            "example.org/default:1",
            lambda client: self.area,
            data=self.data,
            local_roots=(SOURCES,),
        )

    def registered(self) -> "list[dict]":
        """Return what a registration sends, after it has staged the bundles at the place's own area."""
        drafts = drafts_for(self.place, [*self.sdk, *self.specs])
        assert all_problems(drafts) == []
        return self._sent(drafts, self.place)

    def baked(self, folder) -> "list[dict]":
        """Return what a registration sends for bundles that are inside an image."""
        place = Baked(folder, "/opt/golden").instead_of(self.place)
        few = [entity for entity in self.sdk if entity.short_name in ("inc", "starts", "inner")]
        return self._sent(drafts_for(place, few), place)

    def _sent(self, drafts, place) -> "list[dict]":
        packed = {draft.packed.name: draft.packed for draft in drafts if draft.packed}
        uris = {
            one.task_name: one.index_uri
            for one in stage(list(packed.values()), place.staging(None))
        }
        whole = [with_index(d, uris[d.packed.name]) if d.packed else d for d in drafts]
        return [entry(draft.id, draft.message) for draft in whole]

    def serialized(self) -> "list[dict]":
        """Return what `flyte-nb serialize` writes, with a version that a person chose."""
        kinds = {1: TaskSpec, 2: WorkflowSpec, 3: LaunchPlanMessage}
        files = serialize(self.place, [*self.sdk, *self.specs], self.area, version="v1")
        return [entry(file.id, kinds[file.number].FromString(file.data)) for file in files]

    def compiled(self) -> "list[dict]":
        """Return what `flyte-nb compile` shows for each entity."""
        report = compile_all([*self.sdk, *self.specs], SCOPE, self.registry, data=self.data)
        assert report.all_problems == ()
        return [
            {"id": str(one.id), "state": one.state, "nodes": one.nodes, "digest": one.digest}
            for one in report.entities
        ]


def entry(id, message):
    """Return one entity as the goldens have it."""
    plain = type(message)()
    plain.CopyFrom(message)
    if isinstance(plain, TaskSpec):
        args = [INDEX.sub("index.json", word) for word in plain.template.container.args]
        plain.template.container.args[:] = args
    return {
        "id": str(id),
        "sha256": hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest(),
        "message": MessageToDict(plain, preserving_proto_field_name=True),
    }


def made(folder) -> "dict":
    return {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "registered": Defined().registered(),
        "baked": Defined().baked(folder),
        "serialized": Defined().serialized(),
        "compiled": Defined().compiled(),
    }


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    sys.path.insert(0, str(SOURCES))
    try:
        yield json.loads(json.dumps(made(tmp_path_factory.mktemp("baked"))))
    finally:
        sys.path.remove(str(SOURCES))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def expected():
    return json.loads(EXPECTED.read_text())


def comparable(document, other):
    """Return the entries, without what depends on the interpreter when another one wrote the goldens."""
    if document["python"] == other["python"]:
        return {key: value for key, value in document.items() if key != "python"}
    text = json.dumps({**document, "python": ""}, sort_keys=True)
    text = re.sub(r'"(sha256|digest|version|fingerprint|python)": "[^"]*"', r'"\1": ""', text)
    text = re.sub(r'"parts": \{[^{}]*\}', '"parts": {}', text)
    text = re.sub(r'"discovery_version": "[0-9a-f]{64}"', '"discovery_version": ""', text)
    return json.loads(re.sub(r'("id": "[^"]*:)[a-z2-7]{16}"', r'\1"', text))


@pytest.mark.parametrize("way", ["registered", "baked", "serialized", "compiled"])
def test_versions_and_messages_are_what_they_were(way, now, expected):
    """A difference gives everybody new versions. Read the module's docstring before you accept one."""
    found, before = comparable(now, expected)[way], comparable(expected, now)[way]
    assert [one["id"].rpartition(":")[0] for one in found] == [
        one["id"].rpartition(":")[0] for one in before
    ]
    for one, old in zip(found, before, strict=True):
        assert one == old


def test_the_goldens_have_every_kind_of_entity(expected):
    ids = [one["id"] for one in expected["registered"]]
    for kind in ("task", "workflow", "launch_plan"):
        assert any(id.startswith(f"{kind}:") and ":nb." in id for id in ids)
        assert any(id.startswith(f"{kind}:") and ":golden_package." in id for id in ids)
        assert any(id.startswith(f"{kind}:") and ":specs." in id for id in ids)


def test_a_version_does_not_depend_on_what_else_is_registered(now):
    """It does not depend on where bundles are staged either."""
    together = {one["id"] for one in now["registered"]}
    assert {one["id"] for one in now["baked"]} <= together


if __name__ == "__main__":
    import tempfile

    sys.path.insert(0, str(SOURCES))
    with tempfile.TemporaryDirectory() as folder:
        document = made(Path(folder))
    EXPECTED.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
