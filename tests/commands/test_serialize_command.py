"""`flyte-nb serialize`: files that can be compiled and registered elsewhere, equal for equal code."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from flyteidl.admin.launch_plan_pb2 import LaunchPlan
from flyteidl.admin.task_pb2 import TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec

from flyte_nb.__main__ import main
from flyte_nb.admin import daemon

MODULE = """
from flyte_nb import LaunchPlan, task, workflow

@task
def double(n: int) -> int:
    return 2 * n

@workflow
def inner(n: int) -> int:
    return double(n=n)

@workflow
def outer(n: int = 2) -> int:
    return double(n=inner(n=n))

nightly = LaunchPlan(outer, name="nightly", fixed_inputs={"n": 4})
"""


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "serialized_pipeline.py").write_text(MODULE)

    def run(*arguments):
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    sys.modules.pop("serialized_pipeline", None)


def test_files_are_numbered_as_flytectl_reads_them_and_name_no_project(command, tmp_path):
    code, out, _ = command("serialize", "serialized_pipeline.py", "-o", "made")
    assert code == 0
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == [
        "0_serialized_pipeline.double_1.pb",
        "1_serialized_pipeline.inner_2.pb",
        "2_serialized_pipeline.inner_3.pb",
        "3_serialized_pipeline.outer_2.pb",
        "4_serialized_pipeline.outer_3.pb",
        "5_nightly_3.pb",
    ]
    task, _, _, outer, _, plan = ((tmp_path / "made" / name).read_bytes() for name in names)
    task, outer = TaskSpec.FromString(task), WorkflowSpec.FromString(outer)
    plan = LaunchPlan.FromString(plan)
    ids = [task.template.id, outer.template.id, outer.sub_workflows[0].id, plan.id]
    ids += [plan.spec.workflow_id, outer.template.nodes[0].workflow_node.sub_workflow_ref]
    assert {(id.project, id.domain, bool(id.version)) for id in ids} == {("", "", True)}
    index = task.template.container.args[-1]
    assert index.startswith((tmp_path / "made.staged").as_uri())
    assert "6 specs in made" in out


def test_every_launch_plan_has_the_closure_that_flytectl_reads(command, tmp_path):
    assert command("serialize", "serialized_pipeline.py", "-o", "made")[0] == 0
    plans = {
        path.name[2:-5]: LaunchPlan.FromString(path.read_bytes())
        for path in (tmp_path / "made").glob("*_3.pb")
    }
    assert all(plan.HasField("closure") for plan in plans.values())
    inner = plans["serialized_pipeline.inner"].closure
    outer = plans["serialized_pipeline.outer"].closure
    nightly = plans["nightly"].closure
    assert inner.expected_inputs.parameters["n"].required
    assert outer.expected_inputs.parameters["n"].default.scalar.primitive.integer == 2
    assert dict(nightly.expected_inputs.parameters) == {}  # fixed
    for closure in (inner, outer, nightly):
        assert closure.HasField("expected_inputs")
        assert closure.expected_outputs.variables["o0"].type.simple == 1


def test_equal_code_gives_equal_files_and_a_given_version_is_everywhere(command, tmp_path):
    for name in ("one.tgz", "two.tgz"):
        staging = (tmp_path / "staged").as_uri()
        arguments = ["serialized_pipeline.py", "-o", name, "--staging", staging, "-p", "shop"]
        assert command("serialize", *arguments, "--version", "v9")[0] == 0
    assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "two.tgz").read_bytes()
    with tarfile.open(tmp_path / "one.tgz") as package:
        outer = WorkflowSpec.FromString(
            package.extractfile("3_serialized_pipeline.outer_2.pb").read()
        )
    nodes = outer.template.nodes
    ids = [nodes[0].workflow_node.sub_workflow_ref, nodes[1].task_node.reference_id]
    ids += [outer.template.id, outer.sub_workflows[0].id]
    assert {(id.project, id.version) for id in ids} == {("shop", "v9")}


def test_what_was_serialized_is_compiled_registered_and_launched(command, tmp_path):
    home = ("--home", str(tmp_path / "home"))
    assert command("serialize", "serialized_pipeline.py", "-o", "made.tgz")[0] == 0
    code, out, _ = command("compile", "made.tgz")
    assert (code, out.count("ok  ")) == (0, 6)
    try:
        code, out, _ = command("register", "made.tgz", *home)
        assert (code, out.count("new ")) == (0, 6)
        code, out, _ = command("register", "made.tgz", *home)
        assert (code, out.count("unchanged ")) == (0, 6)
        code, out, _ = command("launch", "nightly", "--wait", *home)
        assert (code, out.splitlines()[-1]) == (0, "o0 = 16")
        code, out, _ = command("register", "serialized_pipeline.py", *home)
        assert (code, out.count("unchanged ")) == (0, 6)  # the same content has the same version
    finally:
        daemon.stop(tmp_path / "home")


def test_problems_are_told_and_nothing_is_written(command, tmp_path):
    (tmp_path / "serialized_pipeline.py").write_text(MODULE.replace("double(n=n)", "double(m=n)"))
    code, _, err = command("serialize", "serialized_pipeline.py", "-o", "made")
    assert code == 1
    assert "serialized_pipeline.inner.n0" in err
    (tmp_path / "odd.yaml").write_text("a: 1\n")
    assert command("serialize", "odd.yaml", "-o", "made")[0] == 1
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "made.staged").exists()


def test_a_folder_with_other_specs_is_left_alone(command, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "9_old_1.pb").write_bytes(b"")
    code, _, err = command("serialize", "serialized_pipeline.py", "-o", "made")
    assert code == 2
    assert "9_old_1.pb" in err


def test_a_notebook_is_serialized_by_its_name(command, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(MODULE.strip())]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), str(tmp_path / "train.ipynb"))
    code, out, _ = command("serialize", "train.ipynb", "-o", "made")
    assert code == 0
    assert "0_train.double_1.pb" in out
    assert command("compile", "made")[0] == 0
    code, _, err = command("serialize", "train.ipynb", "serialized_pipeline.py", "-o", "made")
    assert code == 2
    assert "alone" in err


FLYTEKIT = """
import typing
from flytekit import LaunchPlan, conditional, map_task, task, workflow

@task
def double(n: int) -> int:
    return 2 * n

@workflow
def inner(n: int) -> int:
    return double(n=n)

@workflow
def outer(n: int = 2) -> int:
    a = double(n=inner(n=n))
    return conditional("c").if_(a > 3).then(double(n=a)).else_().then(double(n=n))

@workflow
def mapped(xs: typing.List[int]) -> typing.List[int]:
    return map_task(double)(n=xs)

nightly = LaunchPlan.get_or_create(outer, name="nightly", fixed_inputs={"n": 4})

@workflow
def uses_a_plan() -> int:
    return nightly()
"""


@pytest.mark.slow
def test_packages_of_flytekit_compile(command, tmp_path):
    pytest.importorskip("flytekit", reason="the other SDK is not installed here")
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "pipeline.py").write_text(FLYTEKIT)
    for name, options in (("plain.tgz", ()), ("fast.tgz", ("--fast",))):
        line = ["--pkgs", "theirs", "package", "--image", "img:1", "-f", "-o", name, *options]
        pyflyte = Path(sys.executable).with_name("pyflyte")
        subprocess.run([pyflyte, *line], check=True, capture_output=True)
    code, out, _ = command("compile", "plain.tgz")
    assert (code, "11 of 11 compiled, no problems" in out) == (0, True)
    code, out, _ = command("compile", "fast.tgz")
    assert code == 1
    assert "[NeedsSource]" in out
