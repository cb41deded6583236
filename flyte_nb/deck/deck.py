"""flytekit's path of `Deck`, `DeckField`."""

from flyte_nb.sdk.deck import Deck as Deck
from flyte_nb.sdk.deck import DeckField as DeckField
