"""An attempt whose files lie in stores of two plugins that need conflicting versions of a library."""

import json

import pytest

STORE = """
import conflicting
from flyte_nb.storage.file import FileStore

class Store:
    def __init__(self):
        self._files = FileStore()

    def __getattr__(self, method):
        def call(*values):
            plain = [str(v).replace("SCHEME://", "") for v in values[:2]]
            if method in ("read_part", "write"):
                plain[1:] = values[1:]
            return getattr(self._files, method)(*plain)
        return call

    def read(self, uri):
        if uri.endswith("/version"):
            return conflicting.VERSION.encode()
        return self._files.read(uri.replace("SCHEME://", ""))

    def get(self, uri, path):
        with open(path, "wb") as file:
            file.write(self.read(uri))
"""


@pytest.fixture
def plugins(tmp_path):
    root = tmp_path / "plugins"
    for scheme, version in (("one", "1.0"), ("two", "2.0")):
        folder = root / scheme
        folder.mkdir(parents=True)
        (folder / "conflicting.py").write_text(f"VERSION = {version!r}\n")
        (folder / "store.py").write_text(STORE.replace("SCHEME", scheme))
        (folder / "plugin.json").write_text(json.dumps({"schemes": {scheme: "store:Store"}}))
    return root


# Where a warm host was started without the variable, such an attempt is given back and runs cold.
@pytest.mark.parametrize("bench", ["cold"], indirect=True)
def test_one_attempt_reads_from_two_plugins(bench, plugins, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_PLUGIN_DIR", str(plugins))
    bench.cells.run(
        "from flyte_nb import task, FlyteFile\n"
        "@task\n"
        "def f(first: FlyteFile, second: FlyteFile) -> str:\n"
        "    import sys\n"
        "    assert 'conflicting' not in sys.modules\n"
        "    return open(first).read() + ' ' + open(second).read()\n"
    )
    from flyte_nb import FlyteFile

    codec = bench.registry.codec(FlyteFile)
    inputs = {
        "first": codec.encode(FlyteFile("one:///version"), None),
        "second": codec.encode(FlyteFile("two:///version"), None),
    }
    done = bench.run(inputs=inputs)
    [literal] = done.outputs.values()
    assert literal.value == "1.0 2.0"


@pytest.mark.parametrize("bench", ["warm"], indirect=True)
def test_a_warm_host_that_reaches_stores_in_another_way_gives_an_attempt_back(bench, plugins):
    source = "from flyte_nb import task\n@task\ndef f() -> int:\n    return 1\n"
    with pytest.raises(AssertionError, match="it reaches its stores in another way"):
        bench.run(source, env={"FLYTE_NB_PLUGIN_DIR": str(plugins)})
