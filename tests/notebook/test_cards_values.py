"""Python values are shown short and readable, and never raise."""

import base64
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.notebook.cards.units import ago, between, duration, moment, plural, size
from flyte_nb.notebook.cards.value_html import formatted, plain

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Color(Enum):
    RED = 1


@dataclass
class Config:
    seed: int = 7
    tags: "list[str]" = field(default_factory=lambda: ["a", "b"])


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Image:
    def _repr_png_(self) -> bytes:
        return PNG


class File:
    remote_source = "s3://bucket/rows.parquet"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (0.8513, "0.8513"),
        ("gradient", "'gradient'"),
        ("<b>", "&lt;b&gt;"),
        (Color.RED, "Color.RED"),
        (datetime(2026, 11, 1, tzinfo=timezone.utc), "2026-11-01 00:00:00+00:00"),
        (date(2026, 11, 1), "2026-11-01"),
        (timedelta(seconds=90), "0:01:30"),
        ([3, 5, 8], "[3, 5, 8]"),
        ((), "()"),
        ({}, "{}"),
        ({1}, "{1}"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        (list(range(100)), "100 items"),
        (b"abc", "3 B of bytes"),
        (File(), "s3://bucket/rows.parquet"),
        (Hostile(), "Hostile, cannot be shown (RuntimeError)"),
    ],
)
def test_a_value_is_shown(value: Any, shown: str) -> None:
    assert shown in formatted(value)


def test_a_pydantic_model_is_two_columns() -> None:
    class Model(pydantic.BaseModel):
        depth: int = 3
        tags: "list[str]" = []

    html = str(formatted(Model(tags=["<a>"])))
    assert "Model" in html
    assert "depth" in html
    assert "&lt;a&gt;" in html


def test_dicts_and_dataclasses_are_two_columns() -> None:
    for value in (Config(), {"seed": 7, "tags": ["a", "b"]}):
        html = formatted(value)
        assert ">seed</td>" in html
        assert "['a', 'b']" in html


def test_a_large_dict_counts_what_is_left_out() -> None:
    assert "and 92 more" in formatted({str(i): i for i in range(100)})
    assert "and 92 more" in formatted([Config()] * 100)


def test_long_texts_fold_and_lines_stay_lines() -> None:
    assert formatted("x" * 5000).startswith("<details><summary")
    assert "5,000 characters, 1 line" in formatted("x" * 5000)
    assert formatted("a\nb").startswith("<pre")


def test_pictures_are_shown_as_pictures() -> None:
    assert 'src="data:image/png;base64,' in formatted(Image())
    assert 'src="data:image/png;base64,' in formatted(PNG)
    assert 'alt="PNG image, 70 B"' in formatted(PNG)


def test_a_frame_shows_its_first_rows_and_its_shape() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({f"c{i}": range(9) for i in range(12)})
    html = formatted(frame)
    assert "DataFrame 9 × 12" in html
    assert "and 4 more rows and 2 more columns" in html
    assert html.count("<tr") == 6
    assert plain(frame) == "DataFrame 9 × 12"
    assert "DataFrame 0 × 0" in formatted(pandas.DataFrame())
    assert "Series 3 int64" in formatted(pandas.Series([1, 2, 3]))


def test_a_table_shows_its_first_rows_and_its_shape() -> None:
    arrow = pytest.importorskip("pyarrow")
    html = formatted(arrow.table({"name": ["<Ada>"] * 7, "age": [36] * 7}))
    assert "Table 7 × 2" in html
    assert "&lt;Ada&gt;" in html
    assert "and 2 more rows" in html


def test_an_array_shows_its_shape_and_first_items() -> None:
    numpy = pytest.importorskip("numpy")
    html = formatted(numpy.arange(12.0).reshape(3, 4))
    assert "ndarray (3, 4) float64" in html
    assert "[0, 1, 2, 3, 4, 5, …]" in html
    assert "ndarray () int64" in formatted(numpy.array(3))


def test_a_figure_is_drawn() -> None:
    figures = pytest.importorskip("matplotlib.figure")
    figure = figures.Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    assert "data:image/png;base64," in formatted(figure)


def test_a_value_that_holds_itself_ends() -> None:
    value: list[Any] = [[]]
    value[0].append(value)
    assert len(formatted(value)) < 20_000


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


@given(anything)
def test_any_value_has_a_short_form_in_both_media(value: Any) -> None:
    assert "<script" not in formatted(value)
    assert len(plain(value)) <= 80
    assert "\n" not in plain(value)


def test_a_value_whose_repr_fails_is_named_by_its_class() -> None:
    assert plain(Hostile()) == "<Hostile>"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0"), (812, "812 B"), (2100, "2.1 kB"), (34_000_000, "34 MB"), (999_600, "1.0 MB")],
)
def test_sizes_have_decimal_units(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.012, "12 ms"),
        (1.24, "1.2 s"),
        (59.97, "1:00"),
        (125, "2:05"),
        (3723, "1:02:03"),
        (-1, "0 ms"),
    ],
)
def test_durations_are_as_precise_as_a_person_needs(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_times_without_a_zone_are_utc() -> None:
    naive, aware = datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert between(naive, aware) == 0
    assert between(None, aware) is None
    assert moment(None) == ""
    assert ago(naive, aware + timedelta(days=1, hours=2)) == "1 day ago"
    assert ago(aware, aware + timedelta(seconds=3)) == "just now"


def test_plurals() -> None:
    assert [plural(1, "task"), plural(2, "entity"), plural(1200, "node")] == [
        "1 task",
        "2 entities",
        "1,200 nodes",
    ]
