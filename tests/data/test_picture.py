"""Pictures of one's own as images of MNIST. Shapes: ``H`` and ``W`` pixels of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from spikemnist.data import load_digits, prepare_image
from spikemnist.data.picture import BOX, SIZE, prepare

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_digit_of_mnist_stays_what_it_is() -> None:
    digits = load_digits()[1].images[:200]
    prepared = torch.stack([prepare_image(digit) for digit in digits])
    assert prepared.shape == digits.shape
    assert prepared.dtype == torch.uint8
    distances = (prepared.float() - digits.float()).abs().mean((1, 2))
    # A seventh of the pixels are ink; a shift of one pixel changes some 15 on average.
    assert distances.mean() < 5
    assert distances.median() < 3


@given(
    width=st.integers(60, 900),
    height=st.integers(60, 900),
    side=st.floats(0.3, 0.9),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_size_and_place_do_not_matter(
    width: int, height: int, side: float, place: tuple[float, float]
) -> None:
    length = side * min(width, height)
    box = (place[0] * (width - length), place[1] * (height - length), length)
    found = prepare_image(drawn((width, height), box))
    assert distance(found, prepare_image(drawn())) < 22  # one pixel of shift, and of width
    rows, columns = (found.amax(axis) > 40 for axis in (1, 0))
    assert max(int(rows.sum()), int(columns.sum())) in (BOX - 1, BOX)
    mass = found.double() / found.sum()
    middle = torch.arange(SIZE).double()
    assert abs(float((mass.sum(1) * middle).sum()) - 14) <= 0.55
    assert abs(float((mass.sum(0) * middle).sum()) - 14) <= 0.55


def test_dark_on_light_is_light_on_dark() -> None:
    digits = load_digits()[1].images[:30]
    for digit in digits:
        light, dark = prepare(digit), prepare(255 - digit)
        assert torch.equal(light.image, dark.image)
        assert (light.inverted, dark.inverted) == (False, True)


def test_a_large_digit_that_reaches_the_edge_needs_a_word() -> None:
    seven = drawn((100, 100), (-5, -5, 110), 0.12)
    right = prepare_image(seven, invert=False)
    assert distance(right, prepare_image(255 - seven, invert=True)) == 0
    assert distance(right, prepare_image(seven, invert=True)) > 30


def forms() -> dict[str, Any]:
    seven = drawn()
    light = Image.fromarray(seven)
    dark = Image.fromarray(255 - seven)
    nothing = np.zeros_like(seven)
    see_through = Image.fromarray(np.stack([nothing, nothing, nothing, seven], -1))
    white = nothing + np.uint8(255)
    ghost = Image.fromarray(np.stack([white, white, white, seven], -1))
    return {
        "an array": seven,
        "a tensor": torch.from_numpy(seven.copy()),
        "numbers from 0 to 1": seven / np.float32(255),
        "bits": seven > 127,
        "three channels": np.stack([seven] * 3, -1),
        "L": light,
        "RGB": dark.convert("RGB"),
        "a palette": dark.convert("P"),
        "CMYK": dark.convert("CMYK"),
        "grey and alpha": light.convert("LA"),
        "16 bits": Image.fromarray(seven.astype(np.uint16) * 200),
        "floating": Image.fromarray(seven.astype(np.float32) * 7 - 3),
        "black on nothing": see_through,
        "white on nothing": ghost,
        "blue on yellow": coloured(seven, (30, 60, 200), (255, 220, 60)),
        "pale pencil": coloured(seven, (150, 150, 150), (190, 190, 190)),
        "turned in the file": rotated_by_exif(dark),
    }


def coloured(seven: Any, ink: tuple[int, ...], paper: tuple[int, ...]) -> Image.Image:
    share = seven[..., None] / 255
    return Image.fromarray((share * np.array(ink) + (1 - share) * np.array(paper)).astype(np.uint8))


def rotated_by_exif(picture: Image.Image) -> Image.Image:
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # Orientation: turn by 90 degrees clockwise
    return turned


@pytest.mark.parametrize("name", forms())
def test_the_form_does_not_matter(name: str) -> None:
    assert distance(prepare_image(forms()[name]), prepare_image(drawn())) < 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_files(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"seven.{suffix}"
    Image.fromarray(255 - drawn()).save(file)
    found = prepare(file)
    assert found.inverted
    assert found.size == (200, 300)
    assert distance(found.image, prepare_image(drawn())) < 5
    assert torch.equal(prepare_image(str(file)), found.image)


@pytest.mark.parametrize("direction", [(0.5, 0.1), (-0.3, 0.4), (0.0, -0.5)])
def test_light_that_falls_from_one_side(direction: tuple[float, float]) -> None:
    """As in a photograph, and with noise."""
    seven = drawn((400, 400), (80, 80, 240))
    y, x = np.mgrid[-0.5:0.5:400j, -0.5:0.5:400j]
    light = 0.6 + direction[0] * x + direction[1] * y - 0.15 * (x**2 + y**2)
    noise = np.random.default_rng(0).normal(0, 0.02, seven.shape)
    picture = (light * (1 - 0.75 * seven / 255.0) + noise).clip(0, 1)
    assert distance(prepare_image(picture), prepare_image(seven)) < 10


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((50, 50), 200, np.uint8), "the picture is blank: all its pixels"),
        (np.zeros((0, 5), np.uint8), r"picture must have at least one pixel; got shape \(0, 5\)"),
        (np.zeros(784, np.uint8), r"picture must be \[H, W\], .* got shape \(784,\)"),
        (np.zeros((28, 28, 2), np.uint8), r"got shape \(28, 28, 2\)"),
        (np.full((5, 5), 2.0), r"a floating picture must lie in \[0, 1\]; got values in \[2, 2\]"),
        (np.full((5, 5), np.nan), r"a floating picture must lie in \[0, 1\]"),
        (np.zeros((5, 5), np.int64), "picture must be uint8 or floating .* got int64"),
        (Image.new("1", (50_000, 3)), "has 50000 x 3 pixels; at most 20,000 on a side"),
        (Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "the picture is blank"),
    ],
)
def test_what_is_no_digit_is_refused(picture: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_image(picture)


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no picture at .*absent\.png"):
        prepare_image(tmp_path / "absent.png")
    with pytest.raises(TypeError, match=r"picture must be a file, .*; got a int"):
        prepare_image(7)  # type: ignore[arg-type]
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text.png is not a picture that Pillow can read"):
        prepare_image(text)
    whole = tmp_path / "whole.png"
    Image.fromarray(drawn((900, 900), (20, 20, 800))).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:800])
    with pytest.raises(ValueError, match="the picture is damaged"):
        prepare_image(cut)
