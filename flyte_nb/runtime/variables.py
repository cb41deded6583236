"""The variables that a process gets on this machine before its task and its launch ask for any.

A local backend outlives the kernel that started it, and runs the tasks of all of them. So an attempt
does not inherit that kernel's variables, but a small set that is the same wherever it is read:
`docs/environments.md` lists it for users.
"""

from collections.abc import Mapping

from flyte_nb.storage import variables_of_stores

_PERSON = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "TMPDIR", "TZ"),
        *("LANG", "LANGUAGE"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"),
    }
)
_LIBRARIES = frozenset(
    {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"}
)
"""Without these an interpreter or a native package may not be loadable at all."""
_NETWORK = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
_BASE = _PERSON | _LIBRARIES | _NETWORK
_LOCALE = "LC_"

_SETTINGS = frozenset(
    {
        *("FLYTE_NB_HOME", "FLYTE_NB_WARM", "FLYTE_NB_TERMINATION_GRACE_S"),
        *("FLYTE_NB_WORKER_PYTHON", "FLYTE_NB_ENVIRONMENTS", "FLYTE_NB_ENVIRONMENT_TIMEOUT_S"),
        *("FLYTE_NB_ENVIRONMENTS_DAYS", "FLYTE_NB_STAGING", "UV"),
    }
)
"""How attempts are run here: settings of the person who runs the backend."""

_INTERNAL = "FLYTE_INTERNAL_"
_BEGIN_OF_A_RUN = ("FLYTE_INTERNAL_EXECUTION_", "FLYTE_INTERNAL_TASK_", "BATCH_JOB_", "_F_")
_OF_A_RUN = frozenset(
    {
        *("FLYTE_INTERNAL_PROJECT", "FLYTE_INTERNAL_DOMAIN", "FLYTE_INTERNAL_NAME"),
        *("FLYTE_INTERNAL_VERSION", "FLYTE_ATTEMPT_NUMBER", "FLYTE_NB_ATTEMPT"),
    }
)
"""What describes one attempt: it is never passed on to another.
Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/k8s_resource_adds.go at v1.16.8."""

_INDEXES = ("UV_", "PIP_")


def is_of_a_run(name: str) -> bool:
    """Return whether the variable describes one attempt."""
    return name in _OF_A_RUN or name.startswith(_BEGIN_OF_A_RUN)


def base_of(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return what of a kernel's or command's variables its tasks get: person, network, libraries."""
    return {
        name: value for name, value in environ.items() if name in _BASE or name.startswith(_LOCALE)
    }


def settings_of(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return what of the backend's own variables every attempt gets."""
    return {
        name: value
        for name, value in environ.items()
        if name in _SETTINGS or (name.startswith(_INTERNAL) and not is_of_a_run(name))
    }


def lent_by(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return how object stores and package indexes are reached from here, credentials included."""
    indexes = {name: value for name, value in environ.items() if name.startswith(_INDEXES)}
    return {**variables_of_stores(environ), **indexes}
