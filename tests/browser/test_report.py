"""The report as a person meets it: in Chromium, from a file, without a network."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from fruitpipe.report import document
from tests.browsers import needs_chromium
from tests.reports import EACH, LABELS, TABLE, model, sampled

pytestmark = needs_chromium
TURNED = {"largest_angle_degrees": 12.5, "median_angle_degrees": 0.25, "label_moves": {"Kiwi": 0.125}, "neighbours_changed": 0.5}
# Whether what a chart draws reaches beyond its card.
OUTSIDE = """chart => {
  const card = chart.closest('section').getBoundingClientRect(), box = chart.querySelector('.svg-container');
  return [box, ...box.querySelectorAll('svg')].map(e => e.getBoundingClientRect())
    .some(e => e.left < card.left || e.right > card.right || e.top < card.top || e.bottom > card.bottom); }"""
SCREENS = {"params": [(1280, 900), (390, 844)], "ids": ["desktop", "phone"]}
SIZES = "[...document.querySelectorAll('.chart')].map(e => [e.offsetHeight, e.querySelector('svg').clientWidth])"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rows = sampled(folder / "images")
    path = folder / "v000002.html"
    continuity = {"previous": "v000001", "may_mix": False} | TURNED
    path.write_text(document.html(model(rows, continuity=continuity), rows, TABLE))
    return path


@contextlib.contextmanager
def opened(browser, file, size):
    """The report, open; at the end there must have been no complaint and no request beside the file itself."""
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), offline=True)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]


@pytest.fixture(**SCREENS)
def page(request, browser, file):
    """The report, for a test that does something with it."""
    with opened(browser, file, request.param) as page:
        yield page


@pytest.fixture(scope="module", **SCREENS)
def shown(request, browser, file):
    """The report, opened once for all tests that only look at it."""
    with opened(browser, file, request.param) as page:
        yield page


def test_a_report_made_again_when_every_image_is_gone_shows_all_that_is_left_to_tell(browser, tmp_path):
    rows = sampled(tmp_path / "images")
    nothing = document.Table({}, {"unit": "minute", "at": [], "images": []}, {}, [])
    file = tmp_path / "v000002.html"
    file.write_text(document.html(model(rows), rows.slice(0, 0), nothing))
    with opened(browser, file, (1280, 900)) as page:
        assert page.locator("#errors-text").inner_text() == "None: every image has features."
        assert "extractor" in page.locator("#made").inner_text()


def test_pointing_at_an_image_shows_its_picture_and_its_name(page):
    mark = page.locator("#map .scatterlayer .trace").nth(1).locator(".points path").first
    mark.scroll_into_view_if_needed()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # scrolling hides the picture
    mark.hover(force=True)
    page.wait_for_selector("#tip:not([hidden])")
    tip = page.locator("#tip")
    assert tip.locator("strong").inner_text() in LABELS
    assert tip.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    assert tip.locator("span").inner_text().endswith(".jpg")


def test_labels_can_be_switched_off_and_on(page):
    shown = page.locator("#map .scatterlayer .points path")
    assert shown.count() == 3 * EACH
    page.get_by_label("Kiwi", exact=False).first.uncheck()
    assert shown.count() == 2 * EACH
    page.get_by_role("button", name="None").click()
    assert shown.count() == 0
    page.get_by_role("button", name="All").click()
    assert shown.count() == 3 * EACH


def test_the_line_of_k_stands_where_the_curve_reaches_what_was_asked(shown):
    kept = shown.evaluate("report.facts.k")
    assert f"k = {kept}" in shown.locator("#variance .annotation-text").first.text_content()
    line = shown.evaluate(
        "(({shapes}) => shapes.find(shape => shape.name === 'k').x0)(document.getElementById('variance').layout)"
    )
    curve = shown.evaluate("document.getElementById('variance').data[0].y")
    assert line == kept
    assert curve[kept - 2] < 0.9 <= curve[kept - 1]
    assert shown.locator("#variance .shapelayer path").count() == 2


def test_the_other_map_is_that_of_the_first_two_components(page):
    page.get_by_role("button", name="First two components").click()
    xs = page.evaluate("document.getElementById('map').data.flatMap(trace => trace.x)")
    assert sorted(xs) == sorted(page.evaluate("report.components[0]"))


def test_the_images_can_be_reached_by_keyboard(page):
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#spoken").inner_text()
    page.keyboard.press("ArrowDown")
    second = page.locator("#spoken").inner_text()
    assert first.partition(": ")[0] == min(LABELS)
    assert second.partition(": ")[0] == sorted(LABELS)[1]
    assert page.locator("#tip").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_errors_drift_and_the_way_it_was_read_are_told(shown):
    told = shown.locator("main").inner_text()
    for fact in (
        "s3://b/<i>cut.jpg",
        "12 bytes, without the end",
        "12.5°",
        "0.125 standard deviations",
        "all 24 rows read",
        "12.3 s",
    ):
        assert fact in told


def test_nothing_is_wider_than_the_screen(shown):
    assert shown.evaluate("document.documentElement.scrollWidth") <= shown.viewport_size["width"]


def test_every_control_has_a_name_and_every_chart_a_description(shown):
    named = "e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim() || e.labels?.length"
    nameless = f"[...document.querySelectorAll('button, input, [role=img], [role=region]')].filter(e => !({named})).length"
    assert shown.evaluate(nameless) == 0


def test_the_heatmaps_name_their_rows_and_columns_and_have_a_scale(shown):
    assert shown.locator("#scale").evaluate(
        "e => e.offsetWidth > 100 && getComputedStyle(e).backgroundImage.includes('gradient')"
    )
    for when in ("before", "after"):
        for axis in ("x", "y"):
            said = shown.locator(f"#{when} .{axis}tick text").all_text_contents()
            assert [name.rstrip("…")[:10] for name in said] == [name[:10] for name in sorted(LABELS)]
            assert not shown.locator(f"#{when}").evaluate(OUTSIDE)


def test_what_is_mixed_up_is_told_apart_from_what_is_not(shown):
    paints = shown.evaluate("document.getElementById('before').data[0].colorscale.map(([, paint]) => paint)")
    nothing, least = (np.array([int(paint[place : place + 2], 16) for place in (1, 3, 5)]) for paint in paints[:2])
    assert np.abs(nothing - least).max() > 80


def test_the_list_of_labels_says_that_it_goes_on(page):
    labels, more = page.locator("#labels"), page.locator("#more")
    assert page.locator("#labels-legend").inner_text() == "3 labels"
    assert more.inner_text() == ""
    labels.evaluate("e => { e.style.maxHeight = '40px'; dispatchEvent(new Event('resize')); }")
    assert "more: scroll the list" in more.inner_text()
    assert labels.evaluate("e => e.classList.contains('fading')")
    labels.evaluate("e => e.scrollTo(0, e.scrollHeight)")
    page.locator("#more:empty").wait_for(state="attached")
    assert not labels.evaluate("e => e.classList.contains('fading')")


def test_the_header_says_that_failed_images_are_not_among_those_counted(shown):
    assert shown.locator("#lead").inner_text().startswith("24 images with features, 2 failed and are not among them.")


def test_an_errors_path_and_message_are_seen_whole_without_scrolling(shown):
    box = shown.get_by_role("region", name="Reasons and examples")
    assert box.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_on_paper_no_chart_is_wider_than_its_card_or_lies_on_another(browser, file):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    shown = page.evaluate(SIZES)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 1000})  # A4 and Letter with a browser's margins are a little wider
    assert (
        page.evaluate("[...document.querySelectorAll('.chart')].map(chart => chart.querySelector('svg').clientWidth)")
        == [620] * 6
    )
    assert not any(chart.evaluate(OUTSIDE) for chart in page.locator(".chart").all())
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(SIZES) == shown
    page.close()
