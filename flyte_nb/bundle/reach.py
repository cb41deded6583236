"""Find the tasks, workflows and launch plans that a dynamic task's body can call.

A dynamic task's body runs where the task runs, and what it calls there becomes nodes. So everything that
it can call has to travel with it, and has to be known before it runs.

The search follows the globals that the body uses, its closure and its defaults, and looks into lists,
dicts, objects, modules and other functions. It cannot find a task that is defined inside of the body. It
does find what the body of a workflow makes, because workflows are traced by running their bodies.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

from flyte_nb.bundle import code as code_of
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import AnyTask
from flyte_nb.sdk.workflow import Workflow

_DEEPEST = 8  # levels of containers and objects that are searched
_WIDEST = 10_000  # members of one container that are searched
Traced = Callable[[Workflow], Iterable[Definition]]
"""Returns what a workflow's nodes refer to, also what its body made: a map, a launch plan."""

_PLAIN = (int, float, str, bytes, bytearray, complex, type(None), BuiltinFunctionType)


def _untraced(workflow: Workflow) -> "Iterable[Definition]":
    return ()


def reach(entity: Definition, traced: Traced = _untraced) -> "list[Definition]":
    """Return the entities that `entity` can call, without itself, in the order in which they are found.

    Only bodies that make nodes are searched. A plain task that calls another task calls its function,
    which is pickled together with it.
    """
    walk = _Walk(traced)
    walk.enter(entity)
    return [found for found in walk.found if found is not entity]


def called_inside(entity: Definition, traced: Traced = _untraced) -> "list[Definition]":
    """Return what the body of a dynamic task can call; an empty list for any other entity."""
    return reach(entity, traced) if entity.is_dynamic else []


class _Walk:
    def __init__(self, traced: Traced) -> None:
        self._traced = traced
        self.found: list[Definition] = []
        # Holds the objects themselves, because an id may be reused after an object's end.
        self._seen: dict[int, object] = {}

    def enter(self, entity: Definition) -> None:
        """Note an entity; then search the body of a dynamic task or workflow, or a launch plan's workflow."""
        if self._is_known(entity):
            return
        self.found.append(entity)
        if isinstance(entity, LaunchPlan):
            self.visit(entity.workflow, 0)
        elif isinstance(entity, Callee) and (isinstance(entity, Workflow) or entity.is_dynamic):
            self.visit(entity.function, 0)
        if isinstance(entity, Workflow):
            for below in self._traced(entity):
                self.enter(below)
        if isinstance(entity, AnyTask):
            self.visit(entity.original, _DEEPEST - 1)  # for a map, the mapped task
        # An entity may hold others in its attributes, e.g. a map in its bound inputs. Functions are not
        # searched here: only bodies that make nodes are.
        for name, value in vars(entity).items():
            if name != "function" and not name.startswith("_"):
                self.visit(value, _DEEPEST - 1)

    def visit(self, value: object, depth: int) -> None:
        """Find the entities in any value."""
        if isinstance(value, _PLAIN) or depth > _DEEPEST:
            return
        if isinstance(value, Definition):
            self.enter(value)
            return
        if self._is_known(value):
            return
        for below in _inside(value):
            self.visit(below, depth + 1)

    def _is_known(self, value: object) -> bool:
        if id(value) in self._seen:
            return True
        self._seen[id(value)] = value
        return False


def _inside(value: object) -> "Iterator[object]":
    if isinstance(value, FunctionType):
        yield from _used_by(value)
        yield getattr(value, "__wrapped__", None)
    elif isinstance(value, MethodType):
        yield value.__func__
        yield value.__self__
    elif isinstance(value, functools.partial):
        yield value.func
        yield value.args
        yield value.keywords
    elif isinstance(value, dict):
        yield from list(value.values())[:_WIDEST]
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from list(value)[:_WIDEST]
    elif isinstance(value, type):
        if not code_of.is_builtin(value) and not _is_ours(value):
            yield from list(vars(value).values())
    elif isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif not isinstance(value, ModuleType) and not _is_ours(type(value)):
        yield from list(getattr(value, "__dict__", {}).values())[:_WIDEST]
        yield getattr(value, "__wrapped__", None)


def _used_by(function: FunctionType) -> "Iterator[object]":
    """Yield what the function uses; of a module, only the attributes that the function's code names."""
    # A module holds everything that it defines and imports; most of it the function never touches.
    names: set[str] | None = None
    for _, _, value in code_of.dependencies(function):
        if not isinstance(value, ModuleType):
            yield value
            continue
        if names is None:
            names = set(_names(function.__code__))
        yield from _members(value, names)
    for module in code_of.submodules(function):
        yield from _members(module, names or set(_names(function.__code__)))


def _members(module: ModuleType, names: "set[str]") -> "Iterator[object]":
    for name in sorted(names):
        member = vars(module).get(name)
        if isinstance(member, ModuleType):
            yield from (vars(member).get(inner) for inner in sorted(names) if member is not module)
        elif member is not None:
            yield member


def _names(code: CodeType) -> "Iterator[str]":
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)


def _is_ours(kind: type) -> bool:
    return str(getattr(kind, "__module__", "")).partition(".")[0] == "flyte_nb"


__all__ = ["called_inside", "reach"]
