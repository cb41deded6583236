"""What payloads call when they are unpickled: functions, cells, modules and tasks.

Append-only, for old bundles carry their own copy but values that travel between tasks of different
releases name these functions. Plain functions need nothing else: cloudpickle is loaded for classes
defined in cells only, which saves 20 ms of every other attempt.
"""

import sys
from importlib import import_module
from types import CellType, CodeType, FunctionType
from typing import Any


def code(*parts: Any) -> CodeType:
    """A code object from the parts that `bundle` took it into."""
    return CodeType(*parts)


def function(code: CodeType, namespace: "dict[str, Any]", cells: int) -> FunctionType:
    """A function without state yet, so that functions may refer to themselves and each other."""
    namespace["__builtins__"] = sys.modules["builtins"]
    closure = tuple(CellType() for _ in range(cells)) if cells else None
    return FunctionType(code, namespace, code.co_name, None, closure)


def fill(made: FunctionType, state: "tuple[dict[str, Any], dict[str, Any]]") -> None:
    """Give `made` its attributes, the globals it uses, and its closure."""
    attributes, slots = state
    made.__dict__.update(attributes)
    made.__globals__.update(slots.pop("__globals__"))
    closure = slots.pop("__closure__")
    slots.pop("__submodules__")  # importing them was their purpose
    for own, given in zip(made.__closure__ or (), closure or (), strict=True):
        try:
            own.cell_contents = given.cell_contents
        except ValueError:  # an empty cell
            continue
    for name, value in slots.items():
        setattr(made, name, value)


def cell(*content: Any) -> CellType:
    """A closure's cell; empty without content."""
    return CellType(*content)


def module(name: str) -> Any:
    """The module of that name, imported."""
    return import_module(name)


def attribute(module_name: str, path: str) -> Any:
    """What `path` names in the module, e.g. a task that an installed package defines."""
    found: Any = import_module(module_name)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def task(function: Any, output_names: "tuple[str, ...]") -> Any:
    """The task around `function`; its other options are the template's, not the code's."""
    from flyte_nb.sdk.task import Task, TaskOptions

    return Task(function, TaskOptions(output_names=output_names))


def task_with_options(function: Any, options: "dict[str, Any]") -> Any:
    """The task around `function` with its options: what a dynamic task calls becomes a node there."""
    from flyte_nb.sdk.task import Task, TaskOptions

    return Task(function, TaskOptions(**options))


def cached(function: Any, maxsize: "int | None", typed: bool) -> Any:
    """What `functools.lru_cache` made of `function`; with nothing in its cache yet."""
    from functools import lru_cache

    return lru_cache(maxsize, typed)(function)


def from_typing(kind: str, name: str, *said: Any) -> Any:
    """A type variable, new type or alias of `typing`, from what `bundle` took it into.

    `said` is what it was made of, and last the module that it belongs to.
    """
    import typing

    make = getattr(typing, kind)
    *parts, module_name = said
    if kind == "NewType":
        made = make(name, *parts)
    elif kind == "TypeAliasType":
        value, parameters = parts
        made = make(name, value, type_params=tuple(parameters))
    else:
        options = dict(parts[0])
        constraints = options.pop("constraints", ())
        made = make(name, *constraints, **options)
    try:
        made.__module__ = module_name
    except AttributeError:  # an alias says where it was made, and nothing else
        pass
    return made


def dispatcher() -> Any:
    """What `functools.singledispatch` makes, with nothing to choose from yet."""
    from functools import singledispatch

    return singledispatch(lambda value: None)


def fill_dispatcher(made: Any, state: "tuple[list[tuple[type, Any]], dict[str, Any]]") -> None:
    """Give `made` the functions it chooses from, by class, and its attributes."""
    from functools import update_wrapper

    choices, attributes = state
    for cls, chosen in choices:
        made.register(cls, chosen)
    update_wrapper(made, dict(choices)[object])
    made.__dict__.update(attributes)


def descriptor(cls: Any, base: Any, arguments: "tuple[Any, ...]") -> Any:
    """An object of `cls`, a subclass of `property`, `staticmethod` or the like, which is `base`."""
    made = base.__new__(cls)
    base.__init__(made, *arguments)
    return made


def fill_descriptor(made: Any, attributes: "dict[str, Any]") -> None:
    """Give `made` what its class added."""
    for name, value in attributes.items():
        try:
            object.__setattr__(made, name, value)
        except AttributeError:  # what the built-in class itself keeps
            continue
