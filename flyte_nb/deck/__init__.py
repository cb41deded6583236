"""flytekit's path of reports: `from flyte_nb.deck import Deck`.

The room only gives names of this SDK. It travels in the ring, because the modules of an author import by
this path where a task runs. It may import from `sdk`. Start reading at `sdk/deck.py`.
"""

from flyte_nb.sdk.deck import Deck as Deck
from flyte_nb.sdk.deck import DeckField as DeckField
