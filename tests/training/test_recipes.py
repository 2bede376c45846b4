"""The recipes: networks, codes and settings that go together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spikemnist import evaluate, fit, load_digits
from spikemnist.encoding.registry import describe_encoder
from spikemnist.training import TrainConfig, recipes
from tests.encoding.encoder_cases import OFFERED

THERE = [key for key, recipe in recipes.items() if recipe.encoder["name"] in OFFERED]


@pytest.mark.parametrize(("name", "network"), THERE)
def test_a_recipe_makes_a_classifier_of_ten_classes(name: str, network: str) -> None:
    recipe = recipes[name, network]
    classifier, again = recipe.classifier(seed=3), recipe.classifier(seed=3)
    assert all(map(torch.equal, classifier.parameters(), again.parameters()))
    assert classifier.network.sizes["output"] == 10
    assert describe_encoder(classifier.encoder).items() >= recipe.encoder.items()
    other = next(recipe.classifier(seed=4).parameters())
    assert not torch.equal(next(classifier.parameters()), other)


def test_the_seed_of_a_recipe_leaves_torchs_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    recipes["default", "mlp"].classifier(seed=7)
    assert torch.equal(torch.rand(1), expected)


def test_the_fast_recipe_learns() -> None:
    recipe, (train, test) = recipes["fast", "mlp"], load_digits()
    classifier = recipe.classifier()
    fit(classifier, train, recipe.config, device="cpu", progress=False)
    assert evaluate(classifier, test, device="cpu", progress=False).accuracy > 0.9


@pytest.mark.parametrize("classes", [(), ("a", "b", "c")])
@pytest.mark.parametrize(
    "sample", [(4, 4), (8, 8), (15, 40), (16, 16), (12, 20), (3, 12, 20), (28, 28), (34, 34)]
)
def test_default_layers_fit_the_images(sample: tuple[int, ...], classes: tuple[str, ...]) -> None:
    recipe = replace(recipes["default", "conv"], sample=sample, classes=classes)
    network = recipe.classifier().network
    assert network.sizes["output"] == (len(classes) or 10)
    assert ("C5" in network.config["layers"]) == (min(sample[-2:]) >= 16)


def test_the_default_settings_are_those_of_the_default_recipe() -> None:
    assert recipes["default", "mlp"].config == TrainConfig()
