"""Compare a version that is registered again with the stored one: equal is fine, different is refused."""

from hashlib import sha256
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from flyte_nb.admin.refused import Refused, exists, invalid

_MAX_DIFFERENCES = 200


def content_digest(message: Message) -> bytes:
    """Return 32 bytes that are equal for equal messages, on this machine.

    FlyteAdmin stores pbhash's digests here, which take fifty times as long. Nothing that leaves the
    backend depends on this value.
    """
    return sha256(message.SerializeToString(deterministic=True)).digest()


def same_or_different(
    word: str,
    name: str,
    *,
    stored: Message,
    sent: Message,
    is_same: bool,
    details: "tuple[Message | None, Message | None]" = (None, None),
) -> Refused:
    """Return the refusal of a version whose id is taken.

    Args:
        word: The noun, for the text.
        name: The entity's name, for the text.
        stored: What the store has.
        sent: What the call sent.
        is_same: Whether both are equal.
        details: flyteidl's detail for the identical case, and for the different one.
    """
    # Clients that register a whole project again take the first answer for success.
    if is_same:
        return exists(f"{word} with identical structure already exists", details[0])
    return invalid(
        f"{name} {word} with different structure already exists. (Please register a new version of"
        f" the {word}):\n" + "\n".join(differences(stored, sent)),
        details[1],
    )


def differences(old: Message, new: Message) -> list[str]:
    """Return each value that differs between the messages, as FlyteAdmin shows it; at most 200."""
    found: list[str] = []
    try:
        one, other = (
            json_format.MessageToDict(message, preserving_proto_field_name=True)
            for message in (old, new)
        )
    except (json_format.Error, ValueError, TypeError):
        # JSON cannot hold infinity, the year 10,000, or an `Any` of an unknown type.
        one, other = _plain(old), _plain(new)
    _compare(one, other, "", found)
    return found[:_MAX_DIFFERENCES]


def _plain(message: Message) -> "dict[str, Any]":
    """Return the fields of the message as plain values. Works for values that JSON cannot hold."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if not field.message_type:
            found[field.name] = list(value) if field.is_repeated else value
        elif not field.is_repeated:
            found[field.name] = _plain(value)
        elif field.message_type.GetOptions().map_entry:
            is_message = field.message_type.fields_by_name["value"].message_type is not None
            found[field.name] = {
                str(key): _plain(value[key]) if is_message else value[key] for key in value
            }
        else:
            found[field.name] = [_plain(item) for item in value]
    return found


def _compare(old: Any, new: Any, path: str, found: list[str]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            _compare(old.get(key), new.get(key), f"{path}/{key}", found)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            _compare(one, other, f"{path}/{index}", found)
    elif old != new:
        found.append(f"{path}:\n\t- {old} \n\t+ {new}")
