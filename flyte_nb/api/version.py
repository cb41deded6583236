"""The release and the protocol, the two numbers that travel in every bundle."""

__version__ = "0.3.0"

PROTOCOL = 1
"""Version of the messages on the pipe and of the meaning of a bundle's members, which are append-only."""
