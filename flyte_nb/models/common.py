"""flytekit's path of `Annotations`, `Labels`, `RawOutputDataConfig`, `Notification`."""

from flyte_nb.sdk.launch_options import Annotations as Annotations
from flyte_nb.sdk.launch_options import AuthRole as AuthRole
from flyte_nb.sdk.launch_options import Labels as Labels
from flyte_nb.sdk.launch_options import RawOutputDataConfig as RawOutputDataConfig
from flyte_nb.sdk.notifications import Notification as Notification
