"""Notifications of launch plans: who hears of the end of an execution. The names are flytekit's."""

from collections.abc import Iterable

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError


class WorkflowExecutionPhase:
    """Phases of an execution by number (flyteidl/core/execution.proto `WorkflowExecution.Phase`)."""

    UNDEFINED = 0
    QUEUED = 1
    RUNNING = 2
    SUCCEEDING = 3
    SUCCEEDED = 4
    FAILING = 5
    FAILED = 6
    ABORTED = 7
    TIMED_OUT = 8
    ABORTING = 9


_ENDS = {
    number: name
    for name, number in vars(WorkflowExecutionPhase).items()
    if name in ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT")
}


class Notification:
    """A message when an execution ends in one of some phases.

    Args:
        phases: the phases: `SUCCEEDED`, `FAILED`, `ABORTED` or `TIMED_OUT`, as names or as constants of
            `WorkflowExecutionPhase`.
        recipients_email: addresses of mail.

    Raises:
        UsageError: there is no phase or no recipient, or a phase is not an end.
    """

    kind = ""

    def __init__(self, phases: "Iterable[int | str]", recipients_email: "Iterable[str]") -> None:
        if not self.kind:
            raise UsageError("Write Email(…), Slack(…) or PagerDuty(…).")
        recipients = () if isinstance(recipients_email, str) else tuple(recipients_email)
        if not recipients or not all(isinstance(each, str) and "@" in each for each in recipients):
            raise UsageError(
                f"{type(self).__name__}(recipients_email={recipients_email!r}): write a list of addresses of"
                " mail. Slack and PagerDuty take messages by mail too."
            )
        names = (phases,) if isinstance(phases, (int, str)) else tuple(phases)
        self.spec = specs.Notification(
            kind=self.kind,
            phases=tuple(_phase(type(self).__name__, each) for each in names),
            recipients=recipients,
        )
        if not names:
            raise UsageError(f"{type(self).__name__}(phases=[]): name a phase, e.g. 'FAILED'.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Notification) and other.spec == self.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.spec.phases)}, {list(self.spec.recipients)})"


class Email(Notification):
    """A mail when an execution ends: `Email(["FAILED"], ["me@example.com"])`."""

    kind = "email"


class PagerDuty(Notification):
    """A mail to PagerDuty when an execution ends."""

    kind = "pager_duty"


class Slack(Notification):
    """A mail to Slack when an execution ends."""

    kind = "slack"


def _phase(what: str, phase: "int | str") -> str:
    name = _ENDS.get(phase, "") if isinstance(phase, int) else phase.upper()
    if name not in _ENDS.values():
        raise UsageError(
            f"{what}(phases=[{phase!r}]): an execution ends in {', '.join(_ENDS.values())}."
        )
    return name
