"""What authors write in cells arrives in a worker's interpreter, and does there what it did here."""

import json
import subprocess
import sys
import types

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.ring import ring
from flyte_nb.bundle.unpicklable import Unpicklable
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.load import loads

WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from flyte_nb.worker.load import load
print(json.dumps(load(sys.argv[2], sys.argv[3:]).function()))
"""
RUNS = {
    "classes that refer to each other": (
        "class Node:\n    def __init__(self, v): self.v = v\n"
        "class Tree:\n    node = Node\n    def leaf(self): return self.node(3)\n"
        "Node.tree = Tree\n",
        "Node.tree().leaf().v", 3,
    ),
    "equal classes that a function made": (
        "def make():\n    class E(Exception): pass\n    return E\nOne, Other = make(), make()\n",
        "[isinstance(One(), Other), isinstance(One(), One)]", [False, True],
    ),
    "singledispatch": (
        "import functools\n@functools.singledispatch\ndef size(x): return size(str(x))\n"
        "@size.register\ndef _(x: str) -> int: return len(x)\n"
        "@size.register(list)\ndef _(x): return sum(map(size, x))\n",
        "[size(['ab', 100]), size.__name__, size.dispatch(str)('abc')]", [5, "size", 3],
    ),
    "singledispatchmethod": (
        "import functools\nclass A:\n    @functools.singledispatchmethod\n    def g(self, x): return 'any'\n"
        "    @g.register\n    def _(self, x: int): return 'int'\n",
        "A().g(1) + A().g('')", "intany",
    ),
    "a cached property": (
        "import functools\nclass A:\n    @functools.cached_property\n    def v(self): return [41]\n"
        "used = A()\nused.v\n",
        "used.v + A().v", [41, 41],
    ),
    "new types and parameters": (
        "import typing\nUser = typing.NewType('User', int)\nP = typing.ParamSpec('P')\n"
        "T = typing.TypeVar('T')\n"
        "def wrap(g: typing.Callable[P, T]) -> typing.Callable[P, T]: return g\n",
        "[wrap(len)('abc'), User(5), User.__name__, P.__name__]", [3, 5, "User", "P"],
    ),
    "abstract classes": (
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def g(self): ...\n"
        "class B(A):\n    def g(self): return 1\nA.register(int)\nA.register(str)\n",
        "[isinstance(B(), A), isinstance(1, A), isinstance('', A), isinstance(b'', A)]",
        [True, True, True, False],
    ),
    "slices of one buffer": (
        "import pickle\ndata = memoryview(bytes(300_000) + b'x' * 300_000)\nclass Part:\n"
        "    def __init__(self, view): self.view = view\n"
        "    def __reduce_ex__(self, protocol): return Part, (pickle.PickleBuffer(self.view),)\n"
        "parts = [Part(data[:300_000]), Part(data[300_000:])]\n",
        "[bytes(part.view[:1]).decode() for part in parts]", ["\0", "x"],
    ),
    "attributes of functions": (
        "def count():\n    count.calls += 1\n    return count.calls\n"
        "count.calls, count.tags = 0, {'a', 'b', 'c'}\n",
        "[count(), count(), len(count.tags)]", [1, 2, 3],
    ),
    "super and __class__": (
        "class A:\n    def g(self): return 1\n"
        "class B(A):\n    def g(self): return [super().g(), __class__.__name__]\n",
        "B().g()", [1, "B"],
    ),
    "closures that share a variable": (
        "def make():\n    seen = []\n    return seen.append, lambda: len(seen)\nput, count = make()\n",
        "[put(1), put(2), count()]", [None, None, 2],
    ),
    "subclasses of built-in descriptors": (
        "import abc, functools\n"
        "class Noted(property):\n    def __init__(self, get, note=''):\n"
        "        super().__init__(get)\n        self.note = note\n"
        "class Slow(functools.cached_property):\n    unit = 's'\n"
        "class Plain(staticmethod): pass\nclass Klass(classmethod): pass\n"
        "class Slotted(property):\n    __slots__ = ('extra', '__dict__')\n"
        "class A:\n"
        "    n = Noted(lambda self: 1, note='seen')\n"
        "    @Slow\n    def slow(self): return [2]\n"
        "    @Plain\n    def plain(): return 3\n"
        "    @Klass\n    def klass(cls): return cls.__name__\n"
        "    slot = Slotted(lambda self: 5)\n"
        "    @abc.abstractproperty\n    def old(self): return 6\n"
        "A.__dict__['slot'].extra = 'more'\n",
        "[A().n, vars(A)['n'].note, A().slow, vars(A)['slow'].unit, A.plain(), A().klass(),"
        " A().slot, vars(A)['slot'].extra, type(vars(A)['n']).__name__, A().old]",
        [1, "seen", [2], "s", 3, "A", 5, "more", "Noted", 6],
    ),
    "context managers as decorators": (
        "from contextlib import contextmanager, asynccontextmanager\nseen = []\n"
        "@contextmanager\ndef noted(what, again=1):\n"
        "    seen.append(what * again)\n    yield\n    seen.append('end')\n"
        "@noted('a', again=2)\ndef inner(x): return x + 1\n"
        "class B:\n    @noted('b')\n    def m(self): return 'm'\n"
        "@asynccontextmanager\nasync def later():\n    yield\n"
        "@later()\nasync def g(): return 7\n",
        "[inner(1), inner(2), B().m(), __import__('asyncio').run(g()), seen]",
        [2, 3, "m", 7, ["aa", "end", "aa", "end", "b", "end"]],
    ),
    "type variables that differ in what they allow": (
        "import typing\nA = typing.TypeVar('T', int, str)\nB = typing.TypeVar('T', bytes, float)\n"
        "C = typing.TypeVar('T', covariant=True)\nD = typing.TypeVar('T')\nE = typing.TypeVar('T')\n"
        "def allowed(): return [[c.__name__ for c in v.__constraints__] for v in (A, B, C, D)]\n",
        "[*allowed(), C.__covariant__, D.__covariant__, D is E]",
        [["int", "str"], ["bytes", "float"], [], [], True, False, False],
    ),
    "a global that is written": (
        "n = 1\ndef bump():\n    global n, more\n    n += 1\n    more = 5\n", "[bump(), n, more]",
        [None, 2, 5],
    ),
}  # fmt: skip
if sys.version_info >= (3, 12):
    RUNS["parameters in brackets"] = (
        "class Box[T]:\n    def __init__(self, v: T): self.v = v\n"
        "def first[T](xs: list[T]) -> T: return xs[0]\ntype Number = int | float\n",
        "[Box[int](2).v, first(['a']), isinstance(1, Number.__value__)]", [2, "a", True],
    )  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_it_runs_elsewhere_as_it_does_here(kind, tmp_path):
    definitions, expression, expected = RUNS[kind]
    packed = pack(notebook(definitions, expression)["f"], scope=Scope())
    (tmp_path / "ring.zip").write_bytes(ring().data)
    (tmp_path / "payload").write_bytes(packed.payload)
    buffers = [tmp_path / f"buffer{number}" for number in range(len(packed.buffers))]
    for path, buffer in zip(buffers, packed.buffers, strict=True):
        path.write_bytes(buffer.data)
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        WORKER,
        tmp_path / "ring.zip",
        tmp_path / "payload",
    ]
    done = subprocess.run([*command, *buffers], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("kind", RUNS)
def test_equal_cells_are_equal_bytes_for_every_hash_seed(kind, in_kernel):
    definitions, expression, _ = RUNS[kind]
    cells = ["from flyte_nb import task\n" + definitions, task(expression)]
    assert in_kernel(cells, ["f"], seed="0") == in_kernel(cells, ["f"], seed="7")


def test_the_notebook_itself_does_not_travel(monkeypatch):
    # As in a kernel, where `import __main__` works; a worker has a `__main__` of its own.
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    cells = notebook("import __main__ as here\nx = 1\n", "here.x")
    with pytest.raises(Unpicklable, match=r"the global 'here'.*the notebook itself"):
        pack(cells["f"], scope=Scope())


def notebook(definitions, expression):
    cells = Cells()
    cells.run("from flyte_nb import task\n" + definitions)
    cells.run(task(expression))
    return cells


def task(expression):
    return f"@task\ndef f() -> list:\n    return {expression}\n"


def loaded(cells, expression):
    """Pack the task, load it here, call it, and return its result."""
    return loads(pack(cells["f"], scope=Scope()).payload).function()


def test_modules_of_classes_of_their_own_arrive_by_their_names(tmp_path, monkeypatch):
    cells = notebook("from six.moves import urllib\nimport six.moves\n", "[urllib, six.moves]")
    import six

    assert loaded(cells, "")[1] is six.moves
    assert loaded(cells, "")[0].parse.quote("a b") == "a%20b"
    assert "module six" not in str(pack(cells["f"], scope=Scope()).warnings)


def test_a_module_that_no_import_finds_is_refused_by_its_own_name():
    cells = notebook(
        "import types\nclass Made(types.ModuleType): pass\nmade = Made('unit_by_hand')\n", "made.x"
    )
    with pytest.raises(Unpicklable, match=r"the global 'made'.*the module 'unit_by_hand'.*Made"):
        pack(cells["f"], scope=Scope())


def test_a_context_manager_that_was_entered_is_refused_by_name():
    cells = notebook(
        "import contextlib\n@contextlib.contextmanager\ndef c():\n    yield\n"
        "used = c()\nused.__enter__()\n",
        "used",
    )
    with pytest.raises(Unpicklable, match="the global 'used'"):
        pack(cells["f"], scope=Scope())


@pytest.fixture
def shell():
    """Return a notebook's shell, which adds IPython's names."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell(user_module=types.ModuleType("__main__"))
    shell.user_ns["__name__"] = "__main__"
    yield shell
    shell.history_manager.end_session()


def test_what_a_notebook_puts_in_place_of_builtins_is_pythons_own_in_a_task(shell, tmp_path):
    source = (
        "from flyte_nb import task\n"
        "@task\ndef f(path: str) -> str:\n"
        "    display(path)\n    with open(path) as file:\n        return file.read()\n"
    )
    cells = Cells()
    cells.run(source)
    cells.namespace["open"] = shell.user_ns["open"]  # as IPython has it
    packed = pack(cells["f"], scope=Scope())
    plain = Cells()
    plain.run(source)
    assert packed.fingerprint == pack(plain["f"], scope=Scope()).fingerprint
    assert b"IPython" not in packed.payload
    assert not any("ipython" in item.text for item in packed.requirements)
    (tmp_path / "x").write_text("hello")
    with shell.builtin_trap:
        assert not any("display" in text for text in pack(cells["f"], scope=Scope()).warnings)


def test_leaving_by_name_is_pythons_own(shell):
    cells = notebook("", "exit(3)")
    cells.namespace["exit"] = shell.user_ns["exit"]
    assert b"IPython" not in pack(cells["f"], scope=Scope()).payload
