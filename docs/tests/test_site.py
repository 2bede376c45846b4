"""The built site: its links, and the pages whose scripts do something, in a browser.

    python -m pytest docs/tests --site docs/_build/html

It is no part of the ordinary tests, since it needs the built site and a browser.
"""

from __future__ import annotations

import base64
import html.parser
import itertools
import json
import re
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

FOREIGN = ("https://colab.research.google.com/assets/colab-badge.svg",)
"""What the pages show of other sites. They read well without it."""


PLAYGROUND = "playground-page.html"

NOT_SEARCHED = ("benchmarks", "changelog", "design")
"""Pages whose words would stand above those of the pages that a beginner looks for."""

ASKED = (
    "what is T",
    "which code",
    "input spikes",
    "why spikes",
    "accuracy lower than CNN",
    "nJ",
    "surrogate",
    "neurons do not fire",
    "accuracy 10",
    "loss NaN",
    "overfit",
    "tied",
    "margin",
    "see spikes",
    "own pictures",
    "own data",
    "own network",
    "save",
    "stop training",
    "reproduce",
    "GPU",
    "install without CUDA",
)
"""Words of beginners, each of which a heading of the page of questions answers."""


class Links(html.parser.HTMLParser):
    """The links of a page, what it loads, its anchors, and the texts in place of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.links, self.loaded, self.anchors = list[str](), list[str](), set[str]()
        self.texts = list[str]()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if not value:
                continue
            if ("rel", "canonical") in attributes:
                continue  # the page's own address, which nothing loads
            if name == "src" or (tag, name) == ("link", "href"):
                self.loaded.append(value)
            elif name == "href":
                self.links.append(value)
            elif name == "alt":
                self.texts.append(value)
            elif name in ("id", "name"):
                self.anchors.add(value)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    found: dict[Path, Links] = {}
    for file in site.rglob("*.html"):
        found[file] = Links()
        found[file].feed(file.read_text(encoding="utf-8"))
    assert len(found) > 30
    return found


def test_every_link_inside_leads_somewhere(site: Path, pages: dict[Path, Links]) -> None:
    broken = []
    for file, page in pages.items():
        for target in (*page.links, *page.loaded):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchors = pages[place].anchors if place in pages else {parts.fragment}
            if not place.exists():
                broken.append(f"{file.relative_to(site)}: {target}")
            elif place.name == PLAYGROUND and "=" in parts.fragment:
                continue  # settings: `test_playground` tries them
            elif parts.fragment and unquote(parts.fragment) not in anchors:
                broken.append(f"{file.relative_to(site)}: {target}, no such anchor")
    assert not broken, broken[:20]


def test_no_page_loads_anything_from_another_site(pages: dict[Path, Links]) -> None:
    loaded = {target for page in pages.values() for target in page.loaded}
    assert {target for target in loaded if urlsplit(target).netloc} <= set(FOREIGN)


def test_icon_title_and_description_of_a_page(site: Path) -> None:
    head = (site / "teachers.html").read_text(encoding="utf-8").partition("</head>")[0]
    assert '<link rel="shortcut icon" href="_static/logo.svg">' in head
    assert "<title>For teachers - spikemnist</title>" in head
    assert '<meta name="description" content="course.zip is a course of ' in head
    assert '<meta property="og:title" content="For teachers">' in head


def test_a_downloaded_notebook(site: Path) -> None:
    notebooks = [*site.glob("_downloads/*/[0-9][0-9]_*.ipynb")]
    assert len(notebooks) > 10
    for notebook in notebooks:
        first, *others = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        assert "%pip install" in first["source"][0]
        assert first["source"][0].endswith("\n%matplotlib inline")
        assert not [cell for cell in others if re.search(r":\w+:`", cell["source"][0])], notebook


def test_pictures_of_the_gallery_have_a_text_in_their_place(pages: dict[Path, Links]) -> None:
    texts = [text for file in pages if file.parent.name == "gallery" for text in pages[file].texts]
    assert len(texts) > 20
    assert not [text for text in texts if re.match(r"\d\d |sphx", text)]


def test_pictures_of_the_guide_have_names_and_texts(site: Path, pages: dict[Path, Links]) -> None:
    files = zipfile.ZipFile(site / "guide-pictures.zip")
    names = [name.removesuffix(".svg") for name in files.namelist()]
    listed = (site / "teachers.html").read_text(encoding="utf-8")
    assert len(names) > 30
    assert not [name for name in names if f">{name}</span></code>" not in listed]
    assert all(b"<svg" in files.read(name) for name in files.namelist())
    texts = [text for file in pages if file.parent.name == "guide" for text in pages[file].texts]
    assert not [text for text in texts if "_images" in text or "jupyter_execute" in text]


def test_search_leaves_out_pages_for_makers(site: Path) -> None:
    script = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(script.removeprefix("Search.setIndex(").removesuffix(")"))
    numbers = {index["docnames"].index(name) for name in NOT_SEARCHED}
    words = {**index["terms"], **index["titleterms"]}
    places = [places if isinstance(places, list) else [places] for places in words.values()]
    assert len(words) > 1000
    assert not [number for number in numbers if any(number in place for place in places)]
    assert not [title for title, at in index["alltitles"].items() if numbers & {n for n, _ in at}]


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_context(permissions=["clipboard-read"]).new_page()


def test_search_finds(page: Page, address: str) -> None:
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for word in ("latency", "surrogate", "STDP"):
        page.goto(f"{address}/search.html?q={word}")
        page.wait_for_selector("#search-results li a", timeout=20_000)
        assert page.locator("#search-results li").count() > 1, word
    assert not wrong


def test_search_begins_with_the_page_of_questions(page: Page, address: str) -> None:
    missed = {}
    for words in ASKED:
        page.goto(f"{address}/search.html?q={words}")
        page.locator(".search-summary", has_text="finished").wait_for()
        links = page.locator("#search-results li > a")
        hits = [link.get_attribute("href") or "" for link in links.all()[:3]]
        if not any(hit.startswith("questions.html") for hit in hits):
            missed[words] = hits
    assert not missed


def test_buttons_of_a_phone_are_wide_enough_and_apart(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/teachers.html")
    buttons = page.locator(".mobile-header .theme-toggle, .mobile-header label")
    boxes = [button.bounding_box() for button in buttons.all()]
    assert len(boxes) == 3
    places = sorted((box["x"], box["x"] + box["width"], box["height"]) for box in boxes if box)
    assert all(right - left >= 44 <= height for left, right, height in places)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))


def test_the_playground_trains_in_a_notebook(page: Page, site: Path) -> None:
    """Sheet 4 of the course has it in a frame, as data: such a page has no origin."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    whole = base64.b64encode((site / PLAYGROUND).read_bytes()).decode()
    page.set_content(f'<iframe src="data:text/html;base64,{whole}#lr=1"></iframe>')
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="Train", exact=True).click()
    expect(frame.locator("#metrics")).to_contain_text(re.compile(r"Loss\s*\d"), timeout=30_000)
    expect(frame.locator("#lesson")).to_have_text(re.compile(r"\w"))
    assert not wrong


def test_code_is_copied_without_its_prompts(page: Page, address: str) -> None:
    page.goto(f"{address}/guide/choices.html")
    block = page.locator(".highlight", has_text=">>>").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import snntorch\n"), copied
    assert ">>>" not in copied


FRAME = """() => [innerHeight, document.documentElement.getBoundingClientRect().height,
  document.documentElement.scrollWidth - innerWidth, document.documentElement.dataset.theme]"""


@pytest.mark.parametrize("width", [390, 768, 1440])
@pytest.mark.parametrize("name", ["index", "playground", "digit"])
def test_a_frame_shows_its_whole_page(
    browser: Browser, address: str, name: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
    page.goto(f"{address}/{name}.html")
    frame = page.frames[1]
    frame.wait_for_function("window.spikemnist?.state.run && innerHeight > 900")
    frame.wait_for_timeout(500)  # until the fields are there
    high, content, sideways, theme = frame.evaluate(FRAME)
    assert 0 <= high - content < 1
    assert sideways <= 0
    page.evaluate("document.body.dataset.theme = 'dark'")
    frame.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert theme == "light"
    page.close()


def test_help_of_a_knob_links_to_the_glossary(page: Page, address: str, site: Path) -> None:
    anchors = re.findall(r'id="(term-[^"]+)"', (site / "glossary.html").read_text("utf-8"))
    for name in ("playground", "digit"):
        page.goto(f"{address}/{name}-page.html")
        page.wait_for_function("window.spikemnist?.state.run")
        knobs = page.locator("#knobs select, #knobs input")
        for knob in (knobs.nth(i) for i in range(knobs.count())):
            knob.focus()
            target = page.locator("#help a").evaluate("link => link.href")
            assert target.removeprefix(f"{address}/glossary.html#") in anchors, target


def test_icons_on_a_phone_are_apart(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/playground.html")
    icons = page.locator(".mobile-header .theme-toggle, .mobile-header label")
    boxes = [icons.nth(i).bounding_box() or {} for i in range(icons.count())]
    assert len(boxes) == 3
    assert all(min(box["width"], box["height"]) >= 44 for box in boxes)
    edges = sorted((box["x"], box["x"] + box["width"]) for box in boxes)
    assert all(edges[i + 1][0] - edges[i][1] >= 8 for i in range(2))
