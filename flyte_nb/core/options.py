"""flytekit's path of `Options`."""

from flyte_nb.sdk.launch_options import Options as Options
