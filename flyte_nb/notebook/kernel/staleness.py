"""Who still holds an object that was defined again since, and which cell lets go of it.

A workflow's body looks its names up anew each time it is traced, so it sees a task that was redefined by
itself. What it captured does not change: an alias, a list, a default, a closure, a launch plan's workflow.
Whether something is held is seen by tracing; where, by searching what the body can reach.
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

_MOST_VALUES = 2_000  # that are looked at for one holder
_MISSING = object()


class Held(NamedTuple):
    """An entity that uses an object of before."""

    user: str
    """The variable that holds the entity."""
    user_entity: Definition
    old: Definition
    """What it still uses."""
    new: Definition
    """What has that name now."""
    holder: str
    """The variable that holds `old`; the user's own, when it is in its closure or defaults."""


class Uses:
    """What workflows refer to; each is traced again only when a name in it may mean something else."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Any, ...] | None, tuple[Definition, ...]]] = {}

    def of(
        self, name: str, entity: Entity, trace: "Callable[[Workflow], tuple[Definition, ...]]"
    ) -> "tuple[Definition, ...]":
        """The entities that `entity`, which the variable `name` holds, refers to directly."""
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
    namespace: "Mapping[str, Any]",
    uses: "Callable[[str, Definition], Iterable[Definition]]",
) -> "tuple[Held, ...]":
    """Every entity that refers to an object which its name does not mean any more.

    Args:
        entities: By variable.
        namespace: The notebook's variables.
        uses: What an entity refers to directly.
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


def now(entity: Definition, namespace: "Mapping[str, Any]") -> "Definition | None":
    """What the entity's own name means now: itself, another one, or `None` when it is no entity."""
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


def _launch_plan(entity: LaunchPlan, namespace: "Mapping[str, Any]") -> LaunchPlan:
    """A launch plan's name is no variable's: the one that has it now, unless several have."""
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
    """The variable by which `entity` reaches `target`; empty when it holds it itself."""
    if not isinstance(entity, Callee):
        return ""
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
    """What the function took along when it was defined."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield wrapped


def globals_of(function: FunctionType) -> "Iterator[tuple[str, Any]]":
    """Name and value of every global that the function's code names."""
    for name in dict.fromkeys(_names(function.__code__)):
        value = function.__globals__.get(name, _MISSING)
        if value is not _MISSING:
            yield name, value


def _names(code: CodeType) -> "Iterator[str]":
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _inside(value: Any) -> "Iterator[Any]":
    if isinstance(value, (list, tuple, set, frozenset)):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, Definition):
        return  # another entity: what it holds is its own affair
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif type(value).__module__ == MAIN_MODULE and hasattr(value, "__dict__"):
        yield from vars(value).values()
