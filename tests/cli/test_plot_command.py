"""``spikemnist plot``, and the pictures that several commands draw."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from spikemnist.cli import classifiers, pictures, sources
from spikemnist.data import load_digits
from tests.cli.command import answers, copy_digits, spikemnist


def test_another_image_of_other_data(run: Path, tmp_path: Path) -> None:
    copy_digits(tmp_path)
    words = ("--data", "fashion_mnist", "--root", tmp_path, "--device", "cpu", "--index", 7)
    (result,) = answers("plot", run, *words, "--out", "pictures", cwd=tmp_path)
    written = {Path(path).name for path in result["written"]}
    samples = {f"{name}-7.png" for name in ("encoding", "decision", "raster", "membrane")}
    samples |= {"spike_counts-7.png", "animation-7.gif"}
    assert written == samples | {"receptive_fields.png", "energy.png"}
    with Image.open(tmp_path / "pictures" / "animation-7.gif") as animation:
        assert animation.n_frames == 8  # type: ignore[attr-defined]
    for name in written:
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert min(picture.size) > 200


@pytest.mark.parametrize(
    ("given", "shape"),
    [((28, 28), (28, 28)), ((784,), (28, 28)), ((8, 28, 28), (224, 28)), ((100,), (1, 100))],
)
def test_shape_of_the_input(given: tuple[int, ...], shape: tuple[int, int]) -> None:
    assert pictures.input_shape(torch.zeros(5, 1, *given), torch.zeros(28, 28)) == shape


def test_the_rows_of_a_decision(run: Path) -> None:
    """Ten rows of equal height, class 0 on top, above the score of each class."""
    classifier = classifiers.find(run).classifier
    sample = sources.sample(load_digits()[1], 0)
    record = pictures.watch(classifier, sample.samples, seed=0)
    figure = pictures.decision(record, sample.label)
    figure.draw_without_rendering()
    membranes, scores = figure.axes
    assert [text.get_text() for text in membranes.get_yticklabels()] == list("0123456789")
    heights = [membranes.transData.transform((0, y))[1] for y in membranes.get_yticks()]
    rows = [above - below for above, below in pairwise(heights)]
    assert rows == pytest.approx([rows[0]] * 9)
    assert rows[0] / figure.dpi * 420 / figure.get_figwidth() > 20  # pixels, 420 pixels wide
    assert scores.get_title(loc="left") == (
        f"predicted class {int(record.predictions)}, true class {sample.label}"
    )


def test_a_pretrained_network_is_drawn_into_a_folder_of_its_name(tmp_path: Path) -> None:
    """The folder is no run, so the name still stands for the network."""
    (tmp_path / "mnist-mlp").mkdir()
    lines = spikemnist("plot", "mnist-mlp", cwd=tmp_path).stdout.splitlines()
    assert {line[:18].strip() for line in lines} == {"written"}
    assert {Path(line[18:]).parent.name for line in lines} == {"mnist-mlp"}


def test_pictures_in_another_format(run: Path, tmp_path: Path) -> None:
    (result,) = answers("plot", run, "--format", "svg", "--out", "pictures", cwd=tmp_path)
    suffixes = [Path(path).suffix for path in result["written"]]
    assert sorted(suffixes) == [".gif", *[".svg"] * 7]
    for path in result["written"]:
        assert (tmp_path / path).read_bytes()[:5] in (b"<?xml", b"GIF89")
