"""Numbers of enums that a client sent. proto3 accepts any number, also those without a name."""

from typing import Any

from flyte_nb.admin.refused import invalid


def enum_text(enum: Any, number: int) -> str:
    """Return the name of the number in `enum`, or the number itself if it has none, as Go prints it."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return value.name if value is not None else str(number)


def check_enum(enum: Any, number: int, field: str) -> None:
    """Raise when the number has no name, for a field that is stored and acted on.

    Raises:
        Refused: `INVALID_ARGUMENT`, with the names that exist.
    """
    if number not in enum.DESCRIPTOR.values_by_number:
        names = ", ".join(value.name for value in enum.DESCRIPTOR.values)
        raise invalid(f"invalid value for {field}: {number} is none of {names}")
