from __future__ import annotations

import copy
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
    return ImageDataset(
        torch.arange(length, dtype=torch.float64), torch.arange(length) % num_classes
    )


@st.composite
def labelled(draw, min_size=0):
    labels = draw(st.lists(st.integers(0, 4), min_size=min_size, max_size=60))
    return ImageDataset(
        torch.arange(len(labels), dtype=torch.float64), torch.tensor(labels, dtype=torch.int64)
    )


def numbers(dataset):
    return dataset.images.long().tolist()


# --- what it holds


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_become_int64(dtype):
    data = ImageDataset(torch.zeros(3, 2, 2), torch.tensor([0, 1, 2], dtype=dtype))
    assert data.labels.dtype == torch.int64
    assert data.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (28, 28), (1, 5, 7), (0,)])
def test_images_are_kept_as_given(dtype, shape):
    images = torch.zeros(4, *shape, dtype=dtype)
    assert ImageDataset(images, torch.zeros(4, dtype=torch.int64)).images is images


def test_classes_are_unnamed_by_default_and_become_a_tuple():
    images, labels = torch.zeros(2, 1), torch.tensor([0, 1])
    assert ImageDataset(images, labels).classes == ()
    assert ImageDataset(images, labels, ["cat", "dog"]).classes == ("cat", "dog")


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        numbered(3).images = torch.zeros(3)


def test_repr_is_short_and_says_what_is_inside():
    data = ImageDataset(
        torch.zeros(7, 28, 28, dtype=torch.uint8), torch.zeros(7).long(), ("a", "b")
    )
    assert repr(data) == "ImageDataset(7 images [28, 28], torch.uint8, cpu, 2 classes)"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_copies(duplicate):
    data = ImageDataset(torch.rand(5, 3), torch.arange(5), tuple("abcde"))
    other = duplicate(data)
    assert torch.equal(other.images, data.images)
    assert torch.equal(other.labels, data.labels)
    assert other.classes == data.classes


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2).long(), ValueError, "3 images but 2 labels"),
        (
            torch.tensor(1.0),
            torch.zeros(1).long(),
            ValueError,
            "images must be .*; got a tensor without dimensions",
        ),
        (
            torch.zeros(3).long(),
            torch.zeros(3).long(),
            ValueError,
            "uint8 or floating; got torch.int64",
        ),
        (torch.zeros(3).bool(), torch.zeros(3).long(), ValueError, "floating; got torch.bool"),
        (
            torch.zeros(3),
            torch.zeros(3, 1).long(),
            ValueError,
            r"labels must be \[N\], .*; got shape \[3, 1\]",
        ),
        (torch.zeros(3), torch.tensor(1), ValueError, r"labels must be \[N\], .*; got shape \[\]"),
        (
            torch.zeros(3),
            torch.zeros(3),
            ValueError,
            "labels must be class indices .*; got torch.float32",
        ),
        (
            torch.zeros(3),
            torch.zeros(3).bool(),
            ValueError,
            "labels must be class indices .*; got torch.bool",
        ),
        (
            torch.zeros(3),
            torch.zeros(3).cfloat(),
            ValueError,
            "labels must be class indices .*; got torch.complex64",
        ),
        (torch.zeros(3), torch.tensor([0, -1, 2]), ValueError, "labels must be at least 0; got -1"),
        (torch.zeros(3), torch.zeros(3).long().to("meta"), ValueError, "images is on cpu but lab"),
        (
            np.zeros((3, 2)),
            torch.zeros(3).long(),
            TypeError,
            "images must be a torch.Tensor .*; got a ndarray",
        ),
        (torch.zeros(3), [0, 1, 2], TypeError, "labels must be a torch.Tensor .*; got a list"),
    ],
)
def test_what_does_not_fit_is_refused(images, labels, error, message):
    with pytest.raises(error, match=message):
        ImageDataset(images, labels)


def test_classes_must_name_every_label():
    with pytest.raises(ValueError, match=r"labels must lie in 0..1, as classes has 2 names; got 2"):
        ImageDataset(torch.zeros(3), torch.arange(3), ("a", "b"))
    with pytest.raises(TypeError, match=r"classes must be a tuple .*; got the string 'abc'"):
        ImageDataset(torch.zeros(3), torch.arange(3), "abc")


# --- indexing


def test_an_integer_gives_a_pair():
    data = numbered(5)
    for index in (-1, np.int64(4), torch.tensor(4), np.array(4)):
        image, label = data[index]
        assert (image.item(), label.item()) == (4.0, 4)
        assert label.dtype == torch.int64


@given(labelled(), st.slices(60))
@example(numbered(4), slice(None, None, -1))
@example(numbered(4), slice(3, 0, -2))
def test_slices_as_lists_have_them(data, index):
    part = data[index]
    assert numbers(part) == list(range(len(data)))[index]
    assert part.labels.tolist() == data.labels.tolist()[index]


def test_a_slice_shares_memory_and_classes():
    data = ImageDataset(torch.zeros(6, 2), torch.zeros(6).long(), ("only",))
    part = data[2:6:2]
    part.images.fill_(5)
    assert data.images[:, 0].tolist() == [0, 0, 5, 0, 5, 0]
    assert part.classes == ("only",)


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([3, 0, 3, -1]),
        torch.tensor([3, 0, 3, 4], dtype=torch.uint8),
        torch.tensor([3, 0, 3, 4], dtype=torch.int32),
        np.array([3, 0, 3, -1]),
        [3, 0, 3, 4],
    ],
)
def test_index_lists(index):
    assert numbers(numbered(5)[index]) == [3, 0, 3, 4]


@pytest.mark.parametrize("make", [torch.tensor, np.array, list])
def test_masks(make):
    assert numbers(numbered(4)[make([True, False, False, True])]) == [0, 3]


def test_read_only_arrays_index_without_a_warning():
    index = np.array([1, 2])
    index.setflags(write=False)
    assert numbers(numbered(4)[index]) == [1, 2]


@pytest.mark.parametrize("index", [[], torch.tensor([], dtype=torch.int64), torch.zeros(4).bool()])
def test_nothing_chosen_is_an_empty_set(index):
    assert len(numbered(4)[index]) == 0


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (4, IndexError, "index 4 is out of range for 4 samples"),
        (-5, IndexError, "index -5 is out of range"),
        (torch.tensor([0, 4]), IndexError, "index 4 is out of range"),
        (torch.tensor([0, -5]), IndexError, "index -5 is out of range"),
        (torch.tensor([True, False]), IndexError, r"mask must have shape \[4\]; got \[2\]"),
        (True, IndexError, r"mask must have shape .*; got \[\]"),
        (
            torch.zeros(2, 2).long(),
            IndexError,
            r"index must have one dimension; got shape \[2, 2\]",
        ),
        (torch.tensor([0.0, 1.0]), TypeError, "dtype torch.float32"),
        (1.5, TypeError, "cannot index with dtype"),
        ("train", TypeError, "cannot index with str 'train'"),
        (None, TypeError, "cannot index with NoneType"),
        ((0, 1), TypeError, r"cannot index with tuple \(0, 1\)"),
        (slice(None, None, 0), ValueError, "step cannot be zero"),
    ],
)
def test_wrong_indices_are_refused(index, error, message):
    with pytest.raises(error, match=message):
        numbered(4)[index]


def test_iteration_ends():
    assert [label.item() for _, label in numbered(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(len(d)))])
def test_it_drops_into_a_data_loader(wrap):
    data = ImageDataset(torch.rand(10, 28, 28), torch.arange(10))
    batches = list(DataLoader(wrap(data), batch_size=4))
    assert [images.shape for images, _ in batches] == [(4, 28, 28), (4, 28, 28), (2, 28, 28)]
    assert torch.equal(torch.cat([images for images, _ in batches]), data.images)
    assert torch.equal(torch.cat([labels for _, labels in batches]), data.labels)


# --- split


@given(labelled(min_size=2), st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0))
@example(numbered(10), 0.7, 0)
@example(numbered(30, 3), 0.1, 0)
@example(numbered(7, 7), 0.5, 0)
def test_split_is_a_stratified_partition(data, fraction, seed):
    seed %= 2**63
    total = round(fraction * len(data))
    if total in (0, len(data)):
        with pytest.raises(ValueError, match="part empty"):
            data.split(fraction, seed)
        return
    kept, held_out = data.split(fraction, seed)
    assert len(held_out) == total
    assert sorted(numbers(kept) + numbers(held_out)) == list(range(len(data)))
    for part in (kept, held_out):
        assert numbers(part) == sorted(numbers(part))
        assert torch.equal(part.labels, data.labels[part.images.long()])
    for label in data.labels.unique():
        quota = fraction * int((data.labels == label).sum())
        assert abs(int((held_out.labels == label).sum()) - quota) < 1 + 1e-9


def test_split_of_a_balanced_set_is_balanced():
    kept, held_out = numbered(1000).split(0.1)
    assert held_out.labels.bincount().tolist() == [10] * 10
    assert kept.labels.bincount().tolist() == [90] * 10


def test_split_is_set_by_its_seed_alone():
    data = numbered(200)
    first = numbers(data.split(0.25, 3)[1])
    torch.manual_seed(99)
    assert numbers(data.split(0.25, seed=3)[1]) == first
    assert numbers(data.split(0.25, seed=4)[1]) != first


def test_split_does_not_care_for_the_size_of_labels():
    labels = torch.tensor([10**12, 5] * 10)
    assert len(ImageDataset(torch.zeros(20), labels).split(0.5)[1]) == 10


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), True])
def test_split_refuses_what_is_no_share(fraction):
    with pytest.raises(ValueError, match=r"fraction must lie between 0 and 1"):
        numbered(10).split(fraction)


@pytest.mark.parametrize(("length", "fraction"), [(0, 0.5), (1, 0.4), (10, 0.01), (10, 0.99)])
def test_split_refuses_an_empty_part(length, fraction):
    with pytest.raises(ValueError, match=f"{fraction} of {length} samples leaves the .* part emp"):
        numbered(length).split(fraction)


# --- batches


@given(labelled(), st.integers(1, 70), st.none() | st.integers(0, 2**63), st.booleans())
def test_an_epoch_shows_every_sample_once(data, batch_size, seed, drop_last):
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


def test_batches_are_shuffled_by_their_seed_alone():
    data = numbered(50)
    first = order(data, seed=1)
    assert first != list(range(50))
    torch.manual_seed(99)
    assert order(data, seed=1) == first
    assert order(data, seed=2) != first


def test_the_batch_size_does_not_change_the_order():
    data = numbered(50)
    whole = next(iter(data.batches(50, seed=5)))[0].long().tolist()
    assert order(data, seed=5) == whole


def test_unshuffled_batches_are_views():
    data = numbered(6)
    for images, _ in data.batches(4):
        images.fill_(-1)
    assert data.images.tolist() == [-1] * 6


def test_batches_are_one_index_select_each(monkeypatch):
    data = ImageDataset(torch.zeros(100, 28, 28, dtype=torch.uint8), torch.zeros(100).long())

    def refuse(*_):
        raise AssertionError("batches must not go through single items")

    monkeypatch.setattr(ImageDataset, "__getitem__", refuse)
    for seed in (None, 0):
        images, labels = next(data.batches(32, seed=seed))
        assert images.shape == (32, 28, 28)
        assert images.dtype == torch.uint8
        assert labels.shape == (32,)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_batch_size_below_one_is_refused_at_once(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be at least 1; got {batch_size}"):
        numbered(5).batches(batch_size)


def test_batch_size_must_be_whole():
    with pytest.raises(TypeError):
        numbered(5).batches(2.5)


def test_global_random_state_is_left_alone():
    data = numbered(40)
    before = torch.get_rng_state()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state others may use
    data.split(0.5, 1)
    list(data.batches(8, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


# --- devices


def test_to_the_same_device_shares_memory():
    data = ImageDataset(torch.zeros(3), torch.arange(3), tuple("abc"))
    moved = data.to("cpu")
    assert moved.images.data_ptr() == data.images.data_ptr()
    assert moved.classes == tuple("abc")


@pytest.mark.skipif(
    not (torch.cuda.is_available() or torch.backends.mps.is_available()),
    reason="needs a second device: CUDA or MPS",
)
def test_the_same_samples_on_every_device():
    device = "cuda" if torch.cuda.is_available() else "mps"
    data = ImageDataset(torch.arange(50, dtype=torch.uint8), torch.arange(50) % 5)
    moved = data.to(device)
    assert moved.images.device.type == device
    assert order(moved, seed=3) == order(data, seed=3)
    for here, there in zip(data.split(0.3, 1), moved.split(0.3, 1), strict=True):
        assert numbers(here) == numbers(there)
    assert numbers(moved[torch.tensor([1, 2])]) == [1, 2]
    assert numbers(moved[moved.labels == 4]) == numbers(data[data.labels == 4])
