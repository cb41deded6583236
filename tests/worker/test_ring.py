"""The ring as it is staged, in an interpreter that has nothing else (DESIGN.md, section 2)."""

import json
import os
import subprocess
import sys

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.ring import ring
from flyte_nb.testing.cells import Cells

CELLS = """
from dataclasses import dataclass
from flyte_nb import task

weights = [1.0, 2.0]

@dataclass
class Model:
    w: float
    def predict(self, x): return self.w * x

def features(x): return sum(weights) + x

@task
def score(x: float, depth: int = 2) -> float:
    return Model(depth).predict(features(x))
"""

IN_THE_WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from flyte_nb.api.literals import Literal
from flyte_nb.types.registry import default_registry
from flyte_nb.worker.call import call
from flyte_nb.worker.load import load
task = load(sys.argv[2])
outputs = call(task, {"x": Literal("float_value", 1.0)}, default_registry())
print(json.dumps([outputs["o0"].value, sorted(sys.modules), task.__class__.__module__]))
"""


@pytest.fixture
def staged(tmp_path):
    cells = Cells()
    cells.run(CELLS)
    packed = pack(cells["score"], scope=Scope())
    (tmp_path / "ring.zip").write_bytes(ring().data)
    (tmp_path / "payload").write_bytes(packed.payload)
    return tmp_path


def test_an_empty_interpreter_unpickles_and_calls_a_real_task(staged):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IN_THE_WORKER, staged / "ring.zip", staged / "payload"],
        capture_output=True,
        text=True,
        cwd=staged,
        check=True,
    )
    value, modules, home = json.loads(done.stdout)
    assert value == 8.0
    assert home == "flyte_nb.sdk.task"
    assert {"flyteidl", "google", "grpc", "cloudpickle", "fsspec", "msgpack"}.isdisjoint(modules)
    assert "_flyte_nb_cloudpickle.cloudpickle" in modules  # for the class


def test_a_plain_function_needs_not_even_the_private_cloudpickle(tmp_path):
    cells = Cells()
    cells.run("from flyte_nb import task\n@task\ndef f(x: float) -> float:\n    return x + 1\n")
    (tmp_path / "ring.zip").write_bytes(ring().data)
    (tmp_path / "payload").write_bytes(pack(cells["f"], scope=Scope()).payload)
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            IN_THE_WORKER,
            tmp_path / "ring.zip",
            tmp_path / "payload",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    value, modules, _ = json.loads(done.stdout)
    assert value == 2.0
    assert not any("cloudpickle" in module for module in modules)


def test_everything_in_the_ring_can_be_imported_alone(staged):
    code = """
import sys, zipfile, importlib
sys.path.insert(0, sys.argv[1])
names = zipfile.ZipFile(sys.argv[1]).namelist()
for name in names:
    if name.endswith(".py") and "bootstrap" not in name:
        module = name[:-3].replace("/", ".").removesuffix(".__init__")
        loaded = importlib.import_module(module)
        compiled = sys.version_info >= (3, 11) or name + "c" in names
        assert loaded.__file__.endswith(".pyc" if compiled else ".py"), loaded.__file__
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", code, staged / "ring.zip"], check=True)


def test_the_ring_has_the_same_bytes_in_every_process():
    code = "from flyte_nb.bundle.ring import ring; print(ring().sha256)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert found == {ring().sha256 + "\n"}
