"""Why a task cannot be packed: the variable, the path inside it, the cell and the line."""

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from flyte_nb.api.errors import BundleError
from flyte_nb.api.specs import Location
from flyte_nb.bundle import code as code_of
from flyte_nb.bundle.sources import spoken_place
from flyte_nb.sdk.callee import Callee

_DEEPEST = 6  # levels into a value; deeper paths help nobody
_WIDEST = 1000  # members of one container that are tried


class Unpicklable(BundleError):
    """A task holds on to something that cannot travel."""

    def __init__(self, message: str, *, variable: str, path: str, location: Location) -> None:
        super().__init__(
            message,
            code="USER:Unpicklable",
            hint="Create it inside of the task, or pass the data that it is made from.",
        )
        self.variable = variable
        """The global, captured or default variable."""
        self.path = path
        """Where in it, e.g. `model.session.lock`."""
        self.location = location
        """Where the function uses it."""


class _Found:
    def __init__(self, kind: str, name: str, path: str, value: Any, user: FunctionType) -> None:
        self.kind, self.name, self.path, self.value, self.user = kind, name, path, value, user


def explain(
    task: Callee, error: Exception, tries: "Callable[[Any], Exception | None]"
) -> Unpicklable:
    """Find what made `error`.

    Args:
        task: the task that was packed.
        error: what pickling it raised.
        tries: pickles a value alone; the exception, or `None`.
    """
    function = _plain(task.function)
    found = _search(function, tries, set()) if function is not None else None
    if found is None or function is None:
        where = task.location
        message = (
            f"{task.short_name}() ({spoken_place(*where)}) cannot be pickled:"
            f" {type(error).__name__}: {error}."
        )
        return Unpicklable(message, variable="", path="", location=where)
    line = code_of.line_of_use(found.user, found.name)
    location = Location(found.user.__code__.co_filename, line)
    reason = tries(found.value)
    inner = "" if found.path == found.name else f", because of {found.path}"
    through = "" if found.user is function else f" through {found.user.__qualname__}()"
    message = (
        f"{task.short_name}() uses{through} the {_KINDS[found.kind]} {found.name!r}"
        f" ({spoken_place(*location)}), which cannot be pickled{inner}: it is a"
        f" {_spell(type(found.value))} ({type(reason).__name__}: {reason})."
    )
    return Unpicklable(message, variable=found.name, path=found.path, location=location)


_KINDS = {"global": "global", "captured": "captured variable", "default": "default of"}


def _search(
    function: FunctionType, tries: "Callable[[Any], Exception | None]", seen: "set[int]"
) -> "_Found | None":
    if id(function) in seen:
        return None
    seen.add(id(function))
    for kind, name, value in code_of.dependencies(function):
        helper = _plain(value)
        if helper is not None:
            found = _search(helper, tries, seen)
            if found is not None:
                return found
        elif tries(value) is not None:
            path, culprit = _descend(name, value, tries, 0)
            return _Found(kind, name, path, culprit, function)
    return None


def _descend(
    path: str, value: Any, tries: "Callable[[Any], Exception | None]", depth: int
) -> "tuple[str, Any]":
    if depth < _DEEPEST:
        for step, member in _members(value):
            if tries(member) is not None:
                return _descend(path + step, member, tries, depth + 1)
    return path, value


def _members(value: Any) -> "Iterator[tuple[str, Any]]":
    if isinstance(value, dict):
        pairs = list(value.items())[:_WIDEST]
        yield from ((f"[{key!r}]", member) for key, member in pairs)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", member) for index, member in enumerate(value[:_WIDEST]))
    elif isinstance(value, (set, frozenset)):
        yield from (("{…}", member) for member in list(value)[:_WIDEST])
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from ((f".{name}", member) for name, member in list(vars(value).items())[:_WIDEST])


def _plain(value: Any) -> "FunctionType | None":
    while isinstance(value, Callee):
        value = value.function
    return value if isinstance(value, FunctionType) else None


def _spell(kind: type) -> str:
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
