"""Retry calls of a store after transient faults: one rule for staging and fetching.

Part of the lean runtime: standard library only.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from flyte_nb.api.errors import StorageError

Sleep = Callable[[float], None]

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2
_DEADLINE_S = 900.0
_HINT = "The store cannot be reached or is overloaded. Try again later."

_T = TypeVar("_T")


class Retrying:
    """Calls a function, and calls it again after growing pauses while it raises a transient `StorageError`.

    There are at most four calls, with pauses of 0.2, 0.4 and 0.8 seconds.

    Args:
        sleep: waits for a number of seconds.
        clock: returns seconds since any fixed moment.
        deadline_s: seconds from now on after which no call is repeated. One object serves a whole
            staging or fetch, so that a store that fails at every member does not delay it for hours.
    """

    def __init__(
        self,
        sleep: Sleep = time.sleep,
        *,
        clock: "Callable[[], float]" = time.monotonic,
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._ends_at = clock() + deadline_s

    def __call__(self, act: "Callable[[], _T]") -> _T:
        """Return the result of `act()`.

        Raises:
            StorageError: when `act` raised one that is not transient, or raised one in the last call. In
                the latter case the message says how often it was tried.
        """
        tried = 0
        while True:
            try:
                return act()
            except StorageError as error:
                tried += 1
                # A missing object or a wrong key fails alike at every try.
                if not error.transient:
                    raise
                if tried == _ATTEMPTS or self._clock() >= self._ends_at:
                    raise _gave_up(error, tried) from error
            self._sleep(_FIRST_PAUSE_S * 2 ** (tried - 1))


def _gave_up(error: StorageError, tried: int) -> StorageError:
    times = "once, because the time for retries is over" if tried == 1 else f"{tried} times"
    return StorageError(
        f"{error.message} It was tried {times}.",
        uri=error.uri,
        transient=True,
        missing=error.missing,
        hint=error.hint or _HINT,
    )
