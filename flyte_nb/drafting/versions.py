"""Make versions from content: equal definitions have equal versions, anywhere and at any time."""

import base64
import hashlib
import json
import sys
from collections.abc import Sequence

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.specs import (
    Container,
    LaunchOptions,
    LaunchPlanSpec,
    TaskMetadata,
    TaskTemplate,
    WorkflowTemplate,
)
from flyte_nb.api.version import PROTOCOL, __version__
from flyte_nb.sdk.declared import TemplateTask
from flyte_nb.sdk.templates import task_template
from flyte_nb.types.registry import Registry

CUSTOM_KEY = "flyte_nb"
"""The key in `TaskTemplate.custom` under which a task lists what its version was made of."""

_CONTAINER = TaskTemplate._fields.index("container")
_FIELDS_BEFORE_DATA = Container._fields.index("data")
_METADATA = TaskTemplate._fields.index("metadata")
_FIELDS_BEFORE_LABELS = TaskMetadata._fields.index("labels")
_FIELDS_BEFORE_OPTIONS = LaunchPlanSpec._fields.index("options")

UNVERSIONED = "unregistered"
"""The version in closures that are only looked at or run here."""


def python_minor() -> str:
    """Return the kernel's `major.minor`: what was pickled here is loaded by the same one."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def task_version(
    template: TaskTemplate, fingerprint: str, launch_plans: "Sequence[Identifier]" = ()
) -> str:
    """Return the version of a task: its code, its template, what pickled it, and the launch plans it starts.

    The container's arguments are left out, because they name the bundle, and equal code may be stored in
    other bytes.
    """
    container = template.container
    plain = template._replace(
        id=template.id._replace(version=""),
        container=container._replace(args=()) if container is not None else None,
        custom={},
    )
    fields: list[object] = list(plain)
    # Tasks without labels and annotations keep the versions that they had before there were any.
    if not (plain.metadata.labels or plain.metadata.annotations):
        fields[_METADATA] = plain.metadata[:_FIELDS_BEFORE_LABELS]
    if plain.container is not None and plain.container.data is None:
        fields[_CONTAINER] = plain.container[:_FIELDS_BEFORE_DATA]
    parts = [TASK, fields, fingerprint, python_minor(), PROTOCOL, __version__]
    return digest([*parts, launch_plans] if launch_plans else parts)


def template_fingerprint(task: TemplateTask, scope: Scope, registry: Registry) -> str:
    """Return the version of a task that is its template: all of it, because no code travels.

    Raises:
        CompileFailed: the task's signature has problems.
    """
    return digest([TASK, task_template(task, scope, registry)])


def workflow_version(template: WorkflowTemplate) -> str:
    """Return the version of a workflow: its graph, and the versions of what it refers to."""
    nodes = tuple(node._replace(location=None) for node in template.nodes)
    plain = template._replace(id=template.id._replace(version=""), nodes=nodes)
    return digest([WORKFLOW, plain, __version__])


def launch_plan_version(spec: LaunchPlanSpec) -> str:
    """Return the version of a launch plan: its inputs, and its workflow's version."""
    plain = spec._replace(id=spec.id._replace(version=""))
    # Launch plans without these options keep the versions that they had before there were any.
    fields = plain if plain.options != LaunchOptions() else plain[:_FIELDS_BEFORE_OPTIONS]
    return digest([LAUNCH_PLAN, fields])


def digest(value: object) -> str:
    """Return 16 letters and digits for plain data (80 bits of the sha256 of its canonical JSON)."""
    # 80 bits: the chance that two of a billion versions are equal is below one in a million, and a version
    # stays short enough to read aloud.
    number = int.from_bytes(hashlib.sha256(_CANONICAL.encode(value).encode()).digest()[:10], "big")
    return "".join([_LETTERS[number >> shift & 31] for shift in range(75, -1, -5)])


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return repr(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain)
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
"""Base32 in lower case."""
