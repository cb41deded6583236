"""flytekit's path of `SQLite3Task` and `SQLite3Config`."""

from flyte_nb.sdk.kinds.sql import SQLite3Config as SQLite3Config
from flyte_nb.sdk.kinds.sql import SQLite3Task as SQLite3Task
