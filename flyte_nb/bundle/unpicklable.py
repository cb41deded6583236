"""Explain why a task cannot be packed: find the variable, the path inside it, the cell and the line.

Pickle's own error names a type and no place. So after a failure the task's variables are pickled one by
one, then the members of the variable that fails, and so on down to the value that cannot be pickled.
"""

import functools
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType

from flyte_nb.api.errors import BundleError
from flyte_nb.api.identifiers import MAIN_MODULE
from flyte_nb.api.specs import Location
from flyte_nb.bundle import code as code_of
from flyte_nb.bundle.advice import advice, is_of_the_kernel
from flyte_nb.bundle.code import Dependency
from flyte_nb.bundle.source_names import spoken_place
from flyte_nb.sdk.callee import Callee

_DEEPEST = 6  # levels inside of a value that are searched; nobody reads a longer path
_WIDEST = 1000  # members of one container that are tried


class Unpicklable(BundleError):
    """A task refers to something that cannot be pickled."""

    def __init__(
        self, message: str, *, variable: str, path: str, location: Location, hint: str
    ) -> None:
        super().__init__(message, code="USER:Unpicklable", hint=hint)
        self.variable = variable
        """The global, captured or default variable."""
        self.path = path
        """The place inside of the variable, e.g. `model.session.lock`."""
        self.location = location
        """Where the function uses it."""


class _Culprit:
    """A value that cannot be pickled, and how a function reaches it."""

    def __init__(
        self, variable: Dependency, *, path: str, value: object, user: FunctionType
    ) -> None:
        self.variable = variable
        """The variable whose value contains it."""
        self.path = path
        self.value = value
        """The value that cannot be pickled."""
        self.user = user
        """The function that uses the variable."""


def explain(
    task: Callee, error: Exception, tries: "Callable[[object], Exception | None]"
) -> Unpicklable:
    """Return an error that names what made pickling the task fail.

    Args:
        task: the task.
        error: the exception that pickling it raised.
        tries: pickles a value alone, and returns the exception that this raised, or `None`.
    """
    function = _plain(task.function)
    found = _search(function, tries, set()) if function is not None else None
    # Every variable can be pickled alone. It is something in the function itself, e.g. an attribute on it.
    if found is None or function is None:
        where = task.location
        message = (
            f"{task.short_name}() ({spoken_place(*where)}) cannot be pickled:"
            f" {type(error).__name__}: {error}."
        )
        return Unpicklable(message, variable="", path="", location=where, hint=advice((), error))
    name = found.variable.name
    line = code_of.line_of_use(found.user, name)
    location = Location(found.user.__code__.co_filename, line)
    reason = tries(found.value)
    inner = "" if found.path == name else f", because of {found.path}"
    # The variable may be a helper's. Without its name, an author would look for it in the task.
    through = "" if found.user is function else f" through {found.user.__qualname__}()"
    message = (
        f"{task.short_name}() uses{through} the {_KINDS[found.variable.kind]} {name!r}"
        f" ({spoken_place(*location)}), which cannot be pickled{inner}: it is a"
        f" {_spell(type(found.value))} ({type(reason).__name__}: {reason})."
    )
    return Unpicklable(
        message,
        variable=name,
        path=found.path,
        location=location,
        hint=advice((found.value, found.variable.value), reason),
    )


_KINDS = {"global": "global", "captured": "captured variable", "default": "default of"}


def _search(
    function: FunctionType, tries: "Callable[[object], Exception | None]", seen: "set[int]"
) -> "_Culprit | None":
    # Helpers may call each other.
    if id(function) in seen:
        return None
    seen.add(id(function))
    for variable in code_of.dependencies(function):
        # A helper is pickled by its own variables, so the search goes on in those.
        helper = _plain(variable.value)
        if helper is not None:
            found = _search(helper, tries, seen)
            if found is not None:
                return found
        elif tries(variable.value) is not None:
            path, culprit = _descend(variable.name, variable.value, tries, 0)
            return _Culprit(variable, path=path, value=culprit, user=function)
    return None


def _descend(
    path: str, value: object, tries: "Callable[[object], Exception | None]", depth: int
) -> "tuple[str, object]":
    """Follow members that cannot be pickled; return the path of the innermost one, and its value."""
    # Objects of the kernel hold hundreds of others. What helps is to name the object itself.
    if depth < _DEEPEST and not is_of_the_kernel(value):
        for step, member in _members(value):
            if tries(member) is not None:
                return _descend(path + step, member, tries, depth + 1)
    return path, value


def _members(value: object) -> "Iterator[tuple[str, object]]":
    if isinstance(value, dict):
        pairs = list(value.items())[:_WIDEST]
        yield from ((f"[{key!r}]", member) for key, member in pairs)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", member) for index, member in enumerate(value[:_WIDEST]))
    elif isinstance(value, (set, frozenset)):
        yield from (("{…}", member) for member in list(value)[:_WIDEST])
    # A lambda or an inner function in a container fails by what it captures.
    elif isinstance(value, FunctionType):
        for _, name, member in code_of.dependencies(value):
            yield f"() → {name}", member
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif isinstance(value, functools.partial):
        yield ".func", value.func
        yield from ((f".args[{index}]", member) for index, member in enumerate(value.args))
        yield from ((f".keywords[{name!r}]", item) for name, item in value.keywords.items())
    else:
        yield from _attributes(value)


def _attributes(value: object) -> "Iterator[tuple[str, object]]":
    """Yield the attributes of an object or a class, and after those of a notebook's object, its class."""
    own = getattr(value, "__dict__", {})
    slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
    named = [*list(own.items())[:_WIDEST], *((name, getattr(value, name)) for name in slots)]
    for name, member in named:
        if not (isinstance(value, type) and name in ("__dict__", "__weakref__")):
            yield f".{name}", getattr(member, "__func__", member)
    if not isinstance(value, type) and type(value).__module__ == MAIN_MODULE:
        yield f".{type(value).__name__}", type(value)


def _slots(kind: type) -> "tuple[str, ...]":
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _plain(value: object) -> "FunctionType | None":
    while isinstance(value, Callee):
        value = value.function
    return value if isinstance(value, FunctionType) else None


def _spell(kind: type) -> str:
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
