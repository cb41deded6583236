"""Escape text for SVG, and replace characters that XML cannot contain."""

import re
from html import escape

_SPECIAL = re.compile("[<>&\"']")
# XML 1.0 allows none of these, not even as references (section 2.2). Lone surrogates cannot be encoded.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def text(content: str) -> str:
    """Return the text escaped for an XML document, also for an attribute."""
    content = possible(content)
    return escape(content, quote=True) if _SPECIAL.search(content) else content


def possible(content: str) -> str:
    """Return the text with U+FFFD in place of characters that no XML document can contain."""
    if content.isascii() and content.isprintable():
        return content
    return _IMPOSSIBLE.sub("\ufffd", content)
