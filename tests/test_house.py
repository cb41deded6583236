"""The rules of the house that no single room can test: cold import, floors, names, sizes.

`house.py` beside this file measures; the numbers here may only be made stricter.
"""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flyte_nb

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flyte_nb"

_SPEC = importlib.util.spec_from_file_location("house", Path(__file__).with_name("house.py"))
house = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(house)

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60

MOST_USES_OF_ANY = 1148
MOST_TYPE_IGNORES = 34
"""Budgets of the whole package. Lower them when the house has fewer; never raise them."""
SLACK = 20
"""A budget that is so far above what is used has to be lowered."""

START_UP = (
    "a cell pays for it: `import flyte_nb`, `@task` or `wf(n=3)` in a fresh kernel, or a command"
)
COLD = "every cold attempt would pay for it, and most need it not"
OPTIONAL = "a library of the user's, or one that not everybody has installed"
ISOLATED = "it is imported once the process has been prepared for it"
PLATFORM = "not every operating system has it"
IMPORTED_IN_FUNCTIONS: dict[str, str] = {
    "flyte_nb/__main__.py": START_UP,
    "flyte_nb/api/errors.py": START_UP,
    "flyte_nb/api/visible.py": START_UP,
    "flyte_nb/bundle/fetch.py": COLD,
    "flyte_nb/client/data.py": START_UP,
    "flyte_nb/commands/compiling.py": OPTIONAL,
    "flyte_nb/commands/dispatch.py": START_UP,
    "flyte_nb/executions/notation.py": OPTIONAL,
    "flyte_nb/executions/values_from_data.py": OPTIONAL,
    "flyte_nb/executions/written.py": OPTIONAL,
    "flyte_nb/graph/dot.py": OPTIONAL,
    "flyte_nb/graph/png.py": OPTIONAL,
    "flyte_nb/notebook/commands/launching.py": OPTIONAL,
    "flyte_nb/notebook/commands/watching.py": OPTIONAL,
    "flyte_nb/notebook/live/graph_widget.py": OPTIONAL,
    "flyte_nb/notebook/shell/extension.py": OPTIONAL,
    "flyte_nb/runtime/attempt.py": COLD,
    "flyte_nb/runtime/environments.py": COLD,
    "flyte_nb/runtime/execute.py": COLD,
    "flyte_nb/propeller/executors/chosen.py": OPTIONAL,
    "flyte_nb/propeller/foreign/__main__.py": ISOLATED,
    "flyte_nb/runtime/host.py": COLD,
    "flyte_nb/runtime/process.py": COLD,
    "flyte_nb/runtime/results.py": COLD,
    "flyte_nb/runtime/services.py": COLD,
    "flyte_nb/sdk/binding.py": START_UP,
    "flyte_nb/sdk/callee.py": START_UP,
    "flyte_nb/sdk/execution_context.py": START_UP,
    "flyte_nb/sdk/kinds/map_task.py": START_UP,
    "flyte_nb/sdk/launch_plan.py": START_UP,
    "flyte_nb/sdk/loops.py": START_UP,
    "flyte_nb/sdk/task.py": START_UP,
    "flyte_nb/sdk/workflow.py": START_UP,
    "flyte_nb/session/defaults.py": START_UP,
    "flyte_nb/session/local_plans.py": START_UP,
    "flyte_nb/session/offline.py": START_UP,
    "flyte_nb/session/session.py": START_UP,
    "flyte_nb/storage/__init__.py": COLD,
    "flyte_nb/storage/plugin_child.py": ISOLATED,
    "flyte_nb/storage/plugins.py": OPTIONAL,
    "flyte_nb/storage/remote_options.py": OPTIONAL,
    "flyte_nb/storage/routing.py": COLD,
    "flyte_nb/storage/work_folders.py": PLATFORM,
    "flyte_nb/testing/isolation.py": ISOLATED,
    "flyte_nb/types/companions.py": START_UP,
    "flyte_nb/types/content.py": START_UP,
    "flyte_nb/types/data_classes.py": START_UP,
    "flyte_nb/types/files.py": START_UP,
    "flyte_nb/types/guess.py": OPTIONAL,
    "flyte_nb/types/pickling.py": START_UP,
    "flyte_nb/types/registry.py": START_UP,
    "flyte_nb/types/stored.py": START_UP,
    "flyte_nb/types/structs.py": START_UP,
    "flyte_nb/wire/columns.py": COLD,
    "flyte_nb/wire/literal_bytes.py": COLD,
    "flyte_nb/worker/deck_pages.py": COLD,
    "flyte_nb/worker/bootstrap.py": ISOLATED,
    "flyte_nb/worker/failures.py": COLD,
    "flyte_nb/worker/host_data.py": COLD,
    "flyte_nb/worker/inner.py": COLD,
    "flyte_nb/worker/kept_files.py": COLD,
    "flyte_nb/worker/load.py": COLD,
    "flyte_nb/worker/main.py": ISOLATED,
    "flyte_nb/worker/older_rings.py": ISOLATED,
    "flyte_nb/worker/preload.py": COLD,
    "flyte_nb/worker/rebuild.py": COLD,
    "flyte_nb/worker/zygote.py": ISOLATED,
}
"""Files in which functions may import, each with the reason; the shorter the list, the better."""

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
    newest = re.search(r"^## (?!Unreleased)(\S+)", text, re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == flyte_nb.__version__


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


@pytest.fixture(scope="module")
def files():
    return house.sources(PACKAGE)


def at(source) -> str:
    return source.path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_a_reader_can_hold(files):
    assert [(at(s), s.lines) for s in files if s.lines > MOST_LINES] == []


def test_no_function_is_longer_than_a_reader_can_hold(files):
    long = [
        f"{at(source)}:{node.lineno} {node.name}"
        for source in files
        for node in ast.walk(source.tree)
        if isinstance(node, house.FUNCTIONS)
        and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_no_modules_import_each_other_in_a_circle():
    assert house.circles(house.modules_and_imports(PACKAGE)) == []


def test_functions_import_only_where_a_reason_is_given(files):
    lazy = {at(source) for source in files if house.imports_in_functions(source)}
    assert lazy - set(IMPORTED_IN_FUNCTIONS) == set(), "import at the top, or give the reason"
    assert set(IMPORTED_IN_FUNCTIONS) - lazy == set(), "take these from the list: they do not"


def test_the_budgets_for_untyped_code_only_shrink(files):
    used = sum(house.uses_of_any(source) for source in files)
    ignored = sum(source.text.count("# type: ignore") for source in files)
    assert MOST_USES_OF_ANY - SLACK <= used <= MOST_USES_OF_ANY
    assert MOST_TYPE_IGNORES - SLACK <= ignored <= MOST_TYPE_IGNORES


def test_public_functions_name_the_errors_that_they_raise(files):
    silent = [
        f"{at(source)}:{function.lineno} {function.name} raises {name}"
        for source in files
        for function in house.public_functions(source.tree)
        for name in sorted(house.raised(function) - {"NotImplementedError", "AttributeError"})
        if name not in (ast.get_docstring(function) or "")
    ]
    assert silent == []


def test_every_room_says_what_it_is_for():
    short = [
        folder.name
        for folder in sorted(PACKAGE.iterdir())
        if (folder / "__init__.py").is_file()
        and len(
            (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").splitlines()
        )
        < 3
    ]
    assert short == []


def test_tests_wait_for_conditions_and_never_sleep():
    sleeping = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"\btime\.sleep\(", line) and path.name != "test_house.py"
    ]
    assert sleeping == []
