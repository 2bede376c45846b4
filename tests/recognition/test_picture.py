"""Any picture of a digit as an image like MNIST's. Shapes: ``H`` and ``W`` pixels of a picture."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from spikemnist.data import load_digits, prepare_image
from spikemnist.recognition.picture import BOX, SIZE, prepare

SEVEN = [(0.2, 0.1), (0.8, 0.1), (0.4, 0.9)]


def drawn(
    size: tuple[int, int] = (300, 200),
    box: tuple[float, float, float] = (20, 20, 160),
    pen: float = 0.09,
) -> Any:
    """Return a seven, ``[H, W]`` uint8, 255 on 0."""
    left, top, side = box
    picture = Image.new("L", size, 0)
    points = [(left + x * side, top + y * side) for x, y in SEVEN]
    ImageDraw.Draw(picture).line(points, fill=255, width=max(1, round(pen * side)), joint="curve")
    return np.asarray(picture)


def distance(image: torch.Tensor, other: torch.Tensor) -> float:
    """Return the mean distance of pixels, of 255."""
    return float((image.float() - other.float()).abs().mean())


def test_digits_of_mnist() -> None:
    digits = load_digits()[1].images[:100]
    prepared = torch.stack([prepare_image(digit) for digit in digits])
    assert prepared.shape == digits.shape
    assert prepared.dtype == torch.uint8
    distances = (prepared.float() - digits.float()).abs().mean((1, 2))
    # A seventh of the pixels are ink; a shift of one pixel changes some 15 on average.
    assert distances.mean() < 5
    assert distances.median() < 3


@cache
def reference() -> torch.Tensor:
    return prepare_image(drawn())


@settings(max_examples=20)
@given(
    width=st.integers(60, 140),
    height=st.integers(60, 140),
    side=st.floats(0.3, 0.9),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@example(86, 86, 0.3125, (0.0, 0.0))  # so much ink at the top that the foot touches the edge
@example(700, 500, 0.5, (0.3, 0.9))
def test_size_and_position(
    width: int, height: int, side: float, place: tuple[float, float]
) -> None:
    length = side * min(width, height)
    box = (place[0] * (width - length), place[1] * (height - length), length)
    image = prepare_image(drawn((width, height), box))
    assert distance(image, reference()) < 22  # one pixel of shift, and of width
    for ink in (image.double().sum(1), image.double().sum(0)):
        centre = float((ink * torch.arange(SIZE)).sum() / ink.sum())
        assert abs(centre - 14) <= 0.55 or (centre < 14 and ink[-1] > 0)
    rows, columns = (image.amax(axis) > 40 for axis in (1, 0))
    assert max(int(rows.sum()), int(columns.sum())) in (BOX - 1, BOX)


def test_parts_of_the_ink() -> None:
    """Two digits beside each other are two parts; hardly any digit is, and no dotted line."""
    digits = load_digits()[1].images[:200]
    parts = [prepare(digit, invert=False).parts for digit in digits]
    assert sum(number > 1 for number in parts) <= 1  # 10 of all 6,000 digits
    pairs = [np.hstack([*pair]) for pair in digits[:50].numpy().reshape(25, 2, SIZE, SIZE)]
    assert sum(prepare(pair, invert=False).parts == 2 for pair in pairs) >= 23
    dotted = np.zeros((280, 280), np.uint8)
    for x, y in zip(range(60, 220, 26), range(30, 240, 35), strict=False):
        dotted[y : y + 12, x : x + 12] = 255
    assert prepare(dotted).parts == 1


def test_dark_on_light() -> None:
    digits = load_digits()[1].images[:30]
    for digit in digits:
        light, dark = prepare(digit), prepare(255 - digit)
        assert torch.equal(light.image, dark.image)
        assert (light.strokes, dark.strokes) == ("light on dark", "dark on light")


def test_invert_of_a_digit_at_the_edge() -> None:
    large = drawn((100, 100), (-5, -5, 110), 0.12)
    right = prepare_image(large, invert=False)
    assert distance(right, prepare_image(255 - large, invert=True)) == 0
    assert distance(right, prepare_image(large, invert=True)) > 30


def forms() -> dict[str, Any]:
    seven = drawn()
    light, dark = Image.fromarray(seven), Image.fromarray(255 - seven)
    black, white = np.zeros_like(seven), np.full_like(seven, 255)
    return {
        "array": seven,
        "tensor": torch.from_numpy(seven.copy()),
        "bfloat16 with a gradient": torch.from_numpy(seven / 255).bfloat16().requires_grad_(),
        "numbers from 0 to 1": seven / np.float32(255),
        "bits": seven > 127,
        "three channels": np.stack([seven] * 3, -1),
        "L": light,
        "RGB": dark.convert("RGB"),
        "palette": dark.convert("P"),
        "CMYK": dark.convert("CMYK"),
        "grey and alpha": light.convert("LA"),
        "16 bits": Image.fromarray(seven.astype(np.uint16) * 200),
        "floating": Image.fromarray(seven.astype(np.float32) * 7 - 3),
        "black on transparent": Image.fromarray(np.stack([black, black, black, seven], -1)),
        "white on transparent": Image.fromarray(np.stack([white, white, white, seven], -1)),
        "blue on yellow": coloured(seven, (30, 60, 200), (255, 220, 60)),
        "pale pencil": coloured(seven, (150, 150, 150), (190, 190, 190)),
        "rotated in the file": rotated_by_exif(dark),
    }


def coloured(seven: Any, ink: tuple[int, ...], paper: tuple[int, ...]) -> Image.Image:
    share = seven[..., None] / 255
    return Image.fromarray((share * np.array(ink) + (1 - share) * np.array(paper)).astype(np.uint8))


def rotated_by_exif(picture: Image.Image) -> Image.Image:
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # Orientation: turn by 90 degrees clockwise
    return turned


@pytest.mark.parametrize("name", forms())
def test_formats_and_colours(name: str) -> None:
    assert distance(prepare_image(forms()[name]), reference()) < 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_files(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"seven.{suffix}"
    Image.fromarray(255 - drawn()).save(file)
    prepared = prepare(file)
    assert prepared.strokes == "dark on light"
    assert prepared.pixels == (300, 200)
    assert distance(prepared.image, reference()) < 5
    assert torch.equal(prepare_image(str(file)), prepared.image)


@pytest.mark.parametrize("direction", [(0.5, 0.1), (-0.3, 0.4), (0.0, -0.5)])
def test_uneven_light(direction: tuple[float, float]) -> None:
    """As in a photograph, and with noise."""
    seven = drawn((400, 400), (80, 80, 240))
    y, x = np.mgrid[-0.5:0.5:400j, -0.5:0.5:400j]
    light = 0.6 + direction[0] * x + direction[1] * y - 0.15 * (x**2 + y**2)
    noise = np.random.default_rng(0).normal(0, 0.02, seven.shape)
    picture = (light * (1 - 0.75 * seven / 255.0) + noise).clip(0, 1)
    assert distance(prepare_image(picture), prepare_image(seven)) < 10


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no picture at .*absent\.png"):
        prepare_image(tmp_path / "absent.png")
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text.png is not a picture that Pillow can read"):
        prepare_image(text)
    Image.fromarray(drawn((900, 900), (20, 20, 800))).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    for length in (800, 40):
        (tmp_path / "cut.png").write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"cut.png is not a picture that Pillow can read"):
            prepare_image(tmp_path / "cut.png")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_pipe_in_place_of_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe.png is a pipe; expected a picture"):
        prepare_image(tmp_path / "pipe.png")
