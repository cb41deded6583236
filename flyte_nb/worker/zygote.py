"""The warm path's worker: load the ring and one task once, then fork for every attempt at it.

The host starts this file by its path (`python -I zygote.py SOCKET FOLDER PACKAGES`), as it does
`bootstrap.py`: it is the host's, imports the standard library only, and never flyte_nb before the
ring is first on the path. It stays single-threaded, so that a fork has all of it. What a fork does is
what a fresh process does: `flyte_nb.worker.main.serve` of the ring, which finds its task loaded.

Forks are made before there are attempts for them, and the host hands each of them its attempt. So it
is the host that asks for `more`; it also asks for `signal`. Back come `ready` or `unfit`, and `spares`:
the pid of each, the socket over which it waits for its attempt, and where its end is told.
"""

import importlib.util
import os
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

_ASK_MS = 5  # where the end of a process cannot be waited for together with the socket
_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)  # its library stops and starts it around a fork
_REHEARSALS = 16  # after so many calls Python has specialised a function


def _loaded(room: str, name: str) -> Any:
    """Load a module of flyte_nb from its file, under no name: the user's code may have any name."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.path.join(package, room, f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"flyte_nb.{room}.{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING or __name__ != "__main__":
    from flyte_nb.pipe import sockets
    from flyte_nb.worker import packages, seeds
else:  # the host's flyte_nb is not to be found
    sockets = _loaded("pipe", "sockets")
    packages, seeds = _loaded("worker", "packages"), _loaded("worker", "seeds")


class _Fork(NamedTuple):
    """A fork that has not ended."""

    pid: int
    pidfd: int
    """-1 where the system has none."""
    end_fd: int
    """Where its end is told."""


class _Ends(NamedTuple):
    """What a fork has to do with others by."""

    inside: socket.socket
    """Where it waits for its attempt."""
    outside: socket.socket
    """The host's end of that."""
    end_fd: int
    """Where the host hears of its end."""
    told_fd: int
    """The zygote's end of that."""

    @classmethod
    def made(cls) -> "_Ends":
        """New ones."""
        return cls(*socket.socketpair(), *os.pipe())


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
        """What was printed while the task was loaded, as every fresh process would print it."""

    def run(self) -> None:
        """Load what the host says, and fork until it closes the socket."""
        first = sockets.receive(self._control)
        if first is None:
            return
        why = self._load(first[0]) or _unfit()
        ready = {"kind": "ready", "files": _loaded_files(self._folder)}
        sockets.send(self._control, {"kind": "unfit", "why": why} if why else ready)
        if why:
            return
        del ready
        _settle()
        for name, target in (("stdout", 1), ("stderr", 2)):
            with open(os.path.join(self._folder, name), "rb") as file:
                self._printed[target] = file.read()
        while self._serve():
            continue
        for pid in self._forks:  # their host is gone, and nobody can record what they do
            _end_group(pid)
        for pid in self._forks:
            os.waitpid(pid, 0)
        _remove(self._folder)

    def _load(self, message: "dict[str, Any]") -> str:
        """Why it cannot be loaded, or nothing."""
        sys.path.insert(0, message["ring"])
        try:
            from flyte_nb.worker import load, main

            self._seeds.watch()
            task = load.load(
                message["payload"], message["buffers"], message["modules"], python=message["python"]
            )
            self._seeds.look()
            # `serve` asks for it by this name, in every release's ring.
            vars(main).update(load=lambda *_, **__: task)
            self._serve_attempt = main.serve
        except BaseException as error:  # noqa: BLE001 - a cold attempt fails in the same way, and says how
            return f"{type(error).__name__}: {error}"
        _prepare(task)
        _rehearse(main, self._folder)
        return ""

    def _serve(self) -> bool:
        """Wait for what comes next; whether to go on."""
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
        """Fork, and tell the host: what forks cost is paid before anybody waits for them.

        Nothing comes between two forks of one call. What this process writes to later is copied for
        all of them at once, and that is what forks cost it most.
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
                    os._exit(70)  # only an exception comes here, and it has no host to tell
            pids.append(pid)
        for pid, own in zip(pids, ends, strict=True):
            pidfd = _end_descriptor(pid)
            if pidfd >= 0:
                self._poll.register(pidfd, select.POLLIN)
            self._forks[pid] = _Fork(pid, pidfd, own.told_fd)
            own.inside.close()
        fds = [fd for own in ends for fd in (own.outside.fileno(), own.end_fd)]
        try:
            spares = {"kind": "spares", "pids": pids, "started_s": started_s}
            sockets.send(self._control, spares, fds)
        except OSError:  # the host is gone, as the control's end is about to say
            return
        finally:
            for own in ends:
                own.outside.close()
                os.close(own.end_fd)

    def _wait(self, own: _Ends, ends: "list[_Ends]") -> None:
        """In a fork: leave the zygote's descriptors and session, and be the attempt that comes."""
        os.setsid()
        self._control.close()
        for fork in self._forks.values():
            os.close(fork.end_fd)
            if fork.pidfd >= 0:
                os.close(fork.pidfd)
        for each in ends:
            each.outside.close()
            os.close(each.end_fd)
            os.close(each.told_fd)
            if each is not own:
                each.inside.close()
        frame = sockets.receive(own.inside)
        if frame is None:
            os._exit(0)  # there is no attempt for it
        own.inside.close()
        self._become(*frame)

    def _become(self, message: "dict[str, Any]", own: "list[int]") -> None:
        """Be a fresh process of the attempt: streams, folder, variables, random numbers."""
        read_fd, write_fd, stdout, stderr, *lock = own
        for descriptor in lock:
            os.set_inheritable(descriptor, True)  # whatever it starts keeps the attempt alive
        for descriptor, target in ((stdout, 1), (stderr, 2)):
            os.dup2(descriptor, target)
            os.close(descriptor)
        for target, printed in self._printed.items():
            _write(target, printed)
        os.chdir(message["cwd"])
        for name, value in message["environ"].items():  # `update` asks ABCs, and touches far more
            os.environ[name] = value
        self._seeds.plant()
        self._serve_attempt(read_fd, write_fd, message["folder"])

    def _bury(self, fork: _Fork) -> None:
        """End what it left running, and say how it ended: wait status, CPU seconds, largest memory."""
        del self._forks[fork.pid]
        if fork.pidfd >= 0:
            self._poll.unregister(fork.pidfd)
            os.close(fork.pidfd)
        # It is a zombie until wait4, so its number, the group's, is still its own.
        _end_group(fork.pid)
        _, status, usage = os.wait4(fork.pid, 0)
        told = f"{status} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}\n"
        try:
            os.write(fork.end_fd, told.encode())
        except OSError:  # the host does not ask any more
            pass
        os.close(fork.end_fd)


def _rehearse(main: Any, folder: str) -> None:
    """Do what every attempt does: what it imports, binds and specialises, no fork has to do again."""
    here, there = socket.socketpair()
    with here, there:
        for _ in range(_REHEARSALS):
            sockets.send(here, {})
            sockets.receive(there)
    try:
        main.rehearse(folder)
    except Exception:  # noqa: BLE001 - rings of older releases have none; attempts do without
        return


def _prepare(task: Any) -> None:
    """Import what every attempt at the task imports, and read its signature; failing is left to them."""
    try:
        from flyte_nb.types import registry

        known = registry.default_registry(warn_pickled=False)
        task.signature(known)
        vars(registry).update(default_registry=lambda **_: known)
    except Exception:  # noqa: BLE001 - a signature with problems, or a ring of another release
        return


def _loaded_files(folder: str) -> "list[str]":
    """The files of the interpreter, its modules and its libraries, without those of the bundle.

    Of the standard library one stands for all: it changes with the interpreter.
    """
    paths = {sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"), os.__file__}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            paths.add(path)
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, slash, rest = line.rstrip("\n").partition("/")
                paths.add(slash + rest)
    except OSError:
        pass
    others = (folder, "/dev/", "/proc/")
    return sorted(path for path in paths if os.path.isabs(path) and not path.startswith(others))


def _unfit() -> str:
    """Why a fork of this process would not be a whole one, or nothing.

    Numeric libraries start threads when they are imported, and those that can live with a fork end
    them when one is made; so one is made before they are counted.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of these very threads
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    names = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/comm") as file:
            names.append(file.read().strip())
    others = [name for name in names if name not in _FORK_SAFE_THREADS]
    return f"it runs {len(others)} threads" if len(others) > 1 else ""


def _remove(folder: str) -> None:
    """Remove the folder, with the read-only ones in it that have the task's modules."""
    import shutil  # which no attempt needs

    for path, *_ in os.walk(folder):
        os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _settle() -> None:
    """Leave what is loaded where it is: a fork that does not touch it need not copy it."""
    import gc

    gc.collect()
    gc.freeze()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _now_s() -> float:
    """The time as `propeller.executors.processes.started_s` counts it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if clock is None else time.clock_gettime(clock)


def _end_descriptor(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except OSError:  # an old kernel, or a sandbox
        return -1


def _has_ended(pid: int) -> bool:
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, pid, options) is not None


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # one that has made no group yet, or has ended
        os.kill(pid, number)


def _end_group(pid: int) -> None:
    _signal_group(pid, 9)


def main() -> None:
    """Be the zygote of the host that holds the other end of the socket."""
    control, folder, found_in = socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:4]
    control.set_inheritable(False)
    sys.argv[:] = ["flyte-nb-worker"]
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    if found_in:
        packages.find_in(found_in)
    Zygote(control, folder).run()
    os._exit(0)  # exit handlers that the user's code has are for the forks


if __name__ == "__main__":
    main()
