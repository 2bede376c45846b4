"""The benchmark of a GPU, on the CPU: that it runs, and that all candidates compute the same."""

from __future__ import annotations

import pytest
import torch

from benchmarks import __main__, gpu
from spikemnist.models import LeakyMLP

CPU = torch.device("cpu")
COMPILED = "torch.compile of the plain loop"


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> gpu.Candidates:
    """Return the candidates but the one that compiles for a minute, nor any by name for a GPU."""
    found = {name: build for name, build in gpu.candidates().items() if name != COMPILED}
    monkeypatch.setattr(gpu, "candidates", lambda: found)
    return found


def test_candidates_have_the_same_scores(candidates: gpu.Candidates) -> None:
    torch.manual_seed(0)
    weights = LeakyMLP(gpu.PIXELS, (20,), beta=gpu.BETA)
    spikes = (torch.rand(6, 4, gpu.PIXELS) < gpu.DENSITY).float()
    with torch.no_grad():
        expected = weights(spikes).scores
        for name, build in candidates.items():
            if name != "spikemnist metal":
                _, scores = build(weights, CPU)
                torch.testing.assert_close(scores(spikes), expected, msg=name)


def test_the_loop_that_is_compiled_has_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    torch.manual_seed(0)
    weights = LeakyMLP(gpu.PIXELS, (20,), beta=gpu.BETA)
    spikes = (torch.rand(6, 4, gpu.PIXELS) < gpu.DENSITY).float()
    _, scores = gpu.candidates()[COMPILED](weights, CPU)
    torch.testing.assert_close(scores(spikes), weights(spikes).scores)


def test_a_page(candidates: gpu.Candidates) -> None:
    found = gpu.measure((16, 3, 8), on=CPU, repeats=6)
    assert "MPS" in found["candidates"]["spikemnist metal"]["failed"]
    page = "\n\n".join(gpu.lines([found]))
    for word in ("## Training step", "## Inference", "snnTorch", "| cpu | 16 | 3 | 8 |"):
        assert word in page


def test_there_is_nothing_to_measure_without_a_gpu() -> None:
    with pytest.raises(SystemExit, match="needs a GPU"):
        __main__.work(__main__.QUICK, "gpu")
