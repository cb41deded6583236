"""What a dynamic task's body can call is found without running the body, and travels with the task."""

import sys

import pytest

from flyte_nb.api import index as index_of
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.reach import called_inside, reach
from flyte_nb.bundle.stage import planned_index, stage
from flyte_nb.sdk.reachable import reachable
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry
from flyte_nb.worker.load import loads

HEAD = "from flyte_nb import LaunchPlan, dynamic, map_task, task, workflow\nimport functools\n"
INNER = "@task(retries=2)\ndef inner(n: int) -> int:\n    return n + STEP\nSTEP = 1\n"


def cells(source):
    made = Cells()
    made.run(HEAD + INNER + source)
    return made


WAYS = {
    "a global": "@dynamic\ndef d(n: int) -> int:\n    return inner(n=n)\n",
    "a helper of a helper": (
        "def low(n): return inner(n=n)\ndef high(n): return low(n)\n"
        "@dynamic\ndef d(n: int) -> int:\n    return high(n)\n"
    ),
    "a list": "steps = [len, inner]\n@dynamic\ndef d(n: int) -> int:\n    return steps[1](n=n)\n",
    "a dict of tuples": (
        "steps = {'a': {'b': (1, inner)}}\n"
        "@dynamic\ndef d(n: int) -> int:\n    return steps['a']['b'][1](n=n)\n"
    ),
    "a closure": (
        "def make(step):\n    def d(n: int) -> int:\n        return step(n=n)\n    return d\n"
        "d = dynamic(make(inner))\n"
    ),
    "a default": "@dynamic\ndef d(n: int, step=inner) -> int:\n    return step(n=n)\n",
    "a partial": (
        "step = functools.partial(inner, n=1)\n@dynamic\ndef d(n: int) -> int:\n    return step()\n"
    ),
    "an object": (
        "class Box: pass\nbox = Box()\nbox.step = inner\n"
        "@dynamic\ndef d(n: int) -> int:\n    return box.step(n=n)\n"
    ),
    "a class's method": (
        "class Box:\n    @staticmethod\n    def go(n): return inner(n=n)\n"
        "@dynamic\ndef d(n: int) -> int:\n    return Box.go(n)\n"
    ),
    "a bound method": (
        "class Box:\n    def go(self, n): return inner(n=n)\ngo = Box().go\n"
        "@dynamic\ndef d(n: int) -> int:\n    return go(n)\n"
    ),
    "a nested function": (
        "@dynamic\ndef d(n: int) -> int:\n    def below(): return inner(n=n)\n    return below()\n"
    ),
    "a workflow": (
        "@workflow\ndef w(n: int) -> int:\n    return inner(n=n)\n"
        "@dynamic\ndef d(n: int) -> int:\n    return w(n=n)\n"
    ),
    "a launch plan": (
        "@workflow\ndef w(n: int) -> int:\n    return inner(n=n)\nplan = LaunchPlan(w, name='p')\n"
        "@dynamic\ndef d(n: int) -> int:\n    return plan(n=n)\n"
    ),
    "a map": ("@dynamic\ndef d(ns: list[int]) -> list[int]:\n    return map_task(inner)(n=ns)\n"),
    "a map of a partial that was made before": (
        "many = map_task(functools.partial(inner, n=1))\n"
        "@dynamic\ndef d(n: int) -> int:\n    return len([many, n])\n"
    ),
    "a hint": (
        "@workflow\ndef w(n: int) -> int:\n    return inner(n=n)\n"
        "@dynamic(node_dependency_hints=[w])\ndef d(n: int) -> int:\n    return n\n"
    ),
    "another dynamic task": (
        "@dynamic\ndef other(n: int) -> int:\n    return inner(n=n)\n"
        "@dynamic\ndef d(n: int) -> int:\n    return other(n=n)\n"
    ),
    "a decorator": (
        "def before(function):\n    @functools.wraps(function)\n    def wrapped(*args, **kwargs):\n"
        "        inner(n=1)\n        return function(*args, **kwargs)\n    return wrapped\n"
        "@dynamic\n@before\ndef d(n: int) -> int:\n    return n\n"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_task_is_found_wherever_the_body_has_it_from(way):
    made = cells(WAYS[way])
    assert made["inner"] in reach(made["d"])
    assert "nb.inner" in {
        inner.name for inner in pack(made["d"], scope=Scope(main_module="nb")).inner
    }


def test_a_module_gives_only_what_the_body_names(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "unit_steps.py").write_text(
        HEAD + "@task\ndef used(n: int) -> int:\n    return n\n"
        "@task\ndef spare(n: int) -> int:\n    return n\n"
    )
    made = cells(
        "import unit_steps\n@dynamic\ndef d(n: int) -> int:\n    return unit_steps.used(n=n)\n"
    )
    assert [found.short_name for found in reach(made["d"])] == ["used"]
    del sys.modules["unit_steps"]


def test_a_plain_task_that_calls_another_one_takes_its_function_along_only():
    made = cells("@task\ndef d(n: int) -> int:\n    return inner(n=n)\n")
    assert pack(made["d"], scope=Scope()).inner == ()


def test_recursion_ends():
    made = cells(
        "box = []\nbox.append(box)\n"
        "@dynamic\ndef d(n: int) -> int:\n    return d(n=n - 1) if n and box else inner(n=n)\n"
    )
    assert [found.short_name for found in reach(made["d"])] == ["inner"]


def test_the_index_has_the_inner_tasks_and_each_can_be_loaded(tmp_path):
    made = cells(
        "import numpy as np\nrows = np.arange(100_000.0)\n"
        "@task\ndef total(n: int) -> float:\n    return rows.sum() + n\n"
        "@dynamic\ndef d(n: int) -> float:\n    return total(n=inner(n=n)) + len(rows)\n"
    )
    packed = pack(made["d"], scope=Scope(main_module="nb"))
    store, root = open_stores(), f"file://{tmp_path}"
    [staged] = stage([packed], DirectoryStaging(root, store))
    assert staged.index_uri == planned_index(packed, root)
    index = index_of.loads(store.read(staged.index_uri))
    assert index_of.dumps(index) == store.read(staged.index_uri)
    assert set(index.tasks) == {"nb.d", "nb.inner", "nb.total"}
    assert index.tasks["nb.d"].fingerprint == ""
    assert index.tasks["nb.total"].fingerprint == pack(made["total"], scope=Scope()).fingerprint
    [buffer] = [entry for entry in index.entries if entry.kind == "buffer"]
    assert index.tasks["nb.total"].buffers == (buffer.name,) == index.tasks["nb.d"].buffers
    inner = index.tasks["nb.inner"]
    assert loads(store.read(index.entry(inner.payload).uri)).function(1) == 2


def test_the_options_of_what_it_calls_travel_and_count():
    source = "@dynamic\ndef d(n: int) -> int:\n    return inner(n=n)\n"
    made = cells(source)
    packed = pack(made["d"], scope=Scope())
    loaded = loads(packed.payload).function.__globals__["inner"]
    assert loaded.options == made["inner"].options
    made.run(INNER.replace("retries=2", "retries=3"))
    other = pack(made["d"], scope=Scope())
    assert {key for key in packed.parts if packed.parts[key] != other.parts.get(key)} == {
        "options of inner()"
    }


def test_a_registration_has_what_a_body_calls_even_what_it_is_a_part_of():
    made = cells(
        "@dynamic\ndef d(n: int) -> int:\n    return outer(n=n) if n else inner(n=n)\n"
        "@workflow\ndef middle(n: int) -> int:\n    return d(n=n)\n"
        "@workflow\ndef outer(n: int) -> int:\n    return middle(n=n)\n"
    )
    found = reachable([made["middle"]], default_registry(), Scope(), inside=called_inside)
    assert [entity.short_name for entity in found] == ["d", "inner", "middle", "outer"]


def test_what_the_body_of_a_workflow_makes_is_found_by_tracing_it():
    made = cells(
        "@workflow\ndef target(n: int) -> int:\n    return inner(n=n)\n"
        "@workflow\ndef middle(n: int) -> int:\n    return LaunchPlan(target, name='p')(n=n)\n"
        "@workflow\ndef outer(n: int) -> int:\n    return middle(n=n)\n"
        "@dynamic\ndef d(n: int) -> int:\n    return outer(n=n)\n"
    )
    registry, scope = default_registry(), Scope(main_module="nb")
    found = called_inside(made["d"], lambda workflow: workflow.trace(registry, scope).entities)
    assert [one.short_name for one in found if one.resource_type == "launch_plan"] == ["p"]
    packed = pack(made["d"], scope=scope, registry=registry)
    assert [task.name for task in packed.inner] == ["nb.inner"]
