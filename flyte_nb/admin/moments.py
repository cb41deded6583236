"""Times in three forms: microseconds since 1970, the tables' text, flyteidl's timestamps."""

import time
from datetime import datetime, timedelta, timezone

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.admin.store.filters import time_text

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def now_us() -> int:
    """Return the system's time in microseconds since 1970-01-01T00:00Z."""
    return time.time_ns() // 1000


def text(at_us: int) -> str:
    """Return a time as the tables hold it."""
    return time_text(_EPOCH + timedelta(microseconds=at_us))


def stamp(at_us: int) -> Timestamp:
    """Return a time as flyteidl's messages hold it."""
    seconds, microseconds = divmod(at_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000)


def stamp_us(timestamp: Timestamp) -> int:
    """Return the microseconds since 1970 of a timestamp; the inverse of `stamp`."""
    return int(timestamp.seconds) * 1_000_000 + int(timestamp.nanos) // 1000


def span(microseconds: int) -> Duration:
    """Return a duration as flyteidl's messages hold it. A negative one becomes 0."""
    seconds, rest = divmod(max(microseconds, 0), 1_000_000)
    return Duration(seconds=seconds, nanos=rest * 1000)
