from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset

from spikemnist.data import ImageDataset


def numbered(length, num_classes=10):
    """Images that hold their own number, so that a test sees which ones came out."""
    return ImageDataset(torch.arange(length, dtype=torch.uint8), torch.arange(length) % num_classes)


@st.composite
def labelled(draw, min_size=0):
    labels = draw(st.lists(st.integers(0, 4), min_size=min_size, max_size=60))
    return ImageDataset(
        torch.arange(len(labels), dtype=torch.uint8), torch.tensor(labels, dtype=torch.int64)
    )


def numbers(dataset):
    return dataset.images.long().tolist()


def test_dtypes_of_labels():
    for dtype in (torch.uint8, torch.int16, torch.int64):
        data = ImageDataset(torch.zeros(3, 2, 2), torch.tensor([0, 1, 2], dtype=dtype))
        assert data.labels.dtype == torch.int64
        assert data.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (1, 5, 7), (0,)])
def test_images_as_given(dtype, shape):
    images = torch.zeros(4, *shape, dtype=dtype)
    assert ImageDataset(images, torch.zeros(4, dtype=torch.int64)).images is images


def test_classes_and_repr():
    images, labels = torch.zeros(7, 28, 28, dtype=torch.uint8), torch.zeros(7).long()
    assert ImageDataset(images, labels).classes == ()
    data = ImageDataset(images, labels, ["cat", "dog"])
    assert data.classes == ("cat", "dog")
    assert repr(data) == "ImageDataset(7 images [28, 28], torch.uint8, cpu, 2 classes)"
    with pytest.raises(AttributeError):
        data.images = images


def test_copies():
    data = ImageDataset(torch.rand(5, 3), torch.arange(5), tuple("abcde"))
    for other in (copy.deepcopy(data), pickle.loads(pickle.dumps(data)), data.to("cpu")):
        assert torch.equal(other.images, data.images)
        assert torch.equal(other.labels, data.labels)
        assert other.classes == data.classes
    assert data.to("cpu").images.data_ptr() == data.images.data_ptr()


@given(
    st.lists(st.floats(-1e9, 1e9, width=32), min_size=2, max_size=20).filter(
        lambda values: min(values) < 0 or max(values) > 1
    )
)
@example([-2.0, 2.0])  # of normalised images
@example([0.0, 255.0])
def test_remedy_for_floating_images(values):
    images = torch.tensor(values)
    low, high = images.min(), images.max()
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]") as caught:
        ImageDataset(images, torch.zeros(len(images)).long())
    assert ("Divide by the maximum" in str(caught.value)) == (low >= 0)
    assert ("(x - min) / (max - min)" in str(caught.value)) == (low < 0)
    if low >= 0 or low < high:
        scaled = images / high if low >= 0 else (images - low) / (high - low)
        ImageDataset(scaled, torch.zeros(len(images)).long())


def test_remedy_for_nan_and_infinity():
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=r"use \(x - min\) / \(max - min\) of finite images"):
            ImageDataset(torch.tensor([0.5, value]), torch.zeros(2).long())


# --- indexing


def test_integer_index():
    data = numbered(5)
    for index in (-1, np.int64(4), torch.tensor(4), np.array(4)):
        image, label = data[index]
        assert (image.item(), label.item()) == (4.0, 4)
        assert label.dtype == torch.int64


@given(labelled(), st.slices(60))
@example(numbered(4), slice(None, None, -1))
@example(numbered(4), slice(3, 0, -2))
def test_slices_of_lists(data, index):
    part = data[index]
    assert numbers(part) == list(range(len(data)))[index]
    assert part.labels.tolist() == data.labels.tolist()[index]


def test_memory_and_classes_of_a_slice():
    data = ImageDataset(torch.zeros(6, 2), torch.zeros(6).long(), ("only",))
    part = data[2:6:2]
    part.images.fill_(5)
    assert data.images[:, 0].tolist() == [0, 0, 5, 0, 5, 0]
    assert part.classes == ("only",)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("make", [torch.Tensor.clone, torch.Tensor.numpy, torch.Tensor.tolist])
def test_integer_indices(make, dtype):
    assert numbers(numbered(5)[make(torch.tensor([3, 0, 3, 4], dtype=dtype))]) == [3, 0, 3, 4]
    assert numbers(numbered(5)[make(torch.tensor([3, -1]))]) == [3, 4]


def test_masks_and_empty_indices():
    for make in (torch.tensor, np.array, list):
        assert numbers(numbered(4)[make([True, False, False, True])]) == [0, 3]
        assert len(numbered(4)[make([False] * 4)]) == 0
    for empty in ([], torch.tensor([], dtype=torch.int64)):
        assert len(numbered(4)[empty]) == 0


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (4, IndexError, "index 4 is out of bounds"),
        (-5, IndexError, "index -5 is out of bounds"),
        (torch.tensor([0, 4]), IndexError, "index 4 is out of bounds"),
        (np.int64(-5), IndexError, "index -5 is out of bounds"),
        (torch.tensor([True, False]), IndexError, "boolean index did not match"),
        (torch.zeros(2, 2).long(), IndexError, r"a mask \[N\]; got one of shape \[2, 2\]"),
        (torch.tensor([0.0, 1.0]), IndexError, "arrays used as indices must be of integer"),
        ("train", IndexError, "only integers, slices"),
        (None, IndexError, r"got one of shape \[1, 4\]"),
        ((0, 1), IndexError, "too many indices"),
        (slice(None, None, 0), ValueError, "step cannot be zero"),
    ],
)
def test_wrong_indices(index, error, message):
    with pytest.raises(error, match=message):
        numbered(4)[index]


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(len(d)))])
def test_data_loader(wrap):
    data = ImageDataset(torch.rand(10, 28, 28), torch.arange(10))
    batches = list(DataLoader(wrap(data), batch_size=4))
    assert [len(images) for images, _ in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([images for images, _ in batches]), data.images)
    assert [label.item() for _, label in data] == list(range(10))


# --- split


@given(labelled(min_size=2), st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0))
@example(numbered(10), 0.7, 0)
@example(numbered(30, 3), 0.1, 0)
@example(numbered(7, 7), 0.5, 0)
def test_stratified_split(data, fraction, seed):
    seed %= 2**63
    total = round(fraction * len(data))
    if total in (0, len(data)):
        with pytest.raises(ValueError, match="part empty"):
            data.split(fraction, seed)
        return
    rest, held_out = data.split(fraction, seed)
    assert len(held_out) == total
    assert sorted(numbers(rest) + numbers(held_out)) == list(range(len(data)))
    for part in (rest, held_out):
        assert numbers(part) == sorted(numbers(part))
        assert torch.equal(part.labels, data.labels[part.images.long()])
    for label in data.labels.unique():
        quota = fraction * int((data.labels == label).sum())
        assert abs(int((held_out.labels == label).sum()) - quota) < 1 + 1e-9


# --- randomness


@given(st.integers(0, 2**63 - 1))
def test_seed_of_split_and_shuffling(seed):
    def drawn(seed):
        return numbers(numbered(200).split(0.25, seed)[1]), order(numbered(50), seed=seed)

    first = drawn(seed)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert drawn(np.int64(seed)) == first
    other = drawn((seed + 1) % 2**63)
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


# --- batches


@given(labelled(), st.integers(1, 70), st.none() | st.integers(0, 2**63), st.booleans())
def test_epoch_of_samples(data, batch_size, seed, drop_last):
    batches = list(data.batches(batch_size, seed=seed, drop_last=drop_last))
    seen = [int(number) for images, _ in batches for number in images]
    sizes = [len(images) for images, _ in batches]
    for images, labels in batches:
        assert torch.equal(labels, data.labels[images.long()])
    full, rest = divmod(len(data), batch_size)
    assert sizes == [batch_size] * full + ([rest] if rest and not drop_last else [])
    assert len(set(seen)) == len(seen)
    if not drop_last:
        assert set(seen) == set(range(len(data)))
    if seed is None:
        assert seen == list(range(len(seen)))


def order(data, **options):
    return [int(number) for images, _ in data.batches(7, **options) for number in images]


def test_order_of_any_batch_size():
    data = numbered(50)
    labels = next(iter(data.batches(50, seed=5)))[0].long().tolist()
    assert order(data, seed=5) == labels != list(range(50))


def test_unshuffled_views():
    data = numbered(6)
    for images, _ in data.batches(4):
        images.fill_(9)
    assert data.images.tolist() == [9] * 6


# --- devices


@pytest.mark.skipif(
    not (torch.cuda.is_available() or torch.backends.mps.is_available()),
    reason="needs a second device: CUDA or MPS",
)
def test_same_samples_on_every_device():
    device = "cuda" if torch.cuda.is_available() else "mps"
    data = ImageDataset(torch.arange(50, dtype=torch.uint8), torch.arange(50) % 5)
    moved = data.to(device)
    assert moved.images.device.type == device
    assert order(moved, seed=3) == order(data, seed=3)
    for one, other in zip(data.split(0.3, 1), moved.split(0.3, 1), strict=True):
        assert numbers(one) == numbers(other)
    assert numbers(moved[torch.tensor([1, 2])]) == [1, 2]
    assert numbers(moved[moved.labels == 4]) == numbers(data[data.labels == 4])
