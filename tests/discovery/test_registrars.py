import sys
import types

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2
from flyteidl.core import identifier_pb2, tasks_pb2

import flyte_nb
from flyte_nb import task, workflow
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.discovery.modules import (
    ModuleRegistrar,
    entry_point_registrars,
    module_of_file,
)
from flyte_nb.discovery.notebook import NotebookRegistrar
from flyte_nb.sdk.reachable import reachable
from flyte_nb.testing.registrar_conformance import RegistrarConformance
from flyte_nb.types.registry import default_registry

CELL = """
from flyte_nb import task, workflow, LaunchPlan

@task
def fit(n: int) -> int:
    return n

@workflow
def train(n: int) -> int:
    return fit(n=n)

nightly = LaunchPlan(train, name="nightly", fixed_inputs={"n": 3})
"""


def run(source, namespace):
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace


def notebook():
    return run(CELL, {"__name__": "__main__"})


class TestNotebookRegistrar(RegistrarConformance):
    @pytest.fixture
    def registrar(self):
        return NotebookRegistrar(notebook())


class TestModuleRegistrar(RegistrarConformance):
    @pytest.fixture
    def registrar(self, tmp_path, monkeypatch):
        package = tmp_path / "found_pipelines"
        package.mkdir()
        (package / "__init__.py").write_text("from found_pipelines.daily import train\n")
        (package / "daily.py").write_text(CELL)
        monkeypatch.syspath_prepend(str(tmp_path))
        yield ModuleRegistrar(["found_pipelines"])
        for name in list(sys.modules):
            if name.startswith("found_pipelines"):
                del sys.modules[name]


def names(entities):
    return [entity.short_name for entity in entities]


def test_a_cell_that_is_run_again_replaces_its_task():
    namespace = notebook()
    registrar = NotebookRegistrar(namespace)
    before = registrar.load({})[0]
    run(CELL, namespace)
    after = registrar.load({})[0]
    assert (before.short_name, after.short_name) == ("fit", "fit")
    assert after is namespace["fit"]
    assert before is not after


def test_an_old_object_kept_under_another_name_does_not_count():
    namespace = notebook()
    namespace["old_fit"] = namespace["fit"]
    run(CELL, namespace)
    found = [item for item in NotebookRegistrar(namespace).load({}) if item.short_name == "fit"]
    assert found == [namespace["fit"]]


def test_what_was_imported_is_not_the_notebooks_own():
    namespace = notebook()
    module = types.ModuleType("elsewhere")
    run("from flyte_nb import task\n@task\ndef imported() -> int:\n    return 1\n", vars(module))
    namespace["imported"] = module.imported
    assert "imported" not in names(NotebookRegistrar(namespace).load({}))


def test_what_ipython_keeps_of_displayed_values_does_not_count():
    namespace = {"__name__": "__main__", "_5": notebook()["fit"], "_": notebook()["train"]}
    assert NotebookRegistrar(namespace).load({}) == []


def test_a_deleted_definition_is_reported_as_missing():
    namespace = notebook()
    registrar = NotebookRegistrar(namespace)
    registrar.load({})
    del namespace["nightly"]
    missing = registrar.missing([])
    assert [(item.resource_type, item.short_name) for item in missing] == [
        ("launch_plan", "nightly")
    ]
    assert "no longer defined here" in str(missing[0])


def test_a_deleted_definition_that_is_still_used_names_its_user():
    namespace = notebook()
    registrar = NotebookRegistrar(namespace)
    everything = reachable(registrar.load({}), default_registry(), Scope())
    del namespace["fit"]
    (missing,) = registrar.missing(everything)
    assert (missing.short_name, missing.used_by) == ("fit", "train")
    assert "Run the cell of train again" in str(missing)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", r"does not import: SyntaxError: .*line 1\)$"),
        ("import nowhere_to_be_found\n", "does not import: No module named"),
        ("1 / 0\n", "ZeroDivisionError.*wrong_module.py:1"),
    ],
)
def test_a_module_that_does_not_import_says_why(tmp_path, monkeypatch, source, said):
    (tmp_path / "wrong_module.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=said):
        ModuleRegistrar(["wrong_module"]).load({})


def test_a_module_that_is_not_there_says_what_can_be_given():
    with pytest.raises(UsageError, match="dotted name"):
        ModuleRegistrar(["no_such_module_at_all"]).load({})


def test_a_file_is_imported_by_the_name_its_package_gives_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    file = package / "daily.py"
    file.touch()
    assert module_of_file(file) == "outer.inner.daily"
    assert sys.path[0] == str(tmp_path)


def test_a_file_that_cannot_be_a_module_is_refused(tmp_path):
    file = tmp_path / "my-file.py"
    file.touch()
    with pytest.raises(UsageError, match="not a module's name"):
        module_of_file(file)


def test_a_package_without_registrars_brings_none():
    assert entry_point_registrars() == []
    assert task is not None
    assert workflow is not None


def test_a_registrar_makes_specs_of_flyteidls_messages():
    task_id = identifier_pb2.Identifier(project="p", name="a.b", version="v1")
    spec = flyte_nb.Spec.of(task_pb2.TaskSpec(template=tasks_pb2.TaskTemplate(id=task_id)))
    assert spec.id == flyte_nb.Identifier("task", "p", "", "a.b", "v1")
    assert (spec.location.filename, spec.resource_type) == (__file__, "task")
    plan_id = identifier_pb2.Identifier(name="plan")
    plan = launch_plan_pb2.LaunchPlan(id=plan_id, spec=launch_plan_pb2.LaunchPlanSpec())
    assert flyte_nb.Spec.of(plan).message == plan.spec
    named = flyte_nb.Spec.of(plan.spec, id=flyte_nb.Identifier("launch_plan", "", "", "x", ""))
    assert named.short_name == "x"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (3, "int is no spec: pass flyteidl's TaskSpec"),
        (tasks_pb2.TaskTemplate(), "TaskTemplate is no spec"),
        (launch_plan_pb2.LaunchPlanSpec(), "has no name: pass id="),
        (task_pb2.TaskSpec(), "has no name"),
    ],
)
def test_what_is_no_spec_is_refused_where_it_is_made(message, said):
    with pytest.raises(UsageError, match=said):
        flyte_nb.Spec.of(message)
