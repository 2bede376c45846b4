"""A pretrained network recognises ten digits as people draw them, each in another style."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from spikemnist import decide, load

Point = tuple[float, float]


def arc(x: float, y: float, rx: float, ry: float, begin: float, end: float) -> list[Point]:
    """Return points of an arc, clockwise on the screen from ``begin`` to ``end`` degrees."""
    angles = [math.radians(begin + (end - begin) * part / 40) for part in range(41)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


STROKES: dict[int, list[list[Point]]] = {
    0: [arc(0.5, 0.5, 0.27, 0.42, -90, 270)],
    1: [[(0.38, 0.25), (0.53, 0.1), (0.5, 0.9)]],
    2: [[*arc(0.5, 0.32, 0.25, 0.22, 180, 400), (0.24, 0.88), (0.8, 0.86)]],
    3: [[*arc(0.48, 0.3, 0.24, 0.2, 200, 440), *arc(0.48, 0.7, 0.28, 0.21, -80, 150)]],
    4: [[(0.34, 0.12), (0.24, 0.55), (0.8, 0.52)], [(0.64, 0.12), (0.6, 0.92)]],
    5: [[(0.76, 0.12), (0.36, 0.12), (0.32, 0.45), *arc(0.47, 0.65, 0.27, 0.24, -110, 140)]],
    6: [[(0.62, 0.1), (0.4, 0.35), (0.3, 0.65), *arc(0.5, 0.68, 0.21, 0.2, 180, 530)]],
    7: [[(0.22, 0.15), (0.78, 0.13), (0.45, 0.9)]],
    8: [arc(0.5, 0.3, 0.2, 0.19, -90, 270), arc(0.5, 0.7, 0.24, 0.21, -90, 270)],
    9: [[*arc(0.48, 0.32, 0.22, 0.2, 0, 360), (0.68, 0.5), (0.6, 0.92)]],
}
"""Strokes of each digit, in a square from 0 to 1, y downwards."""


def ink(digit: int, size: int = 280, width: float = 0.08) -> Image.Image:
    """Return strokes that are white on black, with round ends."""
    picture = Image.new("L", (size, size))
    pen, radius = ImageDraw.Draw(picture), size * width / 2
    for stroke in STROKES[digit]:
        points = [(x * size, y * size) for x, y in stroke]
        pen.line(points, fill=255, width=round(2 * radius))
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return picture


def inked(strokes: Image.Image, colour: str, paper: str) -> Image.Image:
    picture = Image.new("RGB", strokes.size, paper)
    picture.paste(colour, mask=strokes)
    return picture


def placed(strokes: Image.Image, size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
    canvas = Image.new("L", size)
    canvas.paste(strokes, corner)
    return canvas


def photographed(strokes: Image.Image) -> Image.Image:
    """Return dark ink on grey paper, lit from a corner, blurred and noisy."""
    rows, columns = np.mgrid[: strokes.height, : strokes.width] / strokes.height
    light = 120 + 100 * (1 - 0.5 * (rows + columns))
    grain = np.random.default_rng(0).normal(0, 4, light.shape)
    shade = np.asarray(strokes.filter(ImageFilter.GaussianBlur(2))) / 255
    return Image.fromarray(np.clip(light * (1 - 0.75 * shade) + grain, 0, 255).astype(np.uint8))


def transparent(strokes: Image.Image) -> Image.Image:
    picture = Image.new("RGBA", strokes.size, (0, 0, 0, 0))
    picture.paste("black", mask=strokes)
    return picture


STYLES = {
    "thick": (0, lambda s: ink(s, width=0.15)),
    "thin": (1, lambda s: ink(s, width=0.02)),
    "small": (2, lambda s: placed(ink(s, 60), (640, 480), (300, 200))),
    "off centre": (3, lambda s: placed(ink(s), (500, 500), (10, 210))),
    "dark on white": (4, lambda s: inked(ink(s), "black", "white")),
    "coloured": (5, lambda s: inked(ink(s), "crimson", "lightyellow")),
    "photographed": (6, lambda s: photographed(ink(s))),
    "rotated": (7, lambda s: ink(s).rotate(15)),
    "transparent": (8, lambda s: transparent(ink(s))),
    "chalk": (9, lambda s: inked(ink(s), "white", "darkgreen")),
}


@pytest.mark.parametrize("style", STYLES)
def test_digits_in_all_styles_are_recognised(style: str) -> None:
    digit, draw = STYLES[style]
    decision = decide(load("mnist-conv"), draw(digit))
    dark = style in ("dark on white", "coloured", "photographed", "transparent")
    assert decision.prediction == digit
    assert decision.strokes == ("dark on light" if dark else "light on dark")
