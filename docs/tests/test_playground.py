"""The page on which a network learns: its numbers against the library's, in a browser."""

from __future__ import annotations

import base64
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from docs.tests.pages import opened, place_of
from spikemnist import DirectEncoder, LatencyEncoder, LeakyMLP, load_digits
from spikemnist.export import to_playground
from spikemnist.models import READOUTS
from spikemnist.ops import RESET_MECHANISMS, SURROGATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).resolve().parent.parent
BATCH, STEPS, TIMESTEPS, HIDDEN = 16, 10, 6, 12
ENCODERS = {"latency": LatencyEncoder, "direct": DirectEncoder}

LEARN = """({ layers, images, labels, code, timesteps, options, surrogate, width, batch, lr }) => {
  const { learn, moveByAdam, newAdam, zerosLike, SURROGATES } = spikemnist;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const doubles = (text) => new Float64Array(bytes(text).buffer);
  const encode = spikemnist[code];
  const slope = (x) => SURROGATES[surrogate].derivative(x, width);
  const network = layers.map((layer) => {
    const names = ["weight", "bias", "beta", "threshold"];
    return { ...layer, ...Object.fromEntries(names.map((name) => [name, doubles(layer[name])])) };
  });
  const adam = newAdam(network);
  const pixels = bytes(images);
  const steps = [];
  for (let start = 0; start < labels.length; start += batch) {
    const gradients = zerosLike(network);
    let [loss, right] = [0, 0];
    const spikes = network.map(() => 0);
    for (let i = start; i < start + batch; i++) {
      const image = pixels.subarray(784 * i, 784 * (i + 1));
      const input = encode(image, timesteps);
      const did = learn(network, input, labels[i], gradients, { ...options, slope }, 1 / batch);
      loss += did.loss / batch;
      right += did.scores.indexOf(Math.max(...did.scores)) === labels[i];
      did.record.forEach((layer, k) => (spikes[k] += layer.spikes.flat().length));
    }
    const joined = gradients.map(({ weight, bias }) => [...weight, ...bias]);
    steps.push({ loss, right, spikes, gradients: joined });
    moveByAdam(network, gradients, adam, lr);
  }
  return steps;
}"""


def encoded(array: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def layers_of(network: LeakyMLP) -> list[dict[str, Any]]:
    layers = []
    for layer in network.layers:
        weight = layer.linear.weight.detach().T.numpy()
        inputs, outputs = weight.shape
        numbers = {
            "weight": weight,
            "bias": layer.linear.bias.detach().numpy(),
            "beta": np.full(outputs, float(layer.leaky.beta)),
            "threshold": np.full(outputs, float(layer.leaky.threshold)),
        }
        layers.append(
            {
                **{name: encoded(array) for name, array in numbers.items()},
                **{"kernel": 1, "stride": 1, "padding": 0, "pooling": None, "pool": 1},
                "reset": layer.leaky.reset_mechanism,
                "inShape": [1, 1, inputs],
                "weighedShape": [1, 1, outputs],
                "shape": [1, 1, outputs],
            }
        )
    return layers


def learned(network: LeakyMLP, code: str, steps: int, lr: float) -> list[dict[str, Any]]:
    """Train by torch; return loss, right answers, spikes and gradients of each step."""
    digits = load_digits()[0]
    encoder = ENCODERS[code](num_steps=TIMESTEPS)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    results = []
    for start in range(0, steps * BATCH, BATCH):
        images, labels = (part[start : start + BATCH] for part in (digits.images, digits.labels))
        record = network(encoder(images).double().flatten(2))
        loss = cross_entropy(record.scores, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [
            torch.cat([layer.linear.weight.grad.T.flatten(), layer.linear.bias.grad])  # type: ignore[union-attr]
            for layer in network.layers
        ]
        results.append(
            {
                "loss": loss.item(),
                "right": int((record.scores.argmax(1) == labels).sum()),
                "spikes": record.spike_counts.sum(1).tolist(),
                "gradients": gradients,
            }
        )
        optimizer.step()
    return results


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_playground(tmp_path_factory.mktemp("playground") / "playground.html")


@pytest.fixture(scope="module")
def playground(browser: Browser, file: Path) -> Iterator[Page]:
    with opened(browser, file) as page:
        yield page


def both(
    page: Page, code: str = "latency", steps: int = STEPS, lr: float = 0.01, **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    torch.manual_seed(0)
    surrogate = SURROGATES[options.pop("surrogate", "atan")]()
    network = LeakyMLP(
        hidden=HIDDEN, threshold=0.4, spike_grad=surrogate, backend="reference", **options
    ).double()
    digits = load_digits()[0][: steps * BATCH]
    in_page = page.evaluate(
        LEARN,
        {
            "layers": layers_of(network),
            "images": encoded(digits.images.numpy()),
            "labels": digits.labels.tolist(),
            "code": code,
            "timesteps": TIMESTEPS,
            "options": {
                "readout": options.get("readout", "mean_membrane"),
                "population": options.get("population", 1),
            },
            "surrogate": surrogate.name,
            "width": next(iter(vars(surrogate).values()), 1.0),
            "batch": BATCH,
            "lr": lr,
        },
    )
    return in_page, learned(network, code, steps, lr)


@pytest.mark.parametrize(
    "options",
    [
        *({"reset_mechanism": reset, "code": c} for reset in RESET_MECHANISMS for c in ENCODERS),
        *({"readout": readout, "code": code} for readout in READOUTS for code in ENCODERS),
        *({"surrogate": surrogate} for surrogate in SURROGATES),
        *({"readout": readout, "population": 2} for readout in READOUTS),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_ten_steps_are_those_of_the_library_in_float64(
    playground: Page, options: dict[str, Any]
) -> None:
    """Rounding alone differs: sums of up to 784 products of doubles."""
    in_page, by_torch = both(playground, **options)
    for ours, theirs in zip(in_page, by_torch, strict=True):
        assert ours["spikes"] == theirs["spikes"]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-10)
        for gradient, expected in zip(ours["gradients"], theirs["gradients"], strict=True):
            error = torch.linalg.vector_norm(torch.tensor(gradient, dtype=torch.float64) - expected)
            assert error <= 1e-8 * torch.linalg.vector_norm(expected) + 1e-15


def test_an_epoch_equals_that_of_the_library(playground: Page) -> None:
    in_page, by_torch = both(playground, steps=62)
    assert [step["right"] for step in in_page] == [step["right"] for step in by_torch]
    assert sum(step["right"] for step in in_page[-10:]) > 0.7 * 10 * BATCH


SAYS = "phrase => document.querySelector('#effect').textContent.includes(phrase)"


def metric(page: Page, name: str) -> float:
    text = page.inner_text("#metrics")
    found = re.search(rf"{name}\n(-?[\d.]+)", text)
    return float(found[1]) if found else float("nan")


def train_for(page: Page, epochs: float) -> None:
    page.click("#run")
    page.wait_for_function(
        "epochs => Number(document.querySelector('#metrics dd')?.textContent) >= epochs",
        arg=epochs,
        timeout=120_000,
    )
    page.click("#run")
    page.wait_for_function("document.querySelector('#run').textContent === 'Train'")


def test_a_network_learns_in_the_page(browser: Browser, file: Path) -> None:
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        before = page.evaluate("spikemnist.network.layers[0].bias[0]")
        page.click("#one")
        changed = "before => spikemnist.network.layers[0].bias[0] !== before"
        page.wait_for_function(changed, arg=before)
        train_for(page, 2)
        assert metric(page, "On 500 digits held out") > 80
        page.click("#examples button >> nth=16")
        assert page.inner_text("#digit").startswith("6\n")
        page.click("#reset")
        page.wait_for_function("document.querySelector('#metrics dd').textContent === '0.0'")


def images_learned(page: Page) -> int:
    found = re.search(r"over (\d+) images", page.get_attribute("#curves", "aria-label") or "")
    return int(found[1]) if found else 0


TIME_THE_ANSWER = """() => {
  const button = document.querySelector("#run");
  button.addEventListener("click", ({ timeStamp }) => {
    const watch = new MutationObserver(() => {
      if (button.textContent === "Train") window.answered ??= performance.now() - timeStamp;
    });
    watch.observe(button, { childList: true });
  });
}"""


def test_pause_is_answered_on_a_slow_machine(browser: Browser, file: Path) -> None:
    """The worker trains at full speed, and the page paints at a quarter of its own."""
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        slow = page.context.new_cdp_session(page)
        slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        page.click("#run")
        page.wait_for_function("document.querySelector('#run').textContent === 'Pause'")
        page.evaluate(TIME_THE_ANSWER)
        box = page.locator("#run").bounding_box()
        assert box is not None
        page.wait_for_timeout(12_000)
        page.mouse.click(box["x"] + 10, box["y"] + 10)  # page.click would wait for the page itself
        page.wait_for_function("window.answered !== undefined", timeout=120_000)
        assert page.evaluate("window.answered") < 2000
        learned = images_learned(page)
        assert learned > 0
        page.wait_for_timeout(500)
        assert images_learned(page) == learned


def test_reports_to_a_hidden_page(browser: Browser, file: Path) -> None:
    """As a hidden tab is, whose frames the browser holds back."""
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        page.click("#one")
        page.wait_for_function("document.querySelector('#curves').ariaLabel.includes(' 32 ')")
        page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        page.evaluate(
            "() => { window.held = []; window.requestAnimationFrame = (call) => held.push(call); }"
        )
        press = "name => document.getElementById(name).click()"
        page.evaluate(press, "run")
        page.wait_for_function("held.length > 0", polling=50)
        learned = images_learned(page)
        assert learned > 32
        page.wait_for_timeout(500)
        for name in ("run", "reset", "one"):
            page.evaluate(press, name)
        page.wait_for_timeout(500)
        assert page.evaluate("held.length") == 1
        assert images_learned(page) == learned
        assert page.inner_text("#run") == "Pause"
        page.evaluate("held.pop()()")
        page.wait_for_function("document.querySelector('#run').textContent === 'Train'", polling=50)
        assert images_learned(page) == 32


def test_fields_become_digits_without_labels(browser: Browser, file: Path) -> None:
    with opened(browser, file, reduced_motion="reduce") as page:
        page.click("#doors button >> nth=1")
        page.select_option("#knob-hidden", "25")
        page.wait_for_function("spikemnist.network.competition?.neurons === 25")
        assert page.url.endswith("#rule=STDP&hidden=25")
        assert page.get_attribute("#doors button >> nth=1", "aria-pressed") == "true"
        assert not page.is_visible("#knob-lr")
        train_for(page, 1.2)
        assert metric(page, "On 500 digits held out") > 30
        assert page.evaluate("spikemnist.state.run.layers[0].spikes.flat().length") >= 5


@pytest.mark.parametrize(
    ("lesson", "phrase"),
    [("Silent", "Hidden 1 is silent"), ("Saturated", "fire at every timestep")],
)
def test_a_lesson_is_a_link(browser: Browser, file: Path, lesson: str, phrase: str) -> None:
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        page.click(f"#lessons a:text-is('{lesson}')")
        page.wait_for_function(SAYS, arg=phrase)
        assert "?" in page.inner_text("#lesson")
        address = page.url
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_function(SAYS, arg=phrase)
        page.click("#restore")
        page.wait_for_function("spikemnist.settings.threshold === 0.5")


def test_what_a_link_may_hold(browser: Browser, file: Path) -> None:
    bad = {"code": "morse", "steps": "99", "colour": "red", "hidden": "999", "beta": ""}
    good = {"lr": "0.001", "reset": "zero", "width": "3", "surrogate": "sigmoid"}
    with opened(browser, file, reduced_motion="reduce") as page:
        page.goto(f"{file.as_uri()}#{urlencode(bad | good)}")
        page.wait_for_function("document.querySelector('#lesson').textContent !== ''")
        found = page.evaluate("({ ...spikemnist.settings })")
        assert (found["code"], found["steps"], found["hidden"]) == ("latency", 8, 64)
        assert (found["lr"], found["reset"], found["width"]) == (0.001, "zero", 3)
        said = page.inner_text("#lesson")
        assert re.findall(r"The link says (\w+)=(\w*), but", said) == list(bad.items())
        assert "code can be latency, rate or direct." in said
        assert "steps can be a whole number from 1 to 40." in said
        page.goto(f"{file.as_uri()}#{urlencode(good)}")
        page.wait_for_function("document.querySelector('#lesson').textContent === ''")


THERE_AND_BACK = """() => {
  const { settings, takeLink } = spikemnist;
  let link = "";
  history.replaceState = (state, title, address) => (link = address); // browsers limit how often
  const turn = (control, value) => {
    control.value = value;
    control.dispatchEvent(new Event("input"));
  };
  const valuesOf = ({ options, min, max, step }) => {
    if (options) return [...options].map((option) => option.value);
    const steps = Math.floor((max - min) / step + 1e-9);
    return Array.from({ length: steps + 1 }, (_, i) => Number(min) + i * step);
  };
  const turned = [];
  for (const surrogate of document.querySelector("#knob-surrogate").options)
    for (const control of document.querySelectorAll("#knobs select, #knobs input"))
      for (const value of valuesOf(control)) {
        takeLink("");
        turn(surrogate.parentElement, surrogate.value);
        turn(control, value);
        const was = { ...settings };
        const refusals = takeLink(link);
        turned.push({ knob: control.id, link, was, is: { ...settings }, refusals });
      }
  return turned;
}"""


def test_a_link_keeps_each_value_of_each_knob(browser: Browser, file: Path) -> None:
    """Whatever the surrogate is, which has a steepness of its own."""
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        turned = page.evaluate(THERE_AND_BACK)
    assert [each for each in turned if each["is"] != each["was"] or each["refusals"]] == []
    links = {(each["knob"], each["was"]["surrogate"], each["link"]) for each in turned}
    values = Counter(knob for knob, surrogate, _ in links if surrogate == "atan")
    assert values == {
        **{"knob-code": 3, "knob-steps": 40, "knob-hidden": 6, "knob-beta": 101},
        **{"knob-threshold": 53, "knob-reset": 3, "knob-width": 61, "knob-lr": 101},
        "knob-surrogate": 1,
    }


def test_a_link_opens_the_largest_network(browser: Browser, file: Path) -> None:
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        page.select_option("#knob-hidden", "256")
        address = page.url
        assert address.endswith("#hidden=256")
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_function("spikemnist.network.layers[0]?.bias.length === 256")


def test_links_of_the_pages_set_what_they_say(browser: Browser, file: Path) -> None:
    texts = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")]
    links = {link for text in texts for link in re.findall(r'playground-page\.html#([^"]+)"', text)}
    assert len(links) > 5
    with opened(browser, file, reduced_motion="reduce") as page:
        for link in links:
            page.goto("about:blank")
            page.goto(f"{file.as_uri()}#{link}")
            page.wait_for_function("spikemnist.state.run !== null")
            settings = page.evaluate("({ ...spikemnist.settings })")
            for name, value in parse_qsl(link):
                assert str(settings[name]) == value or settings[name] == float(value), link


def test_the_formula_has_the_numbers_of_the_record(browser: Browser, file: Path) -> None:
    with opened(browser, file, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        page.focus("#raster-0")
        page.keyboard.press("ArrowDown")
        formulas = page.inner_text("#formulas")
        value = page.evaluate("spikemnist.state.run.layers[0].membranes.at(-1)[0]")
        number = re.search(r"U\[7\] = .* = (-?[\d.]+) [>≤]", formulas)
        assert number is not None
        assert float(number[1]) == pytest.approx(value, abs=0.006)
        for word in ("Forwards", "Surrogate", "Backwards", "∂L/∂w = "):
            assert word in formulas


def test_a_finger_trains_draws_and_asks(browser: Browser, file: Path) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    with opened(browser, file, **phone, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        page.tap("#run")
        page.wait_for_function("Number(document.querySelector('#metrics dd').textContent) >= 0.3")
        page.tap("#run")
        page.tap("#clear")
        assert page.is_visible("#hint")
        page.locator("#paper").tap(position={"x": 150, "y": 150})
        assert page.evaluate("spikemnist.state.run !== null")
        paper, answer = (page.locator(name).bounding_box() for name in ("#draw", "#answer"))
        assert paper is not None
        assert answer is not None
        assert 0 < answer["y"] - (paper["y"] + paper["height"]) < 30  # directly below
        x, y = place_of(page, 3)
        page.locator("#stage").tap(position={"x": x, "y": y})
        assert page.inner_text("#neuron-note").startswith("Neuron 3 of hidden 1.")
        assert page.is_visible("#formulas")
        page.locator("#field").tap(position={"x": 150, "y": 150})
        assert page.evaluate("spikemnist.state.pixel !== null")
        page.locator("#membranes").tap(position={"x": 20, "y": 20})
        assert page.inner_text("#neuron-note").startswith("Output neuron 0")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_phone_targets_and_order(browser: Browser, file: Path) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    small = """() => [...document.querySelectorAll("a, button, input, select")]
      .filter((one) => one.getClientRects().length && one.getBoundingClientRect().height < 44)
      .map((one) => one.outerHTML)"""
    parts = ("#run", "#paper", "#digit", "#graph", "#neuron", "#knobs", "#raster-0")
    with opened(browser, file, **phone, reduced_motion="reduce") as page:
        page.wait_for_function("spikemnist.state.run !== null")
        assert page.evaluate(small) == []
        tops = [page.locator(part).bounding_box() or {} for part in parts]
        assert sorted(tops, key=lambda box: box["y"]) == tops


def test_help_of_each_knob(browser: Browser, file: Path, tmp_path: Path) -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = set(re.findall(r"^(\S.*)\n    ", text, flags=re.M))
    site = tmp_path / "site.html"
    link = '<link rel="glossary" href="glossary.html"></head>'
    site.write_text(file.read_text(encoding="utf-8").replace("</head>", link), encoding="utf-8")
    for place in (file, site):
        with opened(browser, place, reduced_motion="reduce") as page:
            page.wait_for_function("spikemnist.state.run !== null")
            knobs = page.locator("#knobs select, #knobs input")
            sentences = set()
            for knob in (knobs.nth(i) for i in range(knobs.count())):
                knob.focus()
                sentence = page.inner_text("#help")
                sentences.add(sentence)
                acts_later = knob.get_attribute("id") in ("knob-surrogate", "knob-width", "knob-lr")
                assert ("Acts on learning only: press Train." in sentence) == acts_later
                term = sentence.partition("Glossary: ")[2]
                assert (term in terms) == (place == site), sentence
            assert len(sentences) == knobs.count() == 9
            if place == site:
                address = page.locator("#help a").evaluate("link => link.href")
                assert address == (tmp_path / "glossary.html").as_uri() + "#term-learning-rate"


def test_without_javascript(browser: Browser, file: Path) -> None:
    with opened(browser, file, java_script_enabled=False) as page:
        assert "needs JavaScript" in page.inner_text("body")
        assert not page.is_visible("#paper")


def test_a_frame_has_the_height_and_theme_of_its_page(
    browser: Browser, file: Path, tmp_path: Path
) -> None:
    outer = tmp_path / "outer.html"
    frames = (DOCS / "_static" / "frames.js").as_uri()
    outer.write_text(
        '<!doctype html><body data-theme="dark">'
        f'<iframe class="digit-page" src="{file.as_uri()}?small" width="700"></iframe>'
        f'<script defer src="{frames}"></script>',
        encoding="utf-8",
    )
    page = browser.new_page(viewport={"width": 900, "height": 600}, color_scheme="light")
    page.goto(outer.as_uri())
    inner = next(frame for frame in page.frames if frame.url.endswith("?small"))
    theme = "theme => document.documentElement.dataset.theme === theme"
    inner.wait_for_function(theme, arg="dark")
    fits = "document.documentElement.scrollHeight === window.innerHeight && innerHeight > 700"
    inner.wait_for_function(fits)
    page.evaluate("document.body.dataset.theme = 'auto'")
    inner.wait_for_function(theme, arg="light")
    page.locator("iframe").evaluate("frame => (frame.width = 390)")
    inner.wait_for_function(f"{fits} && innerHeight > 1500")
    page.close()
