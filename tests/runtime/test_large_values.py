"""A task that returns a gigabyte: what is stored as a file streams, what is a value is refused.

`FLYTE_NB_TEST_LARGE_BYTES` makes the files larger than they are by default, which is just more than
the pipe would carry: a real gigabyte takes a disk half a minute.
"""

import os
import sys

import pytest

from flyte_nb.pipe.pipe import MOST_BYTES

BYTES = int(os.environ.get("FLYTE_NB_TEST_LARGE_BYTES") or MOST_BYTES + (16 << 20))
ROOM = 100 << 20
"""What a worker needs beside its values."""
HOST = (
    "import sys\n"
    "from flyte_nb.runtime.execute import main\n"
    "code = main(sys.argv[2:])\n"
    "sys.stderr.write(open('/proc/self/status').read())\n"
    "raise SystemExit(code)\n"
)
"""Runs the command, and says what its process, without the worker's, had in memory at most."""
HEAD = (
    "from flyte_nb import task\n"
    "import atexit\n"
    "import numpy as np\n"
    "class Model: pass\n"
    "def peak():\n"
    "    print(*[line for line in open('/proc/self/status') if line.startswith('VmHWM')])\n"
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says a process's peak")


def _run(cold, annotation, body):
    """What the attempt left, and the peaks of host and worker."""
    code = f"atexit.register(peak)\n    {body}"
    cold.cells.run(f"{HEAD}@task\ndef f() -> {annotation}:\n    {code}\n")
    output = cold.output()
    python, _, _, *rest = cold.command(cold.stage(), {}, output)
    environ = {**os.environ, "TMPDIR": str(cold.tmp)}
    done = cold._execute([python, "-c", HOST, *rest], environ, output)
    return done, _peak(done.stderr), _peak(done.stdout)


def _peak(text):
    [line] = [line for line in text.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


@pytest.mark.parametrize(
    ("annotation", "make", "copies"),
    [
        ("np.ndarray", "made = np.ones({n}, np.uint8)", 1),
        ("Model", "made = Model(); made.rows = np.ones({n}, np.uint8)", 1),
        ("bytes", "made = np.ones({n}, np.uint8).tobytes()", 2),
    ],
)
def test_what_is_stored_as_a_file_is_never_copied_in_memory(cold, annotation, make, copies):
    body = make.replace("{n}", str(BYTES)) + "\n    return made"
    done, host, worker = _run(cold, annotation, body)
    path = done.outputs["o0"].value[0].removeprefix("file://")
    assert os.path.getsize(path) >= BYTES
    assert host < 60 << 20
    assert worker < copies * BYTES + ROOM  # what the task's own code has made
    assert os.listdir(cold.tmp) == []


@pytest.mark.parametrize(
    ("annotation", "value"),
    [("str", "'x' * (1 << 30)"), ("list[str]", "['x' * 1_000_000] * 1000")],
)
def test_a_gigabyte_that_is_no_file_is_refused_before_it_is_copied(cold, annotation, value):
    done, host, worker = _run(cold, annotation, f"return {value}")
    assert done.error.code == "USER:ValuesTooLarge"
    assert "FlyteFile" in done.error.message
    assert host < 60 << 20
    assert worker < (1 << 30) + ROOM
