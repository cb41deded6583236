"""Bundles that travel inside an image: registered without an upload, run where there is no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flyte_nb
from flyte_nb.__main__ import main
from flyte_nb.admin import daemon
from flyte_nb.api import index as index_of
from flyte_nb.api.errors import UsageError
from flyte_nb.registering.staging_places import Baked
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literal_bytes import literal_map_from_bytes, literal_map_to_bytes

MODULE = """
from flyte_nb import task, workflow
rows = list(range(5))

@task
def total(n: int) -> int:
    return sum(rows) * n

@workflow
def baked_flow(n: int = 2) -> int:
    return total(n=n)
"""


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    daemon.stop(tmp_path / "home")


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "baked_module.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "baked_module.py"
    sys.modules.pop("baked_module", None)


def _offline():
    """Return a command prefix that takes the network away, where this user may do that."""
    prefix = ["unshare", "--net"]
    can = shutil.which("unshare") and not subprocess.run([*prefix, "true"]).returncode
    return prefix if can else []


def test_a_baked_bundle_runs_from_its_image_without_network(module, home, tmp_path, capsys):
    image = tmp_path / "image" / "bundles"
    command = ["register", module, "--home", str(home), "--bake", "bundles"]
    assert main([*command, "--baked-at", str(image)]) == 0
    assert f"COPY bundles {image}" in capsys.readouterr().out
    assert not (home / "objects" / "bundles").exists()

    session = flyte_nb.connect(home=home, name="")
    task = session.fetch_task("baked_module.total").message.closure.compiled_task.template
    session.close()
    args = list(task.container.args)
    index_uri = args[args.index("--index-file-location") + 1]
    assert index_uri.startswith(f"file://{image}/index-")

    image.parent.mkdir()
    (tmp_path / "bundles").rename(image)  # what the Dockerfile's COPY does
    for entry in index_of.loads(Path(index_uri.removeprefix("file://")).read_bytes()).entries:
        assert entry.uri.startswith(f"file://{image}/")
    inputs, output = tmp_path / "inputs.pb", tmp_path / "output"
    codec = default_registry().codec(int)
    inputs.write_bytes(literal_map_to_bytes({"n": codec.encode(3, None)}))
    filled = {
        "{{.input}}": f"file://{inputs}",
        "{{.outputPrefix}}": f"file://{output}",
        "{{.rawOutputDataPrefix}}": f"file://{tmp_path}/raw",
    }
    execute = [sys.executable, "-m", "flyte_nb", *(filled.get(arg, arg) for arg in args[1:])]
    done = subprocess.run(
        [*_offline(), *execute], cwd=tmp_path / "image", capture_output=True, text=True
    )
    assert [item.name for item in output.iterdir()] == ["outputs.pb"], done.stderr
    [literal] = literal_map_from_bytes((output / "outputs.pb").read_bytes()).values()
    assert codec.decode(literal, None) == 30


def test_baking_again_writes_the_same_files_also_when_all_is_registered(module, home, tmp_path):
    command = ["register", module, "--home", str(home), "--baked-at", "/opt/x", "--bake"]
    assert main([*command, "one"]) == main([*command, "two"]) == 0
    names = [
        sorted(str(item.relative_to(tmp_path / folder)) for item in (tmp_path / folder).rglob("*"))
        for folder in ("one", "two")
    ]
    assert names[0] == names[1]
    assert any(name.startswith("index-") for name in names[0])


def test_a_place_in_an_image_is_an_absolute_path(tmp_path):
    with pytest.raises(UsageError, match="no absolute path in an image"):
        Baked(tmp_path, "bundles").instead_of(None)


def test_notebooks_are_baked_by_their_session(capsys):
    assert main(["register", "some.ipynb", "--bake", "x"]) == 2
    assert "session.baked" in capsys.readouterr().err
