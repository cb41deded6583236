"""Storage plugins work as real wheels in processes of their own, and their failures are reported."""

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from flyte_nb.api.errors import StorageError
from flyte_nb.propeller.executors.attempt_folder import lives
from flyte_nb.storage import open_stores
from flyte_nb.storage.plugin_process import PluginStore
from flyte_nb.storage.plugins import plugin_for, plugins
from flyte_nb.testing.storage_conformance import BlobStoreConformance
from flyte_nb.testing.waiting import wait_until

STORE = '''
"""A store in a folder, which says the version of the library that it needs."""
import os, sys
import conflicting
from flyte_nb.storage.file import FileStore

class Store:
    def __init__(self):
        print("garbage on stdout", flush=True)
        self._files = FileStore()

    def __getattr__(self, method):
        def call(*values):
            values = [self._path(v) if str(v).startswith("{scheme}://") else v for v in values]
            found = getattr(self._files, method)(*values)
            return [self._uri(item) for item in found] if method == "list" else found
        return call

    def read(self, uri):
        name = uri.partition("://")[2]
        if name == "version":
            return conflicting.VERSION.encode()
        if name == "path":
            return "\\n".join(sys.path).encode()
        if name == "pid":
            return str(os.getpid()).encode()
        if name == "die":
            os._exit(7)
        if name == "die-once" and not os.path.exists(os.environ["ONCE"]):
            open(os.environ["ONCE"], "w").close()
            os._exit(7)
        if name == "die-once":
            return b"alive"
        if name == "import":
            import {imports}
        if name == "garbage":
            for descriptor in range(3, 1024):
                try:
                    os.write(descriptor, b"no frame at all, but long enough")
                except OSError:
                    pass
        if name == "stall":
            import threading
            threading.Event().wait()
        if name == "exit":
            sys.exit("enough")
        if name == "die-forked":
            if os.fork() == 0:
                open(os.environ["GATE"]).close()  # and holds the pipe until then
            os._exit(7)
        if name == "no-text":
            class Odd(Exception):
                def __str__(self):
                    raise KeyError("text")
            raise Odd
        if name == "forged":
            body = b'{"kind":"done"}'
            for descriptor in range(3, 1024):
                try:
                    os.write(descriptor, b"FNB\x01" + len(body).to_bytes(4, "big") + body)
                except OSError:
                    pass
            import threading
            threading.Event().wait()
        if name == "bug":
            raise ZeroDivisionError("one over none")
        return self._files.read(self._path(uri))

    def list(self, uri):
        if uri.endswith("://long"):
            return ["x" * (1 << 20)] * 150
        if uri.endswith("://odd"):
            return [object()]
        return [self._uri(path) for path in self._files.list(self._path(uri))]

    def size(self, uri):
        if uri.endswith("://stall"):
            import threading
            threading.Event().wait()
        return self._files.size(self._path(uri))

    def _path(self, uri):
        return uri.replace("{scheme}://", "/", 1)

    def _uri(self, path):
        return path.replace("/", "{scheme}://", 1)
'''


def wheel(folder, name, version, files, *, requires="", entry_points=""):
    """Write a wheel, which is a zip with three more files."""
    info = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {requires}\n" if requires else ""
    meta = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry_points:
        meta[f"{info}/entry_points.txt"] = entry_points
    members = {**files, **meta}
    record = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for path, text in {**members, f"{info}/RECORD": record}.items():
            file.writestr(path, text)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install two plugins, each with the one version of `conflicting` that it works with."""
    wheels, root = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("plugins")
    for number, version in ((1, "1.0"), (2, "2.0")):
        wheel(wheels, "conflicting", version, {"conflicting.py": f"VERSION = {version!r}\n"})
        code = STORE.replace("{scheme}", f"scheme{number}").replace("{imports}", "grpc")
        wheel(
            wheels,
            f"plugin{number}",
            "1.0",
            {f"plugin{number}.py": code},
            requires=f"conflicting=={version}",
            entry_points=f"[flyte_nb.storage]\nscheme{number} = plugin{number}:Store\n",
        )
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--find-links"]
        command += [str(wheels), "--target", str(root / f"plugin{number}"), f"plugin{number}"]
        subprocess.run([*command, "--disable-pip-version-check"], check=True, capture_output=True)
    return root


@pytest.fixture
def stores(installed, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_PLUGIN_DIR", str(installed))
    opened = open_stores()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def plugin_store(installed):
    made = PluginStore(plugin_for("scheme1", str(installed)))
    yield made
    made.close()


class TestPluginStore(BlobStoreConformance):
    @pytest.fixture
    def store(self, plugin_store):
        return plugin_store

    @pytest.fixture
    def root(self, tmp_path):
        return f"scheme1:/{tmp_path}/store"


def test_two_plugins_with_conflicting_versions_serve_in_one_process(stores):
    assert stores.read("scheme1://version") == b"1.0"
    assert stores.read("scheme2://version") == b"2.0"
    pids = {int(stores.read(f"scheme{number}://pid")) for number in (1, 2)}
    assert len(pids | {os.getpid()}) == 3
    assert "conflicting" not in sys.modules


def test_a_plugin_sees_its_own_packages_and_none_of_the_hosts(stores, installed):
    path = stores.read("scheme1://path").decode().splitlines()
    assert path[0] == str(installed / "plugin1")
    assert not [item for item in path[1:] if "site-packages" in item]
    with pytest.raises(StorageError, match="No module named 'grpc'"):
        stores.read("scheme1://import")


def test_many_calls_go_at_once_through_one_process(stores, tmp_path):
    data = {f"scheme1:/{tmp_path}/{number}": os.urandom(200_000) for number in range(12)}
    errors = []

    def there_and_back(uri):
        try:
            stores.write(uri, data[uri])
            assert stores.read(uri) == data[uri]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=there_and_back, args=(uri,)) for uri in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_plugin_that_dies_is_started_once_more(stores, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCE", str(tmp_path / "once"))
    assert stores.read("scheme1://die-once") == b"alive"


def test_a_plugin_that_dies_again_and_again_is_reported_with_its_status(stores):
    with pytest.raises(StorageError, match=r"'plugin1' ended .* exit status 7") as caught:
        stores.read("scheme1://die")
    assert caught.value.transient
    assert stores.read("scheme1://version") == b"1.0"


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("scheme1://garbage", "something else than an answer"),
        ("scheme1://forged", "something else than an answer"),
        ("scheme1://die-forked", "exit status 7"),
    ],
)
def test_whatever_ends_the_conversation_ends_the_process_at_once(
    stores, installed, uri, text, gate, monkeypatch
):
    monkeypatch.setenv("GATE", str(gate))
    with pytest.raises(StorageError, match="'plugin1' ended while it was asked to read") as caught:
        stores.read(uri)
    assert text in str(caught.value)
    assert str(installed / "plugin1") in str(caught.value)
    assert stores.read("scheme1://version") == b"1.0"


@pytest.mark.parametrize(
    ("method", "uri", "text"),
    [
        ("read", "scheme1://exit", "SystemExit: enough"),
        ("read", "scheme1://no-text", "Odd: <its text failed: KeyError>"),
        ("list", "scheme1://long", "its answer is larger than a message"),
        ("list", "scheme1://odd", "not JSON serializable"),
    ],
)
def test_a_call_that_cannot_be_answered_is_refused_at_once(stores, installed, method, uri, text):
    pid = stores.read("scheme1://pid")
    with pytest.raises(StorageError, match=rf"'plugin1' failed to {method} {uri}") as caught:
        getattr(stores, method)(uri)
    assert text in str(caught.value)
    assert f"packages are in {installed / 'plugin1'}" in str(caught.value)
    assert not caught.value.transient
    assert stores.read("scheme1://pid") == pid  # the others' calls go on


@pytest.mark.parametrize(("method", "limit"), [("read", 1.0), ("size", 10.0)])
def test_a_plugin_that_stalls_is_given_up(installed, method, limit):
    store = PluginStore(plugin_for("scheme1", str(installed)), stalled_s=limit)
    try:
        with pytest.raises(StorageError, match=r"'plugin1' did not answer for 1 s") as caught:
            getattr(store, method)("scheme1://stall")
        assert caught.value.transient
        store._stalled_s = 240.0  # a new process has to be started first
        assert store.read("scheme1://version") == b"1.0"
    finally:
        store.close()


def test_the_log_with_what_a_plugin_printed_is_named(installed, tmp_path):
    code = (
        "from flyte_nb.storage import open_stores\n"
        "try:\n    open_stores().read('scheme1://bug')\n"
        "except Exception as error:\n    print(error)\n"
    )
    log = tmp_path / "some.log"
    with log.open("wb") as stderr:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "FLYTE_NB_PLUGIN_DIR": str(installed)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            check=True,
        )
    if os.path.exists("/proc/self/fd/2"):
        assert str(log) in done.stdout
    assert "log" in done.stdout
    assert "ZeroDivisionError: one over none" in log.read_text()


def test_a_bug_in_a_plugin_is_an_error_that_names_it(stores):
    with pytest.raises(StorageError, match=r"'plugin1' failed to read .*one over none") as caught:
        stores.read("scheme1://bug")
    assert not caught.value.transient


def test_the_process_ends_with_its_store(installed):
    store = PluginStore(plugin_for("scheme1", str(installed)))
    pid = int(store.read("scheme1://pid"))
    store.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_process_ends_with_a_host_that_was_killed(installed):
    code = (
        "import os, signal; from flyte_nb.storage import open_stores;"
        "print(open_stores().read('scheme1://pid').decode(), flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    env = {**os.environ, "FLYTE_NB_PLUGIN_DIR": str(installed)}
    # Standard error is inherited by the plugin, so that reading it to its end waits for its end.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    # Whoever has to may not have waited for it yet.
    wait_until(lambda: not lives(int(done.stdout)), "the plugin's end")


def test_in_tree_schemes_stay_in_this_process_unless_a_plugin_claims_them(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_PLUGIN_DIR", str(tmp_path))
    stores = open_stores()
    stores.write("memory://x", b"1")
    assert stores._plugins == {}
    claim(tmp_path / "mine", {"memory": "mine:Store"})
    (tmp_path / "mine" / "mine.py").write_text(
        "from flyte_nb.storage.memory import MemoryStore as Store\n"
    )
    claimed = open_stores()
    claimed.write("memory://x", b"2")
    assert list(claimed._plugins) == ["mine"]
    claimed.close()


def test_a_manifest_can_name_fsspecs_own_file_systems(tmp_path):
    import fsspec

    folder = tmp_path / "fs"
    claim(folder, {"memory": "fsspec"})
    (folder / "fsspec").symlink_to(Path(fsspec.__file__).parent)
    store = PluginStore(plugin_for("memory", str(tmp_path)))
    try:
        store.write("memory:///a", b"1")
        assert store.read("memory:///a") == b"1"
        assert store.stat("memory:///missing") is None
    finally:
        store.close()


def claim(folder, schemes):
    folder.mkdir()
    (folder / "plugin.json").write_text(json.dumps({"schemes": schemes}))


def test_two_plugins_for_one_scheme_are_refused_by_name(tmp_path):
    claim(tmp_path / "one", {"x": "a:b"})
    claim(tmp_path / "two", {"x": "a:b"})
    with pytest.raises(StorageError, match=r"one and two .* both claim x://"):
        plugin_for("x", str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '{"schemes": "x"}'])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path, text):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "plugin.json").write_text(text)
    with pytest.raises(StorageError, match=r"bad/plugin\.json cannot be read"):
        plugins(str(tmp_path))


def test_no_folder_has_no_plugins(tmp_path):
    assert plugins(str(tmp_path / "none")) == []


def test_an_interpreter_that_does_not_exist_is_named(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    claim(tmp_path / "p", {"x": "a:b"})
    (tmp_path / "p" / "plugin.json").write_text('{"schemes": {"x": "a:b"}, "python": "/no/python"}')
    with pytest.raises(StorageError, match=r"cannot be started with /no/python.*plugin\.json"):
        PluginStore(plugin_for("x", str(tmp_path))).read("x://y")
    assert os.listdir(tmp_path / "tmp") == []


def test_a_folder_for_temporary_files_that_does_not_exist_is_named(installed, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/no/such/folder")
    with pytest.raises(StorageError, match="Cannot make a folder in /no/such/folder: No such file"):
        PluginStore(plugin_for("scheme1", str(installed))).read("scheme1://version")
