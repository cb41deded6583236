"""The workflow while it is put together: every call in its body becomes a node here.

Problems are collected, so that one look shows all of them; the call that has one still makes its node.
"""

from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.errors import CodecError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess, Entity
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingData,
    BindingMap,
    LaunchPlanNode,
    Location,
    Node,
    NodeMetadata,
    OutputReference,
    TaskNode,
    WorkflowNode,
)
from flyte_nb.sdk.binding import bind_arguments
from flyte_nb.sdk.promise import Outputs, Promise
from flyte_nb.types.codec import Codec, spell
from flyte_nb.types.containers import ListCodec, MapCodec

if TYPE_CHECKING:
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.types.registry import Registry


class Draft:
    """A node that can still change: ordered after others, given other options."""

    __slots__ = (
        "bindings",
        "code",
        "fixed_id",
        "index",
        "instruction",
        "overrides",
        "plan",
        "upstream",
    )

    def __init__(self, index: int, plan: "Plan", code: CodeType, instruction: int) -> None:
        self.index = index
        self.plan = plan
        self.code = code
        self.instruction = instruction
        self.bindings: tuple[Binding, ...] = ()
        self.upstream: set[int] = set()
        self.overrides: dict[str, Any] | None = None
        self.fixed_id = ""

    @property
    def id(self) -> str:
        """The node's id: `n<index>`, or what `with_overrides(node_name=…)` said."""
        return self.fixed_id or f"n{self.index}"

    def follow(self, other: "Draft") -> None:
        """Start after `other` has ended."""
        self.upstream.add(other.index)

    def override(self, options: "dict[str, Any]") -> None:
        """Take other options for this node; they add to what was said before."""
        from flyte_nb.sdk.overrides import checked, node_id_of

        if "node_name" in options:
            self.fixed_id = node_id_of(options["node_name"])
        self.overrides = {**(self.overrides or {}), **checked(options, self.plan.name)}


class Plan(NamedTuple):
    """What all calls of one entity have in common."""

    entity: Entity
    name: str
    target: "TaskNode | WorkflowNode | LaunchPlanNode"
    inputs: "tuple[tuple[str, Codec], ...]"
    """Sorted by name, as bindings are."""
    positional: "tuple[str, ...]"
    required: "frozenset[str]"
    known: "frozenset[str]"
    defaults: "dict[str, Any]"
    outputs: "tuple[tuple[str, Any, str], ...]"
    """Name, type and label of each."""
    single: bool
    default_literals: "dict[str, Literal]"


class Frame:
    """One workflow being traced."""

    def __init__(
        self,
        name: str,
        registry: "Registry",
        scope: Scope,
        version_of: "Callable[[Entity], str]",
        data: "DataAccess | None" = None,
    ) -> None:
        self.name = name
        self.registry = registry
        self.scope = scope
        self.version_of = version_of
        self.data = data
        self.drafts: list[Draft] = []
        self.problems: list[Problem] = []
        self.plans: dict[int, Plan] = {}
        self._references: dict[tuple[str, str], Entity] = {}

    def call(
        self, entity: Any, args: "tuple[Any, ...]", kwargs: "dict[str, Any]", caller: FrameType
    ) -> Any:
        """Make a node of a call of `entity`; the value stands for its outputs."""
        plan = self.plans.get(id(entity)) or self._plan(entity, caller)
        index = len(self.drafts)
        draft = Draft(index, plan, caller.f_code, caller.f_lasti)
        self.drafts.append(draft)
        if args or not plan.required <= kwargs.keys() <= plan.known:
            kwargs = self._arguments(draft, args, kwargs)
        bindings = []
        for name, codec in plan.inputs:
            if name in kwargs:
                value = kwargs[name]
                if type(value) is Promise:
                    bindings.append(Binding(name, value._reference))
                    if value._draft is not None:
                        draft.upstream.add(value._draft.index)
                    continue
                data = self._constant(draft, name, value, codec)
            else:
                data = self._default(draft, name, codec)
            if data is not None:
                bindings.append(Binding(name, data))
        draft.bindings = tuple(bindings)
        return _outputs_of(draft, plan)

    def bind(self, value: Any, codec: Codec, draft: "Draft | None" = None) -> BindingData:
        """What fills an input or output: a reference, a constant, or a list or dict with both.

        Raises:
            CodecError: when a constant does not fit.
        """
        kind = type(value)
        if kind is Promise:
            if draft is not None and value._draft is not None:
                draft.upstream.add(value._draft.index)
            reference: OutputReference = value._reference
            return reference
        if kind is Outputs:
            raise _not_one_value(value)
        if kind in (list, tuple, dict) and _has_promise(value):
            item = _item_codec(codec, kind)
            if kind is dict:
                return BindingMap(
                    {
                        key: self._bind_part(part, item, draft, f"[{key!r}]")
                        for key, part in value.items()
                    }
                )
            return BindingCollection(
                tuple(
                    self._bind_part(part, item, draft, f"[{index}]")
                    for index, part in enumerate(value)
                )
            )
        return codec.encode(value, self.data)

    def _bind_part(self, part: Any, codec: Codec, draft: "Draft | None", step: str) -> BindingData:
        try:
            return self.bind(part, codec, draft)
        except CodecError as error:
            raise error.below(step) from None

    def nodes(self) -> "tuple[Node, ...]":
        """The finished nodes, in the order of the calls."""
        lines = _Lines()
        drafts = self.drafts
        ids = [draft.fixed_id or f"n{draft.index}" for draft in drafts]
        renamed = any(draft.fixed_id for draft in drafts)
        return tuple(_node(draft, ids, renamed, lines) for draft in drafts)

    @property
    def entities(self) -> "tuple[Entity, ...]":
        """What the workflow refers to, each once, in the order of first use."""
        return tuple(plan.entity for plan in self.plans.values())

    def problem(
        self,
        code: str,
        message: str,
        *,
        draft: "Draft | None" = None,
        variable: str = "",
        hint: str = "",
        location: "Location | None" = None,
    ) -> None:
        """Note a problem, at the node's place when there is one."""
        if draft is not None and location is None:
            location = _Lines().location(draft.code, draft.instruction)
        node_id = draft.id if draft is not None else ""
        self.problems.append(
            Problem(code, message, node_id, variable, hint, location, entity=self.name)
        )

    def _arguments(
        self, draft: Draft, args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
    ) -> "dict[str, Any]":
        plan = draft.plan
        given, problems = bind_arguments(
            plan.name,
            [name for name, _ in plan.inputs],
            plan.positional,
            plan.known - plan.required,
            args,
            kwargs,
        )
        for problem in problems:
            self.problem(
                problem.code,
                problem.message,
                draft=draft,
                variable=problem.variable,
                hint=problem.hint,
            )
        return given

    def _constant(self, draft: Draft, name: str, value: Any, codec: Codec) -> "BindingData | None":
        try:
            return self.bind(value, codec, draft)
        except CodecError as error:
            near = codec.nearest(value) if error.path == "$" else None
            self.problem(
                "ValueDoesNotFit",
                f"{draft.plan.name}.{name}: {error.bare_message}"
                + (f" (at {error.path})" if error.path != "$" else ""),
                draft=draft,
                variable=name,
                hint=f"Write {name}={near!r}." if near is not None else error.hint,
            )
            return None

    def _default(self, draft: Draft, name: str, codec: Codec) -> "BindingData | None":
        plan = draft.plan
        if name not in plan.defaults:
            return None
        literal = plan.default_literals.get(name)
        if literal is not None:
            return literal
        data = self._constant(draft, name, plan.defaults[name], codec)
        if isinstance(data, Literal):
            plan.default_literals[name] = data
        return data

    def _plan(self, entity: Any, caller: FrameType) -> Plan:
        reading = entity.read(self.registry)
        signature: TaskSignature = reading.signature
        location = _Lines().location(caller.f_code, caller.f_lasti)
        self.problems.extend(reading.problems)
        name = entity.short_name.rpartition(".")[2]
        if (entity.resource_type, entity_name(entity, self.scope)) in self._references:
            self.problem(
                "DuplicateName",
                f"Two different definitions are called {entity_name(entity, self.scope)}.",
                hint="Run the cells that define them anew, or give one another name.",
                location=location,
            )
        self._references[entity.resource_type, entity_name(entity, self.scope)] = entity
        plan = _plan_of(
            entity, name, self._target(entity), signature, getattr(entity, "bound_inputs", {})
        )
        self.plans[id(entity)] = plan
        return plan

    def _target(self, entity: Any) -> "TaskNode | WorkflowNode | LaunchPlanNode":
        identifier = identify(entity, self.scope, self.version_of(entity))
        if entity.resource_type == TASK:
            return TaskNode(identifier)
        if entity.resource_type == WORKFLOW:
            return WorkflowNode(identifier)
        return LaunchPlanNode(identifier)


def entity_name(entity: Any, scope: Scope) -> str:
    """The entity's registered name in `scope`."""
    fixed = getattr(entity, "fixed_name", "")
    return fixed or scope.full_name(entity.module, entity.short_name)


def identify(entity: Any, scope: Scope, version: str = "") -> Identifier:
    """The entity's identifier in `scope`."""
    return Identifier(
        entity.resource_type, scope.project, scope.domain, entity_name(entity, scope), version
    )


def _plan_of(
    entity: Any,
    name: str,
    target: "TaskNode | WorkflowNode | LaunchPlanNode",
    signature: "TaskSignature",
    bound: "dict[str, Any]",
) -> Plan:
    inputs = tuple(
        (each, codec) for each, codec in sorted(signature.input_codecs.items()) if each not in bound
    )
    known = frozenset(each for each, _ in inputs)
    # A launch plan's own defaults apply where it runs, so that they are not bound here.
    defaults = {} if entity.resource_type == LAUNCH_PLAN else signature.defaults
    outputs = tuple(
        (
            each,
            variable.type,
            f"{name}()" if len(signature.output_names) == 1 else f"{name}().{each}",
        )
        for each, variable in signature.interface.outputs.items()
    )
    return Plan(
        entity,
        name,
        target,
        inputs,
        tuple(each for each in signature.positional if each not in bound),
        known - signature.defaults.keys(),
        known,
        defaults,
        outputs,
        signature.output_kind == "single",
        {},
    )


def _outputs_of(draft: Draft, plan: Plan) -> Any:
    node_id = draft.id
    if plan.single and plan.outputs:
        name, type, label = plan.outputs[0]
        return Promise(draft, OutputReference(node_id, name), type, label)
    promises = tuple(
        Promise(draft, OutputReference(node_id, name), type, label)
        for name, type, label in plan.outputs
    )
    return Outputs(draft, promises, tuple(output[0] for output in plan.outputs), plan.name)


def _node(draft: Draft, ids: "list[str]", renamed: bool, lines: "_Lines") -> Node:
    upstream = draft.upstream
    plan = draft.plan
    metadata, target = NodeMetadata(plan.name), plan.target
    if draft.overrides is not None:
        from flyte_nb.sdk.overrides import apply

        metadata, target = apply(draft.overrides, metadata, target)
    bindings = draft.bindings
    if renamed:
        bindings = tuple(binding._replace(data=_renamed(binding.data, ids)) for binding in bindings)
    return Node(
        ids[draft.index],
        target,
        bindings,
        tuple([ids[index] for index in sorted(upstream)]) if upstream else (),
        metadata,
        lines.location(draft.code, draft.instruction),
    )


def renamed_data(data: BindingData, drafts: "list[Draft]") -> BindingData:
    """The data with the nodes' final ids, for bindings made before `with_overrides(node_name=…)`."""
    if not any(draft.fixed_id for draft in drafts):
        return data
    return _renamed(data, [draft.id for draft in drafts])


def _renamed(data: BindingData, ids: "list[str]") -> BindingData:
    if isinstance(data, OutputReference):
        if data.node_id:
            return data._replace(node_id=ids[int(data.node_id[1:])])
        return data
    if isinstance(data, BindingCollection):
        return BindingCollection(tuple(_renamed(item, ids) for item in data.items))
    if isinstance(data, BindingMap):
        return BindingMap({key: _renamed(item, ids) for key, item in data.items.items()})
    return data


def _has_promise(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    for part in parts:
        kind = type(part)
        if kind is Promise or kind is Outputs:
            return True
        if kind in (list, tuple, dict) and _has_promise(part):
            return True
    return False


def _item_codec(codec: Codec, kind: type) -> Codec:
    """The codec of the parts of a list or dict that holds promises."""
    wanted = MapCodec if kind is dict else ListCodec
    for variant in getattr(codec, "variants", (codec,)):
        if isinstance(variant, wanted):
            return variant.item
    raise CodecError(
        f"Expected {spell(codec.python_type)}, got a {kind.__name__} with outputs of tasks in it.",
        hint="Put the parts together in a task.",
    )


def _not_one_value(outputs: Outputs) -> CodecError:
    names = outputs._names
    if not names:
        return CodecError(
            f"{outputs._label} returns nothing.",
            hint="Order the calls with >>, or let it return a value.",
        )
    return CodecError(
        f"{outputs._label} has {len(names)} outputs.",
        hint=f"Take one of them, e.g. {outputs._label}(…).{names[0]}.",
    )


class _Lines:
    """Line numbers by instruction; each code object's table is read once, not for every call."""

    def __init__(self) -> None:
        self._tables: dict[CodeType, dict[int, int]] = {}

    def location(self, code: CodeType, instruction: int) -> Location:
        table = self._tables.get(code)
        if table is None:
            table = self._tables[code] = {}
            for start, end, line in code.co_lines():
                if line is not None:
                    table.update(dict.fromkeys(range(start, end, 2), line))
        return Location(code.co_filename, table.get(instruction, code.co_firstlineno))
