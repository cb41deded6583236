"""Apply limits to a process that was just started, before its code does any work."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple


class ProcessLimits(NamedTuple):
    """The limits of one attempt's processes. What the process starts inherits them."""

    processors: "Sequence[int]" = ()
    """The processors that it may run on; empty for all."""
    group: str = ""
    """The folder of its control group; empty for none."""

    def apply(self, pid: int) -> None:
        """Apply the limits to the process. Nothing happens when it has ended.

        Raises:
            OSError: when it cannot be put into its control group.
        """
        if self.group:
            with (
                suppress(ProcessLookupError),
                open(os.path.join(self.group, "cgroup.procs"), "w") as f,
            ):
                f.write(str(pid))
        if self.processors and hasattr(os, "sched_setaffinity"):
            # A processor may have been taken away from this machine or container meanwhile.
            with suppress(ProcessLookupError, OSError):
                os.sched_setaffinity(pid, self.processors)
