"""Find out whether the system killed a process because memory ran out.

A process that is killed cannot say why. But the kernel counts such kills for each control group and for
the whole machine (cgroup v2's `memory.events`, v1's `memory.oom_control`, `/proc/vmstat`). If a count
grew while an attempt ran, and SIGKILL ended the attempt, we take memory for the cause. macOS counts
nothing, so there nothing is known.
"""

import os
import re
from functools import cache
from signal import SIGKILL

from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo

_COUNT = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_ADVICE = (
    "Give the task more memory (@task(limits=Resources(mem=…))), or let it hold less at a time."
)


class MemoryWatch:
    """Counts the kernel's out-of-memory kills since it was made."""

    def __init__(self, root: str = "/") -> None:
        """Take the present counts.

        Args:
            root: The folder that has `proc` and `sys`.
        """
        self._paths = _paths(root)
        self._before = self._counts()

    def has_killed(self) -> bool:
        """Return whether the kernel has killed a process of this control group, or else of this machine."""
        now = self._counts()
        return any(now[path] > count for path, count in self._before.items() if path in now)

    def _counts(self) -> "dict[str, int]":
        found = {}
        for path in self._paths:
            try:
                with open(path, "rb") as file:
                    count = _COUNT.search(file.read())
            except OSError:
                continue
            if count is not None:
                found[path] = int(count[1])
                # The nearest group that counts is enough. A kill in a wider one may have met another
                # container.
                break
        return found


def killed(what: str, number: int, name: str, watch: "MemoryWatch | None") -> ErrorInfo:
    """Return the failure of an attempt that a signal ended, for its host and its worker alike.

    A crash, or a lack of memory, is a user's error, as on Flyte, because the task's own code caused it:
    its `retries` decide about another attempt. A SIGKILL that the kernel did not send for lack of
    memory comes from outside, as when a machine goes away: it is an error of the system, and is tried again.

    Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/pod_helper.go (DemystifyFailure) at v1.16.8.

    Args:
        what: The process that was killed, as the beginning of a sentence.
        number: The signal.
        name: The signal's name.
        watch: Has counted since the attempt began; `None` when nothing counted.
    """
    if number == SIGKILL and watch is not None and watch.has_killed():
        text = f"{what} was killed by {name}: the system was out of memory (OOMKilled). {_ADVICE}"
        return ErrorInfo("OOMKilled", text, USER, recoverable=True)
    text = f"{what} was killed by {name} (signal {number})."
    if number == SIGKILL:
        text += (
            f" If nobody killed it on purpose, the machine was probably out of memory. {_ADVICE}"
        )
    elif name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"):
        text += " A native library that the task uses crashed."
    origin = SYSTEM if number == SIGKILL else USER
    return ErrorInfo("KilledBySignal", text, origin, recoverable=True)


def over_limit(task: str, used: str, limit: str) -> ErrorInfo:
    """Return the failure of an attempt that was killed because it used more memory than its task may.

    The code, the budget and the first line are those of a pod whose container the kernel killed.

    Source: as for `killed`.
    """
    text = (
        f"[{task}] terminated with exit code (137). Reason [OOMKilled]. Message: \n"
        f"It used {used} of memory, and its limit is {limit}. {_ADVICE}"
    )
    return ErrorInfo("OOMKilled", text, USER, recoverable=True)


@cache
def _paths(root: str) -> "list[str]":
    """Return the files that may have a count, the nearest control group's first."""
    proc, groups = os.path.join(root, "proc"), os.path.join(root, "sys/fs/cgroup")
    found = []
    try:
        with open(os.path.join(proc, "self/cgroup"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            # Version 2. In a container the path may begin at the container's own group, which is
            # mounted as root.
            folders = [groups + path, groups]
            found += [os.path.join(folder, "memory.events") for folder in folders]
        elif "memory" in controllers.split(","):
            folders = [f"{groups}/memory{path}", f"{groups}/memory"]
            found += [os.path.join(folder, "memory.oom_control") for folder in folders]
    return [*dict.fromkeys(found), os.path.join(proc, "vmstat")]
