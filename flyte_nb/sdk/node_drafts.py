"""Nodes that can still change, what all calls of one entity share, and the lines where calls are written."""

from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.specs import (
    Binding,
    BindingCollection,
    BindingData,
    BindingMap,
    BranchNode,
    Comparison,
    Conjunction,
    Location,
    Node,
    NodeMetadata,
    OutputReference,
    Target,
)
from flyte_nb.sdk.overrides import apply, checked, node_id_of
from flyte_nb.types.codec import Codec

if TYPE_CHECKING:
    from flyte_nb.sdk.entity import Definition
    from flyte_nb.sdk.signature import SignatureReading


class CallPlan(NamedTuple):
    """What all calls of one entity have in common."""

    entity: "Definition | None"
    """`None` for a gate and a branch, which refer to nothing."""
    name: str
    target: Target
    metadata: NodeMetadata
    inputs: "tuple[tuple[str, Codec], ...]"
    """Sorted by name, as bindings are."""
    positional: "tuple[str, ...]"
    required: "frozenset[str]"
    defaults: "dict[str, Any]"
    outputs: "tuple[tuple[str, LiteralType | None, str], ...]"
    """Name, type and label of each."""
    single: bool
    default_literals: "dict[str, Literal]"
    unreadable: "frozenset[str]"
    """Inputs whose type is a problem already; values for them are not checked."""


class CodePosition(NamedTuple):
    """Where a call is written, as a frame says it; for nodes that no line of a body calls."""

    f_code: CodeType
    f_lasti: int


class NodeDraft:
    """A node that can still change: it can be ordered after others and be given options."""

    # No more than eight fields and no list: a workflow may have 10,000 of them.
    __slots__ = (
        "bindings",
        "code",
        "fixed_id",
        "instruction",
        "node_id",
        "overrides",
        "plan",
        "upstream",
    )

    def __init__(self, node_id: str, plan: CallPlan, code: CodeType, instruction: int) -> None:
        self.node_id = node_id
        """`n<number of the call>`: its name in other nodes and in bindings until they are finished."""
        self.plan = plan
        self.code = code
        self.instruction = instruction
        self.bindings: tuple[Binding, ...] = ()
        self.upstream: tuple[str, ...] = ()
        """The `node_id` of each node that it waits for, perhaps repeated."""
        self.fixed_id = ""
        self.overrides: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The node's id: `n<number>`, or that of `with_overrides(node_name=…)`."""
        return self.fixed_id or self.node_id

    def follow(self, other: "NodeDraft") -> None:
        """Start after `other` has ended."""
        # Repeats are harmless, because `finished` removes them.
        self.upstream = (*self.upstream, other.node_id)

    def override(self, options: "dict[str, Any]") -> None:
        """Set options for this node; they add to those of earlier calls.

        Raises:
            UsageError: an option is unknown or has a value that it cannot have.
        """
        known = checked(options, self.plan.name, self.plan.target)
        if "node_name" in known:
            self.fixed_id = node_id_of(known["node_name"])
        self.overrides = {**(self.overrides or {}), **known}


class BranchDraft(NodeDraft):
    """A branch that can still change. The nodes of its arms are drafts among those of the body."""

    __slots__ = ("arms",)

    def __init__(
        self, node_id: str, plan: CallPlan, code: CodeType, instruction: int, arms: "list[ArmDraft]"
    ) -> None:
        super().__init__(node_id, plan, code, instruction)
        self.arms = arms


class ArmDraft(NamedTuple):
    """One arm of a branch."""

    condition: "Comparison | Conjunction | None"
    """With operands that name inputs by `n<number>` still; `None` for the last arm."""
    draft: "NodeDraft | None"
    error: str = ""


class CodeLines:
    """The lines of instructions. Each code object's table is read once, not for every call."""

    def __init__(self) -> None:
        # By identity: a code object's own hash is computed from all its contents, at every look-up.
        self._codes: dict[int, tuple[CodeType, dict[int, int], dict[int, Location]]] = {}

    def location(self, code: CodeType, instruction: int) -> Location:
        """Return the line that the instruction belongs to."""
        known = self._codes.get(id(code))
        if known is None:
            known = self._codes[id(code)] = (code, _table(code), {})
        _, table, places = known
        place = places.get(instruction)
        if place is None:
            line = table.get(instruction, code.co_firstlineno)
            place = places[instruction] = Location(code.co_filename, line)
        return place


def _table(code: CodeType) -> "dict[int, int]":
    table: dict[int, int] = {}
    for start, end, line in code.co_lines():
        if line is not None:
            # An instruction is two bytes long, so every second offset can be a frame's `f_lasti`.
            table.update(dict.fromkeys(range(start, end, 2), line))
    return table


def final_ids(drafts: "list[NodeDraft]", prefix: str = "") -> "list[str]":
    """Return the nodes' ids in the order of the calls: `<prefix>n<index>`, or the given `node_name`.

    The nodes of a branch's arms are counted from 0 in each branch, as flytekit counts them: Flyte puts the
    id of the branch before theirs.
    """
    # Without a branch every node's number is its place, and most workflows have none.
    if not any(type(draft) is BranchDraft for draft in drafts):
        return [draft.fixed_id or prefix + draft.node_id for draft in drafts]
    branch_of = nodes_in_arms(drafts)
    counted: dict[NodeDraft | None, int] = {}
    ids = []
    for draft in drafts:
        branch = branch_of.get(draft.node_id)
        number = counted.get(branch, 0)
        counted[branch] = number + 1
        ids.append(draft.fixed_id or f"{prefix}n{number}")
    return ids


def nodes_in_arms(drafts: "list[NodeDraft]") -> "dict[str, NodeDraft]":
    """Return the branch of each node that is in an arm, by the node's `node_id`."""
    return {
        arm.draft.node_id: draft
        for draft in drafts
        if isinstance(draft, BranchDraft)
        for arm in draft.arms
        if arm.draft is not None
    }


def finished(drafts: "list[NodeDraft]", prefix: str = "") -> "tuple[Node, ...]":
    """Return the nodes as they are registered, in the order of the calls."""
    lines = CodeLines()
    ids = final_ids(drafts, prefix)
    renamed = bool(prefix) or any(draft.fixed_id for draft in drafts)
    inner: dict[str, Node] = {}
    in_arms = nodes_in_arms(drafts)
    renamed = renamed or bool(in_arms)
    # `tuple.__new__`, because 10,000 nodes may be made here, and a NamedTuple's own takes half as long again.
    make = tuple.__new__
    nodes = []
    for node_id, draft in zip(ids, drafts, strict=True):
        plan = draft.plan
        target, metadata, bindings = plan.target, plan.metadata, draft.bindings
        if draft.overrides is not None:
            metadata, target = apply(draft.overrides, metadata, target)
        upstream = draft.upstream
        # In the order of the calls, each once: equal workflows must have equal templates.
        if len(upstream) > 1:
            upstream = tuple(sorted(set(upstream), key=_number))
        # Until now nodes name each other `n<number>`; most workflows keep these ids and skip this walk.
        if renamed:
            bindings = tuple(each._replace(data=with_ids(each.data, ids)) for each in bindings)
            upstream = tuple([ids[_number(each)] for each in upstream])
        if isinstance(draft, BranchDraft):
            # An arm's node was called before its branch, so it is finished already.
            target = _branch(draft, inner, ids)
            bindings = tuple(each._replace(var=_named(each.var, ids)) for each in bindings)
        place = lines.location(draft.code, draft.instruction)
        node = make(Node, (node_id, target, bindings, upstream, metadata, place))
        if draft.node_id in in_arms:
            inner[draft.node_id] = node
        else:
            nodes.append(node)
    return tuple(nodes)


def _branch(draft: BranchDraft, inner: "dict[str, Node]", ids: "list[str]") -> BranchNode:
    """Return what a branch runs, from the finished nodes of its arms."""
    arms = [
        (_with_names(arm.condition, ids), inner[arm.draft.node_id])
        for arm in draft.arms
        if arm.condition is not None and arm.draft is not None
    ]
    last = draft.arms[-1]
    otherwise = None if last.draft is None else inner[last.draft.node_id]
    return BranchNode(tuple(arms), otherwise, last.error, draft.plan.metadata.name)


def _with_names(
    condition: "Comparison | Conjunction", ids: "list[str]"
) -> "Comparison | Conjunction":
    """Return the condition with the nodes' final ids in the names of its operands."""
    if isinstance(condition, Conjunction):
        left, right = _with_names(condition.left, ids), _with_names(condition.right, ids)
        return Conjunction(condition.operator, left, right)
    sides = [
        _named(side, ids) if isinstance(side, str) else side
        for side in (condition.left, condition.right)
    ]
    return Comparison(condition.operator, *sides)


def _named(operand: str, ids: "list[str]") -> str:
    """Return the name of a branch's input with the node's final id: `n3.o0`; `.x` is a workflow's input."""
    node_id, _, rest = operand.partition(".")
    return f"{ids[_number(node_id)]}.{rest}" if node_id else operand


def _number(node_id: str) -> int:
    """Return the place of a node among the calls, which its id has until it is finished."""
    # As numbers, `n10` comes after `n9`; as text it would come before `n2`.
    return int(node_id[1:])


def with_ids(data: BindingData, ids: "list[str]") -> BindingData:
    """Return the data with the nodes' final ids in place of `n<number>`."""
    if isinstance(data, OutputReference):
        if data.node_id:
            return data._replace(node_id=ids[_number(data.node_id)])
        return data
    if isinstance(data, BindingCollection):
        return BindingCollection(tuple(with_ids(item, ids) for item in data.items))
    if isinstance(data, BindingMap):
        return BindingMap({key: with_ids(item, ids) for key, item in data.items.items()})
    return data


def bare_plan(name: str, target: Target, metadata: NodeMetadata) -> CallPlan:
    """Return the plan of a node that calls no entity."""
    return CallPlan(
        entity=None,
        name=name,
        target=target,
        metadata=metadata,
        inputs=(),
        positional=(),
        required=frozenset(),
        defaults={},
        outputs=(),
        single=False,
        default_literals={},
        unreadable=frozenset(),
    )


def plan_of(entity: "Definition", identifier: Identifier, reading: "SignatureReading") -> CallPlan:
    """Return what all calls of `entity` have in common."""
    signature = reading.signature
    name, bound = entity.shown_name, entity.fixed_inputs
    inputs = tuple(
        (each, codec) for each, codec in sorted(signature.input_codecs.items()) if each not in bound
    )
    alone = len(signature.output_names) == 1
    types = {each: variable.type for each, variable in signature.interface.outputs.items()}
    outputs = tuple(
        (each, types.get(each), f"{name}()" if alone else f"{name}().{each}")
        for each in signature.output_names
    )
    # A launch plan's defaults are applied where it runs, so they are not bound here.
    is_launch_plan = entity.resource_type == LAUNCH_PLAN
    return CallPlan(
        entity=entity,
        name=name,
        target=entity.target(identifier),
        metadata=entity.node_metadata(),
        inputs=inputs,
        positional=tuple(each for each in signature.positional if each not in bound),
        required=frozenset(each for each, _ in inputs if each not in signature.defaults),
        defaults={} if is_launch_plan else signature.defaults,
        outputs=outputs,
        single=signature.output_kind == "single",
        default_literals={},
        unreadable=reading.unreadable,
    )
