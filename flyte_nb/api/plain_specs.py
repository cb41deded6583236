"""Specs as JSON data, for the pipe between worker and host.

A value class is an object of its name and its fields, so that what is read is what was written:
`{"TaskNode": [{"Identifier": ["task", "p", "d", "nb.f", "v"]}, null]}`. Fields are only ever appended;
one that is missing has its default.
"""

from typing import Any

from flyte_nb.api import identifiers, literal_types, specs
from flyte_nb.api.literals import Literal, from_plain, to_plain, type_from_plain, type_to_plain

_CLASSES: "dict[str, Any]" = {
    kind.__name__: kind
    for kind in (
        identifiers.Identifier,
        specs.ArrayNode,
        specs.Binding,
        specs.BindingCollection,
        specs.BindingMap,
        specs.Container,
        specs.DynamicJob,
        specs.LaunchPlanNode,
        specs.Location,
        specs.Node,
        specs.NodeMetadata,
        specs.OutputReference,
        specs.Resources,
        specs.SecretRequest,
        specs.StartedLaunchPlan,
        specs.TaskMetadata,
        specs.TaskNode,
        specs.TaskTemplate,
        specs.TypedInterface,
        specs.Variable,
        specs.WorkflowNode,
        specs.WorkflowTemplate,
    )
}
_LITERAL, _TYPE, _DICT, _LIST = "literal", "type", "dict", "list"


def spec_to_plain(value: Any) -> Any:
    """The value as JSON data: a class of `api.specs`, or what their fields hold.

    Raises:
        TypeError: when it is, or holds, something else.
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
    raise TypeError(f"{kind.__name__} is no spec")


def spec_from_plain(plain: Any) -> Any:
    """The value that `spec_to_plain` wrote.

    Raises:
        TypeError, ValueError, KeyError, IndexError, AttributeError: when it wrote something else.
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
