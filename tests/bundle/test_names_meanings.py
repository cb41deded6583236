"""A name that means another function, class or module gives another fingerprint."""

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.testing.cells import Cells

TWO = "def a(): return 1\ndef b(): return 2\n"
MADE = "def make(p, q):\n    def inner(): return p() - q()\n    return inner\n"
TASKS = "@task\ndef a(n: int) -> int: return 1\n@task\ndef b(n: int) -> int: return 2\n"
CHOOSING = (
    "import functools\n@functools.singledispatch\ndef h(x): return 0\n"
    "@h.register(int)\ndef of_int(x): return 1\n@h.register(str)\ndef of_str(x): return 2\n"
)
AROUND = (
    "import functools\nclass Times:\n"
    "    def __init__(self, function, k):\n"
    "        functools.update_wrapper(self, function)\n        self.function, self.k = function, k\n"
    "    def __call__(self, n): return self.function(n) * self.k\n"
)
MAPPED = (
    "from functools import partial\nfrom flyte_nb import dynamic, map_task\n"
    "@task\ndef a(n: int, k: int) -> int: return n * k\nM = map_task(partial(a, k=1))\n"
    "@dynamic\ndef f(n: int) -> list[int]: return M(n=[n])\n"
)


def returning(expression):
    return f"@task\ndef f(n: int) -> str:\n    return str({expression})\n"


CHANGES = {
    "a module": ("import math as m\n" + returning("m.sqrt(n)"), "math as", "cmath as"),
    "a submodule": ("import os.path as p\n" + returning("p.join"), "os.path", "posix"),
    "an installed function": (
        "from statistics import mean as agg\n" + returning("agg([n])"), "mean as", "median as"
    ),
    "an installed class": (
        "from decimal import Decimal as N\n" + returning("N(n)"), "decimal import Decimal",
        "fractions import Fraction",
    ),
    "a built-in class": ("K = int\n" + returning("K(n)"), "K = int", "K = float"),
    "a helper that another name has too": (
        TWO + "go = a\n" + returning("go() + a() + b()"), "go = a", "go = b"
    ),
    "two helpers, changed about": (
        TWO + "x, y = a, b\n" + returning("x() - y()"), "= a, b", "= b, a"
    ),
    "captured functions, changed about": (
        TWO + MADE + "z = make(a, b)\n" + returning("z()"), "make(a, b)", "make(b, a)"
    ),
    "default functions, changed about": (
        TWO + "def g(p=a, q=b): return p() - q()\n" + returning("g()"), "p=a, q=b", "p=b, q=a"
    ),
    "a method's helper": (
        TWO + "go = a\nclass A:\n    def g(self): return go() + a() + b()\n" + returning("A().g()"),
        "go = a", "go = b",
    ),
    "tasks, changed about": (
        TASKS + "x, y = a, b\n" + returning("x(n=1) - y(n=1)"), "= a, b", "= b, a"
    ),
    "a metaclass": (
        "class M(type):\n    k = 1\nclass A(metaclass=M): pass\n" + returning("A.k"), "k = 1", "k = 2"
    ),
    "an abstract class's subclasses": (
        "import abc\nclass A(abc.ABC): pass\nA.register(int)\n" + returning("isinstance(n, A)"),
        "(int)", "(str)",
    ),
    "what a map binds": (MAPPED, "k=1", "k=2"),
    "how a map runs": (MAPPED, "k=1)", "k=1), concurrency=2"),
    "a type variable's bound": (
        "from typing import TypeVar\nT = TypeVar('T', bound=int)\n" + returning("T"), "=int", "=float"
    ),
    "a function to choose": (CHOOSING + returning("h(n)"), "return 2", "return 3"),
    "what is chosen for a class": (CHOOSING + returning("h(n)"), "(str)", "(bytes)"),
    "a cached property": (
        "import functools\nclass A:\n    @functools.cached_property\n    def v(self): return 1\n"
        + returning("A().v"), "return 1", "return 2",
    ),
    "an object around the task's function": (
        AROUND + "def twice(function): return Times(function, 2)\n"
        "@task\n@twice\ndef f(n: int) -> int: return n\n", "function, 2", "function, 3",
    ),
    "the class of that object": (
        AROUND + "def twice(function): return Times(function, 2)\n"
        "@task\n@twice\ndef f(n: int) -> int: return n\n", ") * self.k", ") + self.k",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_another_meaning_is_another_fingerprint(change):
    source, before, after = CHANGES[change]
    assert source.count(before) == 1
    assert fingerprint(source) != fingerprint(source.replace(before, after))


USES = {
    "a cached property": (
        "import functools\nclass A:\n    @functools.cached_property\n    def v(self): return 1\n"
        + returning("A().v"), "A().v",
    ),
    "a function that chooses": (CHOOSING + returning("h(n)"), "h(1), h('')"),
    "a protocol": (
        "import typing\n@typing.runtime_checkable\nclass P(typing.Protocol):\n    def g(self): ...\n"
        + returning("P"), "isinstance(1, P)",
    ),
    "flags": (
        "import enum\nclass A(enum.Flag):\n    X = 1\n    Y = 2\n" + returning("A.X"), "A.X | A.Y"
    ),
}  # fmt: skip


@pytest.mark.parametrize("used", USES)
def test_what_was_used_in_the_notebook_is_the_same_still(used):
    source, use = USES[used]
    assert fingerprint(source) == fingerprint(source, use)


def test_a_set_of_a_class_of_its_own_has_no_order(in_kernel):
    cell = (
        "from flyte_nb import task\nclass Own(set): pass\nnames = Own(['a', 'b', 'c', 'd'])\n"
        "@task\ndef f() -> int:\n    return len(names)\n"
    )
    assert len({in_kernel([cell], ["f"], seed=seed)["f"][0] for seed in ("0", "1", "2")}) == 1


def fingerprint(source, *used):
    cells = Cells()
    cells.run("from flyte_nb import task\n" + source)
    for use in used:
        cells.run(use)
    return pack(cells["f"], scope=Scope()).fingerprint


MODEL = (
    "import pydantic\nfrom flyte_nb import task\nclass M(pydantic.BaseModel):\n"
    "    x: int = 1\n    y: int = 2\n"
    "    @pydantic.field_validator('x')\n    @classmethod\n    def positive(cls, v):\n"
    "        assert v > 0\n        return v\n@task\ndef f() -> int:\n    return M(x=3).x\n"
)


def test_models_of_pydantic_are_the_same_in_every_kernel_and_after_use(in_kernel):
    pytest.importorskip("pydantic")
    use = "m = M(x='5')\nm.x = 3\nM.__signature__\nM.model_json_schema()"
    found = {in_kernel(cells, ["f"], seed=seed)["f"][0] for cells, seed in (
        ([MODEL], "0"), ([MODEL], "5"), ([MODEL, use], "7"),
    )}  # fmt: skip
    assert len(found) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [("v > 0", "v > 1"), ("validator('x')", "validator('y')"), ("x: int = 1", "x: int = 2"),
     ("x: int", "x: float"), ("'x')", "'x', mode='before')")],
)  # fmt: skip
def test_a_changed_model_of_pydantic_is_another_fingerprint(before, after):
    pytest.importorskip("pydantic")
    assert MODEL.count(before) == 1
    assert fingerprint(MODEL) != fingerprint(MODEL.replace(before, after))
