"""The competitive layer, against equations that are stepped in double precision.

Shapes: ``T`` timesteps, ``B`` images, ``F`` pixels, ``N`` neurons.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.plasticity import STDPClassifier
from spikemnist.plasticity.competitive_layer import CompetitiveLayer, new_layer
from tests.plasticity import bar_images
from tests.plasticity.stepped_competition import Stepped
from tests.strategies import SEEDS

TOO_CLOSE = 1e-3
"""Distance from a threshold in mV, within which rounding may decide whether a neuron fires.

A potential of 65 to 100 mV has a last place of 7.6e-6 in single precision; about five operations
in each of 40 timesteps are off by half of it, and no timestep makes more of an error.
"""


def small(features: int, **options: Any) -> STDPClassifier:
    """Return parameters with which a few pixels make neurons fire within 40 ms."""
    defaults = {
        "rate_step": 200.0,
        "min_spikes": 0,
        "total_weight": 12.0,
        # Above all first weights, which are drawn evenly from 0 to twice their mean.
        "max_weight": 48.0 / features,
    }
    return bar_images.small(**{**defaults, **options})


def begin(parameters: STDPClassifier, features: int) -> tuple[CompetitiveLayer, Stepped]:
    """Return a layer and the same in double precision, before they have learned anything."""
    weights = new_layer(parameters.get_params(), features).weights
    theta = np.linspace(0, 2, len(weights), dtype=np.float32)
    layer = CompetitiveLayer(parameters.get_params(), weights, theta)
    return layer, Stepped(parameters, weights, theta)


def images_of(seed: int, batch: int, features: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Draw images ``[B, F]``, half of whose pixels are black."""
    random = torch.Generator().manual_seed(seed)
    grey = torch.randint(-255, 256, (batch, features), generator=random).clamp_min(0)
    return grey.to(torch.uint8) if dtype == torch.uint8 else grey.to(dtype) / 255


def expect_equal(layer: CompetitiveLayer, stepped: Stepped) -> None:
    """Compare what was learned.

    Weights take some hundred single-precision operations with numbers to 10. A theta below 16 is
    rounded by at most half of 2**-20 in each of its additions and decays, of which there are less
    than 300: 1.4e-4.
    """
    assert np.allclose(layer.weights, stepped.weights, rtol=1e-5, atol=1e-5)
    assert np.allclose(layer.theta, stepped.theta, rtol=0, atol=1.4e-4)


@given(
    SEEDS,
    st.sampled_from([1, 5, 20, 64, 70, 130]),
    st.sampled_from([1, 16, 37, 64, 65]),
    st.sampled_from([1.0, 7.0, 40.0]),
    st.sampled_from([torch.uint8, torch.float32]),
    st.fixed_dictionaries(
        {
            "timestep": st.sampled_from([0.5, 1.0]),
            "min_spikes": st.sampled_from([0, 1, 8]),
            "refractory": st.sampled_from([0.0, 0.3, 5.0]),
            "inhibition": st.sampled_from([0.0, 5.0, 50.0]),
            "weight_dependence": st.sampled_from([0.0, 0.5, 1.0]),
            "theta_plus": st.sampled_from([0.05, 0.0, 1.0]),
            "tau_theta": st.sampled_from([300.0, 1e7]),
            "tau_trace": st.sampled_from([3.0, 20.0]),
            "tau_excitation": st.sampled_from([1.0, 4.0]),
            "reset_potential": st.sampled_from([-65.0, -60.0]),
            "max_weight": st.sampled_from([15.0, 40.0]),
        }
    ),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.3, 1.0, 2.0]),
)
@settings(max_examples=20)
def test_the_layer_equals_its_stepped_equations(
    seed: int,
    size: int,
    features: int,
    duration: float,
    dtype: torch.dtype,
    options: dict[str, Any],
    blank: int,
    factor: float,
) -> None:
    options["max_weight"] = max(options["max_weight"] / features, 12.0)
    parameters = small(features, n_neurons=size, duration=duration, **options)
    layer, stepped = begin(parameters, features)
    images = images_of(seed, 3, features, dtype)
    images[blank] = 0
    for i, image in enumerate(images):
        stepped.closest = math.inf
        expected = stepped.learn(image, seed, 10 + i, factor)
        if stepped.closest < TOO_CLOSE:
            assume(i > 0)  # what was before has been compared
            return
        results = layer.learn(image[None], seed, 10 + i, factor)
        assert results.tolist() == [expected.tolist()]
        expect_equal(layer, stepped)
    for image in images:
        stepped.closest = math.inf
        expected = stepped.respond(image, seed)
        if stepped.closest >= TOO_CLOSE:
            assert layer.respond(image[None], seed).tolist() == [expected.tolist()]


@given(SEEDS, st.integers(1, 70))
def test_the_response_to_an_image_alone(seed: int, size: int) -> None:
    layer, _ = begin(small(16, n_neurons=size, min_spikes=3), 16)
    images = images_of(seed, 5, 16)
    together = layer.respond(images, seed)
    alone = [layer.respond(images[i : i + 1], seed)[0] for i in range(5)]
    assert np.array_equal(together, alone)
    assert np.array_equal(layer.respond(images.flip(0), seed), together[::-1])


def test_weights_and_theta_are_copies() -> None:
    layer, _ = begin(small(16), 16)
    weights, theta = layer.weights, layer.theta
    weights[:], theta[:] = 0, 7
    assert layer.weights.any()
    assert not (layer.theta == 7).any()


def test_an_image_is_presented_until_it_causes_enough_spikes() -> None:
    layer, stepped = begin(small(16, min_spikes=6, max_rate=50.0, rate_step=50.0), 16)
    images = images_of(5, 6, 16)
    images[3] = 0
    counts, attempts = layer.learn(images, 5, 5), []
    for i, image in enumerate(images):
        assert counts[i].tolist() == stepped.learn(image, 5, 5 + i).tolist()
        attempts.append(stepped.attempts)
    assert stepped.closest >= TOO_CLOSE
    assert max(attempts) > 2
    assert (counts.sum(1) >= 6).tolist() == [True, True, True, False, True, True]
    expect_equal(layer, stepped)


@pytest.mark.parametrize(
    ("max_rate", "rate_step", "timestep", "expected"),
    [
        (200.0, 200.0, 1.0, 5),
        (200.0, 300.0, 1.0, 4),  # 200, 500, 800, 1100 Hz: there certain
        (200.0, 900.0, 0.5, 3),  # 200, 1100, 2000 Hz
        (1000.0, 50.0, 1.0, 1),
        (200.0, 0.0, 1.0, 1),  # no stronger at the second time
    ],
)
def test_attempts_end_at_the_highest_rate(
    max_rate: float, rate_step: float, timestep: float, expected: int
) -> None:
    rates = {"max_rate": max_rate, "rate_step": rate_step, "timestep": timestep}
    layer, _ = begin(small(16, min_spikes=10**6, threshold=1000.0, **rates), 16)
    assert layer.attempts == expected
    image = torch.full((1, 16), 255, dtype=torch.uint8)
    assert not layer.learn(image, 0, 7).any()
    assert not layer.respond(image, 0).any()


def test_an_image_without_input_by_chance_is_presented_again() -> None:
    """It is not blank: learning and responding give it the same chances."""
    parameters = small(1, n_neurons=1, duration=7.0, min_spikes=1, max_weight=15.0)
    image = torch.full((1, 1), 255, dtype=torch.uint8)  # which at the last rate always fires
    attempts = set()
    for seed in range(20):
        layer, stepped = begin(parameters, 1)
        expected = stepped.respond(image[0], seed)
        attempts.add(stepped.attempts)
        assert stepped.closest >= TOO_CLOSE
        assert layer.respond(image, seed).tolist() == [expected.tolist()]
        assert layer.learn(image, seed, 0).tolist() == [expected.tolist()] != [[0]]
    assert min(attempts) == 1 < max(attempts)


def test_inhibition_acts_a_timestep_later() -> None:
    """Two neurons of the same weights fire together: neither is in time to stop the other."""
    parameters = small(4, n_neurons=2, max_rate=1000.0, inhibition=1000.0)
    weights = np.full((2, 4), 3.0, np.float32)
    layer = CompetitiveLayer(parameters.get_params(), weights, np.zeros(2, np.float32))
    white = torch.ones(1, 4)
    both = layer.respond(white, 0)
    assert both[0, 0] == both[0, 1] > 0
    # Input of 7 mV in each timestep reaches a threshold 3 mV higher later, which is too late.
    apart = CompetitiveLayer(parameters.get_params(), weights, np.array([0, 3], np.float32))
    first, second = apart.respond(white, 0)[0]
    assert first > 0
    assert second == 0


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 1.5])
def test_weights_above_max_weight_stay_finite(mu: float) -> None:
    """Scaling to the total may bring them there, where there is no room to take a root of."""
    layer, _ = begin(small(16, max_weight=0.8, weight_dependence=mu, theta_plus=0.0), 16)
    assert (layer.weights > 0.8).any()
    counts = layer.learn(images_of(5, 10, 16), 5, 0)
    assert counts.any()
    assert np.isfinite(layer.weights).all()
    assert (layer.weights >= 0).all()
