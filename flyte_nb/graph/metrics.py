"""Estimate how wide a text is drawn, never too narrow, so that a title never leaves its node.

The widths are those of DejaVu Sans, one of the widest fonts that `system-ui` may stand for. Segoe
UI, San Francisco, Roboto and Helvetica are narrower, so a text that fits here fits there.
"""

import unicodedata

# Thousandths of an em, U+0020 to U+007E.
_ASCII = bytes(
    min(255, width // 4)
    for width in (
        318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
        636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
        1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
        603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500,
        500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
        635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
    )
)  # fmt: skip

# Widths by code point in 1/250 of an em, so that each fits a byte and a text's bytes can be summed up. A
# control character is drawn as U+FFFD, which is wide.
_WIDTHS = bytes([255] * 32) + _ASCII + bytes([255])
_WIDE = 1.0  # em, of East Asian letters
_USUAL = 0.66  # em, of other letters outside of ASCII
ELLIPSIS = "…"


def text_width(text: str, size: float) -> float:
    """Return the width of `text` at a font size of `size` px, in px; bold is about 1.08 times as wide."""
    if text.isascii():
        return sum(map(_WIDTHS.__getitem__, text.encode("ascii"))) * size * 0.004
    return sum(map(_glyph, text)) * size


def fit(text: str, size: float, room: float) -> str:
    """Return `text`, or as much of its start as fits into `room` px, with an ellipsis.

    A letter is never separated from its combining marks.
    """
    if text_width(text, size) <= room:
        return text
    left = room - size * _WIDE
    taken = []
    for character in text:
        left -= _glyph(character) * size
        if left < 0:
            break
        taken.append(character)
    # A separator or a lone mark in front of the ellipsis looks like a mistake.
    while taken and (taken[-1] in " ·.,_-" or unicodedata.combining(taken[-1])):
        taken.pop()
    return "".join(taken) + ELLIPSIS


def _glyph(character: str) -> float:
    """Return the width of one character, in em."""
    code = ord(character)
    if code < 128:
        return _WIDTHS[code] * 0.004
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn"):
        return 0.0
    if unicodedata.east_asian_width(character) in ("W", "F") or code > 0xFFFF:
        return 1.3 if code > 0xFFFF else _WIDE
    if character == "·":
        return 0.318
    return 0.84 if code >= 0x2000 else _USUAL
