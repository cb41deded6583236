"""The release and the protocol: the two numbers that travel in every bundle."""

__version__ = "0.3.0"

PROTOCOL = 1
"""Version of the pipe between host and worker and of what a bundle's members mean. Append-only."""
