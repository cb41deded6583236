"""Decide whether the running backend is replaced by one of this release and this Python.

A backend outlives the kernel that started it, so its release and its environment may be old. A newer
release replaces an older one when nothing runs. An older release never replaces a newer one: the two
would take turns, and the older one may not know the newer one's database.
"""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from flyte_nb.admin.home import Home, Serving
from flyte_nb.admin.store.schema import UNFINISHED
from flyte_nb.api.version import __version__
from flyte_nb.runtime.variables import DASK_VARIABLE

_NUMBERS = re.compile(r"\d+")


def is_to_be_replaced(place: Home, serving: Serving) -> bool:
    """Return whether the running backend should end now, so that a new one continues its work."""
    if _has_lost_python(serving):
        # It can start no attempt any more, and attempts that run do not need it.
        return True
    return _is_older(serving.version, __version__) and unfinished(place.database) == 0


def notice(place: Home, serving: Serving) -> str:
    """Return what a person should know about a backend that differs from one that would start now."""
    return " ".join(filter(None, (_of_release(place, serving), _of_dask(serving))))


def _of_dask(serving: Serving) -> str:
    """Return that attempts run elsewhere than the variable asks for; empty when it asks for nothing else."""
    wanted = os.environ.get(DASK_VARIABLE, "").strip()
    if not wanted or wanted == serving.dask:
        return ""
    where = f"on the Dask cluster at {serving.dask}" if serving.dask else "on this machine"
    return (
        f"{DASK_VARIABLE} is {wanted}, and the running local backend runs tasks {where}."
        " `flyte-nb down` ends it; the next use starts one with the cluster."
    )


def _of_release(place: Home, serving: Serving) -> str:
    """Return what a person should know about a backend of another release; empty for this release."""
    if serving.version == __version__:
        return ""
    text = (
        f"The running local backend is of flyte_nb {serving.version}, and this is"
        f" {__version__}{f' ({serving.python} runs it)' if serving.python else ''}."
    )
    if not _is_older(serving.version, __version__):
        return f"{text} It stays. Upgrade flyte_nb here if something does not work with it."
    count = unfinished(place.database)
    running = "unknown" if count is None else f"now {count} run{'s' if count == 1 else ''}"
    return (
        f"{text} It is replaced when no execution runs ({running})."
        " `flyte-nb down` ends it at once; attempts go on, and the next backend adopts them."
    )


def unfinished(database: Path) -> "int | None":
    """Return how many executions have not ended; `None` when the database cannot be read."""
    try:
        # Read only, and not by `Database`, which would migrate the tables of an older release.
        uri = f"{database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=2)) as connection:
            (count,) = connection.execute(
                f"SELECT COUNT(*) FROM executions WHERE {UNFINISHED}"
            ).fetchone()
    except sqlite3.Error:
        return None
    return int(count)


def _has_lost_python(serving: Serving) -> bool:
    # A `backend.json` of an earlier release does not say which Python runs the backend.
    return bool(serving.python) and not os.path.exists(serving.python)


def _is_older(one: str, other: str) -> bool:
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> "list[int]":
    # `1.10` comes after `1.9`, so the parts are compared as numbers.
    return [int(number) for number in _NUMBERS.findall(version)]
