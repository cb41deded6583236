"""The commands, called as the terminal calls them: text, JSON, exit codes, and no traceback of ours."""

import json
import subprocess
import sys

import pytest

from flyte_nb.__main__ import main
from flyte_nb.admin import daemon
from flyte_nb.commands.parsing import parser
from flyte_nb.testing.waiting import wait_until

PIPELINE = """
from flyte_nb import task, workflow

@task
def double(n: int) -> int:
    print("doubling", n)
    return 2 * n

@task
def fail(n: int) -> int:
    raise ValueError("no such n")

@workflow
def {name}(n: int = 2) -> int:
    return double(n=n)

@workflow
def {name}_fails(n: int = 2) -> int:
    return fail(n=double(n=n))
"""


GATES = """
from flyte_nb import approve, wait_for_input, workflow

@workflow
def gated() -> int:
    return approve(wait_for_input("depth", 3600, int), "review", 3600)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "flyte_nb"
    yield folder
    daemon.stop(folder)


@pytest.fixture
def command(home, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        if arguments[0] == "version":
            code = main(list(arguments))
        else:
            code = main([arguments[0], "--home", str(home), *arguments[1:]])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def pipeline(tmp_path):
    (tmp_path / "cli_pipeline.py").write_text(PIPELINE.format(name="wf"))
    yield tmp_path / "cli_pipeline.py"
    sys.modules.pop("cli_pipeline", None)


@pytest.fixture
def fresh(tmp_path):
    """The same under a name that nothing is registered by."""
    (tmp_path / "cli_fresh.py").write_text(PIPELINE.format(name="wf"))
    yield "cli_fresh"
    sys.modules.pop("cli_fresh", None)


def test_the_way_from_a_file_to_results(command, fresh):
    code, out, _ = command("register", f"{fresh}.py")
    assert code == 0
    assert f"new       task        {fresh}.double  (first time)" in out
    code, out, _ = command("register", f"{fresh}.py", "--output", "json")
    known = json.loads(out)
    assert {entity["state"] for entity in known["entities"]} == {"unchanged"}
    assert known["uploaded_bytes"] == 0

    code, out, _ = command("launch", f"{fresh}.wf", "n=21", "--wait")
    assert (code, out.splitlines()[-1]) == (0, "o0 = 42")
    name = out.splitlines()[0]
    code, out, _ = command("logs", name)
    assert (code, out) == (0, "doubling 21\n")
    code, out, _ = command("executions", "--output", "json")
    assert name in [view["name"] for view in json.loads(out)]
    code, out, _ = command("watch", name, "--output", "json")
    assert (code, json.loads(out)["outputs"]) == (0, {"o0": 42})
    assert command("terminate", name)[0] == 0  # it has ended: nothing happens


def test_a_failed_run_ends_with_one_and_shows_the_tasks_error(command, pipeline):
    command("register", "cli_pipeline")
    code, _, err = command("launch", "cli_pipeline.wf_fails", "--wait")
    assert code == 1
    assert "ValueError: no such n" in err


def test_an_execution_is_launched_again_whole_or_without_what_succeeded(command, pipeline):
    command("register", "cli_pipeline")
    _, out, _ = command("launch", "cli_pipeline.wf_fails", "n=4", "--wait")
    name = out.splitlines()[0]
    code, out, err = command("recover", name, "--wait")
    assert code == 1
    assert ["n0", "RECOVERED", "double"] in [line.split() for line in out.splitlines()]
    assert "ValueError: no such n" in err
    code, out, _ = command("relaunch", name, "--execution-name", "once-more", "--output", "json")
    assert (code, json.loads(out)) == (0, {"execution": "once-more"})
    code, out, _ = command("watch", "once-more")
    assert code == 1
    assert ["n0", "SUCCEEDED", "double"] in [line.split() for line in out.splitlines()]
    assert command("relaunch", "nobody")[0] == 3


def test_gates_are_answered_from_a_terminal(command, tmp_path):
    (tmp_path / "cli_gates.py").write_text(GATES)
    command("register", "cli_gates")
    _, out, _ = command("launch", "cli_gates.gated")
    name = out.splitlines()[0]
    wait_until(lambda: "depth" in command("signals", name)[1], "the run reaches its first gate")
    assert "waits for a value (signal depth)" in command("signals", name)[1]
    code, _, err = command("signal", name, "depth=deep")
    assert code == 2
    assert "depth" in err
    assert command("signal", name, "depth=3")[:2] == (0, "depth is set.\n")
    assert command("reject", name, "review")[:2] == (0, "review is rejected.\n")
    code, _, err = command("watch", name)
    assert code == 1
    assert "received a reject signal" in err
    listed = json.loads(command("signals", name, "--output", "json")[1])["signals"]
    assert [(each["name"], each["value"]) for each in listed] == [
        ("depth", "3"),
        ("review", "False"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["launch", "nothing"], 3, "no launch plan nothing"),
        (["launch", "nothing", "n"], 3, "no launch plan"),
        (["register", "nowhere"], 2, "no module nowhere"),
        (["register", "nowhere.py"], 2, "no file nowhere.py"),
        (["register", "nowhere.ipynb"], 2, "no notebook nowhere.ipynb"),
        (["watch", "nobody"], 3, "nobody"),
        (["logs", "a:b"], 2, "names no execution"),
        (["status", "--config", "/nowhere.yaml"], 2, "no such file"),
    ],
)
def test_what_a_person_does_wrong_is_told_in_a_line(command, arguments, code, said):
    got, _, err = command(*arguments)
    assert got == code
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "code", "name", "said"),
    [
        (["launch", "nothing"], 3, "NOT_FOUND", "no launch plan nothing"),
        (["register", "nowhere"], 2, "RegistrationFailed", "Nothing was registered"),
        (["logs", "a:b"], 2, "UsageError", "names no execution"),
        (["register"], 2, "UsageError", "Name a TARGET"),
        (["executions", "--limit", "x"], 2, "UsageError", "--limit"),
        (["regster", "x.yaml"], 2, "UsageError", "regster"),
    ],
)
def test_machines_get_a_document_also_when_a_command_fails(command, arguments, code, name, said):
    got, out, err = command(*arguments, "--output", "json")
    document = json.loads(out)
    assert (got, document["ok"], document["exit_code"]) == (code, False, code)
    assert document["error"]["code"] == name
    assert said in document["error"]["message"]
    assert said in err


def test_all_wrong_targets_are_told_at_once(command, pipeline, tmp_path):
    targets = ["nowhere", "cli_pipeline", "nowhere.yaml", "none.ipynb"]
    code, out, err = command("register", *targets, "--output", "json")
    document = json.loads(out)
    assert code == 2
    assert [problem["code"] for problem in document["problems"]] == ["WrongTarget"] * 3
    for name in (
        "no module nowhere",
        "spec files",
        "no file nowhere.yaml",
        "no notebook none.ipynb",
    ):
        assert name in err


def test_every_option_of_every_command_says_what_it_is_for():
    commands = [each for each in parser()._actions if each.choices]
    for name, made in commands[0].choices.items():
        silent = [each.option_strings or each.dest for each in made._actions if not each.help]
        assert silent == [], name
        assert name == "execute" or made.description


REGISTRAR = """
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.identifier_pb2 import Identifier

import flyte_nb

class Mine:
    def load(self, env):
        name = env.get("MINE_NAME", "mine.task")
        template = TaskTemplate(id=Identifier(name=name), type="container")
        template.container.image = "alpine:3"
        template.metadata.discoverable = False
        return [flyte_nb.Spec.of(TaskSpec(template=template))]
"""


@pytest.fixture
def registrar(tmp_path, monkeypatch):
    """An installed package that brings a registrar."""
    (tmp_path / "mine_registrar.py").write_text(REGISTRAR)
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flyte_nb.registrars]\nmine = mine_registrar:Mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield info
    sys.modules.pop("mine_registrar", None)


def test_registrars_of_installed_packages_are_asked(command, pipeline, registrar, monkeypatch):
    monkeypatch.setenv("MINE_NAME", "theirs.task")
    code, out, err = command("register", "cli_pipeline", "--dry-run", "--version", "v7")
    assert (code, err) == (0, "")
    assert "theirs.task" in out
    assert "cli_pipeline.wf" in out
    code, out, _ = command("register", "--dry-run")  # no target: only what they find
    assert code == 0
    assert "theirs.task" in out
    assert "cli_pipeline" not in out
    code, out, _ = command("compile")
    assert (code, "theirs.task" in out) == (0, True)


def test_a_registrar_that_fails_is_named(command, pipeline, registrar):
    (registrar / "entry_points.txt").write_text("[flyte_nb.registrars]\nmine = mine_registrar:No\n")
    code, _, err = command("register", "cli_pipeline", "--dry-run")
    assert code == 2
    assert "The registrar mine (mine_registrar:No) cannot be loaded" in err


@pytest.mark.parametrize("verb", ["register", "compile"])
def test_without_a_target_and_a_registrar_there_is_nothing_to_do(command, verb):
    code, _, err = command(verb)
    assert code == 2
    assert "Name a TARGET" in err


def test_the_help_needs_no_docstrings():
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "flyte_nb", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Compile modules, notebooks and specs here" in done.stdout


def test_a_wrong_input_names_it(command, pipeline):
    command("register", "cli_pipeline")
    code, _, err = command("launch", "cli_pipeline.wf", "n=two", "m=1")
    assert code == 2
    assert "cli_pipeline.wf.n" in err
    assert "cli_pipeline.wf.m" in err
    assert command("launch", "cli_pipeline.wf", "n")[0] == 2
    _, _, err = command("launch", "cli_pipeline.wf", "n=1", "n=2")
    assert "The input n is given twice" in err


def test_status_starts_nothing(capsys, tmp_path):
    folder = tmp_path / "unused"
    assert main(["status", "--home", str(folder)]) == 3
    assert "No local backend runs" in capsys.readouterr().out
    assert daemon.status(folder) is None


def test_up_and_down(capsys, tmp_path):
    folder = str(tmp_path / "home")
    assert main(["up", "--home", folder, "--output", "json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert "token" not in known
    assert main(["status", "--home", folder]) == 0
    assert known["endpoint"] in capsys.readouterr().out
    assert main(["down", "--home", folder]) == 0
    assert main(["down", "--home", folder]) == 0
    assert "No local backend runs" in capsys.readouterr().out


def test_version_and_help(command, capsys):
    assert command("version")[1].startswith("flyte-nb ")
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "quickstart" in capsys.readouterr().out


def test_execute_is_dispatched_before_any_command_line_library_is_loaded():
    code = (
        "import sys\n"
        "import flyte_nb.__main__\n"
        "assert 'argparse' not in sys.modules\n"
        "assert not any(name.startswith(('grpc', 'flyteidl')) for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True)


NOTEBOOK = [
    "from flyte_nb import task, workflow\n@task\ndef twice(n: int) -> int:\n    return 2 * n",
    "@workflow\ndef both(n: int) -> int:\n    return twice(n=n)",
]


def notebook(path, sources):
    nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(made, str(path))
    return path


def test_a_notebook_is_executed_and_registered_under_its_own_name(
    command, home, tmp_path, monkeypatch
):
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    notebook(tmp_path / "my pipeline.ipynb", NOTEBOOK)
    code, out, _ = command("register", "my pipeline.ipynb")
    assert code == 0
    assert "new       task        my_pipeline.twice  (first time)" in out
    assert "my_pipeline.both" in out


def test_a_notebook_whose_cell_fails_says_which_and_registers_nothing(
    command, home, tmp_path, monkeypatch
):
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    notebook(tmp_path / "wrong.ipynb", [*NOTEBOOK, "1 / 0"])
    code, out, _ = command("register", "wrong.ipynb")
    assert code == 1
    assert "ZeroDivisionError" in out
