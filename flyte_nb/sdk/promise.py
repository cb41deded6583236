"""Promises: values of a workflow that exist only when it runs."""

from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types
from flyte_nb.api.errors import UsageError
from flyte_nb.api.literal_types import LiteralType, describe
from flyte_nb.api.specs import OutputReference
from flyte_nb.sdk.conditions import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flyte_nb.sdk.node_drafts import NodeDraft


class Sequenced:
    """A value that belongs to a node: it can be ordered with `>>` and given options."""

    __slots__ = ()
    _draft: "NodeDraft | None"

    def __rshift__(self, other: Any) -> Any:
        """Let `other` start after this has ended, though it takes nothing from it; return `other`.

        Raises:
            UsageError: one of the two is not a call.
        """
        if not isinstance(other, Sequenced):
            raise UsageError(
                f"a >> b orders two calls, and the right side is {other!r}. Call a task there."
            )
        if self._draft is None or other._draft is None:
            raise UsageError("a >> b orders two calls; an input of the workflow is there anyway.")
        other._draft.follow(self._draft)
        return other

    def runs_before(self, other: Any) -> None:
        """Let `other` start after this has ended, as `self >> other` does.

        Raises:
            UsageError: one of the two is not a call.
        """
        self >> other

    def __await__(self) -> "Generator[Any, None, Any]":
        """Return the promise at once, so that an async workflow may write `await fit(n=1)`."""
        return self
        yield  # what makes this a generator, which `await` asks for

    def with_overrides(self, **options: Any) -> Any:
        """Change options for this one call, e.g. `fit(rows=r).with_overrides(retries=3)`.

        Args:
            **options: `node_name`, `name`, `retries`, `timeout`, `interruptible`, `cache`,
                `cache_version`, `cache_serialize`, `requests`, `limits`, `resources` or
                `container_image`.
                A later call adds to an earlier one.

        Raises:
            UsageError: an option is unknown, or this is an input of the workflow.
        """
        if self._draft is None:
            raise UsageError(
                "with_overrides belongs to a call, and this is an input of the workflow."
            )
        self._draft.override(options)
        return self


class Promise(Sequenced):
    """One value that the run will make: an output of a node, or an input of the workflow.

    Comparing it gives a condition for `conditional(…)`.
    """

    __slots__ = ("_draft", "_label", "_reference", "_type")

    def __init__(
        self,
        draft: "NodeDraft | None",
        reference: OutputReference,
        type: "LiteralType | None",
        label: str,
    ) -> None:
        self._draft = draft
        self._reference = reference
        self._type = type
        self._label = label

    def __getattr__(self, name: str) -> "Promise":
        if name.startswith("_"):
            raise AttributeError(name)
        return self._step(name)

    def __getitem__(self, key: "str | int") -> "Promise":
        if not isinstance(key, (str, int)) or isinstance(key, bool):
            raise UsageError(f"{self._label}[{key!r}]: write an index or a text key.")
        return self._step(key)

    def is_true(self) -> Comparison:
        """Return the condition that this is True."""
        return Comparison("EQ", self, True)

    def is_false(self) -> Comparison:
        """Return the condition that this is False."""
        return Comparison("EQ", self, False)

    def is_none(self) -> Comparison:
        """Refuse: Flyte compares no None.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self._label}.is_none(): Flyte compares numbers, text, booleans, dates and durations, and no"
            " None. Let a task return whether it is None, and ask for that with is_true()."
        )

    def _step(self, key: "str | int") -> "Promise":
        reference = self._reference
        shown = f"[{key!r}]" if isinstance(key, int) else f".{key}"
        return Promise(
            self._draft,
            reference._replace(attr_path=(*reference.attr_path, key)),
            _step_type(self._type, key, self._label),
            self._label + shown,
        )

    def __repr__(self) -> str:
        kind = describe(self._type) if self._type is not None else "unknown"
        return f"<promise {self._label}: {kind}>"

    __hash__ = object.__hash__


class Outputs(tuple, Sequenced):  # type: ignore[type-arg]
    """The outputs of a call: unpack them, take one by index or by name; empty for a task without any."""

    _names: "tuple[str, ...]"
    _label: str

    def __new__(
        cls,
        draft: "NodeDraft",
        promises: "tuple[Promise, ...]",
        names: "tuple[str, ...]",
        label: str,
    ) -> "Outputs":
        """Return the promises of one call, in the order of its signature."""
        made = super().__new__(cls, promises)
        made._draft = draft
        made._names = names
        made._label = label
        return made

    def __getattr__(self, name: str) -> Promise:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._named(name)

    def __getitem__(self, key: Any) -> Any:
        """Return the output with this index, or with this name: `fit(n=1)["loss"]`."""
        return self._named(key) if isinstance(key, str) else super().__getitem__(key)

    # These two are methods of tuple. An output of that name is more useful here than counting promises.
    @property
    def count(self) -> Any:
        """The output of that name."""
        return self._named("count")

    @property
    def index(self) -> Any:
        """The output of that name."""
        return self._named("index")

    def _named(self, name: str) -> Promise:
        names = self._names
        for position, each in enumerate(names):
            if each == name:
                promise: Promise = super().__getitem__(position)
                return promise
        has = f"It has: {', '.join(names)}." if names else "It has none."
        raise UsageError(f"{self._label} has no output {name}. {has}")

    def __repr__(self) -> str:
        return f"<outputs of {self._label}: {', '.join(self._names) or 'none'}>"


def _refuse(operation: str) -> Any:
    def refused(self: Promise, *_: Any) -> Any:
        raise UsageError(
            f"{self._label} is made when the workflow runs, so {operation} cannot be done with it"
            " while the workflow is put together. Move that line into a task."
        )

    return refused


for _name, _operation in {
    "bool": "an if, while, and, or or not",
    "iter": "a loop or unpacking",
    "len": "len()",
    "contains": "the test in",
    "call": "a call",
    # Without a refusal its repr would become part of a constant, unnoticed until the run.
    "str": "print(), str() or %s",
    "format": "an f-string",
    "int": "int()",
    "float": "float()",
    "index": "indexing with it",
    "setitem": "assigning to an item",
    **dict.fromkeys(
        (
            *(
                "add",
                "sub",
                "mul",
                "truediv",
                "floordiv",
                "mod",
                "pow",
                "matmul",
                "and",
                "or",
                "xor",
            ),
            *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod", "rpow", "rmatmul"),
            *("neg", "pos", "abs", "invert", "round", "lshift", "rand", "ror", "rxor"),
        ),
        "arithmetic",
    ),
}.items():
    setattr(Promise, f"__{_name}__", _refuse(_operation))


def _compare(operator: str) -> "Callable[[Promise, object], Comparison]":
    return lambda self, other: Comparison(operator, self, other)


# Python exchanges the sides itself where the promise is on the right: `1 < x` asks for `x > 1`.
for _name, _operator in {
    "eq": "EQ",
    "ne": "NEQ",
    "lt": "LT",
    "le": "LTE",
    "gt": "GT",
    "ge": "GTE",
}.items():
    setattr(Promise, f"__{_name}__", _compare(_operator))


def _step_type(type: "LiteralType | None", key: "str | int", label: str) -> "LiteralType | None":
    """Return the type one step further; `None` where only the run can know it."""
    if type is None:
        return None
    if type.kind == literal_types.COLLECTION:
        if not isinstance(key, int):
            raise UsageError(f"{label} is a list; write {label}[0], not .{key}.")
        element: LiteralType = type.value
        return element
    if type.kind == literal_types.MAP:
        value: LiteralType = type.value
        return value
    if type.kind == literal_types.SIMPLE and type.value == literal_types.STRUCT:
        fields = type.dataclass_type
        if not fields:
            return None
        if key not in fields:
            raise UsageError(f"{label} has no field {key!r}. It has: {', '.join(fields)}.")
        return fields[str(key)]
    if type.kind == literal_types.UNION:
        return None
    raise UsageError(
        f"{label} is {describe(type)}, which has no {'item' if isinstance(key, int) else 'field'}"
        f" {key!r}. Only lists, dicts and dataclasses have parts that another task can take."
    )
