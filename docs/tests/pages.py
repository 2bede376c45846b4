"""Pages opened in a browser, in which nothing may go wrong."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page


@contextmanager
def opened(browser: Browser, file: Path, **options: Any) -> Iterator[Page]:
    """Open a page; nothing may go wrong in it, and no request may leave it."""
    context = browser.new_context(**options)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    assert said == []
    assert {url.partition("?")[0] for url in asked if not url.startswith(("data:", "blob:"))} == {
        file.as_uri()
    }
    context.close()


PLACE = """number => {
  const { width, height } = document.querySelector("#stage").getBoundingClientRect();
  for (let y = 0; y < height; y += 4)
    for (let x = 0; x < width; x += 4) {
      const neuron = spikemnist.neuronAt(x, y);
      if (neuron?.layer === 0 && neuron.number === number) return [x + 4, y + 4];
    }
}"""


def place_of(page: Page, number: int) -> tuple[float, float]:
    """Return where a hidden neuron is drawn, from the corner of the network."""
    page.wait_for_function(f"({PLACE})(0)")
    x, y = page.evaluate(PLACE, number)
    return x, y
