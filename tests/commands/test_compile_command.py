"""`flyte-nb compile`, and `register` of spec files: exit codes, lines for editors, JSON, files."""

import json
import sys

import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from google.protobuf import json_format

from flyte_nb.__main__ import main
from flyte_nb.admin import daemon

SPECS = """\
kind: Task
id: {name: shop.greet}
type: raw-container
interface:
  inputs: {variables: {who: {type: {simple: STRING}}}}
container:
  image: debian:12
  command: [sh, -c]
  args: ["echo hello {{.inputs.who}}"]
---
kind: Task
id: {name: shop.bye}
type: raw-container
container: {image: "debian:12", command: [echo, bye]}
---
kind: Workflow
id: {name: shop.both}
interface:
  inputs: {variables: {who: {type: {simple: STRING}}}}
nodes:
  - id: n0
    inputs: [{var: who, binding: {promise: {var: who}}}]
    task_node: {reference_id: {name: shop.greet}}
  - id: n1
    upstream_node_ids: [n0]
    task_node: {reference_id: {name: shop.bye}}
---
kind: LaunchPlan
id: {name: shop.both}
workflow_id: {name: shop.both}
"""

MODULE = """
from flyte_nb import task, workflow

@task
def double(n: int) -> int:
    return 2 * n

@workflow
def good(n: int = 2) -> int:
    return double(n=n)

@workflow
def bad(n: int = 2) -> int:
    return double(n="two")

@workflow
def around(n: int = 2) -> int:
    return bad(n=n)
"""


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "pipeline.yaml").write_text(SPECS)

    def run(*arguments):
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def module(tmp_path):
    (tmp_path / "compiled_pipeline.py").write_text(MODULE)
    yield "compiled_pipeline.py"
    sys.modules.pop("compiled_pipeline", None)


def test_what_compiles_ends_with_zero_and_starts_no_backend(command, tmp_path):
    code, out, err = command("compile", "pipeline.yaml", "--home", str(tmp_path / "home"))
    assert (code, err) == (0, "")
    assert "ok        workflow    shop.both  2 nodes" in out
    assert "4 of 4 compiled, no problems" in out
    assert daemon.status(tmp_path / "home") is None


def test_problems_end_with_one_a_line_each_as_editors_read_them(command, module):
    (code, out, _) = command("compile", module, "pipeline.yaml")
    assert code == 1
    lines = out.splitlines()
    assert "problems  workflow    compiled_pipeline.bad  1 node" in lines
    assert "blocked   workflow    compiled_pipeline.around  what it uses does not compile" in lines
    (told,) = [line for line in lines if line.endswith("]")]
    place, line, rest = told.split(":", 2)
    assert (place.endswith("compiled_pipeline.py"), line) == (True, "14")
    assert rest.startswith(" compiled_pipeline.bad.n0.n: ")


def test_json_has_every_problem_and_the_same_exit_code(command, module, tmp_path):
    code, out, _ = command("compile", module, "--output", "json")
    document = json.loads(out)
    assert (code, document["ok"], document["format"]) == (1, False, 1)
    assert document["counts"] == {"entities": 4, "ok": 2, "problems": 1}
    assert document["problems"][0]["node_id"] == "n0"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.yaml"], "no file nowhere.yaml"),
        (["nowhere.py"], "no file nowhere.py"),
        (["nowhere"], "no module nowhere"),
        (["*.pb"], "No file fits *.pb"),
        (["empty"], "has no spec files"),
    ],
)
def test_a_target_that_is_nothing_ends_with_two(command, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    code, _, err = command("compile", *arguments)
    assert code == 2
    assert said in err


def test_a_wrong_target_hides_no_problem_of_the_others(command, module):
    code, out, _ = command("compile", "nowhere", module, "nowhere.pb", "--output", "json")
    document = json.loads(out)
    assert code == 2
    assert document["counts"] == {"entities": 4, "ok": 2, "problems": 3}
    assert sorted(one["code"] for one in document["problems"])[1:] == ["WrongTarget"] * 2
    code, out, err = command("compile", "nowhere", module, "nowhere.pb")
    assert code == 2
    assert "2 of 4 compiled, 3 problems" in out
    assert len(err.splitlines()) == 2


def test_files_that_are_no_specs_end_with_one(command, tmp_path):
    (tmp_path / "odd.yaml").write_text("a: 1\n")
    code, out, _ = command("compile", "odd.yaml", "pipeline.yaml")
    assert code == 1
    assert out.splitlines()[-2].startswith("odd.yaml:1: It is no Flyte spec")
    code, _, err = command("register", "odd.yaml", "pipeline.yaml")
    assert code == 1
    assert "Nothing was registered" in err


def test_what_refers_to_an_unreadable_spec_is_not_told_that_it_is_missing(command, tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(SPECS.replace("{promise:", "{promis:"))
    status, out, _ = command("compile", str(path), "--output", "json")
    assert status == 1
    document = json.loads(out)
    assert [problem["code"] for problem in document["problems"]] == ["UnknownField"]
    states = {(one["resource_type"], one["name"]): one["state"] for one in document["entities"]}
    assert states["launch_plan", "shop.both"] == "blocked"


def test_a_workflow_whose_task_cannot_be_read_is_not_told_that_it_is_missing(command, tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(SPECS.replace("command: [echo, bye]", "comand: [echo, bye]"))
    status, out, _ = command("compile", str(path), "--output", "json")
    assert status == 1
    assert [problem["code"] for problem in json.loads(out)["problems"]] == ["UnknownField"]


def test_closures_are_written_whole_and_only_when_all_is_well(command, module, tmp_path):
    assert command("compile", module, "pipeline.yaml", "-o", "made")[0] == 1
    assert not (tmp_path / "made").exists()
    assert command("compile", "pipeline.yaml", "-o", "made")[0] == 0
    data = (tmp_path / "made" / "shop.both.pb").read_bytes()
    closure = CompiledWorkflowClosure.FromString(data)
    text = (tmp_path / "made" / "shop.both.json").read_text()
    assert json_format.Parse(text, CompiledWorkflowClosure()) == closure
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "shop.both.json",
        "shop.both.pb",
    ]
    assert command("compile", "made")[0] == 0  # what was compiled compiles to the same
    command("compile", "made", "-o", "again")
    assert (tmp_path / "again" / "shop.both.pb").read_bytes() == data


def test_graphs_are_drawn_of_what_compiles(command, module, tmp_path):
    assert command("compile", "pipeline.yaml", "--graph", "shop.svg")[0] == 0
    assert "<svg" in (tmp_path / "shop.svg").read_text()
    code, out, _ = command("compile", module, "pipeline.yaml", "--graph", "all.mmd")
    assert code == 1  # one of them has problems
    assert "written   all.compiled_pipeline.good.mmd" in out
    assert (tmp_path / "all.shop.both.mmd").is_file()
    assert command("compile", "pipeline.yaml", "--graph", "shop.txtx")[0] == 2


def test_a_notebooks_problems_are_told_by_cell(command, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(source) for source in ("x = 1", MODULE.strip())]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), str(tmp_path / "train.ipynb"))
    code, out, _ = command("compile", "train.ipynb")
    assert code == 1
    assert "train.ipynb:cell [2]:13: train.bad.n0.n: " in out
    cells.append(nbformat.v4.new_code_cell("1 / 0"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), str(tmp_path / "train.ipynb"))
    code, out, _ = command("compile", "train.ipynb", "--output", "json")
    assert code == 1
    assert "ZeroDivisionError" in json.loads(out)["problems"][0]["message"]


def test_a_pipeline_of_shell_commands_runs_without_an_sdk(command, tmp_path):
    home = ("--home", str(tmp_path / "home"))
    try:
        code, out, _ = command("register", "pipeline.yaml", *home)
        assert (code, out.count("new ")) == (0, 4)
        code, out, _ = command("register", "pipeline.yaml", "--output", "json", *home)
        known = json.loads(out)
        assert {entity["state"] for entity in known["entities"]} == {"unchanged"}
        assert known["rpcs"] <= 3 + 1  # and a call of the local backend's own
        code, out, _ = command("launch", "shop.both", "who=Ada", "--wait", *home)
        assert code == 0
        code, logs, _ = command("logs", out.splitlines()[0], *home)
        assert "hello Ada" in logs
        assert "bye" in logs
        _check_versions(command, tmp_path, home)
        _check_remote_references(command, tmp_path, home)
    finally:
        daemon.stop(tmp_path / "home")


def _check_versions(command, tmp_path, home):
    for _ in range(2):
        assert command("register", "pipeline.yaml", "--version", "v1", *home)[0] == 0
    (tmp_path / "other.yaml").write_text(SPECS.replace("hello", "good day"))
    code, out, err = command("register", "other.yaml", "--version", "v1", *home)
    assert code == 1
    assert "Version v1 is registered already, with other content." in err
    code, out, _ = command("register", "other.yaml", *home)
    assert "changed   task        shop.greet  (container changed)" in out


def _check_remote_references(command, tmp_path, home):
    alone = SPECS.split("---\n")[2]
    (tmp_path / "alone.yaml").write_text(alone)
    code, out, _ = command("compile", "alone.yaml", *home)
    assert code == 1
    assert "--remote" in out
    assert command("compile", "alone.yaml", "--remote", *home)[0] == 0
    assert command("register", "alone.yaml", *home)[0] == 0


@pytest.mark.parametrize(
    "content",
    ["not json", "3", "{}", '{"cells": 3}', '{"nbformat": 4, "cells": [{"x": 1}]}'],
)
def test_what_is_no_notebook_is_told_in_a_line(content, tmp_path, capsys):
    path = tmp_path / "odd.ipynb"
    path.write_text(content)
    assert main(["compile", str(path)]) == 2
    said = capsys.readouterr().err
    assert "odd.ipynb is not a notebook: " in said
    assert "Traceback" not in said


def test_what_refers_to_a_document_of_no_kind_is_not_told_that_it_is_missing(command, tmp_path):
    text = (tmp_path / "pipeline.yaml").read_text().replace("kind: Workflow", "kind: Worklow")
    (tmp_path / "typo.yaml").write_text(text)
    code, out, _ = command("compile", "typo.yaml", "--output", "json")
    assert code == 1
    assert {one["code"] for one in json.loads(out)["problems"]} == {"UnreadableSpec"}
