"""The refusal of a call: gRPC's status, FlyteAdmin's text, and at most one detail.

The texts are part of the protocol: clients compare codes, people and scripts search the texts.
Source: flyteadmin/pkg/manager/impl/shared/errors.go, flyteadmin/pkg/repositories/errors at v1.16.8.
"""

from google.protobuf.message import Message

from flyte_nb.api.errors import RemoteError
from flyte_nb.compiler.flyte_text import go_text

MAX_TEXT_BYTES = 32_000
"""FlyteAdmin cuts status texts here (`MaxResponseStatusBytes`)."""


class Refused(RemoteError):
    """A call is refused. `code` is gRPC's status name, `detail` one of flyteidl's messages."""

    def __init__(self, code: str, text: str, detail: "Message | None" = None) -> None:
        super().__init__(text, code=code)
        self.detail = detail


def invalid(text: str, detail: "Message | None" = None) -> Refused:
    """Return `INVALID_ARGUMENT` with that text."""
    return Refused("INVALID_ARGUMENT", text, detail)


def missing(field: str) -> Refused:
    """Return the refusal of an empty required field."""
    return invalid(f"missing {field}")


def invalid_value(field: str) -> Refused:
    """Return the refusal of a value that a field cannot have."""
    return invalid(f"invalid value for {field}")


def not_found(label: str, identifier: Message) -> Refused:
    """Return the refusal for a missing row. `label` is FlyteAdmin's word, e.g. `TASK` or `execution`."""
    return Refused(
        "NOT_FOUND", f"missing entity of type {label} with identifier {go_text(identifier)}"
    )


def entry_not_found() -> Refused:
    """Return the refusal for a missing row of those nouns for which FlyteAdmin names no id."""
    return Refused("NOT_FOUND", "entry not found")


def exists(text: str, detail: "Message | None" = None) -> Refused:
    """Return `ALREADY_EXISTS`, which clients take for success when they register again."""
    return Refused("ALREADY_EXISTS", text, detail)


def precondition(text: str, detail: "Message | None" = None) -> Refused:
    """Return `FAILED_PRECONDITION`: the state of the thing does not allow this."""
    return Refused("FAILED_PRECONDITION", text, detail)
