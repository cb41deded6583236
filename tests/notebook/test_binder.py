"""The Binder folder, as repo2docker reads it; no Docker is needed for that."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"


def _names(requirements: "list[str]") -> "dict[str, str]":
    """Return the requirements by normalised name, without markers and comments."""
    found = {}
    for line in requirements:
        bare = line.partition("#")[0].partition(";")[0].strip()
        if bare:
            name = re.match(r"[\w.-]+", bare)
            assert name is not None
            found[name.group().lower().replace("_", "-")] = bare
    return found


@pytest.fixture(scope="module")
def project() -> "dict[str, list[str]]":
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = table["optional-dependencies"]
    return {"core": table["dependencies"], **extras}


def test_binder_installs_everything_the_quickstart_needs(project):
    listed = _names((BINDER / "requirements.txt").read_text().splitlines())
    needed = _names([*project["core"], *project["notebook"], *project["quickstart"]])
    needed.pop("flyte-nb")
    assert set(listed) == set(needed)
    for name, requirement in _names(project["core"]).items():
        assert listed[name] == requirement


def test_binder_replaces_the_kernel_of_its_base_image_that_breaks_widgets():
    assert _names((BINDER / "requirements.txt").read_text().splitlines())["ipykernel"] == (
        "ipykernel>=7.4"
    )


def test_repo2docker_finds_python_requirements_and_postbuild(tmp_path):
    tool = shutil.which("jupyter-repo2docker", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("jupyter-repo2docker is not installed")
    copy = tmp_path / "repo"
    copy.mkdir()
    shutil.copytree(BINDER, copy / "binder")
    shutil.copy(ROOT / "pyproject.toml", copy)
    done = subprocess.run(
        [tool, "--no-build", "--debug", str(copy)], capture_output=True, text=True, check=True
    )
    dockerfile = done.stdout + done.stderr
    assert "binder/requirements.txt" in dockerfile
    assert "./binder/postBuild" in dockerfile
    assert re.search(r"environment.*3\.12", dockerfile)


def test_postbuild_is_a_script_that_can_be_run():
    script = BINDER / "postBuild"
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", str(script)], check=True)
