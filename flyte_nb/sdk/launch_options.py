"""Values for the options of launch plans and launches. The names are flytekit's."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError
from flyte_nb.sdk.notifications import Notification
from flyte_nb.sdk.schedules import Schedule

if TYPE_CHECKING:
    from flyte_nb.sdk.options import Secret


class Labels(dict[str, str]):
    """Kubernetes labels of executions; a plain dict does as well."""


class Annotations(Labels):
    """Kubernetes annotations of executions; a plain dict does as well."""


class RawOutputDataConfig(NamedTuple):
    """Where files and frames of an execution are stored."""

    output_location_prefix: str


class Identity(NamedTuple):
    """As whom tasks run in a cluster (flyteidl/core/security.proto `Identity`)."""

    iam_role: str = ""
    k8s_service_account: str = ""


class AuthRole(NamedTuple):
    """As whom tasks run: flytekit's older name for `SecurityContext(run_as=Identity(…))`."""

    assumable_iam_role: "str | None" = None
    kubernetes_service_account: "str | None" = None


class SecurityContext(NamedTuple):
    """As whom tasks run, and with which secrets (flyteidl/core/security.proto `SecurityContext`)."""

    run_as: "Identity | None" = None
    secrets: "tuple[Secret, ...]" = ()


class ConcurrencyLimitBehavior:
    """What happens to an execution beyond the limit."""

    SKIP = 0
    """It is refused."""


class ConcurrencyPolicy(NamedTuple):
    """How many executions of a launch plan may run at once."""

    max_concurrency: int
    behavior: int = ConcurrencyLimitBehavior.SKIP


class Options(NamedTuple):
    """Options of executions that start without others: `@workflow(default_options=Options(labels=…))`."""

    labels: "Mapping[str, str] | None" = None
    annotations: "Mapping[str, str] | None" = None
    raw_output_data_config: "RawOutputDataConfig | str | None" = None
    security_context: "SecurityContext | None" = None
    max_parallelism: "int | None" = None
    notifications: "tuple[Notification, ...] | list[Notification] | None" = None
    disable_notifications: "bool | None" = None
    overwrite_cache: "bool | None" = None


KNOWN = (
    "schedule",
    "notifications",
    "raw_output_data_config",
    "security_context",
    "auth_role",
    "overwrite_cache",
    "concurrency",
)


def launch_options(
    *,
    schedule: "Schedule | None" = None,
    notifications: "Iterable[Notification] | None" = None,
    raw_output_data_config: "RawOutputDataConfig | str | None" = None,
    security_context: "SecurityContext | None" = None,
    auth_role: "AuthRole | None" = None,
    overwrite_cache: "bool | None" = None,
    concurrency: "ConcurrencyPolicy | None" = None,
) -> specs.LaunchOptions:
    """Return the options as plain values.

    Raises:
        UsageError: one has a value that it cannot have.
    """
    if schedule is not None and not isinstance(schedule, Schedule):
        raise UsageError(f"schedule={schedule!r}: write a CronSchedule or a FixedRate.")
    told = tuple(notifications or ())
    for each in told:
        if not isinstance(each, Notification):
            raise UsageError(f"notifications={each!r}: write Email(…), Slack(…) or PagerDuty(…).")
    if auth_role is not None:
        if security_context is not None or not isinstance(auth_role, AuthRole):
            raise UsageError(
                "auth_role: write security_context=SecurityContext(run_as=Identity(…))."
            )
        security_context = SecurityContext(
            Identity(
                iam_role=auth_role.assumable_iam_role or "",
                k8s_service_account=auth_role.kubernetes_service_account or "",
            )
        )
    if security_context is not None and not isinstance(security_context, SecurityContext):
        raise UsageError(
            f"security_context={security_context!r}: write SecurityContext(run_as=Identity(…))."
        )
    if concurrency is not None and not isinstance(concurrency, ConcurrencyPolicy):
        raise UsageError(
            f"concurrency={concurrency!r}: write ConcurrencyPolicy(max_concurrency=1)."
        )
    if concurrency is not None and concurrency.max_concurrency < 1:
        raise UsageError(f"{concurrency!r}: let at least one execution run.")
    run_as = security_context.run_as if security_context is not None else None
    return specs.LaunchOptions(
        schedule=schedule.spec if schedule is not None else None,
        notifications=tuple(each.spec for each in told),
        raw_output_prefix=_prefix(raw_output_data_config),
        iam_role=run_as.iam_role if run_as is not None else "",
        k8s_service_account=run_as.k8s_service_account if run_as is not None else "",
        overwrite_cache=bool(overwrite_cache),
        max_concurrency=concurrency.max_concurrency if concurrency is not None else 0,
    )


def _prefix(given: "RawOutputDataConfig | str | None") -> str:
    prefix = given.output_location_prefix if isinstance(given, RawOutputDataConfig) else given or ""
    if isinstance(prefix, str):
        return prefix
    raise UsageError(f"raw_output_data_config={given!r}: write a URI, e.g. 's3://bucket/prefix'.")
