"""flytekit's path of `CronSchedule`, `FixedRate`."""

from flyte_nb.sdk.schedules import CronSchedule as CronSchedule
from flyte_nb.sdk.schedules import FixedRate as FixedRate
