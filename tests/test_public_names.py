"""The names that other people's code uses. A name goes only with a new major version."""

from __future__ import annotations

import importlib

import pytest

NAMES = {
    "data": ["ImageDataset", "load_digits", "load_fashion_mnist", "load_mnist"],
    "encoding": [
        "DirectEncoder",
        "Encoder",
        "LatencyEncoder",
        "RateEncoder",
        "available_encoders",
        "describe_encoder",
        "get_encoder",
        "register_encoder",
    ],
    "ops": [
        "BACKENDS",
        "RESET_MECHANISMS",
        "SURROGATES",
        "ATan",
        "Backend",
        "FastSigmoid",
        "Heaviside",
        "ResetMechanism",
        "Sigmoid",
        "SparseFastSigmoid",
        "SpikeRateEscape",
        "StraightThrough",
        "Surrogate",
        "Triangular",
        "get_surrogate",
        "leaky",
        "linear",
        "select_backend",
    ],
    "models": [
        "READOUTS",
        "LayerRecord",
        "LeakyMLP",
        "Record",
        "decide",
        "load_model",
        "model_metadata",
        "running_scores",
        "save_model",
    ],
    "training": [
        "Callback",
        "EpochMetrics",
        "Evaluation",
        "History",
        "available_devices",
        "cross_entropy",
        "csv_logger",
        "evaluate",
        "fit",
        "select_device",
        "tensorboard",
    ],
    "viz": [
        "animate",
        "confusion",
        "decision",
        "encoding",
        "membrane",
        "raster",
        "receptive_fields",
        "spike_counts",
        "training_curves",
    ],
}


@pytest.mark.parametrize("room", NAMES)
def test_public_names(room: str) -> None:
    """A new name belongs in this list as well, so that adding one is a decision."""
    module = importlib.import_module(f"spikemnist.{room}")
    assert sorted(module.__all__) == sorted(NAMES[room])
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_package_itself_offers_its_version_alone() -> None:
    package = importlib.import_module("spikemnist")
    public = {name for name in vars(package) if not name.startswith("_")}
    assert public <= {"cli", *NAMES}, "rooms that were imported, nothing else"
    assert package.__version__
