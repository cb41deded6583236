"""Find the modules that a function needs without an import statement.

There are two such ways: a call like `import_module("name")` with a constant, and a call that reads a
pickle, because a pickle may name classes of any module.

Both are read from the function's instructions. Disassembling a function costs as much as pickling it, so
this happens only when the names in its code suggest that there is something to find.
"""

import dis
import importlib
import itertools
import pkgutil
import re
import runpy
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType

_IMPORTERS = frozenset({"import_module", "__import__", "run_module"})
_FINDERS = frozenset({"find_spec", "get_data", "files"})
"""Functions that take a module's name. Unrelated functions have these names too, so a constant that is
given to one is only perhaps a module."""
_FUNCTIONS = (importlib.import_module, importlib.__import__, runpy.run_module, pkgutil.get_data)
"""The same functions as objects: a notebook may have imported them under any name."""
_BETWEEN = frozenset({"PUSH_NULL", "CACHE", "PRECALL", "NOP", "EXTENDED_ARG"})
"""Instructions that Python versions put between a function and its first argument."""

_PICKLES = frozenset({"pickle", "_pickle", "cloudpickle", "dill", "joblib", "torch"})
_VERBS = frozenset({"load", "loads", "Unpickler"})
_ALONE = "read_pickle"
"""A name that means reading a pickle, whatever object has it (pandas, polars, …)."""

READERS = frozenset({*_PICKLES, "shelve", "pandas"})
"""Code that reads pickles imports one of these modules."""
_IN_SOURCE = re.compile(
    rb"\b(?:pickle|cloudpickle|dill|joblib|torch)\s*\.\s*(?:loads?|Unpickler)\s*\("
    rb"|\bshelve\s*\.\s*open\s*\(|\bread_pickle\s*\("
    rb"|\bfrom\s+(?:pickle|cloudpickle|dill|joblib|torch)\s+import\b[^\n]*\bload"
)


def imported_by_name(function: FunctionType) -> "tuple[set[str], set[str]]":
    """Return top-level names of modules that the function imports by a constant.

    Returns:
        the names that it surely imports, and the names that it perhaps imports. The latter are constants
        that are given to a function with a name like `find_spec` or `files`.
    """
    surely: set[str] = set()
    perhaps: set[str] = set()
    namespace = function.__globals__
    for code in _codes(function.__code__):
        if not _may_import(code, namespace):
            continue
        steps = [step for step in dis.get_instructions(code) if step.opname not in _BETWEEN]
        # A call's first argument is loaded right after the function, the package of a relative name next.
        for number, step in enumerate(steps):
            into = surely if _is_importer(step, namespace) else perhaps
            if into is surely or _is_called(step, _FINDERS):
                name = _constant(steps[number + 1 : number + 3], namespace)
                if name.isidentifier():
                    into.add(name)
    return surely, perhaps


def unpickles(function: FunctionType) -> bool:
    """Return whether the function calls something that reads pickles."""
    namespace = function.__globals__
    for code in _codes(function.__code__):
        if _ALONE in code.co_names:
            return True
        if any(_reads(namespace.get(name)) for name in code.co_names):
            return True
        may_read = not {*_VERBS, "open"}.isdisjoint(code.co_names)
        if may_read and _has_reader(code, namespace):
            return True
    return False


def unpickles_in(source: bytes) -> bool:
    """Return whether a module's source calls something that reads pickles."""
    # The module is not imported here, so its source is all that can be looked at.
    return _IN_SOURCE.search(source) is not None


def _may_import(code: CodeType, namespace: "Mapping[str, object]") -> bool:
    names = code.co_names
    return not (_IMPORTERS | _FINDERS).isdisjoint(names) or any(
        _is_one_of(namespace.get(name), _FUNCTIONS) for name in names
    )


def _is_importer(step: "dis.Instruction", namespace: "Mapping[str, object]") -> bool:
    if _is_called(step, _IMPORTERS):
        return True
    return step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and _is_one_of(
        namespace.get(str(step.argval)), _FUNCTIONS
    )


def _is_called(step: "dis.Instruction", names: "frozenset[str]") -> bool:
    return step.opname.startswith("LOAD_") and step.argval in names


def _is_one_of(value: object, functions: "tuple[object, ...]") -> bool:
    # By identity: a global may be an array, whose `==` gives no truth value.
    return any(value is function for function in functions)


def _constant(steps: "list[dis.Instruction]", namespace: "Mapping[str, object]") -> str:
    """Return the top-level name in the first argument, or `""` when that is no constant text.

    A relative name (`".part"`) says nothing by itself, so the next argument, the package, is read.
    """
    for step in steps:
        value = step.argval
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = namespace.get(str(value))
        elif step.opname != "LOAD_CONST":
            return ""
        if not isinstance(value, str):
            return ""
        if not value.startswith("."):
            return value.partition(".")[0]
    return ""


def _reads(value: object) -> bool:
    """Return whether the value is what `from pickle import load` imports, under whatever name."""
    module = getattr(value, "__module__", None)
    return (
        isinstance(module, str)
        and module.partition(".")[0] in _PICKLES
        and getattr(value, "__name__", "") in _VERBS
    )


def _has_reader(code: CodeType, namespace: "Mapping[str, object]") -> bool:
    """Return whether the code has `pickle.load`, `from pickle import load`, `shelve.open` or the like."""
    # Modules that the code itself imports, by their local names.
    libraries: dict[str, str] = {}
    imported = ""
    steps = [step for step in dis.get_instructions(code) if step.opname not in _BETWEEN]
    for before, step in itertools.pairwise(steps):
        if before.opname == "IMPORT_NAME":
            imported = str(before.argval).partition(".")[0]
            if step.opname.startswith("STORE_"):
                libraries[_names(step)[0]] = imported
        if step.opname == "IMPORT_FROM" and imported in _PICKLES and step.argval in _VERBS:
            return True
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            name = _names(before)[-1]
            value = namespace.get(name)
            known = value.__name__ if isinstance(value, ModuleType) else ""
            library = libraries.get(name, known).partition(".")[0]
            if library == "shelve" and step.argval == "open":
                return True
            if library in _PICKLES and step.argval in _VERBS:
                return True
    return False


def _names(step: "dis.Instruction") -> "tuple[str, ...]":
    """Return the variables that the instruction names: since Python 3.13 one may name two."""
    return step.argval if isinstance(step.argval, tuple) and step.argval else (str(step.argval),)


def _codes(code: CodeType) -> "Iterator[CodeType]":
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)
