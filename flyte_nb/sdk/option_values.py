"""Whether the values of options can be meant: of `@task`, `TaskMetadata` and `with_overrides` alike."""

from typing import Any

from flyte_nb.api.errors import UsageError

_TEXTS = frozenset(
    {
        "cache_version", "container_image", "deprecated", "docs", "name", "node_name",
        "pod_template_name",
    }
)  # fmt: skip
_SWITCHES = frozenset({"cache_serialize", "enable_deck", "interruptible"})
_NAMES = frozenset({"cache_ignore_input_vars", "deck_fields", "output_names"})


def check(options: "dict[str, Any]") -> None:
    """Look at every option that is given; those that are not known here are not looked at.

    Raises:
        UsageError: when a value cannot be meant; it says what to write.
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
    """A timeout in seconds.

    Raises:
        UsageError: when it is neither seconds nor a timedelta, or less than none.
    """
    found = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
    if isinstance(found, (int, float)) and not isinstance(found, bool) and found >= 0:
        return float(found)
    raise UsageError(f"timeout={timeout!r}: write seconds, e.g. timeout=600, or a timedelta.")


def _is_left_open(name: str, value: Any) -> bool:
    return name == "interruptible" and value is None


def _are_texts(value: Any) -> bool:
    try:
        return all(isinstance(each, str) for each in value)
    except TypeError:
        return False
