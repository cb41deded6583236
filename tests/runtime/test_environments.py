"""A task with locked requirements runs in an environment of just these, made once and kept."""

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import BundleError, TaskFailed
from flyte_nb.runtime.environments import InstallationWatch, interpreter_for
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.waiting import wait_until
from flyte_nb.testing.wheels import locked, wheel

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
SOURCE = (
    "from flyte_nb import task\n"
    "@task(requirements='requirements.lock')\n"
    "def f() -> list[str]:\n"
    "    import greeting, sys\n"
    "    found = []\n"
    "    for name in ('flyteidl', 'numpy', 'cloudpickle'):\n"
    "        try:\n            __import__(name); found.append(name)\n"
    "        except ImportError:\n            pass\n"
    "    return [greeting.TEXT, sys.prefix, *found]\n"
)
pytestmark = pytest.mark.skipif(
    shutil.which("uv", path=os.path.dirname(sys.executable)) is None, reason="uv is not here"
)


class Place:
    """A folder of wheels, a lock of one of them, and a uv that counts how often it is run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheels = root / "wheels"
        self.wheels.mkdir()
        self.lock = root / "requirements.lock"
        self.greeting("1.0", "hello")
        self.calls = root / "calls"
        self.uv = root / "uv"
        uv = os.path.join(os.path.dirname(sys.executable), "uv")
        self.uv.write_text(f'#!/bin/sh\necho "$1 $2" >> {self.calls}\nexec {uv} "$@"\n')
        self.uv.chmod(0o755)
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME")},
            "UV": str(self.uv),
            "UV_FIND_LINKS": str(self.wheels),
            "UV_NO_INDEX": "1",
            "UV_OFFLINE": "1",
            "UV_CACHE_DIR": str(root / "uv-cache"),
            "FLYTE_NB_ENVIRONMENTS": str(root / "environments"),
        }

    def greeting(self, version: str, text: str) -> None:
        made = wheel(self.wheels, "greeting", version, {"greeting.py": f"TEXT = {text!r}\n"})
        self.lock.write_text(locked(made))

    def made(self) -> int:
        return self.calls.read_text().count("venv") if self.calls.exists() else 0

    def interpreter(self) -> str:
        return self.held().path

    def held(self, watch=None):
        """The interpreter, and with it that it is in use."""
        return interpreter_for(str(self.lock), HERE, self.environ, watch)

    def uv_does(self, code: str) -> None:
        self.uv.write_text(f'#!/bin/sh\necho "$1 $2" >> {self.calls}\n{code}\n')

    def left(self):
        """What lies in the folder of environments, but for the locks."""
        names = os.listdir(self.root / "environments")
        return sorted(name for name in names if not name.endswith(".lock"))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_task_has_its_locked_requirements_and_nothing_else(bench, place):
    done = bench.run(SOURCE, env=place.environ, local_roots=[place.root])
    text, prefix, *others = done.outputs["o0"].value[1]
    assert text == "hello"
    assert prefix.startswith(str(place.root / "environments"))
    assert others == []


def test_the_second_attempt_does_not_run_uv(bench, place):
    bench.run(SOURCE, env=place.environ, local_roots=[place.root])
    calls = place.calls.read_text()
    assert calls == "venv --quiet\npip sync\n"
    done = bench.run("", env=place.environ, local_roots=[place.root])
    assert done.outputs["o0"].value[1][0] == "hello"
    assert place.calls.read_text() == calls


def test_another_lock_is_another_environment_and_another_version(bench, place):
    bench.cells.run(SOURCE)
    first = bench.stage(local_roots=[place.root])
    assert bench.run(staged=first, env=place.environ).outputs["o0"].value[1][0] == "hello"
    place.greeting("2.0", "goodbye")
    second = bench.stage(local_roots=[place.root])
    assert second.index_uri != first.index_uri
    assert bench.run(staged=second, env=place.environ).outputs["o0"].value[1][0] == "goodbye"
    assert bench.run(staged=first, env=place.environ).outputs["o0"].value[1][0] == "hello"
    assert place.made() == 2


def test_comments_and_order_make_no_other_lock(place):
    from flyte_nb.bundle.requirement_locks import read_lock

    one = wheel(place.wheels, "one", "1", {"one.py": ""})
    other = wheel(place.wheels, "other", "1", {"other.py": ""})
    place.lock.write_text(locked(one, other))
    first = read_lock("requirements.lock", "f()", [place.root])
    place.lock.write_text(locked(other, one).replace("# via nothing", "# via something"))
    assert read_lock("requirements.lock", "f()", [place.root]) == first
    assert first.count(b"\n") == 2


def test_a_changed_byte_of_the_lock_is_refused_before_anything_is_installed(bench, place):
    bench.cells.run(SOURCE)
    staged = bench.stage(local_roots=[place.root])
    entries = index_of.loads(bench.store.read(staged.index_uri)).entries
    [entry] = [entry for entry in entries if entry.kind == index_of.LOCK]
    path = Path(entry.uri.removeprefix("file://"))
    path.write_bytes(path.read_bytes().replace(b"1.0", b"2.0"))
    error = bench.run(staged=staged, env=place.environ).error
    assert error.code == "SYSTEM:BundleChecksumMismatch"
    assert place.made() == 0


def test_processes_that_need_it_at_the_same_time_make_it_once(place):
    code = (
        "import sys, os\nfrom flyte_nb.runtime.environments import interpreter_for\n"
        "print(interpreter_for(sys.argv[1], sys.argv[2], os.environ).path)\n"
    )
    command = [sys.executable, "-c", code, str(place.lock), HERE]

    def ask(_):
        done = subprocess.run(
            command, env=place.environ, capture_output=True, text=True, check=True
        )
        return done.stdout

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(ask, range(4)))
    assert len(answers) == 1
    assert place.made() == 1


def test_one_that_was_left_half_made_is_made_anew(place):
    python = place.interpreter()
    folder = Path(python).parent.parent
    (folder / "flyte-nb-ready").unlink()
    (folder / "left-over").touch()
    assert place.interpreter() == python
    assert not (folder / "left-over").exists()
    assert place.made() == 2


def test_whoever_waits_makes_it_when_the_first_one_died(place):
    """The lock file is let go of by the kernel; nothing has to be cleaned by hand."""
    import fcntl

    python = place.interpreter()
    folder = Path(python).parent.parent
    (folder / "flyte-nb-ready").unlink()
    answers = []
    with open(f"{folder}.lock", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=lambda: answers.append(place.interpreter()))
        waiting.start()
        waiting.join(0.3)
        assert answers == []
    waiting.join(240)
    assert answers == [python]


def test_what_uv_says_is_told(bench, place):
    shutil.rmtree(place.wheels)
    place.wheels.mkdir()
    error = bench.run(SOURCE, env=place.environ, local_roots=[place.root]).error
    assert (error.code, error.origin, error.recoverable) == (
        "USER:EnvironmentFailed",
        "USER",
        False,
    )
    assert "greeting" in error.message
    assert "pinned versions exist" in error.message


def test_a_package_of_other_bytes_than_the_lock_says_is_refused(bench, place):
    lock = place.lock.read_text()
    place.greeting("1.0", "something else")
    place.lock.write_text(lock)
    error = bench.run(SOURCE, env=place.environ, local_roots=[place.root]).error
    assert error.code == "USER:EnvironmentFailed"
    assert "ash" in error.message  # Hash mismatch
    folder = place.root / "environments"
    assert not list(folder.glob("*/flyte-nb-ready"))


def test_without_uv_it_is_said_how_to_get_it(place, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    place.environ.update(UV="", PATH="/nowhere")
    with pytest.raises(TaskFailed) as caught:
        place.interpreter()
    assert caught.value.info.code == "SYSTEM:UvMissing"
    assert "pip install uv" in caught.value.info.message


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("numpy\n", "does not pin 'numpy' by version and hash"),
        ("numpy==1.0\n", "does not pin 'numpy==1.0'"),
        ("-r other.txt\n", "has the option '-r'"),
        ("--editable=.\n", "has the option '--editable=.'"),
    ],
)
def test_a_file_that_is_no_lock_is_refused_when_the_task_is_packed(bench, place, text, why):
    place.lock.write_text(text)
    bench.cells.run(SOURCE)
    with pytest.raises(BundleError) as caught:
        bench.stage(local_roots=[place.root])
    assert why in str(caught.value)
    assert "uv pip compile --generate-hashes" in str(caught.value)


def test_a_lock_that_is_not_there_is_named(bench, place):
    place.lock.unlink()
    bench.cells.run(SOURCE)
    with pytest.raises(BundleError, match=r"requirements\.lock.*does not exist"):
        bench.stage(local_roots=[place.root])


def test_an_option_that_is_no_path_is_refused():
    from flyte_nb.api.errors import UsageError

    with pytest.raises(UsageError, match="write the path of a lock"):
        Cells().run("from flyte_nb import task\n@task(requirements=['numpy'])\ndef f(): ...\n")


def test_a_lock_of_another_python_has_uv_find_that_python(place):
    """Without a lock nothing is looked for: another Python would lack the task's packages."""
    other = "3.10" if HERE != "3.10" else "3.11"
    place.uv.write_text(f'#!/bin/sh\necho "$@" >> {place.calls}\nexit 1\n')
    with pytest.raises(TaskFailed):
        interpreter_for(str(place.lock), other, place.environ)
    assert f"--python {other} " in place.calls.read_text()
    assert interpreter_for("", other, place.environ).path == ""


def test_a_uv_that_does_not_end_is_ended_and_leaves_nothing(place):
    place.environ["FLYTE_NB_ENVIRONMENT_TIMEOUT_S"] = "0.5"
    place.uv_does(
        "echo looking; for a in $@; do :; done; mkdir -p $a; touch $a/half; exec sleep 600"
    )

    def needed():
        """Asked each time before the clock is looked at."""
        wait_until(lambda: list(place.root.glob("environments/*/half")), "uv's first steps")
        return False

    with pytest.raises(TaskFailed) as caught:
        place.held(InstallationWatch(interrupted=needed))
    info = caught.value.info
    assert (info.code, info.recoverable) == ("SYSTEM:EnvironmentTimeout", True)
    assert "FLYTE_NB_ENVIRONMENT_TIMEOUT_S" in info.message
    [log] = place.left()
    assert str(place.root / "environments" / log) in info.message
    assert (place.root / "environments" / log).read_text() == "looking\n"


def test_whoever_waits_is_told_for_what_and_may_be_interrupted(place, monkeypatch):
    monkeypatch.setattr("flyte_nb.runtime.environments._HEARTBEAT_S", 0.0)
    place.uv_does("exec sleep 600")
    said = []
    with pytest.raises(TaskFailed) as caught:
        place.held(InstallationWatch(said.append, lambda: len(said) > 1))
    assert (caught.value.info.code, caught.value.info.recoverable) == ("SYSTEM:Interrupted", True)
    assert "uv makes the environment" in said[0]


def test_a_uv_that_outlives_its_attempt_keeps_the_others_out(place):
    """A host that is killed leaves uv at work in the folder that the next attempt would make anew."""
    go_on = place.root / "go-on"
    os.mkfifo(go_on)
    uv = os.path.join(os.path.dirname(sys.executable), "uv")
    place.uv_does(f'[ $1 = venv ] && read line < {go_on}; exec {uv} "$@"')
    code = (
        "import sys, os\nfrom flyte_nb.runtime.environments import interpreter_for\n"
        "interpreter_for(sys.argv[1], sys.argv[2], os.environ)\n"
    )
    command = [sys.executable, "-c", code, str(place.lock), HERE]
    with subprocess.Popen(command, env=place.environ) as killed:
        writing = os.open(go_on, os.O_WRONLY)  # waits until uv is there
        killed.kill()
    said = []
    patient = InstallationWatch(said.append, lambda: len(said) > 1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flyte_nb.runtime.environments._HEARTBEAT_S", 0.0)
        with pytest.raises(TaskFailed, match="interrupted"):
            place.held(patient)
    assert "another attempt makes" in said[0]
    os.close(writing)
    place.uv_does(f'exec {uv} "$@"')
    assert Path(place.interpreter()).exists()


def test_what_nobody_has_used_for_long_is_removed_when_another_is_made(place):
    first = Path(place.interpreter()).parent.parent
    _age(first, days=31)
    place.greeting("2.0", "goodbye")
    second = Path(place.interpreter()).parent.parent
    assert place.left() == [second.name]


@pytest.mark.parametrize(("days", "variable"), [(29, ""), (31, "60"), (3000, "0")])
def test_what_may_be_used_again_is_kept(place, days, variable):
    first = Path(place.interpreter()).parent.parent
    _age(first, days)
    place.environ["FLYTE_NB_ENVIRONMENTS_DAYS"] = variable
    place.greeting("2.0", "goodbye")
    place.interpreter()
    assert first.name in place.left()


def test_using_one_makes_it_young_again(place):
    first = Path(place.interpreter()).parent.parent
    _age(first, days=31)
    place.interpreter()
    place.greeting("2.0", "goodbye")
    place.interpreter()
    assert first.name in place.left()


def test_one_in_use_is_never_removed(place):
    held = place.held()
    first = Path(held.path).parent.parent
    _age(first, days=31)
    place.greeting("2.0", "goodbye")
    place.interpreter()
    assert os.path.exists(held.path)
    del held
    place.greeting("3.0", "hello again")
    place.interpreter()
    assert first.name not in place.left()


def _age(folder: Path, days: int) -> None:
    then = time.time() - days * 86400
    os.utime(folder / "flyte-nb-ready", (then, then))


def test_those_of_an_image_are_used_where_nothing_can_be_written(place, monkeypatch):
    python = place.interpreter()

    def refused(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("flyte_nb.runtime.environments._guard", refused)
    assert place.interpreter() == python
