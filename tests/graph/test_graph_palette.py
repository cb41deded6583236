"""Everybody can tell phases apart, on light and dark pages."""

import pytest

from flyte_nb.graph.palette import (
    DARK,
    LIGHT,
    MARK_PATHS,
    PHASE_STYLES,
    Theme,
    display_phase,
    style_of,
)

THEMES = pytest.mark.parametrize(("theme", "name"), [(LIGHT, "light"), (DARK, "dark")])


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@THEMES
@pytest.mark.parametrize("phase", sorted(PHASE_STYLES))
def test_text_on_a_node_has_a_contrast_of_at_least_4_5(phase: str, theme: Theme, name: str) -> None:
    tone = getattr(PHASE_STYLES[phase], name)
    for color in (theme.ink, theme.soft, tone.ink):
        assert contrast(color, tone.fill) >= 4.5


@THEMES
def test_text_on_cards_pages_and_labels_has_a_contrast_of_at_least_4_5(
    theme: Theme, name: str
) -> None:
    for surface in (theme.page, theme.card, theme.sunk):
        assert contrast(theme.ink, surface) >= 4.5
        assert contrast(theme.soft, surface) >= 4.5
    problem = getattr(PHASE_STYLES["PROBLEM"], name)
    assert contrast(theme.card, problem.ink) >= 4.5  # the number on a badge


@THEMES
@pytest.mark.parametrize("phase", sorted(PHASE_STYLES))
def test_outlines_have_a_contrast_of_at_least_3(phase: str, theme: Theme, name: str) -> None:
    tone = getattr(PHASE_STYLES[phase], name)
    assert contrast(tone.ink, theme.page) >= 3.0
    assert contrast(tone.ink, tone.fill) >= 3.0
    assert contrast(theme.edge, theme.page) >= 3.0


@pytest.mark.parametrize("phase", sorted(PHASE_STYLES))
def test_mid_tones_are_visible_on_white_and_on_jupyterlabs_dark_page(phase: str) -> None:
    mid = PHASE_STYLES[phase].mid
    assert contrast(mid, "#ffffff") >= 3.0
    assert contrast(mid, "#111111") >= 3.0


def test_phases_of_different_colours_have_different_shapes_and_words() -> None:
    by_shape: dict[str, set[str]] = {}
    for style in PHASE_STYLES.values():
        by_shape.setdefault(style.shape, set()).add(style.word)
        assert style.shape in MARK_PATHS
        assert style.mark
        assert style.word
    told = ("SUCCEEDED", "RUNNING", "FAILED", "QUEUED", "CACHED", "ABORTED", "SKIPPED", "PAUSED")
    assert len({PHASE_STYLES[phase].shape for phase in told}) == len(told)
    assert len({PHASE_STYLES[phase].mark for phase in told}) == len(told)


def test_a_success_from_the_cache_is_a_phase_of_its_own() -> None:
    assert display_phase("SUCCEEDED", "CACHE_HIT") == "CACHED"
    assert display_phase("SUCCEEDED", "CACHE_MISS") == "SUCCEEDED"
    assert display_phase("FAILED", "CACHE_HIT") == "FAILED"


def test_an_unknown_phase_is_shown_as_undefined() -> None:
    assert display_phase("SOMETHING_NEW") == "UNDEFINED"
    assert style_of("SOMETHING_NEW") is PHASE_STYLES["UNDEFINED"]


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two `#rrggbb` colours, 1.0 to 21.0.

    Source: WCAG 2.2, definition of "contrast ratio".
    """
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    """Return the relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
