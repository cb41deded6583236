"""The documentation is true: pictures are those of the house, links lead somewhere, code runs."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_SPEC = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "pictures" / "draw.py")
draw = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(draw)


@pytest.mark.parametrize("name", sorted(draw.PICTURES))
def test_a_picture_is_that_of_the_house_as_it_stands(name):
    drawn = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
    assert drawn == draw.PICTURES[name](), "run `python docs/pictures/draw.py`"


def test_the_picture_of_the_rooms_has_every_room():
    rooms = {path.parent.name for path in (ROOT / "flyte_nb").glob("*/__init__.py")}
    assert {room for floor in draw.floors() for room in floor} == rooms


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page):
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path = target.partition("#")[0]
        if "://" not in target and path and not (page.parent / path).exists():
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(
        r"`((?:flyte_nb|tests|docs|notebooks)/[\w./-]+\.\w+)`", page.read_text(encoding="utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_reading_order_takes_the_minutes_that_it_names_and_about_an_hour():
    rows = re.findall(
        r"^\| (\d+) \| \[[^]]+\]\(([^)]+)\)",
        (ROOT / "docs" / "README.md").read_text(),
        re.MULTILINE,
    )
    named = {target: int(minutes) for minutes, target in rows}
    words = {target: len((ROOT / "docs" / target).read_text().split()) for target in named}
    # People read some 250 words of prose a minute.
    far = {
        target: words[target] // 250
        for target in named
        if abs(named[target] - words[target] / 250) > 1.5
    }
    assert far == {}, "these pages take other times than the table names"
    assert sum(named.values()) <= 75
