"""HTML that survives JupyterLab's sanitizer."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.notebook.paper import theme
from flyte_nb.notebook.paper.html import Safe, checked_style, element, join, text, with_code


def test_text_is_escaped_and_built_html_is_not() -> None:
    inner = element("b", "a < b & c")
    assert inner == "<b>a &lt; b &amp; c</b>"
    assert element("div", inner, "<i>") == "<div><b>a &lt; b &amp; c</b>&lt;i&gt;</div>"
    assert isinstance(inner, Safe)


def test_attributes_are_escaped() -> None:
    assert element("span", title='"><script>') == '<span title="&quot;&gt;&lt;script&gt;"></span>'
    assert element("details", open=True) == "<details open></details>"
    assert element("details", open=False) == "<details></details>"


def test_only_none_is_left_out_of_an_element() -> None:
    assert element("p", 0, None, "", 1.5) == "<p>01.5</p>"
    assert element("br") == "<br/>"
    assert join(("a", None, "b"), " < ") == "a &lt; b"


@pytest.mark.parametrize("tag", ["script", "style", "svg", "iframe", "a"])
def test_a_tag_that_would_be_stripped_cannot_be_written(tag: str) -> None:
    with pytest.raises(ValueError, match="does not survive an untrusted notebook"):
        element(tag)


@pytest.mark.parametrize("name", ["onclick", "href", "role", "aria-label"])
def test_an_attribute_that_would_be_stripped_cannot_be_written(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        element("div", **{name: "x"})


def test_a_property_that_would_be_stripped_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="font-variant-numeric"):
        element("div", style="color:#fff;font-variant-numeric:tabular-nums")
    assert checked_style("color:#fff; ") == "color:#fff; "


def test_backticks_become_code_unless_they_are_odd() -> None:
    assert with_code("write `a<b`.") == "write <code>a&lt;b</code>."
    assert with_code("a ` b") == "a ` b"


@given(st.text())
def test_any_text_can_be_shown_and_is_read_back(value: str) -> None:
    class Reader(HTMLParser):
        seen = ""

        def handle_data(self, data: str) -> None:
            self.seen += data

        def handle_starttag(self, tag: str, attrs: object) -> None:
            assert tag == "b"

    reader = Reader()
    reader.feed(element("b", value))
    reader.close()
    assert reader.seen == str(text(value)).replace("&lt;", "<").replace("&gt;", ">").replace(
        "&amp;", "&"
    )


def test_the_styles_of_the_theme_are_all_allowed() -> None:
    for name, value in vars(theme).items():
        if name.isupper() and isinstance(value, str) and ":" in value:
            checked_style(value)
            assert not re.search(r"var\(|#[0-9a-f]{8}", value), name


def test_tints_are_spelled_as_the_sanitizer_wants_them() -> None:
    assert theme.tint("#102030", 0.5) == "rgba(16, 32, 48, 0.5)"
