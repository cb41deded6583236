"""Recognize Kubernetes quantities: `500m`, `1Gi`, `2e3`.

Source: k8s.io/apimachinery/pkg/api/resource `ParseQuantity`: a sign, digits with at most one point,
and a suffix: binary (Ki … Ei), decimal (n u m k M G T P E) or an exponent.
"""

import re

_QUANTITY = re.compile(
    r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,18})?", re.ASCII
)


def is_quantity(text: str) -> bool:
    """Return whether Kubernetes can read `text` as an amount."""
    return _QUANTITY.fullmatch(text) is not None
