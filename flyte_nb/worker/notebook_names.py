"""`display` of a notebook, where a task runs: there is a log to show values in."""

import sys
from typing import Any


def display(*values: Any, raw: bool = False, display_id: Any = None, **options: Any) -> Any:
    """Print the values to the task's log, as IPython's `display` does outside of a notebook.

    Args:
        *values: what to show.
        raw: whether each value is a dict of texts by their kind.
        display_id: with one, a handle is returned whose `update` prints again.
        **options: what else IPython's takes; a log has no use for it.
    """
    for value in values:
        if raw and isinstance(value, dict):
            text = str(value.get("text/plain", ""))
        else:
            text = value if isinstance(value, str) else repr(value)
        sys.stdout.write(f"{text}\n")
    return DisplayHandle(display_id) if display_id else None


class DisplayHandle:
    """What `display(…, display_id=…)` returns."""

    def __init__(self, display_id: Any) -> None:
        self.display_id = display_id

    def display(self, value: Any, **options: Any) -> None:
        """Print the value."""
        display(value, **options)

    update = display
