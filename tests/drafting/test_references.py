"""References of the SDK: nodes that run what is registered, compared with what is declared."""

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2
from flyteidl.core import interface_pb2, types_pb2

import flyte_nb
from flyte_nb import reference_launch_plan, reference_task, reference_workflow, task, workflow
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, Identifier, Scope
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.identifiers import identifier_to_idl

INT = types_pb2.LiteralType(simple=types_pb2.INTEGER)
FLOAT = types_pb2.LiteralType(simple=types_pb2.FLOAT)
FIT = Identifier(TASK, "shop", "production", "models.fit", "v3")
TRAIN = Identifier(LAUNCH_PLAN, "shop", "production", "models.train", "v3")


@reference_task(project="shop", domain="production", name="models.fit", version="v3")
def fit(rows: int, depth: int = 2) -> float: ...


@reference_launch_plan("shop", "production", "models.train", "v3")
def train(rows: int) -> float: ...


@reference_workflow("shop", "production", "models.train", "v3")
def training(rows: int) -> float: ...


@task
def show(loss: float) -> str:
    return f"{loss:g}"


@workflow
def outer(rows: int = 3) -> tuple[str, float, float]:
    return show(loss=fit(rows=rows)), train(rows=rows), training(rows=rows)


def interface(inputs, outputs):
    made = interface_pb2.TypedInterface()
    for target, given in ((made.inputs, inputs), (made.outputs, outputs)):
        for name, type_ in given.items():
            target.variables[name].type.CopyFrom(type_)
    return made


def registered_task(inputs, outputs):
    found = task_pb2.Task(id=identifier_to_idl(FIT))
    template = found.closure.compiled_task.template
    template.id.CopyFrom(found.id)
    template.interface.CopyFrom(interface(inputs, outputs))
    return found


def registered_plan():
    found = launch_plan_pb2.LaunchPlan(id=identifier_to_idl(TRAIN))
    parameter = found.closure.expected_inputs.parameters["rows"]
    parameter.var.type.CopyFrom(INT)
    parameter.required = True
    found.closure.expected_outputs.variables["o0"].type.CopyFrom(FLOAT)
    return found


WHOLE = {
    FIT: registered_task({"rows": INT, "depth": INT}, {"o0": FLOAT}),
    TRAIN: registered_plan(),
}


def drafts(entity, there=None):
    lookup = None if there is None else lambda ids: {id: there[id] for id in ids if id in there}
    drafter = Drafter(Scope(project="mine", domain="d"), default_registry(), lookup=lookup)
    return {
        draft.id.name.rpartition(".")[2]: draft
        for draft in drafter.draft([entity], launch_plans=False)
    }


@pytest.mark.parametrize("there", [None, WHOLE], ids=["offline", "registered"])
def test_nodes_refer_to_what_is_registered_and_nothing_of_it_is_drafted(there):
    made = drafts(outer, there)
    assert set(made) == {"show", "outer"}
    assert made["outer"].problems == ()
    nodes = [node for node in made["outer"].message.template.nodes if node.metadata.name != "show"]
    assert nodes[0].task_node.reference_id.name == "models.fit"
    assert nodes[0].task_node.reference_id.project == "shop"
    assert {node.workflow_node.launchplan_ref.name for node in nodes[1:]} == {"models.train"}
    assert made["outer"].closure is not None
    assert FIT in made["outer"].references


def test_what_is_not_registered_is_a_problem_at_its_node():
    problems = drafts(outer, {TRAIN: WHOLE[TRAIN]})["outer"].problems
    [problem] = problems
    assert (problem.code, problem.node_id) == ("ReferenceNotFound", "n0")
    assert "models.fit is not registered in shop/production in version v3" in problem.message
    assert problem.location.filename == __file__


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ({"rows": INT}, {"o0": FLOAT}, ["it has no input depth"]),
        ({"rows": FLOAT, "depth": INT}, {"o0": FLOAT}, ["its input rows is float"]),
        ({"rows": INT, "depth": INT, "more": INT}, {"o0": FLOAT}, ["it needs an input more"]),
        ({"rows": INT, "depth": INT}, {"o0": INT}, ["its output o0 is int"]),
        ({"rows": INT, "depth": INT}, {"loss": FLOAT}, ["it has no output o0", "It has: loss"]),
        ({"rows": FLOAT}, {}, ["rows is float", "no input depth", "no output o0"]),
    ],
)
def test_another_interface_is_a_problem_and_every_difference_is_named(inputs, outputs, words):
    there = {**WHOLE, FIT: registered_task(inputs, outputs)}
    said = " ".join(str(problem) for problem in drafts(outer, there)["outer"].problems)
    assert [word for word in words if word not in said] == []


def test_a_reference_is_made_of_types_too():
    made = flyte_nb.get_reference_entity(
        1, "shop", "production", "models.fit", "v3", {"rows": int, "depth": int}, {"o0": float}
    )

    @workflow
    def plain(rows: int) -> float:
        return made(rows=rows, depth=1)

    assert drafts(plain, WHOLE)["plain"].problems == ()
    several = flyte_nb.get_reference_entity(
        TASK, "p", "d", "n", "v", {}, {"a": int, "b": str}
    ).signature(default_registry())
    assert list(several.interface.outputs) == ["a", "b"]


@pytest.mark.parametrize(
    "run", [lambda: fit(rows=1), lambda: outer(rows=1)], ids=["alone", "inside"]
)
def test_running_one_here_says_that_its_code_is_not_here(run):
    with pytest.raises(UsageError, match=r"models\.(fit|train), whose code is not here"):
        run()


@pytest.mark.parametrize(
    "make",
    [
        lambda: reference_task("", "d", "n", "v"),
        lambda: reference_task("p", "d", "n", None),
        lambda: flyte_nb.get_reference_entity("project", "p", "d", "n", "v", {}, {}),
        lambda: flyte_nb.get_reference_entity(1, "p", "d", "n", "v", {"a b": int}, {}),
    ],
)
def test_a_reference_to_nothing_is_refused(make):
    with pytest.raises(UsageError):
        make()
