"""Call a storage plugin from the host: a `BlobStore` that passes each call on to the plugin's own process.

The process starts with the first call, answers many calls at once, is started again after it has ended, and
ends with the host. Messages on the pipe are plain data; larger bodies go through files.

Each process has two threads here. `_receive` reads answers from the pipe. `_watch` waits for the process to
end, because a program that the plugin started may hold the pipe open. A caller waits on a condition until
its answer has arrived or the process has ended.
"""

import os
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

from flyte_nb.api.errors import BundleError, StorageError
from flyte_nb.api.ports import Stat
from flyte_nb.pipe.pipe import Pipe, PipeClosed, PipeGarbage
from flyte_nb.storage.file import explain
from flyte_nb.storage.plugin_bodies import pack_body, take_body
from flyte_nb.storage.plugins import Plugin
from flyte_nb.storage.work_folders import WorkFolder, sweep

_STALLED_S = 600.0
"""How long a call that moves an object or a folder may take. A quick call gets a tenth of it."""
_QUICK = frozenset({"size", "stat", "delete", "read_part"})


class PluginStore:
    """A `BlobStore` for every scheme that a plugin serves.

    Every method raises `StorageError` when the plugin fails, ends or does not answer in time.

    Args:
        plugin: the plugin.
        stalled_s: seconds after which a call that moves an object is given up.
    """

    def __init__(self, plugin: Plugin, *, stalled_s: float = _STALLED_S) -> None:
        self._plugin = plugin
        self._stalled_s = stalled_s
        self._lock = threading.Lock()
        self._running: list[_Process] = []  # one, or none yet
        # It holds the list and not this object, which it would keep alive. It also runs at exit.
        self._finalizer = weakref.finalize(self, _end, self._running)

    def read(self, uri: str) -> bytes:
        """Return the whole object."""
        return bytes(self._call("read", uri))

    def write(self, uri: str, data: "bytes | memoryview") -> None:
        """Store `data` at `uri` and replace an existing object."""
        self._call("write", uri, body=data)

    def read_part(self, uri: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset` on; fewer, or none, where the object ends."""
        return bytes(self._call("read_part", uri, offset, length))

    def size(self, uri: str) -> "int | None":
        """Return the object's size in bytes, or `None` when there is no such object."""
        size: int | None = self._call("size", uri)
        return size

    def stat(self, uri: str) -> "Stat | None":
        """Return what the plugin knows of the object without reading it, or `None` when there is none."""
        found = self._call("stat", uri)
        return None if found is None else Stat(*found)

    def get(self, uri: str, path: str) -> None:
        """Copy the object or folder at `uri` to the local `path`."""
        self._call("get", uri, os.path.abspath(path))

    def put(self, path: str, uri: str) -> None:
        """Copy the local file or folder to `uri`."""
        self._call("put", uri, os.path.abspath(path))

    def list(self, uri: str) -> "list[str]":
        """Return the URIs of the objects below `uri`, sorted."""
        return list(self._call("list", uri))

    def delete(self, uri: str) -> None:
        """Remove the object. Nothing happens when there is no such object."""
        self._call("delete", uri)

    def touch(self, uri: str) -> bool:
        """Set the object's time to the present; return whether the plugin could do that."""
        return bool(self._call("touch", uri))

    def close(self) -> None:
        """End the plugin's process. The next call starts another one."""
        self._finalizer()

    def _call(
        self, method: str, uri: str, *values: Any, body: "bytes | memoryview | None" = None
    ) -> Any:
        stalled_s = self._stalled_s / 10 if method in _QUICK else self._stalled_s
        what = ""
        for _ in range(2):  # every method of a store may be repeated without harm
            process = self._process()
            try:
                return process.call(method, uri, values, body, stalled_s)
            except _Stalled:
                self._forget(process)
                what = f"did not answer for {stalled_s:g} s when it was asked to {method} {uri}"
                break  # the error is transient, so the caller decides whether to wait as long again
            except _Ended as error:
                self._forget(process)
                what = f"ended while it was asked to {method} {uri}: {error}"
        raise StorageError(
            f"The storage plugin {self._plugin.name!r} {what}.",
            uri=uri,
            transient=True,
            hint=self._plugin.whereabouts,
        )

    def _process(self) -> "_Process":
        with self._lock:
            if not self._running:
                self._running.append(_Process(self._plugin))
            return self._running[0]

    def _forget(self, process: "_Process") -> None:
        with self._lock:
            if self._running != [process]:
                return  # another call has done this already
            self._running.clear()
        process.end()


class _Ended(Exception):
    """The plugin's process has ended; the text says how."""


class _Stalled(Exception):
    """The plugin's process is alive and does not answer."""


class _Process:
    """A plugin's process, its pipe, and the answers that arrived.

    Raises:
        StorageError: when the process or its folder cannot be made.
    """

    def __init__(self, plugin: Plugin) -> None:
        sweep()
        try:
            self._work = WorkFolder()
        except OSError as error:
            raise explain(error, "make a folder in", os.environ.get("TMPDIR") or "/tmp") from error
        self._work.hold()
        self._folder = self._work.path
        self._bodies = 0
        self._lock = threading.Lock()
        self._answers: dict[int, dict[str, Any]] = {}
        self._arrived = threading.Condition()
        self._calls = 0
        self._ended = ""
        try:
            self._pipe, self._popen = _start(plugin, self._folder)
        except BaseException:
            self._work.remove()
            raise
        for act in (self._receive, self._watch):
            # Daemons, so that a host that ends does not wait for its plugins.
            threading.Thread(target=act, name="flyte-nb-plugin", daemon=True).start()

    def call(
        self,
        method: str,
        uri: str,
        values: "tuple[Any, ...]",
        body: "bytes | memoryview | None",
        stalled_s: float,
    ) -> Any:
        message: dict[str, Any] = {"kind": "call", "method": method, "uri": uri, "values": values}
        if body is not None:
            message |= self._packed(body)
        # The lock keeps messages whole and their numbers unique. It is not held while the answer is awaited,
        # so other threads can call meanwhile.
        with self._lock:
            if self._ended:
                raise _Ended(self._ended)
            self._calls += 1
            message["id"] = number = self._calls
            try:
                self._pipe.send(message)
            except (BundleError, OSError) as error:
                raise _Ended(self._ended or str(error)) from error
        with self._arrived:
            self._arrived.wait_for(lambda: number in self._answers or self._ended, stalled_s)
            answer = self._answers.pop(number, None)
        if answer is None:
            raise _Ended(self._ended) if self._ended else _Stalled()
        return self._value(answer)

    def end(self) -> None:
        """End the process. Callers that wait for it get an error."""
        self._popen.kill()
        self._popen.wait()
        self._work.remove()

    def _watch(self) -> None:
        """Wait for the process to end, also when a program that it started holds the pipe open."""
        status = self._popen.wait()
        self._set_ended(f"exit status {status}")
        with suppress(ProcessLookupError, PermissionError):
            # Its children end too. That closes the pipe, and so ends `_receive`.
            os.killpg(self._popen.pid, SIGKILL)

    def _receive(self) -> None:
        """Read answers until the process ends, and end it when it sends something else."""
        while True:
            try:
                answer = self._pipe.receive()
                number = int(answer["id"])
            except (PipeClosed, OSError):
                break
            except (PipeGarbage, KeyError, TypeError, ValueError):
                self._set_ended("something else than an answer came over its pipe")
                break
            with self._arrived:
                self._answers[number] = answer
                self._arrived.notify_all()
        self._popen.kill()  # the frames cannot be found again in a stream that lost one
        self._set_ended(f"exit status {self._popen.wait()}")
        with self._lock:
            # Under the lock, because a closed descriptor's number may belong to another file when a caller
            # sends.
            self._pipe.close()

    def _set_ended(self, how: str) -> None:
        """Note how the process ended, and wake all callers that wait for an answer."""
        with self._arrived:
            # The first reason counts. Those that come later follow from it.
            self._ended = self._ended or how
            self._arrived.notify_all()

    def _value(self, answer: "dict[str, Any]") -> Any:
        if answer["kind"] == "failed":
            raise StorageError(
                str(answer["error"]),
                uri=str(answer["uri"]),
                transient=bool(answer["transient"]),
                missing=bool(answer["missing"]),
            )
        return take_body(answer, self._folder) if "body" in answer else answer.get("value")

    def _packed(self, body: "bytes | memoryview") -> "dict[str, Any]":
        with self._lock:
            self._bodies += 1
            name = f"host-{self._bodies}"
        try:
            return pack_body(body, self._folder, name)
        except OSError as error:
            raise explain(error, "write", self._folder) from error


def _start(plugin: Plugin, folder: str) -> "tuple[Pipe, subprocess.Popen[bytes]]":
    """Start the plugin's interpreter; return its pipe and the process."""
    child_read, own_write = os.pipe()
    own_read, child_write = os.pipe()
    child = Path(__file__).with_name("plugin_child.py")
    # -I and -S keep the packages of the interpreter and of the user away from the plugin's.
    command = [plugin.python or sys.executable, "-I", "-S", str(child), plugin.folder, folder]
    command += [str(child_read), str(child_write)]
    try:
        # In a session of its own, so that Ctrl-C at the terminal interrupts only the host.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=(child_read, child_write),
            start_new_session=True,
        )
    except OSError as error:
        os.close(own_read)
        os.close(own_write)
        raise StorageError(
            f"The storage plugin {plugin.name!r} cannot be started with {command[0]}: {error}.",
            hint="Correct `python` in the plugin's plugin.json; without it the host's interpreter is used.",
        ) from error
    finally:
        # With copies of the plugin's ends here, the pipe would stay open after the plugin's end.
        os.close(child_read)
        os.close(child_write)
    return Pipe(own_read, own_write, folder), process


def _end(running: "list[_Process]") -> None:
    while running:
        running.pop().end()
