"""How functions, classes, entities and modules are taken apart for a payload.

What would differ between kernels is normalised here: the file names of code, the order of sets among
constants and globals, and cloudpickle's random ids of classes. Functions, cells and modules are
rebuilt by `flyte_nb.worker.rebuild`, so that cloudpickle itself is needed for classes only.
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
"""Options that an attempt asks for."""

_DISPATCHING = frozenset({"registry", "dispatch", "register", "_clear_cache", "__wrapped__"})
"""Attributes of a function of `functools.singledispatch` that it is made with."""

OUT_OF_BAND_BYTES = 256 << 10
"""A smaller buffer stays in the payload; a request for each would cost more than it saves."""


class Reductions:
    """The reductions of one payload.

    Args:
        references: what travels by reference.
        fingerprinter: gives classes an id that follows from their content.
        sources: collects the lines of the functions that travel.
        with_options: whether tasks keep their options. Those of the task that is packed are in its
            template; those of tasks that a dynamic one calls are nowhere else.
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
        self._namespaces: dict[int, dict[str, Any]] = {}
        self._classes: dict[str, Any] = {}
        """Classes and type variables that have a name by their content, by that name."""

    def table(self) -> "dict[type, Any]":
        """Reductions by exact type."""
        return {
            CodeType: self._code,
            CellType: _cell,
            ModuleType: self._module,
            **dict.fromkeys(generics.KINDS, self._generic),
            TypeVar: self._type_variable,
            io.TextIOWrapper: self._file,
            **dict.fromkeys(code_of.LOCKING_DESCRIPTORS, _around_method),
        }

    def of(self, value: Any) -> Any:
        """The reduction of `value`; `NotImplemented` when its type's own will do."""
        if id(value) in self._references.installed:
            return NotImplemented
        if isinstance(value, FunctionType):
            if self._references.by_reference(value):
                return NotImplemented
            return self._function(value)
        if isinstance(value, Callee):
            return self._entity(value)
        if isinstance(value, CACHED):
            return self._cached(value)
        if issubclass(
            type(value), type
        ):  # Python 3.10 also takes list[int] for an instance of type
            return self._class(value)
        return self._rare(value)

    def _rare(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            return NotImplemented if type(value) is ModuleType else self._other_module(value)
        derived = code_of.derived_descriptor(value)
        if derived is not None:
            made = (type(value), derived.base, derived.arguments)
            state = derived.attributes
            return rebuild.descriptor, made, state, None, None, rebuild.fill_descriptor
        made_by = code_of.context_manager(value)
        return NotImplemented if made_by is None else (type(value), made_by)

    def _entity(self, entity: Callee) -> Any:
        path = self._references.entity_path(entity)
        if path is not None:
            return rebuild.attribute, path
        if type(entity) is not Task:
            return NotImplemented
        said = _said(entity.options)
        if not self._with_options:
            said = {name: said[name] for name in _NEEDED if name in said}
        if said.keys() <= {"output_names"}:
            return rebuild.task, (entity.function, entity.options.output_names)
        return rebuild.task_with_options, (entity.function, said)

    def _function(self, function: FunctionType) -> Any:
        if code_of.is_dispatcher(function):
            own = {
                name: value for name, value in vars(function).items() if name not in _DISPATCHING
            }
            state: Any = (code_of.choices(function), own)
            return rebuild.dispatcher, (), state, None, None, rebuild.fill_dispatcher
        code = function.__code__
        self._sources.add(code)
        namespace = self._namespaces.setdefault(
            id(function.__globals__),
            {
                name: function.__globals__[name]
                for name in ("__name__", "__package__")
                if name in function.__globals__
            },
        )
        used = code_of.used_globals(function)
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

    def _cached(self, function: Any) -> Any:
        path = self._references.cached_path(function)
        if path is not None:
            return rebuild.attribute, path
        known = function.cache_parameters()
        return rebuild.cached, (function.__wrapped__, known["maxsize"], known["typed"])

    def _code(self, code: CodeType) -> Any:
        return rebuild.code, _code_parts(code, self._sources.stable_name(code.co_filename))

    def _module(self, module: ModuleType) -> Any:
        if module is sys.modules.get(MAIN_MODULE):
            raise TypeError("cannot pickle the notebook itself, the module __main__")
        if self._references.importable(module.__name__):
            return rebuild.module, (module.__name__,)
        return self._base._module_reduce(module)

    def _other_module(self, module: ModuleType) -> Any:
        """A module of a class of its own, as those of `six.moves` are: by its name, or not at all."""
        name = module.__name__
        if self._references.importable(name) and _is_found(name, module):
            return rebuild.module, (name,)
        raise TypeError(
            f"cannot pickle the module {name!r}: it is an object of the class"
            f" {type(module).__module__}.{type(module).__qualname__}, and no import finds it by this name"
        )

    def _class(self, cls: type) -> Any:
        base = self._base
        reduced = base._class_reduce(cls)
        if reduced is NotImplemented:  # cloudpickle finds it by its name; would the worker?
            if self._references.by_reference(cls):
                return NotImplemented
            reduced = base._dynamic_class_reduce(cls)
        if len(reduced) < 6:  # a built-in type
            return reduced
        make, _, (members, slots), *rest = reduced
        self._name_class(cls, self._class_name(cls))
        again = base._dynamic_class_reduce(cls)  # now with its stable id
        if "_abc_impl" in members:  # cloudpickle has them in the order of their addresses
            members["_abc_impl"] = code_of.registered(cls)
        return make, again[1], (_ordered_values(members), slots), *rest

    def _class_name(self, cls: type) -> str:
        """Follows from its content. Equal classes are still several, as what a function made twice."""
        return self._distinct(cls, self._fingerprinter.class_digest(cls)[:32])

    def _distinct(self, cls: Any, digest: str) -> str:
        name, number = digest, 1
        while self._classes.setdefault(name, cls) is not cls:
            number += 1
            name = f"{digest}-{number}"
        return name

    def _file(self, file: Any) -> Any:
        """The streams of every process by name; cloudpickle would send the content of any other."""
        if file in (sys.stdin, sys.stdout, sys.stderr):
            return self._base._file_reduce(file)
        raise TypeError(f"cannot pickle the open file {file.name!r}")

    def _generic(self, value: Any) -> Any:
        found = self._references.generic_path(value)
        return generics.reduction(value) if found is None else (rebuild.attribute, found)

    def _type_variable(self, variable: TypeVar) -> Any:
        said = [variable.__name__, str(variable.__bound__)]
        if variable.__constraints__ or variable.__covariant__ or variable.__contravariant__:
            said += [str(variable.__constraints__), str(variable)]
        digest = self._fingerprinter.measure(said).digest
        self._name_class(variable, self._distinct(variable, digest[:32]))
        return self._base._typevar_reduce(variable)

    def _name_class(self, cls: Any, name: str) -> None:
        """Let cloudpickle know `cls` by a name that follows from its content.

        So a value that comes back from a worker is an instance of the class that the notebook
        has; which stays as it is, for it is known to be whole.
        """
        self._base._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls] = name
        self._base._DYNAMIC_CLASS_TRACKER_BY_ID[name] = cls
        self._base._FLYTE_NB_FILLED.add(cls)


def _is_found(name: str, module: ModuleType) -> bool:
    try:
        return import_module(name) is module
    except Exception:  # noqa: BLE001 - importing runs code of any module
        return False


def _said(options: TaskOptions) -> "dict[str, Any]":
    """The options that are not the defaults."""
    defaults = TaskOptions._field_defaults
    return {name: value for name, value in options._asdict().items() if value != defaults.get(name)}


class _Ordered:
    """A set that is pickled in an order of its own."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __reduce__(self) -> "tuple[Any, ...]":
        return type(self._values), (sorted(self._values, key=_sort_key),)


class _Large:
    """Bytes that leave the stream, as arrays do."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __reduce__(self) -> "tuple[Any, ...]":
        return type(self._data), (pickle.PickleBuffer(self._data),)


def _ordered(value: Any) -> Any:
    kind = type(value)
    if kind is set or kind is frozenset:
        return _Ordered(value)
    if (kind is bytes or kind is bytearray) and len(value) >= OUT_OF_BAND_BYTES:
        return _Large(value)
    return value


def _ordered_values(values: "dict[str, Any] | None") -> "dict[str, Any] | None":
    if values is None:
        return None
    return {_fresh(name): _ordered(value) for name, value in values.items()}


def _ordered_all(values: "tuple[Any, ...] | None") -> "tuple[Any, ...] | None":
    return None if values is None else tuple(_ordered(value) for value in values)


def _sort_key(value: Any) -> "tuple[str, str]":
    # Nested sets have no order of their own; anything with an address in its repr keeps the order
    # of the run, and the fingerprint, not the payload, says whether it changed.
    if isinstance(value, frozenset):
        return "frozenset", repr(sorted(map(_sort_key, value)))
    return type(value).__qualname__, repr(value)


def _around_method(descriptor: Any) -> Any:
    method, state = code_of.around_method(descriptor)
    return type(descriptor), (method,), state


def _cell(cell: CellType) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:
        return rebuild.cell, ()
    return rebuild.cell, (_ordered(content),)


def _code_parts(code: CodeType, filename: str) -> "tuple[Any, ...]":
    consts = tuple(_ordered(const) for const in code.co_consts)
    parts: list[Any] = [
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
    """A copy of the text: whether two names are one object must not show in the bytes."""
    return "".join(list(text)) if len(text) > 1 else text
