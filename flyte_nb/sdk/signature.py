"""Read the typed interface of a task or workflow from its function, with every problem in it."""

import typing
from collections import namedtuple
from collections.abc import Iterable
from types import GenericAlias
from typing import Any, NamedTuple

from flyte_nb.api.errors import CodecError
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Location, TypedInterface, Variable
from flyte_nb.sdk.docstrings import variable_descriptions
from flyte_nb.sdk.hints import (
    ASYNC_GENERATOR,
    GENERATOR,
    Hints,
    Parameters,
    hints_of,
    parameters_of,
    resolve,
    undecorated,
)
from flyte_nb.types.codec import Codec, NeedsStore, spell
from flyte_nb.types.registry import Registry

NONE, SINGLE, TUPLE, NAMED = "none", "single", "tuple", "named"
"""What a function returns: nothing, a value, a tuple, or a NamedTuple (`output_kind`)."""


class TaskSignature(NamedTuple):
    """The interface of a task or workflow, and how its Python values become literals."""

    interface: TypedInterface
    input_codecs: "dict[str, Codec]"
    output_codecs: "dict[str, Codec]"
    defaults: "dict[str, Any]"
    output_names: "tuple[str, ...]"
    output_kind: str
    output_class: "type | None" = None
    """The NamedTuple that several outputs come back as, if there is one."""
    positional: "tuple[str, ...]" = ()
    """Inputs that may be given by position, in order."""


class SignatureReading(NamedTuple):
    """A signature as far as it could be read, and its problems."""

    signature: TaskSignature
    problems: "tuple[Problem, ...]"
    watched: "tuple[tuple[str, Any], ...]"
    """Globals by which textual annotations were resolved."""
    unreadable: "frozenset[str]" = frozenset()
    """Inputs whose type is one of the problems; values for them are not checked."""


class SignatureReader:
    """Reads one function. Make a new one for each reading."""

    def __init__(
        self, function: Any, registry: Registry, *, noun: str, output_names: "tuple[str, ...]" = ()
    ) -> None:
        self._outer = function
        self._function = undecorated(function)
        self._registry = registry
        self._noun = noun
        self._output_names = output_names
        self._entity = self._function.__name__
        code = self._function.__code__
        self._location = Location(code.co_filename, code.co_firstlineno)
        self._problems: list[Problem] = []

    def read(self) -> SignatureReading:
        """Return the signature, and everything that is wrong with it."""
        parameters = parameters_of(self._outer)
        hints = hints_of(self._outer)
        described = variable_descriptions(self._function.__doc__ or "")
        self._refuse_kinds(parameters, self._returns_iterator(hints))
        self._refuse_names("input", parameters.names)
        inputs, input_codecs = {}, {}
        for name in parameters.names:
            codec = self._input(name, hints, parameters)
            if codec is not None:
                input_codecs[name] = codec
                inputs[name] = Variable(codec.literal_type, described.get(name, name))
        kind, named, output_class = self._outputs(hints)
        self._refuse_names("output", [name for name, _ in named])
        outputs, output_codecs = {}, {}
        for name, annotation in named:
            codec = self._codec(annotation, name)
            if codec is not None:
                output_codecs[name] = codec
                outputs[name] = Variable(codec.literal_type, described.get(name, name))
        signature = TaskSignature(
            interface=TypedInterface(inputs, outputs),
            input_codecs=input_codecs,
            output_codecs=output_codecs,
            defaults=parameters.defaults,
            output_names=tuple(name for name, _ in named),
            output_kind=kind,
            output_class=output_class,
            positional=parameters.names[: parameters.positional],
        )
        # Calls must know these names still, or each of them would be called an unknown input.
        unreadable = frozenset(parameters.names) - input_codecs.keys()
        return SignatureReading(signature, tuple(self._problems), hints.watched, unreadable)

    def _problem(self, code: str, message: str, *, variable: str = "", hint: str = "") -> None:
        self._problems.append(
            Problem(
                code,
                message,
                variable=variable,
                hint=hint,
                location=self._location,
                entity=self._entity,
            )
        )

    def _returns_iterator(self, hints: Hints) -> bool:
        """Return whether the function's result may come from a generator."""
        try:
            return self._registry.quiet.codec(hints.types["return"]).takes_generators
        except (KeyError, CodecError):
            return False

    def _refuse_kinds(self, parameters: Parameters, yields: bool) -> None:
        name, noun, flags = self._entity, self._noun, self._function.__code__.co_flags
        # A lambda's `__name__` is `<lambda>`, which no worker could import.
        if not name.isidentifier():
            self._problem(
                "NamelessFunction",
                f"{name} is not a name that a {noun} can be found by.",
                hint="Define it with def.",
            )
        if flags & ASYNC_GENERATOR or (flags & GENERATOR and not yields):
            self._problem(
                "GeneratorFunction",
                f"{name} has a yield, so calling it makes a generator and runs nothing.",
                hint=(
                    "Return a list."
                    if flags & ASYNC_GENERATOR
                    else "Return a list, or annotate Iterator[…]."
                ),
            )
        for variadic in parameters.variadic:
            self._problem(
                "VariadicParameter",
                f"{name} takes {variadic}, and the inputs of a {noun} have fixed names.",
                variable=variadic.lstrip("*"),
                hint="Name every input, or take one list[…] or dict[str, …].",
            )
        for only in parameters.positional_only:
            self._problem(
                "PositionalOnlyParameter",
                f"{name} takes {only} by position only, and inputs are passed by name.",
                variable=only,
                hint="Remove the / from the signature.",
            )

    def _refuse_names(self, noun: str, names: "Iterable[str]") -> None:
        for name in names:
            # Python allows any letters in names, and Flyte's compiler reads a variable's name with an ASCII
            # pattern.
            if not name.isascii():
                self._problem(
                    "UnreadableName",
                    f"The {noun} {name} of {self._entity} has a name that Flyte cannot read.",
                    variable=name,
                    hint="Use ASCII letters, digits and underscores.",
                )

    def _input(self, name: str, hints: Hints, parameters: Parameters) -> "Codec | None":
        if name in hints.failures:
            self._unresolved(name, hints.failures[name])
            return None
        if name not in hints.types:
            default = parameters.defaults.get(name)
            example = spell(type(default)) if default is not None else "int"
            self._problem(
                "MissingAnnotation",
                f"The input {name} has no type.",
                variable=name,
                hint=f"Write {name}: {example}.",
            )
            return None
        codec = self._codec(hints.types[name], name)
        if codec is not None and name in parameters.defaults:
            self._check_default(name, codec, parameters.defaults[name])
        return codec

    def _check_default(self, name: str, codec: Codec, default: Any) -> None:
        # Without a store, so that reading a signature never writes a file.
        try:
            codec.encode(default, None)
        except NeedsStore:
            return  # it fits, and is stored when it is used
        except CodecError as error:
            near = codec.nearest(default)
            hint = f"Write {name}={near!r}." if near is not None else error.hint
            if default is None:
                hint = f"Write {name}: {spell(codec.python_type)} | None = None."
            self._problem(
                "DefaultMismatch",
                f"The default of {name} does not fit: {error.bare_message}",
                variable=name,
                hint=hint,
            )

    def _codec(self, annotation: Any, variable: str) -> "Codec | None":
        try:
            return self._registry.codec(annotation)
        except CodecError as error:
            self._problem("UnsupportedType", error.bare_message, variable=variable, hint=error.hint)
            return None

    def _unresolved(self, variable: str, failure: str) -> None:
        self._problem(
            "UnresolvedAnnotation",
            f"The annotation of {variable} cannot be resolved: {failure.rstrip('.')}.",
            variable=variable,
            hint="Define or import that name before.",
        )

    def _outputs(self, hints: Hints) -> "tuple[str, list[tuple[str, Any]], type | None]":
        if "return" in hints.failures:
            self._unresolved("the outputs", hints.failures["return"])
            return NONE, [], None
        annotation = hints.types.get("return")
        if annotation is None or annotation is type(None):
            return NONE, [], None
        if isinstance(annotation, tuple):  # `-> (int, str)` is flytekit's other spelling of a tuple
            annotation = GenericAlias(tuple, annotation)
        # One name means one output, also when its type is a tuple.
        if len(self._output_names) == 1:
            return SINGLE, [(self._output_names[0], annotation)], None
        if typing.get_origin(annotation) is tuple:
            return self._tuple(annotation)
        if isinstance(annotation, type) and issubclass(annotation, tuple):
            fields = getattr(annotation, "_fields", None)
            if fields is not None:
                return NAMED, self._fields(annotation, fields), annotation
        if self._output_names:
            return self._misnamed(1)
        return SINGLE, [("o0", annotation)], None

    def _fields(self, named: type, fields: "tuple[str, ...]") -> "list[tuple[str, Any]]":
        # A class by `collections.namedtuple` has fields and no annotations.
        annotations = getattr(named, "__annotations__", {})
        outputs = []
        for field in fields:
            if field not in annotations:
                self._problem(
                    "MissingAnnotation",
                    f"The field {field} of {named.__name__} has no type.",
                    variable=field,
                    hint="Derive the class from typing.NamedTuple and give each field a type.",
                )
                continue
            try:
                found = resolve(annotations[field], self._function.__globals__, {})
            except Exception as error:  # noqa: BLE001 - an annotation is an expression of the user's
                self._unresolved(field, f"{type(error).__name__}: {error}")
                continue
            outputs.append((field, found))
        return outputs

    def _tuple(self, annotation: Any) -> "tuple[str, list[tuple[str, Any]], type | None]":
        # In Python 3.10 the arguments of `typing.Tuple[()]` are a tuple with an empty tuple in it.
        members = [member for member in typing.get_args(annotation) if member != ()]
        if Ellipsis in members:
            self._problem(
                "UnsupportedType",
                f"{self._entity} returns {spell(annotation)}, a tuple of any length.",
                hint="Write list[…], or a tuple with one type for each output.",
            )
            return NONE, [], None
        if not members:
            return NONE, [], None
        if len(self._output_names) not in (0, len(members)):
            return self._misnamed(len(members))
        names = self._output_names or tuple(f"o{index}" for index in range(len(members)))
        if not self._output_names:
            return TUPLE, list(zip(names, members, strict=True)), None
        # Named outputs of a cell come back like those of a NamedTuple, so that `score(...).accuracy` works.
        made = namedtuple(f"{self._entity}_outputs", names)  # type: ignore[misc]  # made at run time
        return NAMED, list(zip(names, members, strict=True)), made

    def _misnamed(self, count: int) -> "tuple[str, list[tuple[str, Any]], type | None]":
        self._problem(
            "WrongOutputs",
            f"output_names has {len(self._output_names)} names, and {self._entity} has {count} outputs.",
            hint="Give one name for each type in the return annotation.",
        )
        return NONE, [], None
