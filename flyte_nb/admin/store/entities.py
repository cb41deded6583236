"""Rows of registered tasks, workflows and launch plans: one class for the three nouns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flyteidl.core import identifier_pb2

from flyte_nb.admin.refused import not_found
from flyte_nb.admin.store.cache import BytesCache
from flyte_nb.admin.store.database import Database, Transaction
from flyte_nb.admin.store.filters import Condition
from flyte_nb.admin.store.listing import RowPage, page
from flyte_nb.admin.store.resources import LAUNCH_PLAN, TASK, WORKFLOW, Resource

_CACHE_BYTES = 16 * 1024 * 1024


class Noun(NamedTuple):
    """What differs between the three nouns."""

    resource: Resource
    label: str
    """FlyteAdmin's word for it in `missing entity of type …`."""
    resource_type: "identifier_pb2.ResourceType"


TASKS = Noun(TASK, "TASK", identifier_pb2.TASK)
WORKFLOWS = Noun(WORKFLOW, "WORKFLOW", identifier_pb2.WORKFLOW)
LAUNCH_PLANS = Noun(LAUNCH_PLAN, "LAUNCH_PLAN", identifier_pb2.LAUNCH_PLAN)


class StoredEntity(NamedTuple):
    """One registered version."""

    row_id: int
    digest: bytes
    message: bytes
    """The whole flyteidl message, serialized."""


class Entities:
    """The registered versions of one noun."""

    def __init__(self, database: Database, noun: Noun) -> None:
        self.noun = noun
        self._database = database
        table = noun.resource.table
        where = "project = ? AND domain = ? AND name = ? AND version = ?"
        self._find = f"SELECT id, digest, message FROM {table} WHERE {where}"
        self._message = f"SELECT message FROM {table} WHERE {where}"
        # Lists show less of a workflow; other nouns have no shorter message.
        self._listed = f"COALESCE({table}.listed, {table}.message)"
        # A stored version never changes, except for the state of a launch plan: those are not cached.
        self._cache = BytesCache(0 if noun is LAUNCH_PLANS else _CACHE_BYTES)

    def message(self, identifier: identifier_pb2.Identifier) -> bytes:
        """Return the entity's message, serialized.

        Raises:
            Refused: `NOT_FOUND`.
        """
        message = self.known(identifier)
        if message is None:
            raise not_found(self.noun.label, identifier)
        return message

    def known(self, identifier: identifier_pb2.Identifier) -> "bytes | None":
        """Return the entity's message, serialized, or `None` when it is not registered."""
        key = key_of(identifier)
        message = self._cache.get(key)
        if message is None:
            row = self._database.one(self._message, key)
            if row is None:
                return None
            message = bytes(row[0])
            self._cache.put(key, message)
        return message

    def find(self, identifier: identifier_pb2.Identifier) -> "StoredEntity | None":
        """Return the stored version, or `None`."""
        row = self._database.one(self._find, key_of(identifier))
        return StoredEntity(*row) if row is not None else None

    def get(self, identifier: identifier_pb2.Identifier) -> StoredEntity:
        """Return the stored version.

        Raises:
            Refused: `NOT_FOUND`.
        """
        stored = self.find(identifier)
        if stored is None:
            raise not_found(self.noun.label, identifier)
        return stored

    def find_in(
        self, transaction: Transaction, identifier: identifier_pb2.Identifier
    ) -> "StoredEntity | None":
        """Return the stored version as this transaction sees it, or `None`."""
        # A reader's connection would not see what this transaction has written.
        row = transaction.one(self._find, key_of(identifier))
        return StoredEntity(*row) if row is not None else None

    def add(
        self,
        transaction: Transaction,
        identifier: identifier_pb2.Identifier,
        now: str,
        columns: "dict[str, Any]",
    ) -> int:
        """Store a new version; return the id of its row.

        Args:
            transaction: The transaction that writes it.
            identifier: Its id; the caller has checked that it is free.
            now: The time as text, see `moments.text`.
            columns: The other columns; `message` among them.
        """
        key = project, domain, name, version = key_of(identifier)
        message = columns["message"]
        # After the commit: a version whose transaction fails must not be found in the cache.
        transaction.after_commit(lambda: self._cache.put(key, message))
        return transaction.insert(
            self.noun.resource.table,
            {
                "created_at": now,
                "updated_at": now,
                "project": project,
                "domain": domain,
                "name": name,
                "version": version,
                **columns,
            },
        )

    def page(
        self, conditions: Sequence[Condition], *, order: str, limit: int, offset: int
    ) -> RowPage:
        """Return a page of messages as lists show them."""
        return page(
            self._database,
            self.noun.resource,
            conditions,
            select=self._listed,
            order=order,
            limit=limit,
            offset=offset,
        )

    def names(
        self, conditions: Sequence[Condition], *, order: str, limit: int, offset: int
    ) -> "list[tuple[str, str, str]]":
        """Return distinct `(project, domain, name)`, ordered by their first registration or by `order`."""
        table = self.noun.resource.table
        where = " AND ".join(f"({condition.sql})" for condition in conditions) or "1"
        values = [value for condition in conditions for value in condition.values]
        rows = self._database.all(
            f"SELECT project, domain, name, MIN({table}.id) AS first FROM {table} WHERE {where}"
            f" GROUP BY project, domain, name ORDER BY {order} LIMIT ? OFFSET ?",
            # SQLite takes a negative limit for no limit.
            (*values, limit or -1, offset),
        )
        return [(project, domain, name) for project, domain, name, _ in rows]


def key_of(identifier: "identifier_pb2.Identifier") -> tuple[str, str, str, str]:
    """Return what an entity is stored under: project, domain, name, version."""
    return (identifier.project, identifier.domain, identifier.name, identifier.version)
