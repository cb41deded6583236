"""What a trial calls in place of tasks, workflows and launch plans."""

import copy
import functools
import inspect
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, TypeVar

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.kinds.map_task import MapTask
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import Task, TaskOptions

if TYPE_CHECKING:
    from flyte_nb.api.specs import Location
    from flyte_nb.sdk.signature import SignatureReading
    from flyte_nb.types.registry import Registry

_V = TypeVar("_V")

Body = Callable[[Definition, "dict[str, object]"], object]
"""Runs in place of an entity's code: gets the entity and its inputs by name, and returns what it returns."""


class StandIn(Task):
    """A task with the name, inputs and outputs of what it replaces."""

    def __init__(self, entity: Definition, body: Body) -> None:
        """Stand for an entity.

        Args:
            entity: what is replaced.
            body: what runs in its place.
        """
        function = function_of(entity)
        options = entity.options if isinstance(entity, Task) else TaskOptions()
        super().__init__(wrapped(entity, function, body), uncached(options))
        self._entity = entity
        self.module, self.short_name = entity.module, entity.short_name
        if entity.fixed_name:
            self.fixed_name = entity.fixed_name

    @property
    def location(self) -> "Location":
        """Where the author defined what is replaced."""
        return self._entity.location

    def read(self, registry: "Registry") -> "SignatureReading":
        """Return the signature of what is replaced, without the inputs that it fixes."""
        reading = self._entity.read(registry)
        fixed = self._entity.fixed_inputs
        if not fixed:
            return reading
        signature = reading.signature
        interface = signature.interface
        return reading._replace(
            signature=signature._replace(
                interface=interface._replace(inputs=_without(interface.inputs, fixed)),
                input_codecs=_without(signature.input_codecs, fixed),
                defaults=_without(signature.defaults, fixed),
                positional=tuple(name for name in signature.positional if name not in fixed),
            )
        )


def spied(task: Task, body: Body) -> Task:
    """Return the same task with `body` around its function; a dynamic one stays dynamic."""
    made = copy.copy(task)
    made.function = wrapped(task, task.function, body)
    made.options = uncached(made.options)
    return made


def mapped(over: MapTask, task: Task) -> MapTask:
    """Return the same map over another task."""
    return MapTask(
        task,
        uncached(over.options),
        over.bound,
        over.concurrency,
        over.tolerance,
        run_all_sub_nodes=over.run_all_sub_nodes,
    )


def wrapped(
    entity: Definition, function: "Callable[..., object]", body: Body
) -> "Callable[..., object]":
    """Return a function with the signature of `function` that runs `body`."""
    if isinstance(entity, Callee) and entity.is_async:

        @functools.wraps(function)
        async def run_async(**inputs: object) -> object:
            __tracebackhide__ = True
            value = body(entity, inputs)
            return await value if inspect.isawaitable(value) else value

        return run_async

    @functools.wraps(function)
    def run(**inputs: object) -> object:
        __tracebackhide__ = True
        return body(entity, inputs)

    return run


def uncached(options: TaskOptions) -> TaskOptions:
    """Return the options of a task whose results nobody keeps."""
    return options._replace(cache=False, cache_version="", cache_serialize=False)


def function_of(entity: Definition) -> "Callable[..., object]":
    """Return the author's function; of a launch plan, that of its workflow.

    Raises:
        UsageError: it is something else than a task, a workflow, a launch plan or a reference.
    """
    if isinstance(entity, LaunchPlan):
        return entity.workflow.function
    if isinstance(entity, Callee):
        return entity.function
    raise UsageError(f"{entity!r} cannot be replaced: give a task, a workflow or a launch plan.")


def check_takes(entity: Definition, function: "Callable[..., object]") -> None:
    """Check that a replacement takes the inputs of what it replaces.

    Raises:
        UsageError: it does not.
    """
    names = [
        name
        for name in inspect.signature(function_of(entity)).parameters
        if name not in entity.fixed_inputs
    ]
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except TypeError as error:
        what = "launch plan" if entity.resource_type == LAUNCH_PLAN else entity.noun
        given = ", ".join(names) or "none"
        raise UsageError(
            f"The replacement of the {what} {entity.short_name} does not take its inputs ({given}):"
            f" {error}. Inputs are passed by name."
        ) from error
    except ValueError:
        return  # a function in C has no signature that could be checked


def _without(values: "dict[str, _V]", names: "Container[str]") -> "dict[str, _V]":
    return {name: value for name, value in values.items() if name not in names}
