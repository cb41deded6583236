"""Recognize Kubernetes quantities: `500m`, `1Gi`, `2e3`.

Source: k8s.io/apimachinery/pkg/api/resource `ParseQuantity`: a sign, digits with at most one point,
and a suffix: binary (Ki … Ei), decimal (n u m k M G T P E) or an exponent.
"""

import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,18})?", re.ASCII
)
_MAX_EXPONENT = 400
_MAX_LENGTH = 1000
_DECIMAL = "numkMGTPE"
_POWERS = dict(zip(_DECIMAL, (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True))


def is_quantity(text: str) -> bool:
    """Return whether Kubernetes can read `text` as an amount."""
    return _QUANTITY.fullmatch(text) is not None


def amount(text: str) -> "Decimal | None":
    """Return the amount that `text` says; `None` when it says none, or one of over 400 digits."""
    if len(text) > _MAX_LENGTH:
        return None
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, unit = Decimal(match[1]), match[2] or ""
    if unit[:1] in ("e", "E") and len(unit) > 1:
        exponent = int(unit[1:])
        return number.scaleb(exponent) if abs(exponent) <= _MAX_EXPONENT else None
    if unit[1:] == "i":
        return number * Decimal(2 ** (10 * ("KMGTPE".index(unit[0]) + 1)))
    return number.scaleb(_POWERS[unit]) if unit else number
