"""Which fsspec file system serves a scheme, and what it is told.

Credentials come from the environment, as each cloud's own library reads them; beside those the names
count that Flyte gives its task containers (`FLYTE_AWS_ENDPOINT`, …).
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
    """A file system that shows no credentials, for public data; `None` where there is no such way.

    Google's library tries that by itself.
    """
    return file_system(scheme, anon=True) if _EXTRAS.get(scheme) in ("s3", "abfs") else None


def file_system(scheme: str, **more: Any) -> Any:
    """A file system of its own for `scheme`.

    Raises:
        StorageError: when nothing is installed that serves it, or it lacks credentials.
    """
    import fsspec

    extra = _EXTRAS.get(scheme)
    try:
        # One instance for each store: fsspec's cache is global, and keeps listings and credentials.
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
            f"Nothing here reads {scheme}:// ({error}).",
            uri=f"{scheme}://",
            hint="Is the scheme spelled right? file, s3, gs, abfs and what fsspec knows can be used.",
        ) from error
    except Exception as error:  # the code of any file system, which may want more than a scheme
        raise StorageError(
            f"{scheme}:// cannot be opened: {type(error).__name__}: {error}.",
            uri=f"{scheme}://",
            hint="Use a store that is opened by its scheme alone: file, s3, gs or abfs.",
        ) from error


def options(extra: "str | None", env: "Mapping[str, str]") -> "dict[str, Any]":
    """What the file system of `[extra]` is opened with. Source: flytekit `S3Config`."""
    if extra == "s3":
        client: dict[str, Any] = {"connect_timeout": _CONNECT_S, "read_timeout": 60}
        if "AWS_MAX_ATTEMPTS" not in env:  # who calls a store tries again as well
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
        # Without a key or connection string: the identity of the machine, the pod or the person.
        return {"connection_timeout": _CONNECT_S, "read_timeout": 60, "anon": False}
    return {}
