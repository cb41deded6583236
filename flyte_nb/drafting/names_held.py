"""What the names in a workflow's body refer to. If that is the same twice, so is the traced graph."""

import builtins
from types import CodeType

from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import Task
from flyte_nb.sdk.workflow import Workflow

Names = tuple[object, ...]
"""Values that belong together, compared by identity."""

_PLAIN = (int, float, str, bool, bytes, type(None), type)
_MISSING = object()


def held_names(workflow: Workflow) -> "tuple[object, ...] | None":
    """Return all values that the body, and the bodies of workflows in it, can reach by a name.

    `None` when one of them can change while it stays the same object (a list, a module, a helper
    function with names of its own): then only tracing shows whether the graph changed.
    """
    # Tracing costs milliseconds in a large workflow, and comparing names microseconds, so that a loop over
    # `wf(n=i)` need not trace each time.
    found: list[object] = []
    seen: set[int] = set()
    waiting: list[Task | Workflow | LaunchPlan] = [workflow]
    while waiting:
        entity = waiting.pop()
        if id(entity) in seen:
            continue
        seen.add(id(entity))
        found.append(entity)
        if isinstance(entity, Task):
            continue
        if isinstance(entity, LaunchPlan):
            if entity.default_inputs or entity.fixed_inputs:
                return None
            waiting.append(entity.workflow)
            continue
        function = entity.function
        code = getattr(function, "__code__", None)
        # A closure's variables and what a decorator keeps are no globals, so they are not seen here.
        if code is None or function.__closure__ or hasattr(function, "__wrapped__"):
            return None
        found += (code, function.__defaults__, function.__kwdefaults__)
        for name in _names(code):
            value = function.__globals__.get(name, _MISSING)
            if isinstance(value, (Task, Workflow, LaunchPlan)):
                waiting.append(value)
            elif value is not _MISSING and not isinstance(value, _PLAIN):
                return None
            elif value is _MISSING and hasattr(builtins, name):
                value = getattr(builtins, name)
            found.append(value)
    return tuple(found)


def same_names(one: "tuple[object, ...] | None", other: "tuple[object, ...] | None") -> bool:
    """Return whether both are known and hold the very same objects."""
    if one is None or other is None or len(one) != len(other):
        return False
    return all(mine is theirs for mine, theirs in zip(one, other, strict=True))


def _names(code: CodeType) -> "list[str]":
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += _names(constant)
    return names
