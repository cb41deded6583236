"""flytekit's path of `approve`, `sleep`, `wait_for_input`."""

from flyte_nb.sdk.gates import approve as approve
from flyte_nb.sdk.gates import sleep as sleep
from flyte_nb.sdk.gates import wait_for_input as wait_for_input
