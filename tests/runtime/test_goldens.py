"""Bundles that earlier releases staged run on this host, with the result that they had then."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.runtime.warm.link import WarmAttempt, is_possible
from flyte_nb.wire.errors import error_document_from_bytes
from flyte_nb.wire.literal_bytes import literal_map_from_bytes

GOLDENS = Path(__file__).parent / "goldens"
HERE = f"py{sys.version_info[0]}{sys.version_info[1]}"
RELEASES = sorted(path.name.partition("-")[0] for path in GOLDENS.glob(f"*-{HERE}.zip"))


class Golden:
    """A release's bundle, unpacked; its members' bytes are those of then."""

    def __init__(self, release: str, root: Path, python: str = HERE) -> None:
        self.root = root
        with zipfile.ZipFile(GOLDENS / f"{release}-{python}.zip") as archive:
            archive.extractall(root)
        [staged] = root.glob("index-*.json")
        data = staged.read_bytes()
        assert index_of.digest_in_name(staged.name) == index_of.digest(data)
        # Members lie elsewhere than they did, so the index says where, and has another digest.
        moved = data.replace(b"file:///golden/", f"{root.as_uri()}/".encode())
        self.index = root / index_of.index_name(moved)
        self.index.write_bytes(moved)

    def member(self, kind: str) -> Path:
        [found] = [
            entry for entry in index_of.loads(self.index.read_bytes()).entries if entry.kind == kind
        ]
        return Path(found.uri.removeprefix("file://"))

    def arguments(self, inputs: str, output: Path) -> list[str]:
        found = ["--task", "nb.score", "--inputs", (self.root / inputs).as_uri()]
        found += ["--output-prefix", output.as_uri()]
        found += ["--raw-output-data-prefix", (self.root / "raw").as_uri()]
        return [*found, "--index-file-location", self.index.as_uri()]

    def execute(self, inputs: str = "inputs.pb") -> Path:
        """The output folder after `flyte-nb execute`."""
        output = self.root / "out"
        command = [sys.executable, "-m", "flyte_nb", "execute", *self.arguments(inputs, output)]
        environment = {**os.environ, "TMPDIR": str(self.root)}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=240)
        return output

    def error(self, inputs: str = "inputs.pb"):
        output = self.execute(inputs)
        assert [path.name for path in output.iterdir()] == ["error.pb"]
        return error_document_from_bytes((output / "error.pb").read_bytes())


@pytest.fixture(params=RELEASES)
def golden(request, tmp_path):
    return Golden(request.param, tmp_path)


def test_there_is_a_golden_for_every_python_that_the_project_supports():
    pythons = {path.stem.rpartition("-")[2] for path in GOLDENS.glob("0.1.0-*.zip")}
    assert pythons == {"py310", "py311", "py312", "py313"}


def outputs_in(folder: Path):
    outputs = literal_map_from_bytes((folder / "outputs.pb").read_bytes())
    return {name: literal.value for name, literal in outputs.items()}


THEN = {
    "total": 3.0 + 42 + 255,
    "names": ("string_value", ["a", "b", "golden"]),
    "model": {"weight": 300.0, "labels": ["made"]},
}


def test_an_old_bundle_gives_what_it_gave(golden):
    assert outputs_in(golden.execute()) == THEN


@pytest.mark.skipif(not is_possible(), reason="forks cannot be trusted here")
def test_an_old_bundle_runs_warm(golden, warm_link):
    for number in range(2):
        output = golden.root / f"warm-{number}"
        arguments = golden.arguments("inputs.pb", output)
        attempt = WarmAttempt(str(output), arguments, dict(os.environ), {}, str(golden.root))
        warm_link.start(attempt, sys.__stdout__.fileno(), sys.__stderr__.fileno(), None)
        answer = warm_link.receive()
        assert (answer.cold, answer.exit_code) == (False, 0), answer.why
        assert outputs_in(output) == THEN


def test_an_old_bundles_failure_still_shows_the_cells_lines(golden):
    error = golden.error("failing-inputs.pb")
    assert (error.code, error.origin) == ("USER:ValueError", "USER")
    assert 'raise ValueError(f"{n} is negative")' in error.message
    assert "flyte_nb" not in error.message


@pytest.mark.parametrize("kind", ["ring", "task", "buffer", "module"])
def test_a_flipped_byte_of_an_old_bundle_is_refused(golden, kind):
    member = golden.member(kind)
    data = bytearray(member.read_bytes())
    data[len(data) // 2] ^= 1
    member.write_bytes(data)
    assert golden.error().code == "SYSTEM:BundleChecksumMismatch"


def test_an_old_bundle_of_another_python_is_refused_by_name(tmp_path):
    other = "py310" if HERE != "py310" else "py311"
    error = Golden("0.1.0", tmp_path, other).error()
    assert error.code == "USER:PythonMismatch"
