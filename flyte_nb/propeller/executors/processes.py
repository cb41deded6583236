"""When a process began, by a clock that nobody can set: so a process id is not taken for a later one's.

psutil's start times are times of day. They move when the system's clock is set, by hand, by NTP, or
after a laptop slept. Linux counts from the boot; other systems note the time of day once and keep it.
"""

import os

import psutil

_STAT = "/proc/{}/stat"
_SAME_START_S = 1.0


def started_s(pid: int) -> float:
    """Return when the process began: seconds since the boot on Linux, elsewhere since the epoch.

    Raises:
        psutil.Error: when there is no such process, or nothing can be said of it.
    """
    try:
        with open(_STAT.format(pid), "rb") as file:
            # The command stands in parentheses, and may have spaces and parentheses itself.
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return float(psutil.Process(pid).create_time())


def is_process(pid: int, began_s: float) -> bool:
    """Return whether the process `pid` lives, and began at `began_s` (0: unknown) by `started_s`."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False  # killed; its threads may hold a lock a moment longer
        return not began_s or abs(started_s(pid) - began_s) < _SAME_START_S
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # a system that hides what others run
        return True
