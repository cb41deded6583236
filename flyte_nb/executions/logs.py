"""Put the logs of an execution's attempts together, and what its nodes wait for."""

from collections.abc import Callable, Mapping

from flyte_nb.api.errors import StorageError
from flyte_nb.api.phases import FAILED, RUNNING
from flyte_nb.executions.views import ExecutionView, NodeView


def logs_of(
    view: ExecutionView,
    waits: "Mapping[str, str]",
    read: "Callable[[str], bytes]",
    node_id: "str | None",
    attempt: "int | None",
) -> str:
    """Return what attempts printed, each below a title if there are several.

    Args:
        view: The execution.
        waits: What nodes wait for, by node id.
        read: Returns the bytes of a stored log.
        node_id: The id or the name of a node; `None` for all nodes.
        attempt: The number of an attempt, counted from 0; `None` for all.
    """
    parts: list[tuple[str, str]] = []
    for node in view.nodes:
        if node_id is not None and node_id not in (node.node_id, node.name):
            continue
        parts += _printed(node, read, attempt)
        if attempt is None and node.node_id in waits:
            parts.append((_title(node), f"It waits for {waits[node.node_id]}.\n"))
    if len(parts) == 1:
        return parts[0][1]
    return "\n".join(f"--- {title}\n{text}" for title, text in parts)


def _printed(
    node: NodeView, read: "Callable[[str], bytes]", attempt: "int | None"
) -> "list[tuple[str, str]]":
    parts = []
    for one in node.attempts:
        if attempt is not None and one.attempt != attempt:
            continue
        for link in one.logs:
            # People count attempts from 1.
            title = f"{_title(node)}, attempt {one.attempt + 1}"
            if len(one.logs) > 1:
                title += f", {link.name}"
            parts.append((title, _text(link.uri, read)))
    return parts + _of_elements(node, read, attempt)


def _of_elements(
    node: NodeView, read: "Callable[[str], bytes]", attempt: "int | None"
) -> "list[tuple[str, str]]":
    """Return what some elements of a map printed: first those that failed, then those that run."""
    wanted = [
        element
        for element in node.elements
        if element.logs and (attempt is None or element.attempt == attempt)
    ]
    wanted.sort(key=lambda element: _ORDER.get(element.phase, 1))
    parts = []
    for element in wanted[:_MOST_ELEMENTS]:
        title = f"{_title(node)}, element {element.number}, attempt {element.attempt + 1}"
        parts += [(title, _text(link.uri, read)) for link in element.logs]
    left = len(wanted) - _MOST_ELEMENTS
    if left > 0:
        text = f'{left} further elements have logs: execution.nodes["{node.node_id}"].elements\n'
        parts.append((_title(node), text))
    return parts


_ORDER = {FAILED: -1, RUNNING: 0}
_MOST_ELEMENTS = 20
"""Logs of so many elements are read. A map may have ten thousand, and each log is a file."""


def _title(node: NodeView) -> str:
    return f"{node.node_id} {node.name}"


def _text(uri: str, read: "Callable[[str], bytes]") -> str:
    """Return the text of a log; the address of a web page; or why the log cannot be read."""
    if uri.startswith(("http://", "https://")):
        return uri
    try:
        return read(uri).decode("utf-8", "replace")
    except StorageError as error:
        return f"(the log at {uri} cannot be read: {error})"
