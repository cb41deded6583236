"""The variables that an attempt gets on this machine before its task and its launch add any.

A local backend outlives the kernel that started it, and runs the tasks of all kernels. If attempts
inherited that kernel's variables, a task would depend on which notebook came first. So they get a small
set, which `docs/environments.md` lists for users.
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
"""Without these, an interpreter or a native package may not load at all."""
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
        *("FLYTE_NB_ENVIRONMENTS_DAYS", "FLYTE_NB_STAGING", "FLYTE_NB_CONTAINERS", "UV"),
    }
)
"""Settings of the person who runs the backend: how attempts are run on this machine."""

_INTERNAL = "FLYTE_INTERNAL_"
_BEGIN_OF_A_RUN = ("FLYTE_INTERNAL_EXECUTION_", "FLYTE_INTERNAL_TASK_", "BATCH_JOB_", "_F_")
_OF_A_RUN = frozenset(
    {
        *("FLYTE_INTERNAL_PROJECT", "FLYTE_INTERNAL_DOMAIN", "FLYTE_INTERNAL_NAME"),
        *("FLYTE_INTERNAL_VERSION", "FLYTE_ATTEMPT_NUMBER", "FLYTE_NB_ATTEMPT"),
    }
)
"""Variables that describe one attempt. They are never passed on to another one.
Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/k8s_resource_adds.go at v1.16.8."""

_INDEXES = ("UV_", "PIP_")


MIN_OFFLOADED, MAX_OFFLOADED = "_F_L_MIN_SIZE_MB", "_F_L_MAX_SIZE_MB"
"""From which size on an attempt stores an output as a file of its own, and which size is too large."""

DASK_VARIABLE = "FLYTE_NB_DASK"
"""The address of the Dask scheduler that runs attempts: `tcp://10.0.0.5:8786`. Unset: this machine does."""


def is_of_a_run(name: str) -> bool:
    """Return whether the variable describes one attempt."""
    return name in _OF_A_RUN or name.startswith(_BEGIN_OF_A_RUN)


def is_of_the_person(name: str) -> bool:
    """Return whether the variable tells where things are on this machine. In an image it would be wrong."""
    return name in _PERSON or name in _LIBRARIES or name in ("VIRTUAL_ENV", "CONDA_PREFIX")


def base_of(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return the variables that tasks get from the kernel or command that registers them."""
    return {
        name: value for name, value in environ.items() if name in _BASE or name.startswith(_LOCALE)
    }


def settings_of(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return the variables that every attempt gets from the backend."""
    return {
        name: value
        for name, value in environ.items()
        if name in _SETTINGS or (name.startswith(_INTERNAL) and not is_of_a_run(name))
    }


def lent_by(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return the variables by which object stores and package indexes are reached, with their credentials."""
    indexes = {name: value for name, value in environ.items() if name.startswith(_INDEXES)}
    return {**variables_of_stores(environ), **indexes}
