"""flytekit's path of `ConcurrencyLimitBehavior`, `ConcurrencyPolicy`."""

from flyte_nb.sdk.launch_options import ConcurrencyLimitBehavior as ConcurrencyLimitBehavior
from flyte_nb.sdk.launch_options import ConcurrencyPolicy as ConcurrencyPolicy
