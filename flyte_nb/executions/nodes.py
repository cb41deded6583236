"""`execution.nodes["n0"]`: the nodes of an execution, each with what can be asked about it."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from flyte_nb.executions.elements import counts_line
from flyte_nb.executions.views import ElementView, ExecutionView, NodeView
from flyte_nb.executions.why import Why

_ID_WIDTH = 20
"""Ids of nodes in an execution have at most so many characters (`api.nodes.unique_node_id`)."""


class Asked(Protocol):
    """The execution, as its nodes ask it."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    def node_data(self, node_id: str) -> "tuple[Mapping[str, object], Mapping[str, object]]":
        """Return inputs and outputs of one node."""
        ...

    def logs(self, node_id: "str | None" = None, attempt: "int | None" = None) -> str:
        """Return what attempts printed."""
        ...

    def why(self, node_id: str, name: str = "") -> Why:
        """Return why a node ran, or did not."""
        ...

    def waits(self) -> Mapping[str, str]:
        """Return what nodes wait for, by node id."""
        ...


class ExecutionNode:
    """One node of an execution, as it stood when it was asked for."""

    def __init__(self, execution: Asked, view: NodeView) -> None:
        self.view = view
        """Its phase, times, attempts and errors."""
        self._execution = execution

    @property
    def node_id(self) -> str:
        """Its id, unique in the execution."""
        return self.view.node_id

    @property
    def name(self) -> str:
        """What it runs, as the author called it."""
        return self.view.name

    @property
    def phase(self) -> str:
        """Its phase, as in flyteidl."""
        return self.view.phase

    @property
    def elements(self) -> "tuple[ElementView, ...]":
        """The elements of a map with their phases, attempts, errors and logs; empty for other nodes."""
        return self.view.elements

    @property
    def waits_for(self) -> str:
        """What it waits for now, e.g. a signal, a time or a slot; empty when it goes on or has ended."""
        return self._execution.waits().get(self.node_id, "")

    def inputs(self) -> Mapping[str, object]:
        """Return its inputs by name, as Python values; for errors see `Execution.node_data`."""
        return self._execution.node_data(self.node_id)[0]

    def outputs(self) -> Mapping[str, object]:
        """Return its outputs by name, as Python values; for errors see `Execution.node_data`."""
        return self._execution.node_data(self.node_id)[1]

    def logs(self) -> str:
        """Return what its attempts printed."""
        return self._execution.logs(self.node_id)

    def why(self) -> Why:
        """Return why it ran, or did not: a cached result was found, or was not and because of what.

        Raises:
            RemoteError: FlyteAdmin refused, or cannot be reached.
        """
        return self._execution.why(self.node_id, self.name)

    def __repr__(self) -> str:
        counts = f" {counts_line(self.elements)}" if self.elements else ""
        return (
            f"<node {self.node_id} ({self.name}){counts} of {self._execution.name}, {self.phase}>"
        )


class ExecutionNodes(Mapping[str, ExecutionNode]):
    """The nodes by id. A node can also be asked for by its name, when no other has it."""

    def __init__(self, execution: Asked, view: ExecutionView) -> None:
        self._execution = execution
        self._views = {node.node_id: node for node in view.nodes}

    def __getitem__(self, node: str) -> ExecutionNode:
        view = self._views.get(node)
        if view is None:
            named = [
                each
                for each in self._views.values()
                if node in (each.name, each.name.rpartition(".")[2])
            ]
            if len(named) != 1:
                known = ", ".join(f"{each.node_id} ({each.name})" for each in self._views.values())
                raise KeyError(
                    f"{node!r} names {len(named)} nodes; there are: {known or 'none yet'}."
                )
            view = named[0]
        return ExecutionNode(self._execution, view)

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        inside: dict[str, list[NodeView]] = {}
        for view in self._views.values():
            inside.setdefault(view.parent_id if view.parent_id in self._views else "", []).append(
                view
            )
        lines: list[str] = []
        # A list of what is left, and not recursion: dynamic nodes may be deep inside each other.
        left = [(view, 0) for view in reversed(inside.get("", ()))]
        while left:
            view, level = left.pop()
            lines.append(node_line(view, level))
            left += [(below, level + 1) for below in reversed(inside.get(view.node_id, ()))]
        return "\n".join(lines) or "no nodes yet"


def node_line(node: NodeView, level: int = 0) -> str:
    """Return a node as one line of text: its id, its phase, and what it runs, indented by its level."""
    return f"{node.node_id:<{_ID_WIDTH}}  {node.phase:<15}  {'  ' * level}{node.name}"
