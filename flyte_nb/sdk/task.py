"""`@task`: make a function a step that runs in a process of its own."""

import copyreg
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, overload

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import TASK
from flyte_nb.sdk.callee import Callee

if TYPE_CHECKING:
    from datetime import timedelta

    from flyte_nb.api.identifiers import Identifier
    from flyte_nb.api.specs import Target
    from flyte_nb.sdk.options import Cache, Resources, Secret, TaskMetadata
    from flyte_nb.types.registry import Registry


class TaskOptions(NamedTuple):
    """The options of a task, as plain values."""

    retries: int = 0
    cache: bool = False
    cache_version: str = ""
    cache_serialize: bool = False
    cache_ignore_input_vars: "tuple[str, ...]" = ()
    timeout_s: float = 0.0
    environment: "tuple[tuple[str, str], ...]" = ()
    requests: specs.Resources = specs.Resources()
    limits: specs.Resources = specs.Resources()
    container_image: str = ""
    secret_requests: "tuple[specs.SecretRequest, ...]" = ()
    interruptible: "bool | None" = None
    deprecated: str = ""
    enable_deck: bool = False
    docs: str = ""
    pod_template_name: str = ""
    output_names: "tuple[str, ...]" = ()
    """Names of the outputs, where the signature does not name them (`%%task … -> x: int`)."""
    requirements: str = ""
    """Path of a lock of requirements, from which the task's own environment is made where it runs."""
    deck_fields: "tuple[str, ...]" = ("Source Code", "Dependencies", "Timeline", "Input", "Output")
    """Pages that are added to the report without code in the task (`DeckField`)."""
    labels: "tuple[tuple[str, str], ...]" = ()
    """Kubernetes labels of its pods."""
    annotations: "tuple[tuple[str, str], ...]" = ()

    def counted(self) -> "tuple[object, ...]":
        """Return the options that a version is made of.

        Options that came later count only when they are set. So a release with more options gives nothing a
        new version.
        """
        end = len(self)
        while end > _FIRST_OPTIONS and self[end - 1] == _PLAIN[end - 1]:
            end -= 1
        return self[:end]

    def __reduce_ex__(self, protocol: SupportsIndex) -> "tuple[object, ...]":
        # What is pickled is part of the fingerprint of code that holds a task, e.g. of a map over one.
        return vars(copyreg)["__newobj__"], (TaskOptions, *self.counted())


_FIRST_OPTIONS = TaskOptions._fields.index("labels")


class AnyTask(Callee):
    """What a node can run as one task: a function, or a map over one."""

    resource_type = TASK
    task_type = "python-task"
    """What Flyte runs it as (`TaskTemplate.type`)."""
    custom: "Mapping[str, object]" = MappingProxyType({})
    """What its kind adds to `TaskTemplate.custom`, for people and plugins that look there."""
    options: TaskOptions

    @property
    def original(self) -> "Task":
        """The task whose function a container of this one runs: itself; of a map, what is mapped."""
        raise NotImplementedError

    @property
    def output_names(self) -> "tuple[str, ...]":
        """Names of the outputs, where the signature does not name them."""
        return self.options.output_names

    def list_inputs(self, registry: "Registry") -> "tuple[str, ...]":
        """Return the inputs of which each attempt takes one item: none, because a task runs once."""
        return ()

    def target(self, reference: "Identifier") -> "Target":
        """Return what a node runs that calls this task."""
        return specs.TaskNode(reference)


class Task(AnyTask):
    """A task. `.function` is what the author wrote."""

    noun = "task"

    @property
    def original(self) -> "Task":
        """The task whose function a container of this one runs: itself."""
        return self

    def node_metadata(self) -> specs.NodeMetadata:
        """Return the metadata of a node that calls this, before any `with_overrides`."""
        # Propeller reads these two from the node only, not from the task's template. A map repeats them
        # on the node of its elements.
        return specs.NodeMetadata(
            self.shown_name,
            timeout_s=self.options.timeout_s or None,
            interruptible=self.options.interruptible,
        )


@overload
def task(function: "Callable[..., Any]") -> Task: ...


@overload
def task(
    function: None = None,
    *,
    cache: "bool | Cache" = False,
    cache_version: str = "",
    cache_serialize: bool = False,
    cache_ignore_input_vars: "tuple[str, ...]" = (),
    retries: int = 0,
    timeout: "float | timedelta" = 0,
    environment: "dict[str, str] | None" = None,
    resources: "Resources | None" = None,
    requests: "Resources | None" = None,
    limits: "Resources | None" = None,
    container_image: str = "",
    secret_requests: "list[Secret] | None" = None,
    interruptible: "bool | None" = None,
    deprecated: str = "",
    enable_deck: bool = False,
    docs: str = "",
    pod_template_name: str = "",
    output_names: "tuple[str, ...]" = (),
    requirements: str = "",
    deck_fields: "tuple[str, ...]" = ...,
    labels: "dict[str, str] | None" = None,
    annotations: "dict[str, str] | None" = None,
) -> "Callable[[Callable[..., Any]], Task]": ...


def task(function: "Callable[..., Any] | None" = None, **options: Any) -> Any:
    """Make a function a task: `@task` or `@task(cache=True, retries=2)`.

    Inputs and outputs are what the annotations say; nothing is checked before the task is used.

    Args:
        function: the function, when it is used without options.
        **options: `cache` (a bool or a `Cache`; without a version the cache follows the code),
            `retries`, `timeout` (seconds or a timedelta, for one attempt), `environment`,
            `requests`, `limits` or `resources`, `container_image`, `secret_requests`,
            `interruptible`, `deprecated` (a message), `enable_deck` and `deck_fields`, `docs`,
            `pod_template_name`, `labels` and `annotations` of its pods, `requirements` (the path of a
            lock that
            `uv pip compile --generate-hashes` wrote; the task then runs in an environment of just
            these packages, made where it runs).

    Raises:
        UsageError: an option is unknown or has a value that it cannot have.
    """
    recorded = recorded_options("@task", options)
    if function is not None:
        return Task(function, recorded)

    def decorate(function: "Callable[..., Any]") -> Task:
        return Task(function, recorded)

    return decorate


_PLAIN = TaskOptions()
_KNOWN = frozenset(TaskOptions._fields) - {"timeout_s"} | {"timeout", "resources"}


def recorded_options(spelled: str, given: "dict[str, Any]") -> TaskOptions:
    """Return the options that an author gave, as plain values.

    Args:
        spelled: how the author spelled what takes them, e.g. `@task`, for messages.
        given: the options by name.

    Raises:
        UsageError: one is unknown or has a value that it cannot have.
    """
    if not given:
        return _PLAIN
    unknown = [name for name in given if name not in _KNOWN]
    if unknown:
        raise UsageError(
            f"{spelled} has no option {unknown[0]!r}. It has: {', '.join(sorted(_KNOWN))}."
        )
    # `@task` without options, which is most of them, does not load what checks options.
    from flyte_nb.sdk.option_values import plain_options

    return TaskOptions(**plain_options(given))


def with_metadata(options: TaskOptions, metadata: "TaskMetadata") -> TaskOptions:
    """Return the options with those of `metadata` in their place.

    Raises:
        UsageError: one has a value that it cannot have.
    """
    given = metadata.given()
    recorded = recorded_options("TaskMetadata", given)._asdict()
    given["timeout_s"] = given.pop("timeout")
    return options._replace(**{name: recorded[name] for name in given})
