"""The warm path's worker: load the ring and one task once, then fork for every attempt at it.

The host starts this file by its path (`python -I zygote.py SOCKET FOLDER`), as it does `bootstrap.py`:
it is the host's, imports the standard library only, and never flyte_nb before the ring is first on
the path. It stays single-threaded, so that a fork has all of it, and has the next fork ready before
it is asked for. What a fork does is what a fresh process does: `flyte_nb.worker.main.serve` of the
ring, which finds its task loaded.

A frame on the socket is a header of 8 bytes (`FNZ1`, the body's length), which file descriptors may
come with, and a JSON object. Host to zygote: `load`; then `fork` and `signal`. Back: `ready` or `unfit`.
What becomes of a fork is told through its own pipe: a line with its pid, and when it ended one more.
"""

import json
import os
import select
import socket
import sys
import time
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

_MAGIC = b"FNZ1"
_HEADER = 8
_MOST_DESCRIPTORS = 8
_ASK_MS = 5  # where the end of a process cannot be waited for together with the socket
_FORK_SAFE_THREADS = ("jemalloc_bg_thd",)  # its library stops and starts it around a fork


def send(control: socket.socket, message: "dict[str, Any]", fds: "Sequence[int]" = ()) -> None:
    """Send one frame; `OSError` when nobody reads it any more."""
    body = json.dumps(message, separators=(",", ":")).encode()
    data = memoryview(_MAGIC + len(body).to_bytes(4, "big") + body)
    sent = socket.send_fds(control, [data], fds) if fds else control.send(data)
    if sent < len(data):
        control.sendall(data[sent:])


def receive(control: socket.socket) -> "tuple[dict[str, Any], list[int]] | None":
    """The next frame and its descriptors, which programs do not inherit; `None` at the end."""
    header, fds = _arrived(control)
    header += _read(control, _HEADER - len(header)) if header else b""
    if len(header) < _HEADER:
        return None
    for descriptor in fds:
        os.set_inheritable(descriptor, False)  # where `_arrived` could not ask for it
    size = int.from_bytes(header[4:], "big")
    body = _read(control, size)
    if header[:4] != _MAGIC or len(body) < size:
        return None
    return json.loads(body), fds


def _arrived(control: socket.socket) -> "tuple[bytes, list[int]]":
    # Not `socket.recv_fds`, which ignores its flags: a program that another thread starts right now
    # would inherit an attempt's lock, and hold it for as long as it lives.
    fds = array("i")
    room = socket.CMSG_LEN(_MOST_DESCRIPTORS * fds.itemsize)
    header, extras, *_ = control.recvmsg(_HEADER, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    for *_, content in extras:
        fds.frombytes(content[: len(content) // fds.itemsize * fds.itemsize])
    return header, fds.tolist()


def _read(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = control.recv(size - len(data))
        if not chunk:
            break
        data += chunk
    return data


class _Fork(NamedTuple):
    """A forked attempt that has not ended."""

    pid: int
    pidfd: int
    """-1 where the system has none."""
    end_fd: int
    """Where its end is told."""


class _Spare(NamedTuple):
    """A fork that waits for an attempt."""

    pid: int
    socket: socket.socket
    started_s: float  # since the epoch


class Zygote:
    """A process that has loaded one task."""

    def __init__(self, control: socket.socket, folder: str) -> None:
        self._control = control
        self._folder = folder
        self._forks: dict[str, _Fork] = {}
        self._spare: _Spare | None = None
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._seeds = _Seeds()
        self._printed: dict[int, bytes] = {}
        """What was printed while the task was loaded, as every fresh process would print it."""

    def run(self) -> None:
        """Load what the host says, and fork until it closes the socket."""
        first = receive(self._control)
        if first is None:
            return
        why = self._load(first[0]) or _unfit()
        send(self._control, {"kind": "unfit", "why": why} if why else {"kind": "ready"})
        if why:
            return
        _settle()
        for name, target in (("stdout", 1), ("stderr", 2)):
            with open(os.path.join(self._folder, name), "rb") as file:
                self._printed[target] = file.read()
        self._spare = self._forked()
        while self._serve():
            continue
        for fork in self._forks.values():  # their host is gone, and nobody can record what they do
            _end_group(fork.pid)
        for fork in self._forks.values():
            os.waitpid(fork.pid, 0)
        import shutil  # which no attempt needs

        shutil.rmtree(self._folder, ignore_errors=True)

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
        return ""

    def _serve(self) -> bool:
        """Wait for what comes next; whether to go on."""
        asking = any(fork.pidfd < 0 for fork in self._forks.values())
        ready = {fd for fd, _ in self._poll.poll(_ASK_MS if asking else None)}
        for id, fork in list(self._forks.items()):
            if fork.pidfd in ready or (fork.pidfd < 0 and _has_ended(fork.pid)):
                self._bury(id, fork)
        if self._control.fileno() not in ready:
            return True
        frame = receive(self._control)
        if frame is None:
            return False
        message, fds = frame
        if message["kind"] == "fork":
            self._fork(message, fds)
        elif message["id"] in self._forks:
            _signal_group(self._forks[message["id"]].pid, message["number"])
        return True

    def _fork(self, message: "dict[str, Any]", fds: "list[int]") -> None:
        """Make the spare an attempt, and then another spare for the next one."""
        *own, end_fd = fds
        pid, started_s = self._handed(message, own)
        for descriptor in own:
            os.close(descriptor)
        pidfd = _end_descriptor(pid)
        if pidfd >= 0:
            self._poll.register(pidfd, select.POLLIN)
        self._forks[message["id"]] = _Fork(pid, pidfd, end_fd)
        _tell(end_fd, {"pid": pid, "started_s": started_s})
        self._spare = self._forked()

    def _handed(self, message: "dict[str, Any]", own: "list[int]") -> "tuple[int, float]":
        """The process that has the attempt now, and when it was started."""
        while True:
            spare, self._spare = self._spare or self._forked(), None
            with spare.socket:
                try:
                    send(spare.socket, message, own)
                except OSError:  # somebody killed it while it waited
                    _end_group(spare.pid)
                    os.waitpid(spare.pid, 0)
                else:
                    return spare.pid, spare.started_s

    def _forked(self) -> "_Spare":
        """A fork that waits for its attempt: what a fork costs is paid before anybody waits for it."""
        ours, theirs = socket.socketpair()
        started_s = time.time()
        pid = os.fork()
        if pid:
            theirs.close()
            return _Spare(pid, ours, started_s)
        try:
            ours.close()
            self._wait(theirs)
        finally:
            os._exit(70)  # only an exception comes here, and it has no host to tell

    def _wait(self, theirs: socket.socket) -> None:
        """In a fork: leave the zygote's descriptors and session, and be the attempt that comes."""
        os.setsid()
        self._control.close()
        for fork in self._forks.values():
            os.close(fork.end_fd)
            if fork.pidfd >= 0:
                os.close(fork.pidfd)
        self._rehearse()
        frame = receive(theirs)
        if frame is None:
            os._exit(0)  # the zygote has ended
        theirs.close()
        self._become(*frame)

    def _rehearse(self) -> None:
        """Touch the memory that every attempt touches: it is copied now, and not when one waits for it."""
        try:
            from flyte_nb.worker.pipe import Pipe

            pipe = Pipe(*os.pipe(), self._folder)
            pipe.send({"kind": "rehearsal"})
            pipe.receive()
            pipe.close()
        except Exception:  # noqa: BLE001 - a ring of another release; the attempt does without
            return

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
        os.environ.update(message["environ"])
        self._seeds.plant()
        self._serve_attempt(read_fd, write_fd, message["folder"])

    def _bury(self, id: str, fork: _Fork) -> None:
        """End what it left running, and say how it ended."""
        del self._forks[id]
        if fork.pidfd >= 0:
            self._poll.unregister(fork.pidfd)
            os.close(fork.pidfd)
        # It is a zombie until wait4, so its number, the group's, is still its own.
        _end_group(fork.pid)
        _, status, usage = os.wait4(fork.pid, 0)
        cpu_s = usage.ru_utime + usage.ru_stime
        _tell(fork.end_fd, {"status": status, "cpu_s": cpu_s, "max_rss": usage.ru_maxrss})
        os.close(fork.end_fd)


class _Seeds:
    """Random numbers of a fork are those of a fresh process: new ones, or as the user's code seeded."""

    def __init__(self) -> None:
        self._seeded = False
        self._state: Any = None
        self._seed: Any = None

    def watch(self) -> None:
        """From now on note whether somebody seeds."""
        import random

        seed = random.seed

        def noted(*values: Any, **named: Any) -> None:
            self._seeded = any(value is not None for value in (*values, *named.values()))
            seed(*values, **named)

        random.seed = noted
        self._seed = seed

    def look(self) -> None:
        """The user's code is loaded."""
        import random

        random.seed = self._seed
        if self._seeded:
            self._state = random.getstate()

    def plant(self) -> None:
        """In a fork; Python has seeded `random` anew there."""
        if self._seeded:
            import random

            random.setstate(self._state)
        numpy = sys.modules.get("numpy.random.mtrand")
        generator = getattr(getattr(numpy, "_rand", None), "_bit_generator", None)
        # numpy forgets what it began with when it is seeded by hand.
        if numpy is not None and getattr(generator, "seed_seq", None) is not None:
            numpy.seed()


def _prepare(task: Any) -> None:
    """Import what every attempt at the task imports, and read its signature; failing is left to them."""
    try:
        from flyte_nb.types import registry

        known = registry.default_registry(warn_pickled=False)
        task.signature(known)
        vars(registry).update(default_registry=lambda **_: known)
    except Exception:  # noqa: BLE001 - a signature with problems, or a ring of another release
        return


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


def _tell(end_fd: int, message: "dict[str, Any]") -> None:
    try:
        os.write(end_fd, json.dumps(message).encode() + b"\n")
    except OSError:  # the host does not ask any more
        return


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
    control, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    control.set_inheritable(False)
    sys.argv[:] = ["flyte-nb-worker"]
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    Zygote(control, folder).run()
    os._exit(0)  # exit handlers that the user's code has are for the forks


if __name__ == "__main__":
    main()
