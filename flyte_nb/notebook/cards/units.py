"""Write sizes, times and counts as a person reads them."""

from datetime import datetime, timezone

from flyte_nb.graph.elements import CASE, INPUTS, OUTPUTS, Graph


def size(count: int) -> str:
    """Return a number of bytes in decimal units: `0`, `812 B`, `2.1 kB`, `34 MB`."""
    if count < 1000:
        return f"{count} B" if count else "0"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        # 999.5 would be rounded to 1000, which is 1 of the next unit.
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def duration(seconds: float) -> str:
    """Return a duration that is over: `12 ms`, `1.2 s`, `2:05`, `1:02:03`."""
    seconds = max(0.0, seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def between(start: "datetime | None", end: "datetime | None") -> "float | None":
    """Return the seconds from `start` to `end`; `None` when either is not known."""
    if start is None or end is None:
        return None
    return (aware(end) - aware(start)).total_seconds()


def aware(moment: datetime) -> datetime:
    """Return the moment with a time zone; one without is in UTC, as in views."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def moment(at: "datetime | None") -> str:
    """Return the local date and time, `2026-11-01 14:02:11`; empty for `None`."""
    return f"{aware(at).astimezone():%Y-%m-%d %H:%M:%S}" if at is not None else ""


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago it was: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    seconds = max(0.0, (aware(now) - aware(at)).total_seconds())
    for limit, divisor, word in ((60, 1, ""), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {word} ago" if word else "just now"
    days = int(seconds // 86400)
    return f"{days} day{'' if days == 1 else 's'} ago"


def plural(count: int, noun: str) -> str:
    """Return count and noun: `1 task`, `2 tasks`, `2 entities`."""
    if count == 1:
        return f"1 {noun}"
    plural_noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {plural_noun}"


def steps(graph: Graph) -> int:
    """Return how many nodes of its own a workflow has. A branch counts as one, whichever case it takes."""
    cases = {edge.target for edge in graph.edges if edge.kind == CASE}
    return sum(node.kind not in (INPUTS, OUTPUTS) and node.id not in cases for node in graph.nodes)
