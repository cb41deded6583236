"""Serve a storage plugin in a process of its own. `plugin_process` runs this file as a script.

The process can import the plugin's folder, the standard library and the host's own copy of flyte_nb, and
nothing else that the host has installed. It ends when the host closes the pipe. What the plugin prints goes
to standard error.
"""

import importlib.util
import os
import site
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # flyte_nb can be imported only after `prepare`
    from flyte_nb.api.ports import BlobStore
    from flyte_nb.pipe.pipe import Pipe
    from flyte_nb.storage.plugins import Plugin

_THREADS = 16
_MOST_CHARACTERS = 10_000


def prepare(plugin_folder: str) -> None:
    """Make the plugin's packages importable, and flyte_nb without the packages that are beside it."""
    os.dup2(2, 1)  # what the plugin prints must not get into the host's standard output
    sys.path.insert(0, plugin_folder)
    site.addsitedir(plugin_folder)  # some libraries come with .pth files
    # flyte_nb is usually in site-packages. Its parent folder on the path would bring all of the host's
    # packages, which may conflict with the plugin's. So the package is loaded by its file.
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        "flyte_nb", os.path.join(home, "__init__.py"), submodule_search_locations=[home]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    # Before its code runs, as Python's own import does it.
    sys.modules["flyte_nb"] = package
    spec.loader.exec_module(package)


class Server:
    """Answers calls, many at once. A scheme's store is made when it is first asked for."""

    def __init__(self, pipe: "Pipe", plugin: "Plugin", folder: str) -> None:
        self._pipe = pipe
        self._plugin = plugin
        self._folder = folder
        self._stores: dict[str, BlobStore] = {}
        self._making = threading.Lock()
        self._sending = threading.Lock()
        self._free = threading.Semaphore(_THREADS)

    def run(self) -> None:
        """Answer calls until the host closes the pipe."""
        # Imports of flyte_nb are inside of functions in this file: `prepare` makes them possible.
        from flyte_nb.pipe.pipe import PipeClosed

        while True:
            try:
                call = self._pipe.receive()
            except PipeClosed:
                return
            # Here and not in the thread: what a busy plugin does not read waits in the pipe and not in its
            # memory.
            self._free.acquire()
            threading.Thread(target=self._serve, args=(call,), daemon=True).start()

    def _serve(self, call: "dict[str, Any]") -> None:
        """Answer one call, whatever happens, because the host waits for the answer."""
        try:
            self._send(call, {"kind": "done", **self._answer(call)})
        except BaseException as error:  # noqa: BLE001 - a plugin may even call sys.exit
            self._send(call, {"kind": "failed", **self._failure(call, error)})
        finally:
            self._free.release()

    def _send(self, call: "dict[str, Any]", answer: "dict[str, Any]") -> None:
        # Answers of several threads must not mix on the pipe.
        with self._sending:
            self._pipe.send({**answer, "id": call["id"]})

    def _answer(self, call: "dict[str, Any]") -> "dict[str, Any]":
        from flyte_nb.storage.plugin_bodies import pack_body, take_body

        store, method, uri = self._store(call["uri"]), call["method"], call["uri"]
        if method == "put":
            [path] = call["values"]
            store.put(path, uri)
            return {"value": None}
        if method == "write":
            store.write(uri, take_body(call, self._folder))
            return {"value": None}
        if method == "touch" and not hasattr(
            store, method
        ):  # a plugin may be older than this method
            return {"value": False}
        value = getattr(store, method)(uri, *call["values"])
        if method in ("read", "read_part"):
            return pack_body(value, self._folder, f"child-{call['id']}")
        return {"value": value}

    def _store(self, uri: str) -> "BlobStore":
        from flyte_nb.storage.plugins import load_store

        scheme = uri.partition("://")[0]
        # Two calls at once must not both open the store.
        with self._making:
            if scheme not in self._stores:
                self._stores[scheme] = load_store(self._plugin.schemes[scheme], scheme)
            return self._stores[scheme]

    def _failure(self, call: "dict[str, Any]", error: BaseException) -> "dict[str, Any]":
        from flyte_nb.api.errors import StorageError
        from flyte_nb.pipe.pipe import TooLarge
        from flyte_nb.storage.file import explain

        uri = call["uri"]
        if isinstance(error, OSError) and error.errno is not None:
            error = explain(error, call["method"], uri)
        if not isinstance(error, StorageError):
            # The host's error is one line. The plugin's author needs the whole traceback.
            traceback.print_exception(error)
            reason = f"{type(error).__name__}: {_text(error)}"
            if isinstance(error, TooLarge):
                reason = "its answer is larger than a message on the pipe may be"
            error = StorageError(
                f"The storage plugin {self._plugin.name!r} failed to {call['method']} {uri}: {reason}.",
                uri=uri,
                hint=self._plugin.whereabouts,
            )
        return {
            "error": str(error),
            "uri": error.uri or uri,
            "transient": error.transient,
            "missing": error.missing,
        }


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MOST_CHARACTERS]
    except Exception as broken:  # noqa: BLE001 - the plugin's own code
        return f"<its text failed: {type(broken).__name__}>"


def main(plugin_folder: str, folder: str, read_fd: int, write_fd: int) -> None:
    """Serve the plugin in `plugin_folder` until the host closes the pipe.

    Args:
        plugin_folder: the folder with the plugin's packages.
        folder: the folder for large bodies.
        read_fd: the file descriptor for calls.
        write_fd: the file descriptor for answers.
    """
    prepare(plugin_folder)
    from flyte_nb.pipe.pipe import Pipe
    from flyte_nb.storage.plugins import plugins

    for descriptor in (read_fd, write_fd):
        # A program that the plugin starts must not hold the pipe open after the plugin's end.
        os.set_inheritable(descriptor, False)
    name = os.path.basename(plugin_folder)
    [plugin] = [item for item in plugins(os.path.dirname(plugin_folder)) if item.name == name]
    Server(Pipe(read_fd, write_fd, folder), plugin, folder).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    os._exit(0)  # without waiting for threads of the plugin, whose work nobody reads any more
