"""What a person can do wrong, and what can go wrong around them, in a real kernel on a real backend.

Every item gets an error that says what is wrong, where and what to do; no frame of ours; and what
was there before still works afterwards.
"""

import html
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

from flyte_nb.admin import daemon
from flyte_nb.testing.waiting import Gate, wait_until

pytestmark = pytest.mark.slow

DEFINE = """
%load_ext flyte_nb
from flyte_nb import task, workflow

@task
def add(a: int, b: int) -> int:
    return a + b

@workflow
def sums(n: int) -> int:
    return add(a=n, b=1)
"""

SLOW = """
@task
def hold(note: str) -> int:
    import os, pathlib
    pathlib.Path(note).write_text(str(os.getpid()))
    open(note + ".gate").close()
    return 1

@workflow
def held(note: str) -> int:
    return hold(note=note)
"""

COLD = '@task(environment={"FLYTE_NB_WARM": "0"})'
"""A task each of whose attempts fetches its bundle, and is a process and its parent."""

INTERRUPT_IN_WAIT = """
import os, signal, sys, threading

def interrupt_when_waiting():
    main = threading.main_thread().ident

    def names(frame):
        while frame is not None:
            yield frame.f_code.co_filename.rpartition("/")[2], frame.f_code.co_name
            frame = frame.f_back

    def look():
        pause = threading.Event()
        while True:
            stack = list(names(sys._current_frames()[main]))
            if ("execution.py", "_wait") in stack and stack[0] != ("execution.py", "_wait"):
                return os.kill(os.getpid(), signal.SIGINT)
            pause.wait(0.01)

    threading.Thread(target=look, daemon=True).start()
"""

INTERRUPT_AT_THE_TWENTIETH_ANSWER = """
import signal
from flyte_nb.client.admin_client import AdminClient

was = AdminClient.call_each

def interrupted(self, calls, **options):
    for number, answer in enumerate(was(self, calls, **options), start=1):
        if number == 20:
            signal.raise_signal(signal.SIGINT)
        yield answer

AdminClient.call_each = interrupted
"""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TAGS = re.compile(r"<style.*?</style>|<script.*?</script>|<[^>]+>", re.DOTALL)


class Notebook:
    """A kernel, and what a person sees below its cells."""

    def __init__(self, home: Path, cwd: Path) -> None:
        environment = {**os.environ, "FLYTE_NB_HOME": str(home), "JPY_SESSION_NAME": "bad.ipynb"}
        self.home = home
        self.manager, self.client = start_new_kernel(
            startup_timeout=240, cwd=str(cwd), env=environment
        )
        self.run(DEFINE)

    def run(self, code: str) -> str:
        """The output of a cell that has to succeed."""
        failed, shown = self._execute(code)
        assert not failed, failed
        return shown

    def fails(self, code: str, *, interrupt_at: "Path | None" = None) -> str:
        """The error of a cell that has to fail; no frame of ours is in it."""
        failed, _ = self._execute(code, interrupt_at)
        assert failed, "the cell succeeded"
        assert "/flyte_nb/" not in failed
        return failed

    def refuses(self, code: str) -> str:
        """What a person reads of a cell that has to fail: the panel below it, and the error."""
        failed, shown = self._execute(code)
        assert failed, "the cell succeeded"
        return f"{' '.join(html.unescape(shown).split())}\n{failed}"

    def _execute(self, code: str, interrupt_at: "Path | None" = None) -> "tuple[str, str]":
        shown: list[str] = []
        done = threading.Event()

        def hear(message: "dict[str, Any]") -> None:
            content = message["content"]
            data = content.get("data") or {}
            shown.append(content.get("text", ""))  # a part of what was printed, cut anywhere
            if data:
                text = data.get("text/html") or data.get("text/plain") or ""
                shown.append(f"\n{_TAGS.sub(' ', text)}\n")

        def look(path: Path) -> None:
            while not path.exists():
                if done.wait(0.01):
                    return
            # The manager's own way leaves an event loop open in every thread that asks for it.
            os.kill(self.manager.provisioner.pid, signal.SIGINT)

        if interrupt_at is not None:
            threading.Thread(target=look, args=(interrupt_at,), daemon=True).start()
        reply = self.client.execute_interactive(code, timeout=240, output_hook=hear)["content"]
        done.set()
        failed = "\n".join(reply.get("traceback", [])) if reply["status"] == "error" else ""
        return _ANSI.sub("", failed), "".join(shown)

    def runs_still(self) -> None:
        """Whatever happened: the next run succeeds."""
        assert "SUCCEEDED 3" in self.run(
            "ran = %flyte launch sums n=2\nprint(ran.wait(timeout=240).phase, ran.outputs()['o0'])"
        )

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    home = tmp_path_factory.mktemp("home") / "state"
    made = Notebook(home, tmp_path_factory.mktemp("cwd"))
    yield made
    made.close()
    daemon.stop(home)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("x = 1\ndef f(:\n    pass", ("line 2", "SyntaxError: invalid syntax")),
        ("%%task t(a: int) -> int\nb = a +\nreturn b", ("line 2", "b = a +", "invalid syntax")),
        ("%%task t(a: int -> int\nreturn a", ("line 1", "The ( is never closed")),
        ("%%task t(a: Nope) -> int\nreturn a", ("NameError: name 'Nope' is not defined",)),
        ("%flyte launch sums --n 3", ("no flag --n", "Inputs are written without dashes: n=…")),
        ("%flyte launch sums n=abc", ("n (int): is not an int: “abc”",)),
        ("%flyte launch sums m=1", ("sums has no input 'm'; it takes: n.",)),
        ("sums(n='x')", ("Expected int, got str 'x'", "line 1: sums(n='x')")),
        ("%flyte watch nothere", ("missing entity of type execution", "nothere")),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(notebook, cell, words):
    said = notebook.fails(cell)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("name", "cell", "words"),
    [
        (
            "untyped",
            "@task\ndef loose(a) -> int:\n    return 1\n"
            "@workflow\ndef untyped(n: int) -> int:\n    return loose(a=n)",
            ("The input a has no type.", "Write a: int.", "line 1"),
        ),
        (
            "unbound",
            "@workflow\ndef unbound(n: int) -> int:\n    return add(a=n)",
            ("The input b of add is missing.", "line 3"),
        ),
        (
            "misfit",
            "@task\ndef word() -> str:\n    return 'x'\n"
            "@workflow\ndef misfit(n: int) -> int:\n    return add(a=word(), b='seven')",
            (
                "'a' is int, but words.o0 is str".replace("words", "word"),
                "got str 'seven'",
                "line 6",
            ),
        ),
        (
            "cyclic",
            "@workflow\ndef cyclic(n: int) -> int:\n    a = add(a=n, b=1)\n    b = add(a=n, b=2)\n"
            "    a >> b\n    b >> a\n    return b",
            ("These nodes wait for each other", "Remove one of the edges", "line 3"),
        ),
        ("empty", "@workflow\ndef empty():\n    pass", ("The workflow calls nothing.",)),
        (
            "locked",
            "import threading\nlock = threading.Lock()\n@task\ndef holds(n: int) -> int:\n"
            "    with lock:\n        return n\n"
            "@workflow\ndef locked(n: int) -> int:\n    return holds(n=n)",
            ("holds() uses the global 'lock'", "line 5", "Create it inside of the task"),
        ),
    ],
)
def test_a_wrong_workflow_is_told_by_cell_and_variable_and_nothing_is_registered(
    notebook, name, cell, words
):
    notebook.run(cell)
    said = notebook.refuses(f"%flyte register {name}")
    assert "Nothing was registered" in said
    for word in words:
        assert word in said
    assert "no launch plan" in notebook.fails(
        f"from flyte_nb.session.session import default_session\ndefault_session().fetch_launch_plan('{name}')"
    )


def test_the_wrong_node_is_marked_in_the_graph(notebook):
    shown = notebook.run("@workflow\ndef lacks(n: int) -> int:\n    return add(a=n)\nlacks")
    assert "does not compile" in shown
    assert "The input b of add is missing." in shown


def test_a_task_that_fails_shows_its_cell_and_line_here_and_there(notebook):
    notebook.run(
        "@task\ndef picks(n: int) -> int:\n    found = {}\n    return found['nope'] + n\n"
        "@workflow\ndef wrong(n: int) -> int:\n    return picks(n=n)"
    )
    for cell in ("wrong(n=1)", "ran = %flyte launch wrong n=1\nran.wait(timeout=240)"):
        said = notebook.fails(cell)
        assert "line 4, in picks" in said
        assert "KeyError: 'nope'" in said
    assert "found['nope'] + n" in notebook.fails("picks(n=1)")
    shown = notebook.run("ran")
    assert "line 4, in picks" in shown
    assert "Correct the cell" in shown


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        ("int", "'seven'", "does not fit its annotation: Expected int, got str 'seven'"),
        ("tuple[int, str]", "1", "It has 2 outputs, and returns int 1. Write return o0, o1."),
    ],
)
def test_outputs_that_do_not_fit_are_told_here_and_there(notebook, annotation, value, words):
    notebook.run(
        f"@task\ndef gives() -> {annotation}:\n    return {value}\n"
        "@workflow\ndef given():\n    gives()"
    )
    assert words in notebook.fails("given()")
    assert words in notebook.fails("ran = %flyte launch given\nran.wait(timeout=240)")


def test_a_missing_or_changed_member_fails_the_run_and_registering_again_mends_it(notebook):
    launch = (
        "from flyte_nb.session.session import default_session\n"
        "ran = default_session().launch('sums', {'n': 2})\nran.wait(timeout=240)"
    )
    notebook.run(DEFINE.replace("@task", COLD))
    notebook.run("%flyte register sums")
    bundles = notebook.home / "objects" / "bundles"
    (ring,) = [path for path in bundles.rglob("*") if path.is_file() and path.stat().st_size > 1e5]
    data = ring.read_bytes()
    for spoil, words in (
        (lambda: ring.unlink(), "is missing at"),
        (lambda: ring.write_bytes(bytes([data[0] ^ 1]) + data[1:]), "the index says"),
    ):
        spoil()
        said = notebook.fails(launch)
        assert "'ring.zip'" in said
        assert words in said
        assert "Register again" in said
        assert "staged again" in notebook.run("%flyte register sums")
        assert ring.read_bytes() == data
        notebook.run(launch)


@pytest.fixture
def gate(tmp_path):
    with Gate(tmp_path / "note.gate") as gate:
        yield gate


@pytest.fixture
def note(tmp_path, gate):
    """The file in which a task of `SLOW` writes who it is, before it waits at the gate."""
    return tmp_path / "note"


@pytest.mark.parametrize(
    ("task", "victim"),
    [
        ("@task", lambda pid: psutil.Process(pid)),
        (COLD, lambda pid: psutil.Process(pid)),
        (COLD, lambda pid: psutil.Process(pid).parent()),
    ],
    ids=["a warm worker", "a cold worker", "its host"],
)
def test_an_attempt_that_is_killed_from_outside_is_tried_again_whichever_process_it_met(
    notebook, note, gate, task, victim
):
    notebook.run(SLOW.replace("@task", task))
    notebook.run(f"ran = %flyte launch held note={note}")
    wait_for(note)
    victim(int(note.read_text())).kill()
    gate.open()
    shown = notebook.run(
        "print(ran.wait(timeout=240).phase)\nprint(ran.view().nodes[0].attempts[0].error.message)"
    )
    assert "SUCCEEDED" in shown
    assert "was killed by SIGKILL" in shown


@pytest.mark.parametrize("call", ["held(note={!r})", "hold(note={!r})"])
def test_an_interrupt_of_a_local_run_shows_the_authors_line_and_ends_it(notebook, note, call):
    notebook.run(SLOW)
    said = notebook.fails(call.format(str(note)), interrupt_at=note)
    assert "KeyboardInterrupt" in said
    assert "interrupted" in said
    assert "line 1: h" in said
    notebook.runs_still()


def test_an_interrupt_of_a_wait_leaves_the_run(notebook, note, gate):
    notebook.run(SLOW)
    notebook.run(f"ran = %flyte launch held note={note}")
    wait_for(note)
    notebook.run(INTERRUPT_IN_WAIT)
    said = notebook.fails("interrupt_when_waiting()\nran.wait()")
    assert "is not waited for any longer. It goes on" in said
    gate.open()
    assert "SUCCEEDED" in notebook.run("print(ran.wait(timeout=240).phase)")


def test_an_interrupt_of_a_registration_leaves_nothing_half_done(notebook):
    many = "".join(f"@task\ndef part{n}(a: int) -> int:\n    return a + {n}\n" for n in range(150))
    calls = "".join(f"    x = part{n}(a=x)\n" for n in range(150))
    notebook.run(f"{many}@workflow\ndef long(x: int) -> int:\n{calls}    return x")
    notebook.run(INTERRUPT_AT_THE_TWENTIETH_ANSWER)
    try:
        said = notebook.fails("%flyte register long")
    finally:
        notebook.run("AdminClient.call_each = was")
    assert "The registration was interrupted." in said
    assert "What was registered is complete" in said
    notebook.run("%flyte register long")
    assert "152 unchanged" in notebook.run("%flyte register long")


def test_a_hundred_thousand_lines_are_kept_and_the_view_shows_the_end(notebook):
    notebook.run(
        "@task\ndef chatty() -> int:\n    for n in range(100_000):\n        print('line', n)\n    return 1\n"
        "@workflow\ndef talk() -> int:\n    return chatty()"
    )
    notebook.run("ran = %flyte launch talk\nran.wait(timeout=240)")
    assert "100000 line 99999" in notebook.run(
        "lines = ran.logs().splitlines()\nprint(len(lines), lines[-1])"
    )
    shown = notebook.run("ran")
    assert "line 99999" in shown
    assert len(shown) < 100_000


def test_fifty_megabytes_travel_between_tasks_and_back(notebook):
    notebook.run(
        "import numpy as np\n@task\ndef large() -> np.ndarray:\n    return np.ones((50, 131_072))\n"
        "@task\ndef total(x: np.ndarray) -> float:\n    return float(x.sum())\n"
        "@workflow\ndef heavy() -> tuple[np.ndarray, float]:\n    x = large()\n    return x, total(x=x)"
    )
    assert "(50, 131072) 6553600.0" in notebook.run(
        "ran = %flyte launch heavy\nran.wait(timeout=240)\nout = ran.outputs()\n"
        "print(out['o0'].shape, out['o1'])"
    )
    assert "(50, 131072)" in notebook.run("ran")


def test_names_in_any_script_run_and_inputs_that_flyte_cannot_read_are_told(notebook):
    notebook.run(
        "@task\ndef größe(n: int) -> int:\n    return n\n"
        "@workflow\ndef fluß(n: int) -> int:\n    return größe(n=n)\n"
    )
    assert "SUCCEEDED {'o0': 4}" in notebook.run(
        "ran = %flyte launch fluß n=4\nprint(ran.wait(timeout=240).phase, ran.outputs())"
    )
    notebook.run("@workflow\ndef maß(länge: int) -> int:\n    return größe(n=länge)")
    assert "Use ASCII letters, digits and underscores." in notebook.refuses("%flyte register maß")


def test_a_class_that_was_redefined_says_which_cells_to_run_again(notebook):
    owner = "class Point:\n    def __init__(self, x):\n        self.x = x"
    users = (
        "@task\ndef make(n: int) -> Point:\n    return Point(n)\n"
        "@task\ndef read(p: Point) -> int:\n    return p.x\n"
        "@workflow\ndef points(n: int) -> int:\n    return read(p=make(n=n))"
    )
    silent = "import warnings\nwarnings.simplefilter('ignore')\n"
    notebook.run(silent + owner)
    notebook.run(users + "\nassert points(n=3) == 3")
    notebook.run(owner)
    said = notebook.fails("points(n=3)")
    assert "Point was defined again since" in said
    assert "run the cells of the tasks that name it again" in said
    notebook.run(users + "\nassert points(n=3) == 3")


def test_two_notebooks_with_the_same_function_do_not_meet(notebook, tmp_path):
    other = Notebook(notebook.home, tmp_path)
    try:
        other.run("%flyte connect --name other")
        other.run("@task\ndef add(a: int, b: int) -> int:\n    return a * 100 + b")
        notebook.runs_still()
        assert "SUCCEEDED 201" in other.run(
            "ran = %flyte launch sums n=2\nprint(ran.wait(timeout=240).phase, ran.outputs()['o0'])"
        )
        notebook.runs_still()
        assert "3 unchanged" in notebook.run("%flyte register sums")
    finally:
        other.close()


def test_a_token_that_does_not_match_is_told_and_a_restart_mends_it(notebook, tmp_path):
    notebook.runs_still()
    (notebook.home / "token").write_text("another")
    late = Notebook(notebook.home, tmp_path)
    try:
        said = late.fails("%flyte launch sums n=2")
        assert "token is not this backend's" in said
        assert "flyte-nb down" in said
        assert daemon.stop(notebook.home)
        notebook.runs_still()
        late.runs_still()
    finally:
        late.close()


def test_a_full_disk_is_told_before_anything_starts_and_room_mends_it(notebook):
    fill = (
        "import errno, os\nfrom flyte_nb.storage import file\nwas = file._write_beside\n"
        "def full(path, data):\n    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "file._write_beside = full"
    )
    notebook.run("@task\ndef fresh(n: int) -> int:\n    return n + 41")
    notebook.run(fill)
    try:
        said = notebook.fails("%flyte register fresh")
        assert "No space left on device" in said
        assert "Make room there" in said
        assert "no task" in notebook.fails(
            "from flyte_nb.session.session import default_session\ndefault_session().fetch_task('fresh')"
        )
    finally:
        notebook.run("file._write_beside = was")
    assert "1 new" in notebook.run("%flyte register fresh")
    notebook.runs_still()


def wait_for(note: Path) -> None:
    """Wait until the task has written who it is."""
    wait_until(lambda: note.exists() and note.read_text(), "the task's start")
