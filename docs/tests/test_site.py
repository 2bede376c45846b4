"""The built site as readers meet it: in a browser, on a desk and on a phone, by day and by night.

    python -m pytest docs/tests --site docs/_build/html --screenshots /tmp/pictures

It is no part of the ordinary tests, since it needs the built site and a browser.
"""

from __future__ import annotations

import html.parser
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from spikemnist.cli import main, parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WIDE = {"width": 1440, "height": 900}
VIEWPORTS = {"desk": DESK, "phone": PHONE}
FOREIGN = ("https://colab.research.google.com/assets/colab-badge.svg",)
"""What the pages show of other sites. They read well without it."""

LOOKED_AT = (
    "index.html",
    "guide/neuron.html",
    "guide/encodings.html",
    "gallery/index.html",
    "gallery/01_compare_encodings.html",
    "api/encoding.html",
    "api/generated/spikemnist.models.LeakyMLP.html",
    "command-line.html",
    "notebook/snn_mnist_classifier.html",
)
ELSEWHERE = re.compile(r"^https?://(?!127\.0\.0\.1)")
READABLE = 4.5
"""Contrast of text: WCAG 2.1, level AA."""


@contextmanager
def opened(browser: Browser, **how: Any) -> Iterator[tuple[Page, list[str]]]:
    """Yield a page, and what goes wrong on it."""
    context = browser.new_context(**how)
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.route(ELSEWHERE, lambda route: answer(route, wrong))
    yield page, wrong
    context.close()


def answer(route: Any, wrong: list[str]) -> None:
    """Answer for another site, without asking it; only a few may be asked at all."""
    if route.request.url not in FOREIGN:
        wrong.append(f"asks another site: {route.request.url}")
    route.fulfill(
        status=200, content_type="image/svg+xml", body="<svg xmlns='http://www.w3.org/2000/svg'/>"
    )


def pages(site: Path) -> list[str]:
    """Return the paths of all pages that are read; listings of source code are not among them."""
    found = (file.relative_to(site).as_posix() for file in site.rglob("*.html"))
    return sorted(name for name in found if not name.startswith(("_modules/", "_static/")))


def test_every_page_opens_on_desk_and_phone(browser: Browser, address: str, site: Path) -> None:
    names = pages(site)
    assert len(names) > 30
    for viewport in (DESK, PHONE):
        with opened(browser, viewport=viewport) as (page, wrong):
            for name in names:
                page.goto(f"{address}/{name}", wait_until="load")
                assert not wrong, f"{name}: {wrong}"
                wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert wide <= 0, f"{name} is {wide} pixels wider than {viewport['width']}"
                missing = page.evaluate(MISSING_IMAGES)
                assert not missing, f"{name}: {missing}"


MISSING_IMAGES = """async () => {
    const images = [...document.images].filter(image => !image.src.startsWith("https://"));
    for (const image of images) image.loading = "eager";
    await Promise.all(images.map(image => image.decode().catch(() => {})));
    return images.filter(image => !image.naturalWidth).map(image => image.src);
}"""


def test_no_code_and_no_table_is_clipped_at_1440_pixels(
    browser: Browser, address: str, site: Path
) -> None:
    with opened(browser, viewport=WIDE) as (page, _):
        for name in pages(site):
            page.goto(f"{address}/{name}", wait_until="load")
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{name} is {wide} pixels wider than {WIDE['width']}"
            clipped = page.evaluate(CLIPPED)
            assert not clipped, f"{name}: {clipped}"


CLIPPED = """() => [...document.querySelectorAll(
        "article pre, article table, article .table-wrapper, article div.math")]
    .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
    .map(one => `${one.scrollWidth - one.clientWidth} pixels of ${one.innerText.slice(0, 60)}`)"""


@pytest.mark.parametrize("word", ["latency", "surrogate", "accelerate", "STDP", "N-MNIST"])
def test_search_finds(word: str, browser: Browser, address: str) -> None:
    with opened(browser, viewport=DESK) as (page, wrong):
        page.goto(f"{address}/search.html?q={word}")
        page.wait_for_selector("#search-results li a", timeout=20_000)
        found = page.locator("#search-results li").count()
        assert found > 1, f"{word}: {found}"
        assert not wrong, wrong


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("width", VIEWPORTS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_by_day_and_by_night(
    name: str, width: str, scheme: str, browser: Browser, address: str, screenshots: Path | None
) -> None:
    with opened(browser, viewport=VIEWPORTS[width], color_scheme=scheme) as (page, _):
        page.goto(f"{address}/{name}", wait_until="networkidle")
        if screenshots is not None:
            stem = name.replace("/", "-").removesuffix(".html")
            page.screenshot(path=screenshots / f"{stem}-{width}-{scheme}.png")
        ground = luminance(page.evaluate(GROUND))
        assert (ground < 0.1) == (scheme == "dark")
        pale = [
            (text, round(contrast(luminance(colour), luminance(behind)), 1))
            for text, colour, behind in page.evaluate(TEXTS)
            if contrast(luminance(colour), luminance(behind)) < READABLE
        ]
        assert not pale, pale[:5]


GROUND = "getComputedStyle(document.body).backgroundColor"
TEXTS = """() => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    // The colour behind an element: its own over that of what holds it, as far as it is opaque.
    const ground = one => {
        if (!one) return [255, 255, 255];
        const [r, g, b, alpha = 1] = parts(getComputedStyle(one).backgroundColor);
        if (alpha == 1) return [r, g, b];
        return ground(one.parentElement).map((c, i) => alpha * [r, g, b][i] + (1 - alpha) * c);
    };
    const texts = document.querySelectorAll(
        "article p, article li, article a, article td, article .highlight span");
    return [...texts]
        .filter(one => one.innerText && one.innerText.trim() && one.offsetParent)
        .slice(0, 400)
        .map(one => [
            one.innerText.slice(0, 40), getComputedStyle(one).color, `rgb(${ground(one)})`]);
}"""


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour of CSS, from 0 to 1."""
    parts = [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (p / 255 for p in parts)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    """Return the ratio of two luminances, from 1 to 21."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_code_is_copied_without_its_prompts(browser: Browser, address: str) -> None:
    with opened(browser, viewport=DESK, permissions=["clipboard-read"]) as (page, _):
        page.goto(f"{address}/quickstart.html")
        block = page.locator(".highlight", has_text=">>>").first
        block.hover()
        block.locator("button.copybtn").click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("from spikemnist import data\n"), copied
        assert ">>>" not in copied


def test_the_landing_page_shows_what_it_is(browser: Browser, address: str) -> None:
    with opened(browser, viewport=DESK) as (page, _):
        page.goto(address)
        assert page.locator("h1").first.inner_text().startswith("spikemnist")
        moving = page.locator("article img[src$='.gif']").first
        assert moving.bounding_box()["y"] < 2 * DESK["height"]
        assert "pip install spikemnist" in page.locator("article").inner_text()


def test_the_notebook_shows_its_pictures(browser: Browser, address: str) -> None:
    with opened(browser, viewport=DESK) as (page, _):
        page.goto(f"{address}/notebook/snn_mnist_classifier.html")
        assert page.locator("article .cell_output img").count() >= 6


@pytest.mark.parametrize("command", parser.COMMANDS)
def test_the_page_of_the_command_line_agrees_with_help(
    command: str, browser: Browser, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    printed = re.sub(r"[\s│╭╮╰╯─]", "", capsys.readouterr().out)
    with opened(browser, viewport=DESK) as (page, _):
        page.goto(f"{address}/command-line.html")
        rows = page.locator(f"section#{command} > .table-wrapper tbody tr").all()
        cells = [[cell.inner_text() for cell in row.locator("td").all()] for row in rows]
    assert printed.count("(default:") + printed.count("(required)") == len(cells) > 0
    for option, default, text in cells:
        hint = "(required)" if default == "required" else f"(default:{default})"
        for part in (option, text.split("\n")[0], hint):
            assert "".join(part.split()) in printed


class Links(html.parser.HTMLParser):
    """The links, images and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.targets, self.anchors = list[str](), set[str]()

    def handle_starttag(self, _: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def test_every_link_inside_resolves(site: Path) -> None:
    read: dict[Path, Links] = {}
    for file in site.rglob("*.html"):
        read[file] = Links()
        read[file].feed(file.read_text(encoding="utf-8"))
    broken = []
    for file, links in read.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not there.exists():
                broken.append(f"{file.relative_to(site)}: {target}")
            elif (
                parts.fragment
                and there in read
                and unquote(parts.fragment) not in read[there].anchors
            ):
                broken.append(f"{file.relative_to(site)}: {target}, no such anchor")
    assert not broken, broken[:20]
