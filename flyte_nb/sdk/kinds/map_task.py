"""`map_task`: one task, run once for every element of its list inputs."""

import functools
import hashlib
import math
import sys
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import ArrayNode, NodeMetadata
from flyte_nb.sdk import context
from flyte_nb.sdk.declared import DeclaredTask, TemplateTask
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.task import AnyTask, Task, TaskOptions, with_metadata

if TYPE_CHECKING:
    from flyte_nb.api.identifiers import Identifier
    from flyte_nb.api.specs import Target
    from flyte_nb.sdk.options import TaskMetadata
    from flyte_nb.sdk.signature import SignatureReading
    from flyte_nb.types.registry import Registry


class Tolerance:
    """How many elements have to succeed: a share of them, or a number."""

    def __init__(self, min_successes: "int | None", min_success_ratio: float) -> None:
        self.min_successes = min_successes
        self.min_success_ratio = min_success_ratio

    @property
    def is_whole(self) -> bool:
        """Whether all have to succeed, so that no output can be `None`."""
        return self.min_successes is None and self.min_success_ratio == 1

    def needed(self, count: int) -> int:
        """Return how many of `count` elements have to succeed."""
        if self.min_successes is not None:
            return self.min_successes
        return math.ceil(self.min_success_ratio * count)  # as propeller rounds


class MapTask(AnyTask):
    """A task over lists: each input that is not bound takes a list, the output is a list.

    `original` is the task that is mapped, `bound` holds the values of bound inputs by name.
    """

    noun = "map task"

    def __init__(
        self,
        original: Task,
        options: TaskOptions,
        bound: "dict[str, Any]",
        concurrency: "int | None",
        tolerance: Tolerance,
        *,
        run_all_sub_nodes: bool = False,
    ) -> None:
        super().__init__(original.function, options)
        self._original = original
        self.bound = bound
        self.concurrency = concurrency
        self.tolerance = tolerance
        self.run_all_sub_nodes = run_all_sub_nodes
        self.module = original.module
        self.short_name = _name(original, bound, concurrency, tolerance)
        self._lifted: tuple[SignatureReading, SignatureReading] | None = None

    @property
    def original(self) -> Task:
        """The task that is mapped."""
        return self._original

    @property
    def shown_name(self) -> str:
        """What a node of it is called."""
        return f"map_{self._original.__name__}"

    def __reduce__(self) -> "tuple[Any, ...]":
        chosen = (self.bound, self.concurrency, self.tolerance)
        return _rebuilt, (self.original, self.options, *chosen, self.run_all_sub_nodes)

    def __repr__(self) -> str:
        return f"<map task over {self.original.module}.{self.original.short_name}>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make a node in a workflow that is traced; elsewhere return the list of what each element gives.

        Raises:
            UsageError: an input is no list, or lists differ in length, outside of a workflow.
            Exception: what an element raised, when too few can still succeed. A note names the element.
        """
        __tracebackhide__ = True
        given = {**self.bound, **kwargs}
        entity, frame = context.stand_in(self), context.frame.get()
        if frame is not None:
            return frame.call(entity, args, given, sys._getframe(1))
        from flyte_nb.sdk.kinds.mapping import check_lists  # loads the types, as a run does

        inputs = self.complete(args, given)
        check_lists(self, inputs)
        return context.run(entity, inputs)

    def call_function(self, inputs: "dict[str, object]") -> object:
        """Return the list of what the function returns for each element, run one after the other."""
        from flyte_nb.sdk.kinds.mapping import run_elements  # as above

        return run_elements(self, inputs)

    def is_same(self, other: Definition) -> bool:
        """Return whether `other` maps the same task in the same way, whatever its bound inputs hold.

        Maps are often made where they are used; equal ones are one entity.
        """
        return (
            isinstance(other, MapTask)
            and other.original is self.original
            and other.short_name == self.short_name
            and other.options == self.options
            and other.run_all_sub_nodes == self.run_all_sub_nodes
        )

    def list_inputs(self, registry: "Registry") -> "tuple[str, ...]":
        """Return the inputs that take a list."""
        names = self.original.read(registry).signature.input_codecs
        return tuple(name for name in names if name not in self.bound)

    def target(self, reference: "Identifier") -> "Target":
        """Return what a node runs that calls this map."""
        return ArrayNode(
            reference,
            # Propeller reads these of an element's node, and not of its task.
            NodeMetadata(
                self.shown_name,
                timeout_s=self.options.timeout_s or None,
                interruptible=self.options.interruptible,
            ),
            parallelism=self.concurrency,
            min_successes=self.tolerance.min_successes,
            min_success_ratio=self.tolerance.min_success_ratio,
            bound_inputs=tuple(sorted(self.bound)),
            run_all_sub_nodes=self.run_all_sub_nodes,
        )

    def read(self, registry: "Registry") -> "SignatureReading":
        """Return the lifted signature as far as it can be read, and its problems."""
        reading = self.original.read(registry)
        known = self._lifted
        if known is None or known[0] is not reading:
            from flyte_nb.sdk.kinds.mapping import lift  # loads the types, as `read` does

            known = self._lifted = (reading, lift(self, reading, registry))
        return known[1]


def map_task(
    target: Any,
    concurrency: "int | None" = None,
    min_successes: "int | None" = None,
    min_success_ratio: float = 1.0,
    run_all_sub_nodes: bool = False,
    *,
    metadata: "TaskMetadata | None" = None,
) -> MapTask:
    """Run a task once for every element of its inputs: `map_task(score)(row=[1, 2, 3])`.

    Every input takes a list, all of one length, and the output is the list of the outputs. An input
    that `functools.partial` binds is given to every element as it is: `map_task(partial(fit, depth=3))`.

    Args:
        target: a task with at most one output, or a `functools.partial` of one.
        concurrency: how many elements may run at a time; 0 and `None` are no limit.
        min_successes: how many elements have to succeed.
        min_success_ratio: which share of them has to succeed, from 0 to 1. Below 1 the output of an
            element that failed is `None`.
        run_all_sub_nodes: whether the rest still runs when too few can succeed.
        metadata: options in place of the task's own.

    Raises:
        UsageError: `target` is no task, or an option has a value that it cannot have.
    """
    bound: dict[str, Any] = {}
    if isinstance(target, functools.partial):
        if target.args:
            raise UsageError("map_task: bind inputs by name, e.g. partial(fit, depth=3).")
        target, bound = target.func, dict(target.keywords)
    is_code = isinstance(target, DeclaredTask) and not isinstance(target, TemplateTask)
    if type(target) is not Task and not is_code:
        raise UsageError(
            f"map_task runs a task for every element, and {target!r} is {_what(target)}."
            f" {_instead(target)}"
        )
    _check(concurrency, min_successes, min_success_ratio)
    options = target.options if metadata is None else with_metadata(target.options, metadata)
    return MapTask(
        target,
        options,
        bound,
        concurrency,
        Tolerance(min_successes, float(min_success_ratio)),
        run_all_sub_nodes=run_all_sub_nodes,
    )


def _rebuilt(
    original: Task,
    options: TaskOptions,
    bound: "dict[str, Any]",
    concurrency: "int | None",
    tolerance: Tolerance,
    run_all_sub_nodes: bool,
) -> MapTask:
    return MapTask(
        original, options, bound, concurrency, tolerance, run_all_sub_nodes=run_all_sub_nodes
    )


def _check(concurrency: object, min_successes: object, min_success_ratio: float) -> None:
    for name, value in (("concurrency", concurrency), ("min_successes", min_successes)):
        if value is not None and (type(value) is not int or value < 0):
            raise UsageError(f"map_task: {name}={value!r}: write a number, e.g. {name}=10.")
    if type(min_success_ratio) not in (int, float) or not 0 <= min_success_ratio <= 1:
        raise UsageError(
            f"map_task: min_success_ratio={min_success_ratio!r}: write a share from 0 to 1."
        )


def _name(
    original: Task, bound: "dict[str, Any]", concurrency: "int | None", tolerance: Tolerance
) -> str:
    """Return the name that flytekit gives the map: one for each way to map the task."""
    way = (
        f"{','.join(sorted(bound))}{concurrency}{tolerance.min_successes}"
        f"{tolerance.min_success_ratio}"
    )
    digest = hashlib.md5(way.encode(), usedforsecurity=False).hexdigest()
    return f"map_{original.short_name}_{digest}-arraynode"


def _what(target: object) -> str:
    if isinstance(target, Definition):
        return f"a {target.noun}"
    return f"of type {type(target).__name__}"


def _instead(target: object) -> str:
    """Return what to do in place of mapping something that is not a plain task."""
    if isinstance(target, Definition) and not isinstance(target, AnyTask):
        return (
            "Call it in a loop in a @dynamic, which makes a node of each call:"
            " return [it(n=n) for n in ns]. Or map over a task in it."
        )
    return "Wrap a def with @task that does the work of one element."
