"""Names of the travelling ring: the rooms that every bundle carries, and their names inside it."""

PATH_ROOMS = ("core", "deck", "exceptions", "experimental", "extras", "models")
"""Rooms with flytekit's module paths, by which the modules of an author may import the SDK."""

RING_ROOMS = ("api", "types", "sdk", "pipe", "worker", *PATH_ROOMS)
"""Rooms of flyte_nb in the ring; they use the standard library only."""

CLOUDPICKLE = "_flyte_nb_cloudpickle"
"""The name under which cloudpickle travels, so that the user's own copy stays untouched."""

RING_PACKAGES = frozenset({"flyte_nb", CLOUDPICKLE})
"""Top-level packages of the ring. They never count as the author's modules or requirements."""

RING_FILENAMES = "<flyte_nb>/"
"""Prefix of the file names in code that was compiled for the ring. Tracebacks leave such frames out."""
