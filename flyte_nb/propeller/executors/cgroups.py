"""Control groups (version 2) for attempts, where this process may make them.

The kernel then keeps an attempt within its memory and its share of the processors, and counts what it used.
This works where a part of the tree of groups was delegated to us: in a unit of systemd with `Delegate=yes`
(`systemd-run --user --scope -p Delegate=yes flyte-nb up`), or as root in a container with a writable tree.

A group that has processes of its own can have no limited groups below it. So this process moves into a
group beside those of the attempts. That is only done when no other program is in its group.

Source: docs.kernel.org/admin-guide/cgroup-v2.html.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from flyte_nb.propeller.executors.needs import Needs

_OWN = "flyte-nb-backend"
_PREFIX = "flyte-nb-attempt-"
_PERIOD_US = 100_000
_CONTROLLERS = ("memory", "cpu")


class Groups:
    """The groups of attempts below one group."""

    def __init__(self, folder: Path) -> None:
        """Take the group below which groups of attempts are made. It has the controllers enabled."""
        self._folder = folder

    @classmethod
    def prepared(cls, root: Path = Path("/"), pid: "int | None" = None) -> "Groups | str":
        """Prepare the group of this process; return why that cannot be, as a text, if it cannot.

        Args:
            root: The folder that has `proc` and `sys`.
            pid: This process.
        """
        own = _own_group(root)
        if own is None:
            return "this system has no control groups of version 2"
        pid = os.getpid() if pid is None else pid
        if own.name == _OWN:
            own = own.parent  # an earlier backend in this process has moved it
        try:
            has = (own / "cgroup.controllers").read_text().split()
            missing = [each for each in _CONTROLLERS if each not in has]
            if missing:
                return f"the control group {own} has no controller for {' and '.join(missing)}"
            others = set((own / "cgroup.procs").read_text().split()) - {str(pid)}
            if others:
                return f"other programs are in this process's control group {own}"
            leaf = own / _OWN
            leaf.mkdir(exist_ok=True)
            (leaf / "cgroup.procs").write_text(str(pid))
            # After the move: the kernel refuses this while a process is in the group itself.
            enable = " ".join(f"+{each}" for each in _CONTROLLERS)
            (own / "cgroup.subtree_control").write_text(enable)
        except OSError as error:
            return (
                f"the control group {own} was not delegated to this user: {error.strerror or error}"
            )
        return cls(own)

    def make(self, tag: str, needs: Needs) -> str:
        """Make the group of an attempt, with its limits; return its folder.

        Raises:
            OSError: when it cannot be made.
        """
        folder = self._of(tag)
        folder.mkdir(exist_ok=True)
        if needs.memory_limit:
            (folder / "memory.max").write_text(str(needs.memory_limit))
            # Without these, a limit leads to swapping, or ends one process and leaves the rest without it.
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                with suppress(OSError):
                    (folder / name).write_text(value)
        if needs.cpu_limit:
            # The kernel refuses a quota below one millisecond.
            quota = max(1000, int(needs.cpu_limit * _PERIOD_US))
            (folder / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        return str(folder)

    def peak(self, tag: str) -> int:
        """Return the most memory that the attempt had; 0 where the kernel does not say."""
        try:
            # Kernels before 5.19 have no such file.
            return int((self._of(tag) / "memory.peak").read_text())
        except (OSError, ValueError):
            return 0

    def was_killed(self, tag: str) -> bool:
        """Return whether the kernel killed the attempt because it had used up its memory."""
        try:
            lines = (self._of(tag) / "memory.events").read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def remove(self, tag: str) -> None:
        """Remove the group of an attempt that has ended."""
        with suppress(OSError):
            # The kernel refuses while a process is left in the group. A group that stays does no harm.
            self._of(tag).rmdir()

    def _of(self, tag: str) -> Path:
        # A tag is a path, and may be longer than a group's name can be.
        name = hashlib.sha256(tag.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        return self._folder / f"{_PREFIX}{name}"


def _own_group(root: Path) -> "Path | None":
    """Return the folder of this process's group; `None` where version 2 is not what controls processes."""
    tree = root / "sys/fs/cgroup"
    # With version 1 beside it, version 2 is mounted elsewhere and has no controllers.
    if not (tree / "cgroup.controllers").exists():
        return None
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    # Version 2 has the line `0::<path>`. Lines of version 1 begin with another number.
    path = next((line[len("0::") :] for line in lines if line.startswith("0::")), None)
    return None if path is None else tree / path.lstrip("/")
