"""Sets of images in files of each format, made here by its definition."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import EMNIST as TORCHVISION_EMNIST
from torchvision.transforms import Resize
from torchvision.transforms.functional import pil_to_tensor

from spikemnist.data import load_images
from spikemnist.data.mnist import IDX_FILES
from tests.data.idx_files import idx, idx_set, packed, some, write

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = IDX_FILES


def png(pixels, bits=8):
    """Signature, then the chunks IHDR, IDAT and IEND, each with length and checksum."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">2I5B", width, height, bits, colour, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def npz(shape=None, **arrays):
    """A zip with a file for each array: magic, version, length of the header, header, values.

    ``shape`` is that in the headers, if it is another one than that of the arrays.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            text = {"descr": array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
            header = f"{text}\n".encode()
            data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + array.tobytes()
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def pictures(**files):
    return {f"{name.replace('__', '/')}.png": png(pixels) for name, pixels in files.items()}


# --- IDX


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    labels=st.lists(st.integers(0, 255), min_size=2, max_size=6),
    is_packed=st.booleans(),
    names=st.sampled_from([("train-", "t10k-"), ("", "test-"), ("my-train-", "my-validation-")]),
    dot=st.sampled_from("-."),
)
def test_any_pair_of_idx_files(tmp_path_factory, shape, labels, is_packed, names, dot):
    images = some(len(labels), *shape, seed=1)
    folder = tmp_path_factory.mktemp("idx")
    for name, n in zip(names, (len(labels), 1), strict=True):
        contents = {
            f"{name}images{dot}idx{images.ndim}-ubyte": idx(images[:n]),
            f"{name}labels{dot}idx1-ubyte": idx(np.array(labels[:n])),
        }
        write(folder, packed(contents) if is_packed else contents)
    write(folder, {"notes-ubyte": b"x", "images-idx3-ubyte.txt": b"x"})
    if images.ndim == 4 and not {1, 3} & {images.shape[1], images.shape[3]}:
        with pytest.raises(ValueError, match="must have 1 or 3 channels"):
            load_images(folder)
        return
    train, held_out = load_images(folder)
    assert (train.name, held_out[:1].name) == (str(folder), str(folder))
    squeezed = images[:, 0] if images.ndim == 4 and images.shape[1] == 1 else images
    if images.ndim < 4 or images.shape[3] not in (1, 3):
        assert np.array_equal(train.images, squeezed)
    assert train.labels.tolist() == labels
    assert (len(held_out), held_out.labels.tolist()) == (1, labels[:1])
    assert train.classes == held_out.classes
    assert train.classes[labels[0]] == str(labels[0])


@pytest.mark.parametrize("real_data", ["MNIST/raw", "FashionMNIST/raw"], indirect=True)
def test_content_of_official_sets(real_data, request):
    name = request.node.callspec.params["real_data"].partition("/")[0]
    train, test = load_images(real_data / name)  # a folder with raw below it
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.classes == tuple("0123456789")


def test_raw_file_beside_its_packed_one(tmp_path):
    write(tmp_path, idx_set() | packed(idx_set(train=4)))
    assert len(load_images(tmp_path)[0]) == 8


@pytest.mark.filterwarnings("ignore:.*images, number of classes")
@pytest.mark.parametrize("split", TORCHVISION_EMNIST.splits)
def test_orientation_and_characters_of_emnist(tmp_path, split):
    names = TORCHVISION_EMNIST.classes_split_dict[split]
    classes = [name for name in names if name != "N/A"]
    assert len(classes) == {"byclass": 62, "letters": 26}.get(split, len(names))
    first = int(split == "letters")
    files = idx_set(f"emnist-{split}-", 62, 62, len(classes), first)
    files = {name.replace("t10k", "test"): data for name, data in files.items()}
    for train, test in (
        load_images(write(tmp_path, packed(files))),
        load_images(tmp_path / f"emnist-{split}-test-{LABELS[6:]}.gz"),
    ):
        assert torch.equal(train.images.mT, torch.from_numpy(some(62)))
        assert torch.equal(test.images.mT, torch.from_numpy(some(62, seed=1)))
        assert list(train.classes) == classes
        assert train.labels[:3].tolist() == [0, 1, 2]


def test_several_sets_in_a_folder(tmp_path):
    write(tmp_path, idx_set("emnist-letters-", first=1) | idx_set("emnist-digits-", train=6))
    with pytest.raises(
        ValueError, match=r"several sets: emnist-digits, emnist-letters\. Pass a fil"
    ):
        load_images(tmp_path)
    assert len(load_images(tmp_path / f"emnist-digits-{IMAGES}")[0]) == 6
    assert load_images(tmp_path / f"emnist-letters-{IMAGES}")[0].classes[0] == "a"
    write(tmp_path, {"a.npz": npz(images=some(6), labels=np.arange(6) % 2)})
    with pytest.raises(ValueError, match=r"several sets: a\.npz, emnist-digits, emnist-letters"):
        load_images(tmp_path)
    assert len(load_images(tmp_path / "a.npz")[0]) == 5


def test_idx_images_without_labels(tmp_path):
    write(tmp_path, {IMAGES: idx(some(3))})
    with pytest.raises(ValueError, match=rf"the arrays {IMAGES} uint8 \[3, 28, 28\]; expected one"):
        load_images(tmp_path)


# --- npz


@pytest.mark.filterwarnings("ignore:.*images, number of classes")
@pytest.mark.parametrize("order", ["x_train y_train x_test y_test", "X_TEST Y_TEST TrainX trainY"])
def test_npz_of_keras(tmp_path, order):
    arrays = {}
    for name in order.split():
        n = 10 if "train" in name.lower() else 5
        x = "x" in name.lower().replace("test", "").replace("train", "")
        arrays[name] = some(n) if x else np.arange(n, dtype=np.uint8)
    write(tmp_path, {"mnist.npz": npz(**arrays)})
    for path in (tmp_path, tmp_path / "mnist.npz"):
        train, test = load_images(path)
        assert torch.equal(train.images, torch.from_numpy(some(10)))
        assert test.labels.tolist() == list(range(5))
        assert train.classes == tuple("0123456789")


@pytest.mark.filterwarnings("ignore:.*images, number of classes")
@given(st.integers(2, 40), st.integers(1, 7))
def test_held_out_fifth_of_each_class(tmp_path_factory, each, classes):
    labels = np.arange(each * classes) % classes
    folder = tmp_path_factory.mktemp("npz")
    write(folder, {"a.npz": npz(images=some(len(labels), 2, 2), labels=labels)})
    if round(len(labels) / 5) == 0:
        with pytest.raises(ValueError, match="leaves the held-out part empty"):
            load_images(folder)
        return
    train, test = load_images(folder)
    assert len(test) == round(len(labels) / 5)
    assert abs(test.labels.bincount(minlength=classes) - each / 5).max() < 1
    assert torch.equal(test.images, load_images(folder)[1].images)  # the same every time
    assert len(train) + len(test) == len(labels)


def test_layout_of_colours_and_labels(tmp_path):
    images, labels = some(6, 9, 8, 3), np.arange(6)[:, None]
    splits = {f"{split}_images": images for split in ("train", "val", "test")}
    splits |= {f"{split}_labels": labels for split in ("train", "val", "test")}
    write(tmp_path, {"medical.npz": npz(**splits)})
    train, test = load_images(tmp_path)
    assert torch.equal(train.images, torch.from_numpy(images).permute(0, 3, 1, 2))
    assert test.labels.tolist() == list(range(6))
    arrays = {"images": (images / 255).astype(">f4"), "labels": labels.astype(">i8")}
    write(tmp_path, {"medical.npz": npz(**arrays)})  # big-endian
    assert load_images(tmp_path)[0].images.dtype == torch.float32


@given(
    channels=st.integers(1, 6),
    first=st.booleans(),
    size=st.tuples(*[st.sampled_from([4, 5, 8])] * 2),
)
@example(channels=2, first=False, size=(8, 4))  # grey with transparency
@example(channels=4, first=False, size=(8, 4))  # colours with transparency
def test_number_of_channels(tmp_path_factory, channels, first, size):
    shape = (channels, *size) if first else (*size, channels)
    arrays = {"images": some(6, *shape), "labels": np.arange(6) % 2}
    folder = write(tmp_path_factory.mktemp("channels"), {"a.npz": npz(**arrays)})
    if channels in (1, 3):
        assert load_images(folder)[0].images.shape[1:] == ((3, *size) if channels == 3 else size)
        return
    with pytest.raises(
        ValueError, match=rf"1 or 3 channels; got shape {re.escape(str([6, *shape]))}\. Rem"
    ):
        load_images(folder)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (
            {"data": some(3)},
            r"has the arrays data uint8 \[3, 28, 28\]; expected .* such as images",
        ),
        ({"x": some(3), "y": np.eye(3)}, r"x uint8 \[3, 28, 28\], y float64 \[3, 3\]; expected"),
        ({"x": some(3), "y": np.arange(2)}, "3 images but 2 labels"),
        ({"x": some(3), "y": np.arange(3) - 1}, "labels must be at least 0; got -1"),
        ({"x": some(3) * 1.0, "y": np.arange(3)}, r"must lie in \[0, 1\].*Divide by the maximum"),
        ({"x_test": some(3), "y_test": np.arange(3)}, "x_train, y_train, x_test and y_test"),
    ],
)
def test_arrays_of_another_kind(tmp_path, arrays, reason):
    write(tmp_path, {"a.npz": npz(**arrays)})
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}.* ?{reason}"):
        load_images(tmp_path)


@given(
    label=st.integers(65_536, 2**64 - 1) | st.sampled_from([65_536, 10**8, 2**40, 2**63]),
    split=st.sampled_from(["y_train", "y_test"]),
)
def test_ids_as_labels(tmp_path_factory, label, split):
    labels = {"y_train": np.arange(3), "y_test": np.arange(3)}
    labels[split] = np.array([0, 1, label], np.uint64 if label >= 2**63 else np.int64)
    images = {name.replace("y", "x"): some(len(array), 2, 2) for name, array in labels.items()}
    folder = write(tmp_path_factory.mktemp("ids"), {"a.npz": npz(**images, **labels)})
    with pytest.raises(ValueError, match=rf"a.npz: labels must be below 65536; got {label}\. Are"):
        load_images(folder / "a.npz")


def test_largest_label(tmp_path):
    arrays = {"images": some(4, 2, 2), "labels": np.array([0, 65_535, 0, 65_535])}
    train, _ = load_images(write(tmp_path, {"a.npz": npz(**arrays)}))
    assert (len(train.classes), train.classes[-1]) == (65_536, "65535")


def test_splits_of_two_shapes(tmp_path):
    images = {"x_train": some(2), "x_test": some(2, 9, 8)}
    labels = dict.fromkeys(("y_train", "y_test"), np.arange(2))
    write(tmp_path, {"a.npz": npz(**images, **labels)})
    with pytest.raises(ValueError, match=r"one shape; got {'train': \[28, 28\], 'test': \[9, 8\]}"):
        load_images(tmp_path)


class Code:
    """Something that runs code when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("code was run",)


def test_code_in_a_file(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([Code()] * 3), labels=np.arange(3))
    with pytest.raises(ValueError, match=r"a.npz is damaged, .* no file of plain arrays.*savez"):
        load_images(tmp_path)


@pytest.mark.parametrize("size", [10**14, 10**18, 10**30])
def test_sizes_beyond_memory(tmp_path, size):
    write(tmp_path, {"a.npz": npz((size,), images=some(3), labels=np.arange(3))})
    with pytest.raises(ValueError, match=r"a.npz is damaged, too large, or no .*: .+ Write it"):
        load_images(tmp_path)


# --- pictures


def test_pictures_by_class_and_split(tmp_path):
    grey = [some(5, 4, seed=seed) for seed in range(4)]
    names = ("train__two__a", "train__ten__b", "testing__two__c", "testing__ten__d")
    write(tmp_path, pictures(**dict(zip(names, grey, strict=True))))
    write(tmp_path, {"train/.DS_Store": b"x", "train/two/Thumbs.db": b"x", "README.md": b"x"})
    train, test = load_images(tmp_path)
    assert train.classes == test.classes == ("ten", "two")
    assert torch.equal(train.images, torch.from_numpy(np.stack([grey[1], grey[0]])))
    assert test.labels.tolist() == [0, 1]


def test_order_of_pictures_on_every_system(tmp_path):
    """Capitals come first, on Windows as well, so that a seed holds out the same pictures."""
    greys = {"b": 210, "C": 220, "a": 230, "D": 240}
    write(tmp_path, pictures(**{f"train__x__{n}": some(2, 2) * 0 + g for n, g in greys.items()}))
    write(tmp_path, pictures(test__x__t=some(2, 2)))
    assert load_images(tmp_path)[0].images[:, 0, 0].tolist() == [220, 240, 230, 210]


def test_pictures_without_a_split(tmp_path):
    files = {f"{label}__{n}": some(4, 4, seed=n) for label in (2, 10) for n in range(5)}
    train, test = load_images(write(tmp_path, pictures(**files)))
    assert train.classes == ("2", "10")
    assert sorted(test.labels.tolist()) == [0, 1]
    assert len(train) == 8


def test_one_picture_in_colour(tmp_path):
    colour, grey = some(4, 5, 3), some(4, 5, seed=2)
    files = pictures(train__a__1=colour, train__b__1=grey, test__a__1=grey, test__b__1=grey)
    train, test = load_images(write(tmp_path, files))
    assert torch.equal(train.images[0], torch.from_numpy(colour).permute(2, 0, 1))
    assert test.images.shape == (2, 3, 4, 5)
    assert (train.images[1] == torch.from_numpy(grey)).all()


@pytest.mark.parametrize("odd", [1, 7])
def test_pictures_of_other_sizes_are_named(tmp_path, odd):
    files = {f"a__{n}": some(4, 5) for n in range(10)} | {f"b__{n}": some(6, 7) for n in range(odd)}
    write(tmp_path, pictures(**files))
    named = ", ".join(str(Path("b", f"{n}.png 7 x 6")) for n in range(odd))
    message = f"{odd} of {10 + odd} pictures in {tmp_path} are not 5 x 4 as the others: {named}"
    end = ". To resize all of them, pass size=28"
    with pytest.raises(ValueError, match=f"^{re.escape(message + end)}"):
        load_images(tmp_path)


@given(st.integers(4, 40), st.integers(4, 40), st.booleans())
def test_pictures_are_resized_as_by_torchvision(tmp_path_factory, height, width, in_colour):
    shapes = [(30, 20), (9, 50), (height, width)]
    pixels = [some(*shape, *[3] * in_colour, seed=seed) for seed, shape in enumerate(shapes)]
    files = pictures(**{f"train__a__{n}": array for n, array in enumerate(pixels)})
    folder = write(tmp_path_factory.mktemp("sizes"), files | pictures(test__a__0=pixels[0]))
    train, _ = load_images(folder, size=(height, width))
    resize = Resize((height, width))
    expected = [pil_to_tensor(resize(Image.fromarray(array))) for array in pixels]
    assert torch.equal(train.images, torch.stack(expected).squeeze(1))
    assert train.size == (height, width)


@pytest.mark.parametrize("size", [4, np.int64(4), torch.tensor(4), (4, np.int64(4)), [4, 4]])
def test_numbers_of_a_size(tmp_path, size):
    write(tmp_path, pictures(train__a__1=some(4, 5), test__a__1=some(4, 5)))
    assert repr(load_images(tmp_path, size=size)[0].size) == "(4, 4)"


@pytest.mark.parametrize("size", [0, -8, 1.5, "28", True, (28, 0), (28,), (1, 2, 3), (2.5, 3)])
def test_wrong_sizes(tmp_path, size):
    write(tmp_path, pictures(a__1=some(4, 5)))
    with pytest.raises(ValueError, match=r"size must be an? (integer|number)"):
        load_images(tmp_path, size=size)


def test_size_for_images_that_have_one(tmp_path):
    write(tmp_path, idx_set())
    with pytest.raises(ValueError, match=r"has images of one size: leave out size=\(28, 28\)"):
        load_images(tmp_path, size=28)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: Image.new("RGBA", (4, 4)).save(file), "is transparent or"),
        (lambda file: Image.new("I;16", (4, 4)).save(file), ".* or grey with more than 8 bits"),
        (lambda file: file.write_bytes(png(some(4, 4))[:-30]), "is not a picture that Pillow"),
    ],
)
def test_pictures_of_other_modes(tmp_path, make, reason):
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / "1.png")
    with pytest.raises(ValueError, match=rf"1.png {reason}"):
        load_images(tmp_path)


def test_colours_of_16_bits(tmp_path):
    pixels = some(6, 4, 3)
    data = png(pixels.astype(">u2") * 257, bits=16)
    write(tmp_path, {f"{split}/a/1.png": data for split in ("train", "test")})
    train, _ = load_images(tmp_path)
    assert torch.equal(train.images[0], torch.from_numpy(pixels).permute(2, 0, 1))


# --- nothing to read


def test_message_on_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^no data at .*none. Expected IDX files with"):
        load_images(tmp_path / "none")
    write(tmp_path, {"notes.txt": b"\0\0\1\0", "seven/notes.txt": b"none"})
    with pytest.raises(ValueError, match=r"holds no training images\. Expected IDX files with"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match=r"notes\.txt is no IDX, npz or CSV file\. Expected"):
        load_images(tmp_path / "notes.txt")


def test_pictures_two_folders_down(tmp_path: Path) -> None:
    (tmp_path / "alphabets" / "greek" / "alpha").mkdir(parents=True)
    Image.new("L", (6, 6), 9).save(tmp_path / "alphabets" / "greek" / "alpha" / "1.png")
    with pytest.raises(ValueError, match="holds pictures two folders down, not one"):
        load_images(tmp_path / "alphabets")
