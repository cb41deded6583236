"""The rules of the house that no single room can test: cold import, floors, names, sizes."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flyte_nb

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flyte_nb"

_COLD = """
import json, sys, threading, signal
handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
hook = sys.excepthook
before = set(sys.modules)
import flyte_nb
from flyte_nb import task, workflow

@task
def double(n: int) -> int:
    return 2 * n

print(json.dumps({
    "modules": sorted(set(sys.modules) - before),
    "threads": threading.active_count(),
    "quiet": hook is sys.excepthook and handlers == {n: signal.getsignal(n) for n in handlers},
}))
"""


@pytest.fixture(scope="module")
def cold_import() -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _COLD], capture_output=True, text=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_importing_and_declaring_loads_nothing_but_the_standard_library(cold_import):
    outside = {
        name.partition(".")[0]
        for name in cold_import["modules"]
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("flyte_nb")
    }
    assert outside == set()


def test_importing_and_declaring_loads_only_the_ring(cold_import):
    rooms = {name.split(".")[1] for name in cold_import["modules"] if name.startswith("flyte_nb.")}
    assert rooms <= {"api", "types", "sdk", "pipe", "worker"}


def test_importing_starts_no_thread_and_installs_no_handler(cold_import):
    assert cold_import["threads"] == 1
    assert cold_import["quiet"] is True


def test_the_changelog_names_this_release():
    text = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\S+)", text, re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == flyte_nb.__version__


def test_no_import_circle_counting_function_level_and_type_checking_imports():
    """Two modules that need each other are one, or there is a third that both need."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        modules[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    imports = {name: _imports(tree, modules) - {name} for name, tree in modules.items()}
    while free := [name for name, used in imports.items() if not used & imports.keys()]:
        for name in free:  # what needs nothing that is left is in no circle
            del imports[name]
    users = {each for used in imports.values() for each in used}
    assert sorted(name for name in imports if name in users) == []


def _imports(tree: ast.AST, modules: dict[str, ast.Module]) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{each.name}" for each in node.names}
            found |= (inside & modules.keys()) or {node.module}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found & modules.keys()


def test_no_room_has_a_module_level_mutable_registry():
    """A list or dict that a function of the same module changes is ambient state."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {
            target.id
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            and isinstance(statement.value, (ast.List, ast.Dict, ast.Set))
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"append", "add", "update", "setdefault", "pop", "clear"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in names
            ):
                owner = _function_around(tree, node)
                if owner is not None and node.func.value.id not in _locals_of(owner):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.func.value.id}")
    assert found == []


def _function_around(tree: ast.AST, node: ast.AST) -> ast.FunctionDef | None:
    owner = None
    for candidate in ast.walk(tree):
        if isinstance(candidate, ast.FunctionDef) and any(n is node for n in ast.walk(candidate)):
            owner = candidate
    return owner


def _locals_of(function: ast.FunctionDef) -> set[str]:
    assigned = {
        n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return assigned | {argument.arg for argument in function.args.args}
