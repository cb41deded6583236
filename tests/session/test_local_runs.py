"""`wf(n=3)` in a kernel: traced at every call, compiled only when something changed."""

import itertools
import linecache

import pytest

from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.sdk import context
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import default_registry

_CELLS = itertools.count(1)

PIPELINE = """
from typing import NamedTuple
from flyte_nb import task, workflow, LaunchPlan

class Pair(NamedTuple):
    low: int
    high: int

@task
def spread(n: int, by: int = 1) -> Pair:
    return Pair(n - by, n + by)

@task
def add(a: int, b: int) -> int:
    return a + b

@workflow
def inner(n: int) -> int:
    pair = spread(n=n)
    return add(a=pair.low, b=pair.high)

@workflow
def outer(n: int = 3) -> int:
    return add(a=inner(n=n), b=n)

nightly = LaunchPlan(outer, name="nightly", fixed_inputs={"n": 10})
"""


def run_cell(source, namespace):
    filename = f"<local cell {next(_CELLS)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)
    return namespace


@pytest.fixture
def notebook():
    return run_cell(PIPELINE, {"__name__": "__main__"})


@pytest.fixture
def runner():
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    made = LocalRunner(default_registry(), lambda: Scope(main_module="nb"), data)
    token = context.runner.set(made)
    yield made
    context.runner.reset(token)
    data.close()


def test_a_workflow_with_a_workflow_inside_runs_by_the_engine(notebook, runner):
    assert notebook["outer"](n=5) == 15
    assert notebook["outer"]() == 9


def test_a_launch_plan_runs_with_what_it_fixes(notebook, runner):
    assert notebook["nightly"]() == 30


def test_a_task_alone_gives_what_its_function_would(notebook, runner):
    pair = notebook["spread"](4, by=2)
    assert (pair.low, pair.high) == (2, 6)
    assert isinstance(pair, notebook["Pair"])


def test_a_task_alone_raises_its_own_exception(notebook, runner):
    run_cell("@task\ndef broken(n: int) -> int:\n    raise KeyError(n)\n", notebook)
    with pytest.raises(KeyError):
        notebook["broken"](1)


def test_a_failed_task_of_a_workflow_names_the_node_and_its_lines(notebook, runner):
    run_cell(
        "@task\ndef broken(n: int) -> int:\n    raise KeyError(n)\n"
        "@workflow\ndef uses(n: int) -> int:\n    return broken(n=n)\n",
        notebook,
    )
    with pytest.raises(KeyError) as caught:
        notebook["uses"](n=1)
    assert caught.value.__notes__ == ["Raised by the task nb.broken at node n0 of nb.uses."]
    assert "raise KeyError" in str(caught.traceback[-1].statement)


def test_a_redefined_task_is_used_at_the_next_call(notebook, runner):
    assert notebook["outer"](n=1) == 3
    run_cell("@task\ndef add(a: int, b: int) -> int:\n    return 100\n", notebook)
    assert notebook["outer"](n=1) == 100


def test_nothing_is_compiled_anew_while_nothing_was_redefined(notebook, runner):
    notebook["outer"](n=1)
    known = runner._plans.of_workflow(notebook["outer"])
    notebook["outer"](n=2)
    assert runner._plans.of_workflow(notebook["outer"]).plan is known.plan


def test_wrong_inputs_and_wrong_definitions_are_reported_at_once(notebook, runner):
    with pytest.raises(CompileFailed, match="Expected int"):
        notebook["outer"](n="three")
    run_cell("@workflow\ndef wrong() -> int:\n    return add(a='x', c=1)\n", notebook)
    with pytest.raises(CompileFailed) as caught:
        notebook["wrong"]()
    assert {problem.variable for problem in caught.value.problems} >= {"a", "c"}


def test_frames_cross_between_tasks_and_as_constants(notebook, runner):
    pd = pytest.importorskip("pandas", reason="frames need pandas")
    run_cell(
        "import pandas as pd\n"
        "FRAME = pd.DataFrame({'a': [1, 2]})\n"
        "@task\ndef double(rows: pd.DataFrame) -> pd.DataFrame:\n    return rows * 2\n"
        "@workflow\ndef constant() -> pd.DataFrame:\n    return double(rows=FRAME)\n",
        notebook,
    )
    assert list(notebook["constant"]()["a"]) == [2, 4]
    assert isinstance(notebook["double"](pd.DataFrame({"a": [5]})), pd.DataFrame)


def test_a_changed_constant_or_list_of_the_notebook_is_used_at_the_next_call(notebook, runner):
    run_cell(
        "STEP = 1\nPARTS = [1]\n"
        "@workflow\ndef constant(n: int) -> int:\n    return add(a=n, b=STEP)\n"
        "@workflow\ndef listed(n: int) -> int:\n    return add(a=n, b=len(PARTS))\n",
        notebook,
    )
    assert (notebook["constant"](n=1), notebook["listed"](n=1)) == (2, 2)
    run_cell("STEP = 5\nPARTS.append(2)\n", notebook)
    assert (notebook["constant"](n=1), notebook["listed"](n=1)) == (6, 3)


def test_a_changed_inner_workflow_and_a_new_default_count_at_the_next_call(notebook, runner):
    assert notebook["outer"](n=1) == 3
    run_cell("@workflow\ndef inner(n: int) -> int:\n    return add(a=n, b=40)\n", notebook)
    assert notebook["outer"](n=1) == 42
    notebook["outer"].function.__defaults__ = (2,)
    assert notebook["outer"]() == 44


STARTING = """
from flyte_nb import current_context

@task
def fail(n: int) -> int:
    raise ValueError(f"{n} is odd")

@task
def where(n: int) -> str:
    return current_context().execution_id.name

@workflow
def placed(n: int, by: int = 2) -> str:
    return where(n=add(a=n, b=by))

@workflow
def broken(n: int) -> int:
    return fail(n=n)

tripled = LaunchPlan(placed, name="tripled", default_inputs={"by": 3})
fixed = LaunchPlan(inner, name="fixed", fixed_inputs={"n": 10})
bad = LaunchPlan(broken, name="bad")

@workflow
def starts(n: int) -> tuple[int, str]:
    return fixed(), tripled(n=n)

@workflow
def fails(n: int) -> int:
    return add(a=bad(n=n), b=1)

@workflow
def forever(n: int) -> int:
    return again(n=add(a=n, b=1))

again = LaunchPlan(forever, name="again")
"""


def test_a_launch_plan_in_a_workflow_runs_here_with_its_defaults_and_fixed_inputs(notebook, runner):
    run_cell(STARTING, notebook)
    assert runner.run(notebook["starts"], {"n": 1}) == (20, "local-n1-0")


def test_the_exception_of_a_task_in_a_started_run_leaves_the_call(notebook, runner):
    run_cell(STARTING, notebook)
    with pytest.raises(ValueError, match="3 is odd") as caught:
        runner.run(notebook["fails"], {"n": 3})
    assert "at node n0 of" in caught.value.__notes__[0]


def test_a_workflow_that_starts_itself_is_refused(notebook, runner):
    run_cell(STARTING, notebook)
    with pytest.raises(CompileFailed, match="in a circle: forever → again → forever"):
        runner.run(notebook["forever"], {"n": 3})


STAGED = """
from flyte_nb import current_context

ran = []

@task
def load(n: int) -> int:
    ran.append("load")
    return n

@task
def shape(n: int) -> int:
    ran.append("shape")
    return n + 1

@workflow
def prepare(n: int) -> int:
    return shape(n=load(n=n))
"""
FITTING = """
@task
def fit(n: int) -> int:
    ran.append("fit")
    checkpoint = current_context().checkpoint
    found = checkpoint.read()
    if found is not None:
        ran.append(found.decode())
    checkpoint.write(b"half way")
    raise ValueError("no luck")
"""
PUT_RIGHT = FITTING.replace('raise ValueError("no luck")', "return 10 * n")
PIPED = """
@workflow
def piped(n: int) -> int:
    return fit(n=prepare(n=n))
"""


@pytest.fixture
def failed(notebook, runner):
    """A notebook whose workflow `piped` was called and failed at its last task."""
    for cell in (STAGED, FITTING, PIPED):
        run_cell(cell, notebook)
    with pytest.raises(ValueError, match="no luck"):
        runner.run(notebook["piped"], {"n": 3})
    assert notebook["ran"] == ["load", "shape", "fit"]
    notebook["ran"].clear()
    return notebook


def test_a_call_that_failed_is_recovered_after_its_cell_was_put_right(failed, runner):
    assert runner.last.nodes["n1"].phase == "FAILED"
    run_cell(PUT_RIGHT, failed)
    assert runner.last.recover() == 40
    assert failed["ran"] == ["fit", "half way"]
    assert runner.last.phase == "SUCCEEDED"
    assert runner.last.nodes["n0"].phase == "RECOVERED"
    with pytest.raises(UsageError, match="There is nothing to recover"):
        runner.last.recover()


def test_a_call_that_failed_can_be_made_again_whole(failed, runner):
    run_cell(PUT_RIGHT, failed)
    assert runner.last.relaunch() == 40
    assert failed["ran"] == ["load", "shape", "fit"]


def test_what_follows_a_task_that_changed_runs_again_too(failed, runner):
    run_cell(PUT_RIGHT, failed)
    run_cell(STAGED.replace("return n + 1", "return n + 2").replace("ran = []", ""), failed)
    assert runner.last.recover() == 50
    assert failed["ran"] == ["shape", "fit", "half way"]


def test_a_cell_that_was_run_again_without_a_change_changes_nothing(failed, runner):
    run_cell(PUT_RIGHT, failed)
    run_cell(STAGED.replace("ran = []", ""), failed)
    assert runner.last.recover() == 40
    assert failed["ran"] == ["fit", "half way"]


def test_a_workflow_with_other_nodes_is_not_recovered(failed, runner):
    run_cell(PIPED.replace("fit(n=prepare(n=n))", "fit(n=load(n=prepare(n=n)))"), failed)
    with pytest.raises(UsageError, match="has other nodes than when it failed"):
        runner.last.recover()


def test_only_the_last_call_can_be_recovered(failed, runner):
    former = runner.last
    runner.run(failed["prepare"], {"n": 1})
    with pytest.raises(UsageError, match="Another call came after"):
        former.recover()


def test_a_run_that_a_node_started_is_recovered_too(notebook, runner):
    for cell in (STAGED, FITTING, PIPED):
        run_cell(cell, notebook)
    run_cell(
        "plan = LaunchPlan(piped, name='plan')\n\n"
        "@workflow\ndef above(n: int) -> int:\n    return add(a=plan(n=n), b=1)\n",
        notebook,
    )
    with pytest.raises(ValueError, match="no luck"):
        runner.run(notebook["above"], {"n": 3})
    notebook["ran"].clear()
    run_cell(PUT_RIGHT, notebook)
    assert runner.last.recover() == 41
    assert notebook["ran"] == ["fit", "half way"]
