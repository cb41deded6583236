"""Try again what failed for a moment: one rule for staging and fetching.

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
_HINT = "The store cannot be reached, or is busy. Try again later."

_T = TypeVar("_T")


class Retrying:
    """Calls something, and again after growing pauses while it fails with a transient `StorageError`.

    Args:
        sleep: waits, seconds.
        clock: seconds from any moment on.
        deadline_s: when so much time has passed since this was made, nothing is tried again.
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
        """What `act()` gives.

        Raises:
            StorageError: that `act` raised, when it is not transient or came too often; then its
                message says how often it was tried.
        """
        tried = 0
        while True:
            try:
                return act()
            except StorageError as error:
                tried += 1
                if not error.transient:
                    raise
                if tried == _ATTEMPTS or self._clock() >= self._ends_at:
                    raise _gave_up(error, tried) from error
            self._sleep(_FIRST_PAUSE_S * 2 ** (tried - 1))


def _gave_up(error: StorageError, tried: int) -> StorageError:
    times = "once, for time is up" if tried == 1 else f"{tried} times"
    return StorageError(
        f"{error.message} It was tried {times}.",
        uri=error.uri,
        transient=True,
        missing=error.missing,
        hint=error.hint or _HINT,
    )
