"""The quickstart in a real JupyterLab and in Notebook 7, against the real local backend."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from flyte_nb.testing.waiting import Gate

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "notebooks" / "quickstart.ipynb"
RUN_S = 300


_CONTRAST = """() => {
  const channel = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat([1]);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const opacity = (element) => {
    let product = 1;
    for (let e = element; e; e = e.parentElement) product *= Number(getComputedStyle(e).opacity);
    return product;
  };
  const poor = [];
  for (const root of document.querySelectorAll('.fnb-card, .jp-OutputArea .jp-RenderedHTMLCommon')) {
    for (const element of root.querySelectorAll('*')) {
      const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      const box = element.getBoundingClientRect();
      if (!own || !box.width || element.closest('svg, :disabled, .dataframe, .fnb-zoom')) continue;
      const back = ground(element);
      const ink = parse(getComputedStyle(element).color);
      ink[3] *= opacity(element);
      const [high, low] = [luminance(over(ink, back)), luminance(back)].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      // A mark of one character stands beside its word: a graphic (WCAG 2.2, 1.4.11).
      const needed = element.textContent.trim().length === 1 ? 3 : 4.5;
      if (ratio < needed) poor.push(`${ratio.toFixed(2)} ${element.textContent.slice(0, 40)}`);
    }
  }
  return poor;
}"""


def _cell(source: str) -> int:
    """The number of the code cell that begins with this."""
    cells = [
        cell for cell in json.loads(QUICKSTART.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    (found,) = [
        number for number, cell in enumerate(cells) if "".join(cell["source"]).startswith(source)
    ]
    return found


WORKFLOW, WATCH, PICTURE = _cell("class Result"), _cell("%flyte watch"), _cell("import matplotlib")
FORM, WRONG, REGISTER = _cell("%flyte launch"), _cell("@workflow"), _cell("%flyte register")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Any":
    """A backend's folder of this test's own; what was started in it is stopped."""
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    from flyte_nb.admin import daemon

    daemon.stop(tmp_path / "home")


@pytest.fixture
def gated(tmp_path: Path, gate: Gate) -> Path:
    """The quickstart, whose first task waits at the gate on the backend until somebody has looked."""
    begin = "    from sklearn.datasets import load_digits\n"
    wait = f"    import os\n    if 'FLYTE_NB_ATTEMPT' in os.environ: open({str(gate)!r}).close()\n"
    made = json.loads(QUICKSTART.read_text())
    for cell in made["cells"]:
        cell["source"] = "".join(cell["source"]).replace(begin, wait + begin)
    path = tmp_path / "gated.ipynb"
    path.write_text(json.dumps(made))
    assert "'FLYTE_NB_ATTEMPT'" in path.read_text()
    return path


def _shoot(page: Any, name: str) -> None:
    """Keep a picture for a person to judge, where `SCREENSHOTS_TO` says."""
    folder = os.environ.get("SCREENSHOTS_TO")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.mark.parametrize("server", ["lab", "notebook"], indirect=True)
def test_the_quickstart_runs_is_followed_and_is_still_there_when_reopened(
    home, server, notebook, gated, gate
):
    page = notebook(gated, name="quickstart.ipynb")
    page.run_all()

    # The graph under the workflow's cell, with text for those who cannot see it.
    drawn = page.output(WORKFLOW).locator("img")
    drawn.wait_for(state="attached")
    assert "6 nodes: load, split, fit" in drawn.get_attribute("alt")
    page.output(WRONG).get_by_text("2 problems").wait_for(state="attached")

    # Live: nodes change their colours in place, without a new drawing.
    page.output(REGISTER).get_by_text("6 new").wait_for(state="attached", timeout=RUN_S * 1000)
    stage = page.output(WATCH).locator(".fnb-stage svg")
    stage.wait_for(state="attached", timeout=RUN_S * 1000)
    stage.evaluate("(svg) => { svg.dataset.same = 'yes'; }")
    stage.locator('g[data-phase="RUNNING"]').first.wait_for(state="attached")
    gate.open()
    stage.locator('g[data-phase="SUCCEEDED"]').first.wait_for(state="attached")
    assert stage.get_attribute("data-same") == "yes"
    page.output(WATCH).scroll_into_view_if_needed()
    _shoot(page, f"{server.kind}-running-light")

    # When it has ended the widget is gone, and a card has taken its place.
    page.output(WATCH).locator(".fnb-stage").wait_for(state="detached", timeout=RUN_S * 1000)
    page.idle(RUN_S)
    assert page.output(WATCH).get_by_text("succeeded", exact=False).count() > 0
    page.output(PICTURE).locator("img").wait_for(state="attached")
    form = page.output(FORM).locator(".fnb-form")
    form.wait_for(state="attached")
    assert page.page.locator('[data-mime-type*="stderr"]').count() == 0
    assert page.page.evaluate(_CONTRAST) == []
    _shoot(page, f"{server.kind}-ended-light")

    page.save()
    _check_saved(page)
    page.open()
    page.output(WATCH).get_by_text("quickstart.digits").first.wait_for(state="attached")
    assert page.output(WATCH).get_by_text("model not found").count() == 0
    assert page.outside == []


def _check_saved(page: Any) -> None:
    saved = [cell for cell in page.saved().cells if cell.cell_type == "code"]
    (output,) = saved[WATCH].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "succeeded" in output.data["text/plain"]
    assert "<script" not in output.data["text/html"]


def test_a_run_from_the_form_goes_on_in_the_forms_place(home, server, notebook, gated):
    cells = json.loads(gated.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    wanted = [*code[: WORKFLOW + 1], "%flyte launch digits"]
    page = notebook(wanted, name="quickstart.ipynb")
    page.run_all()
    place = page.output(len(wanted) - 1)
    seed = place.get_by_title(re.compile("^seed"))
    seed.wait_for(state="visible", timeout=RUN_S * 1000)
    page.idle(RUN_S)

    # The form has its own style: nothing else on the page brings one.
    assert seed.evaluate("(field) => getComputedStyle(field).borderRadius") == "5px"

    # By keyboard: a wrong value is told beside its field, a right one launches with Enter.
    seed.focus()
    page.page.keyboard.press("Control+a")
    page.page.keyboard.type("seven")
    place.get_by_text("is not an int: “seven”").wait_for()
    _shoot(page, "form-wrong-light")
    page.theme("dark")
    assert page.page.evaluate(_CONTRAST) == []
    _shoot(page, "form-wrong-dark")
    seed.focus()
    page.page.keyboard.press("Control+a")
    page.page.keyboard.type("11")
    place.get_by_text("is not an int").wait_for(state="detached")
    page.page.keyboard.press("Enter")

    # The tracker stands where the form stood; the arrow keys choose nodes.
    stage = place.locator(".fnb-stage")
    stage.wait_for(state="visible", timeout=RUN_S * 1000)
    stage.locator('g[data-phase="RUNNING"]').first.wait_for(state="attached")
    assert page.page.evaluate(_CONTRAST) == []
    stage.focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    stage.locator(".fnb-selected").wait_for(state="attached")
    _shoot(page, "running-dark")

    # Terminate asks first.
    place.get_by_role("button", name="Terminate").click()
    place.get_by_role("button", name="End this run").click()
    place.locator(".fnb-stage").wait_for(state="detached", timeout=RUN_S * 1000)
    place.get_by_text("terminated", exact=False).first.wait_for(state="attached")
    _shoot(page, "terminated-dark")
