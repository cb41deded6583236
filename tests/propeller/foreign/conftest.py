"""For tests of foreign tasks: an executor with its folders, and a container engine that is a script."""

import os
import stat
import sys
from pathlib import Path

import pytest

from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.executors.foreign import Access
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.ports import Attempt
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import integers
from flyte_nb.testing.propeller_conformance import key
from flyte_nb.testing.waiting import wait_until
from flyte_nb.wire.identifiers import identifier_from_idl

ENGINE = """#!{python} -IS
import json, os, signal, sys
log, words = {log!r}, sys.argv[1:]
def note(**what):
    with open(log, "a") as file:
        file.write(json.dumps(what) + chr(10))
if words[0] == "run":
    # The options, as far as this package uses them; then the image and its command.
    options, rest = [], words[1:]
    single = ("--rm", "--init")
    while rest and rest[0].startswith("--"):
        taken = 1 if rest[0] in single else 2
        options.append(rest[:taken])
        rest = rest[taken:]
    given = [option[1] for option in options if option[0] == "--env"]
    env = {{name: os.environ[name] for name in given}}
    volumes = dict(reversed(o[1].split(":")) for o in options if o[0] == "--volume")
    entry = [option[1] for option in options if option[0] == "--entrypoint"]
    note(run=rest[0], options=options, command=entry + rest[1:], pid=os.getpid())
    command = entry + rest[1:]
    # A container would see the volumes at their own paths; here the paths in the command are replaced.
    for target, source in volumes.items():
        if target != source:
            command = [word.replace(target, source) for word in command]
    if {exit}:
        sys.exit({exit})
    os.execvpe(command[0], command, {{"PATH": os.environ["PATH"], **env}})
note(asked=words)
answers = {answers!r}
code, text = answers.get(words[0], (0, ""))
print(text, end="")
sys.exit(code)
"""


class FakeEngine:
    """A `docker` on PATH that notes what it is asked for, and runs the command as a plain process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "engine"
        self.log = folder / "engine.log"
        self.folder.mkdir()

    def install(self, name: str = "docker", exit: int = 0, **answers: "tuple[int, str]") -> None:
        path = self.folder / name
        path.write_text(
            ENGINE.format(python=sys.executable, log=str(self.log), exit=exit, answers=answers)
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def said(self) -> "list[dict]":
        import json

        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def run(self) -> dict:
        (found,) = [entry for entry in self.said() if "run" in entry]
        return found


class Bench:
    """An executor, and the way to run one attempt by it."""

    def __init__(self, path: Path, engine: FakeEngine) -> None:
        self.path = path
        self.store = open_stores()
        self.engine = engine
        self.environ = {
            **os.environ,
            "PATH": f"{engine.folder}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "FLYTE_NB_CONTAINERS": "auto",
        }
        self._executor: ProcessExecutor | None = None

    @property
    def executor(self) -> ProcessExecutor:
        if self._executor is None:
            self._executor = ProcessExecutor(
                self.path / "attempts",
                self.store,
                grace_s=0.5,
                environ=self.environ,
                access=Access("/somewhere/config.yaml", (str(self.path),)),
            )
        return self._executor

    def attempt(self, template, inputs=None, **options) -> Attempt:
        input_uri = (self.path / "data" / "n0" / "inputs.pb").as_uri()
        inputs = integers() if inputs is None else inputs
        self.store.write(input_uri, inputs.SerializeToString())
        return Attempt(
            key("e"),
            identifier_from_idl(template.id),
            template,
            inputs,
            input_uri,
            (self.path / "data" / "n0" / "0").as_uri(),
            (self.path / "raw").as_uri(),
            **options,
        )

    def end(self):
        found = []

        def came() -> bool:
            found.extend(self.executor.poll())
            return bool(found)

        wait_until(came, "a report")
        return found[0]

    def run(self, template, inputs=None, **options):
        self.executor.start(self.attempt(template, inputs, **options))
        return self.end()

    def log(self) -> str:
        return AttemptFolder(self.path / "attempts", key("e")).log.read_text()

    def forget(self) -> None:
        """Use another executor from now on, on the same folders."""
        self._executor = None

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()


@pytest.fixture
def engine(tmp_path) -> FakeEngine:
    return FakeEngine(tmp_path)


@pytest.fixture
def bench(tmp_path, engine):
    bench = Bench(tmp_path, engine)
    yield bench
    bench.close()
