"""Decks: the pages of a task's report."""

from flyte_nb.sdk.execution_context import Deck as Deck


class DeckField:
    """Pages that are added to a report: `@task(enable_deck=True, deck_fields=(DeckField.INPUT,))`."""

    SOURCE_CODE = "Source Code"
    DEPENDENCIES = "Dependencies"
    TIMELINE = "Timeline"
    INPUT = "Input"
    OUTPUT = "Output"
