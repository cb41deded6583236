"""Text in SVG: escaped, and without what XML cannot carry."""

import re
from html import escape

_SPECIAL = re.compile("[<>&\"']")
# XML 1.0 cannot carry these, not even as references; lone surrogates cannot be encoded.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def text(content: str) -> str:
    """The text as it stands in an XML document, in an attribute too."""
    content = possible(content)
    return escape(content, quote=True) if _SPECIAL.search(content) else content


def possible(content: str) -> str:
    """The text with U+FFFD in place of what no document can carry: control characters, lone surrogates."""
    if content.isascii() and content.isprintable():
        return content
    return _IMPOSSIBLE.sub("\ufffd", content)
