"""Equal cells have equal fingerprints in every kernel; a change has a name and reaches no other task."""

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.load import loads

HELPERS = """
import enum, typing, abc
from dataclasses import dataclass, field
from flyte_nb import task

labels = {"b", "a", "c"}
table = {"x": [1, 2], "y": {"k": (1, 2.0, None, True)}}

@dataclass
class Model:
    w: float
    tags: list = field(default_factory=list)
    def predict(self, x): return self.w * x * scale()

class Base(abc.ABC):
    @abc.abstractmethod
    def one(self): ...
    @abc.abstractmethod
    def two(self): ...

class Kind(enum.Enum):
    A = "a"
    B = "b"

class Pair(typing.NamedTuple):
    left: int
    right: str

def scale(): return 2.0

def features(n, stop={"z", "y", "x"}):
    return [i for i in range(n) if str(i) not in {"1", "2", "3"} and i not in stop]

def make(power):
    def inner(x): return x ** power
    return inner
square = make(2)
"""
TASKS = """
@task
def train(n: int, depth: int = 3) -> float:
    pair = Pair(n, Kind.A.value)
    return Model(1.5).predict(float(n)) + len(features(n)) + len(labels) + len(table) + square(depth)

@task
def other(n: int) -> int:
    return len(features(n))
"""


def test_three_kernels_three_hash_seeds_and_other_folders_give_equal_bytes(in_kernel, tmp_path):
    first = in_kernel([HELPERS, TASKS])
    assert in_kernel([HELPERS, TASKS], seed="1", cwd=tmp_path) == first
    assert in_kernel([HELPERS, TASKS], seed="12345", cwd="/") == first


def test_history_and_cell_order_do_not_matter(in_kernel):
    first = in_kernel([HELPERS, TASKS])
    detour = ["import json, collections\nx = 1", HELPERS, TASKS, "features(3); Model(1.0)", HELPERS]
    again = in_kernel([*detour, TASKS], names=("other", "train"), seed="5")
    assert again["train"] == first["train"]
    assert again["other"] == first["other"]


def test_comments_blank_lines_and_other_cells_change_no_fingerprint(in_kernel):
    moved = TASKS.replace("    pair =", "    # a comment\n\n    pair =")
    first = in_kernel([HELPERS, TASKS])["train"]
    again = in_kernel([HELPERS, "# above\n\n\n" + moved])["train"]
    assert again[0] == first[0]
    assert again[2] == first[2]


def test_sets_inside_of_data_change_no_fingerprint(in_kernel):
    cell = (
        "from flyte_nb import task\n"
        "deep = {'x': [{'q', 'w', 'e'}], 'y': (frozenset('abc'), {1: {'r', 't'}})}\n"
        "@task\ndef f() -> int:\n    return len(deep)\n"
    )
    found = {in_kernel([cell], ["f"], seed=seed)["f"][0] for seed in ("0", "1", "2", "3")}
    assert len(found) == 1


CHANGES = {
    "helper": ("return 2.0", "return 2.5", {"helper scale()"}, {"train"}),
    "shared helper": ("range(n)", "range(n + 1)", {"helper features()"}, {"train", "other"}),
    "global": ('"y": {"k"', '"z": {"k"', {"global table"}, {"train"}),
    "set global": ('"a", "c"}', '"a", "d"}', {"global labels"}, {"train"}),
    "class": ("self.w * x", "self.w + x", {"class Model"}, {"train"}),
    "class field": ("w: float\n", "w: float = 1.0\n", {"class Model"}, {"train"}),
    "enum": ('A = "a"', 'A = "z"', {"class Kind"}, {"train"}),
    "closure": ("make(2)", "make(3)", {"captured power of make.<locals>.inner()"}, {"train"}),
    "default": ("depth: int = 3", "depth: int = 4", {"default depth"}, {"train"}),
    "helper's default": (
        '{"z", "y", "x"}', '{"z", "y"}', {"default stop of features()"}, {"train", "other"}
    ),
    "body": ("len(table)", "len(table) * 2", {"function train()"}, {"train"}),
    "unused class": ("def one(self): ...", "def three(self): ...", set(), set()),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_named_and_reaches_exactly_what_depends_on_it(change):
    before, after, parts, tasks = CHANGES[change]
    assert before in HELPERS + TASKS
    first = _packed(HELPERS, TASKS)
    second = _packed(HELPERS.replace(before, after), TASKS.replace(before, after))
    changed = {name for name in first if first[name].fingerprint != second[name].fingerprint}
    assert changed == tasks
    for name in tasks:
        old, new = first[name].parts, second[name].parts
        assert {part for part in old.keys() | new.keys() if old.get(part) != new.get(part)} == parts


def _packed(*sources):
    cells = Cells()
    for source in sources:
        cells.run(source)
    return {name: pack(cells[name], scope=Scope()) for name in ("train", "other")}


def test_a_global_that_was_changed_in_place_is_seen():
    cells = Cells()
    cells.run(
        "from flyte_nb import task\nrows = [1]\n@task\ndef f() -> int:\n    return len(rows)\n"
    )
    first = pack(cells["f"], scope=Scope())
    cells.run("rows.append(2)")
    second = pack(cells["f"], scope=Scope())
    assert first.fingerprint != second.fingerprint
    assert loads(second.payload).function() == 2


def test_values_of_different_types_differ_although_python_calls_them_equal():
    prints = set()
    for value in (
        "1",
        "1.0",
        "True",
        "(1,)",
        "[1]",
        "{1}",
        "frozenset({1})",
        "b'1'",
        "'1'",
        "-0.0",
        "0.0",
    ):
        cells = Cells()
        cells.run(
            f"from flyte_nb import task\nv = {value}\n@task\ndef f() -> str:\n    return str(v)\n"
        )
        prints.add(pack(cells["f"], scope=Scope()).fingerprint)
    assert len(prints) == 11


def test_a_decorator_is_part_of_the_task():
    cell = (
        "import functools\nfrom flyte_nb import task\n"
        "def louder(function):\n"
        "    @functools.wraps(function)\n"
        "    def wrapped(*args, **kwargs):\n        return function(*args, **kwargs) + STEP\n"
        "    return wrapped\n"
        "@task\n@louder\ndef f(n: int) -> int:\n    return n\n"
    ).replace("STEP", "1")
    cells = Cells()
    cells.run(cell)
    first = pack(cells["f"], scope=Scope())
    assert loads(first.payload).function(n=1) == 2
    cells.run(cell.replace("+ 1", "+ 2"))
    assert pack(cells["f"], scope=Scope()).fingerprint != first.fingerprint
    cells.run(cell.replace("return n\n", "return -n\n"))
    assert pack(cells["f"], scope=Scope()).fingerprint != first.fingerprint


def test_recursion_and_mutual_recursion_end():
    cells = Cells()
    cells.run(
        "from flyte_nb import task\n"
        "def even(n): return n == 0 or odd(n - 1)\n"
        "def odd(n): return n != 0 and even(n - 1)\n"
        "tree = {}\ntree['self'] = tree\n"
        "@task\ndef f(n: int) -> bool:\n    return even(n) and 'self' in tree\n"
    )
    packed = pack(cells["f"], scope=Scope())
    assert loads(packed.payload).function(4) is True
    assert {"helper even()", "helper odd()", "global tree"} <= set(packed.parts)


def test_the_options_of_a_task_are_not_its_code():
    source = "from flyte_nb import task\n@task(OPTIONS)\ndef f() -> int:\n    return 1\n"
    found = []
    for options in ("", "retries=2, cache=True", "environment={'A': 'b'}"):
        cells = Cells()
        cells.run(source.replace("OPTIONS", options))
        packed = pack(cells["f"], scope=Scope())
        found.append(packed.fingerprint)
    assert len(set(found)) == 1


def test_a_class_that_comes_back_from_a_task_is_the_notebooks():
    cells = Cells()
    cells.run(HELPERS + TASKS)
    model = cells["Model"]
    methods = dict(vars(model))
    task = loads(pack(cells["train"], scope=Scope()).payload)
    assert task.function.__globals__["Model"] is model
    assert dict(vars(model)) == methods
