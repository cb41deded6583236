"""Lists: a page of rows by conditions, and the token that asks for the next one."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from flyte_nb.admin.refused import invalid
from flyte_nb.admin.store.database import Database, Row
from flyte_nb.admin.store.filters import Condition
from flyte_nb.admin.store.resources import RESOURCES, Resource

_OFFSET = re.compile(r"\+?[0-9]{1,18}")
"""A number that SQLite can hold; Python alone would also read `1_000`, and digits of any script."""

_SHOWN = 200


class Page(NamedTuple):
    """Rows, and the token of the next page: empty when this one was not full."""

    rows: "list[Row]"
    token: str


def offset_of(token: str, rpc: str) -> int:
    """Return the offset that a page token stands for; `rpc` is named when it stands for none."""
    if not token:
        return 0
    if _OFFSET.fullmatch(token) is None:
        raise invalid(f"invalid pagination token {token[:_SHOWN]} for {rpc}")
    return int(token)


def next_token(offset: int, count: int, limit: int) -> str:
    """The token after a page: FlyteAdmin gives one whenever the page is full."""
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
) -> Page:
    """Rows of `resource` that meet every condition. `select` are columns; limit 0 means all."""
    joined = dict.fromkeys(condition.joins for condition in conditions if condition.joins)
    tables = resource.table + "".join(
        f" JOIN {RESOURCES[prefix].table} ON {resource.joins[prefix]}" for prefix in joined
    )
    where = " AND ".join(f"({condition.sql})" for condition in conditions) or "1"
    values = [value for condition in conditions for value in condition.values]
    rows = database.all(
        f"SELECT {select} FROM {tables} WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
        (*values, limit or -1, offset),
    )
    return Page(rows, next_token(offset, len(rows), limit))


def equals(resource: Resource, **columns: object) -> list[Condition]:
    """A condition for each column that is given a value that is not empty."""
    return [
        Condition(f"{resource.table}.{name} = ?", (value,), field=name)
        for name, value in columns.items()
        if value not in ("", None)
    ]


def message_list(blobs: "Sequence[bytes]", token: str) -> bytes:
    """The bytes of any of flyteidl's lists: messages in field 1, the token in field 2.

    Lists of whole messages that lie ready are put together without parsing one of them.
    """
    parts: list[bytes] = []
    for blob in blobs:
        parts += (b"\x0a", _varint(len(blob)), blob)
    if token:
        text = token.encode()
        parts += (b"\x12", _varint(len(text)), text)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
