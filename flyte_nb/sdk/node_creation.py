"""`create_node`: a call whose node is the result, to be ordered, given options, and asked for its outputs."""

import sys
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError
from flyte_nb.sdk import context
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.promise import Outputs, Promise, Sequenced

if TYPE_CHECKING:
    from flyte_nb.sdk.node_drafts import NodeDraft


class Node(Sequenced):
    """One node of a workflow that is traced. Its outputs are attributes: `node.o0`, `node.outputs["o0"]`."""

    def __init__(self, draft: "NodeDraft", outputs: "dict[str, Promise]") -> None:
        """Take the call, and its outputs by name."""
        self._draft = draft
        self.outputs = outputs

    @property
    def id(self) -> str:
        """The node's id, as far as it is known while the workflow is traced."""
        assert self._draft is not None
        return self._draft.id

    def __getattr__(self, name: str) -> Promise:
        outputs: dict[str, Promise] = vars(self).get("outputs", {})
        if name in outputs:
            return outputs[name]
        raise AttributeError(
            f"The node has no output {name}. It has: {', '.join(outputs) or 'none'}."
        )

    def __repr__(self) -> str:
        return f"<node {self.id}: {', '.join(self.outputs) or 'no outputs'}>"


def create_node(entity: Definition, *args: object, **kwargs: object) -> Node:
    """Call a task, workflow or launch plan in a workflow, and return its node.

    Calling it directly does the same and returns the outputs, which can be ordered and given options too.

    Args:
        entity: what the node runs.
        *args: its inputs by position.
        **kwargs: its inputs by name.

    Raises:
        UsageError: it is used outside of a workflow, or `entity` is none.
    """
    frame = context.frame.get()
    if frame is None:
        raise UsageError(
            "create_node() belongs into the body of a workflow. Elsewhere call the task."
        )
    if not isinstance(entity, Definition):
        raise UsageError(f"create_node({entity!r}): write a task, a workflow or a launch plan.")
    made = frame.call(entity, args, kwargs, sys._getframe(1))
    return node_of(made)


def node_of(made: "Promise | Outputs") -> Node:
    """Return the node of a call whose outputs these are."""
    assert made._draft is not None
    if isinstance(made, Promise):
        return Node(made._draft, {made._reference.var: made})
    return Node(made._draft, dict(zip(made._names, made, strict=True)))
