"""flytekit's path of `ShellTask`, `RawShellTask`, `OutputLocation` and what belongs to them."""

from flyte_nb.sdk.kinds.shell import OutputLocation as OutputLocation
from flyte_nb.sdk.kinds.shell import ProcessResult as ProcessResult
from flyte_nb.sdk.kinds.shell import RawShellTask as RawShellTask
from flyte_nb.sdk.kinds.shell import ShellTask as ShellTask
from flyte_nb.sdk.kinds.shell import get_raw_shell_task as get_raw_shell_task
from flyte_nb.sdk.kinds.shell import subproc_execute as subproc_execute
