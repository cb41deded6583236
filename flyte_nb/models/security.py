"""flytekit's path of `Identity`, `SecurityContext`, `Secret`."""

from flyte_nb.sdk.launch_options import Identity as Identity
from flyte_nb.sdk.launch_options import SecurityContext as SecurityContext
from flyte_nb.sdk.options import Secret as Secret
