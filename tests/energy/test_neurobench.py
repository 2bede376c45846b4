"""Compare with NeuroBench, where it is installed: ``pip install neurobench``."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikemnist.energy import measure_energy
from spikemnist.models import Classifier
from tests.energy.networks import IMAGE, Stepped, networks

pytest.importorskip("neurobench", reason="needs neurobench: pip install neurobench")

STEPS = 5


class Transposed:
    """Turn spikes ``[B, T, ...]``, NeuroBench's layout, into ``[T, B, ...]``."""

    num_steps = STEPS

    def __call__(self, images, *, generator=None):
        return images.transpose(0, 1)


@pytest.mark.parametrize("kind", ["spikes", "grey"])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_counts_of_neurobench(name: str, kind: str) -> None:
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import (
        ActivationSparsity,
        MembraneUpdates,
        SynapticOperations,
    )
    from neurobench.models import SNNTorchModel

    classifier = Classifier(networks(backend="snntorch")[name], Transposed())
    uniform = torch.rand(23, STEPS, 1, *IMAGE, generator=torch.Generator().manual_seed(0))
    data = (uniform < 0.3).float() * (1 if kind == "spikes" else uniform)
    labels = torch.arange(23) % 4
    ours = measure_energy(classifier, (data, labels), batch_size=8, device="cpu")

    theirs = Benchmark(
        SNNTorchModel(Stepped(classifier.network)),
        DataLoader(TensorDataset(data, labels), batch_size=8),
        [],
        [],
        [
            [Footprint, ConnectionSparsity, ParameterCount],
            [ActivationSparsity, MembraneUpdates, SynapticOperations],
        ],
    ).run(quiet=True, verbose=False)
    operations = theirs["SynapticOperations"]
    assert ours.total.macs == pytest.approx(float(operations["Effective_MACs"]), rel=1e-6)
    assert ours.total.acs == pytest.approx(float(operations["Effective_ACs"]), rel=1e-6)
    assert ours.total.dense == pytest.approx(float(operations["Dense"]), rel=1e-6)
    assert ours.total.updates == pytest.approx(theirs["MembraneUpdates"], rel=1e-9)
    assert ours.total.activation_sparsity == pytest.approx(theirs["ActivationSparsity"], rel=1e-6)
    assert round(ours.total.connection_sparsity, 4) == theirs["ConnectionSparsity"]
    assert ours.parameters == theirs["ParameterCount"]
    assert ours.footprint == theirs["Footprint"]
