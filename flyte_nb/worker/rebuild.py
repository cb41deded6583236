"""Functions that payloads call when they are unpickled: they rebuild functions, cells, modules and tasks.

`bundle` takes such objects apart and writes calls of these functions. Names and parameters are append-only:
a bundle carries its own copy of this file, but values that travel between tasks of different releases name
these functions too. cloudpickle is loaded for classes that are defined in cells only, which saves 20 ms of
every other attempt. For the same reason imports of what few payloads need are inside the functions.
"""

import sys
from importlib import import_module
from types import CellType, CodeType, FunctionType
from typing import Any


def code(*parts: Any) -> CodeType:
    """Return a code object made of its parts."""
    return CodeType(*parts)


def function(code: CodeType, namespace: "dict[str, Any]", cells: int) -> FunctionType:
    """Return a function without globals and closure yet.

    `fill` sets them later, so that functions can refer to themselves and to each other.

    Args:
        code: its code.
        namespace: its globals, shared by the functions of one module.
        cells: the number of cells in its closure.
    """
    # Every module's globals have this entry. It belongs to the interpreter, so a bundle cannot carry it.
    namespace["__builtins__"] = sys.modules["builtins"]
    closure = tuple(CellType() for _ in range(cells)) if cells else None
    return FunctionType(code, namespace, code.co_name, None, closure)


def fill(made: FunctionType, state: "tuple[dict[str, Any], dict[str, Any]]") -> None:
    """Give `made` its attributes, the globals it uses, and its closure."""
    attributes, slots = state
    made.__dict__.update(attributes)
    # Functions of one module share their globals, so each adds the names that it uses.
    made.__globals__.update(slots.pop("__globals__"))
    closure = slots.pop("__closure__")
    slots.pop("__submodules__")  # unpickling the list has imported them
    # The cells were made empty, because they may contain the function itself.
    for own, given in zip(made.__closure__ or (), closure or (), strict=True):
        try:
            own.cell_contents = given.cell_contents
        except ValueError:  # an empty cell stays empty
            continue
    for name, value in slots.items():
        setattr(made, name, value)


def cell(*content: Any) -> CellType:
    """Return a closure's cell with the content; without content it is empty."""
    return CellType(*content)


def module(name: str) -> Any:
    """Import the module of that name and return it."""
    return import_module(name)


def attribute(module_name: str, path: str) -> Any:
    """Return the object that `path` names in the module, e.g. a task of an installed package."""
    found: Any = import_module(module_name)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def task(function: Any, output_names: "tuple[str, ...]") -> Any:
    """Return the task around `function`. Its other options are in its template and not in its code."""
    from flyte_nb.sdk.task import Task, TaskOptions

    return Task(function, TaskOptions(output_names=output_names))


def task_with_options(function: Any, options: "dict[str, Any]") -> Any:
    """Return the task around `function` with its options.

    A dynamic task's body creates nodes of such tasks, and nodes need the options.
    """
    from flyte_nb.sdk.task import Task, TaskOptions

    return Task(function, TaskOptions(**options))


def cached(function: Any, maxsize: "int | None", typed: bool) -> Any:
    """Return `function` wrapped by `functools.lru_cache`, with an empty cache."""
    from functools import lru_cache

    return lru_cache(maxsize, typed)(function)


def from_typing(kind: str, name: str, *given: Any) -> Any:
    """Return a type variable, new type or type alias.

    Args:
        kind: the name of its class in `typing`, e.g. `NewType`.
        name: its own name.
        *given: the arguments that it was made of, and last the name of its module.
    """
    import typing

    make = getattr(typing, kind)
    *parts, module_name = given
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
        # `typing` notes the module of its caller, which is this file.
        made.__module__ = module_name
    except AttributeError:  # the module of an alias cannot be set
        pass
    return made


def dispatcher() -> Any:
    """Return an empty `functools.singledispatch` function, which `fill_dispatcher` fills."""
    from functools import singledispatch

    return singledispatch(lambda value: None)


def fill_dispatcher(made: Any, state: "tuple[list[tuple[type, Any]], dict[str, Any]]") -> None:
    """Give `made` its functions by class, and its attributes."""
    from functools import update_wrapper

    choices, attributes = state
    for cls, chosen in choices:
        made.register(cls, chosen)
    # singledispatch took the name and the docstring of the placeholder that `dispatcher` gave it.
    update_wrapper(made, dict(choices)[object])
    made.__dict__.update(attributes)


def descriptor(cls: Any, base: Any, arguments: "tuple[Any, ...]") -> Any:
    """Return an object of `cls`, a subclass of `base`, which is `property`, `staticmethod` or the like."""
    # Past the subclass's own constructor, whose parameters are unknown here.
    made = base.__new__(cls)
    base.__init__(made, *arguments)
    return made


def fill_descriptor(made: Any, attributes: "dict[str, Any]") -> None:
    """Give `made` the attributes that it has beyond those of its built-in base."""
    for name, value in attributes.items():
        try:
            # Past the subclass's own `__setattr__`, which may expect a complete object.
            object.__setattr__(made, name, value)
        except AttributeError:  # an attribute that the built-in base sets itself
            continue
