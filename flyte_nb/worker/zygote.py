"""The warm path's worker: load the ring and one task once, then fork for every attempt at the task.

The host starts this file by its path (`python -I zygote.py SOCKET FOLDER PACKAGES`), as it starts
`bootstrap.py`. The file belongs to the host's release. It imports the standard library only, and
imports flyte_nb only after the ring is first on the path: the task must be loaded by the release that
pickled it.

The process stays single-threaded, so that its forks are complete. What a fork does is what a fresh
process does: it calls `flyte_nb.worker.main.serve` of the ring, with the task that was loaded before.

Forks are made before attempts need them, because making one takes longer than handing it an attempt. So
the host asks for `more` forks, and itself hands each one its attempt. The host also sends `signal`. The
answers are `ready` or `unfit`, and then `spares`: for each fork its process number, the socket over
which it waits for its attempt, and the pipe in which its end is written.
"""

import importlib.util
import os
import select
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

_ASK_MS = 5
"""How often to ask for the end of forks, where the system has no descriptor for it."""
_REHEARSALS = 16
"""After so many calls Python has specialised a function."""


def _loaded(room: str, name: str) -> Any:
    """Load a module of flyte_nb from its file, without a place in `sys.modules`.

    There it would be in the way of the ring's module with that name, which comes later.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.path.join(package, room, f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"flyte_nb.{room}.{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from collections.abc import Callable

if TYPE_CHECKING or __name__ != "__main__":
    from flyte_nb.pipe import sockets
    from flyte_nb.worker import forkable, older_rings, packages, seeds
else:
    # This interpreter is the task's, and need not have a flyte_nb at all.
    sockets = _loaded("pipe", "sockets")
    packages, seeds = _loaded("worker", "packages"), _loaded("worker", "seeds")
    forkable, older_rings = _loaded("worker", "forkable"), _loaded("worker", "older_rings")


class _Fork(NamedTuple):
    """A fork that has not ended."""

    pid: int
    pidfd: int
    """A descriptor that becomes readable at its end; -1 where the system has none."""
    end_fd: int
    """The pipe into which this process writes how it ended."""


class _Ends(NamedTuple):
    """A fork's connections: a socket for its attempt, and a pipe for the report of its end."""

    inside: socket.socket
    """The fork's end of the socket."""
    outside: socket.socket
    """The host's end of the socket."""
    end_fd: int
    """The host's end of the pipe."""
    report_fd: int
    """The zygote's end of the pipe."""

    @classmethod
    def made(cls) -> "_Ends":
        """Return new connections."""
        inside, outside = socket.socketpair()
        end_fd, report_fd = os.pipe()
        return cls(inside=inside, outside=outside, end_fd=end_fd, report_fd=report_fd)


class Zygote:
    """A process that has loaded one task."""

    def __init__(self, control: socket.socket, folder: str) -> None:
        self._control = control
        self._folder = folder
        self._forks: dict[int, _Fork] = {}  # by pid
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._seeds = seeds.Seeds()
        self._printed: dict[int, bytes] = {}
        """By descriptor, what modules printed while they were loaded. Every fresh process would print it."""

    def run(self) -> None:
        """Load the task that the host names, and fork until the host closes the socket."""
        first = sockets.receive(self._control)
        if first is None:
            return
        why = self._load(first[0]) or forkable.why_unfit()
        if why:
            sockets.send(self._control, {"kind": "unfit", "why": why})
            return
        files = forkable.loaded_files(self._folder)
        sockets.send(self._control, {"kind": "ready", "files": files})
        del files  # before `settle`, which keeps what exists for ever
        forkable.settle()
        for name, target in (("stdout", 1), ("stderr", 2)):
            with open(os.path.join(self._folder, name), "rb") as file:
                self._printed[target] = file.read()
        while self._serve():
            continue
        # The host is dead or has closed the socket. Nobody serves the forks any more, or records what
        # they do.
        for pid in self._forks:
            _end_group(pid)
        for pid in self._forks:
            os.waitpid(pid, 0)
        _remove(self._folder)

    def _load(self, message: "dict[str, Any]") -> str:
        """Load the task; return why it cannot be loaded, or an empty text."""
        # First on the path, so that nothing installed here replaces the release that pickled the task.
        sys.path.insert(0, message["ring"])
        try:
            # Not at the top: the ring was not on the path there.
            from flyte_nb.worker import main

            self._seeds.start_watching()
            self._serve_attempt = _preloaded(main, message)
            self._seeds.stop_watching()
        except BaseException as error:  # noqa: BLE001 - a cold attempt fails alike, and reports it
            return f"{type(error).__name__}: {error}"
        _rehearse(main, self._folder)
        return ""

    def _serve(self) -> bool:
        """Wait for the next event and handle it; return whether to go on."""
        asking = any(fork.pidfd < 0 for fork in self._forks.values())
        ready = {fd for fd, _ in self._poll.poll(_ASK_MS if asking else None)}
        for fork in list(self._forks.values()):
            if fork.pidfd in ready or (fork.pidfd < 0 and _has_ended(fork.pid)):
                self._bury(fork)
        if self._control.fileno() not in ready:
            return True
        frame = sockets.receive(self._control)
        if frame is None:
            return False
        message = frame[0]
        if message["kind"] == "more":
            self._fork(message["count"])
        elif message["pid"] in self._forks:
            _signal_group(message["pid"], message["number"])
        return True

    def _fork(self, count: int) -> None:
        """Make forks and send them to the host, before attempts wait for them.

        Nothing happens between two forks of one call. After a fork, each page that this process writes
        to has to be copied, which is most of what a fork costs. This way it is copied once for all of them.
        """
        ends = [_Ends.made() for _ in range(count)]
        started_s = _now_s()
        pids: list[int] = []
        for own in ends:
            pid = os.fork()
            if pid == 0:
                try:
                    self._wait(own, ends)
                finally:
                    # Only an exception comes here, and no host listens to this fork yet.
                    os._exit(70)
            pids.append(pid)
        for pid, own in zip(pids, ends, strict=True):
            pidfd = _end_descriptor(pid)
            if pidfd >= 0:
                self._poll.register(pidfd, select.POLLIN)
            self._forks[pid] = _Fork(pid, pidfd, own.report_fd)
            own.inside.close()
        fds = [fd for own in ends for fd in (own.outside.fileno(), own.end_fd)]
        try:
            spares = {"kind": "spares", "pids": pids, "started_s": started_s}
            sockets.send(self._control, spares, fds)
        except OSError:
            # The host is dead. The end of `_control` says so in the next turn, which ends the forks.
            return
        finally:
            for own in ends:
                own.outside.close()
                os.close(own.end_fd)

    def _wait(self, own: _Ends, ends: "list[_Ends]") -> None:
        """Be a fork: leave the zygote's session, close what is not this fork's, and wait for an attempt."""
        # A group of its own, so that a signal for the attempt reaches all that it starts, and no other fork.
        os.setsid()
        # An open copy here would keep the other end from seeing the end of the process that really has it.
        self._control.close()
        for fork in self._forks.values():
            os.close(fork.end_fd)
            if fork.pidfd >= 0:
                os.close(fork.pidfd)
        for each in ends:
            each.outside.close()
            os.close(each.end_fd)
            os.close(each.report_fd)
            if each is not own:
                each.inside.close()
        frame = sockets.receive(own.inside)
        if frame is None:
            os._exit(0)  # the host has closed the socket: this fork is not needed
        own.inside.close()
        self._become(*frame)

    def _become(self, message: "dict[str, Any]", own: "list[int]") -> None:
        """Make this fork equal to a fresh process (streams, folder, variables, random numbers), and serve."""
        read_fd, write_fd, stdout, stderr, *lock = own
        for descriptor in lock:
            # The attempt lives as long as any process that it started: see `attempt_folder` in propeller.
            os.set_inheritable(descriptor, True)
        for descriptor, target in ((stdout, 1), (stderr, 2)):
            # C libraries and programs that the task starts write to these numbers, past `sys.stdout`.
            os.dup2(descriptor, target)
            os.close(descriptor)
        for target, printed in self._printed.items():
            _write(target, printed)
        os.chdir(message["cwd"])
        # One by one: `update` runs code of abstract base classes, and each page that it writes to is copied.
        for name, value in message["environ"].items():
            os.environ[name] = value
        self._seeds.apply()
        self._serve_attempt(read_fd, write_fd, message["folder"])

    def _bury(self, fork: _Fork) -> None:
        """Kill what the fork left running, and report its end: wait status, CPU seconds, largest memory."""
        del self._forks[fork.pid]
        if fork.pidfd >= 0:
            self._poll.unregister(fork.pidfd)
            os.close(fork.pidfd)
        # Until wait4 it is a zombie and keeps its number, which is also the group's. So this meets no
        # stranger.
        _end_group(fork.pid)
        _, status, usage = os.wait4(fork.pid, 0)
        report = f"{status} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}\n"
        try:
            os.write(fork.end_fd, report.encode())
        except OSError:  # the host does not wait for it any more
            pass
        os.close(fork.end_fd)


def _preloaded(main: Any, message: "dict[str, Any]") -> "Callable[[int, int, str], None]":
    """Load the task, and return what serves an attempt at it: `main.serve` of the ring."""
    try:
        from flyte_nb.worker.preload import preload
    except ImportError:
        older_rings.preload(main, message)
        serve: Callable[[int, int, str], None] = main.serve
        return serve
    found = preload(
        message["payload"], message["buffers"], message["modules"], python=message["python"]
    )
    return partial(main.serve, preloaded=found)


def _rehearse(main: Any, folder: str) -> None:
    """Do what every attempt does, so that no fork has to import, bind or specialise the same things again."""
    here, there = socket.socketpair()
    with here, there:
        for _ in range(_REHEARSALS):
            sockets.send(here, {})
            sockets.receive(there)
    try:
        main.rehearse(folder)
    except Exception:  # noqa: BLE001 - rings of older releases have none; attempts do without
        return


def _remove(folder: str) -> None:
    """Remove the folder. The folders in it that have the task's modules are read-only."""
    import shutil  # memory: every fork would have it, and no attempt needs it

    for path, *_ in os.walk(folder):
        os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _now_s() -> float:
    """Return the time by the clock of `propeller.executors.processes.started_s`."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    # Linux notes by this clock when a process began. Other systems do not have it.
    return time.time() if clock is None else time.clock_gettime(clock)


def _end_descriptor(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except OSError:  # an old kernel, or a sandbox
        return -1


def _has_ended(pid: int) -> bool:
    # WNOWAIT leaves the zombie to `_bury`: its number stays taken until its group is killed.
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, pid, options) is not None


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # It has not made its group yet. It may also have ended, but it is our zombie, so its number is
        # its own.
        os.kill(pid, number)


def _end_group(pid: int) -> None:
    _signal_group(pid, 9)


def main() -> None:
    """Be the zygote of the host that has the other end of the socket."""
    control, folder, found_in = socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:4]
    # The descriptor was inherited. A program that the task starts must not hold the host's socket open.
    control.set_inheritable(False)
    sys.argv[:] = ["flyte-nb-worker"]
    for stream in (sys.stdout, sys.stderr):
        # Into a file Python writes by blocks. Forks would copy a block that is not full, and write it late.
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    if found_in:
        packages.find_in(found_in)
    Zygote(control, folder).run()
    # Not `sys.exit`: exit handlers of the user's code are for the attempts, and those have run them.
    os._exit(0)


if __name__ == "__main__":
    main()
