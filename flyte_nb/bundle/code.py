"""Read what a function, a descriptor or a class depends on from the object itself.

Both the fingerprint and the pickler ask here, so that they agree on what belongs to a function.
"""

import abc
import builtins
import contextlib
import dis
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.bundle.shaded import cloudpickle
from flyte_nb.sdk.callee import Callee

_IMPORT_NAME = dis.opmap["IMPORT_NAME"]
_WRITES = "STORE_GLOBAL"
_OF_IPYTHON = frozenset({"get_ipython", "__IPYTHON__"})
"""Built-in names that IPython adds and that do not exist where a task runs."""
_EVERYWHERE = frozenset({"display"})
"""Built-in names that IPython adds and that a worker provides too (`worker/notebook_names.py`)."""
_REPLACED = frozenset({"open", "exit", "quit"})
"""Built-in functions that IPython replaces by its own among a notebook's globals."""
_GLOBALS = frozenset(dis.opmap[f"{verb}_GLOBAL"] for verb in ("LOAD", "STORE", "DELETE"))

_dispatcher: Any = functools.singledispatch(lambda value: None)
_DISPATCHER: CodeType = _dispatcher.__code__
"""The one code object that all functions of `functools.singledispatch` share."""

EMPTY = object()
"""Stands for the content of a closure's cell that has none."""


class Dependency(NamedTuple):
    """One value that a function uses."""

    kind: str
    """`global`, `default` or `captured`."""
    name: str
    value: object


def innermost_function(entity: Callee) -> FunctionType:
    """Return the author's own function, inside of everything that decorators put around it."""
    function: Any = entity.function
    # A decorator from functools.wraps, or one that returns a partial, leaves the author's function below.
    while not isinstance(function, FunctionType):
        function = function.__wrapped__
    return function


def dependencies(function: FunctionType) -> "Iterator[Dependency]":
    """Yield the globals that `function` uses (in order of use), then its closure, then its defaults."""
    for name, value in used_globals(function).items():
        yield Dependency("global", name, value)
    for name, value in captured(function).items():
        if value is not EMPTY:
            yield Dependency("captured", name, value)
    for name, value in defaults(function).items():
        yield Dependency("default", name, value)


def used_globals(function: FunctionType) -> "dict[str, object]":
    """Return the defined globals that the code, nested code and textual annotations refer to, by name."""
    names: dict[str, None] = {}
    # Disassembling is slow, and most small functions use no global at all.
    if _uses_globals(function.__code__):
        names = cloudpickle()._extract_code_globals(function.__code__)
    # Under `from __future__ import annotations` an annotation is a text that is evaluated where the task
    # runs.
    for annotation in annotations(function).values():
        if isinstance(annotation, str):
            names = {**names, **dict.fromkeys(_names_in(annotation))}
    # A name that is not among the globals is a built-in, or is not defined yet: `undefined_names` reports it.
    known = function.__globals__
    return {
        name: known[name]
        for name in names
        if name in known and not (name in _REPLACED and _is_of_ipython(known[name]))
    }


def modules_named_in(namespace: "dict[str, object]") -> "set[str]":
    """Return names of the modules that a notebook imported or has functions, classes or objects of."""
    found = set()
    for name, value in list(namespace.items()):
        # Names with an underscore are IPython's history and helpers, which say nothing about the author's
        # code.
        if not name.startswith("_"):
            named = isinstance(value, (type, FunctionType))
            home = value if named else type(value)
            module = value.__name__ if isinstance(value, ModuleType) else home.__module__
            found.add(str(module))
    return found


def _is_of_ipython(value: object) -> bool:
    """Return whether IPython or its kernel made the function or object."""
    namespace = getattr(value, "__globals__", {"__name__": type(value).__module__})
    return str(namespace.get("__name__")).startswith(("IPython.", "ipykernel."))


def undefined_names(functions: "Iterable[FunctionType]") -> "dict[str, FunctionType]":
    """Return names that the functions use and that are defined nowhere, each with a function that uses it.

    A built-in name that only IPython adds counts as undefined, because it is missing where a task runs.
    """
    found: dict[str, FunctionType] = {}
    several = [function for function in functions if _uses_globals(function.__code__)]
    for function in several:
        for name in cloudpickle()._extract_code_globals(function.__code__):
            known = name in function.__globals__ or hasattr(builtins, name) or name in _EVERYWHERE
            if not known or name in _OF_IPYTHON - function.__globals__.keys():
                found.setdefault(name, function)
    # A global that one of the functions assigns is defined by the time that another one reads it.
    if found:
        for function in several:
            for name in _written_globals(function.__code__):
                found.pop(name, None)
    return found


def _written_globals(code: CodeType) -> "set[str]":
    """Return names of globals that the code, or code nested in it, assigns."""
    found = {str(each.argval) for each in dis.get_instructions(code) if each.opname == _WRITES}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= _written_globals(const)
    return found


def _uses_globals(code: CodeType) -> bool:
    """Return whether the code, or code nested in it, may refer to globals.

    `True` may be wrong, `False` never is.
    """
    # Bytecode is pairs of an opcode and an argument. Only the opcodes are looked at, but inline caches are
    # among them, so a cache entry may look like the opcode of a global.
    if code.co_names and not _GLOBALS.isdisjoint(code.co_code[::2]):
        return True
    return any(_uses_globals(const) for const in code.co_consts if isinstance(const, CodeType))


def is_dispatcher(function: FunctionType) -> bool:
    """Return whether `functools.singledispatch` made the function."""
    return function.__code__ is _DISPATCHER


def choices(dispatcher: Any) -> "list[tuple[type, object]]":
    """Return the implementations of a function of `functools.singledispatch`, with their classes."""
    return list(dispatcher.registry.items())


LOCKING_DESCRIPTORS = (functools.cached_property, functools.singledispatchmethod)
"""Descriptors around a method that also hold a lock or a cache, which can be neither pickled nor digested."""


def around_method(descriptor: Any) -> "tuple[object, dict[str, object]]":
    """Return the method that one of `LOCKING_DESCRIPTORS` wraps, and its attributes without the lock."""
    kept = ("attrname", "dispatcher", "__doc__")
    return descriptor.func, {
        name: value for name, value in vars(descriptor).items() if name in kept
    }


_DESCRIPTORS: "tuple[type[object], ...]" = (
    property,
    staticmethod,
    classmethod,
    *LOCKING_DESCRIPTORS,
)


class DerivedDescriptor(NamedTuple):
    """The ingredients of an object whose class derives from a built-in descriptor."""

    base: "type[object]"
    """The built-in descriptor."""
    arguments: "tuple[object, ...]"
    """The arguments of the built-in descriptor's constructor."""
    attributes: "dict[str, object]"
    """The attributes that the subclass added."""


def derived_descriptor(value: Any) -> "DerivedDescriptor | None":
    """Return the ingredients of a value whose class derives from `property`, `staticmethod` or the like.

    Returns `None` for any other value, also for a plain `property` or `staticmethod`.
    """
    base = next((kind for kind in _DESCRIPTORS if isinstance(value, kind)), None)
    # A plain `property` is handled by cloudpickle itself, and its own rules apply.
    if base is None or type(value) is base:
        return None
    if base is property:
        arguments: tuple[object, ...] = (value.fget, value.fset, value.fdel)
    elif base in LOCKING_DESCRIPTORS:
        arguments = (value.func,)
    else:
        arguments = (value.__func__,)
    own = {name: item for name, item in _own_attributes(value).items() if name not in _LOCKS}
    # The built-in constructor copies attributes from the function that it wraps. They are not the
    # subclass's own, and are there again when the descriptor is rebuilt.
    wrapped = getattr(arguments[0], "__dict__", {})
    copied = ("__module__", "__name__", "__qualname__", "__annotations__", "__wrapped__", "func")
    own = {
        name: item
        for name, item in own.items()
        if name not in copied and not (name in wrapped and wrapped[name] is item)
    }
    return DerivedDescriptor(base, arguments, own)


_LOCKS = frozenset({"lock", "_method_cache"})


def _own_attributes(value: object) -> "dict[str, object]":
    found = dict(getattr(value, "__dict__", {}))
    # Slots are declared a class at a time; a name may be declared and never set.
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
"""Types of the objects that functions of `contextlib.contextmanager` return. They also decorate functions."""


def context_manager(value: Any) -> "tuple[object, ...] | None":
    """Return the function and arguments that made a `CONTEXT_MANAGERS` object.

    Returns `None` for any other value, and for one that was entered: it holds a running generator.
    """
    if type(value) not in CONTEXT_MANAGERS or not hasattr(value, "func"):
        return None
    return value.func, value.args, value.kwds


def registered(cls: type) -> "list[type]":
    """Return the classes that were registered with an abstract class, sorted by name."""
    if not isinstance(cls, abc.ABCMeta):
        return []
    # Python keeps weak references, and has no public way to list them.
    known = (reference() for reference in abc._get_dump(cls)[0])  # type: ignore[attr-defined]
    alive = [each for each in known if each is not None]
    return sorted(alive, key=lambda each: (each.__module__, each.__qualname__))


def captured(function: FunctionType) -> "dict[str, object]":
    """Return the closure's variables by name; of a dispatcher, its implementations."""
    if is_dispatcher(function):
        return {f"registry[{cls.__qualname__}]": chosen for cls, chosen in choices(function)}
    cells = function.__closure__ or ()
    return {
        name: _content(cell)
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True)
    }


def defaults(function: FunctionType) -> "dict[str, object]":
    """Return the parameters' default values by name."""
    code = function.__code__
    given = function.__defaults__ or ()
    # Defaults belong to the last positional parameters; those of keyword-only ones are in a dict of their
    # own.
    positional = code.co_varnames[: code.co_argcount]
    found = dict(zip(positional[len(positional) - len(given) :], given, strict=True))
    found.update(function.__kwdefaults__ or {})
    return found


def annotations(function: FunctionType) -> "dict[str, object]":
    """Return the annotations as they are, also when they are texts."""
    found: dict[str, object] = function.__annotations__
    return found


def imported_names(code: CodeType) -> "set[str]":
    """Return top-level names of the modules that `code` imports when it runs."""
    found = set()
    if _IMPORT_NAME in code.co_code[::2]:  # disassembling is slow, so look for the opcode first
        for instruction in dis.get_instructions(code):
            if instruction.opname == "IMPORT_NAME" and instruction.argval:
                found.add(str(instruction.argval).partition(".")[0])
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= imported_names(const)
    return found


def submodules(
    function: FunctionType, globals_used: "Mapping[str, object] | None" = None
) -> "list[ModuleType]":
    """Return the imported submodules that the function reaches through a package, e.g. `xml.dom`.

    `import xml.dom` binds only `xml`; the worker has to import `xml.dom` as well. The submodules are found
    from the names in the function's code, because looking through all modules of a process (as cloudpickle
    does) takes as long as pickling a task.

    Args:
        function: the function.
        globals_used: the result of `used_globals`, when the caller has it already.

    Returns:
        modules, sorted by name.
    """
    known = used_globals(function) if globals_used is None else globals_used
    names = function.__code__.co_names
    found: dict[str, ModuleType] = {}
    waiting = [
        value.__name__
        for value in (*known.values(), *captured(function).values())
        if isinstance(value, ModuleType) and getattr(value, "__package__", None)
    ]
    # `a.b.c` in the source is the name `a` and then the attributes `b` and `c`. The code keeps the names
    # without their order, so each known prefix is tried with each name.
    while waiting:
        prefix = waiting.pop()
        for name in names:
            full = f"{prefix}.{name}"
            module = sys.modules.get(full)
            if module is not None and full not in found:
                found[full] = module
                waiting.append(full)
    return sorted(found.values(), key=lambda module: module.__name__)


def is_builtin(value: object) -> bool:
    """Return whether `value` is the builtin of its name."""
    name = getattr(value, "__name__", "")
    return bool(name) and getattr(builtins, name, None) is value


def line_of_use(function: FunctionType, name: str) -> int:
    """Return the first line on which `function` mentions `name`, or its first line when it does not."""
    return _line_of_use(function.__code__, name) or function.__code__.co_firstlineno


def _line_of_use(code: CodeType, name: str) -> int:
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        started = instruction.starts_line
        # There `starts_line` became a truth value, and the number moved.
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


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY
