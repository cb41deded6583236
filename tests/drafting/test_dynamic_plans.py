"""Dynamic tasks that start launch plans: both have versions of all they reach, also in a circle."""

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.members import Contents
from flyte_nb.bundle.pack import Packer
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry

CIRCLE = (
    "from flyte_nb import LaunchPlan, dynamic, task, workflow\n"
    "@task\ndef step(n: int) -> int:\n    return n - 1\n"
    "@dynamic\ndef down(n: int) -> int:\n"
    "    if n <= 0:\n        return 0\n    return again(n=step(n=n))\n"
    "@workflow\ndef wf(n: int) -> int:\n    return down(n=n)\n"
    "again = LaunchPlan.get_or_create(wf, 'again')\n"
)


def drafts(source):
    cells = Cells()
    cells.run(source)
    scope, registry = Scope("p", "d", "nb"), default_registry(warn_pickled=False)
    packer = Packer(scope=scope, registry=registry)
    made = Drafter(scope, registry, image="i", pack=packer.pack).draft([cells["wf"]])
    assert all(draft.is_whole for draft in made)
    return {draft.key: draft for draft in made}


def test_the_index_pins_the_launch_plan_that_is_registered_though_it_runs_the_task_itself():
    made = drafts(CIRCLE)
    packed = made["task", "nb.down"].packed
    contents = Contents(packed)
    index = contents.index({member.sha256: "u" for member in contents})
    assert index.launch_plans == (made["launch_plan", "again"].id,)
    [node] = made["workflow", "nb.wf"].spec.nodes
    assert node.target.reference == made["task", "nb.down"].id


def test_equal_definitions_have_equal_versions():
    first, second = drafts(CIRCLE), drafts(CIRCLE)
    assert [draft.id for draft in first.values()] == [draft.id for draft in second.values()]


@pytest.mark.parametrize(
    "change", [("n - 1", "n - 2"), ("'again')", "'again', default_inputs={'n': 3})")]
)
def test_what_changes_behind_a_launch_plan_changes_who_starts_it(change):
    before, after = drafts(CIRCLE), drafts(CIRCLE.replace(*change))
    for key in (("task", "nb.down"), ("workflow", "nb.wf"), ("launch_plan", "again")):
        assert before[key].id != after[key].id


def test_a_launch_plan_that_a_workflow_makes_in_its_body_is_pinned_as_well():
    made = drafts(
        "from flyte_nb import LaunchPlan, dynamic, task, workflow\n"
        "@task\ndef step(n: int) -> int:\n    return n - 1\n"
        "@workflow\ndef target(n: int) -> int:\n    return step(n=n)\n"
        "@workflow\ndef middle(n: int) -> int:\n"
        "    return LaunchPlan.get_or_create(target, 'made late')(n=n)\n"
        "@dynamic\ndef down(n: int) -> int:\n    return middle(n=n)\n"
        "@workflow\ndef wf(n: int) -> int:\n    return down(n=n)\n"
    )
    packed = made["task", "nb.down"].packed
    assert packed.launch_plans == (made["launch_plan", "made late"].id,)
