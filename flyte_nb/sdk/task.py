"""`@task`: a function becomes a step that runs in a process of its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import TASK
from flyte_nb.sdk.callee import Callee

if TYPE_CHECKING:
    from datetime import timedelta

    from flyte_nb.api.identifiers import Identifier
    from flyte_nb.api.problems import Problem
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
    """Names of the outputs where the signature cannot say them (`%%task … -> x: int`)."""
    requirements: str = ""
    """Path of a lock: what the task's own environment is made of, where it runs."""
    deck_fields: "tuple[str, ...]" = ("Source Code", "Dependencies", "Timeline", "Input", "Output")
    """Pages that the report has by itself (`DeckField`)."""


class AnyTask(Callee):
    """What a node can run as one task: a function, or a map over one."""

    resource_type = TASK
    options: TaskOptions

    @property
    def original(self) -> "Task":
        """The task whose function a container of this one runs: itself; of a map, what is mapped."""
        raise NotImplementedError

    @property
    def output_names(self) -> "tuple[str, ...]":
        """Names of the outputs where the signature cannot say them."""
        return self.options.output_names

    def list_inputs(self, registry: "Registry") -> "tuple[str, ...]":
        """The inputs of which each attempt takes one item: none, for a task runs once."""
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
            `pod_template_name`, `requirements` (the path of a lock that
            `uv pip compile --generate-hashes` wrote; the task then runs in an environment of just
            these packages, made where it runs).

    Raises:
        UsageError: when an option is unknown or has a value that cannot be meant.
    """
    recorded = recorded_options("@task", options)
    if function is not None:
        return Task(function, recorded)

    def decorate(function: "Callable[..., Any]") -> Task:
        return Task(function, recorded)

    return decorate


def task_problems(task: Task, registry: "Registry") -> "tuple[Problem, ...]":
    """Everything that keeps `task` from being used: missing annotations, refused types and so on."""
    return task.problems(registry)


_PLAIN = TaskOptions()
_KNOWN = frozenset(TaskOptions._fields) - {"timeout_s"} | {"timeout", "resources"}


def recorded_options(spelled: str, given: "dict[str, Any]") -> TaskOptions:
    """The options that an author gave to what is `spelled` so, as plain values.

    Raises:
        UsageError: when one is unknown or has a value that cannot be meant.
    """
    if not given:
        return _PLAIN
    unknown = [name for name in given if name not in _KNOWN]
    if unknown:
        raise UsageError(
            f"{spelled} has no option {unknown[0]!r}. It has: {', '.join(sorted(_KNOWN))}."
        )
    from flyte_nb.sdk.option_values import check, seconds

    check(given)
    known = dict(given)
    requests = known.pop("requests", None)
    limits = known.pop("limits", None)
    resources = known.pop("resources", None)
    if requests is not None or limits is not None or resources is not None:
        from flyte_nb.sdk.options import requests_and_limits

        known["requests"], known["limits"] = requests_and_limits(requests, limits, resources)
    if "timeout" in known:
        known["timeout_s"] = seconds(known.pop("timeout"))
    known["environment"] = _environment(known.get("environment"))
    known["secret_requests"] = _secrets(known.get("secret_requests"))
    _apply_cache(known)
    if not isinstance(known.get("requirements", ""), str):
        raise UsageError(
            f"requirements={known['requirements']!r}: write the path of a lock, as"
            " `uv pip compile --generate-hashes requirements.in -o requirements.lock` makes it."
        )
    for name in ("cache_ignore_input_vars", "output_names", "deck_fields"):
        if name in known:
            known[name] = tuple(known[name])
    return TaskOptions(**known)


def with_metadata(options: TaskOptions, metadata: "TaskMetadata") -> TaskOptions:
    """Return the options with those of `metadata` in their place.

    Raises:
        UsageError: one has a value that cannot be meant.
    """
    given = metadata.given()
    recorded = recorded_options("TaskMetadata", given)._asdict()
    given["timeout_s"] = given.pop("timeout")
    return options._replace(**{name: recorded[name] for name in given})


def _apply_cache(known: "dict[str, Any]") -> None:
    cache = known.get("cache", False)
    if isinstance(cache, bool):
        for name in ("cache_version", "cache_serialize", "cache_ignore_input_vars"):
            if known.get(name) and not cache:
                raise UsageError(f"{name} is given, and cache is not. Write cache=True.")
        return
    if any(map(known.get, ("cache_version", "cache_serialize", "cache_ignore_input_vars"))):
        raise UsageError(
            "Give the version, serialize and ignored inputs in Cache(…), or beside cache=True, not both."
        )
    known["cache"] = True
    known["cache_version"] = cache.version + cache.salt
    known["cache_serialize"] = cache.serialize
    known["cache_ignore_input_vars"] = cache.ignored_inputs


def _environment(environment: Any) -> "tuple[tuple[str, str], ...]":
    if environment is None:
        return ()
    if not isinstance(environment, dict):
        raise UsageError(f"environment={environment!r}: write a dict, e.g. {{'MODE': 'fast'}}.")
    for name, value in environment.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise UsageError(
                f"environment: {name!r}: {value!r} is not text. Write {str(name)!r}: {str(value)!r}."
            )
        if not _is_variable(name) or "\0" in value:
            raise UsageError(
                f"environment: {name!r} is no variable that a container can have. Use ASCII letters,"
                " digits, '_', '-' and '.', not beginning with a digit, and no NUL in its value."
            )
    return tuple(environment.items())


def _is_variable(name: str) -> bool:
    """Whether Kubernetes takes it (apimachinery's `IsEnvVarName`)."""
    plain = name.replace("-", "_").replace(".", "_")
    return plain.isascii() and plain.isidentifier() and name not in (".", "..")


def _secrets(secrets: Any) -> "tuple[specs.SecretRequest, ...]":
    if not secrets:
        return ()
    from flyte_nb.sdk.options import Secret

    if not isinstance(secrets, (list, tuple)):
        raise UsageError(f"secret_requests={secrets!r}: write a list, [Secret(group=…, key=…)].")
    for secret in secrets:
        if not isinstance(secret, Secret):
            raise UsageError(f"secret_requests: {secret!r}: write Secret(group=…, key=…).")
    return tuple(
        specs.SecretRequest(
            group=each.group,
            key=each.key,
            group_version=each.group_version,
            mount_requirement=each.mount_requirement,
        )
        for each in secrets
    )
