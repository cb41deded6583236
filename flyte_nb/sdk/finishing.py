"""Finish a traced body: bind its outputs, and check the ids of its nodes."""

from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.specs import Binding
from flyte_nb.sdk.node_drafts import CodeLines, final_ids, with_ids
from flyte_nb.sdk.outputs import pack

if TYPE_CHECKING:
    from flyte_nb.sdk.callee import Callee
    from flyte_nb.sdk.signature import TaskSignature
    from flyte_nb.sdk.tracing import TracingFrame


def bind_outputs(
    frame: "TracingFrame",
    entity: "Callee",
    signature: "TaskSignature",
    value: Any,
    prefix: str = "",
) -> "tuple[Binding, ...]":
    """Return bindings for what the body of `entity` returned; note in the frame what does not fit."""
    try:
        by_name = pack(value, signature)
    except CodecError as error:
        frame.problem("WrongOutputs", error.bare_message, hint=error.hint, location=entity.location)
        return ()
    # Drafts may still have been renamed after they were bound, so references get their ids only now.
    ids = final_ids(frame.drafts, prefix)
    bindings = []
    for name in sorted(by_name):
        codec = signature.output_codecs.get(name)
        if codec is None:
            continue  # its type is a problem already
        try:
            data = frame.bind(by_name[name], codec, [])
        except CodecError as error:
            frame.problem(
                "ValueDoesNotFit",
                f"The output {name} of {entity.short_name}: {error.bare_message}",
                variable=name,
                hint=error.hint,
                location=entity.location,
            )
            continue
        bindings.append(Binding(name, with_ids(data, ids)))
    return tuple(bindings)


def check_sections(frame: "TracingFrame") -> None:
    """Note conditionals that have no end."""
    for section in frame.sections:
        frame.problem(
            "BranchNodeHasNoDefault",
            f"{section!r} has no else_().",
            hint="End it with .else_().then(…), or with .else_().fail('why').",
            location=CodeLines().location(section.caller.f_code, section.instruction),
        )


def check_ids(frame: "TracingFrame") -> None:
    """Note nodes that share an id, or whose id is one that a dynamic task's nodes will get."""
    if not any(draft.fixed_id for draft in frame.drafts):
        return
    seen = set()
    for draft in frame.drafts:
        if draft.id in seen:
            frame.problem(
                "DuplicateNodeId",
                f"Two nodes have the id {draft.id}.",
                draft=draft,
                hint="Give node_name another value.",
            )
        seen.add(draft.id)
    dynamic = [
        draft.id
        for draft in frame.drafts
        if draft.plan.entity is not None and draft.plan.entity.is_dynamic
    ]
    for draft in frame.drafts:
        # In a run, the nodes of a dynamic task n0 have the ids `n0-<attempt>-<id in its body>`.
        for outer in dynamic:
            attempt, dash, rest = draft.fixed_id.removeprefix(f"{outer}-").partition("-")
            if draft.fixed_id.startswith(f"{outer}-") and attempt.isdecimal() and dash and rest:
                frame.problem(
                    "DuplicateNodeId",
                    f"The id {draft.id} can be that of a node inside of {outer}, when it runs.",
                    draft=draft,
                    hint="Give node_name another value.",
                )
