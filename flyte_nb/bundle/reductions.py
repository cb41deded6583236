"""Take functions, classes, entities and modules apart for a payload.

A *reduction* is pickle's word for a callable and its arguments that make a value again. The reductions here
remove what differs between kernels although the code is equal: the file names of code, the order of sets
among constants and globals, whether two equal names are one object, and cloudpickle's random ids of
classes.

`flyte_nb.worker.rebuild` makes functions, cells and modules again in the worker. cloudpickle itself is
needed there for classes only, so most tasks load without it.
"""

import io
import pickle
import sys
from importlib import import_module
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, TypeVar

from flyte_nb.api.identifiers import MAIN_MODULE
from flyte_nb.bundle import code as code_of
from flyte_nb.bundle import generics
from flyte_nb.bundle.by_reference import CACHED, References
from flyte_nb.bundle.fingerprint import Fingerprinter
from flyte_nb.bundle.shaded import cloudpickle
from flyte_nb.bundle.source_names import Sources
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.task import Task, TaskOptions
from flyte_nb.worker import rebuild

_NEEDED = ("output_names", "enable_deck", "deck_fields")
"""The options that running an attempt needs."""

_DISPATCHING = frozenset({"registry", "dispatch", "register", "_clear_cache", "__wrapped__"})
"""Attributes that `functools.singledispatch` gives every function that it makes."""

OUT_OF_BAND_BYTES = 256 << 10
"""A smaller buffer stays in the payload, because a request for it would cost more than it saves."""


class Reductions:
    """Makes the reductions of one payload.

    Args:
        references: decides what travels by reference.
        fingerprinter: digests classes, so that they get an id that follows from their content.
        sources: collects the lines of the functions that travel.
        with_options: whether tasks keep all their options. The options of the packed task are in its
            template. The options of a task that a dynamic task calls are only in the payload.
    """

    def __init__(
        self,
        references: References,
        fingerprinter: Fingerprinter,
        sources: Sources,
        *,
        with_options: bool,
    ) -> None:
        self._references = references
        self._fingerprinter = fingerprinter
        self._sources = sources
        self._with_options = with_options
        self._base = cloudpickle()
        self._namespaces: dict[int, dict[str, object]] = {}
        self._classes: dict[str, object] = {}
        """Classes and type variables, by the name that follows from their content."""

    def table(self) -> "dict[type, object]":
        """Return the reductions for exact types, which pickle uses when `of` gives `NotImplemented`."""
        return {
            CodeType: self._code,
            CellType: _cell,
            ModuleType: self._module,
            **dict.fromkeys(generics.KINDS, self._generic),
            TypeVar: self._type_variable,
            io.TextIOWrapper: self._file,
            **dict.fromkeys(code_of.LOCKING_DESCRIPTORS, _around_method),
        }

    def of(self, value: Any) -> object:
        """Return the reduction of `value`, or `NotImplemented` to let pickle do what it does by default.

        Raises:
            TypeError: when the value cannot be pickled, e.g. an open file.
        """
        # First, because most values of most payloads are functions and classes of installed modules.
        if id(value) in self._references.installed:
            return NotImplemented
        # `NotImplemented` for a function or class means: pickle writes its module and name.
        if isinstance(value, FunctionType):
            if self._references.by_reference(value):
                return NotImplemented
            return self._function(value)
        if isinstance(value, Callee):
            return self._entity(value)
        if isinstance(value, CACHED):
            return self._cached(value)
        # Not `isinstance(value, type)`: Python 3.10 says that list[int] is an instance of type.
        if issubclass(type(value), type):
            return self._class(value)
        return self._rare(value)

    def _rare(self, value: object) -> object:
        if isinstance(value, ModuleType):
            return NotImplemented if type(value) is ModuleType else self._other_module(value)
        derived = code_of.derived_descriptor(value)
        if derived is not None:
            made = (type(value), derived.base, derived.arguments)
            state = derived.attributes
            return rebuild.descriptor, made, state, None, None, rebuild.fill_descriptor
        made_by = code_of.context_manager(value)
        return NotImplemented if made_by is None else (type(value), made_by)

    def _entity(self, entity: Callee) -> object:
        path = self._references.entity_path(entity)
        if path is not None:
            return rebuild.attribute, path
        # Only plain tasks have a rebuild of their own. Maps and the like have their `__reduce__`.
        if type(entity) is not Task:
            return NotImplemented
        options = _changed_options(entity.options)
        if not self._with_options:
            options = {name: options[name] for name in _NEEDED if name in options}
        if options.keys() <= {"output_names"}:
            return rebuild.task, (entity.function, entity.options.output_names)
        return rebuild.task_with_options, (entity.function, options)

    def _function(self, function: FunctionType) -> object:
        if code_of.is_dispatcher(function):
            own = {
                name: value for name, value in vars(function).items() if name not in _DISPATCHING
            }
            state: object = (code_of.choices(function), own)
            return rebuild.dispatcher, (), state, None, None, rebuild.fill_dispatcher
        code = function.__code__
        self._sources.add(code)
        # Functions that shared their globals share them in the worker too: one dict for each namespace,
        # and each function adds the globals that it uses.
        namespace = self._namespaces.setdefault(
            id(function.__globals__),
            {
                name: function.__globals__[name]
                for name in ("__name__", "__package__")
                if name in function.__globals__
            },
        )
        used = code_of.used_globals(function)
        # The function is made in two steps, code first and these slots after it, so that a function may
        # refer to itself through its globals, its closure or its defaults.
        slots = {
            "__name__": _fresh(function.__name__),
            "__qualname__": _fresh(function.__qualname__),
            "__annotations__": function.__annotations__,
            "__kwdefaults__": _ordered_values(function.__kwdefaults__),
            "__defaults__": _ordered_all(function.__defaults__),
            "__module__": function.__module__,
            "__doc__": function.__doc__,
            "__closure__": function.__closure__,
            "__submodules__": code_of.submodules(function, used),
            "__globals__": _ordered_values(used),
        }
        state = (_ordered_values(vars(function)), slots)
        made = (code, namespace, len(code.co_freevars))
        return rebuild.function, made, state, None, None, rebuild.fill

    def _cached(self, function: Any) -> object:
        path = self._references.cached_path(function)
        if path is not None:
            return rebuild.attribute, path
        known = function.cache_parameters()
        return rebuild.cached, (function.__wrapped__, known["maxsize"], known["typed"])

    def _code(self, code: CodeType) -> object:
        return rebuild.code, _code_parts(code, self._sources.stable_name(code.co_filename))

    def _module(self, module: ModuleType) -> object:
        if module is sys.modules.get(MAIN_MODULE):
            raise TypeError("cannot pickle the notebook itself, the module __main__")
        if self._references.importable(module.__name__):
            return rebuild.module, (module.__name__,)
        return self._base._module_reduce(module)

    def _other_module(self, module: ModuleType) -> object:
        """Return the reduction of a module whose class derives from `ModuleType`, as in `six.moves`.

        Raises:
            TypeError: when no import finds the module by its name.
        """
        name = module.__name__
        if self._references.importable(name) and _is_found(name, module):
            return rebuild.module, (name,)
        raise TypeError(
            f"cannot pickle the module {name!r}: it is an object of the class"
            f" {type(module).__module__}.{type(module).__qualname__}, and no import finds it by this name"
        )

    def _class(self, cls: type) -> object:
        base = self._base
        reduced = base._class_reduce(cls)
        # cloudpickle finds the class by its name here. That does not mean that the worker does.
        if reduced is NotImplemented:
            if self._references.by_reference(cls):
                return NotImplemented
            reduced = base._dynamic_class_reduce(cls)
        if len(reduced) < 6:  # a built-in type
            return reduced
        # cloudpickle gives a class a random id, by which the unpickling side knows it again. A random id
        # would change the payload every time, so the class gets one from its content before.
        make, _, (members, slots), *rest = reduced
        self._name_class(cls, self._class_name(cls))
        again = base._dynamic_class_reduce(cls)  # this time with the stable id
        if "_abc_impl" in members:  # cloudpickle sorts registered classes by their addresses
            members["_abc_impl"] = code_of.registered(cls)
        return make, again[1], (_ordered_values(members), slots), *rest

    def _class_name(self, cls: type) -> str:
        """Return a name that follows from the class's content and that no other class has."""
        return self._distinct(cls, self._fingerprinter.class_digest(cls)[:32])

    def _distinct(self, cls: object, digest: str) -> str:
        # Two classes may be equal and still be two, e.g. when a function that defines one is called twice.
        name, number = digest, 1
        while self._classes.setdefault(name, cls) is not cls:
            number += 1
            name = f"{digest}-{number}"
        return name

    def _file(self, file: io.TextIOWrapper) -> object:
        """Return the reduction of a standard stream, by its name.

        Raises:
            TypeError: for any other file. cloudpickle would read it and send its content.
        """
        if file in (sys.stdin, sys.stdout, sys.stderr):
            return self._base._file_reduce(file)
        raise TypeError(f"cannot pickle the open file {file.name!r}")

    def _generic(self, value: object) -> object:
        found = self._references.generic_path(value)
        return generics.reduction(value) if found is None else (rebuild.attribute, found)

    def _type_variable(self, variable: TypeVar) -> object:
        described = [variable.__name__, str(variable.__bound__)]
        if variable.__constraints__ or variable.__covariant__ or variable.__contravariant__:
            described += [str(variable.__constraints__), str(variable)]
        digest = self._fingerprinter.measure(described).digest
        self._name_class(variable, self._distinct(variable, digest[:32]))
        return self._base._typevar_reduce(variable)

    def _name_class(self, cls: object, name: str) -> None:
        """Register `cls` with cloudpickle by a name that follows from its content.

        So a value that comes back from a worker becomes an instance of the notebook's own class. The class
        is also marked as complete, so that unpickling does not fill in its members again.
        """
        self._base._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls] = name
        self._base._DYNAMIC_CLASS_TRACKER_BY_ID[name] = cls
        self._base._FLYTE_NB_FILLED.add(cls)


def _is_found(name: str, module: ModuleType) -> bool:
    try:
        return import_module(name) is module
    except Exception:  # noqa: BLE001 - importing runs code of any module
        return False


def _changed_options(options: TaskOptions) -> "dict[str, object]":
    """Return the options that are not the defaults."""
    defaults = TaskOptions._field_defaults
    return {name: value for name, value in options._asdict().items() if value != defaults.get(name)}


class _Ordered:
    """Pickles as a set, with its members sorted."""

    def __init__(self, values: "set[object] | frozenset[object]") -> None:
        self._values = values

    def __reduce__(self) -> "tuple[object, ...]":
        return type(self._values), (sorted(self._values, key=_sort_key),)


class _Large:
    """Pickles as bytes that leave the payload, as the data of arrays does."""

    def __init__(self, data: "bytes | bytearray") -> None:
        self._data = data

    def __reduce__(self) -> "tuple[object, ...]":
        return type(self._data), (pickle.PickleBuffer(self._data),)


def _ordered(value: Any) -> object:
    # Exact types only: a subclass has its own way of being pickled.
    kind = type(value)
    if kind is set or kind is frozenset:
        return _Ordered(value)
    if (kind is bytes or kind is bytearray) and len(value) >= OUT_OF_BAND_BYTES:
        return _Large(value)
    return value


def _ordered_values(values: "dict[str, object] | None") -> "dict[str, object] | None":
    if values is None:
        return None
    return {_fresh(name): _ordered(value) for name, value in values.items()}


def _ordered_all(values: "tuple[object, ...] | None") -> "tuple[object, ...] | None":
    return None if values is None else tuple(_ordered(value) for value in values)


def _sort_key(value: object) -> "tuple[str, str]":
    # Sets inside of sets are sorted as well. Members with an address in their repr come in a different
    # order in each process. That changes the payload's bytes and not the fingerprint.
    if isinstance(value, frozenset):
        return "frozenset", repr(sorted(map(_sort_key, value)))
    return type(value).__qualname__, repr(value)


def _around_method(descriptor: object) -> object:
    method, state = code_of.around_method(descriptor)
    return type(descriptor), (method,), state


def _cell(cell: CellType) -> object:
    try:
        content = cell.cell_contents
    except ValueError:
        return rebuild.cell, ()
    return rebuild.cell, (_ordered(content),)


def _code_parts(code: CodeType, filename: str) -> "tuple[object, ...]":
    """Return the arguments of `CodeType` in their order, which depends on Python's version."""
    consts = tuple(_ordered(const) for const in code.co_consts)
    parts: list[object] = [
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_nlocals,
        code.co_stacksize,
        code.co_flags,
        code.co_code,
        consts,
        tuple(map(_fresh, code.co_names)),
        tuple(map(_fresh, code.co_varnames)),
        filename,
        _fresh(code.co_name),
    ]
    if sys.version_info >= (3, 11):
        parts += [_fresh(code.co_qualname)]
    parts += [code.co_firstlineno, code.co_linetable]
    if sys.version_info >= (3, 11):
        parts += [code.co_exceptiontable]
    parts += [tuple(map(_fresh, code.co_freevars)), tuple(map(_fresh, code.co_cellvars))]
    return tuple(parts)


def _fresh(text: str) -> str:
    """Return a copy of the text.

    Pickle writes a second occurrence of one object as a short reference. Whether two equal names are one
    object depends on the process, so each name is copied and no two are one object. A text of one
    character is one object in every process, and needs no copy.
    """
    return "".join(list(text)) if len(text) > 1 else text
