"""Import ipywidgets in one place: it has no type annotations, and it is an optional dependency.

Importing this module raises `UsageError` where ipywidgets is missing. So it is imported only by modules
that make widgets, and those modules are imported only when a widget is about to be shown.
"""

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


def button(text: str, tooltip: str, *classes: str) -> Any:
    """Return a button with these CSS classes."""
    made = widgets.Button(description=text, tooltip=tooltip)
    for name in classes:
        made.add_class(name)
    return made


def close_all(widget: Any) -> None:
    """Close a widget and everything inside it, innermost first.

    ipywidgets closes only the widget itself. The models of its children would stay in the page and in
    the kernel, one set for each run that was followed.
    """
    for child in getattr(widget, "children", ()):
        close_all(child)
    widget.close()
