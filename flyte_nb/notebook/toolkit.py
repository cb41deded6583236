"""ipywidgets, imported in one place: it has no types, and not everybody has it installed."""

from importlib import import_module
from typing import Any

from flyte_nb.api.errors import UsageError


def _loaded() -> Any:
    try:
        return import_module("ipywidgets")
    except ImportError:
        raise UsageError(
            "Forms and live views need ipywidgets. Run %pip install 'flyte-nb[notebook]', restart the"
            " kernel, and reload the page."
        ) from None


widgets: Any = _loaded()


def close_all(widget: Any) -> None:
    """Close a widget and all that is in it, innermost first."""
    for child in getattr(widget, "children", ()):
        close_all(child)
    widget.close()
