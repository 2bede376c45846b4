"""The competing neurons of the page, in a browser, against `STDPClassifier`.

Shapes: ``T`` timesteps, ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spikemnist import STDPClassifier, load_digits
from spikemnist import _splitmix as splitmix
from spikemnist.encoding import RateEncoder
from spikemnist.encoding.pixels import code_pixels
from spikemnist.encoding.spikes import bernoulli
from spikemnist.plasticity.assignment import Responses, assign_classes, class_scores
from spikemnist.plasticity.competitive_layer import CompetitiveLayer, new_layer
from spikemnist.plasticity.homeostasis import step_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route
    from torch import Tensor

SEED = 3
TIED = 1e-9
"""Distance of the two best scores, within which the order of a sum may decide."""

LEARN = """async (text) => {
  const { first, parameters, weights, images, drawn, responding } = JSON.parse(text);
  const { newCompetitiveLayer, presentImage } = await import("/stdp.js");
  const layer = newCompetitiveLayer({ ...first, ...parameters });
  layer.weights.set(weights);
  const show = (draws, learn) => images.map((pixels, i) => {
    let attempt = 0;
    const draw = () => draws[i][attempt++].map((events) => ({ events }));
    const counts = presentImage(layer, pixels, draw, { learn });
    return { counts: [...counts], attempts: attempt };
  });
  const learned = show(drawn, true);
  const { weights: rows, theta } = structuredClone(layer);
  const responses = show(responding, false);
  return JSON.stringify({ learned, responses, weights: [...rows], theta: [...theta] });
}"""

VOTE = """async ({ counts, labels, classes }) => {
  const { assign, vote } = await import("/stdp.js");
  const assignment = assign(counts, labels, classes);
  const votes = (kind) => counts.map((one) => vote(one, assignment, kind));
  const responses = assignment.responses.map((row) => [...row]);
  const scores = { assigned: votes("assigned"), proportional: votes("proportional") };
  return { responses, classOf: assignment.classOf, scores };
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a blank page that can import the modules."""
    folder = resources.files("spikemnist.export") / "page"

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        text = (folder / name).read_text(encoding="utf-8") if name else "<!doctype html>"
        route.fulfill(body=text, content_type="text/javascript" if name else "text/html")

    page = browser.new_page()
    page.route("http://modules/**", answer)
    page.goto("http://modules/")
    yield page
    page.close()


def pixels_of(number: int) -> Tensor:
    """Return digits ``[B, F]``: every fifth at an eighth of its brightness, and a blank one."""
    images = load_digits()[0].images[:number].flatten(1).clone()
    images[::5] //= 8
    images[7] = 0
    return images


def spikes_of(layer: CompetitiveLayer, image: Tensor, seed: int, number: int) -> list[Any]:
    """Return the pixels that fire at each timestep of each attempt, as the layer draws them."""
    presentations = []
    for attempt in range(layer.attempts):
        rate = layer.parameters["max_rate"] + attempt * layer.parameters["rate_step"]
        gain = rate * layer.parameters["timestep"] / 1000
        encoder = RateEncoder(num_steps=layer.num_steps, gain=gain)
        spikes = bernoulli(
            code_pixels(encoder, image[None]),
            seeds=splitmix.words(seed, torch.tensor([number * layer.attempts + attempt])),
            num_steps=layer.num_steps,
            first_spike_time=0,
            dtype=torch.bool,
        )[:, 0]
        presentations.append([row.nonzero().flatten().tolist() for row in spikes])
    return presentations


@pytest.mark.parametrize(
    ("neurons", "images", "options"),
    [
        (25, 40, {"duration": 100.0, "rate_step": 300.0, "theta_plus": 2.0}),
        (
            70,
            20,
            {"duration": 100.0, "rate_step": 300.0, "min_spikes": 12, "weight_dependence": 0.0},
        ),
        (
            10,
            20,
            {
                **{"duration": 60.0, "timestep": 0.5, "rest": 20.0, "max_rate": 100.0},
                **{"rate_step": 300.0, "tau_membrane": 60.0, "tau_theta": 3000.0, "tau_trace": 3.0},
                **{"reset_potential": -60.0, "rest_potential": -66.0, "threshold": -53.0},
                **{"refractory": 2.0, "tau_excitation": 2.0, "tau_inhibition": 3.0},
                **{"excitatory_potential": 2.0, "inhibitory_potential": -90.0, "inhibition": 9.0},
                **{"theta_plus": 0.7, "learning_rate": 0.06, "target_trace": 0.2},
                **{"weight_dependence": 0.5, "max_weight": 0.3, "total_weight": 90.0},
            },
        ),
    ],
)
def test_the_page_learns_what_python_learns(
    page: Page, neurons: int, images: int, options: dict[str, Any]
) -> None:
    parameters = STDPClassifier(neurons, **options).get_params()
    parameters |= step_sizes(parameters, images)
    pixels = pixels_of(images)
    weights = new_layer(parameters, pixels.shape[1]).weights
    layer = CompetitiveLayer(parameters, weights, np.zeros(neurons, np.float32))
    data = {
        "first": {"inputs": pixels.shape[1], "neurons": neurons, "images": images},
        "parameters": options,
        "weights": weights.T.flatten().tolist(),
        "images": pixels.tolist(),
        "drawn": [spikes_of(layer, image, SEED, i) for i, image in enumerate(pixels)],
        "responding": [spikes_of(layer, image, SEED + 1, 0) for image in pixels],
    }
    result = json.loads(page.evaluate(LEARN, json.dumps(data)))  # text travels faster
    learned, responses = (
        np.array([one["counts"] for one in result[name]]) for name in ("learned", "responses")
    )
    attempts = {one["attempts"] for one in result["learned"]}
    assert min(attempts) == 1 < max(attempts)  # the dim digits are presented again
    assert np.array_equal(learned, layer.learn(pixels, SEED, 0))
    assert np.array_equal(responses, layer.respond(pixels, SEED + 1))
    assert learned.any(0).sum() > 4, learned.sum(1)
    table = np.array(result["weights"]).reshape(-1, neurons)
    assert not table[-1].any()
    # A power may be rounded in another way; all else has the same bits.
    tolerance = 0.0 if parameters["weight_dependence"] in (0, 1) else 1e-5
    assert np.allclose(table[:-1].T, layer.weights, rtol=0, atol=tolerance)
    assert np.array_equal(result["theta"], layer.theta)


def test_defaults_and_steps_are_those_of_python(page: Page) -> None:
    parameters = STDPClassifier().get_params()
    for name in ("n_neurons", "passes", "voting", "random_state", "theta_plus", "learning_rate"):
        del parameters[name]
    assert page.evaluate('import("/stdp.js").then(({ STDP }) => STDP)') == parameters
    script = '(sizes) => import("/stdp.js").then(({ stepSizes }) => stepSizes(...sizes))'
    for sizes in ((25, 500), (100, 1000), (50, 2000), (6400, 60000), (6400, 180000)):
        expected = step_sizes(STDPClassifier(sizes[0]).get_params(), sizes[1])
        assert page.evaluate(script, list(sizes)) == pytest.approx(expected)


def test_first_weights_have_their_total_and_follow_the_generator(page: Page) -> None:
    script = """async (seed) => {
      const { newCompetitiveLayer } = await import("/stdp.js");
      const { seeded } = await import("/encoders.js");
      const random = seeded(seed);
      return [...newCompetitiveLayer({ inputs: 9, neurons: 4, total_weight: 3, random }).weights];
    }"""
    first, again, other = (page.evaluate(script, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert np.reshape(first, (10, 4)).sum(0) == pytest.approx(3)


def test_assignment_and_votes_are_those_of_python(page: Page) -> None:
    """Neuron 3 never fires, and no image is of class 4."""
    random = np.random.default_rng(SEED)
    counts, labels = random.poisson(1.5, (30, 12)), random.integers(0, 4, 30)
    counts[:, 3] = 0
    responses = Responses(5, 12)
    responses.add(counts, labels)
    data = {"counts": counts.tolist(), "labels": labels.tolist(), "classes": 5}
    result = page.evaluate(VOTE, data)
    assert np.array_equal(result["responses"], responses.mean)
    assert result["classOf"] == assign_classes(responses.mean).tolist()
    for voting, scores in result["scores"].items():
        expected = class_scores(counts, responses.mean, voting)
        assert np.allclose(scores, expected, rtol=1e-12, atol=0)
        second, best = np.sort(expected)[:, -2:].T
        clear = best - second > TIED
        assert clear.sum() >= 20
        assert np.array_equal(np.argmax(scores, 1)[clear], expected.argmax(1)[clear])
