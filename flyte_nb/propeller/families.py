"""Which execution waits for which other one, so that the end of one wakes its parent and nobody else."""

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.ports import ChildLaunch, Children, ChildState


class Families:
    """Keeps to the port `Children`, hands calls on to another one, and remembers the parents."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._parents: dict[ExecutionId, ExecutionId] = {}
        self._launched: dict[ExecutionId, set[ExecutionId]] = {}  # by parent

    def launch(self, child: ChildLaunch) -> None:
        """Start the execution. After a restart every parent calls this again for the children it waits for.

        Raises:
            TaskFailed: when it cannot be started.
            StorageError: when this cannot be done now.
        """
        self._children.launch(child)
        self._parents[child.id] = child.parent
        self._launched.setdefault(child.parent, set()).add(child.id)

    def state(self, id: ExecutionId) -> "ChildState | None":
        """Return how the execution stands; `None` when there is none.

        Raises:
            StorageError: when its outputs cannot be read.
        """
        return self._children.state(id)

    def terminate(self, id: ExecutionId, cause: str) -> None:
        """Begin to abort the execution."""
        self._children.terminate(id, cause)

    def ended(self, id: ExecutionId) -> "ExecutionId | None":
        """Forget an execution that the engine has left; return its parent, if it has one."""
        for child in self._launched.pop(id, ()):
            self._parents.pop(child, None)
        parent = self._parents.pop(id, None)
        if parent in self._launched:
            self._launched[parent].discard(id)
        return parent
