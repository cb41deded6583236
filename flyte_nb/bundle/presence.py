"""Find staged objects that are missing or cut short, without reading them: one `stat` for each object.

`inventory.verify` reads every byte and finds any damage. This check is fast, and it needs no credentials
where FlyteAdmin signs URLs.
"""

import hashlib
from collections.abc import Sequence

from flyte_nb.api.errors import BundleError
from flyte_nb.api.index import Index, IndexEntry
from flyte_nb.bundle.fetch import read_index
from flyte_nb.bundle.inventory import MISSING, Damage, ObjectReader, content_damage, tasks_needing
from flyte_nb.bundle.side_by_side import side_by_side


def find_missing(store: ObjectReader, index_uris: "Sequence[str]") -> "tuple[list[Damage], int]":
    """Find the indexes and members that are missing or do not have their full size.

    Indexes are read and verified. Of a member only the size is compared.

    Args:
        store: answers for the objects.
        index_uris: the locations of the indexes.

    Returns:
        the damaged objects, and how many objects have their full size.

    Raises:
        StorageError: when the store cannot be asked.
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
    found = side_by_side(lambda entry: object_damage(store, entry.uri, entry.size), entries)
    for entry, what in zip(entries, found, strict=True):
        if not what:
            whole.add(entry.uri)
            continue
        names = {name for index, own in needed[entry.uri] for name in tasks_needing(index, own)}
        damages[entry.uri] = Damage(entry.uri, entry.name, what, tuple(sorted(names)))
    return list(damages.values()), len(whole)


def object_damage(
    store: ObjectReader, uri: str, size: int, data: "bytes | memoryview | None" = None
) -> str:
    """Return what is wrong with an object, judged by its size and MD5, or `""` when nothing is.

    Args:
        store: answers for the object.
        uri: the object.
        size: the size in bytes that it has to have.
        data: its content, when the caller has it. Then the store's MD5 is compared, and the object is read
            when the MD5 differs.

    Raises:
        StorageError: when the store cannot be asked.
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
    # A store that encrypts may have taken the MD5 of the encrypted bytes, so the object is read.
    return content_damage(store, uri, size, hashlib.sha256(data).hexdigest())
