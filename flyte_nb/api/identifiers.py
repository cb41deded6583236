"""Names of entities and executions, and the scope in which an entity gets its full name."""

from typing import NamedTuple

TASK = "task"
WORKFLOW = "workflow"
LAUNCH_PLAN = "launch_plan"

MAIN_MODULE = "__main__"


class Identifier(NamedTuple):
    """One registered entity (flyteidl/core/identifier.proto `Identifier`).

    `project`, `domain` and `version` may be empty until a client fills them, which it does before it sends
    anything.
    """

    resource_type: str
    """One of `TASK`, `WORKFLOW`, `LAUNCH_PLAN`."""
    project: str
    domain: str
    name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.resource_type}:{self.project}:{self.domain}:{self.name}:{self.version}"


class ExecutionId(NamedTuple):
    """One execution (flyteidl/core/identifier.proto `WorkflowExecutionIdentifier`)."""

    project: str
    domain: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}:{self.domain}:{self.name}"


class Scope(NamedTuple):
    """Where entities get their names: the project, the domain, and the name that replaces `__main__`."""

    project: str = "flytesnacks"
    domain: str = "development"
    main_module: str = "notebook"
    """The notebook's name; entities of `__main__` are called `<main_module>.<function>`."""

    def full_name(self, module: str, name: str) -> str:
        """Return the entity's registered name: `<module>.<name>`, with the notebook's name for `__main__`."""
        return f"{self.main_module if module == MAIN_MODULE else module}.{name}"
