"""The public names. A name goes only after a release that warns of it."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import spikemnist
from spikemnist.encoding import ENCODERS
from spikemnist.ops import SURROGATES

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIRST = """
    Classifier DirectEncoder LatencyEncoder LeakyConvNet LeakyMLP RateEncoder
    STDPClassifier TrainConfig accelerate diagnose evaluate fit get_encoder load load_digits
    load_fashion_mnist load_images load_mnist load_nmnist measure_energy summary
"""
NAMES = {
    "data": """
        Augmentation Compose Crop DropEvents EVENT ElasticDeformation EventBatch
        EventDataset FirstSaccade ImageDataset RandomAffine RandomErasing RandomFlip Stabilize
        load_digits load_fashion_mnist load_images load_mnist load_nmnist prepare_image
    """,
    "encoding": """
        CodeMeasure Encoder available_encoders get_encoder measure_code
        register_encoder
    """,
    "energy": """
        CHIPS Chip EarlyExit Energy Estimate MEMORIES Summary TECHNOLOGIES Technology
        measure_energy summary
    """,
    "export": """
        from_nir to_c to_html to_nir to_onnx to_playground
    """,
    "models": """
        Classifier Decision LayerRecord LayerSummary LeakyConvNet LeakyMLP NetworkOptions READOUTS
        ReadoutName Record SpikingNetwork accelerate available_pretrained decide
        first_spike_times get_readout running_scores
    """,
    "ops": """
        BACKENDS Backend RESET_MECHANISMS ResetMechanism SURROGATES Surrogate
        SurrogateName get_surrogate is_named leaky linear select_backend
    """,
    "plasticity": """
        ConvSTDPClassifier STDPClassifier assign_classes class_scores
        pair_stdp post_stdp reward_stdp stdp_window
    """,
    "training": """
        Callback EpochMetrics Evaluation History L1Spikes Recipe Regularized Robustness
        SmoothedCrossEntropy SnnTorchLoss SpikeTimeCrossEntropy SpikeTimeMSE
        TargetRate TrainConfig TrainingWarning available_devices cross_entropy csv_logger
        diagnose evaluate fit initialize measure_robustness recipes select_device tensorboard
    """,
    "viz": """
        animate animate_events animate_receptive_fields codes confusion
        decision encoding energy event_frames membrane of_run of_sample raster
        receptive_fields robustness spike_counts stdp stdp_window training_curves
    """,
}
# Each code and each surrogate is public.
NAMES["encoding"] += " ".join(path.partition(".")[2] for path in ENCODERS.values())
NAMES["ops"] += " ".join(kind.__name__ for kind in SURROGATES.values())
PLACES = {**NAMES, "_load": "load"}  # of the names that come first


@pytest.mark.parametrize("room", NAMES)
def test_public_names(room: str) -> None:
    """A new name belongs in this list as well, so that adding one is a decision."""
    module = importlib.import_module(f"spikemnist.{room}")
    assert sorted(module.__all__) == sorted(NAMES[room].split())
    assert {*module.__all__} <= {*dir(module)}
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    with pytest.raises(AttributeError, match=f"'spikemnist.{room}' has no attribute 'Nonsense'"):
        _ = module.Nonsense


def test_packages_with_internal_modules() -> None:
    root = Path(spikemnist.__file__).parent
    packages = {file.parent.name for file in root.glob("*/__init__.py")}
    assert len(packages) > len(NAMES)
    for name in packages:
        source = (root / name / "__init__.py").read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
        assert ("Import its names from here; its modules are internal." in docstring) == (
            name in NAMES
        )
        assert ("Internal" in docstring) == (name not in NAMES)


def test_public_packages_of_the_pages() -> None:
    public = (DOCS / "api" / "public.md").read_text(encoding="utf-8")
    (names,) = re.findall(r"subpackages (.*?), with", public, re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", names)) == sorted(NAMES)
    pages = [*DOCS.glob("*.md"), *DOCS.glob("[!_]*/*.md"), *(DOCS.parent / "examples").iterdir()]
    for page in (page for page in pages if page.suffix in (".md", ".py", ".ipynb")):
        text = page.read_text(encoding="utf-8").replace(public, "")
        used = re.findall(r"(?:from|import) spikemnist\.([\w.]+)", text)
        assert {*used} <= {*NAMES}, page


def test_first_names() -> None:
    assert sorted(spikemnist.__all__) == sorted([*FIRST.split(), *NAMES, "__version__"])
    assert dir(spikemnist) == sorted(spikemnist.__all__)
    for name in FIRST.split():
        (room,) = (room for room, names in PLACES.items() if name in names.split())
        module = importlib.import_module(f"spikemnist.{room}")
        assert getattr(spikemnist, room) is module
        assert getattr(spikemnist, name) is getattr(module, name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'spikemnist' has no attribute 'LeakyConvolution'"):
        _ = spikemnist.LeakyConvolution
    with pytest.raises(ImportError, match="LeakyConvolution"):
        from spikemnist import LeakyConvolution  # noqa: F401
