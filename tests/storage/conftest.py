"""Fixtures: a disk that is full, and the modules that a fresh interpreter loads."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def full_disk(tmp_path):
    """Return a folder on a file system of 1 MB; skip the test where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def subprocess_modules(tmp_path):
    """Return a function that returns the modules that code loads in a new interpreter."""

    def run(code):
        whole = code.replace("{path}", str(tmp_path / "x")) + (
            "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", whole], capture_output=True, text=True, check=True
        )
        return set(json.loads(done.stdout))

    return run
