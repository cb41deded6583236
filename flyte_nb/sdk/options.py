"""Values for the options of tasks: resources, secrets, caching. The names are flytekit's."""

from typing import Any

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError

_QUANTITIES = ("cpu", "mem", "gpu", "ephemeral_storage")


class _Value:
    """A value that is compared, hashed and shown by its fields."""

    __slots__: "tuple[str, ...]" = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={value!r}"
            for name, value in zip(self.__slots__, self._fields(), strict=True)
            if value not in (None, "", (), False)
        )
        return f"{type(self).__name__}({shown})"

    def _fields(self) -> "tuple[object, ...]":
        return tuple(getattr(self, name) for name in self.__slots__)


class Resources(_Value):
    """What a task's pod asks for, as Kubernetes quantities: `Resources(cpu="500m", mem="1Gi")`.

    In `@task(resources=…)` a field may be a pair, request and limit: `Resources(mem=("1Gi", "2Gi"))`.
    """

    __slots__ = _QUANTITIES

    def __init__(
        self, cpu: Any = None, mem: Any = None, gpu: Any = None, ephemeral_storage: Any = None
    ) -> None:
        values = (cpu, mem, gpu, ephemeral_storage)
        for name, value in zip(_QUANTITIES, values, strict=True):
            setattr(self, name, _quantity(name, value))


class Secret(_Value):
    """A secret that the task may read with `current_context().secrets.get(group, key)`."""

    __slots__ = ("group", "group_version", "key", "mount_requirement")

    def __init__(
        self,
        group: str = "",
        key: str = "",
        group_version: str = "",
        mount_requirement: str = "any",
    ) -> None:
        mount = str(mount_requirement).rpartition(".")[2].lower()
        if mount not in ("any", "env_var", "file"):
            raise UsageError(
                f"mount_requirement is {mount_requirement!r}; it is one of 'any', 'env_var', 'file'."
            )
        self.group = group
        self.key = key
        self.group_version = group_version
        self.mount_requirement = mount


class Cache(_Value):
    """How a task is cached. Without a `version`, the version follows from the task's code."""

    __slots__ = ("ignored_inputs", "salt", "serialize", "version")

    def __init__(
        self,
        version: str = "",
        serialize: bool = False,
        ignored_inputs: "tuple[str, ...] | list[str] | str" = (),
        salt: str = "",
    ) -> None:
        for name, value in (("version", version), ("salt", salt)):
            if value and not isinstance(value, str):
                raise UsageError(
                    f"Cache({name}={value!r}): write text, e.g. {name}={str(value)!r}."
                )
        self.version = version or ""
        self.serialize = serialize
        named = (ignored_inputs,) if isinstance(ignored_inputs, str) else tuple(ignored_inputs)
        self.ignored_inputs = named
        self.salt = salt or ""


class TaskMetadata(_Value):
    """Options of a map task in place of those that the mapped task has: `TaskMetadata(retries=1)`."""

    __slots__ = (
        "cache",
        "cache_ignore_input_vars",
        "cache_serialize",
        "cache_version",
        "deprecated",
        "interruptible",
        "pod_template_name",
        "retries",
        "timeout",
    )

    def __init__(
        self,
        cache: Any = False,
        cache_serialize: bool = False,
        cache_version: str = "",
        cache_ignore_input_vars: "tuple[str, ...]" = (),
        interruptible: "bool | None" = None,
        deprecated: str = "",
        retries: int = 0,
        timeout: Any = 0,
        pod_template_name: "str | None" = None,
    ) -> None:
        self.cache = cache
        self.cache_serialize = cache_serialize
        self.cache_version = cache_version
        self.cache_ignore_input_vars = tuple(cache_ignore_input_vars)
        self.interruptible = interruptible
        self.deprecated = deprecated
        self.retries = retries
        self.timeout = timeout or 0
        self.pod_template_name = pod_template_name or ""

    def given(self) -> "dict[str, Any]":
        """Return the options by name, as `@task` takes them."""
        return dict(zip(self.__slots__, self._fields(), strict=True))


def requests_and_limits(
    requests: "Resources | None", limits: "Resources | None", resources: "Resources | None"
) -> "tuple[specs.Resources, specs.Resources]":
    """Return the pair of requests and limits that a spec holds.

    Raises:
        UsageError: both `resources` and `requests` or `limits` are given, `requests` or `limits` hold
            pairs, or one is no `Resources`.
    """
    if resources is None:
        return _spec(requests, "requests"), _spec(limits, "limits")
    if requests is not None or limits is not None:
        raise UsageError("Give either resources= or requests= and limits=, not both.")
    if not isinstance(resources, Resources):
        raise UsageError(f"resources={resources!r}: write resources=Resources(cpu=…, mem=…).")
    asked: dict[str, str] = {}
    limited: dict[str, str] = {}
    for name in _QUANTITIES:
        value = getattr(resources, name)
        if isinstance(value, tuple):
            asked[name], limited[name] = value
        elif value:
            asked[name] = value  # as in flytekit: a single value is the request only
    return specs.Resources(**asked), specs.Resources(**limited)


def _spec(resources: "Resources | None", option: str) -> specs.Resources:
    if resources is None:
        return specs.Resources()
    if not isinstance(resources, Resources):
        raise UsageError(f"{option}={resources!r}: write {option}=Resources(cpu=…, mem=…).")
    values = {name: getattr(resources, name) for name in _QUANTITIES}
    for name, value in values.items():
        if isinstance(value, tuple):
            raise UsageError(
                f"{option}: {name} is a pair {value!r}; pairs belong in resources=Resources(…)."
            )
    return specs.Resources(**values)


def _quantity(name: str, value: object) -> "str | tuple[str, str]":
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise UsageError(f"{name}={value!r}: a pair is (request, limit).")
        request, limit = (_quantity(name, part) for part in value)
        return str(request), str(limit)
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return str(value)
    raise UsageError(f"{name}={value!r}: write a Kubernetes quantity, e.g. '500m' or '1Gi'.")
