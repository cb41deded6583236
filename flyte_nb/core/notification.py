"""flytekit's path of `Email`, `Notification`, `PagerDuty`, `Slack`."""

from flyte_nb.sdk.notifications import Email as Email
from flyte_nb.sdk.notifications import Notification as Notification
from flyte_nb.sdk.notifications import PagerDuty as PagerDuty
from flyte_nb.sdk.notifications import Slack as Slack
