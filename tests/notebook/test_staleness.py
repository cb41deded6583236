"""After cells were run again: which entities use replaced definitions, which cell to run, what is redrawn."""

import sys
import types

import pytest

from flyte_nb.api.errors import RegistrationFailed

TASK = """
from flyte_nb import task, workflow, LaunchPlan
@task
def count(n: int) -> int:
    return n
"""
TRAIN = """
@workflow
def train(n: int) -> int:
    return count(n=n)
"""


@pytest.fixture
def made(notebook):
    made = notebook(real_compiler=True, speed=0)
    made.run(TASK, cell_id="task")
    made.run(TRAIN, cell_id="train")
    return made


def redefine(made, body="n + 1"):
    made.run(TASK.replace("return n", f"return {body}"), cell_id="task")


def held(made):
    return [(each.user, each.old.short_name, each.holder) for each in made.kernel.held()]


def test_a_name_in_a_body_sees_the_new_task_by_itself(made):
    redefine(made)
    assert held(made) == []
    made.run("train", cell_id="show")
    assert "still uses" not in made.shown()


HOLDERS = {
    "alias": ("other = count", "other(n=n)", "other"),
    "list": ("steps = [count]", "steps[0](n=n)", "steps"),
    "dict": ("table = {'a': (1, [count])}", "table['a'][1][0](n=n)", "table"),
    "partial": ("import functools\np = functools.partial(count)", "p(n=n)", "p"),
    "object": ("class Box: pass\nbox = Box()\nbox.step = count", "box.step(n=n)", "box"),
    "helper": ("def helper(n, step=count):\n    return step(n=n)", "helper(n)", "helper"),
    "through": ("other = count\ndef helper(n):\n    return other(n=n)", "helper(n)", "other"),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_the_variable_that_holds_the_old_task_is_named_with_the_cell_to_run(made, name):
    source, call, holder = HOLDERS[name]
    made.run(source, cell_id="holder")
    made.run(f"@workflow\ndef uses(n: int) -> int:\n    return {call}", cell_id="uses")
    assert held(made) == []
    redefine(made)
    assert held(made) == [("uses", "count", holder)]
    made.run("uses", cell_id="show")
    assert (
        "`uses` still uses the `count` of cell [1], which cell [5] defined again: run cell [3] again."
        in _notes(made)
    )
    made.run(source, cell_id="holder")
    assert held(made) == []


def _notes(made):
    from flyte_nb.notebook.commands import registering

    return registering.notes(made.kernel)


def test_defaults_and_closures_are_held_by_the_workflow_itself(made):
    made.run(
        "def make():\n    step = count\n    @workflow\n    def closed(n: int) -> int:\n"
        "        return step(n=n)\n    return closed\nclosed = make()",
        cell_id="closed",
    )
    redefine(made)
    assert held(made) == [("closed", "count", "closed")]


def test_a_task_that_became_dynamic_is_another_one(made):
    made.run(
        "other = count\n@workflow\ndef uses(n: int) -> int:\n    return other(n=n)", cell_id="a"
    )
    made.run(
        "from flyte_nb import dynamic\n@dynamic\ndef count(n: int) -> int:\n    return n",
        cell_id="task",
    )
    assert held(made) == [("uses", "count", "other")]


def test_a_map_over_a_task_holds_it(made):
    made.run("from flyte_nb import map_task\nmapped = map_task(count)", cell_id="map")
    made.run(
        "@workflow\ndef over(ns: list[int]) -> list[int]:\n    return mapped(n=ns)\n"
        "@workflow\ndef anew(ns: list[int]) -> list[int]:\n    return map_task(count)(n=ns)",
        cell_id="over",
    )
    assert held(made) == []
    redefine(made)
    assert held(made) == [("mapped", "count", "mapped"), ("over", "count", "mapped")]


def test_a_launch_plan_and_a_sub_workflow_hold_workflows(made):
    made.run("nightly = LaunchPlan(train, name='by night')\nold = train", cell_id="plan")
    made.run("@workflow\ndef outer(n: int) -> int:\n    return old(n=n)", cell_id="outer")
    made.run(TRAIN.replace("n=n", "n=count(n=n)"), cell_id="train")
    assert held(made) == [("nightly", "train", "nightly"), ("outer", "train", "old")]
    made.run("%flyte compile", cell_id="compile")
    text = made.shown()
    assert (
        "nightly still uses the train of cell [2], which cell [5] defined again: run cell [3] again"
        in text
    )
    assert "◐ by night     launch plan  stale" in text


def test_a_module_that_was_loaded_again_is_pointed_out(made, monkeypatch):
    module = types.ModuleType("steps_module")
    monkeypatch.setitem(sys.modules, "steps_module", module)
    source = "from flyte_nb import task\n@task\ndef step(n: int) -> int:\n    return n\n"
    exec(source, module.__dict__)
    made.run("from steps_module import step", cell_id="import")
    made.run("@workflow\ndef uses(n: int) -> int:\n    return step(n=n)", cell_id="uses")
    exec(source, module.__dict__)
    assert held(made) == [("uses", "step", "step")]
    assert "from before steps_module was loaded again: run cell [3] again" in _notes(made)[0]


def test_a_name_that_means_something_else_now_is_not_stale(made):
    made.run("other = count\n@workflow\ndef uses(n: int) -> int:\n    return other(n=n)")
    made.run("count = 3")
    assert held(made) == []


def test_an_entity_that_uses_a_stale_one_is_stale_too(made):
    made.run(
        "other = count\n@workflow\ndef uses(n: int) -> int:\n    return other(n=n)", cell_id="a"
    )
    made.run("@workflow\ndef outer(n: int) -> int:\n    return uses(n=n)", cell_id="b")
    redefine(made)
    made.run("%flyte compile", cell_id="compile")
    said = {line.split()[1]: line.split()[3] for line in made.shown().splitlines()[:4]}
    assert said == {
        "churn.count": "ok", "churn.train": "ok", "churn.uses": "stale", "churn.outer": "stale"
    }  # fmt: skip


def test_a_task_with_a_replaced_class_is_stale(made):
    cell = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\n"
    made.run(cell, cell_id="class")
    made.run("@task\ndef f(p: P) -> int:\n    return p.x", cell_id="f")
    made.run(cell, cell_id="class")
    made.run("%flyte compile f", cell_id="compile")
    assert "◐ churn.f  task         stale" in made.shown()


def test_registering_a_stale_entity_names_the_cell_to_run(made):
    made.run(
        "other = count\n@workflow\ndef uses(n: int) -> int:\n    return other(n=n)", cell_id="a"
    )
    redefine(made)

    def refuse(*entities, **options):
        raise RegistrationFailed("Nothing was registered.", ())

    made.session.register = refuse
    made.fails("%flyte register", cell_id="register")
    assert "uses still uses the count of cell [1], which cell [4] defined again" in made.shown()


def test_compile_shows_each_entity_and_returns_the_report(made):
    made.run("@workflow\ndef bad(n: int) -> int:\n    return count(m=n)", cell_id="bad")
    made.run("@workflow\ndef around(n: int) -> int:\n    return bad(n=n)", cell_id="around")
    result = made.run("%flyte compile", cell_id="compile")
    text = made.shown()
    assert "✓ churn.train   workflow     ok  1 node" in text
    assert "✕ churn.bad     workflow     2 problems" in text
    assert "bad.n0.m" in made.html()
    assert "= churn.around  workflow     uses what is wrong" in text
    assert "(cell [3], line 3)" in text
    assert "churn.bad" in made.html()
    assert "<style" not in made.html()
    assert not result.ok
    assert {problem.entity for problem in result.problems} == {"churn.bad"}
    count = len(made.published)
    one = made.run("kept = %flyte compile train\nkept.ok", cell_id="one")
    assert one is True
    assert len(made.published) == count  # assigned: not shown


def test_compile_knows_wrong_names(made, notebook):
    assert "Did you mean 'train'?" in str(made.fails("%flyte compile trian"))
    assert "train.n" not in str(made.fails("%flyte compile a.b"))
    for name in ("count", "train"):
        made.shell.user_ns.pop(name)
    assert "%%task" in str(made.fails("%flyte compile"))


def test_a_display_is_drawn_again_when_a_cell_changes_it_and_only_then(made):
    made.run("train", cell_id="show")
    made.run("%flyte compile", cell_id="compile")
    shown = len(made.published)
    assert {each["update"] for each in made.published} == {False}
    made.run("x = 1", cell_id="other")
    made.run(TASK, cell_id="task")  # the same again: nothing to see
    assert len(made.published) == shown
    made.run(TRAIN.replace("n=n", "n=count(n=n)"), cell_id="train")
    again = made.published[shown:]
    assert [each["update"] for each in again] == [True, True]
    ids = [each["transient"]["display_id"] for each in made.published]
    assert ids[-2:] == ids[shown - 2 : shown]
    assert "count · n1" in again[0]["data"]["text/plain"]
    assert "drawn again after cell [7]" in again[0]["data"]["text/html"]
    assert "train  workflow     ok  2 nodes" in again[1]["data"]["text/plain"]


def test_a_display_whose_cell_is_run_again_or_whose_value_is_gone_is_left_alone(made):
    made.run("train", cell_id="show")
    made.run("1", cell_id="show")
    count = len(made.published)
    made.run(TRAIN.replace("n=n", "n=count(n=n)"), cell_id="train")
    assert len(made.published) == count
    made.run("train", cell_id="show")
    made.run("del train", cell_id="gone")
    assert len(made.published) == count + 1


def test_without_cell_ids_a_value_is_shown_as_an_ordinary_result(made):
    before = len(made.published)
    made.run("train")
    assert len(made.published) == before


def test_unloading_restores_the_display_hook(made):
    from flyte_nb.notebook.shell import extension

    assert "compute_format_data" in vars(made.shell.displayhook)
    extension.unload(made.shell)
    assert "compute_format_data" not in vars(made.shell.displayhook)
