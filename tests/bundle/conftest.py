"""Run cells in a new interpreter, with a hash seed and a folder of its own."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.testing.cells import Cells
cells = Cells()
for cell in json.loads(sys.argv[1]):
    cells.run(cell)
found = {}
for name in json.loads(sys.argv[2]):
    packed = pack(cells[name], scope=Scope())
    found[name] = [packed.fingerprint, packed.payload_sha256, packed.parts]
print(json.dumps(found))
"""


def _in_kernel(cells, names=("train", "other"), seed="0", cwd=None):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(cells), json.dumps(names)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def in_kernel():
    """Return a function that runs cells in a new interpreter and returns fingerprints and parts."""
    return _in_kernel
