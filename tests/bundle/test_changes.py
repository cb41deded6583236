"""Many changes, and exactly the tasks whose fingerprint each one changes."""

import importlib
import sys

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import Packer
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.load import loads

CELL = '''
import dataclasses, enum, functools
from flyte_nb import task

def low(n): return n + 1
def high(n): return low(n) * 2

def outer(n):
    def inner(m):
        return m - 3
    return inner(n)

class Base:
    base_rate = 0.5
    def shared(self): return 11

class Model(Base):
    rate = 0.25
    @classmethod
    def made(cls): return cls()
    @staticmethod
    def fixed(): return 17
    @property
    def doubled(self): return self.rate * 2
    def predict(self, n): return n * self.rate

@dataclasses.dataclass
class Row:
    size: int = 4
    tags: list = dataclasses.field(default_factory=list)

class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"

def make(power):
    def raised(n): return n ** power
    return raised
raised = make(2)

def scaled(n, by): return n * by
partial = functools.partial(scaled, by=5)

@functools.lru_cache(maxsize=32)
def cached(n): return n + 100

key = lambda n, by=lambda m: m + 7: by(n)

def repeat(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            return [function(*args, **kwargs) for _ in range(times)][0]
        return wrapped
    return decorate

@repeat(times=3)
def decorated(n): return n + 1000

rows = [1, 2, 3]
nested = {"deep": [{"er": (1, 2)}]}
LIMIT = 60 * 60

@task
def chain(n: int) -> int:
    """Chained."""
    return high(n)
@task
def nest(n: int) -> int:
    return outer(n)
@task
def model(n: int) -> float:
    return Model().predict(n)
@task
def row() -> int:
    return Row().size
@task
def mode() -> str:
    return Mode.FAST.value
@task
def power(n: int) -> int:
    return raised(n)
@task
def part(n: int) -> int:
    return partial(n)
@task
def cache(n: int) -> int:
    return cached(n)
@task
def lam(n: int) -> int:
    return key(n)
@task
def deco(n: int) -> int:
    return decorated(n)
@task
def data() -> int:
    return len(rows) + len(nested)
@task
def limit() -> int:
    return LIMIT
@task
@repeat(times=2)
def direct(n: int = 5) -> int:
    return n
@task
def plain(n: int) -> int:
    x = n + 2 * 3
    return x
'''
TASKS = (
    "chain", "nest", "model", "row", "mode", "power", "part", "cache", "lam", "deco", "data",
    "limit", "direct", "plain",
)  # fmt: skip

CHANGES = {
    "a helper of a helper": ("def low(n): return n + 1\n", "def low(n): return n + 2\n", "chain"),
    "a helper": ("low(n) * 2", "low(n) * 3", "chain"),
    "a nested function": ("return m - 3", "return m - 4", "nest"),
    "a class attribute": ("    rate = 0.25", "    rate = 0.75", "model"),
    "a method": ("return n * self.rate", "return self.rate - n", "model"),
    "a class method": ("return cls()", "return cls() or cls()", "model"),
    "a static method": ("return 17", "return 18", "model"),
    "a property": ("return self.rate * 2", "return self.rate * 4", "model"),
    "a base class's attribute": ("base_rate = 0.5", "base_rate = 0.6", "model"),
    "a base class's method": ("return 11", "return 12", "model"),
    "a new method": ("    rate = 0.25", "    rate = 0.25\n    def more(self): pass", "model"),
    "a dataclass's default": ("size: int = 4", "size: int = 5", "row"),
    "a dataclass's new field": ("size: int = 4", "size: int = 4\n    more: int = 1", "row"),
    "a dataclass's order": ("@dataclasses.dataclass\n", "@dataclasses.dataclass(order=True)\n", "row"),
    "an enum's value": ('FAST = "fast"', 'FAST = "faster"', "mode"),
    "an enum's new member": ('SLOW = "slow"', 'SLOW = "slow"\n    LAZY = "lazy"', "mode"),
    "a closure's value": ("raised = make(2)", "raised = make(3)", "power"),
    "a closure's code": ("return n ** power", "return n ** -power", "power"),
    "a partial's argument": ("by=5)", "by=6)", "part"),
    "a partial's function": ("return n * by", "return n // by", "part"),
    "a cached function": ("return n + 100\n", "return n + 101\n", "cache"),
    "a cache's size": ("maxsize=32", "maxsize=64", "cache"),
    "a lambda's default": ("lambda m: m + 7", "lambda m: m + 8", "lam"),
    "a decorator's argument": ("@repeat(times=3)", "@repeat(times=4)", "deco"),
    "a decorator's code": ("for _ in range(times)][0]", "for _ in range(times)][-1]", "deco direct"),
    "a decorated function": ("return n + 1000", "return n + 1001", "deco"),
    "a task's decorator": ("@repeat(times=2)", "@repeat(times=1)", "direct"),
    "a task's default": ("n: int = 5", "n: int = 6", "direct"),
    "a list": ("rows = [1, 2, 3]", "rows = [1, 2, 4]", "data"),
    "a nested value": ('"er": (1, 2)', '"er": (1, 3)', "data"),
    "a folded constant": ("2 * 3", "2 * 4", "plain"),
    "a global that was computed": ("LIMIT = 60 * 60", "LIMIT = 60 * 61", "limit"),
    "a docstring": ('"""Chained."""', '"""Chained twice."""', "chain"),
    "an annotation": ("def plain(n: int)", "def plain(n: float)", "plain"),
    "a variable's name": ("    x = n + 2 * 3\n    return x", "    y = n + 2 * 3\n    return y", "plain"),
    "a comment": ("    x = n + 2", "    # why\n    x = n + 2", ""),
    "a comment behind": ("return outer(n)", "return outer(n)  # there", ""),
    "blank lines": ("def outer(n):\n", "def outer(n):\n\n\n", ""),
    "other spacing": ("n + 2 * 3", "n  +  2*3", ""),
    "brackets that mean nothing": ("return high(n)", "return (high(n))", ""),
    "an equal folded constant": ("60 * 60", "3600", ""),
    "another order of a set": ("rows = [1, 2, 3]", "rows = [1, 2, 3]; other = {3, 1, 2}", ""),
    "another import style": ("import dataclasses, enum,", "import enum, dataclasses,", ""),
    "what nobody uses": ("LIMIT = 60 * 60", "LIMIT = 60 * 60\nspare = 1\ndef unused(): pass", ""),
    "a line break in a call": ("Model().predict(n)", "Model().predict(\n        n\n    )", ""),
}  # fmt: skip


def prints(source):
    cells = Cells()
    cells.run(source)
    packer = Packer(scope=Scope())
    return {name: packer.pack(cells[name]).fingerprint for name in TASKS}


@pytest.fixture(scope="module")
def before():
    return prints(CELL)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reaches_exactly_the_tasks_that_depend_on_it(before, change):
    old, new, names = CHANGES[change]
    assert CELL.count(old) >= 1
    after = prints(CELL.replace(old, new))
    assert {name for name in TASKS if after[name] != before[name]} == set(names.split())


def test_three_kernels_with_three_hash_seeds_and_folders_agree_on_all_of_it(in_kernel, tmp_path):
    first = in_kernel([CELL], TASKS)
    assert in_kernel(["spare = {1: 2}", CELL, CELL], TASKS[::-1], seed="7", cwd=tmp_path) == first
    assert in_kernel([CELL], TASKS, seed="4242", cwd="/") == first


def test_every_task_of_the_table_runs_as_it_was_written(before):
    cells = Cells()
    cells.run(CELL)
    packer = Packer(scope=Scope())
    given = {
        "chain": 4, "nest": -2, "model": 0.25, "row": 4, "mode": "fast", "power": 1, "part": 5,
        "cache": 101, "lam": 8, "deco": 1001, "data": 4, "limit": 3600, "direct": 1, "plain": 7,
    }  # fmt: skip
    for name in TASKS:
        function = loads(packer.pack(cells[name]).payload).function
        arguments = () if name in ("row", "mode", "data", "limit") else (1,)
        assert function(*arguments) == given[name], name


def test_a_list_that_was_changed_in_place_is_seen_each_time():
    cells = Cells()
    cells.run(CELL)
    found = []
    for _ in range(3):
        found.append(Packer(scope=Scope()).pack(cells["data"]).fingerprint)
        cells.run("rows.append(1); nested['deep'][0]['er'] = (len(rows),)")
    assert len(set(found)) == 3


MODULES = {
    "unit_mod/__init__.py": "from unit_mod.sub import f\nK = 1\n",
    "unit_mod/sub.py": "import unit_low\ndef f(): return unit_low.g()\n",
    "unit_low.py": "def g(): return 1\n",
    "unit_alone.py": "def h(): return 1\n",
}
USERS = (
    "import unit_mod, unit_alone\nimport unit_mod.sub\nfrom unit_mod.sub import f\n"
    "from unit_low import g as renamed\nfrom flyte_nb import task\n"
    "@task\ndef constant() -> int:\n    return unit_mod.K\n"
    "@task\ndef sub() -> int:\n    return unit_mod.sub.f()\n"
    "@task\ndef name() -> int:\n    return f()\n"
    "@task\ndef low() -> int:\n    return renamed()\n"
    "@task\ndef lazy() -> int:\n    from unit_low import g\n    return g()\n"
    "@task\ndef alone() -> int:\n    return unit_alone.h()\n"
    "@task\ndef nothing() -> int:\n    return 1\n"
)
EDITS = {
    "unit_mod/__init__.py": ("K = 1", "K = 2", "constant sub name"),
    "unit_mod/sub.py": ("unit_low.g()", "unit_low.g() + 1", "constant sub name"),
    "unit_low.py": ("return 1", "return 2", "constant sub name low lazy"),
    "unit_alone.py": ("return 1", "return 2", "alone"),
}


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for path, text in MODULES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    before = set(sys.modules)
    cells = Cells()
    cells.run(USERS)
    yield tmp_path, cells
    for name in set(sys.modules) - before:
        del sys.modules[name]


def of_modules(folder, cells):
    packer = Packer(scope=Scope(), local_roots=[folder])
    names = ("constant", "sub", "name", "low", "lazy", "alone", "nothing")
    return {name: packer.pack(cells[name]) for name in names}


@pytest.mark.parametrize("path", EDITS)
@pytest.mark.parametrize("reloaded", [False, True])
def test_an_edit_of_a_module_reaches_the_tasks_that_import_it_also_after_a_reload(
    book, path, reloaded
):
    folder, cells = book
    old, new, names = EDITS[path]
    first = of_modules(folder, cells)
    (folder / path).write_text(MODULES[path].replace(old, new))
    if reloaded:
        importlib.invalidate_caches()
        for name in ("unit_low", "unit_mod.sub", "unit_mod", "unit_alone"):
            importlib.reload(sys.modules[name])
        cells.run(USERS)
    second = of_modules(folder, cells)
    changed = {name for name in first if first[name].fingerprint != second[name].fingerprint}
    assert changed == set(names.split())


def test_a_comment_in_a_module_is_a_change_of_its_file(book):
    # A module travels as it lies on disk, so whatever its bytes are is what runs.
    folder, cells = book
    first = of_modules(folder, cells)
    (folder / "unit_alone.py").write_text("# a comment\n" + MODULES["unit_alone.py"])
    second = of_modules(folder, cells)
    assert [n for n in first if first[n].fingerprint != second[n].fingerprint] == ["alone"]


def test_a_function_that_a_stale_import_holds_travels_as_the_file_has_it(book):
    folder, cells = book
    (folder / "unit_low.py").write_text("def g(): return 99\n")
    packed = of_modules(folder, cells)["low"]
    [unit] = packed.modules
    assert b"return 99" in unit.parts[0].data


def test_tasks_that_are_packed_together_are_as_each_alone():
    cells = Cells()
    cells.run(CELL)
    together = Packer(scope=Scope())
    for name in [*TASKS, *TASKS[::-1]]:
        assert together.pack(cells[name]) == Packer(scope=Scope()).pack(cells[name]), name
