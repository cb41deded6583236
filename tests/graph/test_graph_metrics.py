"""Estimated text widths are never too small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.graph.metrics import ELLIPSIS, fit, text_width


def test_wide_letters_are_wider_than_narrow_ones() -> None:
    assert text_width("mmmm", 12) > 2 * text_width("iiii", 12)
    assert text_width("", 12) == 0


def test_east_asian_text_takes_a_full_em_a_letter() -> None:
    assert text_width("日本", 10) == 20


def test_combining_marks_and_variation_selectors_take_no_room() -> None:
    assert text_width("e\u0301", 12) == pytest.approx(text_width("e", 12))
    assert text_width("⚡\ufe0e", 12) == pytest.approx(text_width("⚡", 12))


@given(st.text(max_size=80), st.floats(min_value=20, max_value=300))
def test_a_fitted_text_fits(text: str, room: float) -> None:
    fitted = fit(text, 12, room)
    assert text_width(fitted, 12) <= room + 1e-6
    assert fitted == text or fitted.endswith(ELLIPSIS)


@given(st.text(alphabet="abcdef", min_size=1, max_size=10))
def test_a_text_with_room_is_left_alone(text: str) -> None:
    assert fit(text, 12, 1000) == text
