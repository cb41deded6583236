"""A local module, which travels with the tasks that use it."""

OFFSET = 40


def up(n):
    return n + OFFSET
