"""Turn protobuf bytes into a kind and its message. Bytes do not name their message; names and shapes do."""

import re
from typing import Any

from google.protobuf.message import DecodeError, Message

from flyte_nb.discovery.specs.kinds import KINDS, Kind, NoKind, resource_type_of

_NUMBERED = re.compile(r"_([123])\.(?:pb|binpb|bin)$")
_BY_NUMBER = {"1": "TaskSpec", "2": "WorkflowSpec", "3": "LaunchPlan"}
"""As `pyflyte serialize` numbers files, and flytectl reads them."""

_GUESSED = ("TaskSpec", "WorkflowSpec", "LaunchPlan", "CompiledWorkflowClosure", "TaskTemplate",
            "WorkflowTemplate")  # fmt: skip


def binary_message(data: bytes, name: str) -> "tuple[Kind, Any]":
    """Return the message in `data`, and its kind.

    Args:
        data: The file's bytes.
        name: The file's name, which may number the kind.

    Raises:
        NoKind: no message fits, or several do; it says what was tried.
    """
    numbered = _NUMBERED.search(name)
    if numbered is not None:
        kind = KINDS[_BY_NUMBER[numbered[1]]]
        message = _parsed(kind, data)
        if message is None or not _fits(kind, message):
            raise NoKind(
                f"It is no {kind.name}, which _{numbered[1]} in its name says it is: it is cut short,"
                " damaged, or another message.",
                "Write it anew, or name it by what it is: _1 a task, _2 a workflow, _3 a launch plan.",
            )
        return kind, message
    # protobuf parses almost any bytes as almost any message. A message is taken only when it knows all
    # fields, and when exactly one kind fits.
    fitting = []
    for word in _GUESSED:
        message = _parsed(KINDS[word], data)
        if message is not None and _fits(KINDS[word], message) and _is_whole(message):
            fitting.append((KINDS[word], message))
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise NoKind(
            f"It is no message that holds a spec (tried: {', '.join(_GUESSED)}); perhaps it is cut"
            " short.",
            "Write it anew.",
        )
    raise NoKind(
        f"It could be {' or '.join(kind.name for kind, _ in fitting)}.",
        "End its name with _1.pb for a task, _2.pb for a workflow, _3.pb for a launch plan.",
    )


def _parsed(kind: Kind, data: bytes) -> "Message | None":
    try:
        message: Message = kind.message.FromString(data)
    except (DecodeError, RecursionError):
        return None
    return message


def _fits(kind: Kind, message: Any) -> bool:
    """Return whether everything in it has a name, and an id of the kind's resource type."""
    found = list(kind.found(message))
    return bool(found) and all(
        id.name and resource_type_of(id) in ("", noun) for noun, id, _ in found
    )


def _is_whole(message: Any) -> bool:
    """Return whether the message knows every field of the bytes."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return bool(known.ByteSize() == message.ByteSize())
