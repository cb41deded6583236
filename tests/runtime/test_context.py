"""What a task can ask for while it runs: checkpoints, secrets, its report; and how it is interrupted."""

import os
import signal
import subprocess

import pytest

from flyte_nb.wire.errors import error_document_from_bytes
from flyte_nb.wire.literal_bytes import literal_map_from_bytes

HEAD = "import os, signal\nfrom flyte_nb import Deck, DeckField, IgnoreOutputs, current_context, task\n"


class Ran:
    """What an attempt left, with its checkpoints."""

    def __init__(self, output, done):
        self.output = output
        self.done = done
        self.files = sorted(path.name for path in output.iterdir())

    @property
    def value(self):
        assert "outputs.pb" in self.files, self.done.stderr
        return literal_map_from_bytes((self.output / "outputs.pb").read_bytes())["o0"].value

    @property
    def error(self):
        return error_document_from_bytes((self.output / "error.pb").read_bytes())

    @property
    def deck(self):
        return (self.output / "deck.html").read_text()


def _command(bench, source, prev):
    bench.cells.run(HEAD + source)
    output = bench.output()
    command = bench.command(bench.stage(), {}, output)
    places = {
        "{{.checkpointOutputPrefix}}": f"file://{output}-cp",
        "{{.prevCheckpointPrefix}}": prev,
    }
    return output, [places.get(argument, argument) for argument in command]


@pytest.fixture
def run(bench):
    def run(source, prev="", env=None):
        output, command = _command(bench, source, prev)
        environ = {**os.environ, "TMPDIR": str(bench.tmp), **(env or {})}
        done = bench._execute(command, environ, output)
        assert done.code == 0, done.stderr
        return Ran(output, done)

    return run


READS = (
    "@task\ndef f() -> str:\n"
    "    cp = current_context().checkpoint\n"
    "    found = cp.read()\n"
    "    cp.write(b'two' if found else b'one')\n"
    "    return f'{cp.prev_exists()} {found}'\n"
)


def test_an_attempt_reads_what_the_one_before_wrote(run):
    first = run(READS)
    assert first.value == "False None"
    second = run(READS, prev=f"file://{first.output}-cp")
    assert second.value == "True b'one'"
    third = run(READS, prev=f"file://{second.output}-cp")
    assert third.value == "True b'two'"


def test_a_previous_attempt_that_saved_nothing_is_none(run, bench):
    assert run(READS, prev=f"file://{bench.root}/nothing-here").value == "False None"


def test_files_and_folders_are_saved_and_restored(run):
    saved = run(
        "@task\ndef f() -> str:\n"
        "    cp, here = current_context().checkpoint, current_context().working_directory\n"
        "    folder = os.path.join(here, 'state')\n"
        "    os.makedirs(os.path.join(folder, 'deep'))\n"
        "    for name in ('a', 'deep/b'):\n"
        "        open(os.path.join(folder, name), 'w').write(name)\n"
        "    cp.save(folder)\n"
        "    open('step.txt', 'w').write('7')\n"
        "    cp.save('step.txt')\n"
        "    cp.save(open('step.txt', 'rb'))\n"
        "    os.unlink('step.txt')\n"
        "    return 'ok'\n"
    )
    again = run(
        "from pathlib import Path\n"
        "@task\ndef f() -> list[str]:\n"
        "    cp = current_context().checkpoint\n"
        "    own = Path(current_context().working_directory, 'own'); own.mkdir()\n"
        "    cp.restore(own)\n"
        "    try:\n        cp.read()\n"
        "    except RuntimeError as error:\n        said = str(error)\n"
        "    return [*sorted(str(p.relative_to(own)) for p in own.rglob('*')), said]\n",
        prev=f"file://{saved.output}-cp",
    )
    *names, said = again.value[1]
    assert names == ["_dst_cp", "a", "deep", "deep/b", "step.txt"]
    assert "Use checkpoint.restore()" in said


def test_a_secret_is_found_and_a_missing_one_says_where_it_was_looked_for(run, tmp_path):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "file_key").write_text("from file")
    source = (
        "@task\ndef f() -> str:\n"
        "    secrets = current_context().secrets\n"
        "    print(secrets.get('g', 'env_key'), secrets.g.file_key)\n"
        "    return secrets.get('g', 'gone')\n"
    )
    env = {"_FSEC_G_ENV_KEY": "from env", "FLYTE_SECRETS_DEFAULT_DIR": str(tmp_path)}
    ran = run(source, env={**env, "FLYTE_INTERNAL_EXECUTION_ID": "x"})
    assert ran.done.stdout == "from env from file\n"
    error = ran.error
    assert error.code == "USER:UsageError"
    for part in ("the variable _FSEC_G_GONE", f"the file {tmp_path}/g/gone", "secret_requests="):
        assert part in error.message
    assert "from" not in error.message.partition("Message:")[2].replace("for the file", "")


def test_the_run_says_which_workflow_and_attempt_it_is(run):
    source = (
        "@task\ndef f() -> str:\n"
        "    c = current_context()\n"
        "    return f'{c.workflow_id.name} {c.attempt} {c.enable_deck}'\n"
    )
    env = {"FLYTE_INTERNAL_EXECUTION_WORKFLOW": "p:d:book.wf:v", "FLYTE_ATTEMPT_NUMBER": "1"}
    assert run(source, env=env).value == "book.wf:v 1 False"


DECK = (
    "@task(enable_deck=True)\ndef f() -> int:\n"
    "    Deck('mine <b>', '<p>written</p>').append('<p>more</p>')\n"
    "    current_context().default_deck.append('usual')\n"
)


def test_a_report_has_the_tasks_own_pages_and_the_usual_ones(run):
    ran = run(DECK + "    return 41 + 1\n")
    assert ran.files == ["deck.html", "outputs.pb"]
    for part in ("<p>written</p>\n<p>more</p>", "mine &lt;b&gt;", "usual", "return 41 + 1", "42"):
        assert part in ran.deck
    for page in ("Source Code", "Dependencies", "Timeline", "Input", "Output"):
        assert f">{page}</label>" in ran.deck


def test_a_report_is_written_by_an_attempt_that_fails_too(run):
    ran = run(DECK + "    raise ValueError('no')\n")
    assert ran.files == ["deck.html", "error.pb"]
    assert ran.error.code == "USER:ValueError"
    assert "<p>written</p>" in ran.deck


def test_a_report_that_cannot_be_written_is_said_in_the_log_and_loses_nothing(bench, run):
    blocked = bench.root / f"attempt-{bench._count + 1}" / "deck.html" / "taken"
    blocked.mkdir(parents=True)
    ran = run(DECK + "    return 1\n")
    assert ran.files == ["deck.html", "outputs.pb"]
    assert "The deck could not be written: " in ran.done.stderr


def test_a_report_that_was_published_outlives_the_worker(run):
    ran = run(DECK + "    Deck.publish()\n    os._exit(3)\n")
    assert ran.error.code == "USER:WorkerExited"
    assert "<p>written</p>" in ran.deck


def test_only_the_pages_that_were_asked_for_are_there(run):
    source = DECK.replace("enable_deck=True", "enable_deck=True, deck_fields=[DeckField.OUTPUT]")
    deck = run(source + "    return 1\n").deck
    assert ">Output</label>" in deck
    assert ">Input</label>" not in deck


def test_a_value_that_cannot_be_shown_does_not_cost_the_report(run):
    source = (
        "class Odd:\n    def __repr__(self):\n        raise KeyError('x')\n"
        "@task(enable_deck=True)\ndef f() -> Odd:\n    return Odd()\n"
    )
    assert "cannot be shown: KeyError" in run(source).deck


def test_without_enable_deck_there_is_no_report(run):
    ran = run(DECK.replace("(enable_deck=True)", "") + "    Deck.publish()\n    return 1\n")
    assert ran.files == ["outputs.pb"]
    assert "enable_deck=True" in ran.done.stderr


def test_an_attempt_may_end_well_without_outputs(run):
    assert run("@task\ndef f() -> int:\n    raise IgnoreOutputs('rank 1')\n").files == []


SAVES = (
    "@task\ndef f() -> int:\n"
    "    try:\n        print('ready', flush=True); signal.pause()\n"
    "    finally:\n        current_context().checkpoint.write(b'half')\n"
    "    return 1\n"
)


def _interrupted(bench, source, env=None, wait_s=240):
    output, command = _command(bench, source, "")
    environ = {**os.environ, **(env or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(wait_s) == 0
    return Ran(output, None), output.parent / f"{output.name}-cp"


def test_an_interrupted_task_saves_its_checkpoint_and_is_retried(bench):
    ran, kept = _interrupted(bench, SAVES)
    assert (ran.error.code, ran.error.recoverable) == ("SYSTEM:Interrupted", True)
    assert (kept / "_dst_cp").read_bytes() == b"half"
    assert "signal.pause()" in ran.error.message


def test_a_task_that_does_not_end_is_killed_after_a_while(bench):
    source = (
        "@task\ndef f() -> int:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    print('ready', flush=True)\n    signal.pause()\n    return 1\n"
    )
    ran, _ = _interrupted(bench, source, {"FLYTE_NB_TERMINATION_GRACE_S": "0.5"})
    assert (ran.error.code, ran.error.recoverable) == ("SYSTEM:Interrupted", True)
    assert "did not end in time" in ran.error.message


def test_a_fork_of_the_task_ends_by_sigterm_as_everywhere(run):
    source = (
        "import multiprocessing\n"
        "def work(told):\n    told.set(); signal.pause()\n"
        "@task\ndef f() -> str:\n"
        "    fork = multiprocessing.get_context('fork')\n"
        "    told = fork.Event()\n"
        "    child = fork.Process(target=work, args=(told,)); child.start(); told.wait()\n"
        "    child.terminate(); child.join()\n"
        "    return str(child.exitcode)\n"
    )
    ran = run(source)
    assert ran.value == str(-signal.SIGTERM)
    assert ran.done.stderr == ""


def test_a_fork_of_the_task_ends_by_a_sigterm_that_comes_at_once(run):
    source = (
        "@task\ndef f() -> str:\n"
        "    ends = set()\n"
        "    for _ in range(30):\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            signal.pause()\n"
        "            os._exit(0)\n"
        "        os.kill(pid, signal.SIGTERM)\n"
        "        ends.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        "    return str((ends, signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n"
    )
    assert run(source).value == str(({-signal.SIGTERM}, set()))
