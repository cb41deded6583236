"""Part of a local package."""

FACTOR = 3


def scaled(n):
    return FACTOR * n
