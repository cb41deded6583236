"""The process of a storage plugin, run as a script by `plugin_process`.

On its path are the plugin's folder and the standard library; of flyte_nb it has the host's own copy. It
ends when the host closes the pipe. What the plugin prints goes to the log, not to the pipe.
"""

import importlib.util
import os
import site
import sys
import threading
import traceback
from typing import Any

_THREADS = 16
_MOST_CHARACTERS = 10_000


def prepare(plugin_folder: str) -> None:
    """Put the plugin's packages first, and flyte_nb, without what lies beside it, behind them."""
    os.dup2(2, 1)
    sys.path.insert(0, plugin_folder)
    site.addsitedir(plugin_folder)  # some libraries come with .pth files
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spec = importlib.util.spec_from_file_location(
        "flyte_nb", os.path.join(home, "__init__.py"), submodule_search_locations=[home]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["flyte_nb"] = package
    spec.loader.exec_module(package)


class Server:
    """Answers calls side by side, each store made when its scheme is first asked for."""

    def __init__(self, pipe: Any, plugin: Any, folder: str) -> None:
        self._pipe = pipe
        self._plugin = plugin
        self._folder = folder
        self._stores: dict[str, Any] = {}
        self._making = threading.Lock()
        self._sending = threading.Lock()
        self._free = threading.Semaphore(_THREADS)

    def run(self) -> None:
        """Serve until the host is gone."""
        from flyte_nb.pipe.pipe import PipeClosed

        while True:
            try:
                call = self._pipe.receive()
            except PipeClosed:
                return
            self._free.acquire()
            threading.Thread(target=self._serve, args=(call,), daemon=True).start()

    def _serve(self, call: "dict[str, Any]") -> None:
        """Answer, whatever happens: somebody waits."""
        try:
            self._send(call, {"kind": "done", **self._answer(call)})
        except BaseException as error:  # noqa: BLE001 - also what would end the thread, as sys.exit
            self._send(call, {"kind": "failed", **self._failure(call, error)})
        finally:
            self._free.release()

    def _send(self, call: "dict[str, Any]", answer: "dict[str, Any]") -> None:
        with self._sending:
            self._pipe.send({**answer, "id": call["id"]})

    def _answer(self, call: "dict[str, Any]") -> "dict[str, Any]":
        from flyte_nb.storage.plugin_bodies import pack_body, take_body

        store, method, uri = self._store(call["uri"]), call["method"], call["uri"]
        if method == "put":
            return {"value": store.put(*call["values"], uri)}
        if method == "write":
            return {"value": store.write(uri, take_body(call, self._folder))}
        if method == "touch" and not hasattr(store, method):  # a plugin may be older than it
            return {"value": False}
        value = getattr(store, method)(uri, *call["values"])
        if method in ("read", "read_part"):
            return pack_body(value, self._folder, f"child-{call['id']}")
        return {"value": value}

    def _store(self, uri: str) -> Any:
        from flyte_nb.storage.plugins import load_store

        scheme = uri.partition("://")[0]
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
            traceback.print_exception(error)
            said = f"{type(error).__name__}: {_text(error)}"
            if isinstance(error, TooLarge):
                said = "its answer is larger than the pipe to this process carries"
            error = StorageError(
                f"The storage plugin {self._plugin.name!r} failed to {call['method']} {uri}: {said}.",
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
    """Serve the plugin in `plugin_folder`."""
    prepare(plugin_folder)
    from flyte_nb.pipe.pipe import Pipe
    from flyte_nb.storage.plugins import plugins

    for descriptor in (read_fd, write_fd):
        os.set_inheritable(descriptor, False)
    name = os.path.basename(plugin_folder)
    [plugin] = [item for item in plugins(os.path.dirname(plugin_folder)) if item.name == name]
    Server(Pipe(read_fd, write_fd, folder), plugin, folder).run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    os._exit(0)  # what the plugin's own threads still do is for nobody
