"""Make the node of a conditional: bind what its conditions compare, and find the outputs of all its arms."""

from typing import TYPE_CHECKING

from flyte_nb.api import literal_types, specs
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import NOTHING, SCALAR_KINDS, Literal
from flyte_nb.api.specs import Binding, BranchNode, NodeMetadata, OutputReference
from flyte_nb.sdk.conditions import Comparison, Condition, Conjunction
from flyte_nb.sdk.node_drafts import ArmDraft, BranchDraft, bare_plan
from flyte_nb.sdk.promise import Outputs, Promise

if TYPE_CHECKING:
    from flyte_nb.api.literal_types import LiteralType
    from flyte_nb.sdk.frames import Frame, Section


def branch_of(frame: "Frame", section: "Section") -> "Promise | Outputs":
    """Add the node of a conditional to the frame, and return promises of its outputs."""
    caller = section.caller
    draft = BranchDraft(
        f"n{len(frame.drafts)}",
        bare_plan(repr(section), BranchNode(()), NodeMetadata(section.name)),
        caller.f_code,
        section.instruction,
        [],
    )
    frame.add(draft)
    operands = _Operands(frame, draft)
    for arm in section.arms:
        condition = None if arm.condition is None else operands.condition(arm.condition)
        draft.arms.append(ArmDraft(condition, arm.draft, arm.error))
    draft.bindings = tuple(
        Binding(name, reference) for name, reference in sorted(operands.references.items())
    )
    draft.upstream = tuple(
        reference.node_id for reference in operands.references.values() if reference.node_id
    )
    _note_strays(frame, section)
    names, types = _outputs(section)
    promises = tuple(
        Promise(draft, OutputReference(draft.node_id, name), types[name], f"{section!r}.{name}")
        for name in names
    )
    # One output comes back as a value, as from a task with one output.
    return promises[0] if len(promises) == 1 else Outputs(draft, promises, names, repr(section))


class _Operands:
    """The inputs of one branch: each output that a condition names is one, under a name of its own."""

    def __init__(self, frame: "Frame", draft: BranchDraft) -> None:
        self._frame = frame
        self._draft = draft
        self.references: dict[str, OutputReference] = {}

    def condition(self, condition: Condition) -> "specs.Comparison | specs.Conjunction":
        """Return the condition as plain data; note in the frame what cannot be compared."""
        if isinstance(condition, Conjunction):
            return specs.Conjunction(
                condition.operator, self.condition(condition.left), self.condition(condition.right)
            )
        assert isinstance(condition, Comparison)
        left, right = condition.left, condition.right
        assert isinstance(left, Promise)
        return specs.Comparison(
            condition.operator,
            self._promise(left),
            self._promise(right)
            if isinstance(right, Promise)
            else self._constant(right, left._type, condition),
        )

    def _promise(self, promise: Promise) -> str:
        reference = promise._reference
        # flytekit's names. A part of a value has its path in the name too, so that two parts differ.
        name = ".".join((reference.node_id, reference.var, *map(str, reference.attr_path)))
        self.references[name] = reference
        return name

    def _constant(
        self, value: object, wanted: "LiteralType | None", condition: Condition
    ) -> Literal:
        # Flyte compares values of equal types only, and people write 1 for 1.0.
        is_float = wanted == literal_types.simple(literal_types.FLOAT)
        # To Python `True` is an int, and nobody means it for 1.0.
        if is_float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        try:
            literal = self._frame.registry.codec(type(value)).encode(value, self._frame.data)
        except CodecError as error:
            return self._wrong(condition, error.bare_message)
        if literal.kind in SCALAR_KINDS:
            return literal
        return self._wrong(
            condition, "Flyte compares numbers, text, booleans, dates and durations only."
        )

    def _wrong(self, condition: Condition, why: str) -> Literal:
        self._frame.problem(
            "ConditionDoesNotCompare",
            f"The condition {condition!r} cannot be decided: {why}",
            draft=self._draft,
            hint="Let a task return what decides, as a bool, and ask for is_true().",
        )
        return NOTHING


def _note_strays(frame: "Frame", section: "Section") -> None:
    """Note calls inside the conditional that are no arm: Flyte runs one node for an arm."""
    for call in section.calls:
        if not any(arm.draft is call for arm in section.arms):
            frame.problem(
                "CallInConditional",
                f"{call.plan.name} is called inside {section!r} and is no arm of it: an arm is one call.",
                draft=call,
                hint="Call it before the conditional, if it may always run; else put both calls into a"
                " workflow, and call that in the arm.",
            )


def _outputs(
    section: "Section",
) -> "tuple[tuple[str, ...], dict[str, LiteralType | None]]":
    """Return the names of the outputs that every arm has, and their types, in the order of the first arm."""
    arms = [
        {promise._reference.var: promise._type for promise in arm.outputs}
        for arm in section.arms
        if arm.draft is not None
    ]
    if not arms:
        return (), {}
    first = arms[0]
    # An output that one arm lacks would have no value when that arm is taken. Arms that fail give none.
    names = tuple(name for name in first if all(name in arm for arm in arms))
    return names, {name: first[name] for name in names}
