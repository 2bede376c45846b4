"""MNIST and Fashion-MNIST: the format of their files, where they are searched, the download."""

from __future__ import annotations

import gzip
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.data import load_fashion_mnist, load_mnist
from spikemnist.data.mnist import IDX_FILES, read_idx
from tests.data.idx_files import idx, idx_set, packed, write

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = IDX_FILES
LOADERS = {"MNIST": load_mnist, "FashionMNIST": load_fashion_mnist}


def small_set(seed=0, train=20):
    return idx_set(train=train, test=10, classes=10, seed=seed)


def seed_of(datasets):
    """Return the seed of the small set that was loaded."""
    return next(s for s in range(4) if idx(datasets[0].images) == small_set(s)[IMAGES])


# --- the real data sets


@pytest.mark.parametrize(
    ("name", "real_data"), [(name, f"{name}/raw") for name in LOADERS], indirect=["real_data"]
)
def test_full_sets_of_torchvision(name, real_data):
    reference = getattr(torchvision.datasets, name)
    for ours, size in zip(LOADERS[name](real_data, download=False), (60_000, 10_000), strict=True):
        theirs = reference(real_data, train=size == 60_000)
        assert len(ours) == size
        assert torch.equal(ours.images, theirs.data)
        assert torch.equal(ours.labels, theirs.targets)
        digits = name == "MNIST"
        assert ours.classes == (tuple("0123456789") if digits else tuple(reference.classes))


# --- the IDX format


@st.composite
def byte_tensors(draw):
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


class Bytes:
    """A file in memory."""

    def __init__(self, data):
        self.data = data

    def read_bytes(self):
        return self.data

    def __str__(self):
        return "file"


@given(byte_tensors())
def test_idx_raw_and_packed(values):
    for data in (idx(values), gzip.compress(idx(values), mtime=0)):
        read = read_idx(Bytes(data), values.ndim)
        assert read.dtype == torch.uint8
        assert torch.equal(read, values)


@given(byte_tensors(), st.integers(1, 10_000), st.booleans(), st.binary(min_size=1, max_size=9))
def test_idx_of_another_length(values, cut, is_packed, extra):
    data = idx(values)
    pack = partial(gzip.compress, mtime=0) if is_packed else bytes
    for wrong in (pack(data[: max(0, len(data) - cut)]), pack(data + extra), pack(data)[:-cut]):
        if wrong != data:
            with pytest.raises(ValueError, match=r"^file is damaged or not an IDX file of"):
                read_idx(Bytes(wrong), values.ndim)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        (IMAGES, b"", "it begins with b''"),
        (IMAGES, b"<!DOCTYPE html><title>Not found</title>", "it begins with b'<!DO'"),
        (LABELS, idx(np.zeros((20, 28, 28))), "begins with .*, expected"),
        (TEST_IMAGES, b"\0\0\x08\x03" + b"\xff" * 12, "cannot reshape|too big|Maximum|product"),
        (TEST_LABELS, gzip.compress(bytes(999), mtime=0)[:-9], "end-of-stream marker"),
    ],
)
def test_damaged_files(tmp_path, name, data, reason):
    write(tmp_path, {**small_set(), name: data})
    path = re.escape(str(tmp_path / name))
    with pytest.raises(ValueError, match=rf"^{path} is damaged .*({reason}).*Put a good copy"):
        load_mnist(tmp_path, download=False)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({LABELS: small_set(train=19)[LABELS]}, "20 images but 19 labels"),
        ({LABELS: idx(np.full(20, 10))}, r"must lie in 0\.\.9"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, changed, reason):
    write(tmp_path, small_set() | changed)
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))} do not belong .*{reason}"):
        load_mnist(tmp_path, download=False)


# --- where files are searched


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    ("way", "layout"), [("root", ""), ("root", "raw"), ("variable", "raw"), ("cache", "raw")]
)
def test_every_place_and_layout(tmp_path, monkeypatch, cache, name, layout, way):
    base = cache if way == "cache" else tmp_path / "data"
    files = packed(small_set()) if way == "variable" else small_set()
    write(base / name / layout if layout else base, files)
    if way == "variable":
        monkeypatch.setenv("SPIKEMNIST_DATA", str(base))
    train, test = LOADERS[name](base if way == "root" else None, download=False)
    assert idx(train.images) == small_set()[IMAGES]
    assert idx(test.labels) == small_set()[TEST_LABELS]
    assert (train.labels.dtype, len(train.classes)) == (torch.int64, 10)
    assert LOADERS[name].__name__ == f"load_{train[:3].name}"  # by which it is loaded again
    assert test.root == (str(base) if way == "root" else "")


@pytest.mark.parametrize("way", ["variable", "cache"])
def test_files_that_only_a_root_names(tmp_path, monkeypatch, cache, way):
    write(tmp_path if way == "variable" else cache, small_set())  # of MNIST, or of clothes
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path))
    for load in LOADERS.values():
        with pytest.raises(FileNotFoundError, match="or name their folder by root="):
            load(download=False)


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Path, "expanduser", lambda path: Path(str(path).replace("~", str(tmp_path)))
    )
    write(tmp_path / "sets" / "MNIST" / "raw", small_set())
    assert seed_of(load_mnist("~/sets")) == 0
    monkeypatch.setenv("SPIKEMNIST_DATA", "~/sets")
    assert seed_of(load_mnist()) == 0


def test_order_of_the_search(tmp_path, monkeypatch, cache):
    write(cache / "MNIST" / "raw", small_set(1))
    monkeypatch.setenv("SPIKEMNIST_DATA", "")
    assert seed_of(load_mnist()) == 1
    write(tmp_path, small_set(2))
    assert seed_of(load_mnist(tmp_path)) == 2
    write(tmp_path / "MNIST" / "raw", small_set(3))
    assert seed_of(load_mnist(tmp_path)) == 3
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path))
    assert seed_of(load_mnist()) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):  # a root is the only place
        load_mnist(tmp_path / "empty", download=False)


def test_files_of_two_folders(tmp_path):
    contents = small_set()
    write(tmp_path, {name: contents[name] for name in (IMAGES, LABELS)})
    write(tmp_path / "MNIST/raw", {name: contents[name] for name in (TEST_IMAGES, TEST_LABELS)})
    with pytest.raises(FileNotFoundError):
        load_mnist(tmp_path, download=False)


def test_content_and_ending(tmp_path):
    write(tmp_path, packed(small_set()) | {f"{IMAGES}.gz": small_set()[IMAGES]})
    assert seed_of(load_mnist(tmp_path)) == 0


@pytest.mark.parametrize("name", LOADERS)
def test_missing_files(tmp_path, monkeypatch, cache, name):
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        LOADERS[name](download=False)
    folders = [tmp_path / name / "raw", cache / name / "raw"]
    assert f"Searched: {', '.join(map(str, folders))}." in str(caught.value)
    for part in (*IDX_FILES, "download=True", f"into {folders[0]}", "by root="):
        assert part in str(caught.value)


# --- the download, by a stand-in for torchvision's


@pytest.fixture
def downloads(monkeypatch):
    """Count the downloads, each of which writes a small set where torchvision would."""
    count = []

    def download(self):
        write(Path(self.raw_folder), small_set())
        count.append(self.raw_folder)

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    return count


@pytest.mark.parametrize("name", LOADERS)
def test_one_download(tmp_path, monkeypatch, cache, downloads, name):
    for _ in range(2):
        assert seed_of(LOADERS[name](tmp_path)) == 0
    assert downloads == [str(tmp_path / name / "raw")]
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path / "absent"))
    assert seed_of(LOADERS[name]()) == 0
    assert downloads[1:] == [str(cache / name / "raw")]
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("name", LOADERS)
def test_without_a_network(tmp_path, monkeypatch, name):
    # Nothing listens on the discard port, so the connection is refused at once.
    monkeypatch.setattr(getattr(torchvision.datasets, name), "mirrors", ["http://127.0.0.1:9/"])
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1")
    with pytest.raises(ConnectionError) as caught:
        LOADERS[name](tmp_path)
    message = str(caught.value)
    for part in ("refused", f"into {tmp_path / name / 'raw'}", "by root="):
        assert part in message
    # Three lines of a terminal, but for the folder.
    assert len(message) - len(str(tmp_path)) < 3 * 80


def test_folder_without_permission(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=re.escape(repr(str(tmp_path / "file"))[1:-1])):
        load_mnist(tmp_path / "file")
