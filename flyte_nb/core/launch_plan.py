"""flytekit's path of `LaunchPlan`, `reference_launch_plan`."""

from flyte_nb.sdk.launch_plan import LaunchPlan as LaunchPlan
from flyte_nb.sdk.references import reference_launch_plan as reference_launch_plan
