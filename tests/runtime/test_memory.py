"""An out-of-memory kill is reported as one, by what the kernel counts."""

from signal import SIGKILL, SIGSEGV

import pytest

from flyte_nb.runtime import memory
from flyte_nb.runtime.memory import MemoryWatch, killed

V2 = ("0::/a/b\n", "sys/fs/cgroup/a/b/memory.events", "oom 3\noom_kill {}\noom_group_kill 0\n")
V2_INSIDE = ("0::/a/b\n", "sys/fs/cgroup/memory.events", "oom_kill {}\n")
V1 = (
    "9:cpu:/\n4:memory:/a\n0::/\n",
    "sys/fs/cgroup/memory/a/memory.oom_control",
    "under_oom 0\noom_kill {}\n",
)
MACHINE = ("", "proc/vmstat", "pgfault 7\noom_kill {}\nx 1\n")


@pytest.fixture
def machine(tmp_path):
    """Write what the kernel says: the control groups, where it counts, and how."""
    memory._paths.cache_clear()

    def say(groups, counts, text):
        for path, content in (("proc/self/cgroup", groups), (counts, text)):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    yield say
    memory._paths.cache_clear()


@pytest.mark.parametrize(("groups", "counts", "text"), [V2, V2_INSIDE, V1, MACHINE])
def test_a_count_that_grew_says_that_memory_ran_out(machine, tmp_path, groups, counts, text):
    machine(groups, counts, text.format(4))
    watch = MemoryWatch(str(tmp_path))
    assert not watch.has_killed()
    from_outside = killed("It", SIGKILL, "SIGKILL", watch)
    assert (from_outside.code, from_outside.origin) == ("KilledBySignal", "SYSTEM")
    machine(groups, counts, text.format(5))
    assert watch.has_killed()
    error = killed("It", SIGKILL, "SIGKILL", watch)
    assert (error.code, error.origin, error.recoverable) == ("OOMKilled", "USER", True)
    assert "out of memory" in error.message
    assert "mem=" in error.message


def test_another_signal_is_never_taken_for_want_of_memory(machine, tmp_path):
    groups, counts, text = MACHINE
    machine(groups, counts, text.format(4))
    watch = MemoryWatch(str(tmp_path))
    machine(groups, counts, text.format(5))
    error = killed("It", SIGSEGV, "SIGSEGV", watch)
    assert (error.code, error.origin) == ("KilledBySignal", "USER")
    assert "native library" in error.message


def test_where_nothing_counts_nothing_is_claimed(tmp_path):
    memory._paths.cache_clear()
    watch = MemoryWatch(str(tmp_path))
    assert not watch.has_killed()
    assert "probably out of memory" in killed("It", SIGKILL, "SIGKILL", watch).message
