"""Find and replace the entities that nodes refer to, for nodes of every kind.

A node needs each entity whose `Identifier` is anywhere in its target. The search follows the structure of
the values and not the kinds of nodes, so that a new kind works without a change here.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.specs import Node, WorkflowTemplate


def references(nodes: "Iterable[Node]") -> "Iterator[Identifier]":
    """Yield the entities that the nodes need, in the order of the nodes. An entity may come several times."""
    for node in nodes:
        direct = getattr(node.target, "reference", None)
        if direct is not None:
            yield direct
        else:
            yield from _inside(node.target)


def references_of(template: WorkflowTemplate) -> "Iterator[Identifier]":
    """Yield the entities that the workflow's nodes need, including its failure node's."""
    yield from references(template.nodes)
    if template.failure_node is not None:
        yield from references((template.failure_node,))


def with_references(node: Node, replace: "Callable[[Identifier], Identifier]") -> Node:
    """Return the node with `replace(reference)` in place of each of its references."""
    direct = getattr(node.target, "reference", None)
    if direct is None:
        return node._replace(target=replaced(node.target, replace))
    found = replace(direct)
    if found is direct:
        return node
    # A target with a reference is a NamedTuple, whichever it is.
    target: Any = node.target
    return node._replace(target=target._replace(reference=found))


def _inside(value: object) -> "Iterator[Identifier]":
    if isinstance(value, Identifier):
        yield value
    elif isinstance(value, Node):
        yield from references((value,))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _inside(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _inside(item)


def replaced(value: Any, replace: "Callable[[Identifier], Identifier]") -> Any:
    """Return a copy of the value, e.g. a tuple of nodes, with `replace(id)` for every identifier in it."""
    if isinstance(value, Identifier):
        return replace(value)
    if isinstance(value, Node):
        return with_references(value, replace)
    if isinstance(value, tuple):
        items = [replaced(item, replace) for item in value]
        made = getattr(value, "_make", tuple)  # a NamedTuple stays one of its class
        return made(items)
    if isinstance(value, list):
        return [replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {key: replaced(item, replace) for key, item in value.items()}
    return value
