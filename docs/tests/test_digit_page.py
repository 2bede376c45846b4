"""The page on which one draws a digit, in a browser."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from docs.tests.pages import opened
from spikemnist import (
    Classifier,
    DirectEncoder,
    LatencyEncoder,
    LeakyConvNet,
    LeakyMLP,
    load,
)
from spikemnist.export import to_html
from spikemnist.models import READOUTS, available_pretrained
from spikemnist.ops import RESET_MECHANISMS
from tests.export.replay import DIGITS, samples_that_differ, watch
from tests.pairs import Case, named, pairs

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from spikemnist.models import Record

REPLAY = """images => {
  const { network, runNetwork, runningScores, decide, fromTable } = spikemnist;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return images.map((image) => {
    const run = runNetwork(network.layers, fromTable(bytes(image), network.table));
    const scores = runningScores(run.layers.at(-1), network.readout, network.population);
    return { spikes: run.layers.map((layer) => layer.spikes), decision: decide(scores.at(-1)) };
  });
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    names = available_pretrained()
    return {name: to_html(load(name), folder / f"{name}.html") for name in names}


def spikes_of(replayed: list[dict[str, Any]], record: Record) -> list[np.ndarray]:
    """Return the spikes of each layer, ``[T, B, ...]``, from the numbers of neurons."""
    found = []
    for i, layer in enumerate(record.layers):
        shape = layer.spikes.shape[2:]
        spikes = np.zeros((len(record.spikes), len(replayed), layer.spikes[0, 0].numel()))
        for sample, did in enumerate(replayed):
            for t, neurons in enumerate(did["spikes"][i]):
                spikes[t, sample, neurons] = 1
        last = spikes.reshape(*spikes.shape[:2], *shape[1:], shape[0])
        found.append(np.moveaxis(last, -1, 2))  # the page has channels last
    return found


def replay(page: Page, record: Record) -> list[dict[str, Any]]:
    images = [base64.b64encode(image.numpy().tobytes()).decode() for image in DIGITS.images]
    found: list[dict[str, Any]] = page.evaluate(REPLAY, images)
    assert samples_that_differ(record, spikes_of(found, record)) <= 1
    return found


@pytest.mark.parametrize("name", available_pretrained())
def test_digits_are_replayed(browser: Browser, pages: dict[str, Path], name: str) -> None:
    record = watch(load(name))
    with opened(browser, pages[name]) as page:
        decisions = [did["decision"] for did in replay(page, record)]
    assert (np.array(decisions) != record.predictions.numpy()).sum() <= 1


NETWORKS = {
    "30-20-10": partial(LeakyMLP, hidden=(30, 20)),
    **{text: partial(LeakyConvNet, text) for text in ("4C5s2p1-AP2-6C3-10", "4C5-P2-8-10")},
}


@pytest.mark.parametrize(
    "case",
    pairs(network=[*NETWORKS], reset=RESET_MECHANISMS, readout=[*READOUTS], population=[1, 3]),
    ids=named,
)
def test_networks_with_each_reset_and_readout(browser: Browser, tmp_path: Path, case: Case) -> None:
    torch.manual_seed(0)
    build, reset, readout = NETWORKS[case["network"]], case["reset"], case["readout"]
    options = {"readout": readout, "population": case["population"]}
    network = build(reset_mechanism=reset, threshold=0.3, **options)
    classifier = Classifier(network, LatencyEncoder(num_steps=6))
    record = watch(classifier)
    file = to_html(classifier, tmp_path / "page.html")
    with opened(browser, file) as page:
        decisions = np.array([did["decision"] for did in replay(page, record)])
    assert (decisions != record.predictions.numpy()).sum() <= 1


def test_classes_and_neurons_of_a_population(browser: Browser, tmp_path: Path) -> None:
    network = LeakyMLP(hidden=20, population=3, threshold=0.3, seed=0)
    classifier = Classifier(network, LatencyEncoder(num_steps=6))
    file = to_html(classifier, tmp_path / "page.html")
    with opened(browser, file, reduced_motion="reduce") as page:
        assert page.inner_text("#about").endswith("a spike where half of them fire.")
        page.click("#examples button >> nth=0")
        image = torch.tensor(page.evaluate("[...spikemnist.state.image]"), dtype=torch.uint8)
        record = classifier.eval()(image.view(1, 28, 28))
        membranes = record.by_class(record.membrane)[-1, 0].tolist()
        text = ", ".join(f"{label}: {membrane:.2f}" for label, membrane in enumerate(membranes))
        label = page.get_attribute("#membranes", "aria-label")
        assert label == f"Membranes at t = 5: {text}"
        box = page.locator("#membranes").bounding_box()
        assert box is not None
        page.locator("#membranes").click(position={"x": box["width"] * 0.7, "y": 20})
        assert page.inner_text("#neuron-note").startswith("Output neuron 3 (1 of 3). Its 20")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("spikemnist.state.neuron.number") == 3 * 3 + 1


def test_codes_are_those_of_python(browser: Browser, pages: dict[str, Path]) -> None:
    greys = torch.arange(256, dtype=torch.uint8).view(1, 256)
    script = "steps => spikemnist[{name}](Uint8Array.from({{length: 256}}, (_, i) => i), steps)"
    with opened(browser, pages["mnist-mlp"]) as page:
        for steps in (1, 2, 3, 8, 13, 25, 40):
            table = LatencyEncoder(num_steps=steps)(greys)[:, 0]
            found = page.evaluate(script.format(name=json.dumps("latency")), steps)
            assert [row["events"] for row in found] == [
                row.nonzero().flatten().tolist() for row in table
            ]
            values = DirectEncoder(num_steps=steps)(greys)[:, 0]
            found = page.evaluate(script.format(name=json.dumps("direct")), steps)
            assert [row["amounts"] for row in found] == values[:, 1:].tolist()
        means = page.evaluate(
            "() => { const { rate, seeded } = spikemnist;"
            " const input = rate(new Uint8Array(4000).fill(64), 50, seeded(1));"
            " return input.map(({ events }) => events.length / 4000); }"
        )
    assert np.mean(means) == pytest.approx(64 / 255, abs=0.004)  # three standard errors


def draw(page: Page, strokes: list[list[tuple[float, float]]]) -> None:
    box = page.locator("#paper").bounding_box()
    assert box is not None
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=6)
        page.mouse.up()


ENDED = (
    "!spikemnist.state.playing && spikemnist.state.now === spikemnist.state.run.input.length - 1"
)
SEVEN = [[(0.28, 0.2), (0.72, 0.2), (0.6, 0.45), (0.46, 0.85)]]
ONE = [[(0.5, 0.15), (0.5, 0.85)]]
FOUR = [[(0.35, 0.15), (0.3, 0.5), (0.7, 0.5)], [(0.65, 0.15), (0.62, 0.88)]]


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-conv"])
def test_a_drawn_digit_is_recognised(browser: Browser, pages: dict[str, Path], name: str) -> None:
    with opened(browser, pages[name], reduced_motion="reduce") as page:
        for digit, strokes in ((7, SEVEN), (1, ONE), (4, FOUR)):
            page.click("#clear")
            assert page.inner_text("#digit").startswith("?")
            draw(page, strokes)
            assert page.inner_text("#digit").startswith(f"{digit}\n")
            image = np.array(page.evaluate("Array.from(spikemnist.state.image)")).reshape(28, 28)
            rows, columns = np.nonzero(image > 40)
            assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21


def test_it_begins_with_an_eight_that_plays(browser: Browser, pages: dict[str, Path]) -> None:
    for file in pages.values():
        with opened(browser, file) as page:
            assert page.evaluate("spikemnist.state.label") == 8
            page.wait_for_function(ENDED)
            assert page.inner_text("#digit").startswith("8\n")


def test_time_goes_by_hand_and_by_itself(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["mnist-mlp"]) as page:
        page.click("#examples button >> nth=3")
        page.wait_for_function(ENDED)
        assert page.inner_text("#now") == "t = 7 of 0 … 7"
        page.click("#back")
        page.click("#back")
        assert page.inner_text("#now") == "t = 5 of 0 … 7"
        page.focus("#slider")
        page.keyboard.press("Home")
        assert page.inner_text("#now") == "t = 0 of 0 … 7"
        assert page.inner_text("#digit").endswith("after 1 of 8 timesteps")
        page.keyboard.press("ArrowRight")
        page.click("#forward")
        assert page.inner_text("#now") == "t = 2 of 0 … 7"
        page.select_option("#speed", index=0)  # or it might have ended before the text is read
        page.click("#play")
        assert page.inner_text("#play") == "Pause"
        page.select_option("#speed", "60")
        page.wait_for_function("spikemnist.state.now === 7")


def test_who_wants_no_motion_gets_none(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["mnist-mlp"], reduced_motion="reduce") as page:
        page.click("#examples button >> nth=0")
        assert page.evaluate("spikemnist.state.now") == 7
        assert not page.evaluate("spikemnist.state.playing")


def test_switches_silence_and_saturate(browser: Browser, pages: dict[str, Path]) -> None:
    set_range = (
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }"
    )
    with opened(browser, pages["mnist-mlp"], reduced_motion="reduce") as page:
        page.click("#examples button >> nth=5")
        trained = page.inner_text("#counter")
        assert "as it was trained" in page.inner_text("#effect")
        fired = "spikemnist.state.run.layers[0].spikes.flat().length"
        before = page.evaluate(fired)
        page.locator("#knob-threshold").evaluate(set_range, 0.9)
        assert page.inner_text("#knob-threshold-value") == "7.9"
        assert "Not as it was trained" in page.inner_text("#effect")
        assert page.evaluate(fired) < before / 2
        page.locator("#knob-threshold").evaluate(set_range, -0.6)
        many = page.evaluate(fired)
        assert many > before
        page.locator("#knob-beta").evaluate(set_range, 0)
        assert page.evaluate(fired) != many
        page.locator("#knob-steps").evaluate(set_range, 20)
        assert page.inner_text("#now") == "t = 19 of 0 … 19"
        page.select_option("#knob-code", "rate")
        page.select_option("#knob-code", "direct")
        assert "each is a current" in page.inner_text("#input-note")
        page.click("#restore")
        # All but the milliseconds.
        assert page.inner_text("#counter").split("Time")[0] == trained.split("Time")[0]
        page.locator("#noise").evaluate(set_range, 0.5)
        assert page.inner_text("#counter").split("Time")[0] != trained.split("Time")[0]


def test_the_eraser_takes_strokes_and_spikes(browser: Browser, pages: dict[str, Path]) -> None:
    with opened(browser, pages["mnist-mlp"], reduced_motion="reduce") as page:
        draw(page, SEVEN)
        page.click("#erase")
        assert page.get_attribute("#erase", "aria-pressed") == "true"
        ink = "spikemnist.state.image.reduce((sum, grey) => sum + grey, 0)"
        before = page.evaluate(ink)
        draw(page, [[(0.28, 0.2), (0.6, 0.2)]])
        assert page.evaluate(ink) != before
        box = page.locator("#image").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.up()
        assert page.evaluate("spikemnist.state.erased.size") == 9
        assert "took the spikes of 9 pixels" in page.inner_text("#effect")


def test_a_neuron_is_chosen_by_keyboard_and_pointer(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with opened(browser, pages["mnist-mlp"], reduced_motion="reduce") as page:
        page.click("#examples button >> nth=2")
        page.focus("#raster-0")
        for _ in range(5):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        assert page.inner_text("#neuron-note").startswith("Neuron 3 of hidden 1. Its 784 weights")
        box = page.locator("#raster-0").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 50, box["y"] + box["height"] * 0.5)
        assert page.evaluate("spikemnist.state.neuron.number") in (63, 64, 65)


def test_every_control_has_a_name(browser: Browser, pages: dict[str, Path]) -> None:
    nameless = """() => [...document.querySelectorAll('button, input, select, canvas[id]')]
      .filter((one) => !one.getAttribute('aria-label') && !one.textContent.trim())
      .filter((one) => !one.labels?.length).map((one) => one.id)"""
    with opened(browser, pages["mnist-conv"]) as page:
        assert page.evaluate(nameless) == []
        page.click("#examples button >> nth=2")
        assert page.evaluate(nameless) == []


@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits_the_window(browser: Browser, pages: dict[str, Path], width: int) -> None:
    size: Any = {"width": width, "height": 900}
    with opened(browser, pages["mnist-mlp"], viewport=size, reduced_motion="reduce") as page:
        page.click("#examples button >> nth=3")
        page.focus("#raster-0")
        page.keyboard.press("PageDown")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.goto(f"{pages['mnist-mlp'].as_uri()}?small")
        assert not page.is_visible("#hidden")
        assert page.is_visible("#paper")
