"""Checks that several calls share, in FlyteAdmin's order and words.

Each one raises `Refused` with the first fault, as FlyteAdmin does; clients compare these texts.
Source: flyteadmin/pkg/manager/impl/validation/{validation,project_validator,notifications_validator}.go.
"""

import re
from collections.abc import Iterable, Mapping

from flyteidl.admin import common_pb2, project_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from google.protobuf.message import Message

from flyte_nb.admin.enums import check_enum, enum_text
from flyte_nb.admin.refused import invalid, invalid_value, missing
from flyte_nb.admin.store.projects import DOMAINS, Projects
from flyte_nb.admin.transformers import EXECUTION_PHASES
from flyte_nb.api.phases import ENDED_EXECUTION
from flyte_nb.compiler.flyte_text import go_text

_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_EXECUTION_NAME = re.compile(r"[a-z][a-z\-0-9]*")
_MAX_LABELS = 16
RESERVED = frozenset({"metadata", "raw", "catalog"})
"""The backend's own folders, which have the projects' folders as neighbours: no project may be named so."""
_ENDED_NUMBERS = frozenset(EXECUTION_PHASES.Value(phase) for phase in ENDED_EXECUTION)


def check_identifier(
    identifier: "identifier_pb2.Identifier", is_set: bool, expected: "identifier_pb2.ResourceType"
) -> None:
    """Raise unless the id is set, of the expected resource type, and complete.

    Args:
        identifier: The id that was sent.
        is_set: The parent message's `HasField`, because an unset message reads as an empty one.
        expected: The resource type.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if not is_set:
        raise missing("id")
    if identifier.resource_type != expected:
        sent, wanted = (
            enum_text(identifier_pb2.ResourceType, number).lower()
            for number in (identifier.resource_type, expected)
        )
        raise invalid(
            f"unexpected resource type {sent} for identifier [{go_text(identifier)}],"
            f" expected {wanted} instead"
        )
    check_fields(identifier, "project", "domain", "name", "version")


def check_fields(message: Message, *fields: str) -> None:
    """Raise when one of those text fields is empty.

    Raises:
        Refused: `INVALID_ARGUMENT`, naming the first empty one.
    """
    for field in fields:
        if not getattr(message, field):
            raise missing(field)


def check_limit(limit: int) -> None:
    """Raise when a list is asked for without a limit.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if limit == 0:
        raise invalid_value("limit")


def check_project_and_domain(projects: Projects, project: str, domain: str) -> None:
    """Raise unless both are known and the project is active.

    Raises:
        Refused: `INVALID_ARGUMENT`; for an inactive project with flyteidl's `InactiveProject`.
    """
    # Only the state is read: this check runs for every registration.
    state = projects.state(project)
    if state is None:
        raise invalid(
            f"failed to validate that project [{project}] and domain [{domain}] are registered,"
            f" err: [project [{project}] not found]"
        )
    if state != project_pb2.Project.ACTIVE:
        raise invalid(f"project [{project}] is not active", project_pb2.InactiveProject(id=project))
    if domain not in DOMAINS:
        raise invalid(f"domain [{domain}] is unrecognized by system")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise unless there are at most 16 labels and Kubernetes would accept each.

    Raises:
        Refused: `INVALID_ARGUMENT`, with every fault of the first wrong label.
    """
    if len(labels) > _MAX_LABELS:
        raise invalid(f"labels map cannot exceed {_MAX_LABELS} entries")
    for key, value in labels.items():
        problems = _key_problems(key)
        if problems:
            raise invalid(f"invalid label key [{key}]: [{' '.join(problems)}]")
        # An empty value is allowed, so the pattern is asked only for others.
        if value and (len(value) > 63 or not _QUALIFIED.fullmatch(value)):
            raise invalid(
                f"invalid label value [{value}]: [a valid label must be an empty string or consist of"
                " alphanumeric characters, '-', '_' or '.', at most 63 of them]"
            )


def _key_problems(key: str) -> list[str]:
    prefix, slash, name = key.rpartition("/")
    problems = []
    if slash and (not prefix or len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        problems.append("prefix part must be a lowercase RFC 1123 subdomain")
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 characters")
    if name and not _QUALIFIED.fullmatch(name):
        problems.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and"
            " end with an alphanumeric character"
        )
    return problems


def check_notifications(notifications: "Iterable[common_pb2.Notification]") -> None:
    """Raise unless each notification has recipients and names only phases in which an execution ends.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    for notification in notifications:
        kind = notification.WhichOneof("type")
        if kind is None:
            raise invalid_value("notification type")
        recipients = getattr(notification, kind).recipients_email
        if not recipients:
            raise missing("recipients")
        if not all(recipients):
            raise missing("recipient")
        if not _ENDED_NUMBERS.issuperset(notification.phases):
            # FlyteAdmin sends notifications only at the end of an execution.
            raise invalid_value("phase")


def check_literals(literals: "Mapping[str, literals_pb2.Literal]", field: str) -> None:
    """Raise unless every literal has a name and a value.

    Args:
        literals: By name.
        field: The field they were sent in, for the error text.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    for name, literal in literals.items():
        if not name:
            raise invalid(f"missing key in {field}")
        if literal.WhichOneof("value") is None:
            raise invalid(f"missing valid literal in {field} {name}")


def check_execution_name(name: str, field: str = "name") -> None:
    """Raise unless an execution may have this name.

    FlyteAdmin accepts capitals and Kubernetes refuses them later. Here they are refused at once: on a
    file system that ignores case, two executions would share one folder.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if len(name) > 63:
        raise invalid(f"size of {field} exceeded length 63 : {name}")
    if not _EXECUTION_NAME.fullmatch(name):
        raise invalid(
            f"invalid {field} format: {name}, does not match regex '^{_EXECUTION_NAME.pattern}$'"
        )


def check_folder(name: str, field: str) -> None:
    """Raise unless a project or domain of an upload can name a folder. It need not be registered.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if len(name) > 63 or not _DNS_LABEL.fullmatch(name) or name in RESERVED:
        raise invalid(
            f"invalid {field} [{name[:63]}]: it must consist of lower case letters, digits or '-',"
            f" and be none of {', '.join(sorted(RESERVED))}"
        )


def check_project(project: project_pb2.Project) -> None:
    """Raise unless a project may be registered or updated with these values.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    if not project.id:
        raise missing("project_id")
    check_enum(project_pb2.Project.ProjectState, project.state, "state")
    check_labels(project.labels.values)
    if len(project.id) > 63 or not _DNS_LABEL.fullmatch(project.id):
        raise invalid(
            f"invalid project id [{project.id}]: [a lowercase RFC 1123 label must consist of lower"
            " case alphanumeric characters or '-', and must start and end with an alphanumeric"
            " character]"
        )
    if project.id in RESERVED:
        raise invalid(
            f"invalid project id [{project.id}]: the local backend has a folder of that name for"
            " itself; choose another id"
        )
    for text, field, most in (
        (project.name, "project_name", 64),
        (project.description, "project_description", 300),
    ):
        if len(text) > most:
            raise invalid(f"{field} cannot exceed {most} characters")
    # FlyteAdmin's domains come from its configuration, and so a request may not name any.
    if project.domains:
        raise invalid(
            "Domains are currently only set system wide. Please retry without domains included in"
            " your request."
        )
