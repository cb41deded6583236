"""Whether the backend that runs should give way to one of this release and this Python.

A backend outlives the kernel that started it, and so the release and the environment that it was
started from. A newer release replaces an older one when nothing runs. An older one never replaces a
newer one: they would take turns, and it might not know the newer one's database.
"""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from flyte_nb.admin.home import Home, Serving
from flyte_nb.api.version import __version__

_UNFINISHED = (
    "SELECT COUNT(*) FROM executions WHERE phase NOT IN"
    " ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT')"
)
_NUMBERS = re.compile(r"\d+")


def is_to_be_replaced(place: Home, serving: Serving) -> bool:
    """Return whether it should end now, for the next one to take up what it leaves."""
    if _has_lost_python(serving):
        return True  # it can start no attempt any more, and those that run go on without it
    return _is_older(serving.version, __version__) and unfinished(place.database) == 0


def notice(place: Home, serving: Serving) -> str:
    """Return what a person has to know of a backend of another release; empty when it is of this one."""
    if serving.version == __version__:
        return ""
    text = (
        f"The local backend that runs is of flyte_nb {serving.version}, and this is"
        f" {__version__}{f' ({serving.python} runs it)' if serving.python else ''}."
    )
    if not _is_older(serving.version, __version__):
        return f"{text} It goes on. Upgrade flyte_nb here if something does not fit."
    count = unfinished(place.database)
    running = "it does not say" if count is None else f"now {count} run{'s' if count == 1 else ''}"
    return (
        f"{text} It is replaced when no execution runs ({running})."
        " `flyte-nb down` ends it at once; attempts go on, and the next backend takes them up."
    )


def unfinished(database: Path) -> "int | None":
    """Return how many executions have not ended; `None` when the database cannot be asked."""
    try:
        uri = f"{database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=2)) as connection:
            (count,) = connection.execute(_UNFINISHED).fetchone()
    except sqlite3.Error:
        return None
    return int(count)


def _has_lost_python(serving: Serving) -> bool:
    return bool(serving.python) and not os.path.exists(serving.python)


def _is_older(one: str, other: str) -> bool:
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> "list[int]":
    return [int(number) for number in _NUMBERS.findall(version)]
