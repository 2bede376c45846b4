from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

import spikemnist.data
from spikemnist.data import load_digits, load_mnist
from spikemnist.data.mnist import read_idx

EMBEDDED = Path(spikemnist.data.__file__).parent / "embedded"
SCRIPT = Path(__file__).parents[2] / "scripts" / "make_digits.py"


def test_sizes_types_and_classes():
    for data, per_class in zip(load_digits(), (500, 100), strict=True):
        assert data.images.shape == (10 * per_class, 28, 28)
        assert data.images.dtype == torch.uint8
        assert data.labels.dtype == torch.int64
        assert data.classes == tuple("0123456789")
        # Every ten images show each digit, in a changing order.
        rows = data.labels.view(-1, 10)
        assert torch.equal(rows.sort(1).values, torch.arange(10).expand(per_class, 10))
        assert len(rows.unique(dim=0)) > 0.98 * per_class


def test_distinct_images():
    train, test = load_digits()
    pixels = torch.cat([train.images, test.images]).flatten(1)
    assert len(pixels.unique(dim=0)) == 6000


def test_labels_and_nearest_class_means():
    train, test = load_digits()
    means = torch.stack([train.images[train.labels == c].float().mean(0) for c in range(10)])
    distances = torch.cdist(test.images.float().flatten(1), means.flatten(1))
    # The nearest class mean reaches 82 % on the full MNIST.
    assert (distances.argmin(1) == test.labels).float().mean() > 0.77


def test_memory_of_two_calls():
    load_digits()[0].images.zero_()
    assert load_digits()[0].images.any()


def test_licence_and_size_of_the_files():
    text = (EMBEDDED / "LICENSE.txt").read_text(encoding="utf-8")
    for part in (
        *("Yann LeCun", "Corinna Cortes", "Christopher J.C. Burges", "MNIST", "subset"),
        *("CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/"),
    ):
        assert part in text
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 1_000_000


@pytest.mark.parametrize("real_data", ["MNIST/raw"], indirect=True)
def test_choice_of_embedded_images(real_data):
    choose = runpy.run_path(str(SCRIPT))["choose"]
    for digits, full, per_class in zip(
        load_digits(), load_mnist(real_data), (500, 100), strict=True
    ):
        chosen = full[choose(full, per_class)]
        assert torch.equal(chosen.images, digits.images)
        assert torch.equal(chosen.labels, digits.labels)


def test_reproducible_packing(tmp_path):
    script = runpy.run_path(str(SCRIPT))
    images = load_digits()[1].images[:20]
    packed = script["pack"](script["encode_idx"](images))
    assert packed[3:8] == bytes(5)  # neither a file name nor a time
    (tmp_path / "file").write_bytes(packed)
    assert torch.equal(read_idx(tmp_path / "file", 3), images)
