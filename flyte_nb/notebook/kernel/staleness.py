"""Find entities that still use a definition which a later cell replaced, and the variable that holds it.

A workflow's body looks up its names each time it is traced, so it sees a redefined task without being run
again. Captured objects do not change: an alias, an item of a list, a default, a closure, the workflow of a
launch plan. Tracing finds out *whether* an old definition is used. Searching everything that the body can
reach finds out *through which variable*, and so which cell has to be run again.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from flyte_nb.api.identifiers import MAIN_MODULE
from flyte_nb.api.ports import Entity
from flyte_nb.drafting.names_held import held_names, same_names
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.kinds.map_task import MapTask
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.workflow import Workflow

_MOST_VALUES = 2_000
"""Objects that the search for one holder visits at most: a body can reach large data structures."""
_MISSING = object()
"""Tells a name that does not exist from one that holds `None`."""


class Held(NamedTuple):
    """An entity that uses an earlier definition of another one."""

    user: str
    """The variable that holds the entity."""
    user_entity: Definition
    old: Definition
    """The definition that it still uses."""
    new: Definition
    """The definition that has the name now."""
    holder: str
    """The variable that holds `old`. It is `user` when `old` is in the entity's own closure or defaults."""


class Uses:
    """What workflows refer to. Each is traced again only if a name in its body may mean something else."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Any, ...] | None, tuple[Definition, ...]]] = {}

    def of(
        self, name: str, entity: Entity, trace: "Callable[[Workflow], tuple[Definition, ...]]"
    ) -> "tuple[Definition, ...]":
        """Return the entities that `entity` refers to directly; `name` is the key of the cached answer."""
        if isinstance(entity, LaunchPlan):
            return (entity.workflow,)
        if isinstance(entity, MapTask):
            return (entity.original,)
        if not isinstance(entity, Workflow):
            return ()
        names = held_names(entity)
        known = self._known.get(name)
        if known is not None and same_names(known[0], names):
            return known[1]
        found = trace(entity)
        self._known[name] = (names, found)
        return found


def held(
    entities: "Mapping[str, Definition]",
    namespace: "Mapping[str, object]",
    uses: "Callable[[str, Definition], Iterable[Definition]]",
) -> "tuple[Held, ...]":
    """Return every entity that uses a definition which its name does not mean any more.

    Args:
        entities: The notebook's entities by variable.
        namespace: The notebook's variables.
        uses: Returns what an entity refers to directly.
    """
    found = []
    for name, entity in entities.items():
        for used in uses(name, entity):
            old = used.original if isinstance(used, MapTask) else used
            new = now(old, namespace)
            if new is not None and new is not old:
                holder = _holder(entity, old) or name
                found.append(Held(user=name, user_entity=entity, old=old, new=new, holder=holder))
    return tuple(found)


def now(entity: Definition, namespace: "Mapping[str, object]") -> "Definition | None":
    """Return what the entity's own name means now: itself, another entity, or `None` if it is not one.

    `None` also if the name now means an entity of another kind or origin: then the old one was not replaced,
    its name is only used for something else.
    """
    if entity.module == MAIN_MODULE:
        value = namespace.get(entity.short_name, _MISSING)
        if isinstance(entity, LaunchPlan) and value is _MISSING:
            value = _launch_plan(entity, namespace)
    else:
        value = getattr(sys.modules.get(entity.module), entity.short_name, _MISSING)
    if not isinstance(value, Definition) or value.resource_type != entity.resource_type:
        return None
    is_named_so = (value.module, value.short_name) == (entity.module, entity.short_name)
    return value if is_named_so else None


def _launch_plan(entity: LaunchPlan, namespace: "Mapping[str, object]") -> LaunchPlan:
    """Return the launch plan that has this one's name now; this one itself if that is not clear.

    The name of a launch plan is given by its author and is not a variable's, so all variables are searched.
    """
    named = [
        value
        for variable, value in list(namespace.items())
        if not variable.startswith("_")
        and isinstance(value, LaunchPlan)
        and value.short_name == entity.short_name
    ]
    if any(value is entity for value in named) or len(named) != 1:
        return entity
    return named[0]


def _holder(entity: Definition, target: Definition) -> str:
    """Return the global variable through which `entity` reaches `target`; empty if it holds it itself."""
    if not isinstance(entity, Callee):
        return ""
    # Breadth first, so that the nearest holder is found. Each item carries the last global on the way to it:
    # the cell that sets this variable is the one to run again.
    waiting: list[tuple[str, Any]] = [("", entity.function)]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_VALUES:
        owner, value = waiting.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if value is target or (isinstance(value, MapTask) and value.original is target):
            return owner
        if isinstance(value, FunctionType):
            waiting += [(owner, item) for item in _captured(value)]
            waiting += globals_of(value)
        else:
            waiting += [(owner, item) for item in _inside(value)]
    return ""


def _captured(function: FunctionType) -> "Iterator[Any]":
    """Return what the function captured when it was defined: defaults, closure, wrapped function."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the variable of the outer function has no value yet
            continue
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield wrapped


def globals_of(function: FunctionType) -> "Iterator[tuple[str, Any]]":
    """Return name and value of every global that the function's code refers to."""
    for name in dict.fromkeys(_names(function.__code__)):
        value = function.__globals__.get(name, _MISSING)
        if value is not _MISSING:
            yield name, value


def _names(code: CodeType) -> "Iterator[str]":
    """Return the names in the code and in the functions and comprehensions inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _inside(value: object) -> "Iterator[Any]":
    """Return what a container, a partial, or an object of a class of the notebook holds."""
    if isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, Definition):
        return  # another entity: what that one holds is reported for that one
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif type(value).__module__ == MAIN_MODULE and hasattr(value, "__dict__"):
        yield from vars(value).values()
