"""Convolutional features that learn by STDP, and their readout.

Shapes: ``T`` timesteps, ``B`` images, ``N`` features, ``C`` channels, ``K`` side of a kernel.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikemnist import evaluate
from spikemnist.data import ImageDataset
from spikemnist.plasticity import ConvSTDPClassifier
from spikemnist.plasticity.conv_classifier import contrast
from spikemnist.plasticity.conv_kernels import ConvFeatures
from tests.plasticity.bar_images import (
    IMAGES,
    LABELS,
    TEST_IMAGES,
    TEST_LABELS,
    small,
    small_features,
)
from tests.plasticity.stepped_features import SteppedFeatures
from tests.strategies import SEEDS

TOO_CLOSE = 1e-4
"""Of sums of some fifty weights in single precision, each rounded by 1e-6 at most."""


@given(
    seed=SEEDS,
    features=st.sampled_from([1, 3, 64, 70]),
    side=st.integers(1, 3),
    steps=st.integers(1, 5),
    cell=st.integers(1, 4),
    radius=st.integers(0, 2),
    doubling=st.integers(1, 3),
)
def test_features_equal_their_stepped_description(
    seed: int, features: int, side: int, steps: int, cell: int, radius: int, doubling: int
) -> None:
    random = np.random.default_rng(seed)
    parameters = small_features(
        n_features=features,
        kernel_size=side,
        pool_size=cell,
        inhibition_radius=radius,
        doubling=doubling,
        threshold=0.4 * side * side,
    )
    weights = random.uniform(0.2, 0.9, (features, 2, side, side)).astype(np.float32)
    # Each input fires once at most, as latencies do.
    times = random.integers(0, 2 * steps, (4, 2, 5, 4))
    spikes = (times == np.arange(steps)[:, None, None, None, None]).astype(np.uint8)
    ours = ConvFeatures(parameters.get_params(), weights, (5, 4))
    stepped = SteppedFeatures(parameters, weights)
    given_spikes = torch.from_numpy(spikes.reshape(steps, 4, -1))
    for b in range(4):
        stepped.learn(spikes[:, b])
    assume(stepped.closest > TOO_CLOSE)
    ours.learn(given_spikes[:, :3], 0)
    ours.learn(given_spikes[:, 3:], 3)
    assert ours.wins.tolist() == stepped.wins.tolist()
    assert np.allclose(ours.weights, stepped.weights, rtol=0, atol=1e-5)
    stepped.weights = ours.weights.astype(np.float64)
    expected = np.stack([stepped.see(spikes[:, b]) for b in range(4)])
    assume(stepped.closest > TOO_CLOSE)
    assert np.array_equal(ours.see(given_spikes), expected)


def test_bars_are_learned(features: ConvSTDPClassifier) -> None:
    assert features.score(TEST_IMAGES, TEST_LABELS) > 0.95
    assert features.weights_.shape == (8, 2, 3, 3)
    assert ((features.weights_ > 0) & (features.weights_ < 1)).all()
    assert features.wins_.sum() > 0
    # The features have decided: most weights are near a bound.
    assert (features.weights_ * (1 - features.weights_)).mean() < 0.1


def test_evaluate(features: ConvSTDPClassifier) -> None:
    evaluation = features.evaluate((TEST_IMAGES, TEST_LABELS))
    data = ImageDataset(torch.from_numpy(TEST_IMAGES), torch.from_numpy(TEST_LABELS))
    assert repr(replace(evaluate(features, data), seconds=0.0)) == repr(
        replace(evaluation, seconds=0.0)
    )
    seen = features.transform(TEST_IMAGES)
    assert evaluation.accuracy == features.score(TEST_IMAGES, TEST_LABELS)
    assert evaluation.confusion.sum(1).tolist() == np.bincount(TEST_LABELS).tolist()
    assert evaluation.confusion.trace() == round(evaluation.accuracy * len(TEST_LABELS))
    assert evaluation.classes == tuple(map(str, features.classes_))
    assert evaluation.spikes_per_sample == {"features": (seen > 0).sum() / len(seen)}
    assert evaluation.silent == (seen == 0).all(1).mean()
    with pytest.raises(ValueError, match="one label for each"):
        features.evaluate((TEST_IMAGES, TEST_LABELS[:-1]))
    with pytest.raises(TypeError, match="data must be an ImageDataset or a pair"):
        features.evaluate([(TEST_IMAGES, TEST_LABELS)])


def test_neurons_that_see_features(features: ConvSTDPClassifier) -> None:
    seen = small_features(epochs=1).fit_transform(IMAGES, LABELS)
    assert np.array_equal(seen, features.transform(IMAGES))
    assert (seen.dtype, seen.min()) == (np.float32, 0)
    assert 0.5 < seen.max() <= 1
    neurons = small(theta_plus=1.0).fit(seen, LABELS)
    assert neurons.score(features.transform(TEST_IMAGES), TEST_LABELS) > 0.9


def test_seed_of_features_with_any_number_of_threads(
    features: ConvSTDPClassifier, threads: None
) -> None:
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        again = small_features(epochs=1).fit(IMAGES, LABELS)
        assert np.array_equal(again.weights_, features.weights_)
        assert np.array_equal(again.transform(TEST_IMAGES), features.transform(TEST_IMAGES))
    other = small_features(epochs=1, random_state=1).fit(IMAGES, LABELS)
    assert not np.array_equal(other.weights_, features.weights_)


def test_images_of_any_kind_and_three_classes(features: ConvSTDPClassifier) -> None:
    for images in (torch.from_numpy(IMAGES), IMAGES[:, None], IMAGES.reshape(400, -1)):
        assert np.array_equal(
            small_features(epochs=1).fit(images, LABELS).weights_, features.weights_
        )
    labels = np.array(["row", "column", "dark"])[LABELS]
    images, labels = IMAGES.copy(), labels.copy()
    images[:100], labels[:100] = 0, "dark"
    three = small_features().fit(images, labels)
    assert three.classes_.tolist() == ["column", "dark", "row"]
    assert three.decision_function(TEST_IMAGES).shape == (200, 3)
    assert three.predict(np.zeros((1, 6, 6), np.uint8)).tolist() == ["dark"]


def test_contrast() -> None:
    image = torch.zeros(3, 9, 9)
    image[0, 4, 4] = 1.0
    image[1] = 0.5
    bright, dark = contrast(image).unbind(1)
    assert bright[0].argmax() == 4 * 9 + 4
    assert float(bright[0, 4, 4]) == 1.0
    assert dark[0, 4, 4] == 0
    assert (dark[0] > 0).any()
    assert contrast(image)[2].count_nonzero() == 0
    assert torch.allclose(contrast(image * 0.3), contrast(image), atol=1e-5)


@pytest.mark.parametrize("name", ["predict", "transform", "decision_function", "save"])
def test_use_before_a_fit(name: str) -> None:
    with pytest.raises(ValueError, match="this ConvSTDPClassifier is not fitted yet"):
        getattr(small_features(), name)(TEST_IMAGES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"inhibition_radius": -1},
            r"inhibition_radius must be an integer in 0\.\.2\*\*63 - 1; got",
        ),
        ({"min_contrast": 1.0}, "min_contrast must be a number, at least 0 and below 1"),
        ({"num_steps": 8192}, r"num_steps \* pool_size\*\*2 must be at most 32767; got 32768"),
        (
            {"max_learning_rate": 0.001},
            "max_learning_rate must be a number, at least 0.004 and at most 1",
        ),
        ({"kernel_size": 7}, r"images of 6 x 6 pixels are smaller than kernel_size 7"),
    ],
)
def test_parameters_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_features(**options).fit(IMAGES, LABELS)


def test_a_refused_fit_changes_nothing(features: ConvSTDPClassifier) -> None:
    classifier = copy.deepcopy(features)
    with pytest.raises(ValueError, match="are smaller than kernel_size 3"):
        classifier.fit(np.zeros((4, 2, 2), np.uint8), [0, 1, 0, 1])
    assert np.array_equal(classifier.predict(TEST_IMAGES), features.predict(TEST_IMAGES))


def test_invalid_images(features: ConvSTDPClassifier) -> None:
    with pytest.raises(ValueError, match=r"X must be \[B, H, W\], or \[B, F\] of squares"):
        small_features().fit(np.zeros((4, 35), np.uint8), [0, 1, 0, 1])
    with pytest.raises(
        ValueError,
        match=r"X must be of 36 pixels, as in the fit; got torch.uint8 of shape \(1, 25\)",
    ):
        features.predict(np.zeros((1, 5, 5), np.uint8))
