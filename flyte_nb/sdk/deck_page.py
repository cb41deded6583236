"""Write the report of an attempt as one HTML file: pages, and their names to choose one by."""

from collections.abc import Iterable
from html import escape
from typing import Protocol

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--back:#fff;--mark:#0969da}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--back:#0d1117;
--mark:#4493f8}}
body{margin:0;padding:16px 20px;font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back)}
input{position:absolute;opacity:0}
label{display:inline-block;padding:6px 12px;margin-right:4px;color:var(--soft);cursor:pointer;
border-bottom:2px solid transparent}
section{display:none;border-top:1px solid var(--line);padding-top:12px;margin-top:-1px;overflow-x:auto}
table{border-collapse:collapse}td,th{border:1px solid var(--line);padding:3px 8px;text-align:left}
pre{white-space:pre-wrap;font:12px/1.5 ui-monospace,monospace;margin:0}
"""


class DeckPage(Protocol):
    """One page of a report."""

    @property
    def name(self) -> str:
        """What it is chosen by."""
        ...

    @property
    def html(self) -> str:
        """Its content."""
        ...


def page(title: str, decks: "Iterable[DeckPage]") -> str:
    """Return the report's HTML.

    Args:
        title: the title of the window, usually the task's name.
        decks: pages with `name` and `html`; the last of several with one name is taken.
    """
    pages = {str(deck.name): str(deck.html) for deck in decks}
    # Radio buttons choose the page, because a report must work without scripts: consoles show it in a
    # sandbox.
    choices, labels, sections, rules = [], [], [], []
    for number, (name, html) in enumerate(pages.items()):
        checked = " checked" if number == 0 else ""
        choices.append(f'<input type="radio" name="deck" id="d{number}"{checked}>')
        labels.append(f'<label for="d{number}">{escape(name)}</label>')
        sections.append(f'<section id="s{number}" aria-label="{escape(name)}">{html}</section>')
        rules.append(
            f"#d{number}:checked~#s{number}{{display:block}}"
            f"#d{number}:checked~nav [for=d{number}]{{color:var(--ink);border-color:var(--mark)}}"
            f"#d{number}:focus-visible~nav [for=d{number}]{{outline:2px solid var(--mark)}}"
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}{''.join(rules)}</style></head><body>"
        f"{''.join(choices)}<nav>{''.join(labels)}</nav>{''.join(sections)}</body></html>"
    )
