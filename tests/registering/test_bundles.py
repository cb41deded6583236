"""Bundles on a real backend: what has changed since the registration, who needs what, the commands."""

import json
from pathlib import Path

import pytest

import flyte_nb
from flyte_nb.__main__ import main
from flyte_nb.admin import daemon
from flyte_nb.testing.cells import Cells

SOURCE = (
    "import numpy as np\nfrom flyte_nb import task, workflow\nrows = np.arange(100_000.0)\n"
    "def helper(n): return n + 1\n"
    "@task\ndef f(n: int) -> float:\n    return float(rows[helper(n)])\n"
    "@workflow\ndef wf(n: int) -> float:\n    return f(n=n)\n"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "flyte_nb"
    yield folder
    daemon.stop(folder)


@pytest.fixture
def session(home):
    made = flyte_nb.connect(home=home, name="bundles")
    yield made
    made.close()


@pytest.fixture
def fresh_session(home):
    """A session in whose notebook nothing is registered yet."""
    made = flyte_nb.connect(home=home, name="fresh")
    yield made
    made.close()


@pytest.fixture
def command(home, capsys):
    def run(*arguments):
        capsys.readouterr()
        code = main(["bundle", *arguments, "--home", str(home)])
        return code, capsys.readouterr().out

    return run


def _states(bundle):
    [task] = bundle.tasks
    return task.state, {part.name: part.state for part in task.parts}


def test_changes_since_the_registration_are_shown_part_by_part(fresh_session):
    session, cells = fresh_session, Cells()
    cells.run(SOURCE)
    state, parts = _states(session.bundle(cells["wf"]))
    assert state == "new"
    assert set(parts.values()) == {"new"}
    session.register(cells["wf"])
    assert _states(session.bundle(cells["wf"])) == ("unchanged", dict.fromkeys(parts, "unchanged"))
    assert session.bundle(cells["wf"]).upload_bytes == 0
    cells.run("def helper(n): return n + 2")
    [task] = session.bundle(cells["wf"]).tasks
    assert (task.state, [p.name for p in task.parts if p.state == "changed"]) == (
        "changed",
        ["helper()"],
    )
    assert [member.kind for member in task.to_upload] == ["task"]
    why = {part.name: part.why for part in task.parts}
    assert why == {"f()": "the task itself", "rows": "used by f()", "helper()": "called by f()"}
    cells.run("def helper(n): return n\nextra = 1\nrows = [1]")
    [task] = session.bundle(cells["wf"]).tasks
    assert {part.name: part.state for part in task.parts}["rows"] == "changed"


def test_a_task_and_the_maps_over_it_are_one_bundle(fresh_session):
    session, cells = fresh_session, Cells()
    cells.run(
        "from flyte_nb import map_task, task\n@task\ndef mapped(n: int) -> int:\n    return n\n"
        "over = map_task(mapped)\nfew = map_task(mapped, concurrency=2)"
    )
    session.register(cells["over"])
    [task] = session.bundle(cells["over"], cells["few"], cells["mapped"]).tasks
    assert (task.name, task.state, task.to_upload) == ("fresh.mapped", "unchanged", ())


def test_one_that_cannot_be_packed_does_not_hide_the_others(session):
    cells = Cells()
    cells.run(SOURCE)
    cells.run(
        "import threading\nlock = threading.Lock()\n@task\ndef bad() -> str:\n    return str(lock)"
    )
    tasks = session.bundle(cells["f"], cells["bad"]).tasks
    assert [task.problem != "" for task in tasks] == [False, True]
    assert "'lock'" in tasks[1].problem


def test_the_commands_list_verify_and_clean_and_keep_what_is_registered(session, command):
    cells = Cells()
    cells.run(
        SOURCE.replace("def f(", "def listed(")
        .replace("= f(", "= listed(")
        .replace("return f(", "return listed(")
    )
    session.register(cells["wf"])
    code, text = command("list")
    assert code == 0
    assert "bundles.listed  (registered: bundles.listed (" in text
    code, text = command("verify", "--output", "json")
    assert (code, json.loads(text)["damaged"]) == (0, [])
    [location] = session.bundles.locations()
    folder = Path(location[len("file://") :])
    lost = folder / "ab" / ("ab" * 32)
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"of a registration that was interrupted")
    code, text = command("gc", "--older-than", "0")
    assert "would remove 1 objects" in text
    assert "Add --yes to remove it" in text
    assert lost.exists()
    assert "1 are too recent" in command("gc", "--yes")[1]
    assert lost.exists()
    code, text = command("gc", "--older-than", "0", "--yes")
    assert code == 0
    assert not lost.exists()
    assert command("verify")[0] == 0


def test_a_damaged_member_fails_the_command_and_registering_again_repairs_it(session, command):
    cells = Cells()
    cells.run(SOURCE)
    cells.run("def helper(n): return n + 77")
    session.register(cells["wf"])
    [task] = session.bundle(cells["wf"]).tasks
    [location] = session.bundles.locations()
    victim = next(Path(location[len("file://") :]).glob("index-*.json")).parent
    [payload] = [
        path
        for path in victim.rglob("*")
        if path.is_file()
        and b"helper" in path.read_bytes()[:3000]
        and path.suffix != ".json"
        and path.stat().st_size == task.members[1].size_bytes
    ][:1]
    data = bytearray(payload.read_bytes())
    data[5] ^= 1
    payload.write_bytes(data)
    code, text = command("verify")
    assert code == 1
    assert f"expected {payload.name}" in text
    assert "it stops bundles.f" in text
    session.register(cells["wf"])
    assert command("verify")[0] == 0


def test_a_place_that_is_no_number_of_hours_is_refused(command):
    assert command("gc", "--older-than", "-1")[0] == 2


def test_what_only_cleaning_takes_is_refused_elsewhere(command):
    assert command("verify", "--yes")[0] == 2


def test_a_single_index_and_a_folder_can_be_verified(session, command):
    cells = Cells()
    cells.run(SOURCE)
    session.register(cells["wf"])
    [location] = session.bundles.locations()
    index = next(Path(location[len("file://") :]).glob("index-*.json"))
    assert command("verify", str(index))[0] == 0
    assert command("verify", location)[0] == 0
    assert command("verify", f"{location}/index-{'0' * 64}.json")[0] == 1


def test_without_an_answer_it_says_what_travels_and_that_nothing_was_compared(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("admin:\n  endpoint: dns:///127.0.0.1:9\n  insecure: true\n")
    alone = flyte_nb.connect(config, name="alone")
    cells = Cells()
    cells.run(SOURCE)
    bundle = alone.bundle(cells["f"])
    alone.close()
    assert _states(bundle)[0] == "unknown"
    assert "cannot be reached" in bundle.note


def test_a_registered_task_says_which_python_pickled_it():
    from flyteidl.admin.task_pb2 import Task

    from flyte_nb.registering.reasons import registered_parts, registered_python

    task = Task()
    assert (registered_python(task), registered_parts(task)) == ("", None)
    said = {"python": "3.9", "parts": {"function f()": "ab"}}
    task.closure.compiled_task.template.custom.update({"flyte_nb": said})
    assert (registered_python(task), registered_parts(task)) == ("3.9", {"function f()": "ab"})
