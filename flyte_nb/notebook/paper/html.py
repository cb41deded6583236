"""Write small, safe HTML: everything is escaped unless it was built here.

The HTML is for the strictest reader, JupyterLab's sanitizer for a notebook that was not trusted. It keeps
some tags, a few attributes, and inline styles of known properties whose colours are `#rrggbb` or `rgba(r,
g, b, a)`. It removes `<style>`, `<script>`, `<svg>`, `role`, `aria-*` and `var(…)`. `element` refuses what
the sanitizer would remove, so a card looks the same for its author and for everybody else.
"""

from collections.abc import Iterable
from html import escape
from typing import Union

from flyte_nb.api.visible import plain

_TAGS = """
b br caption code col colgroup dd details div dl dt em i img li ol p pre s small span strong sub
summary sup table tbody td tfoot th thead tr u ul
"""
_ATTRIBUTES = "alt class colspan dir height id lang open rowspan scope src title width"
_STYLES = """
background background-color border border-bottom border-collapse border-left border-radius
border-right border-spacing border-top bottom box-sizing color cursor display flex flex-wrap
align-items font-family font-size font-style font-weight gap height justify-content left
letter-spacing line-height list-style margin margin-bottom margin-left margin-right margin-top
max-height max-width min-height min-width opacity overflow overflow-wrap overflow-x overflow-y
padding padding-bottom padding-left padding-right padding-top position right table-layout
text-align text-decoration text-overflow top vertical-align white-space width word-break
"""

TAGS = frozenset(_TAGS.split())
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
STYLES = frozenset(_STYLES.split())
"""Properties that the sanitizer of JupyterLab 4.6 (`@jupyterlab/apputils`) keeps, as far as we use them."""

_VOID = frozenset({"br", "col", "img"})
"""Elements without an end tag."""


class Safe(str):
    """Text that is HTML already, so it is not escaped again."""

    __slots__ = ()


Child = Union["Safe", str, int, float, None]


def element(tag: str, *children: Child, style: str = "", **attributes: "str | int | bool") -> Safe:
    """Return one element.

    Args:
        tag: one of `TAGS`.
        children: its content; text is escaped, `Safe` is taken as it is, `None` is left out.
        style: inline CSS with properties of `STYLES` only.
        attributes: some of `ATTRIBUTES`; `True` writes the bare name, `False` writes nothing.

    Raises:
        ValueError: a tag, attribute or property is not on its list.
    """
    if tag not in TAGS:
        raise ValueError(f"<{tag}> does not survive an untrusted notebook")
    parts = [f"<{tag}"]
    if style:
        parts.append(f' style="{escape(checked_style(style), quote=True)}"')
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise ValueError(f"the attribute {name!r} does not survive an untrusted notebook")
        if value is True:
            parts.append(f" {name}")
        elif value is not False:
            parts.append(f' {name}="{escape(str(value), quote=True)}"')
    if tag in _VOID:
        return Safe("".join(parts) + "/>")
    return Safe(f"{''.join(parts)}>{join(children)}</{tag}>")


def join(children: "Iterable[Child]", separator: str = "") -> Safe:
    """Return the children as HTML, one after the other, with the text `separator` between them."""
    return Safe(escape(separator).join(text(child) for child in children if child is not None))


def text(child: Child) -> Safe:
    """Return a child as HTML: escaped, unless it is `Safe`."""
    if isinstance(child, Safe):
        return child
    # Lone surrogates (from broken file names) and control characters cannot be sent to a page.
    clean = plain(str(child)).encode("utf-8", "replace").decode("utf-8")
    return Safe(escape(clean, quote=False))


def escaped(content: str) -> str:
    """Return the text escaped for HTML and for attributes, without colours and control characters."""
    return escape(plain(content))


def with_code(sentence: str, style: str = "") -> Safe:
    """Return a sentence as HTML, in which `backticks` mark code in the given style."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # an odd number of backticks is not markup
        return text(sentence)
    return join(
        element("code", part, style=style) if index % 2 else part
        for index, part in enumerate(parts)
    )


def checked_style(style: str) -> str:
    """Return `style` as it is.

    Raises:
        ValueError: one of its properties is not in `STYLES`.
    """
    for declaration in style.split(";"):
        name, colon, _ = declaration.partition(":")
        if colon and name.strip() not in STYLES:
            raise ValueError(
                f"the property {name.strip()!r} does not survive an untrusted notebook"
            )
    return style
