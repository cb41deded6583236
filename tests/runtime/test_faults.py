"""Whatever goes wrong after the options are read leaves an `error.pb` with a code of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import ErrorInfo, StorageError
from flyte_nb.runtime.host import NOT_WRITTEN, conclude
from flyte_nb.runtime.options import parse
from flyte_nb.wire.errors import error_document_from_bytes

HEAD = "from flyte_nb import task\n"
PLAIN = HEAD + "@task\ndef f() -> int:\n    return 1\n"


def _index(bench, staged):
    return index_of.loads(bench.store.read(staged.index_uri))


def _flip(path: str, at: int = -1) -> None:
    data = bytearray(Path(path.removeprefix("file://")).read_bytes())
    data[at] ^= 1
    Path(path.removeprefix("file://")).write_bytes(data)


@pytest.fixture
def staged(bench):
    bench.cells.run(
        HEAD + "import numpy as np\nrows = np.ones(100_000)\n"
        "@task\ndef f() -> float:\n    print('loaded'); return float(rows.sum())\n"
    )
    return bench.stage()


@pytest.mark.parametrize("kind", ["ring", "task", "buffer"])
def test_a_flipped_byte_is_refused_before_anything_is_loaded(bench, staged, kind):
    [entry] = [entry for entry in _index(bench, staged).entries if entry.kind == kind]
    _flip(entry.uri)
    done = bench.run(staged=staged)
    assert done.error.code == "SYSTEM:BundleChecksumMismatch"
    assert entry.sha256 in done.error.message
    assert entry.name in done.error.message
    assert "loaded" not in done.stdout


@pytest.mark.parametrize("kind", ["ring", "task", "buffer"])
def test_a_truncated_member_is_refused_before_anything_is_unpickled(bench, staged, kind):
    [entry] = [entry for entry in _index(bench, staged).entries if entry.kind == kind]
    path = Path(entry.uri.removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-1])
    done = bench.run(staged=staged)
    assert done.error.code == "SYSTEM:BundleChecksumMismatch"
    assert "loaded" not in done.stdout


def test_a_missing_member_is_named(bench, staged):
    [entry] = [entry for entry in _index(bench, staged).entries if entry.kind == "buffer"]
    Path(entry.uri.removeprefix("file://")).unlink()
    error = bench.run(staged=staged).error
    assert error.code == "SYSTEM:BundleMemberMissing"
    assert "buffer-0" in error.message


def test_a_changed_index_is_refused(bench, staged):
    _flip(staged.index_uri, 10)
    error = bench.run(staged=staged).error
    assert error.code == "SYSTEM:BundleChecksumMismatch"
    assert "'index'" in error.message


def test_a_missing_index_is_said(bench, staged):
    Path(staged.index_uri.removeprefix("file://")).unlink()
    assert bench.run(staged=staged).error.code == "SYSTEM:BundleIndexMissing"


def _restage(bench, staged, change):
    """The bundle's index with something else in it, under its own digest."""
    document = json.loads(bench.store.read(staged.index_uri))
    change(document)
    data = json.dumps(document).encode()
    uri = f"file://{bench.root}/staging/{index_of.index_name(data)}"
    bench.store.write(uri, data)
    return staged._replace(index_uri=uri)


def test_a_bundle_without_the_task_lists_what_it_has(bench, staged):
    other = _restage(bench, staged, lambda d: d["tasks"].update(g=d["tasks"].pop("nb.f")))
    error = bench.run(staged=other).error
    assert error.code == "SYSTEM:BundleTaskMissing"
    assert "'nb.f'" in error.message
    assert "it has: g" in error.message


def test_another_python_is_refused_before_the_pickle_is_read(bench, staged):
    other = _restage(bench, staged, lambda d: d.update(python="2.7"))
    done = bench.run(staged=other)
    assert done.error.code == "USER:PythonMismatch"
    assert "2.7" in done.error.message
    assert "loaded" not in done.stdout


def test_another_protocol_and_format_are_refused(bench, staged):
    other = _restage(bench, staged, lambda d: d.update(protocol=99))
    assert bench.run(staged=other).error.code == "SYSTEM:BundleProtocol"
    other = _restage(bench, staged, lambda d: d.update(format=99))
    assert bench.run(staged=other).error.code == "SYSTEM:BundleFormat"


def test_an_index_that_pins_nothing_is_refused(bench, staged):
    uri = f"file://{bench.root}/staging/index.json"
    bench.store.write(uri, bench.store.read(staged.index_uri))
    error = bench.run(staged=staged._replace(index_uri=uri)).error
    assert error.code == "SYSTEM:BundleIndexUnpinned"


def test_a_bomb_is_not_fetched(bench, staged):
    [entry] = [entry for entry in _index(bench, staged).entries if entry.kind == "task"]
    path = Path(entry.uri.removeprefix("file://"))
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # sparse: a terabyte that claims to be a few kB; nobody waits for it
    assert bench.run(staged=staged).error.code == "SYSTEM:BundleChecksumMismatch"


def test_missing_and_damaged_inputs_are_said(cold):
    cold.cells.run(PLAIN)
    staged = cold.stage()
    output = cold.output()
    command = cold.command(staged, {}, output)
    inputs = output.parent / f"{output.name}-inputs.pb"
    inputs.write_bytes(b"\xff\xff\xff\xff")
    subprocess.run(command, check=True, capture_output=True)
    assert (
        error_document_from_bytes((output / "error.pb").read_bytes()).code == "SYSTEM:LiteralError"
    )
    inputs.unlink()
    subprocess.run(command, check=True, capture_output=True)
    assert (
        error_document_from_bytes((output / "error.pb").read_bytes()).code == "SYSTEM:StorageError"
    )


@pytest.mark.parametrize(
    ("body", "code", "recoverable", "text"),
    [
        ("os.kill(os.getpid(), 9)", "KilledBySignal", True, "SIGKILL"),
        ("os.kill(os.getpid(), 11)", "KilledBySignal", True, "SIGSEGV"),
        ("os.abort()", "KilledBySignal", True, "SIGABRT"),
        ("os._exit(3)", "USER:WorkerExited", False, "status 3"),
        ("os._exit(0)", "USER:WorkerExited", False, "status 0"),
        ("[os.write(fd, b'garbage!' * 9) for fd in range(3, 20) if writable(fd)]; return 1",
         "SYSTEM:WorkerProtocol", True, "garbage"),
        ("[os.close(fd) for fd in range(3, 20) if writable(fd)]; return 1",
         "USER:WorkerExited", False, "status"),
        ("host = os.getppid()\n    if os.fork() == 0: outlive(host)\n    os.kill(os.getpid(), 9)",
         "KilledBySignal", True, "SIGKILL"),
    ],
)  # fmt: skip
def test_a_worker_that_ends_in_place_of_answering(bench, body, code, recoverable, text):
    source = HEAD + (
        "import os, fcntl, psutil\n"
        "def writable(fd):\n"
        "    try:\n        return fcntl.fcntl(fd, fcntl.F_GETFL) & 3 == 1\n"
        "    except OSError:\n        return False\n"
        "def outlive(host):\n"
        "    os.closerange(0, 3)\n"
        "    psutil.Process(host).wait()\n    os._exit(0)\n"
        f"@task\ndef f() -> int:\n    {body}\n"
    )
    error = bench.run(source).error
    assert (error.code, error.recoverable) == (code, recoverable), error.message
    assert text in error.message
    # The task's own `retries` decide, but of what comes from outside.
    outside = code == "SYSTEM:WorkerProtocol" or text == "SIGKILL"
    assert error.origin == ("SYSTEM" if outside else "USER")


def test_a_forked_child_that_comes_back_does_not_answer(bench):
    source = HEAD + "import os\n@task\ndef f() -> int:\n    return 7 if os.fork() else 8\n"
    assert bench.run(source).outputs["o0"].value == 7


def test_sigterm_reaches_the_task_which_may_finish(cold):
    source = HEAD + (
        "import signal, threading\n"
        "@task\ndef f() -> str:\n"
        "    told = threading.Event()\n"
        "    signal.signal(signal.SIGTERM, lambda *_: told.set())\n"
        "    print('ready', flush=True)\n"
        "    told.wait(240)\n"
        "    return 'saved'\n"
    )
    done, output = _interrupt(cold, source)
    assert done == 0
    assert (output / "outputs.pb").exists()


def test_sigterm_that_ends_the_task_is_recoverable(cold):
    source = HEAD + (
        "import signal\n@task\ndef f() -> int:\n    print('ready', flush=True); signal.pause(); return 1\n"
    )
    done, output = _interrupt(cold, source)
    assert done == 0
    error = error_document_from_bytes((output / "error.pb").read_bytes())
    assert (error.code, error.recoverable, error.origin) == ("SYSTEM:Interrupted", True, "SYSTEM")


def _interrupt(cold, source):
    cold.cells.run(source)
    output = cold.output()
    command = cold.command(cold.stage(), {}, output)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        return process.wait(240), output


def test_a_module_that_the_worker_lacks_is_named(bench, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def up(n): return n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    bench.cells.run(HEAD + "from only_here import up\n@task\ndef f() -> int:\n    return up(1)\n")
    error = bench.run(staged=bench.stage()).error
    assert error.code == "USER:ModuleNotFound"
    assert "'only_here'" in error.message
    assert "beside the notebook" in error.message


def test_an_interpreter_that_is_not_there_is_said(bench):
    error = bench.run(PLAIN, env={"FLYTE_NB_WORKER_PYTHON": "/no/such/python"}).error
    assert error.code == "SYSTEM:WorkerStart"
    assert "/no/such/python" in error.message


def test_a_program_that_is_no_python_is_said(bench):
    error = bench.run(PLAIN, env={"FLYTE_NB_WORKER_PYTHON": "/bin/true"}).error
    assert error.code == "USER:WorkerExited"


def test_an_object_that_cannot_be_downloaded_is_a_storage_error(bench):
    source = HEAD + (
        "class Model: pass\n"
        "@task\ndef f() -> Model:\n    return Model()\n"
        "@task\ndef g(m: Model) -> int:\n    return 1\n"
    )
    made = bench.run(source).outputs["o0"]
    Path(made.value[0].removeprefix("file://")).unlink()
    error = bench.run("", {"m": made}, name="g").error
    assert error.code == "SYSTEM:StorageError"
    assert "There is no such file" in error.message


class Busy:
    """A store that fails its first calls for a moment."""

    def __init__(self, failures):
        self.left = failures
        self.written = {}

    def write(self, uri, data):
        if self.left:
            self.left -= 1
            raise StorageError("It is busy.", uri=uri, transient=True)
        self.written[uri] = data


@pytest.mark.parametrize(("failures", "code"), [(0, 0), (3, 0), (4, NOT_WRITTEN)])
def test_a_store_that_is_busy_when_the_failure_is_written_is_asked_again(failures, code):
    options = parse(["--task=t", "--inputs=i", "--output-prefix=o", "--index-file-location=x"])
    store, said, pauses = Busy(failures), [], []
    info = ErrorInfo("USER:ValueError", "no", "USER")
    assert conclude(info, options, store, said.append, sleep=pauses.append) == code
    assert len(pauses) == min(failures, 3)
    if code == 0:
        assert error_document_from_bytes(store.written["o/error.pb"]).code == "USER:ValueError"
    else:
        assert "It was tried 4 times" in said[-1]


def test_large_inputs_for_which_there_is_no_room_are_said(cold):
    cold.cells.run(HEAD + "@task\ndef f(x: str) -> int:\n    return len(x)\n")
    output = cold.output()
    command = cold.command(cold.stage(), {"x": cold._literal("x" * 3_000_000)}, output)
    limit = 2_800_000  # the bundle's members fit
    code = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True)
    error = error_document_from_bytes((output / "error.pb").read_bytes())
    assert (error.code, error.recoverable) == ("SYSTEM:DiskFull", True)
    assert error.message.startswith("The inputs cannot be written")
    assert "TMPDIR" in error.message


def test_a_place_that_cannot_be_written_exits_with_1(cold):
    cold.cells.run(PLAIN)
    output = cold.output()
    command = cold.command(cold.stage(), {}, output)
    output.rmdir()
    output.write_text("a file is in the way")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error.pb could not be written" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--nonsense", "x"], "'--nonsense' is not an option"),
        (["--task"], "--task has no value"),
        (["--task", "x"], "--inputs, --output-prefix, --index-file-location is missing"),
    ],
)
def test_wrong_options_are_said_and_exit_with_2(arguments, text):
    done = subprocess.run(
        [sys.executable, "-m", "flyte_nb", "execute", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert text in done.stderr
    assert "usage:" in done.stderr


def test_both_spellings_of_options_are_read():
    dashed = [
        *["--task", "t", "--inputs", "i", "--output-prefix", "o", "--raw-output-data-prefix", "r"],
        *["--checkpoint-path", "c", "--prev-checkpoint", "p", "--index-file-location", "x"],
    ]
    camel = [
        *["--task=t", "--inputs=i", "--outputPrefix=o", "--rawOutputDataPrefix=r"],
        *["--checkpointPath=c", "--prevCheckpoint=p", "--indexFileLocation=x"],
    ]
    dashed, camel = parse(dashed), parse(camel)
    assert dashed == camel
    assert dashed.prev_checkpoint == "p"


def test_templates_that_nobody_filled_are_absent():
    required = ["--task=t", "--inputs=i", "--output-prefix=o", "--index-file-location=x"]
    unfilled = ["--prev-checkpoint", '""', "--checkpoint-path", "{{.checkpointOutputPrefix}}"]
    options = parse([*required, *unfilled])
    assert options.prev_checkpoint == options.checkpoint_path == ""


def test_a_full_disk_is_said(cold, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        cold.cells.run(HEAD + "@task\ndef f() -> list[str]:\n    return ['x' * 1000] * 8000\n")
        command = cold.command(cold.stage(), {}, folder / "out")
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "TMPDIR": "/tmp"}
        )
        error = error_document_from_bytes((folder / "out" / "error.pb").read_bytes())
        assert error.code == "SYSTEM:StorageError"
        assert "full" in error.message
    finally:
        subprocess.run(["umount", str(folder)], check=True)
