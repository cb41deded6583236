"""What a function depends on, read from the function itself."""

import abc
import builtins
import contextlib
import dis
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.bundle.shaded import cloudpickle

_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_WRITES = "STORE_GLOBAL"
_OF_IPYTHON = frozenset({"get_ipython", "__IPYTHON__"})
"""Built-in names of a notebook that nothing stands for where a task runs."""
_EVERYWHERE = frozenset({"display"})
"""Those that a worker has too (`worker/notebook_names.py`)."""
_REPLACED = frozenset({"open", "exit", "quit"})
"""Built-in functions in whose place IPython puts its own into a notebook's names."""
_GLOBALS = frozenset(dis.opmap[f"{verb}_GLOBAL"] for verb in ("LOAD", "STORE", "DELETE"))

_dispatcher: Any = functools.singledispatch(lambda value: None)
_DISPATCHER: CodeType = _dispatcher.__code__

EMPTY = object()
"""Stands for a closure's cell without content."""


class Dependency(NamedTuple):
    """One value that a function uses."""

    kind: str
    """`global`, `default` or `captured`."""
    name: str
    value: Any


def dependencies(function: FunctionType) -> "Iterator[Dependency]":
    """The globals that `function` uses (in order of use), its closure, and its defaults."""
    for name, value in used_globals(function).items():
        yield Dependency("global", name, value)
    for name, value in captured(function).items():
        if value is not EMPTY:
            yield Dependency("captured", name, value)
    for name, value in defaults(function).items():
        yield Dependency("default", name, value)


def used_globals(function: FunctionType) -> "dict[str, Any]":
    """The globals that the code, nested code and textual annotations refer to, as far as defined."""
    names: dict[str, None] = {}
    if _uses_globals(function.__code__):  # else it would be disassembled for nothing
        names = cloudpickle()._extract_code_globals(function.__code__)
    for annotation in annotations(function).values():
        if isinstance(annotation, str):
            names = {**names, **dict.fromkeys(_names_in(annotation))}
    known = function.__globals__
    return {
        name: known[name]
        for name in names
        if name in known and not (name in _REPLACED and _is_of_ipython(known[name]))
    }


def modules_named_in(namespace: "dict[str, Any]") -> "set[str]":
    """Modules that a notebook has, and those that its functions, classes and objects come from."""
    found = set()
    for name, value in list(namespace.items()):
        if not name.startswith("_"):
            named = isinstance(value, (type, FunctionType))
            home = value if named else type(value)
            module = value.__name__ if isinstance(value, ModuleType) else home.__module__
            found.add(str(module))
    return found


def _is_of_ipython(value: Any) -> bool:
    """Whether IPython or its kernel made the function or object: a task has Python's own in its place."""
    namespace = getattr(value, "__globals__", {"__name__": type(value).__module__})
    return str(namespace.get("__name__")).startswith(("IPython.", "ipykernel."))


def undefined_names(functions: "Iterable[FunctionType]") -> "dict[str, FunctionType]":
    """Names that these functions use and nobody defines, neither one of them nor Python; with a user.

    What IPython alone adds to the built-in names counts as undefined.
    """
    found: dict[str, FunctionType] = {}
    several = [function for function in functions if _uses_globals(function.__code__)]
    for function in several:
        for name in cloudpickle()._extract_code_globals(function.__code__):
            known = name in function.__globals__ or hasattr(builtins, name) or name in _EVERYWHERE
            if not known or name in _OF_IPYTHON - function.__globals__.keys():
                found.setdefault(name, function)
    if found:
        for function in several:
            for name in _written_globals(function.__code__):
                found.pop(name, None)
    return found


def _written_globals(code: CodeType) -> "set[str]":
    """Names of globals that the code, or code in it, assigns."""
    found = {str(each.argval) for each in dis.get_instructions(code) if each.opname == _WRITES}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= _written_globals(const)
    return found


def _uses_globals(code: CodeType) -> bool:
    """Whether the code, or code in it, may refer to globals; never wrongly `False`."""
    if code.co_names and not _GLOBALS.isdisjoint(code.co_code[::2]):
        return True
    return any(_uses_globals(const) for const in code.co_consts if isinstance(const, CodeType))


def is_dispatcher(function: FunctionType) -> bool:
    """Whether `functools.singledispatch` made it."""
    return function.__code__ is _DISPATCHER


def choices(dispatcher: Any) -> "list[tuple[type, Any]]":
    """What a function of `functools.singledispatch` chooses from, by class."""
    return list(dispatcher.registry.items())


WITHOUT_LOCKS = (functools.cached_property, functools.singledispatchmethod)
"""Descriptors around a method, which hold a lock or a cache besides."""


def around_method(descriptor: Any) -> "tuple[Any, dict[str, Any]]":
    """The method that one of `WITHOUT_LOCKS` was made of, and what else makes it."""
    kept = ("attrname", "dispatcher", "__doc__")
    return descriptor.func, {
        name: value for name, value in vars(descriptor).items() if name in kept
    }


_DESCRIPTORS: "tuple[type[Any], ...]" = (property, staticmethod, classmethod, *WITHOUT_LOCKS)


class Descriptor(NamedTuple):
    """What an object of a subclass of a built-in descriptor is made of."""

    base: "type[Any]"
    """The built-in one."""
    arguments: "tuple[Any, ...]"
    """What that is made of."""
    attributes: "dict[str, Any]"
    """What the subclass added."""


def derived_descriptor(value: Any) -> "Descriptor | None":
    """What `value` is made of when it is of a subclass of `property`, `staticmethod` or the like."""
    base = next((kind for kind in _DESCRIPTORS if isinstance(value, kind)), None)
    if base is None or type(value) is base:
        return None
    if base is property:
        arguments: tuple[Any, ...] = (value.fget, value.fset, value.fdel)
    elif base in WITHOUT_LOCKS:
        arguments = (value.func,)
    else:
        arguments = (value.__func__,)
    own = {name: item for name, item in _own_attributes(value).items() if name not in _LOCKS}
    wrapped = getattr(arguments[0], "__dict__", {})
    copied = ("__module__", "__name__", "__qualname__", "__annotations__", "__wrapped__", "func")
    own = {
        name: item
        for name, item in own.items()
        if name not in copied and not (name in wrapped and wrapped[name] is item)
    }
    return Descriptor(base, arguments, own)


_LOCKS = frozenset({"lock", "_method_cache"})


def _own_attributes(value: Any) -> "dict[str, Any]":
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


CONTEXT_MANAGERS = (
    type(contextlib.contextmanager(lambda: iter(()))()),
    contextlib._AsyncGeneratorContextManager,
)
"""What a function of `contextlib.contextmanager` returns; it also decorates functions."""


def context_manager(value: Any) -> "tuple[Any, ...] | None":
    """The function and the arguments that made one of `CONTEXT_MANAGERS`; `None` when it was entered."""
    if type(value) not in CONTEXT_MANAGERS or not hasattr(value, "func"):
        return None
    return value.func, value.args, value.kwds


def registered(cls: type) -> "list[type]":
    """The classes that `cls.register` of an abstract class was given, in an order of their own."""
    if not isinstance(cls, abc.ABCMeta):
        return []
    known = (reference() for reference in abc._get_dump(cls)[0])  # type: ignore[attr-defined]
    alive = [each for each in known if each is not None]
    return sorted(alive, key=lambda each: (each.__module__, each.__qualname__))


def captured(function: FunctionType) -> "dict[str, Any]":
    """The closure's variables; of a dispatcher, what it chooses from."""
    if is_dispatcher(function):
        return {f"registry[{cls.__qualname__}]": chosen for cls, chosen in choices(function)}
    cells = function.__closure__ or ()
    return {
        name: _content(cell)
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True)
    }


def defaults(function: FunctionType) -> "dict[str, Any]":
    """The parameters' default values."""
    code = function.__code__
    given = function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    found = dict(zip(positional[len(positional) - len(given) :], given, strict=True))
    found.update(function.__kwdefaults__ or {})
    return found


def annotations(function: FunctionType) -> "dict[str, Any]":
    """The annotations as they stand."""
    found: dict[str, Any] = function.__annotations__
    return found


def imported_names(code: CodeType) -> "set[str]":
    """Top-level names of the modules that `code` imports when it runs."""
    found = set()
    if _IMPORT_NAME in code.co_code[::2]:  # else it would be disassembled for nothing
        for instruction in dis.get_instructions(code):
            if instruction.opname == "IMPORT_NAME" and instruction.argval:
                found.add(str(instruction.argval).partition(".")[0])
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= imported_names(const)
    return found


def submodules(
    function: FunctionType, globals_used: "Mapping[str, Any] | None" = None
) -> "list[ModuleType]":
    """Imported submodules that the function reaches through a package, e.g. `xml.dom`; by name.

    Found from the names in its code: to look through all modules of a process takes as long as to
    pickle a task. `globals_used` are those of `used_globals`, where they are known.
    """
    known = used_globals(function) if globals_used is None else globals_used
    names = function.__code__.co_names
    found: dict[str, ModuleType] = {}
    waiting = [
        value.__name__
        for value in (*known.values(), *captured(function).values())
        if isinstance(value, ModuleType) and getattr(value, "__package__", None)
    ]
    while waiting:
        prefix = waiting.pop()
        for name in names:
            full = f"{prefix}.{name}"
            module = sys.modules.get(full)
            if module is not None and full not in found:
                found[full] = module
                waiting.append(full)
    return sorted(found.values(), key=lambda module: module.__name__)


def is_builtin(value: Any) -> bool:
    """Whether `value` is the builtin of its name."""
    name = getattr(value, "__name__", "")
    return bool(name) and getattr(builtins, name, None) is value


def line_of_use(function: FunctionType, name: str) -> int:
    """The first line on which `function` mentions `name`; else its first line."""
    return _line_of_use(function.__code__, name) or function.__code__.co_firstlineno


def _line_of_use(code: CodeType, name: str) -> int:
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        started = instruction.starts_line
        if sys.version_info >= (3, 13):
            started = getattr(instruction, "line_number", None)
        if started:
            line = int(started)
        if instruction.argval == name and instruction.opname.startswith(("LOAD_", "IMPORT_")):
            return line
    for const in code.co_consts:
        if isinstance(const, CodeType) and (found := _line_of_use(const, name)):
            return found
    return 0


def _names_in(annotation: str) -> "tuple[str, ...]":
    try:
        return compile(annotation, "<annotation>", "eval").co_names
    except (SyntaxError, ValueError):
        return ()  # the signature's reader names it as a problem


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY
