"""Lift a task's signature to lists for a map task, and run its elements here."""

from typing import TYPE_CHECKING, Any, Optional, Protocol

from flyte_nb.api.errors import UsageError
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import TypedInterface, Variable
from flyte_nb.sdk import context
from flyte_nb.sdk.hints import hints_of
from flyte_nb.sdk.signature import NONE, SINGLE, SignatureReading
from flyte_nb.types.codec import Codec
from flyte_nb.types.containers import ListCodec
from flyte_nb.types.unions import UnionCodec

if TYPE_CHECKING:
    from flyte_nb.api.specs import Location
    from flyte_nb.sdk.task import Task
    from flyte_nb.types.registry import Registry


class Allowance(Protocol):
    """How many elements have to succeed."""

    @property
    def is_whole(self) -> bool:
        """Whether all have to."""
        ...

    def needed(self, count: int) -> int:
        """Return how many of `count` elements have to."""
        ...


class Mapped(Protocol):
    """What this module asks of a map task."""

    bound: "dict[str, Any]"

    @property
    def original(self) -> "Task":
        """The task that is mapped."""
        ...

    @property
    def shown_name(self) -> str:
        """What messages call the map."""
        ...

    @property
    def tolerance(self) -> Allowance:
        """How many elements have to succeed."""
        ...

    @property
    def location(self) -> "Location":
        """Where the mapped task is defined."""
        ...


def lift(mapped: Mapped, reading: SignatureReading, registry: "Registry") -> SignatureReading:
    """Return the signature over lists of a task whose own signature is `reading`.

    A list input has no default, because the element's own does not say how many elements there are.
    """
    signature = reading.signature
    name, location = mapped.original.short_name, mapped.location
    problems = list(reading.problems)
    if len(signature.output_names) > 1:
        problems.append(
            Problem(
                "MapOutputs",
                f"{name} has {len(signature.output_names)} outputs, and a map has one list of them.",
                hint="Let it return one value, e.g. a dataclass with what belongs together.",
                location=location,
                entity=name,
            )
        )
    problems.extend(
        Problem(
            "VariableNameNotFound",
            f"{name} has no input {bound}, which the map binds.",
            variable=bound,
            hint="Take it out of the partial.",
            location=location,
            entity=name,
        )
        for bound in mapped.bound
        if bound not in signature.input_codecs and bound not in reading.unreadable
    )
    inputs: dict[str, Codec] = {
        name: codec if name in mapped.bound else _list_of(codec)
        for name, codec in signature.input_codecs.items()
    }
    outputs: dict[str, Codec] = {
        name: _list_of(codec if mapped.tolerance.is_whole else _optional(codec, registry))
        for name, codec in signature.output_codecs.items()
    }
    interface = signature.interface
    lifted = signature._replace(
        interface=TypedInterface(
            _variables(interface.inputs, inputs), _variables(interface.outputs, outputs)
        ),
        input_codecs=inputs,
        output_codecs=outputs,
        defaults={},
        output_kind=SINGLE if outputs else NONE,
        output_class=None,
        positional=(),
    )
    return reading._replace(signature=lifted, problems=tuple(problems))


def run_elements(mapped: Mapped, given: "dict[str, Any]") -> "list[Any] | None":
    """Run the elements one after the other, and return their outputs, with `None` where one failed.

    Raises:
        UsageError: an input is no list, or lists differ in length.
        Exception: what an element raised, when too few can still succeed.
    """
    __tracebackhide__ = True
    lists = {name: value for name, value in given.items() if name not in mapped.bound}
    count = _count(mapped, lists)
    needed = mapped.tolerance.needed(count)
    outputs: list[Any] = []
    failed = 0
    for index in range(count):
        element = {name: value[index] for name, value in lists.items()}
        try:
            inputs = mapped.original.complete((), {**given, **element})
            outputs.append(context.run(mapped.original, inputs))
        except Exception as error:
            failed += 1
            outputs.append(None)
            if count - failed < needed:
                _name_element(mapped, index, count, error)
                raise
    # By the function's signature: a map over a task that returns nothing has no output.
    return outputs if _returns(mapped) else None


def check_lists(mapped: Mapped, given: "dict[str, object]") -> None:
    """Check that the inputs that are not bound are lists of one length.

    Raises:
        UsageError: an input is no list, or lists differ in length.
    """
    _count(mapped, {name: value for name, value in given.items() if name not in mapped.bound})


def _count(mapped: Mapped, lists: "dict[str, object]") -> int:
    lengths: dict[str, int] = {}
    for name, value in lists.items():
        if not isinstance(value, (list, tuple)):
            raise UsageError(
                f"The input {name} of {mapped.shown_name}() takes a list, with one item for each element;"
                f" got {type(value).__name__}. An input that is the same for all is bound:"
                f" map_task(partial({mapped.original.short_name}, {name}=…))."
            )
        lengths[name] = len(value)
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise UsageError(
            f"The lists that {mapped.shown_name}() is called with differ in length: {said}."
        )
    return next(iter(lengths.values()), 1)


def _name_element(mapped: Mapped, index: int, count: int, error: Exception) -> None:
    note = f"This was element {index} of {count} of {mapped.shown_name}()."
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:  # Python 3.10 has the convention only
        error.__notes__ = [*getattr(error, "__notes__", ()), note]  # type: ignore[attr-defined]


def _returns(mapped: Mapped) -> bool:
    hints = hints_of(mapped.original.function)
    return hints.types.get("return") not in (None, type(None)) or "return" in hints.failures


def _list_of(codec: Codec) -> ListCodec:
    python_type: Any = codec.python_type
    return ListCodec(list[python_type], codec)


def _optional(codec: Codec, registry: "Registry") -> Codec:
    nothing = registry.codec(type(None))
    if any(variant.literal_type == nothing.literal_type for variant in codec.variants):
        return codec
    python_type: Any = codec.python_type
    optional = Optional[python_type]  # noqa: UP045 - `|` does not take every annotation
    return UnionCodec(optional, [*codec.variants, nothing])


def _variables(own: "dict[str, Variable]", codecs: "dict[str, Codec]") -> "dict[str, Variable]":
    return {
        name: variable._replace(type=codecs[name].literal_type) for name, variable in own.items()
    }
