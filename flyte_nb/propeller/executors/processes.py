"""When a process began, by a clock that nobody can set.

A process number is used again after its process has ended, so a number and a start together name a
process. psutil gives start times as times of day, which move when the system's clock is set by hand, by
NTP or after a laptop slept. Linux counts from the boot. Other systems note the time of day once and keep it.
"""

import os

import psutil

_STAT = "/proc/{}/stat"
_SAME_START_S = 1.0


def started_s(pid: int) -> float:
    """Return when the process began: seconds since the boot on Linux, elsewhere since the epoch.

    Source: proc(5), field 22 of `/proc/<pid>/stat`, in clock ticks.

    Raises:
        psutil.Error: when there is no such process, or the system hides it.
    """
    try:
        with open(_STAT.format(pid), "rb") as file:
            # The command is in parentheses, and may contain spaces and parentheses itself.
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return float(psutil.Process(pid).create_time())


def is_process(pid: int, began_s: float) -> bool:
    """Return whether the process `pid` lives and began at `began_s`, a value of `started_s`; 0 is unknown."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False  # it was killed, though its threads may hold a lock a moment longer
        return not began_s or abs(started_s(pid) - began_s) < _SAME_START_S
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        # The system hides the processes of other users. Taking one for dead would be worse than for alive.
        return True
