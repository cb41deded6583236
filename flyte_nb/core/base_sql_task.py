"""flytekit's path of `SQLTask`."""

from flyte_nb.sdk.kinds.sql import SQLTask as SQLTask
