"""Open the fsspec file system that serves a scheme, with timeouts and credentials.

Credentials come from the environment, where each cloud's own library reads them. The variables that Flyte
sets in its task containers (`FLYTE_AWS_ENDPOINT`, …) are read as well.
"""

import os
from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import StorageError

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "abfs": "abfs",
    "abfss": "abfs",
    "az": "abfs",
}
_CONNECT_S = 10


def anonymous(scheme: str) -> "Any | None":
    """Return a file system that sends no credentials, to read public data, or `None` for other schemes.

    Google's library tries this by itself.

    Raises:
        StorageError: when no installed package serves the scheme.
    """
    return file_system(scheme, anon=True) if _EXTRAS.get(scheme) in ("s3", "abfs") else None


def file_system(scheme: str, **more: Any) -> Any:
    """Return a new fsspec file system for `scheme`.

    Args:
        scheme: the scheme.
        **more: options that replace those of `options`.

    Raises:
        StorageError: when no installed package serves the scheme, or it cannot be opened, e.g. because it
            lacks credentials.
    """
    import fsspec  # here, because it takes 50 ms to import

    extra = _EXTRAS.get(scheme)
    try:
        # fsspec's caches are switched off: they are global, and keep listings and credentials.
        return fsspec.filesystem(  # type: ignore[no-untyped-call]
            scheme,
            skip_instance_cache=True,
            use_listings_cache=False,
            **{**options(extra, os.environ), **more},
        )
    except ImportError as error:
        hint = (
            f"Install it: pip install 'flyte-nb[{extra}]'."
            if extra
            else "Install its fsspec package."
        )
        raise StorageError(
            f"{scheme}:// needs a package that is not installed: {error}.",
            uri=f"{scheme}://",
            hint=hint,
        ) from error
    except ValueError as error:
        if extra:
            raise StorageError(
                f"{scheme}:// cannot be opened: {error}.",
                uri=f"{scheme}://",
                hint="Set the account and its credentials in the environment.",
            ) from error
        raise StorageError(
            f"No store serves {scheme}:// ({error}).",
            uri=f"{scheme}://",
            hint="Check the spelling. file, s3, gs, abfs and every scheme that fsspec knows can be used.",
        ) from error
    except Exception as error:  # any file system's own code, which may need more than a scheme
        raise StorageError(
            f"{scheme}:// cannot be opened: {type(error).__name__}: {error}.",
            uri=f"{scheme}://",
            hint="Use a store that is opened by its scheme alone: file, s3, gs or abfs.",
        ) from error


def options(extra: "str | None", env: "Mapping[str, str]") -> "dict[str, Any]":
    """Return the options with which the file system of `[extra]` is opened. Source: flytekit `S3Config`."""
    if extra == "s3":
        client: dict[str, Any] = {"connect_timeout": _CONNECT_S, "read_timeout": 60}
        # botocore's own retries would multiply with those of the store's callers (`bundle/retrying.py`).
        if "AWS_MAX_ATTEMPTS" not in env:
            client["retries"] = {"total_max_attempts": 2, "mode": "standard"}
        given: dict[str, Any] = {"config_kwargs": client}
        if key := env.get("FLYTE_AWS_ACCESS_KEY_ID"):
            given["key"] = key
        if secret := env.get("FLYTE_AWS_SECRET_ACCESS_KEY"):
            given["secret"] = secret
        if endpoint := env.get("FLYTE_AWS_ENDPOINT"):
            given["endpoint_url"] = endpoint
        return given
    if extra == "gs":
        return {"requests_timeout": 60}
    if extra == "abfs":
        # anon=False: without a key or connection string use the identity of the machine, pod or person.
        return {"connection_timeout": _CONNECT_S, "read_timeout": 60, "anon": False}
    return {}
