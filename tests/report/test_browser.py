"""The page in a browser: headless Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ceflow
from ceflow.report import write_page
from ceflow.runs import reopen
from ceflow.store import PAGE, RunDirectory

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SPEC = """# What does it come to?
data = {source = "gaussian", inputs = 3, outputs = 1, train = 6, test = 2}
model = {type = "mlp", widths = [inf]}
[stages.flow]
type = "flow"
time = 1.0
points = 20
[sweep]
"data.scale" = [0.5, 1.0, 10.0]
[collect.loss]
x = "stages.flow.time"
y = "stages.flow.train_loss"
by = "data.scale"
[collect.map]
x = "stages.flow.time"
y = "stages.flow.train_loss"
by = "data.scale"
view = "heatmap"
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """The page of a sweep, which has every part: tables, curves and heatmaps."""
    path = ceflow.run(ceflow.loads(SPEC), tmp_path_factory.mktemp("page") / "run").path
    directory = RunDirectory(path)
    write_page(directory, reopen(directory))
    return path / PAGE


@pytest.fixture
def opened(browser, file) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 900, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(file.as_uri())
    yield page
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1600])
def test_it_fits_and_can_be_read_by_everyone(browser, file, width, theme):
    """At every width and in both themes: no error, nothing loaded, nothing beside the window, and
    axe-core, which checks contrast, names and keys, finds nothing."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("figure.live")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["target"]) for each in found] == []
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    context.close()


def test_tables_sort_by_number_and_are_copied_whole(opened):
    table = opened.locator("section table").first
    loss = table.get_by_role("button", name="flow.train_loss", exact=True)
    column = table.locator("thead th").all_inner_texts().index("flow.train_loss")

    def cells() -> list[float]:
        cell = "[...document.querySelector('section table').tBodies[0].rows]"
        values = f"{cell}.map(r => r.cells[{column}].dataset.value ?? r.cells[{column}].innerText)"
        return [float(each) for each in opened.evaluate(values)]

    before = cells()
    loss.click()
    assert cells() == sorted(before)
    loss.press("Enter")
    assert cells() == sorted(before, reverse=True)
    loss.click()
    assert cells() == before
    opened.get_by_role("button", name="Copy as CSV").first.click()
    copied = opened.evaluate("navigator.clipboard.readText()").splitlines()
    assert [float(line.split(",")[column]) for line in copied[1:]] == before


def test_texts_with_numbers_sort_as_numbers(opened):
    texts = [
        "3.1 s",
        "112 ms",
        "2 min 5 s",
        "0.5 ± 0.02",
        "-inf",
        "inf",
        "1.5e-07",
        "2,000",
        "none",
    ]
    order = "texts => texts.map(numeric).map(n => Number.isNaN(n) ? null : n)"
    found = opened.evaluate(order, texts)
    infinite = float("inf")
    assert found == [3.1, 0.112, 125, 0.5, -infinite, infinite, 1.5e-07, 2000, None]
    sizes = ["80 MB", "1.5 GB", "239 kFLOPs (120 kMACs)", "2.07 MFLOPs", "12 %"]
    assert opened.evaluate(order, sizes) == pytest.approx([80e6, 1.5e9, 239e3, 2.07e6, 12])


def test_charts_tell_their_values_to_mouse_and_keys(opened, file):
    figure = opened.locator("figure.chart").first
    picture = figure.locator("svg")
    loss = ceflow.open(file.parent).results["scale=0.5"]["flow"].history
    picture.focus()
    opened.keyboard.press("ArrowRight")
    tip = figure.locator(".tip")
    assert tip.inner_text().splitlines()[0] == "0.5"
    assert float(tip.inner_text().split(": ")[-1]) == pytest.approx(loss["train_loss"][0], rel=1e-5)
    for _ in range(3):
        opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowDown")
    assert tip.inner_text().splitlines()[0] == "1.0"
    opened.keyboard.press("Escape")
    assert tip.inner_text() == ""
    picture.scroll_into_view_if_needed()
    spot = figure.locator("g.series path").first.bounding_box()
    assert spot
    opened.mouse.move(spot["x"] + 1, spot["y"] + 1)
    assert "training loss: " in tip.inner_text()


def test_legends_hide_curves_and_switches_change_the_scale(opened):
    figure = opened.locator("figure.chart").first
    line = figure.locator("g.series path").first
    assert line.is_visible()
    entry = figure.get_by_role("button", name="0.5")
    entry.click()
    assert not line.is_visible()
    entry.press("Enter")
    assert line.is_visible()
    before = line.get_attribute("d")
    box = figure.get_by_role("checkbox", name="logarithmic y")
    was = box.is_checked()
    box.click()
    assert box.is_checked() != was
    assert line.get_attribute("d") != before
    box.click()
    assert line.get_attribute("d") == before


def test_heatmaps_tell_their_values(opened):
    figure = opened.locator("figure.chart", has=opened.locator("g[shape-rendering]")).first
    picture = figure.locator("svg")
    picture.scroll_into_view_if_needed()
    picture.hover(position={"x": 200, "y": 60})
    assert "data.scale: 0.5" in figure.locator(".tip").inner_text()


def test_the_theme_can_be_chosen_and_paper_has_no_controls(opened):
    button = opened.get_by_role("button", name="Theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = opened.evaluate(ground)
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    assert opened.evaluate(ground) != light
    opened.emulate_media(media="print")
    assert opened.evaluate(ground) == light
    assert not opened.locator(".tools:visible, nav:visible, .theme:visible").count()
