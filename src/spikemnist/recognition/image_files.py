"""Load any set of labelled images: IDX files, npz, CSV, or folders of pictures by class.

Shapes: ``N`` samples, ``H`` and ``W`` pixels, ``C`` channels.
"""

from __future__ import annotations

import os
import re
import string
import textwrap
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikemnist._arguments import check_number, must_be, named
from spikemnist._progress import progress_bar
from spikemnist.data.images import ImageDataset, image_findings
from spikemnist.data.mnist import read_idx
from spikemnist.recognition.csv_rows import columns_of, read_csv
from spikemnist.recognition.picture import PreparedPicture, open_picture

Arrays = dict[str, NDArray[Any]]
Splits = dict[str, tuple[NDArray[Any], NDArray[Any]]]

HELD_OUT = 0.2
"""Fraction of the images that is the test set, where there is none."""

MOST_CLASSES = 65_536
"""Number of classes from which on labels are taken for IDs: each class gets a name."""

SPLITS = {"train": "train", "test": "test", "t10k": "test", "val": "val"}
SPLIT = re.compile("|".join(SPLITS))
SPLIT_FOLDER = re.compile(r"train(ing)?|test(ing)?|val(id(ation)?)?")

IDX = re.compile(
    r"(.*?)(train\w*|t10k|test\w*|val\w*)?-?(images[-.]idx\d|labels[-.]idx1)-ubyte(\.gz)?"
)
"""Names of IDX files: what stands before the split, such as ``emnist-letters-``, names the set."""

EXPECTED = (
    "IDX files with the names of MNIST's, such as train-images-idx3-ubyte, an npz file, the path "
    "of a CSV file with a label and pixels in each row, or a folder of pictures for each class"
)

ENOUGH = 10
"""Number of images from which on labels that are all the same, or all differ, are said."""

Sides = tuple[int, int]
"""Height and width."""

_CHARACTERS = string.digits + string.ascii_uppercase
EMNIST = {
    "byclass": _CHARACTERS + string.ascii_lowercase,
    **dict.fromkeys(("bymerge", "balanced"), _CHARACTERS + "abdefghnqrt"),
    "letters": string.ascii_lowercase,
    **dict.fromkeys(("digits", "mnist"), string.digits),
}
"""Characters of the labels of EMNIST; those of letters begin at 1."""


@named()
def load_images(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    invert: bool = False,
) -> tuple[ImageDataset, ImageDataset]:
    """Load a set of labelled images in one of four forms.

    **IDX files** of unsigned bytes, raw or packed by gzip, with the names of MNIST's files:
    ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, and the same with ``t10k`` or
    ``test``, as of KMNIST and EMNIST. The images of EMNIST are transposed in its files
    ``emnist-...`` and upright here. **One npz file** with the arrays ``x_train``, ``y_train``,
    ``x_test`` and ``y_test`` as in Keras, or ``images`` and ``labels``. Images with four dimensions
    have 1 or 3 channels, first or last. **A CSV file** with a label and the pixels of an image in
    each row: the label comes first, or where a header says ``label`` or ``class``. Words are names
    of classes, and an index or an ``id`` in front is left out. Pixels are 0 to 255, or in [0, 1] if
    none of the set is above 1; columns are parted by commas, semicolons or tabulators. A file
    beside it with as many columns, whose name differs only in ``train``, ``test`` or ``val``,
    belongs to it. **Pictures** in a folder for each class, such as ``train/seven/1.png`` or
    ``seven/1.png``, all of one size, read as they are. Grey pictures with more than 8 bits are
    refused; Pillow reduces colours of 16 bits to 8.

    Names of files, arrays or folders with ``test`` or ``t10k`` belong to the test set, all others
    to the training set. Those with ``val`` are the test set if there is no other, else left out.
    Where there is neither, a fifth of each class is held out: see `ImageDataset.split`.

    Parameters
    ----------
    path : path
        Folder with one set, or one of its files where the folder holds several sets; a CSV file.
    size : int or (int, int), default None
        Height and width of the images, one number for squares. Pictures of another size are
        resized by Pillow's bilinear filter, which averages where it reduces and does not keep the
        proportions. The pixels of a row of a CSV file are those of a square unless ``size`` says
        otherwise. None reads pictures as they are.
    invert : bool, default False
        Whether to turn dark strokes on light paper into light ones on dark, as the codes want them:
        255 minus the grey values, or 1 minus those in [0, 1].

    Returns
    -------
    train, test : ImageDataset
        ``images`` ``[N, H, W]``, or ``[N, C, H, W]`` for colours, uint8 or as stored in npz.
        Integer labels stay as they are, but for the letters of EMNIST, which begin at 0 here.
        ``classes`` names each label: by the character of EMNIST, by the sorted names of the folders
        of pictures or of the labels of a CSV file, else by its number.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    ValueError
        If it holds no such set, or several, a file is damaged, images differ in size or have
        neither 1 nor 3 channels, or a label is 65,536 or more, as an ID may be; for a ``size`` with
        IDX or npz files. An npz file with Python objects is refused, since reading them can
        run code.

    Warns
    -----
    UserWarning
        If the training images are black, dark, of 17 grey values for example, or dark on light; if
        they all have one label, or each has another one.

    Notes
    -----
    Cohen, Afshar, Tapson, van Schaik, *EMNIST: an extension of MNIST to handwritten letters*,
    arXiv:1702.05373, 2017.

    Examples
    --------
    >>> import tempfile
    >>> images, labels = np.full((10, 8, 8), 99, np.uint8), np.arange(10) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "bars.npz")
    ...     np.savez(file, images=images, labels=labels)
    ...     train, test = load_images(file)
    >>> train, len(test)
    (ImageDataset(8 images [8, 8], torch.uint8, cpu, 2 classes), 2)
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise FileNotFoundError(f"no data at {place}. Expected {EXPECTED}")
    sides = None if size is None else _sides(size)
    splits, classes = _read_files(place, sides) or _pictures(place, sides)
    try:
        fields: dict[str, Any] = {"classes": classes, "name": str(place.resolve())}
        fields |= {"size": sides, "inverted": invert}
        sets = {split: _dataset(*pair, **fields) for split, pair in splits.items()}
        for finding in (*image_findings(sets["train"]), *_label_findings(sets["train"])):
            warnings.warn(f"{place}: {finding}", stacklevel=3)
        if len(sets) == 1:
            return sets["train"].split(HELD_OUT)
        shapes = {split: list(data.images.shape[1:]) for split, data in sets.items()}
        if len({*map(str, shapes.values())}) > 1:
            raise must_be("the images of all splits", "of one shape", shapes)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    return sets["train"], sets["test" if "test" in sets else "val"]


def _sides(size: Any) -> Sides:
    """Return the height and width of a number, for a square, or of a pair."""
    pair = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(pair) != 2:
        raise must_be("size", "a number, or (height, width)", size)
    height, width = (check_number("size", side, "1..") for side in pair)
    return height, width


def _split(name: str) -> str:
    match = SPLIT.search(name.lower())
    return SPLITS[match[0]] if match else "train"


def _read_files(place: Path, size: Sides | None) -> tuple[Splits, tuple[str, ...]] | None:
    """Return the images and labels of each split, and the names of the classes.

    A folder without IDX and npz files gives None.

    Raises
    ------
    ValueError
        If a folder holds several sets, or a file is of another kind or damaged.
    """
    name, paths = _one_set(place)
    if not paths:
        return None
    if name.endswith(".csv"):
        # Beside Kaggle's train.csv lies a test.csv without labels.
        alike = [path for path in paths if columns_of(path) == columns_of(place)]
        files = {_split(path.name): path for path in alike}
        files = files if "train" in files else {"train": place}
        splits, words = read_csv(files, size)
        if words:
            return splits, words
    elif size:
        raise ValueError(f"{place} has images of one size: leave out size={size}")
    elif name.endswith(".npz"):
        splits = _pair(_read_npz(paths[0]), place)
    else:
        # A file may be there raw and packed, as torchvision leaves it.
        files = {path.name.removesuffix(".gz"): path for path in reversed(paths)}
        arrays = {file.removeprefix(name): read_idx(path).numpy() for file, path in files.items()}
        splits = _pair(arrays, place)
    if emnist := re.match(f"emnist-({'|'.join(EMNIST)})-", name.lower()):
        first = emnist[1] == "letters"
        upright = {s: (np.swapaxes(x, 1, 2), y.astype(int) - first) for s, (x, y) in splits.items()}
        return upright, tuple(EMNIST[emnist[1]])
    highest = max(int(labels.max(initial=0)) for _, labels in splits.values())
    if highest >= MOST_CLASSES:
        raise ValueError(
            f"{place}: labels must be below {MOST_CLASSES}; got {highest}. Are these IDs? Store "
            "the class of each image instead, numbered from 0"
        )
    return splits, tuple(map(str, range(highest + 1)))


def _one_set(place: Path) -> tuple[str, list[Path]]:
    """Return the name of a set, and its files; a folder may have none."""
    folder = place if place.is_dir() else place.parent
    if (place / "raw").is_dir():  # as torchvision stores them
        folder = place / "raw"
    sets = {file.name: name for file in folder.iterdir() if (name := _set_of(file)) is not None}
    if place.is_file():
        if place.name not in sets:
            raise ValueError(f"{place} is no IDX, npz or CSV file. Expected {EXPECTED}")
        sets = {file: name for file, name in sets.items() if name == sets[place.name]}
    else:  # in a folder, a table may describe the pictures beside it
        sets = {file: name for file, name in sets.items() if not name.endswith(".csv")}
    if len(names := {*sets.values()}) > 1:
        several = ", ".join(sorted(name.strip("-_. ") or "without a name" for name in names))
        raise ValueError(f"{folder} holds several sets: {several}. Pass a file of one of them")
    return next(iter(names), ""), [folder / file for file in sorted(sets)]


def _set_of(file: Path) -> str | None:
    """Return the name of the set that an IDX, npz or CSV file belongs to; None for others."""
    if file.suffix == ".npz":
        return file.name
    if file.suffix.lower() == ".csv":
        return SPLIT.sub("", file.name.lower(), 1)
    return match[1] if (match := IDX.fullmatch(file.name)) else None


def _read_npz(file: Path) -> Arrays:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            # NumPy returns other contents than arrays as bytes, which have no such index.
            return {name: arrays[name][...] for name in arrays.files}
    except Exception as error:  # NumPy and zipfile raise nearly anything for other content
        raise ValueError(
            f"{file} is damaged, too large, or no file of plain arrays: {str(error)[:200]}. Write "
            "it with numpy.savez, from arrays of numbers"
        ) from error


def _pair(arrays: Arrays, place: Path) -> Splits:
    """Return the images and labels of each split."""
    groups: dict[str, tuple[Any, Any]] = {}
    for name, array in arrays.items():
        values = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        kind = values.ndim == 1 and values.dtype.kind in "iu"
        groups.setdefault(_split(name), ([], []))[kind].append(values)
    if "train" not in groups or any(len(x) != 1 or len(y) != 1 for x, y in groups.values()):
        shapes = ", ".join(f"{name} {x.dtype} {list(x.shape)}" for name, x in arrays.items())
        raise ValueError(
            f"{place} has the arrays {shapes}; expected one of images [N, H, W], [N, H, W, C] or "
            "[N, C, H, W] and one of integer labels [N], such as images and labels, or for each "
            "split, such as x_train, y_train, x_test and y_test"
        )
    return {split: (images, labels) for split, ((images,), (labels,)) in groups.items()}


def _pictures(place: Path, size: Sides | None) -> tuple[Splits, tuple[str, ...]]:
    """Read the pictures in a folder for each class, in a folder for each split if there are."""
    from PIL import Image

    inside = [path.name.lower() for path in place.glob("[!.]*") if path.is_dir()]
    has_splits = bool(inside) and all(map(SPLIT_FOLDER.fullmatch, inside))
    pattern = "/".join(["[!.]*"] * (3 if has_splits else 2))
    kinds = Image.registered_extensions()
    files = [file for file in place.glob(pattern) if file.suffix.lower() in kinds]
    files.sort(key=lambda file: file.parts)  # with case, on Windows as well: one order everywhere
    splits = np.array([_split(file.parts[-3]) if has_splits else "train" for file in files])
    if "train" not in splits:
        deeper = any(file.suffix.lower() in kinds for file in place.glob("/".join(["[!.]*"] * 3)))
        where = "holds pictures two folders down, not one" if deeper else "holds no training images"
        raise ValueError(f"{place} {where}. Expected {EXPECTED}")
    with progress_bar(progress=True, iterable=files, desc="reading", unit="picture") as bar:
        pictures = [read_picture(file, size) for file in bar]
    _check_sizes(place, files, pictures)
    images = np.stack(pictures)
    images = images[..., 0] if (images == images[..., :1]).all() else images
    names = [file.parent.name for file in files]
    classes = sorted({*names}, key=lambda name: (name.isdigit() and len(name), name))
    labels = np.array([classes.index(name) for name in names])
    of = {split: splits == split for split in {*splits.tolist()}}
    return {split: (images[mask], labels[mask]) for split, mask in of.items()}, tuple(classes)


def _check_sizes(place: Path, files: list[Path], pictures: list[NDArray[np.uint8]]) -> None:
    """Raise a `ValueError` that names the pictures of another size than most have."""
    sizes = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in pictures]
    usual = Counter(sizes).most_common(1)[0][0]
    pairs = zip(files, sizes, strict=True)
    named = [f"{file.relative_to(place)} {size}" for file, size in pairs if size != usual]
    if named:
        names = textwrap.shorten(", ".join(named), 1000, placeholder=" ...")
        raise ValueError(
            f"{len(named)} of {len(files)} pictures in {place} are not {usual} as the others: "
            f"{names}. To resize all of them, pass size=28, or --size 28 on the command line, or "
            "another size"
        )


def read_picture(file: Path, size: Sides | None = None) -> NDArray[np.uint8]:
    """Return the pixels of a picture, ``[H, W, 3]``, as they are, or resized.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is no picture, is transparent, or is grey with more than 8 bits. Pillow reads
        colours of 16 bits as colours of 8.
    """
    from PIL.Image import Resampling

    picture = open_picture(file)
    if picture.mode[0] in "IF" or (np.asarray(picture.convert("RGBA"))[..., 3] < 255).any():
        raise ValueError(
            f"{file} is transparent or grey with more than 8 bits; save it without transparency, "
            "with 8 bits"
        )
    picture = picture.convert("RGB")
    return np.asarray(picture.resize(size[::-1], Resampling.BILINEAR) if size else picture)


def as_it_is(file: Path) -> PreparedPicture:
    """Return a picture as `load_images` reads it.

    Raises
    ------
    FileNotFoundError, ValueError
        As in `read_picture`.
    """
    pixels = torch.from_numpy(read_picture(file).copy()).movedim(2, 0)
    image = pixels[0] if bool((pixels == pixels[0]).all()) else pixels
    return PreparedPicture(image, None, (image.shape[-1], image.shape[-2]), 1)


def _label_findings(data: ImageDataset) -> list[str]:
    """Return that all labels are the same, or that all differ, as the numbers of rows do."""
    classes = len({*data.labels.tolist()})
    text = f"{len(data)} images, number of classes: {classes}. Are the labels in another column?"
    return [text] if len(data) >= ENOUGH and classes in (1, len(data)) else []


def _dataset(images: NDArray[Any], labels: NDArray[Any], **fields: Any) -> ImageDataset:
    """Return a dataset, with channels first, inverted where this is among its ``fields``.

    Raises
    ------
    ValueError
        If images with four dimensions have neither 1 nor 3 channels, or labels do not fit.
    """
    if images.ndim == 4 and images.shape[1] not in (1, 3):
        if images.shape[3] not in (1, 3):
            raise ValueError(
                "images [N, H, W, C] or [N, C, H, W] must have 1 or 3 channels; got shape "
                f"{[*images.shape]}. Remove an alpha channel, or make an ImageDataset of the arrays"
            )
        images = np.moveaxis(images, 3, 1)
    images = images[:, 0] if images.ndim == 4 and images.shape[1] == 1 else images
    # Torch reads no big-endian numbers, which other machines write.
    pixels = torch.from_numpy(np.ascontiguousarray(images, images.dtype.newbyteorder("=")))
    targets = torch.from_numpy(labels.astype(np.int64))
    if fields["inverted"]:
        pixels = (255 if pixels.dtype == torch.uint8 else 1) - pixels
    return ImageDataset(pixels, targets, **fields)
