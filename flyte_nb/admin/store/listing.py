"""Lists: a page of rows that meet conditions, and the token that asks for the next page."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from flyte_nb.admin.refused import invalid
from flyte_nb.admin.store.database import Database, Row
from flyte_nb.admin.store.filters import Condition
from flyte_nb.admin.store.resources import RESOURCES, Resource
from flyte_nb.wire.encoding import varint

_OFFSET = re.compile(r"\+?[0-9]{1,18}")
"""A number that SQLite can hold. `int` alone would also read `1_000`, and digits of other scripts."""

_SHOWN = 200


class RowPage(NamedTuple):
    """Rows, and the token of the next page: empty when this page was not full."""

    rows: "list[Row]"
    token: str


def offset_of(token: str, rpc: str) -> int:
    """Return the offset that a page token stands for; 0 for an empty one.

    Args:
        token: What the client sent.
        rpc: What FlyteAdmin calls the call, for the text.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the token is no number.
    """
    if not token:
        return 0
    if _OFFSET.fullmatch(token) is None:
        raise invalid(f"invalid pagination token {token[:_SHOWN]} for {rpc}")
    return int(token)


def next_token(offset: int, count: int, limit: int) -> str:
    """Return the token after a page: as in FlyteAdmin, one after every full page."""
    return str(offset + count) if limit and count == limit else ""


def page(
    database: Database,
    resource: Resource,
    conditions: Sequence[Condition],
    *,
    select: str,
    order: str,
    limit: int,
    offset: int,
) -> RowPage:
    """Return rows of `resource` that meet every condition.

    Args:
        database: The metastore.
        resource: The noun.
        conditions: Joined with AND; one may join another noun's table.
        select: The columns, as SQL.
        order: The `ORDER BY`, as SQL.
        limit: How many rows; 0 means all.
        offset: How many rows to skip.
    """
    # A dict, because conditions on the same noun need one join, in a stable order.
    joined = dict.fromkeys(condition.joins for condition in conditions if condition.joins)
    tables = resource.table + "".join(
        f" JOIN {RESOURCES[prefix].table} ON {resource.joins[prefix]}" for prefix in joined
    )
    where = " AND ".join(f"({condition.sql})" for condition in conditions) or "1"
    values = [value for condition in conditions for value in condition.values]
    rows = database.all(
        f"SELECT {select} FROM {tables} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
        # SQLite takes a negative limit for no limit.
        (*values, limit or -1, offset),
    )
    return RowPage(rows, next_token(offset, len(rows), limit))


def equals(resource: Resource, **columns: object) -> list[Condition]:
    """Return a condition for each column whose value is not empty."""
    return [
        Condition(f"{resource.table}.{name} = ?", (value,), field=name)
        for name, value in columns.items()
        if value not in ("", None)
    ]


def message_list(blobs: "Sequence[bytes]", token: str) -> bytes:
    """Return the bytes of any of flyteidl's lists: messages in field 1, the token in field 2.

    The stored messages are copied as they are; none is parsed.
    """
    # 0x0a and 0x12 are the tags of fields 1 and 2 with wire type 2 (length-delimited).
    parts: list[bytes] = []
    for blob in blobs:
        parts += (b"\x0a", varint(len(blob)), blob)
    if token:
        text = token.encode()
        parts += (b"\x12", varint(len(text)), text)
    return b"".join(parts)
