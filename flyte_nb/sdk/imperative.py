"""`Workflow(name=…)`: a workflow that a program puts together call by call, in place of a function's body.

The calls are kept as they are given, and made when the workflow is traced, like those of a body.
"""

import keyword
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, GenericAlias
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import Location
from flyte_nb.sdk import context
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.node_creation import Node, node_of
from flyte_nb.sdk.node_drafts import CodePosition
from flyte_nb.sdk.promise import Promise
from flyte_nb.sdk.workflow import Workflow, WorkflowFailurePolicy, WorkflowOptions

if TYPE_CHECKING:
    from flyte_nb.sdk.signature import SignatureReading
    from flyte_nb.types.registry import Registry

_MAIN = "__main__"


class Planned:
    """A value that the workflow will have: one of its inputs, or an output of a call."""

    def __init__(
        self, source: "PlannedNode | None", name: str, path: "tuple[str | int, ...]" = ()
    ) -> None:
        """Take the call that makes it (`None` for an input), its name, and the way to a part of it."""
        self.source = source
        self.name = name
        self.path = path

    def __getitem__(self, key: "str | int") -> "Planned":
        return Planned(self.source, self.name, (*self.path, key))

    def __getattr__(self, name: str) -> "Planned":
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __repr__(self) -> str:
        return f"<planned {self.name}>"


class PlannedNode:
    """A call that becomes a node. Its outputs are `node.outputs["o0"]` or `node.o0`."""

    def __init__(
        self, entity: Definition, inputs: "dict[str, object]", code: CodeType, instruction: int
    ) -> None:
        """Take what is called, with what, and where the call is written."""
        self.entity = entity
        self.inputs = inputs
        self.code = code
        self.instruction = instruction
        self.overrides: list[dict[str, object]] = []
        self.followers: list[PlannedNode] = []

    @property
    def outputs(self) -> "PlannedOutputs":
        """Its outputs by name."""
        return PlannedOutputs(self)

    def __getattr__(self, name: str) -> Planned:
        if name.startswith("_"):
            raise AttributeError(name)
        return Planned(self, name)

    def __rshift__(self, other: "PlannedNode") -> "PlannedNode":
        """Let `other` start after this has ended; return `other`."""
        self.runs_before(other)
        return other

    def runs_before(self, other: "PlannedNode") -> None:
        """Let `other` start after this has ended."""
        self.followers.append(other)

    def with_overrides(self, **options: object) -> "PlannedNode":
        """Change options for this one call; see `Promise.with_overrides`."""
        self.overrides.append(options)
        return self


class PlannedOutputs:
    """The outputs of a call by name. Which ones there are is known when the workflow is traced."""

    def __init__(self, node: PlannedNode) -> None:
        """Take the call."""
        self._node = node

    def __getitem__(self, name: str) -> Planned:
        return Planned(self._node, name)


class ImperativeWorkflow(Workflow):
    """A workflow that is put together by calls: `wf = Workflow(name="my.wf")`, then `wf.add_entity(…)`.

    Args:
        name: its full name.
        failure_policy: a constant of `WorkflowFailurePolicy`.
        interruptible: whether its tasks may run on machines that can be taken away.

    Raises:
        UsageError: the name is no text, or empty.
    """

    def __init__(
        self,
        name: str,
        failure_policy: "str | None" = None,
        interruptible: bool = False,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise UsageError(f"Workflow(name={name!r}): give it a name, e.g. name='shop.nightly'.")
        caller = sys._getframe(1)
        self._place = Location(caller.f_code.co_filename, caller.f_lineno)
        self._types: dict[str, object] = {}
        self._outputs: dict[str, tuple[object, object]] = {}
        """By output, what is returned, and its Python type; `None` for the type of what is returned."""
        self.nodes: list[PlannedNode] = []
        self.inputs: dict[str, Planned] = {}
        """Its inputs by name, to be given to `add_entity`."""
        options = WorkflowOptions(
            failure_policy=failure_policy or WorkflowFailurePolicy.FAIL_IMMEDIATELY,
            interruptible=interruptible,
        )
        super().__init__(_function(name, (), self._body), options)
        self.fixed_name = name
        self.module = str(caller.f_globals.get("__name__", _MAIN))

    @property
    def output_names(self) -> "tuple[str, ...]":
        """Names of the outputs, in the order in which they were added."""
        return tuple(self._outputs)

    @property
    def location(self) -> Location:
        """Where the author began it."""
        return self._place

    def add_workflow_input(self, input_name: str, python_type: object) -> Planned:
        """Add an input, and return it for `add_entity`.

        Raises:
            UsageError: there is one of that name already, or no input can have this name.
        """
        _check_name(input_name, self.inputs, "input")
        self._types[input_name] = python_type
        self._changed()
        return self.inputs.setdefault(input_name, Planned(None, input_name))

    def add_entity(self, entity: Definition, **inputs: object) -> PlannedNode:
        """Add a call of a task, workflow or launch plan, and return its node.

        Raises:
            UsageError: `entity` is none of these.
        """
        if not isinstance(entity, Definition):
            raise UsageError(f"add_entity({entity!r}): write a task, a workflow or a launch plan.")
        caller = sys._getframe(1)
        # `add_task` and its like call this method, and the author's own line is the one to report.
        while caller.f_code.co_filename == __file__ and caller.f_back is not None:
            caller = caller.f_back
        node = PlannedNode(entity, inputs, caller.f_code, caller.f_lasti)
        self.nodes.append(node)
        self._changed()
        return node

    def add_task(self, task: Definition, **inputs: object) -> PlannedNode:
        """Add a call of a task; see `add_entity`."""
        return self.add_entity(task, **inputs)

    def add_subwf(self, sub_wf: Definition, **inputs: object) -> PlannedNode:
        """Add a call of a workflow; see `add_entity`."""
        return self.add_entity(sub_wf, **inputs)

    def add_launch_plan(self, launch_plan: Definition, **inputs: object) -> PlannedNode:
        """Add a call of a launch plan; see `add_entity`."""
        return self.add_entity(launch_plan, **inputs)

    def add_on_failure_handler(self, entity: Definition) -> None:
        """Let `entity` run when the workflow has failed; it gets the workflow's inputs."""
        self.options = self.options._replace(on_failure=entity)
        self._changed()

    def add_workflow_output(
        self, output_name: str, p: object, python_type: "object | None" = None
    ) -> None:
        """Add an output.

        Args:
            output_name: its name.
            p: an output of a call or an input, or a list or dict of such.
            python_type: its type; needed for a list or dict.

        Raises:
            UsageError: there is one of that name already, or the type of a list or dict is missing.
        """
        _check_name(output_name, self._outputs, "output")
        if python_type is None and not isinstance(p, Planned):
            raise UsageError(
                f"The output {output_name} is a {type(p).__name__}. Give its type too, e.g."
                " python_type=list[int]."
            )
        self._outputs[output_name] = (p, python_type)
        self._changed()

    def create_conditional(self, name: str) -> object:
        """Refuse: a branch needs the outputs of its cases, which calls one by one cannot give.

        Raises:
            UsageError: always; it says what to write.
        """
        raise UsageError(
            f"create_conditional({name!r}): write the conditional in a @workflow, and add that by add_subwf."
        )

    def ready(self) -> bool:
        """Return whether it has a call, and every input is used."""
        used = {each.name for node in self.nodes for each in _inputs_in(node.inputs)}
        return bool(self.nodes) and set(self.inputs) <= used

    def read(self, registry: "Registry") -> "SignatureReading":
        """Return the signature: the inputs and outputs that were added."""
        # The types of outputs may need a registry, so they are not known when an output is added.
        if "return" not in self.function.__annotations__:
            gives = [
                python_type if python_type is not None else self._type_of(value, registry)
                for value, python_type in self._outputs.values()
            ]
            annotated: object = None
            if len(gives) == 1:
                [annotated] = gives
            elif gives:
                annotated = GenericAlias(tuple, tuple(gives))
            self.function.__annotations__ = {**self._types, "return": annotated}
        return super().read(registry)

    def _type_of(self, value: object, registry: "Registry") -> object:
        """Return the Python type of a planned value."""
        assert isinstance(value, Planned)
        if value.source is None:
            return self._types[value.name]
        codecs = value.source.entity.read(registry).signature.output_codecs
        if value.name not in codecs or value.path:
            raise UsageError(
                f"{value!r} has no type that is known here. Give add_workflow_output(…, python_type=…)."
            )
        return codecs[value.name].python_type

    def _changed(self) -> None:
        """Take inputs and outputs as they are now."""
        self.function = _function(self.fixed_name, tuple(self._types), self._body)
        # The kept signature is of the function before, which lacked this input or output.
        self._reading = None

    def _body(self, inputs: "dict[str, Promise]") -> object:
        """Make the calls, as a body would."""
        frame = context.frame.get()
        assert frame is not None
        made: dict[PlannedNode, Node] = {}
        for node in self.nodes:
            given = {name: _made(value, inputs, made) for name, value in node.inputs.items()}
            made[node] = node_of(
                frame.call(node.entity, (), given, CodePosition(node.code, node.instruction))
            )
            for options in node.overrides:
                made[node].with_overrides(**options)
        for node in self.nodes:
            # After all calls were made: a follower may have been added later than the node itself.
            for follower in node.followers:
                made[node].runs_before(made[follower])
        values = tuple(_made(value, inputs, made) for value, _ in self._outputs.values())
        return values[0] if len(values) == 1 else values or None


def _made(value: object, inputs: "dict[str, Promise]", made: "dict[PlannedNode, Node]") -> object:
    """Return the value with promises in place of what was planned."""
    if isinstance(value, Planned):
        found = inputs[value.name] if value.source is None else _output(made, value)
        for step in value.path:
            found = found[step]
        return found
    if isinstance(value, (list, tuple)):
        return [_made(item, inputs, made) for item in value]
    if isinstance(value, dict):
        return {key: _made(item, inputs, made) for key, item in value.items()}
    return value


def _output(made: "dict[PlannedNode, Node]", value: Planned) -> Promise:
    assert value.source is not None
    # Calls are made in the order in which they were added, so an output of a later one is not there yet.
    node = made.get(value.source)
    if node is None:
        raise UsageError(
            f"{value!r} is an output of a call that was added later, or to another workflow."
        )
    if value.name not in node.outputs:
        has = ", ".join(node.outputs) or "none"
        raise UsageError(
            f"{value.source.entity.shown_name} has no output {value.name}. It has: {has}."
        )
    return node.outputs[value.name]


def _inputs_in(value: object) -> "list[Planned]":
    if isinstance(value, Planned):
        return [value] if value.source is None else []
    if isinstance(value, dict):
        return _inputs_in(list(value.values()))
    if isinstance(value, (list, tuple)):
        return [each for item in value for each in _inputs_in(item)]
    return []


def _check_name(name: str, known: "Mapping[str, object]", noun: str) -> None:
    if name in known:
        raise UsageError(f"The workflow has an {noun} {name} already.")
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} is no name that an {noun} can have: write letters, digits and _."
        )


def _function(
    name: str, inputs: "tuple[str, ...]", body: "Callable[[dict[str, Promise]], object]"
) -> FunctionType:
    """Return a function with these parameters, which calls `body` with them by name."""
    short = name.rpartition(".")[2]
    short = short if short.isidentifier() and not keyword.iskeyword(short) else "workflow"
    given = ", ".join(f"{each!r}: {each}" for each in inputs)
    namespace: dict[str, object] = {"__name__": __name__, "_body": body}
    # A function's parameters are in its code object, and only compiling makes one. The names are checked.
    exec(f"def {short}({', '.join(inputs)}): return _body({{{given}}})", namespace)
    function = namespace[short]
    assert isinstance(function, FunctionType)
    function.__annotations__ = {}
    return function
