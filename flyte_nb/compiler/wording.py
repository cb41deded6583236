"""Parts of sentences that problems of all kinds share: names that exist, the closest name, a cycle."""

import difflib
from collections.abc import Sequence

from flyte_nb.compiler.collector import named


def path_text(ids: "Sequence[str]") -> str:
    """Return the ids of a cycle for a sentence; long ones are shortened in the middle."""
    shown = ids if len(ids) <= 12 else [*ids[:6], f"({len(ids) - 12} more)", *ids[-6:]]
    return " → ".join(shown)


def names_text(known: "Sequence[str] | None", some: str, none: str) -> str:
    """Return the end of a sentence: which names there are; nothing when they were not collected."""
    if known is None:
        return ""
    return f"; {some} {named(known)}" if known else f"; {none}"


def closest(name: str, known: "Sequence[str] | None", none: str = "") -> str:
    """Return the hint `Did you mean 'depth'?`, else which names there are.

    Args:
        name: what the author wrote.
        known: the names that would be right; `None` when they were not collected.
        none: the hint when there is no right name.
    """
    # Cut, because comparing two texts takes time by the product of their lengths.
    spelled = {item[:200].casefold(): item for item in known or ()}
    match = difflib.get_close_matches(name[:200].casefold(), spelled, n=1)
    if match:
        return f"Did you mean {spelled[match[0]]!r}?"
    if not known:
        return none if known is not None else ""
    return f"Use {' or '.join(map(repr, known))}." if len(known) <= 2 else "Use one of these."
