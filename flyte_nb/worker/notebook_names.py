"""A notebook's `display` for tasks, which shows values in the log."""

import sys
from typing import Any


def display(*values: Any, raw: bool = False, display_id: Any = None, **options: Any) -> Any:
    """Print the values to the task's log, as IPython's `display` does outside of a notebook.

    Args:
        *values: the values to show.
        raw: whether each value is a dict of texts by MIME type.
        display_id: any true value makes the call return a handle, whose `update` prints again.
        **options: IPython's other options, which are ignored.
    """
    for value in values:
        if raw and isinstance(value, dict):
            text = str(value.get("text/plain", ""))
        else:
            text = value if isinstance(value, str) else repr(value)
        sys.stdout.write(f"{text}\n")
    return DisplayHandle(display_id) if display_id else None


class DisplayHandle:
    """The handle that `display(…, display_id=…)` returns."""

    def __init__(self, display_id: Any) -> None:
        self.display_id = display_id

    def display(self, value: Any, **options: Any) -> None:
        """Print the value."""
        display(value, **options)

    update = display
