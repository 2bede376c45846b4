from __future__ import annotations

import gzip
import hashlib
import shutil
import sys
import time

import pytest
import torch
import torchvision

from spikemnist.data import load_fashion_mnist, load_mnist
from spikemnist.data.archive import cache_folder
from tests.data.idx_files import FILES, encode, small_set, write_set

MIRROR = "http://127.0.0.1:9/"


def images(count, side=28):
    return encode(torch.zeros(count, side, side, dtype=torch.uint8))


def labels(count, value=0):
    return encode(torch.full((count,), value, dtype=torch.uint8))


# --- the real MNIST


def test_full_mnist(mnist_root):
    train, test = load_mnist(mnist_root, download=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    for data in (train, test):
        assert data.images.shape == (len(data), 28, 28)
        assert data.images.dtype == torch.uint8
        assert data.labels.dtype == torch.int64
        assert data.classes == tuple("0123456789")
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels.bincount().tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]


def test_full_mnist_loads_in_under_a_second(mnist_root):
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        load_mnist(mnist_root, download=False)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1


def test_full_mnist_reads_as_torchvision_reads_it(mnist_root, tmp_path):
    write_set(tmp_path / "MNIST" / "raw", unpacked(mnist_root), packed=False)
    for ours, is_train in zip(load_mnist(tmp_path), (True, False), strict=True):
        theirs = torchvision.datasets.MNIST(tmp_path, train=is_train)
        assert torch.equal(ours.images, theirs.data)
        assert torch.equal(ours.labels, theirs.targets)


def test_full_mnist_in_every_layout(mnist_root, tmp_path, monkeypatch):
    raw = mnist_root / "MNIST" / "raw"
    assert len(load_mnist(raw)[1]) == 10_000
    monkeypatch.setenv("SPIKEMNIST_DATA", str(mnist_root))
    assert len(load_mnist()[1]) == 10_000
    monkeypatch.setenv("SPIKEMNIST_DATA", str(raw))
    assert len(load_mnist()[1]) == 10_000
    # one file raw, the others packed
    for path in raw.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    packed = tmp_path / f"{FILES[3]}.gz"
    (tmp_path / FILES[3]).write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(load_mnist(str(tmp_path))[1]) == 10_000


def test_one_changed_pixel_is_found(mnist_root, tmp_path):
    contents = unpacked(mnist_root)
    changed = bytearray(contents[FILES[2]])
    changed[5000] ^= 1
    contents[FILES[2]] = bytes(changed)
    write_set(tmp_path, contents, packed=False)
    with pytest.raises(ValueError, match="not the official file of MNIST") as caught:
        load_mnist(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / FILES[2]) in message
    assert hashlib.sha256(changed).hexdigest() in message
    assert "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7" in message
    assert "Delete" in message


def test_mnist_is_not_taken_for_fashion_mnist(mnist_root):
    with pytest.raises(
        ValueError, match=f"is the file {FILES[0]} of MNIST, not {FILES[0]} of Fashion-MNIST"
    ):
        load_fashion_mnist(mnist_root / "MNIST" / "raw")


def test_train_and_test_files_are_not_swapped(mnist_root, tmp_path):
    contents = unpacked(mnist_root)
    swapped = dict(zip(FILES, [contents[FILES[i]] for i in (2, 3, 0, 1)], strict=True))
    write_set(tmp_path, swapped, packed=False)
    with pytest.raises(ValueError, match=f"is the file {FILES[2]} of MNIST, not {FILES[0]}"):
        load_mnist(tmp_path)


def unpacked(mnist_root):
    raw = mnist_root / "MNIST" / "raw"
    return {name: gzip.decompress((raw / f"{name}.gz").read_bytes()) for name in FILES}


# --- where files are looked for; Fashion-MNIST's layout, whose content has no known hash


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", ["", "FashionMNIST/raw"])
@pytest.mark.parametrize("way", ["root", "variable", "cache"])
def test_every_place_and_layout(tmp_path, monkeypatch, packed, layout, way):
    contents = small_set()
    base = cache_folder() if way == "cache" else tmp_path / "data"
    write_set(base / layout, contents, packed=packed)
    if way == "variable":
        monkeypatch.setenv("SPIKEMNIST_DATA", str(base))
    train, test = load_fashion_mnist(base if way == "root" else None, download=False)
    assert (len(train), len(test)) == (20, 10)
    assert encode(train.images) == contents[FILES[0]]
    assert encode(test.labels.to(torch.uint8)) == contents[FILES[3]]
    assert train.classes[9] == "Ankle boot"
    assert train.classes == tuple(torchvision.datasets.FashionMNIST.classes)


def test_a_home_folder_may_be_abbreviated(home, monkeypatch):
    write_set(home / "sets", small_set())
    assert len(load_fashion_mnist("~/sets")[0]) == 20
    monkeypatch.setenv("SPIKEMNIST_DATA", "~/sets")
    assert len(load_fashion_mnist()[0]) == 20


def test_the_named_folder_goes_before_the_root_itself(tmp_path):
    write_set(tmp_path, small_set(1))
    write_set(tmp_path / "FashionMNIST" / "raw", small_set(2))
    assert encode(load_fashion_mnist(tmp_path)[0].images) == small_set(2)[FILES[0]]


def test_a_root_is_the_only_place_searched(tmp_path, monkeypatch):
    write_set(cache_folder(), small_set())
    monkeypatch.setenv("SPIKEMNIST_DATA", str(cache_folder()))
    with pytest.raises(FileNotFoundError):
        load_fashion_mnist(tmp_path, download=False)


def test_the_variable_goes_before_the_cache(tmp_path, monkeypatch):
    write_set(tmp_path, small_set(1))
    write_set(cache_folder(), small_set(2))
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path))
    assert encode(load_fashion_mnist()[0].images) == small_set(1)[FILES[0]]
    monkeypatch.setenv("SPIKEMNIST_DATA", "")
    assert encode(load_fashion_mnist()[0].images) == small_set(2)[FILES[0]]


def test_files_of_two_folders_are_not_mixed(tmp_path):
    contents = small_set()
    write_set(tmp_path, {name: contents[name] for name in FILES[:2]})
    write_set(tmp_path / "FashionMNIST" / "raw", {name: contents[name] for name in FILES[2:]})
    with pytest.raises(FileNotFoundError, match=f"lacks {FILES[0]}, {FILES[1]}"):
        load_fashion_mnist(tmp_path, download=False)


def test_content_decides_over_the_ending(tmp_path):
    contents = small_set()
    write_set(tmp_path, contents)
    (tmp_path / f"{FILES[0]}.gz").write_bytes(contents[FILES[0]])
    assert encode(load_fashion_mnist(tmp_path)[0].images) == contents[FILES[0]]


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
def test_missing_files_are_named_with_folders_and_mirrors(tmp_path, monkeypatch, load):
    name = "MNIST" if load is load_mnist else "FashionMNIST"
    monkeypatch.setenv("SPIKEMNIST_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        load(download=False)
    message = str(caught.value)
    for file in FILES:
        assert file in message
    assert f"{tmp_path} (lacks all four)" in message
    assert f"{tmp_path / name / 'raw'} (no such folder)" in message
    assert f"put them into {cache_folder() / name / 'raw'}" in message
    assert MIRROR in message
    assert "SPIKEMNIST_DATA" in message
    assert "\n" not in message


# --- files that are no good


def broken(tmp_path, load, **changes):
    """Load a set in which some files hold other bytes; return the error's text."""
    contents = small_set() | {FILES[int(key[1:])]: data for key, data in changes.items()}
    write_set(tmp_path, contents, packed=False)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers look at the text
        load(tmp_path, download=False)
    return str(caught.value)


both = pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])


@both
def test_truncated_file(tmp_path, load):
    message = broken(tmp_path, load, f0=images(20)[:-5])
    assert message.startswith(f"{tmp_path / FILES[0]} is truncated: ")
    assert "load again with download=True" in message


@both
def test_trailing_bytes(tmp_path, load):
    assert "trailing bytes" in broken(tmp_path, load, f1=labels(20) + b"\0")


@both
def test_empty_file(tmp_path, load):
    assert f"{tmp_path / FILES[0]} is truncated: 0 bytes" in broken(tmp_path, load, f0=b"")


@both
def test_wrong_magic_number(tmp_path, load):
    message = broken(tmp_path, load, f0=labels(20))
    assert f"{tmp_path / FILES[0]} has the magic number 0x00000801" in message


@both
def test_truncated_gzip(tmp_path, load):
    message = broken(tmp_path, load, f0=gzip.compress(images(20))[:-9])
    assert f"{tmp_path / FILES[0]} is a damaged or truncated gzip file" in message


@both
def test_different_numbers_of_images_and_labels(tmp_path, load):
    message = broken(tmp_path, load, f0=images(20), f1=labels(19))
    assert f"{tmp_path / FILES[0]} has 20 images but {tmp_path / FILES[1]} has 19" in message


@both
def test_images_of_another_size(tmp_path, load):
    assert "has images of 32 x 32 pixels, expected 28 x 28" in broken(
        tmp_path, load, f0=images(20, 32)
    )


@both
def test_labels_beyond_the_classes(tmp_path, load):
    assert f"{tmp_path / FILES[1]} has the label 10, expected 0 to 9" in broken(
        tmp_path, load, f1=labels(20, 10)
    )


def test_fashion_mnist_is_not_taken_for_mnist(tmp_path, monkeypatch):
    write_set(tmp_path, small_set())
    packed = (tmp_path / f"{FILES[0]}.gz").read_bytes()
    md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", [(f"{FILES[0]}.gz", md5)])
    with pytest.raises(ValueError, match=f"is the file {FILES[0]} of Fashion-MNIST, not"):
        load_mnist(tmp_path)


def test_a_stranger_is_not_taken_for_mnist(tmp_path):
    write_set(tmp_path, small_set())
    with pytest.raises(ValueError, match="not the official file of MNIST: its content has the SH"):
        load_mnist(tmp_path)


# --- the cache folder


@pytest.mark.skipif(sys.platform != "linux", reason="another folder on each system")
def test_the_folder_of_downloads(tmp_path, home, monkeypatch):
    assert cache_folder() == home / ".cache" / "spikemnist"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "spikemnist"
