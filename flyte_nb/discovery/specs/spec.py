"""`Spec`: a spec from a file as an entity, before anything in it is resolved."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier
from flyte_nb.api.nodes import ADDED_NODES
from flyte_nb.api.specs import Location


class Spec(NamedTuple):
    """One task, workflow or launch plan that somebody wrote as a flyteidl message.

    Registrars return it for spec files. It is an `api.ports.Entity`, so `session.register` and `compile`
    take it as they take an entity of the SDK.
    """

    id: Identifier
    """As written: project, domain and version may be empty or placeholders."""
    message: Any
    """flyteidl's `TaskSpec`, `WorkflowSpec` or `LaunchPlanSpec`; never changed."""
    location: Location
    """The file, and the line where the document begins."""
    node_lines: "Mapping[str, int]" = {}  # noqa: RUF012 - never mutated
    """Of a workflow in a text file: the line of each node."""

    @classmethod
    def of(
        cls, message: Any, *, id: "Identifier | None" = None, location: "Location | None" = None
    ) -> "Spec":
        """Return the spec for a flyteidl message; meant for registrars that read formats of their own.

        Args:
            message: `TaskSpec`, `WorkflowSpec` or `LaunchPlanSpec`, or a `LaunchPlan` with its id.
            id: Its identifier; only a `LaunchPlanSpec` does not contain one itself.
            location: Where it was written, for messages; default: the line of this call.

        Raises:
            UsageError: the message is none of these, or has no name and `id` is `None`.
        """
        kind = _KINDS.get(getattr(message.DESCRIPTOR, "full_name", "") if _is(message) else "")
        if kind is None:
            raise UsageError(
                f"{type(message).__name__} is no spec: pass flyteidl's TaskSpec, WorkflowSpec,"
                " LaunchPlanSpec or LaunchPlan."
            )
        said = getattr(message, "id", None) or getattr(
            getattr(message, "template", None), "id", None
        )
        if id is None and said is not None:
            id = Identifier(
                resource_type=kind,
                project=said.project,
                domain=said.domain,
                name=said.name,
                version=said.version,
            )
        if id is None or not id.name:
            raise UsageError(f"This {type(message).__name__} has no name: pass id=Identifier(…).")
        if location is None:
            frame = sys._getframe(1)
            location = Location(frame.f_code.co_filename, frame.f_lineno)
        return cls(id, getattr(message, "spec", message), location)

    @property
    def resource_type(self) -> str:
        """`task`, `workflow` or `launch_plan`."""
        return self.id.resource_type

    @property
    def module(self) -> str:
        """Empty, because a spec's name is a full name."""
        return ""

    @property
    def short_name(self) -> str:
        """The full name."""
        return self.id.name

    @property
    def fixed_name(self) -> str:
        """The full name, which no module precedes."""
        return self.id.name

    def versioned(self, version: str) -> "Spec":
        """Return the spec with this version, unless it has one itself."""
        said = self.id.version
        if not version or (said and "{{" not in said):
            return self
        return self._replace(id=self.id._replace(version=version))


_KINDS = {
    "flyteidl.admin.TaskSpec": TASK,
    "flyteidl.admin.WorkflowSpec": WORKFLOW,
    "flyteidl.admin.LaunchPlanSpec": LAUNCH_PLAN,
    "flyteidl.admin.LaunchPlan": LAUNCH_PLAN,
}


def _is(message: Any) -> bool:
    return hasattr(message, "DESCRIPTOR")


def uncompiled(template: Any) -> Any:
    """Return a compiled workflow's template without the start and end node that the compiler added."""
    kept = [node for node in template.nodes if node.id not in ADDED_NODES]
    if len(kept) == len(template.nodes):
        return template
    bare = type(template)()
    bare.CopyFrom(template)
    del bare.nodes[:]
    bare.nodes.extend(kept)
    return bare
