"""flytekit's module paths exist here, give the same names, and travel with a task."""

import importlib
import pkgutil
import subprocess
import sys
import zipfile
from io import BytesIO

import pytest

import flyte_nb
from flyte_nb.api.ring import PATH_ROOMS
from flyte_nb.bundle.ring import ring

IN_TYPES = (
    "types.directory",
    "types.error",
    "types.error.error",
    "types.file",
    "types.iterator",
    "types.iterator.iterator",
    "types.iterator.json_iterator",
    "types.schema",
    "types.structured",
    "types.structured.structured_dataset",
)


def modules():
    for room in PATH_ROOMS:
        package = importlib.import_module(f"flyte_nb.{room}")
        yield room
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if found.name.startswith("core.") or not found.name.startswith("flyte_nb"):
                yield found.name


OLD = {"core.map_task", "experimental"}
"""Paths that older releases of flytekit had."""
NAMES = sorted({*modules(), *IN_TYPES})


def given(path):
    """Return the names that the module gives on purpose."""
    module = importlib.import_module(f"flyte_nb.{path}")
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and type(value).__name__ != "module"
    ]


@pytest.mark.parametrize("path", [name for name in NAMES if name not in OLD])
def test_flytekit_has_the_path_and_every_name_in_it(path):
    theirs = importlib.import_module(f"flytekit.{path}")
    assert [name for name in given(path) if not hasattr(theirs, name)] == []


@pytest.mark.parametrize("path", NAMES)
def test_a_public_name_is_the_same_by_either_path(path):
    module = importlib.import_module(f"flyte_nb.{path}")
    for name in given(path):
        if name in flyte_nb.__all__:
            assert getattr(module, name) is getattr(flyte_nb, name)


def test_a_module_that_imports_by_these_paths_loads_where_only_the_ring_is(tmp_path):
    with zipfile.ZipFile(BytesIO(ring().data)) as archive:
        archive.extractall(tmp_path)
    lines = [f"import flyte_nb.{path}" for path in NAMES]
    lines.append("from flyte_nb.core.task import task; from flyte_nb.types.file import FlyteFile")
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); " + "; ".join(lines)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
