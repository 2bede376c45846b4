"""Images in CSV files, written here by the `csv` module."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.data import load_images
from tests.data.idx_files import some

TWO_ROWS = "label,1,2,3,4\n0,0,255,0,0\n1,0,0,255,0\n"


def write_csv(file: Path, images: np.ndarray, labels: np.ndarray, header=None, place=0, **options):
    with file.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as stream:
        writer = csv.writer(stream, **options)
        writer.writerows([header] if header else [])
        for image, label in zip(images.reshape(len(images), -1), labels, strict=True):
            row = [str(pixel) for pixel in image]
            writer.writerow([*row[:place], str(label), *row[place:]])


@given(
    side=st.integers(1, 6),
    name=st.sampled_from([None, "label", "Class", "y"]),
    last=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_rows_of_any_writer(tmp_path_factory, side, name, last, quoting, end, encoding):
    images, labels = some(10, side, side, seed=side), np.arange(10) % 3
    images[0, 0, 0] = 2  # not all in 0 and 1
    place = side * side if name and last else 0
    header = [f"pixel{i}" for i in range(side * side)]
    header.insert(place, name or "")
    file = tmp_path_factory.mktemp("csv") / "train.csv"
    options = {"quoting": quoting, "lineterminator": end, "encoding": encoding}
    write_csv(file, images, labels, header if name else None, place, **options)
    train, test = load_images(file)
    assert (train.images.dtype, len(test), train.classes) == (torch.uint8, 2, ("0", "1", "2"))
    for data in (train, test):
        for image, label in data:
            (index,) = np.flatnonzero((images == image.numpy()).all((1, 2)))[:1]
            assert int(label) in labels[(images == images[index]).all((1, 2))]


def test_rows_in_the_unit_range(tmp_path):
    images = np.linspace(0, 1, 40).reshape(10, 2, 2)
    write_csv(tmp_path / "a.csv", images, np.arange(10) % 2)
    train, test = load_images(tmp_path / "a.csv")
    assert train.images.dtype == torch.float32
    actual = torch.cat((train.images, test.images)).sort(0).values
    torch.testing.assert_close(actual, torch.from_numpy(images).float())


@pytest.mark.parametrize("given_file", ["digits_Train.csv", "digits_test.csv"])
def test_files_of_two_splits(tmp_path, given_file):
    write_csv(tmp_path / "digits_Train.csv", some(4, 3, 3), np.arange(4))
    write_csv(tmp_path / "digits_test.csv", some(2, 3, 3, seed=1), np.arange(2))
    write_csv(tmp_path / "other_test.csv", some(2, 5, 5), np.arange(2))
    train, test = load_images(tmp_path / given_file)
    assert torch.equal(train.images, torch.from_numpy(some(4, 3, 3)))
    assert torch.equal(test.images, torch.from_numpy(some(2, 3, 3, seed=1)))


def test_test_set_without_labels(tmp_path):
    write_csv(tmp_path / "train.csv", some(10, 2, 2), np.arange(10) % 2)
    (tmp_path / "test.csv").write_text("pixel0,pixel1,pixel2,pixel3\n0,0,0,0\n")
    assert [*map(len, load_images(tmp_path / "train.csv"))] == [8, 2]
    with pytest.raises(ValueError, match=r"test\.csv begins with 'pixel0"):
        load_images(tmp_path / "test.csv")


def test_name_of_a_single_file_is_free(tmp_path):
    write_csv(tmp_path / "values.csv", some(10, 3, 3), np.arange(10) % 2)
    assert [*map(len, load_images(tmp_path / "values.csv"))] == [8, 2]


@pytest.mark.filterwarnings("ignore:.*26 images, number of classes")
def test_letters_of_emnist_are_upright(tmp_path):
    for split in ("train", "test"):
        write_csv(tmp_path / f"emnist-letters-{split}.csv", some(26, 28, 28), np.arange(1, 27))
    train, _ = load_images(tmp_path / "emnist-letters-train.csv")
    assert torch.equal(train.images.mT, torch.from_numpy(some(26, 28, 28)))
    assert (train.classes[0], train.labels[0].item()) == ("a", 0)


def test_rows_that_are_no_squares(tmp_path):
    images = some(10, 3, 4)
    write_csv(tmp_path / "a.csv", images, np.arange(10) // 5)
    train, _ = load_images(tmp_path / "a.csv", size=(3, 4))
    assert train.images.shape == (8, 3, 4)
    assert train.size == (3, 4)
    assert torch.equal(train.images[0], torch.from_numpy(images[0]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TWO_ROWS + "1,0,0,255\n", "no table of numbers: .* from 5 to 4 at row 3$"),
        (TWO_ROWS + "1,0,0,,9\n", "could not convert string '' .* at row 3, column 4"),
        (TWO_ROWS + "1,0,0,x,9\n", "could not convert string 'x' .* at row 3, column 4"),
        (TWO_ROWS + "1,0,0,7.5,9\n", "row 3 has the label 1 and pixels from 0 to 9; expected an"),
        (TWO_ROWS + "1,0,0,256,9\n", "row 3 has the label 1 and pixels from 0 to 256"),
        (
            TWO_ROWS + "1,0,-1,0,9\n",
            r"row 3 .* pixels from -1 to 9; .* \(x - min\) / \(max - min\)",
        ),
        (TWO_ROWS + "1,0,nan,0,9\n", "row 3 .* pixels from nan to nan"),
        (TWO_ROWS + "1.5,0,1,0,9\n", "row 3 has the label 1.5"),
        (TWO_ROWS + "-1,0,1,0,9\n", "row 3 has the label -1"),
        (TWO_ROWS + "70000,0,1,0,9\n", "labels must be below 65536; got 70000"),
        ("0,0.5,-0.1,0,0\n", "row 1 has the label 0 and pixels from -0.1 to 0.5"),
        ("pixel0,pixel1,pixel2,pixel3\n0,0,0,0\n", "begins with 'pixel0,.*one column label or"),
        ("label,class,x\n0,0,0\n", "begins with 'label,class,x'; expected rows of a label and"),
        ("label|1|2|3|4\n0|0|0|0|0\n", r"begins with 'label\|1\|2\|3\|4'"),
        ("digit,0,1,2,3\n5,0,9,0,0\n", "begins with 'digit,0,1,2,3'; expected rows"),
        (",0,0,9,0\n5,0,9,0,0\n", "could not convert string '' .* at row 1, column 1"),
        ("label,1,2,3,4\n", "begins with 'label,1,2,3,4'; expected rows"),
        ("", "begins with ''; expected rows"),
        ("seven,0,x,0,0\n", "begins with 'seven,0,x,0,0'"),
        ("label,1,2,3,4\n0,0,9,0\n", "3 pixels in a row, not 1 x 1"),
        ("0,0,9,0\n", "3 pixels in a row, not 1 x 1: pass size= .*--size 12x20"),
        ("0\n1\n", "0 pixels in a row"),
        ("cat,0,9,0,0\n,0,9,0,0\n", "row 2 has no label: remove the row"),
        (
            f"{TWO_ROWS}NaN,0,9,0,0\n".replace("\n1", "\ncat").replace("\n0", "\ndog"),
            "row 3 has no",
        ),
        ("label,id,1,2,3\n0,0,9,0,0\n", "has the columns id beside pixels: remove them"),
        ("p1,p2,label,p3,label.1\n0,9,0,0,0\n", r"the columns label\.1 beside pixels"),
        ("id,label,a,b,c\n0,0,9,0,0\n", "3 pixels in a row, not 1 x 1"),
        ("0,0,99,0,0\n" * 2, "leaves the held-out part empty"),
    ],
)
def test_rows_of_another_kind(tmp_path, text, reason):
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))}.* ?{reason}"):
        load_images(file)


IMAGES = np.array([[0, 9, 0, 200], [7, 0, 0, 255]] * 3)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("0,1,2,3,4", "{label},{pixels}"),
        (",0,1,2,3,4", "{index},{label},{pixels}"),
        (",label,0,1,2,3", "{index},{label},{pixels}"),
        ("Unnamed: 0,label,1x1,1x2,2x1,2x2", "{index},{label},{pixels}"),
        (",0,1,2,3,class", "{index},{pixels},{label}"),
        ("label;1;2;3;4", "{label};{pixels}"),
        ("id,label,p1,p2,p3,p4", "{index},{label},{pixels}"),
        ("0.0,1.0,2.0,3.0,4.0", "{label},{pixels}"),
        ("", '{label}, "{pixels}"'),
        ("", "{label}\t{pixels}"),
    ],
)
@pytest.mark.parametrize("words", [False, True])
def test_tables_of_pandas_and_spreadsheets(tmp_path, header, row, words):
    names = ["cat", "dog"] if words else ["0", "1"]
    separator = next((mark for mark in ";\t" if mark in row), ",")
    rows = [header] if header else []
    for index, image in enumerate(IMAGES):
        pixels = separator.join(map(str, image))
        pixels = pixels.replace(",", '", "') if '"' in row else pixels
        rows.append(row.format(index=index, label=names[index % 2], pixels=pixels))
    (tmp_path / "a.csv").write_text("\n".join(rows))
    for data in load_images(tmp_path / "a.csv"):
        assert data.classes == tuple(names)
        assert {*map(type, data.classes)} == {str}  # not those of NumPy
        for image, label in data:
            assert torch.equal(image.flatten(), torch.from_numpy(IMAGES)[int(label)])


@pytest.mark.parametrize(("last", "classes"), [(True, 1), (False, 20)])
def test_labels_in_another_column(tmp_path, last, classes):
    """A label behind the pixels, and an index before it, without a header."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 4))
    pixels[:, 0] = 200
    write_csv(tmp_path / "a.csv", pixels, np.arange(20), place=4 if last else 0)
    with pytest.warns(
        UserWarning, match=f"20 images, number of classes: {classes}. Are the labels"
    ):
        load_images(tmp_path / "a.csv")


def test_classes_by_name_in_two_files(tmp_path):
    (tmp_path / "train.csv").write_text("cat,0,99,0,0\nfox,0,0,99,0\n")
    (tmp_path / "test.csv").write_text("dog,0,0,0,99\nfox,0,0,99,0\n")
    train, test = load_images(tmp_path / "train.csv")
    assert train.classes == test.classes == ("cat", "dog", "fox")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 2], [1, 2])
    (tmp_path / "test.csv").write_text("1,0,0,0,99\n")
    with pytest.raises(ValueError, match=r"test.csv has numbers as labels, and another file of"):
        load_images(tmp_path / "train.csv")


@pytest.mark.parametrize("letter", ["e", "y", "E", "infinity", "a"])
def test_letters_without_a_header(tmp_path, letter):
    """Also one that numbers have, and one that names the column of labels."""
    (tmp_path / "a.csv").write_text(f"{letter},0,99,0,0\nhorses,0,0,99,0\n" * 3)
    train, test = load_images(tmp_path / "a.csv")
    assert train.classes == tuple(sorted([letter, "horses"]))
    assert len(train) + len(test) == 6


@pytest.mark.parametrize("columns", ["1,2,3", "0,1,2", "0,1"])
def test_numbered_columns_of_small_images(tmp_path, columns):
    pixels = ",".join(["99"] * len(columns.split(",")))
    (tmp_path / "a.csv").write_text(f"label,{columns}\n" + f"0,{pixels}\n1,{pixels}\n" * 3)
    train, _ = load_images(tmp_path / "a.csv", size=(1, len(columns.split(","))))
    assert train.classes == ("0", "1")


def test_one_scale_for_all_files_of_a_set(tmp_path):
    (tmp_path / "train.csv").write_text("0,0,255,0,0\n1,0,0,99,0\n")
    (tmp_path / "test.csv").write_text("0,0,1,0,0\n1,0,0,0,1\n")
    for data in load_images(tmp_path / "train.csv"):
        assert data.images.dtype == torch.uint8
    (tmp_path / "test.csv").write_text("0,0,0.5,0,0\n")
    with pytest.raises(ValueError, match=r"test.csv: row 1 .* 0 to 0.5; .* or all of the set in"):
        load_images(tmp_path / "train.csv")


def test_bytes_that_are_no_text(tmp_path):
    for content in (bytes(range(256)), b"0,0,99,0,0\n0,0,\xff,0,0\n"):
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.csv"):
            load_images(tmp_path / "a.csv")
