"""Take the inputs of one element of a map. Propeller passes the whole lists to every element, and its number.

Source: flytekit/core/array_node_map_task.py; flyteplugins sets the variables for arrays.
"""

from collections.abc import Mapping
from typing import Any

from flyte_nb.api import literals
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.api.literals import Literal

NAME_VARIABLE = "BATCH_JOB_ARRAY_INDEX_VAR_NAME"
"""Names the variable that holds the element's number, e.g. `FLYTE_K8S_ARRAY_INDEX`."""
OFFSET_VARIABLE = "BATCH_JOB_ARRAY_INDEX_OFFSET"


def element_of(
    inputs: "Mapping[str, Literal]", mapped: "tuple[str, ...]", env: "Mapping[str, str]"
) -> "dict[str, Literal]":
    """Return the inputs of the element that the environment names: its item of each mapped list.

    Other inputs are passed to every element unchanged.

    Args:
        inputs: The inputs of the whole map.
        mapped: The names of the inputs that are lists, of which each element gets one item.
        env: The attempt's variables, which have the element's number.

    Raises:
        TaskFailed: when the environment names no element, or a mapped input is not a list with that item.
    """
    index = _index(env)
    return {
        name: _item(name, literal, index) if name in mapped else literal
        for name, literal in inputs.items()
    }


def _index(env: "Mapping[str, str]") -> int:
    name = env.get(NAME_VARIABLE, "")
    number, offset = env.get(name, ""), env.get(OFFSET_VARIABLE) or "0"
    try:
        return int(number) + int(offset)
    except ValueError:
        message = (
            f"This is one element of a map, and the environment does not say which one: {NAME_VARIABLE}"
            f" is {name!r}, {name or 'the variable that it names'} is {number!r}, and"
            f" {OFFSET_VARIABLE} is {offset!r}. The platform that runs the map must set them."
        )
        raise TaskFailed(ErrorInfo("SYSTEM:MapIndexMissing", message, SYSTEM)) from None


def _item(name: str, literal: Literal, index: int) -> Literal:
    kind, value = literal.kind, literal.value
    if kind == literals.COLUMN:
        items: Any = value[1]
    elif kind == literals.COLLECTION:
        items = value
    else:
        message = (
            f"The input {name!r} of a map must be a list, and it is {kind}. Bind a list to it."
        )
        raise TaskFailed(ErrorInfo("USER:MapInputMismatch", message, USER))
    if not 0 <= index < len(items):
        message = (
            f"The input {name!r} of a map has {len(items)} items, and this is element {index},"
            " counted from 0. All lists that a map takes must have the same length."
        )
        raise TaskFailed(ErrorInfo("USER:MapInputMismatch", message, USER))
    return Literal(value[0], items[index]) if kind == literals.COLUMN else items[index]
