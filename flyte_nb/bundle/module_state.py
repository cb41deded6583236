"""Find module attributes that a notebook set and that a task will not see: it imports the module anew.

Two searches find them. One reads the cells for statements that assign to an attribute of a module, e.g.
`settings.DEBUG = True`. The other compares the variables of the author's own modules with the values that
their source gives them.

A warning that is wrong costs more trust than one that is missing, so both searches report only what they
are sure of: the attribute must have the assigned value still, and must differ from the source.

An attribute is named and its value is never shown, because the value may be a secret.
"""

import ast
import dis
import functools
import linecache
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

from flyte_nb.bundle.source_names import spoken_place
from flyte_nb.bundle.units import Unit

_SETS = re.compile(r"^[^#\n]*\w\s*\.\s*\w+[^#\n]*(?:=|\()|\bsetattr\s*\(|\bdel\b", re.MULTILINE)
"""A cell without a match sets no attribute, and need not be parsed."""
_CHANGING = frozenset(
    {
        *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"),
        *("add", "discard", "update", "setdefault", "popitem"),
    }
)
"""Methods that change a list, a dict or a set."""

_ASSIGNED = re.compile(rb"^([A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=[ \t]*([^=\n].*)$", re.MULTILINE)
_UNPREDICTABLE = re.compile(rb"\bglobals\s*\(|\bvars\s*\(|\bexec\s*\(|import\s*\*|sys\.modules")
"""A source with a match may define variables whose names it does not contain."""
_LARGEST_BYTES = 1 << 20
_MISSING = object()


class Setting(NamedTuple):
    """An attribute that the notebook set."""

    path: str
    """The attribute as an author writes it: `setts.DEBUG`."""
    home: str
    """The module's file name, or the module's name when it has no file."""
    place: str = ""
    """The cell and the line that set it; empty when they are unknown."""


class _Assignment(NamedTuple):
    """A statement of a cell that assigns to an attribute, or changes one in place."""

    names: "tuple[str, ...]"
    line: int
    in_place: bool = False
    value: object = _MISSING
    """The assigned value, when it is a constant. A module that was reloaded since has another one."""


class ModuleState:
    """Finds what the notebook set in modules. One object serves all tasks of a packing.

    Each module is compared with its source once.
    """

    def __init__(self) -> None:
        self._differing: dict[str, list[Setting]] = {}
        """Variables that differ from the source, by top-level names of the author's own modules."""

    def settings(
        self, functions: "Iterable[FunctionType]", shipped: "Sequence[Unit]"
    ) -> "list[Setting]":
        """Return what was set in modules that a task uses.

        Args:
            functions: all functions of the task.
            shipped: the author's own modules that travel with it.
        """
        several = list(functions)
        tops = {unit.name for unit in shipped}
        found: dict[str, Setting] = {}
        for setting in _set_in_cells(several, tops):
            found.setdefault(setting.path, setting)
        for setting in (each for top in sorted(tops) for each in self._differing_in(top)):
            found.setdefault(setting.path, setting)
        if not found:
            return []
        # What the task itself assigns, it has wherever it runs.
        written = {name for function in several for name in _written(function.__code__)}
        return [each for each in found.values() if each.path.rpartition(".")[2] not in written]

    def _differing_in(self, top: str) -> "list[Setting]":
        if top not in self._differing:
            loaded = [
                module
                for name, module in list(sys.modules.items())
                if name == top or name.startswith(f"{top}.")
            ]
            self._differing[top] = [each for module in loaded for each in _differing(module)]
        return self._differing[top]


def _set_in_cells(functions: "list[FunctionType]", tops: "set[str]") -> "Iterator[Setting]":
    assignments = _in_cells(tuple(linecache.cache))
    if not assignments:
        return
    namespaces = list({id(each.__globals__): each.__globals__ for each in functions}.values())
    named = {name for function in functions for name in _names(function.__code__)}
    for filename, each in assignments:
        for namespace in namespaces:
            setting = _meant(each, namespace, tops, named)
            if setting is not None:
                yield setting._replace(place=spoken_place(filename, each.line))
                break


@functools.lru_cache(maxsize=1)
def _in_cells(filenames: "tuple[str, ...]") -> "tuple[tuple[str, _Assignment], ...]":
    """Return the assignments of all cells, each with the cell's file name.

    The result is cached for the set of known file names, because all tasks of a registration need it. A
    kernel gives every executed cell a new name, so a new cell is always noticed.
    """
    found = []
    for filename, entry in list(linecache.cache.items()):
        if len(entry) >= 4 and _is_cell(filename):  # shorter entries are lazy, and belong to files
            found += [(filename, each) for each in _assignments("".join(entry[2]))]
    return tuple(found)


def _is_cell(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith("<") or not os.path.isfile(filename)


@functools.lru_cache(maxsize=4096)
def _assignments(source: str) -> "tuple[_Assignment, ...]":
    """Return the assignments to attributes that a cell executes itself, without those in its functions."""
    if not _SETS.search(source):
        return ()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # a cell with magics is no plain Python
        return ()
    return tuple(_of_statements(tree.body))


def _of_statements(statements: "Sequence[ast.stmt]") -> "Iterator[_Assignment]":
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _of_statements(getattr(statement, field, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _of_statements(handler.body)
        for target in _targets(statement):
            in_place = isinstance(target, ast.Subscript)
            while isinstance(target, ast.Subscript):
                target = target.value
            names = _chain(target)
            if len(names) > 1:
                value = _MISSING if in_place else _constant(getattr(statement, "value", None))
                if isinstance(statement, ast.AugAssign):
                    value = _MISSING
                yield _Assignment(names, statement.lineno, in_place, value)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _of_call(statement.value)


def _constant(node: "ast.expr | None") -> object:
    try:
        return _MISSING if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _MISSING


def _targets(statement: ast.stmt) -> "Iterator[ast.expr]":
    if isinstance(statement, (ast.Assign, ast.Delete)):
        for target in statement.targets:
            yield from target.elts if isinstance(target, (ast.Tuple, ast.List)) else (target,)
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign, ast.For)):
        yield statement.target


def _of_call(call: ast.Call) -> "Iterator[_Assignment]":
    if isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) == 3:
        name = call.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            names = (*_chain(call.args[0]), name.value)
            yield _Assignment(names, call.lineno, value=_constant(call.args[2]))
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _CHANGING:
        names = _chain(call.func.value)
        if len(names) > 1:
            yield _Assignment(names, call.lineno, True)


def _chain(node: ast.expr) -> "tuple[str, ...]":
    """Return the names of `a.b.c`, or `()` for any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _meant(
    assignment: _Assignment, namespace: "dict[str, object]", tops: "set[str]", named: "set[str]"
) -> "Setting | None":
    """Return what the statement set, or `None` when it set nothing that the task will miss."""
    root, *rest = assignment.names
    home: object = namespace.get(root)
    now = _value_of(home, rest)
    if isinstance(home, (type, FunctionType)):  # an attribute of a class that a module defines
        shown = [home.__module__, home.__qualname__]
        home = sys.modules.get(str(home.__module__))
    elif isinstance(home, ModuleType):
        shown = [home.__name__]
    if not isinstance(home, ModuleType) or home.__name__ == "__main__" or not rest:
        return None
    # Name the innermost module: `package.settings.DEBUG` belongs to `package.settings`.
    while len(rest) > 1 and isinstance(inner := vars(home).get(rest[0]), ModuleType):
        home, shown, rest = inner, [inner.__name__], rest[1:]
    is_own = home.__name__.partition(".")[0] in tops
    # Installed modules have settings that concern only the notebook, e.g. how pandas shows frames. So
    # a setting of one counts only when the task's code names it.
    if not is_own and (root not in named or rest[0] not in named):
        return None
    if assignment.in_place and not isinstance(now, (dict, list, set)):
        return None
    if assignment.value is not _MISSING and not _is_same(assignment.value, now):
        return None
    is_variable = is_own and len(shown) == 1 and len(rest) == 1
    # The author may have written the value into the file after setting it here.
    if is_variable and _is_same(_source_of(home).literals.get(rest[0], _MISSING), now):
        return None
    return Setting(".".join([*shown, *rest]), _home(home))


def _value_of(value: object, names: "Sequence[str]") -> object:
    """Return what the chain of attributes of `value` leads to now, or `_MISSING`."""
    for name in names:
        try:
            value = getattr(value, name)
        except Exception:  # noqa: BLE001 - a property may run any code
            return _MISSING
    return value


def _is_same(constant: object, value: object) -> bool:
    """Return whether the constant and the value are equal and of one type."""
    # The types are compared first, because `==` of an array or a frame gives no truth value.
    return type(constant) is type(value) and bool(constant == value)


def _differing(module: ModuleType) -> "Iterator[Setting]":
    """Yield the variables of the author's own module that do not have the value that its source gives."""
    source = _source_of(module)
    for name, value in list(vars(module).items()):
        if not name.isidentifier() or name.startswith("__"):
            continue
        if isinstance(value, (FunctionType, type)) and value.__module__ == "__main__":
            is_set = True  # a function or class of the notebook was put into the module
        elif name in source.literals:
            constant = source.literals[name]
            is_set = not _is_same(constant, value) and not source.varies(name)
        else:
            is_set = (
                source.names_all and name not in source.words and not isinstance(value, ModuleType)
            )
        if is_set:
            yield Setting(f"{module.__name__}.{name}", _home(module))


class _ModuleSource:
    """The source of a module, and the constants that it assigns to variables."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self.names_all = bool(source) and not _UNPREDICTABLE.search(source)
        """Whether the source contains the name of every variable that the module defines."""
        self.words = {word.decode() for word in re.findall(rb"[A-Za-z_]\w*", source)}
        self.literals: dict[str, object] = {}
        """The constants, of variables to which the source assigns once."""
        assigned = _ASSIGNED.findall(source)
        names = [name for name, _ in assigned]
        for name, text in assigned:
            if names.count(name) == 1:
                literal = _literal(text)
                if literal is not _MISSING:
                    self.literals[name.decode()] = literal

    def varies(self, name: str) -> bool:
        """Return whether the module's own code may give the variable another value than the constant."""
        literal, word = self.literals[name], re.escape(name.encode())
        # Code of the module fills the container, e.g. a registry.
        if isinstance(literal, (list, dict, set)):
            inside = rb"\b" + word + rb"\s*(?:\[[^\]\n]*\]\s*[-+|&]?=[^=]|\.\w+\()"
            if re.search(inside, self._source):
                return True
        # A function of the module assigns to it, and its name or its None says that it is a cache.
        is_global = re.search(rb"\bglobal\b[^\n]*\b" + word + rb"\b", self._source) is not None
        if is_global and (name.startswith("_") or literal is None):
            return True
        return self._assigned.count(name) != 1

    @functools.cached_property
    def _assigned(self) -> "list[str]":
        """The variables of every assignment outside of functions, also inside of an `if` or a loop."""
        try:
            return list(_stored(ast.parse(self._source).body))
        except (SyntaxError, ValueError, RecursionError):
            return []


def _literal(text: bytes) -> object:
    try:
        return ast.literal_eval(text.decode().strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _MISSING


def _stored(nodes: "Iterable[ast.AST]") -> "Iterator[str]":
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _stored(ast.iter_child_nodes(node))


def _source_of(module: ModuleType) -> _ModuleSource:
    path = getattr(module, "__file__", None)
    try:
        if not isinstance(path, str) or not path.endswith(".py"):
            return _read("", 0, 0)
        about = os.stat(path)
    except OSError:
        return _read("", 0, 0)
    return _read(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=1024)
def _read(path: str, changed_ns: int, size: int) -> _ModuleSource:
    # `changed_ns` and `size` are only keys of the cache: an edited file has others.
    if not path or size > _LARGEST_BYTES:
        return _ModuleSource(b"")
    try:
        with open(path, "rb") as file:
            return _ModuleSource(file.read())
    except (OSError, UnicodeDecodeError):
        return _ModuleSource(b"")


def _home(module: ModuleType) -> str:
    path = getattr(module, "__file__", None)
    return os.path.basename(path) if isinstance(path, str) else module.__name__


def _names(code: CodeType) -> "Iterator[str]":
    yield from code.co_names
    yield from code.co_varnames  # a module that the function itself imports is a local variable
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)


def _written(code: CodeType) -> "Iterator[str]":
    """Yield the attributes that the code, or code nested in it, assigns."""
    if code.co_names:
        for step in dis.get_instructions(code):
            if step.opname == "STORE_ATTR":
                yield str(step.argval)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _written(const)
