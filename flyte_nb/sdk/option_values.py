"""Check the values of options: of `@task`, `TaskMetadata` and `with_overrides` alike."""

from typing import Any

from flyte_nb.api import specs
from flyte_nb.api.errors import UsageError
from flyte_nb.sdk.options import Secret, requests_and_limits

_TEXTS = frozenset(
    {
        "cache_version", "container_image", "deprecated", "docs", "name", "node_name",
        "pod_template_name",
    }
)  # fmt: skip
_SWITCHES = frozenset({"cache_serialize", "enable_deck", "interruptible"})
_NAMES = frozenset({"cache_ignore_input_vars", "deck_fields", "output_names"})


def check(options: "dict[str, Any]") -> None:
    """Check every option that is given; names that are not known here are not checked.

    Raises:
        UsageError: a value cannot be meant; it says what to write.
    """
    for name, value in options.items():
        if name in _TEXTS and not isinstance(value, str):
            raise UsageError(f"{name}={value!r}: write text, e.g. {name}={str(value)!r}.")
        if name in _SWITCHES and not (isinstance(value, bool) or _is_left_open(name, value)):
            raise UsageError(f"{name}={value!r}: write {name}=True or {name}=False.")
        if name in _NAMES and (isinstance(value, str) or not _are_texts(value)):
            example = value if isinstance(value, str) else "name"
            raise UsageError(
                f"{name}={value!r}: write a tuple of names, e.g. {name}=({example!r},)."
            )
        if name == "retries" and (type(value) is not int or value < 0):
            raise UsageError(
                f"retries={value!r}: write a number of further attempts, e.g. retries=2."
            )
        if name == "timeout":
            seconds(value)
        if name == "cache" and not isinstance(value, bool) and not hasattr(value, "ignored_inputs"):
            raise UsageError(f"cache={value!r}: write cache=True or cache=Cache(version=…).")


def seconds(timeout: Any) -> float:
    """Return a timeout in seconds.

    Raises:
        UsageError: it is neither seconds nor a timedelta, or less than none.
    """
    found = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
    if isinstance(found, (int, float)) and not isinstance(found, bool) and found >= 0:
        return float(found)
    raise UsageError(f"timeout={timeout!r}: write seconds, e.g. timeout=600, or a timedelta.")


def _is_left_open(name: str, value: object) -> bool:
    return name == "interruptible" and value is None


def _are_texts(value: Any) -> bool:
    try:
        return all(isinstance(each, str) for each in value)
    except TypeError:
        return False


def plain_options(given: "dict[str, Any]") -> "dict[str, Any]":
    """Return the options of a task, whose names are known, as the plain values of `TaskOptions`.

    Raises:
        UsageError: one has a value that it cannot have.
    """
    check(given)
    known = dict(given)
    requests = known.pop("requests", None)
    limits = known.pop("limits", None)
    resources = known.pop("resources", None)
    if requests is not None or limits is not None or resources is not None:
        known["requests"], known["limits"] = requests_and_limits(requests, limits, resources)
    if "timeout" in known:
        known["timeout_s"] = seconds(known.pop("timeout"))
    known["environment"] = _environment(known.get("environment"))
    known["secret_requests"] = _secrets(known.get("secret_requests"))
    for name in ("labels", "annotations"):
        if name in known:
            known[name] = _texts(name, known[name])
    _apply_cache(known)
    if not isinstance(known.get("requirements", ""), str):
        raise UsageError(
            f"requirements={known['requirements']!r}: write the path of a lock, as"
            " `uv pip compile --generate-hashes requirements.in -o requirements.lock` makes it."
        )
    for name in ("cache_ignore_input_vars", "output_names", "deck_fields"):
        if name in known:
            known[name] = tuple(known[name])
    return known


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
    # The salt is part of the version: Flyte knows none, and another salt has to miss the cache too.
    known["cache"] = True
    known["cache_version"] = cache.version + cache.salt
    known["cache_serialize"] = cache.serialize
    known["cache_ignore_input_vars"] = cache.ignored_inputs


def _environment(environment: object) -> "tuple[tuple[str, str], ...]":
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


def _texts(option: str, given: object) -> "tuple[tuple[str, str], ...]":
    """Return labels or annotations as pairs, sorted, because their order means nothing."""
    if given is None:
        return ()
    texts = isinstance(given, dict) and all(
        isinstance(part, str) for item in given.items() for part in item
    )
    if not isinstance(given, dict) or not texts:
        raise UsageError(f"{option}={given!r}: write a dict of texts, e.g. {{'team': 'models'}}.")
    return tuple(sorted(given.items()))


def _is_variable(name: str) -> bool:
    """Return whether Kubernetes takes it as a variable's name (apimachinery's `IsEnvVarName`)."""
    plain = name.replace("-", "_").replace(".", "_")
    return plain.isascii() and plain.isidentifier() and name not in (".", "..")


def _secrets(secrets: object) -> "tuple[specs.SecretRequest, ...]":
    if not secrets:
        return ()
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
