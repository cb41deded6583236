"""Read the workflows and tasks of scenario files (`scenarios`) and make closures of them.

A node is written as a call: `one(x=.x, y=n0) after n1`. A value is an integer, a promise (`n0`, `n0.o1`, `.x`
for the workflow's input `x`), or a list of these.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl.core.compiler_pb2 import CompiledWorkflow, CompiledWorkflowClosure
from flyteidl.core.condition_pb2 import (
    BooleanExpression,
    ComparisonExpression,
    ConjunctionExpression,
    Operand,
)
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.identifier_pb2 import Identifier
from flyteidl.core.interface_pb2 import ParameterMap, TypedInterface
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.types_pb2 import INTEGER, LiteralType
from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

from flyte_nb.api.errors import UsageError
from flyte_nb.compiler import LaunchPlanInterface, compile_task, compile_workflow, identifier_text
from flyte_nb.testing import closures

Plain = Mapping[str, Any]
"""A mapping as it comes from a YAML file."""

Bound = int | str | list[int | str]

_CALL = re.compile(r"(?P<name>[\w-]+)\((?P<arguments>.*?)\)(?: after (?P<after>.+))?")
_ARGUMENT = re.compile(r"(\w+)=(\[.*?\]|[^,]+)")
_COMPARISON = re.compile(r"\s*(\S+)\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*")
_OPERATORS = {
    "==": ComparisonExpression.EQ,
    "!=": ComparisonExpression.NEQ,
    ">": ComparisonExpression.GT,
    ">=": ComparisonExpression.GTE,
    "<": ComparisonExpression.LT,
    "<=": ComparisonExpression.LTE,
}


class Call(NamedTuple):
    """A node as it is written: what it runs, its inputs, and the nodes that it follows."""

    name: str
    arguments: dict[str, Bound]
    after: tuple[str, ...]
    is_map: bool = False
    """Whether its inputs are lists, whose elements the task gets."""


class Templates(NamedTuple):
    """What a scenario's workflow is made of, as an SDK would register it."""

    workflow: WorkflowTemplate
    sub_workflows: list[WorkflowTemplate]
    tasks: list[TaskTemplate]
    launch_plans: dict[str, WorkflowTemplate]
    """The workflow that each launch plan launches, by the launch plan's name."""

    def launch_plan(self, name: str) -> Identifier:
        """Return the id of a launch plan."""
        node = closures.node("n0", name)
        return node.workflow_node.launchplan_ref


def closure_of(scenario: Plain) -> CompiledWorkflowClosure:
    """Return the closure of a scenario's workflow.

    Raises:
        UsageError: when the scenario cannot be read; the message says where.
        CompileFailed: when the workflow does not compile.
    """
    made = templates_of(scenario)
    tasks = [compile_task(task) for task in made.tasks]
    launch_plans = {
        identifier_text(made.launch_plan(name)): launch_plan_interface(template.interface)
        for name, template in made.launch_plans.items()
    }
    return compile_workflow(made.workflow, made.sub_workflows, tasks, launch_plans)


def launch_plan_interface(interface: TypedInterface) -> LaunchPlanInterface:
    """Return the interface of a launch plan of a workflow with that interface, without defaults."""
    expected = ParameterMap()
    for name, variable in interface.inputs.variables.items():
        expected.parameters[name].var.CopyFrom(variable)
        expected.parameters[name].required = True
    return LaunchPlanInterface(expected, interface.outputs)


def child_closure(scenario: Plain, launch_plan: str) -> CompiledWorkflowClosure:
    """Return the closure of the workflow that a launch plan of the scenario launches.

    Raises:
        UsageError: when the scenario has no such launch plan.
        CompileFailed: when the workflow does not compile.
    """
    name = scenario.get("launch_plans", {}).get(launch_plan)
    if name is None:
        raise UsageError(f"The scenario has no launch plan {launch_plan}.")
    shared = {key: scenario[key] for key in ("tasks", "workflows", "launch_plans")}
    return closure_of({**shared, **scenario["workflows"][name]})


def job_of(scenario: Plain, task: str) -> DynamicJobSpec:
    """Return what a dynamic task of the scenario makes (`makes`).

    Raises:
        UsageError: when the scenario cannot be read.
    """
    return _Maker(scenario).job(task)


def templates_of(scenario: Plain) -> Templates:
    """Return the templates of a scenario's workflow.

    Raises:
        UsageError: when the scenario cannot be read; the message says where.
    """
    return _Maker(scenario).templates()


def call_of(text: str) -> Call:
    """Return the call that a node is written as.

    Raises:
        UsageError: when it is not a call.
    """
    found = _CALL.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no call. Write name(x=1, y=n0) after n1.")
    arguments = {name: _bound(value) for name, value in _ARGUMENT.findall(found["arguments"])}
    after = tuple(part.strip() for part in (found["after"] or "").split(",") if part)
    return Call(found["name"], arguments, after)


def _bound(text: str) -> Bound:
    text = text.strip()
    if text.startswith("["):
        return [_scalar(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return _scalar(text)


def _scalar(text: str) -> "int | str":
    return int(text) if re.fullmatch(r"-?\d+", text) else text


class _Maker:
    """Makes the closure of one scenario."""

    def __init__(self, scenario: Plain) -> None:
        self.scenario = scenario
        self.workflows: dict[str, CompiledWorkflow] = {}
        self.tasks = {name: self.task(name, plain) for name, plain in self.task_plans()}

    def templates(self) -> Templates:
        self.read_workflows()
        primary = self.workflow("wf", self.scenario)
        plans = {
            name: self.workflows[launched].template
            for name, launched in self.scenario.get("launch_plans", {}).items()
        }
        # Only those that run inside the workflow: the others are launched, or made by dynamic tasks.
        used = self.inside(self.scenario)
        subs = [sub.template for name, sub in self.workflows.items() if name in used]
        return Templates(primary.template, subs, [*self.tasks.values()], plans)

    def inside(self, plain: Plain) -> set[str]:
        """Return the names of the workflows that run inside of a workflow, at any depth."""
        names = {call.name for call in _calls_in([*plain["nodes"].values(), *_failure(plain)])}
        workflows = self.scenario.get("workflows", {})
        found = names & set(workflows)
        return found.union(*(self.inside(workflows[name]) for name in found))

    def read_workflows(self) -> None:
        for name, plain in self.scenario.get("workflows", {}).items():
            self.workflows[name] = self.workflow(name, plain)

    def job(self, task: str) -> DynamicJobSpec:
        self.read_workflows()
        plain = self.scenario["tasks"][task]["makes"]
        inside = self.inside(plain)
        workflows = [self.scenario["workflows"][name] for name in sorted(inside)]
        written = [node for each in (plain, *workflows) for node in each["nodes"].values()]
        names = {call.name for call in _calls_in(written)}
        return closures.job(
            list(self.nodes(plain["nodes"])),
            {variable: _written(bound) for variable, bound in plain.get("outputs", {}).items()},
            [template for name, template in self.tasks.items() if name in names],
            [self.workflows[name] for name in sorted(inside)],
        )

    def task_plans(self) -> Iterator[tuple[str, Plain]]:
        for name, plain in self.scenario.get("tasks", {}).items():
            yield name, plain if isinstance(plain, Mapping) else {"attempts": plain}

    def task(self, name: str, plain: Plain) -> TaskTemplate:
        called = [call for call in self.calls() if call.name == name]
        inputs = {variable for call in called for variable in call.arguments}
        made = closures.task(
            name,
            sorted(inputs),
            retries=plain.get("retries", 0),
            timeout_s=plain.get("timeout_s", 0.0),
            cache_version=str(plain.get("cache", "")),
            cache_serialize=plain.get("serialize", False),
            outputs=plain.get("outputs", ["o0"]),
            args=["{{.outputPrefix}}"],
        )
        for call in called:
            for variable, bound in call.arguments.items():
                _type(made.interface.inputs.variables[variable].type, bound)
            if call.is_map:
                # As SDKs register it: a mapped task takes lists, and gives lists.
                for variable in made.interface.outputs.variables:
                    _type(made.interface.outputs.variables[variable].type, [])
        return made

    def calls(self) -> Iterator[Call]:
        tasks = [task for _, task in self.task_plans()]
        made = [task["makes"] for task in tasks if "makes" in task]
        for plain in (self.scenario, *self.scenario.get("workflows", {}).values(), *made):
            yield from _calls_in([*plain["nodes"].values(), *_failure(plain)])

    def workflow(self, name: str, plain: Plain) -> CompiledWorkflow:
        outputs = {
            variable: _written(bound) for variable, bound in plain.get("outputs", {}).items()
        }
        failure = plain.get("on_failure")
        made = closures.workflow(
            name,
            list(self.nodes(plain["nodes"])),
            outputs,
            inputs=plain.get("takes", ()),
            fail_after=plain.get("policy", "") == "fail after executable nodes complete",
            on_failure=self.node("efn0", failure) if failure else None,
        )
        for variable, bound in outputs.items():
            _type(made.template.interface.outputs.variables[variable].type, bound)
        made.template.interface.inputs.SetInParent()
        made.template.interface.outputs.SetInParent()
        # The compiler adds the start node and the end node itself.
        del made.template.nodes[:2]
        return made

    def nodes(self, plain: Plain) -> Iterator[Node]:
        for node_id, written in plain.items():
            yield self.node(node_id, written)

    def node(self, node_id: str, written: "str | Plain") -> Node:
        if isinstance(written, str):
            return self.call_node(node_id, call_of(written))
        if "if" in written:
            return self.branch_node(node_id, written)
        if "gate" in written:
            return _gate(node_id, written)
        if "map" in written:
            return self.map_node(node_id, written)
        made = self.call_node(node_id, call_of(written["run"]))
        _override(made, written)
        return made

    def map_node(self, node_id: str, written: Plain) -> Node:
        call = call_of(written["map"])
        own = {key: value for key, value in written.items() if key in ("retries", "timeout_s")}
        options = {key: value for key, value in written.items() if key not in ("map", *own)}
        made = closures.map_node(node_id, self.tasks[call.name], call.arguments, **options)
        _override(made, own)
        return made

    def call_node(self, node_id: str, call: Call) -> Node:
        target: TaskTemplate | CompiledWorkflow | str | None
        target = self.tasks.get(call.name) or self.workflows.get(call.name)
        if call.name in self.scenario.get("launch_plans", {}):
            target = call.name
        if target is None:
            raise UsageError(f"Node {node_id} runs {call.name}, which the scenario does not have.")
        return closures.node(node_id, target, call.arguments, after=call.after)

    def branch_node(self, node_id: str, written: Plain) -> Node:
        inputs = {name: _written(bound) for name, bound in written.get("inputs", {}).items()}
        made = closures.bare_node(node_id, inputs, after=written.get("after", ()))
        block = made.branch_node.if_else
        for number, (condition, *arm) in enumerate(written["if"]):
            case = block.other.add() if number else block.case
            case.condition.CopyFrom(condition_of(condition))
            case.then_node.CopyFrom(self.arm(arm))
        if "else" in written:
            block.else_node.CopyFrom(self.arm(written["else"]))
        elif "fail" in written:
            block.error.failed_node_id = node_id
            block.error.message = written["fail"]
        return made

    def arm(self, written: Sequence[Any]) -> Node:
        """Return the node of an arm, which is written as its id and what it runs."""
        return self.node(written[0], written[1])


def _failure(plain: Plain) -> "list[str | Plain]":
    return [plain["on_failure"]] if "on_failure" in plain else []


def _gate(node_id: str, written: Plain) -> Node:
    """Return a gate: `{gate: sleep, sleep_s: 5}`, `{gate: <signal>}`, or `{gate: <signal>, approves: n0}`."""
    signal = "" if written["gate"] == "sleep" else written["gate"]
    options = {name: value for name, value in written.items() if name != "gate"}
    return closures.gate(node_id, signal, **options)


def condition_of(text: str) -> BooleanExpression:
    """Return the condition that is written as comparisons with `and` and `or`, from left to right.

    Raises:
        UsageError: when it cannot be read.
    """
    parts = re.split(r" (and|or) ", text)
    made = _comparison(parts[0])
    for word, part in zip(parts[1::2], parts[2::2], strict=True):
        left, made = made, BooleanExpression()
        made.conjunction.left_expression.CopyFrom(left)
        made.conjunction.right_expression.CopyFrom(_comparison(part))
        both, either = ConjunctionExpression.AND, ConjunctionExpression.OR
        made.conjunction.operator = both if word == "and" else either
    return made


def _comparison(text: str) -> BooleanExpression:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no comparison. Write x < 3.")
    made = BooleanExpression()
    made.comparison.operator = _OPERATORS[found[2]]
    _operand(made.comparison.left_value, found[1])
    _operand(made.comparison.right_value, found[3])
    return made


def _operand(operand: Operand, text: str) -> None:
    primitive = operand.primitive
    if re.fullmatch(r"-?\d+", text):
        primitive.integer = int(text)
    elif re.fullmatch(r"-?\d+\.\d+", text):
        primitive.float_value = float(text)
    elif text in ("true", "false"):
        primitive.boolean = text == "true"
    elif text.startswith("'"):
        primitive.string_value = text.strip("'")
    else:
        operand.ClearField("primitive")
        operand.var = text


def _calls_in(written: "Any") -> Iterator[Call]:
    """Yield the calls of nodes, also of those in arms of branches."""
    for node in written:
        if isinstance(node, str):
            yield call_of(node)
        elif "run" in node:
            yield call_of(node["run"])
        elif "map" in node:
            yield call_of(node["map"])._replace(is_map=True)
        elif "if" in node:
            yield from _calls_in(arm[2] for arm in node["if"])
            if "else" in node:
                yield from _calls_in([node["else"][1]])


def _type(type: LiteralType, bound: Bound) -> None:
    """Give a variable the type of what is bound to it: an integer, or a list of integers."""
    if isinstance(bound, list):
        type.Clear()
        type.collection_type.simple = INTEGER


def _written(bound: Any) -> Bound:
    return _bound(bound) if isinstance(bound, str) else bound


def _override(node: Node, written: Plain) -> None:
    """Set what `with_overrides` sets at a call."""
    metadata = node.metadata
    setters: dict[str, Callable[[Any], None]] = {
        "retries": lambda value: setattr(metadata.retries, "retries", value),
        "timeout_s": lambda value: metadata.timeout.FromMicroseconds(int(value * 1_000_000)),
        "cache": lambda value: setattr(metadata, "cacheable", bool(value)),
        "cache_version": lambda value: setattr(metadata, "cache_version", str(value)),
        "serialize": lambda value: setattr(metadata, "cache_serializable", value),
    }
    for key, value in written.items():
        if key != "run":
            setters[key](value)
