"""Types and literals beside flytekit's own, message by message, in both directions."""

import dataclasses
import datetime
import enum
import typing
from collections.abc import Iterator
from typing import Any, Optional, Union

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flyte_nb.api.errors import CodecError
from flyte_nb.types.files import FlyteDirectory, FlyteFile
from flyte_nb.types.registry import Registry, default_registry
from flyte_nb.wire.literals import literal_from_idl, literal_to_idl
from flyte_nb.wire.types import type_to_idl

pytest.importorskip("flytekit", reason="the other SDK is not installed here")

from flytekit import FlyteContextManager
from flytekit import FlyteDirectory as TheirDirectory
from flytekit import FlyteFile as TheirFile
from flytekit.core.type_engine import TypeEngine

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Inner:
    a: int
    b: float = 1.5


@dataclasses.dataclass
class Everything:
    """Documented."""

    x: int
    y: list[float]
    z: Optional[str]
    w: dict[str, Inner]
    e: Colour
    i: Inner
    u: Union[int, str] = 3
    t: datetime.datetime = datetime.datetime(2024, 5, 6, 7, 8, 9)
    day: datetime.date = datetime.date(2020, 1, 1)
    span: datetime.timedelta = datetime.timedelta(seconds=1.5)
    items: list[Inner] = dataclasses.field(default_factory=list)
    free: dict = dataclasses.field(default_factory=dict)
    by_number: dict[int, str] = dataclasses.field(default_factory=dict)
    flag: bool = False
    choice: typing.Literal["a", "b"] = "a"
    number: typing.Literal[1, 2] = 1
    maybe: Optional[int] = None
    made: Inner = dataclasses.field(default_factory=lambda: Inner(1))
    colour: Colour = Colour.RED
    pair: tuple[int, str] = (1, "a")
    raw: bytes = b"a"
    nested: list[dict[str, int]] = dataclasses.field(default_factory=list)
    nothing: None = None
    anything: Any = None
    bare: list = dataclasses.field(default_factory=list)
    level: Level = Level.LOW


@dataclasses.dataclass
class Plain:
    n: int
    text: str


@dataclasses.dataclass
class WithFiles:
    file: FlyteFile
    folder: FlyteDirectory


@dataclasses.dataclass
class WithTheirFiles:
    file: TheirFile
    folder: TheirDirectory


class Opaque:
    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.value == self.value


INNER = Inner(2, 3.0)
EVERYTHING = Everything(
    1,
    [1.0, 2.5],
    None,
    {"k": INNER},
    Colour.BLUE,
    INNER,
    items=[INNER],
    free={"a": [1, {"b": None}]},
    nested=[{"n": 1}],
    level=Level.HIGH,
)

CSV, THEIR_CSV = FlyteFile["csv"], TheirFile["csv"]

# (type, value) pairs whose messages must be equal to flytekit's.
SAME: list[tuple[Any, Any]] = [
    (int, 3),
    (int, -(2**63)),
    (float, 2.5),
    (float, -0.0),
    (str, "käse\n"),
    (bool, True),
    (bool, False),
    (type(None), None),
    (datetime.datetime, datetime.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC)),
    (datetime.datetime, datetime.datetime(1950, 2, 3)),
    (datetime.date, datetime.date(2024, 2, 29)),
    (datetime.timedelta, datetime.timedelta(days=3, microseconds=7)),
    (datetime.timedelta, datetime.timedelta(seconds=-1.5)),
    (list[int], [1, 2, 3]),
    (list[int], []),
    (list[str], ["a"]),
    (list[list[float]], [[1.0], [], [2.0, 3.0]]),
    (list[Optional[int]], [1, None]),
    (list[datetime.timedelta], [datetime.timedelta(seconds=1)]),
    (dict[str, int], {"a": 1, "b": 2}),
    (dict[str, list[str]], {"a": ["x"]}),
    (dict, {"a": 1, "b": [1, "x", None, True, 1.5, {"c": {}}]}),
    (dict, {3: "x", "raw": b"\x00\xff"}),
    (dict[int, str], {3: "x", -70000: "y"}),
    (Optional[int], 3),
    (Optional[int], None),
    (Union[int, str, None], "a"),
    (Union[int, list[str]], ["a"]),
    (int | str, 7),
    (Optional[dict], {"a": 1}),
    (Optional[Colour], Colour.RED),
    (Optional[Inner], INNER),
    (Union[Inner, str], INNER),
    (Colour, Colour.BLUE),
    (typing.Literal["a", "b"], "b"),
    (typing.Literal[1, 2], 2),
    (Union[typing.Literal["a"], int], 4),
    (Inner, INNER),
    (list[Inner], [INNER]),
    (dict[str, Inner], {"k": INNER}),
    (Everything, EVERYTHING),
]

TYPES_ONLY: list[tuple[Any, Any]] = [
    (FlyteFile, TheirFile),
    (FlyteFile["csv"], TheirFile["csv"]),
    (FlyteDirectory, TheirDirectory),
    (FlyteDirectory["csv"], TheirDirectory["csv"]),
    (Optional[FlyteFile], Optional[TheirFile]),
    (list[CSV], list[THEIR_CSV]),  # type: ignore[valid-type]
    (Optional[FlyteDirectory], Optional[TheirDirectory]),
    (pd.DataFrame, pd.DataFrame),
    (pa.Table, pa.Table),
    (Optional[pd.DataFrame], Optional[pd.DataFrame]),
    (np.ndarray, np.ndarray),
    (Optional[np.ndarray], Optional[np.ndarray]),
    (Opaque, Opaque),
    (Any, Any),
    (bytes, bytes),
    (set, set),
    (list[Any], list[Any]),
    (dict[str, Any], dict[str, Any]),
    (Union[int, Opaque], Union[int, Opaque]),
    (dict[Any, Any], dict[Any, Any]),
    (typing.Annotated[int, "anything"], int),
]


@pytest.fixture
def registry() -> Registry:
    return default_registry(warn_pickled=False)


@pytest.fixture(autouse=True)
def their_log_is_quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("CRITICAL", logger="flytekit"):
        yield


@pytest.mark.parametrize(("python_type", "value"), SAME, ids=lambda item: str(item)[:40])
def test_a_type_is_the_same_message_as_flytekits(registry, python_type, value):
    ours = type_to_idl(registry.codec(python_type).literal_type)
    assert ours == TypeEngine.to_literal_type(python_type).to_flyte_idl()


@pytest.mark.parametrize(("ours", "theirs"), TYPES_ONLY, ids=lambda item: str(item)[:40])
def test_a_type_that_is_stored_is_the_same_message_as_flytekits(registry, ours, theirs):
    literal_type = registry.codec(ours).literal_type
    assert type_to_idl(literal_type) == TypeEngine.to_literal_type(theirs).to_flyte_idl()


@pytest.mark.parametrize(("python_type", "value"), SAME, ids=lambda item: str(item)[:40])
def test_a_literal_is_the_same_message_as_flytekits(registry, data, python_type, value):
    ours = literal_to_idl(registry.codec(python_type).encode(value, data))
    assert ours == _theirs(python_type, value)


@pytest.mark.parametrize(("python_type", "value"), SAME, ids=lambda item: str(item)[:40])
def test_what_flytekit_wrote_is_read(registry, data, python_type, value):
    literal = literal_from_idl(_theirs(python_type, value))
    read = registry.codec(python_type).decode(literal, data)
    assert _aware(read) == _aware(value)
    assert type(read) is type(value)


@pytest.mark.parametrize(("python_type", "value"), SAME, ids=lambda item: str(item)[:40])
def test_what_we_wrote_flytekit_reads(registry, data, python_type, value):
    from flytekit.models.literals import Literal

    ours = literal_to_idl(registry.codec(python_type).encode(value, data))
    context = FlyteContextManager.current_context()
    read = TypeEngine.to_python_value(context, Literal.from_flyte_idl(ours), python_type)
    assert _aware(read) == _aware(value)


STORED: list[tuple[Any, Any, Any]] = [
    (np.ndarray, np.ndarray, np.arange(6.0).reshape(2, 3)),
    (pd.DataFrame, pd.DataFrame, pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})),
    (pa.Table, pa.Table, pa.table({"a": [1, 2]})),
    (Opaque, Opaque, Opaque(4)),
    (set, set, {1, 2}),
]


@pytest.mark.parametrize(("ours", "theirs", "value"), STORED, ids=lambda item: str(item)[:20])
def test_a_stored_value_is_the_same_message_except_for_its_uri(registry, data, ours, theirs, value):
    mine = literal_to_idl(registry.codec(ours).encode(value, data))
    other = _theirs(theirs, value)
    for message in (mine, other):
        if message.scalar.HasField("blob"):
            message.scalar.blob.uri = ""
        else:
            message.scalar.structured_dataset.uri = ""
    assert mine == other


@pytest.mark.parametrize(("ours", "theirs", "value"), STORED, ids=lambda item: str(item)[:20])
def test_a_stored_value_is_read_by_either_side(registry, data, ours, theirs, value):
    from flytekit.models.literals import Literal

    codec = registry.codec(ours)
    read = codec.decode(literal_from_idl(_theirs(theirs, value)), data)
    assert _equal(read, value)

    message = literal_to_idl(codec.encode(value, data))
    for part in ("blob", "structured_dataset"):
        if message.scalar.HasField(part):
            place = getattr(message.scalar, part)
            place.uri = data.download(place.uri)
    context = FlyteContextManager.current_context()
    read = TypeEngine.to_python_value(context, Literal.from_flyte_idl(message), theirs)
    assert _equal(read, value)


def test_files_in_a_dataclass_are_structs_as_flytekit_writes_them(registry, data, tmp_path):
    import msgpack

    (tmp_path / "x.csv").write_text("a")
    (tmp_path / "folder").mkdir()
    here = {"file": str(tmp_path / "x.csv"), "folder": str(tmp_path / "folder")}
    ours = WithFiles(FlyteFile(here["file"]), FlyteDirectory(here["folder"]))
    theirs = WithTheirFiles(TheirFile(here["file"]), TheirDirectory(here["folder"]))

    mine = msgpack.unpackb(
        literal_to_idl(registry.codec(WithFiles).encode(ours, data)).scalar.binary.value
    )
    other = msgpack.unpackb(_theirs(WithTheirFiles, theirs).scalar.binary.value)
    assert mine.keys() == other.keys()
    assert mine["file"].keys() == other["file"].keys()
    assert mine["folder"].keys() == other["folder"].keys()

    mine_type = type_to_idl(registry.codec(WithFiles).literal_type)
    other_type = TypeEngine.to_literal_type(WithTheirFiles).to_flyte_idl()
    other_type.metadata["title"] = "WithFiles"
    assert mine_type == other_type


@pytest.mark.parametrize("switch", ["true", "T", "1"])
@pytest.mark.parametrize(
    ("python_type", "value"),
    [(dict, {"a": {"b": [1, 2.5, None]}, "c": True}), (Plain, Plain(3, "x"))],
)
def test_the_switch_for_structs_without_msgpack_means_what_flytekit_means(
    registry, data, monkeypatch, switch, python_type, value
):
    monkeypatch.setenv("FLYTE_USE_OLD_DC_FORMAT", switch)
    message = literal_to_idl(registry.codec(python_type).encode(value, data))
    assert message.scalar.WhichOneof("value") == "generic"
    assert message.scalar.generic == _theirs(python_type, value).scalar.generic
    from flytekit.models.literals import Literal

    context = FlyteContextManager.current_context()
    assert (
        TypeEngine.to_python_value(context, Literal.from_flyte_idl(message), python_type) == value
    )
    assert registry.codec(python_type).decode(literal_from_idl(message), data) == value
    assert type_to_idl(registry.codec(python_type).literal_type) == (
        TypeEngine.to_literal_type(python_type).to_flyte_idl()
    )
    monkeypatch.setenv("FLYTE_USE_OLD_DC_FORMAT", "no")
    message = literal_to_idl(registry.codec(python_type).encode(value, data))
    assert message.scalar.WhichOneof("value") == "binary"


@pytest.mark.parametrize("python_type", [tuple, tuple[int, str], list, typing.List, Level])
def test_what_flytekit_refuses_as_a_value_is_refused(registry, python_type):
    with pytest.raises(CodecError):
        registry.codec(python_type)
    with pytest.raises(Exception):  # noqa: B017, PT011 - flytekit has several
        TypeEngine.to_literal_type(python_type)


def _theirs(python_type: Any, value: Any) -> Any:
    context = FlyteContextManager.current_context()
    expected = TypeEngine.to_literal_type(python_type)
    return TypeEngine.to_literal(context, value, python_type, expected).to_flyte_idl()


def _aware(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool((one == other).all()) and one.dtype == other.dtype
    if isinstance(one, (pd.DataFrame, pa.Table)):
        return bool(one.equals(other))
    return bool(one == other)
