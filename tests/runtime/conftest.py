"""One attempt as a container runs it: pack from cells, stage, `flyte-nb execute`, read the files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literals import Literal
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.runtime.warm.link import WarmAttempt, WarmLink, is_possible
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.errors import error_document_from_bytes
from flyte_nb.wire.literal_bytes import literal_map_from_bytes, literal_map_to_bytes


class Outcome:
    """What an attempt left."""

    def __init__(self, done: subprocess.CompletedProcess, output: Path) -> None:
        self.code = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr
        self.files = sorted(path.name for path in output.iterdir()) if output.exists() else []
        self._output = output

    @property
    def outputs(self):
        assert self.files == ["outputs.pb"], self.stderr
        assert self.code == 0
        return literal_map_from_bytes((self._output / "outputs.pb").read_bytes())

    @property
    def error(self):
        assert self.files == ["error.pb"], (self.files, self.stderr)
        assert self.code == 0
        return error_document_from_bytes((self._output / "error.pb").read_bytes())


class Bench:
    """A notebook, a staging area, and attempts at its tasks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = Cells()
        self.store = open_stores()
        self.registry = default_registry(warn_pickled=False)
        self.scope = Scope("p", "d", "nb")
        self.python = sys.executable
        self._count = 0

    def stage(self, name="f", *, launch_plans=(), **options):
        packed = pack(self.cells[name], scope=Scope(main_module="nb"), **options)
        packed = packed._replace(launch_plans=launch_plans)
        area = DirectoryStaging(f"file://{self.root}/staging", self.store)
        [staged] = stage([packed], area)
        return staged

    def command(self, staged, inputs, output: Path, **changed):
        output.mkdir(parents=True, exist_ok=True)
        plain = output.parent / f"{output.name}-inputs.pb"
        plain.write_bytes(literal_map_to_bytes(inputs))
        filled = {
            "{{.input}}": f"file://{plain}",
            "{{.outputPrefix}}": f"file://{output}",
            "{{.rawOutputDataPrefix}}": f"file://{self.root}/raw",
        }
        args = task_args(changed.get("task", staged.task_name), staged.index_uri)
        return [self.python, "-m", "flyte_nb", *(filled.get(arg, arg) for arg in args[1:])]

    def output(self) -> Path:
        self._count += 1
        return self.root / f"attempt-{self._count}"

    def run(self, source="", inputs=None, *, name="f", env=None, staged=None, **options) -> Outcome:
        if source:
            self.cells.run(source)
        staged = staged or self.stage(name, **options)
        output = self.output()
        literals = {
            key: value if isinstance(value, Literal) else self._literal(value)
            for key, value in (inputs or {}).items()
        }
        environ = {**os.environ, "TMPDIR": str(self.tmp), **(env or {})}
        return self._execute(self.command(staged, literals, output), environ, output)

    def _execute(self, command, environ, output: Path) -> Outcome:
        options = {"capture_output": True, "text": True, "timeout": 240}
        return Outcome(subprocess.run(command, env=environ, **options), output)

    @property
    def tmp(self) -> Path:
        folder = self.root / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _literal(self, value):
        return self.registry.codec(type(value)).encode(value, None)


class WarmBench(Bench):
    """The same, by forks of processes that have loaded their tasks."""

    def __init__(self, root: Path, link: WarmLink) -> None:
        super().__init__(root)
        self._link = link

    def _execute(self, command, environ, output: Path) -> Outcome:
        streams = [output.parent / f"{output.name}-{name}" for name in ("stdout", "stderr")]
        attempt = WarmAttempt(str(output), command[4:], environ, {}, os.getcwd())
        with streams[0].open("wb") as stdout, streams[1].open("wb") as stderr:
            self._link.start(attempt, stdout.fileno(), stderr.fileno(), None)
        answer = self._link.receive()
        if answer.cold:
            outcome = super()._execute(command, environ, output)
            assert outcome.files != ["outputs.pb"], f"it could have run warm, but: {answer.why}"
            return outcome
        texts = [stream.read_text() for stream in streams]
        return Outcome(subprocess.CompletedProcess(command, answer.exit_code, *texts), output)


@pytest.fixture(scope="session")
def warm_link():
    """A warm host, for all tests."""
    link = WarmLink()
    yield link
    link.close()
    assert link.receive() is None
    link.release()


@pytest.fixture(params=["cold", "warm"])
def bench(request, tmp_path):
    """Attempts as a container runs them, and as the local backend does."""
    if request.param == "cold":
        return Bench(tmp_path)
    if not is_possible():
        pytest.skip("forks cannot be trusted here")
    return WarmBench(tmp_path, request.getfixturevalue("warm_link"))


@pytest.fixture
def cold(tmp_path):
    """For tests that run the command themselves."""
    return Bench(tmp_path)
