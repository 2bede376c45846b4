"""What type checkers know of the public names: nothing here runs, mypy reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.data import DataLoader
from typing_extensions import assert_type

from spikemnist import Classifier, LatencyEncoder, LeakyConvNet, LeakyMLP, accelerate, load_digits
from spikemnist.data import EventDataset
from spikemnist.export import to_nir
from spikemnist.models import Record, SpikingNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

    # An unused "ignore" is an error: the names of lazy packages are known, and others are not.
    from spikemnist import LeakyMPL  # type: ignore[attr-defined]  # noqa: F401
    from spikemnist.encoding import LatencyEncode  # type: ignore[attr-defined]  # noqa: F401
    from spikemnist.training import fitt  # type: ignore[attr-defined]  # noqa: F401


def a_call_returns_a_record(spikes: Tensor, own: nn.Sequential) -> None:
    encoder = LatencyEncoder(num_steps=8)
    assert_type(encoder(spikes), "Tensor")
    assert_type(LeakyMLP()(spikes, record="all"), Record)
    LeakyMLP()(spikes, recrod="all")  # type: ignore[call-arg]
    assert_type(accelerate(own), SpikingNetwork)
    assert_type(accelerate(own)(spikes).scores, "Tensor")
    assert_type(Classifier(LeakyMLP(), encoder)(spikes), Record)


def options_of_a_network_are_known() -> None:
    assert_type(LeakyMLP(hidden=512, beta=0.9, seed=0), LeakyMLP)
    assert_type(LeakyConvNet("12C5-P2-10", threshold=[1.0, 0.5]), LeakyConvNet)
    LeakyMLP(treshold=1.0)  # type: ignore[call-arg]
    LeakyMLP(readout="mean_mebrane")  # type: ignore[arg-type]


def a_dataset_gives_images_and_labels() -> None:
    train, _ = load_digits()
    for image, label in train:
        assert_type(image, "Tensor")
        assert_type(label, "Tensor")
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(train, batch_size=64)
    assert_type(loader, "DataLoader[tuple[Tensor, Tensor]]")


def a_loader_reads_recordings(data: EventDataset) -> None:
    for _ in DataLoader(data, batch_size=4, collate_fn=data.collate):
        pass


def an_export_returns_its_file() -> None:
    assert_type(to_nir(LeakyMLP(), "model.nir"), Path)
    assert list(to_nir(LeakyMLP()).nodes)
