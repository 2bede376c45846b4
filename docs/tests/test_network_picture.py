"""The network as it is drawn on the pages, in a browser."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.image import imread

from docs.tests.pages import opened, place_of
from spikemnist import Classifier, LatencyEncoder, LeakyConvNet, LeakyMLP, load
from spikemnist.export import to_html, to_playground

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
PICTURE = "document.querySelector('#graph').toDataURL()"
BEGIN = """() => {
  const speed = document.querySelector("#speed");
  speed.append(new Option("one in 5 s", 0.2, true, true));  // also for a slow machine
  if (!spikemnist.state.playing) document.querySelector("#play").click();
}"""


def painted(page: Page, canvas: str = "#graph") -> np.ndarray:
    """Return what is on a canvas, ``[H, W, 4]`` in [0, 1]."""
    data = page.locator(canvas).evaluate("canvas => canvas.toDataURL()")
    return imread(io.BytesIO(base64.b64decode(data.partition(",")[2])))


def colours(page: Page) -> tuple[int, int]:
    """Return how many pixels of the network are warm, and how many are blue."""
    picture = painted(page)
    excess = (picture[..., 0] - picture[..., 2])[picture[..., 3] > 0.5]
    return int((excess > 0.25).sum()), int((excess < -0.25).sum())


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_playground(tmp_path_factory.mktemp("playground") / "playground.html")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_html(load("mnist-mlp"), tmp_path_factory.mktemp("digits") / "digits.html")


def ready(page: Page) -> None:
    page.wait_for_function("spikemnist.state.run !== null")


def test_the_strongest_of_random_weights(browser: Browser, digits: Path) -> None:
    random = np.random.default_rng(0)
    with opened(browser, digits) as page:
        for size, count in ((1, 3), (5, 5), (40, 3), (784, 24)):
            weights = random.standard_normal(size).round(1)  # some are equal
            script = "([w, count]) => spikemnist.strongest(count, w.keys(), (i) => w[i])"
            found = page.evaluate(script, [weights.tolist(), count])
            actual = [abs(each["weight"]) for each in found]
            assert actual == sorted(np.abs(weights), reverse=True)[:count]
            assert [weights[each["i"]] for each in found] == [each["weight"] for each in found]


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_it_is_drawn_before_training_and_under_stdp(
    browser: Browser, playground: Path, width: int
) -> None:
    size: Any = {"width": width, "height": 900}
    with opened(browser, playground, viewport=size, reduced_motion="reduce") as page:
        ready(page)
        assert min(colours(page)) > 500
        assert page.inner_text("#legend").startswith("Strongest weights: orange excites")
        page.click("#doors button >> nth=1")
        page.wait_for_function("spikemnist.network.competition")
        assert colours(page)[0] > 500
        assert "votes" in page.inner_text("#legend")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("hidden", [1, 16, 700])
def test_networks_of_few_and_many_neurons(browser: Browser, tmp_path: Path, hidden: int) -> None:
    classifier = Classifier(LeakyMLP(hidden=hidden, population=2, seed=0), LatencyEncoder(4))
    file = to_html(classifier, tmp_path / "page.html")
    with opened(browser, file, **PHONE) as page:
        label = page.get_attribute("#graph", "aria-label") or ""
        assert label.startswith(f"Network of 784 pixels, {hidden} hidden neurons and 10 classes")
        assert ("the 256 with the largest weights" in page.inner_text("#legend")) == (hidden > 256)
        page.focus("#graph")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("spikemnist.state.neuron.number") == 0
        page.keyboard.press("PageDown")
        assert page.evaluate("spikemnist.state.neuron.number") == min(hidden - 1, 160)


@pytest.mark.parametrize(
    "network", [LeakyMLP(hidden=(20, 10)), LeakyConvNet("4C5s2p1-10"), LeakyConvNet("4C5-P2-8-10")]
)
def test_other_networks_are_left_out(browser: Browser, tmp_path: Path, network: LeakyMLP) -> None:
    file = to_html(Classifier(network, LatencyEncoder(4)), tmp_path / "page.html")
    with opened(browser, file) as page:
        assert page.locator("#graph").count() == 0
        assert page.is_visible("#image")
        assert page.inner_text("#input h2") == "What the network sees"


def test_spikes_run_while_it_plays(browser: Browser, digits: Path) -> None:
    with opened(browser, digits) as page:
        page.evaluate(BEGIN)
        page.wait_for_function("spikemnist.state.phase > 0.05")
        first, now = page.evaluate(f"[{PICTURE}, spikemnist.state.now]")
        page.wait_for_function("spikemnist.state.phase > 0.3")
        later, still = page.evaluate(f"[{PICTURE}, spikemnist.state.now]")
        assert still == now
        assert later != first
    with opened(browser, digits, reduced_motion="reduce") as page:
        page.evaluate(BEGIN)
        page.wait_for_function("spikemnist.state.phase > 0.05")  # the first frame is drawn
        first = page.evaluate(f"[{PICTURE}, spikemnist.state.now]")
        page.wait_for_function("spikemnist.state.phase > 0.3")
        assert page.evaluate(f"[{PICTURE}, spikemnist.state.now]") == first


def test_a_neuron_is_shown_while_one_points(browser: Browser, digits: Path) -> None:
    number = "spikemnist.state.neuron.number"
    with opened(browser, digits, reduced_motion="reduce") as page:
        stage = page.locator("#stage")
        (x, y), (right, low) = place_of(page, 3), place_of(page, 40)
        stage.hover(position={"x": x, "y": y})
        assert page.evaluate(number) == 3
        stage.click(position={"x": x, "y": y})
        stage.hover(position={"x": right, "y": low})
        assert page.evaluate(number) == 40
        assert page.inner_text("#neuron-note").startswith("Neuron 40 of hidden 1.")
        page.hover("#digit")
        assert page.evaluate(number) == 3
        page.focus("#graph")
        page.keyboard.press("ArrowRight")
        page.hover("#digit")
        assert page.evaluate(number) == 4


def test_a_chosen_neuron_of_a_network_that_is_gone(browser: Browser, playground: Path) -> None:
    with opened(browser, playground, reduced_motion="reduce") as page:
        ready(page)
        x, y = place_of(page, 60)
        page.locator("#stage").click(position={"x": x, "y": y})
        page.select_option("#knob-hidden", "16")
        page.wait_for_function("spikemnist.network.layers[0].bias.length === 16")
        assert page.evaluate("spikemnist.state.neuron.number") is None
        page.focus("#membranes")
        page.keyboard.press("ArrowDown")
        assert page.inner_text("#neuron-note").startswith("Output neuron 0.")
        page.click("#doors button >> nth=1")
        page.wait_for_function("spikemnist.network.competition")
        assert page.inner_text("#neuron-note").startswith("Point at a neuron")


def test_a_touch_keeps_a_neuron(browser: Browser, digits: Path) -> None:
    with opened(browser, digits, **PHONE, reduced_motion="reduce") as page:
        x, y = place_of(page, 20)
        page.locator("#stage").tap(position={"x": x, "y": y})
        assert page.evaluate("spikemnist.state.neuron.number") == 20
        page.locator("#image").tap()
        assert page.evaluate("spikemnist.state.neuron.number") == 20


def test_warm_excites(browser: Browser, digits: Path) -> None:
    weights = """() => {
      const { network: { layers: [{ weight, bias }] }, state: { neuron } } = spikemnist;
      return Array.from({ length: 784 }, (_, i) => weight[i * bias.length + neuron.number]);
    }"""
    for theme in ("light", "dark"):
        with opened(browser, digits, color_scheme=theme, reduced_motion="reduce") as page:
            page.focus("#graph")
            page.keyboard.press("ArrowRight")
            values = np.array(page.evaluate(weights))
            field = painted(page, "#field")[5::10, 5::10].reshape(784, 4)
            for i, sign in ((values.argmax(), 1), (values.argmin(), -1)):
                assert sign * (field[i, 0] - field[i, 2]) > 0.25, theme
