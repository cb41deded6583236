"""Read a function's signature from its code object: names, defaults, resolved annotations.

Importing `inspect` would take longer than everything else that is imported, and a code object has it all.
"""

import re
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

_VARARGS, _VARKEYWORDS = 0x04, 0x08  # co_flags, as the Python reference has them
GENERATOR, ASYNC_GENERATOR = 0x20, 0x200

_NAME = re.compile(r"[^\W\d]\w*")


class Parameters(NamedTuple):
    """The parameters of a function in order, and what cannot be an input of an entity."""

    names: "tuple[str, ...]"
    positional: int
    """How many of `names` may be given by position."""
    defaults: "dict[str, Any]"
    positional_only: "tuple[str, ...]"
    variadic: "tuple[str, ...]"
    """`*args` and `**kwargs`, spelled with their stars."""


class Hints(NamedTuple):
    """Resolved annotations, and the globals they were resolved with."""

    types: "dict[str, Any]"
    """By parameter, and `return`."""
    failures: "dict[str, str]"
    """Why an annotation could not be resolved."""
    watched: "tuple[tuple[str, Any], ...]"
    """Globals that textual annotations name, with their values: with other values they are read anew."""


def undecorated(function: "Callable[..., Any]") -> Any:
    """Return the function whose signature counts, through decorators that used `functools.wraps`."""
    # Bounded, because a careless decorator can make a function wrap itself.
    seen = 0
    while hasattr(function, "__wrapped__") and seen < 100:
        function = function.__wrapped__
        seen += 1
    return function


def declared_signature(function: "Callable[..., Any]") -> Any:
    """Return the `__signature__` that a decorator set, which overrules the code; `None` without one."""
    seen = 0
    while seen < 100:
        found = getattr(function, "__dict__", {}).get("__signature__")
        if hasattr(found, "parameters"):
            return found
        if not hasattr(function, "__wrapped__"):
            return None
        function = function.__wrapped__
        seen += 1
    return None


def parameters_of(function: Any) -> Parameters:
    """Return the parameters of a function as `inspect.signature` has them, decorators included."""
    declared = declared_signature(function)
    if declared is not None:
        return _declared_parameters(declared)
    function = undecorated(function)
    found = _parameters_of_code(function)
    if type(function) is types.MethodType and found.names:  # its first argument is bound
        names = found.names[1:]
        return found._replace(names=names, positional=max(0, found.positional - 1))
    return found


def _declared_parameters(signature: Any) -> Parameters:
    names, positional, defaults = [], 0, {}
    only, variadic = [], []
    for name, parameter in signature.parameters.items():
        # By the kind's name: `inspect`, which has the constants, is not imported here.
        kind = parameter.kind.name
        if kind == "VAR_POSITIONAL":
            variadic.append("*" + name)
            continue
        if kind == "VAR_KEYWORD":
            variadic.append("**" + name)
            continue
        names.append(name)
        if kind != "KEYWORD_ONLY":
            positional += 1
        if kind == "POSITIONAL_ONLY":
            only.append(name)
        if parameter.default is not parameter.empty:
            defaults[name] = parameter.default
    return Parameters(
        names=tuple(names),
        positional=positional,
        defaults=defaults,
        positional_only=tuple(only),
        variadic=tuple(variadic),
    )


def _parameters_of_code(function: Any) -> Parameters:
    code = function.__code__
    positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
    # `co_varnames` has the parameters first, then the names with stars, then the local variables.
    names = code.co_varnames[: positional + keyword_only]
    variadic = []
    following = positional + keyword_only
    if code.co_flags & _VARARGS:
        variadic.append("*" + code.co_varnames[following])
        following += 1
    if code.co_flags & _VARKEYWORDS:
        variadic.append("**" + code.co_varnames[following])
    given = function.__defaults__ or ()
    defaults = dict(zip(names[positional - len(given) : positional], given, strict=True))
    defaults.update(function.__kwdefaults__ or {})
    return Parameters(
        names=names,
        positional=positional,
        defaults=defaults,
        positional_only=names[: code.co_posonlyargcount],
        variadic=tuple(variadic),
    )


def hints_of(function: Any) -> Hints:
    """Return the annotations of a function; text is looked up in its globals and closure."""
    declared, outer = declared_signature(function), function
    function = undecorated(function)
    known = function.__globals__
    local = _closure(function)
    try:
        if declared is not None:
            annotations = _declared_annotations(declared)
            # The decorator may have written some of them, in its own module.
            known = {**getattr(outer, "__globals__", {}), **known}
        else:
            annotations = function.__annotations__
    except NameError as error:  # Python 3.14 evaluates them only now
        return Hints({}, {"return": f"{error}"}, ())
    resolved: dict[str, Any] = {}
    failures: dict[str, str] = {}
    watched: dict[str, Any] = {}
    for name, annotation in annotations.items():
        # By far the most frequent case: a plain class needs no look-up, and can never mean another one.
        if type(annotation) is type:
            resolved[name] = annotation
            continue
        try:
            resolved[name] = resolve(annotation, known, local)
        except Exception as error:  # noqa: BLE001 - an annotation is an expression of the user's
            failures[name] = f"{type(error).__name__}: {error}"
        if resolved.get(name) is not annotation:
            text = annotation if isinstance(annotation, str) else repr(annotation)
            watched.update((word, known.get(word)) for word in _NAME.findall(text))
    return Hints(resolved, failures, tuple(watched.items()))


def _declared_annotations(signature: Any) -> "dict[str, Any]":
    found = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    if signature.return_annotation is not signature.empty:
        found["return"] = signature.return_annotation
    return found


def resolve(annotation: Any, known: "dict[str, Any]", local: "dict[str, Any]") -> Any:
    """Return the type that an annotation means, with every text in it looked up.

    Raises:
        Exception: whatever evaluating a text raises, e.g. `NameError`.
    """
    if not isinstance(annotation, str) and not _has_text(annotation):
        return annotation
    if isinstance(annotation, types.GenericAlias):  # Python 3.10 leaves text in list["Model"] alone
        home: Any = annotation.__origin__
        parts = [resolve(part, known, local) for part in annotation.__args__]
        return types.GenericAlias(home, tuple(parts))
    # `get_type_hints` is the one public way to evaluate text in annotations, and it wants an object.
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    hints = typing.get_type_hints(holder, known, local, include_extras=True)
    found = hints["it"]
    return resolve(found, known, local) if isinstance(found, types.GenericAlias) else found


def _has_text(annotation: Any) -> bool:
    if isinstance(annotation, typing.ForwardRef):
        return True
    if typing.get_origin(annotation) is typing.Literal:
        return False  # its arguments are values, also when they are texts
    arguments = typing.get_args(annotation)
    return any(isinstance(part, str) or _has_text(part) for part in arguments)


def _closure(function: Any) -> "dict[str, Any]":
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found
