"""Modules beside the notebook where a task runs: real files, which child processes import too."""

import importlib
import pickle
import sys
from pathlib import Path

import cloudpickle
import pytest

from flyte_nb import FlyteFile
from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.client.data import KernelData
from flyte_nb.storage import open_stores

HEAD = "from flyte_nb import task\nfrom typing import Any\nfrom flyte_nb import FlyteFile\n"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A notebook's folder, whose modules are forgotten afterwards."""
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)

    def write(name, text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write.folder = folder
    yield write
    for name in set(sys.modules) - known:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "") or ""):
            del sys.modules[name]
    importlib.invalidate_caches()


def run(bench, book, source, inputs=None, name="f"):
    return bench.run(HEAD + source, inputs, name=name, local_roots=[book.folder])


def test_data_of_a_package_is_read_by_its_path(bench, book):
    book(
        "lm_pkg/__init__.py",
        "from pathlib import Path\nHERE = Path(__file__).parent\n"
        "def names(): return sorted(p.name for p in (HERE / 'sql').glob('*.sql'))\n",
    )
    book("lm_pkg/sql/a.sql", "select 1")
    book("lm_pkg/sql/b.sql", "select 2")
    done = run(
        bench,
        book,
        "import lm_pkg\n@task\ndef f() -> list[str]:\n"
        "    return [*lm_pkg.names(), (lm_pkg.HERE / 'sql' / 'b.sql').read_text()]\n",
    )
    assert done.outputs["o0"].value == ("string_value", ["a.sql", "b.sql", "select 2"])


def test_files_beside_a_module_travel_when_it_names_them(bench, book):
    book(
        "lm_words.py",
        "import os\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        "def read():\n    names = sorted(p.name for p in HERE.glob('lm_*.txt'))\n"
        "    join = os.path.join(os.path.dirname(__file__), 'lm_data', 'deep.json')\n"
        "    return names + [(HERE / 'words.csv').read_text(), open(join).read(),\n"
        "        Path(__file__).with_suffix('.cfg').read_text()]\n",
    )
    for name in ("lm_a.txt", "lm_b.txt", "words.csv", "lm_data/deep.json", "lm_words.cfg"):
        book(name, name)
    done = run(
        bench, book, "import lm_words\n@task\ndef f() -> list[str]:\n    return lm_words.read()\n"
    )
    expected = ["lm_a.txt", "lm_b.txt", "words.csv", "lm_data/deep.json", "lm_words.cfg"]
    assert done.outputs["o0"].value == ("string_value", expected)


def test_a_script_and_a_child_process_import_the_modules(bench, book):
    book("lm_tool.py", "import lm_base\ndef answer(): return lm_base.N\n")
    book("lm_base.py", "N = 42\n")
    book(
        "lm_pack/__init__.py",
        "import lm_tool\nfrom pathlib import Path\nHERE = Path(__file__).parent\n",
    )
    book("lm_pack/script.py", "import lm_tool\nprint(lm_tool.answer())\n")
    source = (
        "import lm_pack, multiprocessing, subprocess, sys\n"
        "@task\ndef f() -> list[str]:\n"
        "    ask = lambda *args: subprocess.run([sys.executable, *args], capture_output=True,\n"
        "        text=True, check=True).stdout.strip()\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        n = pool.apply(lm_pack.lm_tool.answer)\n"
        "    return [ask(str(lm_pack.HERE / 'script.py')), ask('-m', 'lm_pack.script'),\n"
        "        ask('-c', 'import lm_tool; print(lm_tool.answer())'), str(n)]\n"
    )
    done = run(bench, book, source)
    assert done.outputs["o0"].value == ("string_value", ["42", "42", "42", "42"])


def test_a_failure_shows_a_modules_lines_by_its_path_below_the_notebook(bench, book):
    book("lm_fails/__init__.py", "")
    book("lm_fails/deep.py", "def fail():\n    raise ValueError('no')  # here\n")
    done = run(bench, book, "import lm_fails.deep\n@task\ndef f():\n    lm_fails.deep.fail()\n")
    assert 'File "lm_fails/deep.py", line 2, in fail' in done.error.message
    assert "raise ValueError('no')" in done.error.message


def test_modules_that_are_imported_by_a_constant_name_travel(cold, book):
    book("lm_named.py", "K = 'named'\n")
    book("lm_named2.py", "K = 'two'\n")
    book(
        "lm_loader.py",
        "import importlib\ndef get(): return importlib.import_module('lm_named2').K\n",
    )
    source = (
        "import importlib, lm_loader\n@task\ndef f() -> str:\n"
        "    return importlib.import_module('lm_named').K + lm_loader.get()\n"
    )
    assert run(cold, book, source).outputs["o0"].value == "namedtwo"


TRANS = (
    "import lm_util\nclass Scaler:\n    def __init__(self, k): self.k = k\n"
    "    def of(self, x): return lm_util.times(self.k, x)\n"
)


@pytest.fixture
def trans(book):
    book("lm_trans.py", TRANS)
    book("lm_util.py", "def times(a, b): return a * b\n")
    return book


def test_a_task_reads_a_value_whose_class_is_in_a_module_that_it_does_not_import(bench, trans):
    source = (
        "import lm_trans\n"
        "@task\ndef make() -> Any:\n    return {'steps': [('s', lm_trans.Scaler(3))]}\n"
        "@task\ndef passes(v: Any) -> Any:\n    return v\n"
        "@task\ndef f(v: Any) -> int:\n    return v['steps'][0][1].of(14)\n"
    )
    made = run(bench, trans, source, name="make").outputs["o0"]
    passed = run(bench, trans, "", {"v": made}, name="passes").outputs["o0"]
    assert run(bench, trans, "", {"v": passed}).outputs["o0"].value == 42


def test_a_function_of_the_notebook_in_a_value_brings_the_modules_it_imports(cold, trans):
    source = (
        "@task\ndef make() -> Any:\n    import lm_trans\n    return act\n"
        "def act(x):\n    import lm_trans\n    return lm_trans.Scaler(2).of(x)\n"
        "@task\ndef f(v: Any) -> int:\n    return v(21)\n"
    )
    made = run(cold, trans, source, name="make").outputs["o0"]
    assert run(cold, trans, "", {"v": made}).outputs["o0"].value == 42


def test_a_task_that_unpickles_a_file_has_the_notebooks_modules(cold, trans):
    source = (
        "import lm_trans, pickle\n"
        "@task\ndef make() -> FlyteFile:\n"
        "    with open('model.pkl', 'wb') as file: pickle.dump(lm_trans.Scaler(6), file)\n"
        "    return FlyteFile('model.pkl')\n"
        "@task\ndef f(v: FlyteFile) -> int:\n"
        "    with v.open('rb') as file: return pickle.load(file).of(7)\n"
    )
    made = run(cold, trans, source, name="make").outputs["o0"]
    assert run(cold, trans, "", {"v": made}).outputs["o0"].value == 42


def test_a_value_that_needs_what_is_nowhere_says_what_to_import(cold, trans, monkeypatch):
    value = trans.folder / "value.pkl"
    value.write_bytes(b"clm_nowhere\nThing\n.")
    literal = literals.Literal(
        literals.BLOB, (value.as_uri(), cold.registry.codec(object).literal_type.value)
    )
    error = run(cold, trans, "@task\ndef f(v: Any) -> int:\n    return 1\n", {"v": literal}).error
    assert error.code == "USER:InputTypeMismatch"
    assert "needs the module 'lm_nowhere'" in error.message
    assert "write `import lm_nowhere` in the task" in error.message


def test_files_in_a_pickled_value_arrive(bench, book):
    source = (
        "from pathlib import Path\nfrom flyte_nb import FlyteDirectory\n"
        "class Holder:\n    def __init__(self, file): self.file = file\n"
        "@task\ndef make() -> Any:\n"
        "    import os\n    os.makedirs('out', exist_ok=True)\n"
        "    for name in ('a.txt', 'b.txt', 'c.txt', 'out/d.txt'): Path(name).write_text(name)\n"
        "    return {'f': FlyteFile('a.txt'), 'h': Holder(FlyteFile('b.txt')), 'p': [Path('c.txt')],\n"
        "        'd': FlyteDirectory('out'), 'not': Path('nowhere.txt')}\n"
        "@task\ndef f(v: Any) -> list[str]:\n    import os\n"
        "    return [open(v['f']).read(), v['h'].file.open().read(), v['p'][0].read_text(),\n"
        "        v['p'][0].name, *os.listdir(v['d']), str(v['not'])]\n"
    )
    made = run(bench, book, source, name="make").outputs["o0"]
    for name in ("a.txt", "b.txt", "c.txt"):
        Path(name).unlink()
    got = run(bench, book, "", {"v": made}).outputs["o0"].value
    assert got == ("string_value", ["a.txt", "b.txt", "c.txt", "c.txt", "d.txt", "nowhere.txt"])


@pytest.fixture
def kernel(tmp_path, book):
    """How a kernel that has the book's folder moves files."""
    data = KernelData(
        open_stores(), folder_uri=(tmp_path / "uploads").as_uri(), roots=lambda: [book.folder]
    )
    yield data
    data.close()


def test_a_launchs_input_brings_the_module_of_its_class(cold, trans, kernel):
    module = importlib.import_module("lm_trans")
    literal = cold.registry.codec(object).encode(module.Scaler(6), kernel)
    source = "@task\ndef f(v: Any) -> int:\n    return v.of(7)\n"
    assert run(cold, trans, source, {"v": literal}).outputs["o0"].value == 42


def test_a_path_as_a_launchs_input_is_uploaded(cold, book, kernel):
    book("words.txt", "hello")
    given = {"v": book.folder / "words.txt"}
    literals = {name: cold.registry.codec(Path).encode(it, kernel) for name, it in given.items()}
    given["v"].unlink()
    source = "from pathlib import Path\n@task\ndef f(v: Path) -> str:\n    return v.read_text() + v.name\n"
    assert run(cold, book, source, literals).outputs["o0"].value == "hellowords.txt"


def test_files_that_are_not_there_and_folders_are_refused_by_name(book, kernel, cold):
    codec = cold.registry.codec(object)
    with pytest.raises(CodecError, match=r"FlyteFile\('gone.csv'\), and there is no file at 'gone"):
        codec.encode({"rows": FlyteFile("gone.csv")}, kernel)
    with pytest.raises(CodecError, match=r"book' at \['out'\]\[0\] is a folder of this machine"):
        codec.encode({"out": [book.folder]}, kernel)


def test_equal_values_are_equal_bytes_with_the_modules_that_come_along(trans, kernel, cold):
    module = importlib.import_module("lm_trans")
    codec = cold.registry.codec(object)
    one, other = (codec.encode(module.Scaler(6), kernel).value[0] for _ in range(2))
    assert one == other
    with open(one.removeprefix("file://"), "rb") as file:
        assert pickle.load(file).of(7) == 42  # as a reader that knows nothing of modules


def test_a_value_of_installed_classes_is_its_plain_pickle(trans, kernel, cold):
    literal = cold.registry.codec(object).encode({"at": Path("nowhere"), "n": 1}, kernel)
    data = Path(literal.value[0].removeprefix("file://")).read_bytes()
    assert data == cloudpickle.dumps({"at": Path("nowhere"), "n": 1})


def test_the_readers_own_module_stands_before_one_that_comes_with_a_value(cold, trans, kernel):
    module = importlib.import_module("lm_trans")
    literal = cold.registry.codec(object).encode(module.Scaler(6), kernel)
    trans("lm_util.py", "def times(a, b): return 'own'\n")
    source = (
        "import lm_trans, lm_util\n@task\ndef f(v: Any) -> str:\n    return lm_trans and v.of(7)\n"
    )
    assert run(cold, trans, source, {"v": literal}).outputs["o0"].value == "own"


def test_display_shows_values_in_the_log(bench, book):
    source = (
        "class Rich:\n    def __repr__(self): return '<rich>'\n"
        "    def _repr_html_(self): return '<b>rich</b>'\n"
        "@task\ndef f():\n    handle = display([1], 'text', Rich(), display_id='x')\n    handle.update(2)\n"
    )
    assert run(bench, book, source).stdout == "[1]\ntext\n<rich>\n2\n"


def test_a_kernel_without_the_module_reads_a_value_that_brings_it(trans, kernel, cold, tmp_path):
    codec = cold.registry.codec(object)
    literal = codec.encode(importlib.import_module("lm_trans").Scaler(6), kernel)
    for name in ("lm_trans", "lm_util"):
        del sys.modules[name]
    known = list(sys.path)
    sys.path.remove(str(trans.folder))
    other = KernelData(open_stores())
    try:
        value = codec.decode(literal, other)
        assert value.of(7) == 42
        assert not sys.modules["lm_trans"].__file__.startswith(str(trans.folder))
        again = codec.encode(value, KernelData(open_stores(), folder_uri=tmp_path.as_uri()))
        assert again.kind == literals.BLOB
    finally:
        sys.path[:] = known
        for name in ("lm_trans", "lm_util"):
            sys.modules.pop(name, None)
        other.close()
