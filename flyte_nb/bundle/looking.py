"""Look whether bundles are there in full length, without reading them: a question an object."""

import hashlib
from collections.abc import Sequence

from flyte_nb.api.errors import BundleError
from flyte_nb.api.index import Index, IndexEntry
from flyte_nb.bundle.fetch import read_index
from flyte_nb.bundle.inventory import MISSING, Damage, Looks, checked, needing
from flyte_nb.bundle.side_by_side import side_by_side


def look(store: Looks, index_uris: "Sequence[str]") -> "tuple[list[Damage], int]":
    """Look whether indexes and their members are there in full length, and return what is not.

    Only indexes are read; of members the store says the size. The second value counts what is whole.

    Raises:
        StorageError: the store does not say it.
    """
    damages: dict[str, Damage] = {}
    whole: set[str] = set()
    needed: dict[str, list[tuple[Index, IndexEntry]]] = {}
    for uri in index_uris:
        try:
            contents = read_index(uri, store)
        except BundleError as error:
            damages[uri] = Damage(uri, "index", error.message, ())
            continue
        whole.add(uri)
        for entry in contents.entries:
            needed.setdefault(entry.uri, []).append((contents, entry))
    entries = [users[0][1] for users in needed.values()]
    found = side_by_side(lambda entry: look_at(store, entry.uri, entry.size), entries)
    for entry, what in zip(entries, found, strict=True):
        if not what:
            whole.add(entry.uri)
            continue
        names = {name for index, own in needed[entry.uri] for name in needing(index, own)}
        damages[entry.uri] = Damage(entry.uri, entry.name, what, tuple(sorted(names)))
    return list(damages.values()), len(whole)


def look_at(store: Looks, uri: str, size: int, data: "bytes | memoryview | None" = None) -> str:
    """Return what is wrong with an object, without reading it; an empty text when nothing is.

    Args:
        store: Says what it knows of the object.
        uri: The object.
        size: Its size.
        data: Its content, where that is at hand: then a store's MD5 is compared too.

    Raises:
        StorageError: the store does not say it.
    """
    found = store.stat(uri)
    if found is None:
        return MISSING
    if found.size != size:
        return f"it has {found.size} bytes in place of {size}"
    if data is None or not found.md5:
        return ""
    if hashlib.md5(data, usedforsecurity=False).hexdigest() == found.md5:
        return ""
    # A store that encrypts may tell the MD5 of what it made of the bytes, so they are read.
    return checked(store, uri, size, hashlib.sha256(data).hexdigest())
