"""`TracingFrame`: a body that is being traced. Every call in it becomes a node here.

Problems are collected, so that an author sees all of them at once. A call that has one still makes its node,
so that later calls can refer to it and no problem hides another.
"""

from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingData,
    BindingMap,
    Location,
    NodeMetadata,
    OutputReference,
    Target,
)
from flyte_nb.sdk.binding import bind_arguments
from flyte_nb.sdk.branch_nodes import branch_of
from flyte_nb.sdk.conditions import Condition
from flyte_nb.sdk.entity import entity_name, identify
from flyte_nb.sdk.node_drafts import (
    CallPlan,
    CodeLines,
    CodePosition,
    NodeDraft,
    bare_plan,
    plan_of,
)
from flyte_nb.sdk.promise import Outputs, Promise
from flyte_nb.types.codec import Codec, spell
from flyte_nb.types.containers import ListCodec, MapCodec

if TYPE_CHECKING:
    from flyte_nb.api.literal_types import LiteralType
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.frames import Section
    from flyte_nb.types.registry import Registry

_ABSENT = object()


class TracingFrame:
    """One body that is being traced: its nodes so far, and every problem."""

    def __init__(
        self,
        name: str,
        registry: "Registry",
        scope: Scope,
        version_of: "Callable[[Definition], str]",
        data: "DataAccess | None" = None,
    ) -> None:
        self.name = name
        self.registry = registry
        self.scope = scope
        self.version_of = version_of
        self.data = data
        self.drafts: list[NodeDraft] = []
        self.problems: list[Problem] = []
        self.sections: list[Section] = []
        """The conditionals that are being written, the innermost last."""
        self._plans: dict[int, CallPlan] = {}
        self._named: dict[tuple[str, str], CallPlan] = {}
        self._same: list[Definition] = []
        """Entities that equal one that was called before. Kept, so that no other object gets their `id()`."""

    @property
    def entities(self) -> "tuple[Definition, ...]":
        """What the workflow refers to, each once, in the order of first use."""
        plans = {id(plan): plan for plan in self._plans.values()}
        return tuple(plan.entity for plan in plans.values() if plan.entity is not None)

    def call(
        self,
        entity: "Definition",
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
        caller: "FrameType | CodePosition",
    ) -> Any:
        """Make a node for a call of `entity`, and return promises of its outputs."""
        plan = self._plans.get(id(entity)) or self._plan(entity, caller)
        node_id = f"n{len(self.drafts)}"
        draft = NodeDraft(node_id, plan, caller.f_code, caller.f_lasti)
        self.drafts.append(draft)
        if self.sections:
            self.sections[-1].calls.append(draft)
        if args:
            kwargs = self._arguments(draft, args, kwargs)
        bindings: list[Binding] = []
        upstream: list[str] = []
        given, is_complete = 0, True
        for name, codec in plan.inputs:
            value = kwargs.get(name, _ABSENT)
            if type(value) is Promise:
                given += 1
                # `tuple.__new__`, and no call of `bind`: every node of a large graph comes through here.
                reference = value._reference
                bindings.append(tuple.__new__(Binding, (name, reference)))
                if reference[0]:
                    upstream.append(reference[0])
                continue
            if value is not _ABSENT:
                given += 1
                data = self._constant(draft, name, value, codec, upstream)
            elif name in plan.required:
                data = None
                is_complete = False
            else:
                data = self._default(draft, name, codec)
            if data is not None:
                bindings.append(Binding(name, data))
        # Only a call that misses an input, or has one too many, is matched once more, for its problems.
        if not is_complete or given != len(kwargs):
            self._arguments(draft, (), kwargs)
        draft.bindings = tuple(bindings)
        if upstream:
            draft.upstream = tuple(upstream)
        if plan.single:
            output, type_, label = plan.outputs[0]
            reference = tuple.__new__(OutputReference, (node_id, output, ()))
            return Promise(draft, reference, type_, label)
        promises = tuple(
            Promise(draft, OutputReference(node_id, output), type_, label)
            for output, type_, label in plan.outputs
        )
        return Outputs(draft, promises, tuple(output[0] for output in plan.outputs), plan.name)

    def gate(
        self,
        target: Target,
        metadata: NodeMetadata,
        caller: FrameType,
        *,
        label: str,
        output: "tuple[str, LiteralType | None] | None" = None,
        approved: "Promise | None" = None,
    ) -> "Promise | Outputs":
        """Make a node that waits, and return a promise of its output.

        Args:
            target: what it waits for.
            metadata: its name, and how long it waits at most.
            caller: where it is written.
            label: what messages call it.
            output: name and type of its output; `None` when it has none.
            approved: the promise that it passes on.
        """
        draft = NodeDraft(
            f"n{len(self.drafts)}",
            bare_plan(label, target, metadata),
            caller.f_code,
            caller.f_lasti,
        )
        self.add(draft)
        if approved is not None:
            reference = approved._reference
            draft.bindings = (Binding(reference.var, reference),)
            draft.upstream = (reference.node_id,)
        if output is None:
            return Outputs(draft, (), (), label)
        name, type_ = output
        return Promise(draft, OutputReference(draft.node_id, name), type_, label)

    def branch(self, section: "Section") -> "Promise | Outputs":
        """Make the node of a conditional that is complete, and return promises of its outputs."""
        return branch_of(self, section)

    def hoist(self, draft: NodeDraft) -> None:
        """Take a call out of the conditional in which it is written: the conditional needs its output."""
        if len(self.sections) > 1:
            # The conditional around it reports the call: nothing else can run inside of an arm.
            self.sections[-2].calls.append(draft)

    def add(self, draft: NodeDraft) -> None:
        """Append a node, to the conditional too in which it is written."""
        self.drafts.append(draft)
        if self.sections:
            self.sections[-1].calls.append(draft)

    def bind(self, value: Any, codec: Codec, upstream: "list[str]") -> BindingData:
        """Return what fills an input or output: a reference, a constant, or a list or dict of both.

        The `node_id` of each call whose result is used is added to `upstream`.

        Raises:
            CodecError: a constant does not fit.
        """
        kind = type(value)
        if kind is Promise:
            reference: OutputReference = value._reference
            if reference.node_id:
                upstream.append(reference.node_id)
            return reference
        if kind is Outputs:
            raise _not_one_value(value)
        if issubclass(kind, Condition):
            raise CodecError(
                f"{value!r} is a condition, which only conditional(…).if_(…) takes.",
                hint="Compare in a task to get a bool.",
            )
        # A container without promises is a constant, which the codec encodes as a whole; a column of a
        # million numbers must not become a million bindings.
        if kind in (list, tuple, dict) and _has_promise(value):
            item = _item_codec(codec, kind)
            if kind is dict:
                return BindingMap(
                    {
                        key: self._bind_part(part, item, upstream, f"[{key!r}]")
                        for key, part in value.items()
                    }
                )
            return BindingCollection(
                tuple(
                    self._bind_part(part, item, upstream, f"[{index}]")
                    for index, part in enumerate(value)
                )
            )
        return codec.encode(value, self.data)

    def problem(
        self,
        code: str,
        message: str,
        *,
        draft: "NodeDraft | None" = None,
        variable: str = "",
        hint: str = "",
        location: "Location | None" = None,
    ) -> None:
        """Note a problem; with `draft`, at the line of its call."""
        node_id = ""
        if draft is not None:
            node_id = draft.id
            location = location or CodeLines().location(draft.code, draft.instruction)
        self.problems.append(
            Problem(
                code=code,
                message=message,
                node_id=node_id,
                variable=variable,
                hint=hint,
                location=location,
                entity=self.name,
            )
        )

    def _bind_part(self, part: Any, codec: Codec, upstream: "list[str]", step: str) -> BindingData:
        try:
            return self.bind(part, codec, upstream)
        except CodecError as error:
            raise error.below(step) from None

    def _arguments(
        self, draft: NodeDraft, args: "tuple[Any, ...]", kwargs: "dict[str, Any]"
    ) -> "dict[str, Any]":
        """Return the arguments by name; note what is wrong with them, once for a call."""
        plan = draft.plan
        # A bad type was reported with the signature. Its value must not become an unknown input as well.
        kwargs = {name: value for name, value in kwargs.items() if name not in plan.unreadable}
        given, problems = bind_arguments(
            plan.name,
            [name for name, _ in plan.inputs],
            plan.positional,
            [name for name, _ in plan.inputs if name not in plan.required],
            args,
            kwargs,
        )
        for each in problems:
            self.problem(
                each.code, each.message, draft=draft, variable=each.variable, hint=each.hint
            )
        return given

    def _constant(
        self, draft: NodeDraft, name: str, value: Any, codec: Codec, upstream: "list[str]"
    ) -> "BindingData | None":
        try:
            return self.bind(value, codec, upstream)
        except CodecError as error:
            where, near = "", None
            # A suggestion stands for the whole value, so it helps only where the whole value does not fit.
            if error.path == "$":
                near = codec.nearest(value)
            else:
                where = f" (at {error.path})"
            self.problem(
                "ValueDoesNotFit",
                f"{draft.plan.name}.{name}: {error.bare_message}{where}",
                draft=draft,
                variable=name,
                hint=f"Write {name}={near!r}." if near is not None else error.hint,
            )
            return None

    def _default(self, draft: NodeDraft, name: str, codec: Codec) -> "BindingData | None":
        plan = draft.plan
        if name not in plan.defaults:
            return None
        # A default is encoded once for all calls of an entity, not for every node.
        literal = plan.default_literals.get(name)
        if literal is not None:
            return literal
        # A default holds no promise, so its upstream nodes are not needed.
        data = self._constant(draft, name, plan.defaults[name], codec, [])
        if isinstance(data, Literal):  # else it did not fit, and every call reports that
            plan.default_literals[name] = data
        return data

    def _plan(self, entity: "Definition", caller: "FrameType | CodePosition") -> CallPlan:
        # Maps and launch plans are often made anew at every call. Equal ones share the first one's plan, so
        # that the workflow refers to one entity.
        key = (entity.resource_type, entity_name(entity, self.scope))
        named = self._named.get(key)
        if named is not None and named.entity is not None and named.entity.is_same(entity):
            self._same.append(entity)
            self._plans[id(entity)] = named
            return named
        reading = entity.read(self.registry)
        self.problems.extend(reading.problems)
        if named is not None:
            self.problem(
                "DuplicateName",
                f"Two different definitions are called {key[1]}.",
                hint="Run the cells that use the older one anew, or give one another name.",
                location=CodeLines().location(caller.f_code, caller.f_lasti),
            )
        identifier = identify(entity, self.scope, self.version_of(entity))
        plan = self._plans[id(entity)] = plan_of(entity, identifier, reading)
        # The first definition keeps the name, so each later one is compared with that and reported.
        self._named.setdefault(key, plan)
        return plan


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
    """Return the codec of the parts of a list or dict that holds promises."""
    wanted = MapCodec if kind is dict else ListCodec
    for variant in codec.variants:
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
