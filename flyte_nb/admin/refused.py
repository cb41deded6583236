"""How a call is refused: one error with gRPC's status, FlyteAdmin's words, and at most one detail.

The words are part of the protocol: clients compare codes, people and scripts search the texts.
Source: flyteadmin/pkg/manager/impl/shared/errors.go, flyteadmin/pkg/repositories/errors at v1.16.8.
"""

from google.protobuf.message import Message

from flyte_nb.api.errors import RemoteError
from flyte_nb.compiler.flyte_text import go_text

MAX_TEXT_BYTES = 32_000
"""FlyteAdmin cuts status texts here (`MaxResponseStatusBytes`)."""


class Refused(RemoteError):
    """A call is not carried out. `code` is gRPC's status name, `detail` a message of flyteidl's."""

    def __init__(self, code: str, text: str, detail: "Message | None" = None) -> None:
        super().__init__(text, code=code)
        self.detail = detail


def invalid(text: str, detail: "Message | None" = None) -> Refused:
    """`INVALID_ARGUMENT` with that text."""
    return Refused("INVALID_ARGUMENT", text, detail)


def missing(field: str) -> Refused:
    """A required field is empty."""
    return invalid(f"missing {field}")


def invalid_value(field: str) -> Refused:
    """A field has a value that it cannot have."""
    return invalid(f"invalid value for {field}")


def not_found(label: str, identifier: Message) -> Refused:
    """There is no such row. `label` is the repository's word for it, e.g. `TASK`, `execution`."""
    return Refused(
        "NOT_FOUND", f"missing entity of type {label} with identifier {go_text(identifier)}"
    )


def entry_not_found() -> Refused:
    """There is no such row, of the kinds for which FlyteAdmin says no more."""
    return Refused("NOT_FOUND", "entry not found")


def exists(text: str, detail: "Message | None" = None) -> Refused:
    """`ALREADY_EXISTS`: the one answer that clients take for success when they register again."""
    return Refused("ALREADY_EXISTS", text, detail)


def precondition(text: str, detail: "Message | None" = None) -> Refused:
    """`FAILED_PRECONDITION`: the thing is not in a state that allows this."""
    return Refused("FAILED_PRECONDITION", text, detail)
