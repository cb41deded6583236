"""Module state that the notebook sets is named in a warning, because a task imports the module anew."""

import importlib
import linecache
import sys

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.testing.cells import Cells

SETTS = (
    "import os\nDEBUG = False\nLEVEL: int = 1\nOPTIONS = {'a': 1}\n_client = None\nseen = []\n"
    "HOME = os.getcwd()\n"
    "class Config:\n    depth = 1\n"
    "def connect():\n    global _client\n    _client = object()\n    seen.append(1)\n"
    "def set_level(n):\n    global LEVEL\n    LEVEL = n\n"
    "def double(x): return 2 * x\n"
)
TASK = "@task\ndef f() -> int:\n    return setts.double(1)\n"


@pytest.fixture
def book(tmp_path, monkeypatch):
    (tmp_path / "setts.py").write_text(SETTS)
    (tmp_path / "unit_confs").mkdir()
    (tmp_path / "unit_confs" / "__init__.py").write_text("")
    (tmp_path / "unit_confs" / "deep.py").write_text("SIZE = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(linecache, "cache", {})  # a kernel has the cells of one notebook
    yield tmp_path
    for name in ("setts", "unit_confs", "unit_confs.deep"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def warned(book, *sources, task=TASK):
    """Return the attributes that packing warns about."""
    cells = Cells()
    cells.run("import setts, unit_confs.deep\nfrom flyte_nb import task\n")
    for source in sources:
        cells.run(source)
    cells.run(task)
    warnings = pack(cells["f"], scope=Scope(), local_roots=[book]).warnings
    found = [text for text in warnings if "was set in the notebook" in text]
    assert all("Set it there, or inside of the task." in text for text in found)
    return [text.partition(" ")[0] for text in found]


SET = {
    "setts.DEBUG = True": "setts.DEBUG",
    "setts.LEVEL += 1": "setts.LEVEL",
    "setts.HOME = '/elsewhere'": "setts.HOME",
    "setts.MORE = 5": "setts.MORE",
    "setts.OPTIONS['b'] = 2": "setts.OPTIONS",
    "setts.OPTIONS.update(c=3)": "setts.OPTIONS",
    "setattr(setts, 'DEBUG', 1)": "setts.DEBUG",
    "if True:\n    setts.DEBUG = None": "setts.DEBUG",
    "def mine(x): return 0\nsetts.double = mine": "setts.double",
    "setts.Config.depth = 2": "setts.Config.depth",
    "from setts import Config\nConfig.depth = 2": "setts.Config.depth",
    "import setts as other\nother.DEBUG = 'x'": "setts.DEBUG",
    "setts.set_level(3)": "setts.LEVEL",
    "def change():\n    setts.DEBUG = True\nchange()": "setts.DEBUG",
    "for setts.DEBUG in [2]: pass": "setts.DEBUG",
}


@pytest.mark.parametrize("source", SET)
def test_it_is_named(book, source):
    assert warned(book, source) == [SET[source]]


NOT_SET = [
    "setts.DEBUG = True\nsetts.DEBUG = False",
    "setts.connect()",
    "setts.double(2)",
    "setts.OPTIONS.get('a')",
    "def never():\n    setts.HOME = 1",
    "x = setts.DEBUG == True",
    "class Other: pass\nOther.depth = 1",
]


@pytest.mark.parametrize("source", NOT_SET)
def test_what_is_as_the_module_makes_it_is_not_named(book, source):
    assert warned(book, source) == []


def test_what_the_task_sets_itself_is_not_named(book):
    task = "@task\ndef f() -> bool:\n    setts.DEBUG = True\n    return setts.DEBUG\n"
    assert warned(book, "setts.DEBUG = True", task=task) == []


def test_a_module_that_the_task_does_not_use_is_not_looked_at(book):
    assert warned(book, "setts.DEBUG = True", task="@task\ndef f() -> int:\n    return 1\n") == []


def test_a_module_of_a_package_is_named_in_full(book):
    task = "@task\ndef f() -> int:\n    return unit_confs.deep.SIZE\n"
    assert warned(book, "unit_confs.deep.SIZE = 4", task=task) == ["unit_confs.deep.SIZE"]


def test_an_installed_modules_attribute_is_named_when_the_task_names_it(book, monkeypatch):
    import six

    monkeypatch.setattr(six, "PY2", False)
    task = "@task\ndef f() -> bool:\n    return six.PY2\n"
    other = "@task\ndef f() -> bool:\n    return six.PY3\n"
    assert warned(book, "import six\nsix.PY2 = True", task=task) == ["six.PY2"]
    assert warned(book, "import six\nsix.PY2 = True", task=other) == []


def test_the_value_is_not_shown_and_the_cell_is(book):
    cells = Cells()
    cells.run("import setts\nfrom flyte_nb import task\n" + TASK)
    cells.run("\nsetts.DEBUG = 'hunter2'\n")
    [warning] = pack(cells["f"], scope=Scope(), local_roots=[book]).warnings
    assert "hunter2" not in warning
    assert "line 2)" in warning
    assert "it has the value from setts.py" in warning


def test_state_does_not_change_the_version(book):
    cells = Cells()
    cells.run("import setts\nfrom flyte_nb import task\n" + TASK)
    before = pack(cells["f"], scope=Scope(), local_roots=[book]).fingerprint
    cells.run("setts.DEBUG = 7\n")
    assert pack(cells["f"], scope=Scope(), local_roots=[book]).fingerprint == before
