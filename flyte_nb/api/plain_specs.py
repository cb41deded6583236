"""Convert specs to JSON data and back, for the pipe between worker and host.

An object of a value class becomes a JSON object of its class's name and its fields:
`{"TaskNode": [{"Identifier": ["task", "p", "d", "nb.f", "v"]}, null]}`. The ring of a bundle and the host
may be of different releases. So fields are only ever appended, and a missing one gets its default.
"""

from typing import Any

from flyte_nb.api import identifiers, literal_types, specs
from flyte_nb.api.literals import Literal, from_plain, to_plain, type_from_plain, type_to_plain

# Every class of `specs`: a dynamic task may make nodes of any kind.
_CLASSES: "dict[str, Any]" = {
    "Identifier": identifiers.Identifier,
    **{
        name: kind
        for name, kind in vars(specs).items()
        if isinstance(kind, type) and issubclass(kind, tuple) and kind.__module__ == specs.__name__
    },
}
_LITERAL, _TYPE, _DICT, _LIST = "literal", "type", "dict", "list"


def spec_to_plain(value: Any) -> Any:
    """Return the value as JSON data.

    Args:
        value: an object of a class of `api.specs`, or what their fields hold.

    Raises:
        TypeError: when it is, or contains, something else.
    """
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is Literal:
        return {_LITERAL: to_plain(value)}
    if kind is literal_types.LiteralType:
        return {_TYPE: type_to_plain(value)}
    if kind is dict:
        return {_DICT: [[key, spec_to_plain(item)] for key, item in value.items()]}
    if kind is list:
        return {_LIST: [spec_to_plain(item) for item in value]}
    if kind is tuple:
        return [spec_to_plain(item) for item in value]
    if _CLASSES.get(kind.__name__) is kind:
        return {kind.__name__: [spec_to_plain(item) for item in value]}
    raise TypeError(f"{kind.__name__} is not a spec")


def spec_from_plain(plain: Any) -> Any:
    """Return the value that `spec_to_plain` converted.

    Raises:
        TypeError, ValueError, KeyError, IndexError, AttributeError: when `plain` is anything else.
    """
    if isinstance(plain, list):
        return tuple(spec_from_plain(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    [(kind, content)] = plain.items()
    if kind == _LITERAL:
        return from_plain(content)
    if kind == _TYPE:
        return type_from_plain(content)
    if kind == _DICT:
        return {key: spec_from_plain(item) for key, item in content}
    if kind == _LIST:
        return [spec_from_plain(item) for item in content]
    return _CLASSES[kind](*[spec_from_plain(item) for item in content])
