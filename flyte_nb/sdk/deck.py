"""`Deck`: a page of a task's report, which the task itself writes."""

from typing import Any

from flyte_nb.api.errors import UsageError


class DeckField:
    """Pages that a report has by itself; `@task(enable_deck=True, deck_fields=(DeckField.INPUT,))`."""

    SOURCE_CODE = "Source Code"
    DEPENDENCIES = "Dependencies"
    TIMELINE = "Timeline"
    INPUT = "Input"
    OUTPUT = "Output"


class Deck:
    """A named page of HTML in the report of the attempt that runs.

    The report is `deck.html` beside the attempt's outputs, of tasks with `enable_deck=True`; it is
    written when the attempt ends, also when it fails, and whenever `Deck.publish()` is called.

    Args:
        name: what the page is called; a later one of the same name takes its place.
        html: its content, trusted as it is: whoever sees the report runs it.
        auto_add_to_deck: whether it is part of the report.

    Raises:
        UsageError: when `html` is no text.
    """

    def __init__(self, name: str, html: str = "", auto_add_to_deck: bool = True) -> None:
        self._name = name
        self._html = _text(html or "")
        if auto_add_to_deck:
            from flyte_nb.sdk.execution_context import current_context

            current_context().decks.append(self)

    @property
    def name(self) -> str:
        """What the page is called."""
        return self._name

    @property
    def html(self) -> str:
        """Its content."""
        return self._html

    def append(self, html: str) -> "Deck":
        """Add to the page.

        Raises:
            UsageError: when `html` is no text.
        """
        self._html = f"{self._html}\n{_text(html)}"
        return self

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return f"<deck {self._name!r}, {len(self._html)} characters>"

    @staticmethod
    def publish() -> None:
        """Write the report as it is now, while the task goes on; outside of a run nothing happens.

        Raises:
            StorageError: when it cannot be stored.
        """
        from flyte_nb.sdk.execution_context import current_context

        current_context().publish_decks()


def _text(html: Any) -> str:
    if not isinstance(html, str):
        raise UsageError(
            f"A deck takes HTML as text, got {type(html).__name__}. Of a figure or a frame, take what"
            " its to_html() gives."
        )
    return html
