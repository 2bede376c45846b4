r"""Turn any picture of a digit into an image like MNIST's: 28 x 28 pixels, light strokes on black.

MNIST's digits were scaled into a box of 20 x 20 pixels, keeping their proportions, and put into 28
x 28 pixels with their centre of mass in the middle (LeCun, Bottou, Bengio, Haffner, *Gradient-based
learning applied to document recognition*, Proceedings of the IEEE, 1998). Before that, this module
removes colours, transparency and uneven light on the paper, which MNIST does not have.

Shapes: ``H`` height and ``W`` width of a picture.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from spikemnist._arguments import must_be
from spikemnist._tensors import check_images

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Grey = NDArray[np.float64]

SIZE, BOX = 28, 20
"""Side of an image and of the box around a digit, in pixels."""

ANALYSIS_SIZE = 200
"""Pixels of the longer side to which a larger picture is reduced before the analysis."""

EDGE = 0.9
"""Relative distance from the middle beyond which a picture should show only paper."""

FAINTEST = 0.15
"""Fraction of the full contrast below which a pixel counts as paper."""

INK, NEAR, PART = 50, 2, 0.2
"""Least grey value of ink in an image, distance in pixels within which it belongs together, and
least share of all ink that counts as a part."""


class PreparedPicture(NamedTuple):
    """An image like MNIST's, and three properties of its picture, as a `Decision` has them.

    ``strokes`` are dark on light or light on dark, None for a picture that was not prepared;
    ``pixels`` is the width and height; ``parts`` is the number of parts of the ink that lie apart.
    """

    image: Tensor
    strokes: str | None
    pixels: tuple[int, int]
    parts: int


def prepare_image(
    picture: str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor,
    *,
    invert: bool | None = None,
) -> Tensor:
    """Turn a picture of a digit into an image like MNIST's.

    Transparent parts become paper that contrasts with the strokes. Colours become grey, and the
    light on the paper is evened out. The strokes become light on black; they are cropped, scaled
    into a box of 20 x 20 pixels and centred by their mass.

    Parameters
    ----------
    picture : path, PIL.Image.Image, numpy.ndarray or torch.Tensor
        File in any format that Pillow reads, of which the first frame counts, or an array
        ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]``, uint8 or floating in [0, 1].
    invert : bool, default None
        Whether strokes are darker than the paper; ``None`` decides by the edge of the picture,
        which should be paper.

    Returns
    -------
    torch.Tensor
        uint8 ``[28, 28]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If the picture is an object of another kind.
    ValueError
        If the file is not a picture, an array has another shape or other values, or there is
        nothing to see: all pixels are alike.

    Examples
    --------
    >>> paper = np.full((120, 90), 230, np.uint8)
    >>> paper[30:100, 40:50] = 20  # a one, in dark ink
    >>> image = prepare_image(paper)
    >>> image.shape, image.dtype, int(image[14, 14]), int(image[0, 0])
    (torch.Size([28, 28]), torch.uint8, 255, 0)
    """
    return prepare(picture, invert=invert).image


def prepare(picture: Any, *, invert: bool | None = None) -> PreparedPicture:
    """Prepare an image as `prepare_image` does; also return properties of the picture.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As in `prepare_image`.
    """
    if invert not in (None, True, False):
        raise must_be("invert", "True, False or None", invert)
    opened = open_picture(picture)
    grey = _grey(opened)
    inverted = _is_dark_on_light(grey) if invert is None else invert
    image = torch.from_numpy(_centre(_strokes(1 - grey if inverted else grey)))
    strokes = "dark on light" if inverted else "light on dark"
    return PreparedPicture(image, strokes, opened.size, _parts(image))


def open_picture(picture: Any) -> Image.Image:
    """Return a picture, rotated as its EXIF data says.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As in `prepare_image`.
    """
    from PIL import Image, ImageOps

    if isinstance(picture, torch.Tensor):
        values = picture.detach().cpu()
        picture = (values.float() if values.is_floating_point() else values).numpy()
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        return ImageOps.exif_transpose(picture)
    if isinstance(picture, (str, os.PathLike)) and Path(picture).is_fifo():
        raise ValueError(f"{picture} is a pipe; expected a picture")  # it might be waited for
    try:
        with Image.open(picture) as image:
            return ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no picture at {picture}") from error
    except AttributeError as error:
        raise must_be("picture", "a path, an image or an array", picture, TypeError) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{picture} is not a picture that Pillow can read: {error}") from error


def _from_array(array: NDArray[Any]) -> Image.Image:
    from PIL import Image

    if not array.size or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise must_be("picture", "[H, W], [H, W, 3] or [H, W, 4], of at least one pixel", array)
    array = np.ascontiguousarray(array * np.uint8(255) if array.dtype == np.bool_ else array)
    check_images(torch.tensor(array))
    if array.dtype != np.uint8:
        array = np.rint(array * 255).astype(np.uint8)
    return Image.fromarray(array)


def _grey(picture: Image.Image) -> Grey:
    """Return the grey values in [0, 1] of a picture, reduced if it is large."""
    from PIL import Image

    if not all(picture.size):
        raise must_be("picture", "of at least one pixel", picture.size)
    if picture.mode.startswith(("I", "F")):  # 16 bits and more, of any range
        values = np.asarray(picture, np.float64)
        span = float(np.ptp(values))
        if not np.isfinite(span):
            raise ValueError("the picture has NaN or infinite pixels")
        picture = _from_array((values - values.min()) / (span or 1.0))
    picture = picture.convert("RGBA")
    scale = ANALYSIS_SIZE / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        # Each pixel becomes the mean of an area.
        picture = picture.resize((width, height), Image.Resampling.BOX)
    grey, alpha = picture.convert("L"), picture.getchannel("A")
    light, opaque = (np.asarray(channel, np.float64) / 255 for channel in (grey, alpha))
    visible = float((light * opaque).sum()) / max(float(opaque.sum()), 1e-9)
    paper = 0.0 if visible > 0.5 else 1.0
    return light * opaque + paper * (1 - opaque)


def _is_dark_on_light(grey: Grey) -> bool:
    """Return whether the edge of a picture, which is paper, is lighter than its middle grey."""
    edge = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    return bool(np.median(edge) > (grey.min() + grey.max()) / 2)


def _strokes(grey: Grey) -> Grey:
    """Return light strokes on black: 0 is paper, 1 the full contrast.

    Raises
    ------
    ValueError
        If all pixels are alike.
    """
    height, width = grey.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    edge = (np.maximum(abs(x), abs(y)) > EDGE).ravel()
    values = grey.ravel()
    # The light on the paper: a plane fitted to the edge, then a quadratic surface to all paper.
    light = _light(values, terms[:, :3], edge, among=edge)
    light = _light(values, terms, _is_paper(values - light, edge), among=np.ones_like(edge))
    above = (values - light).clip(0, None)
    contrast = float(np.quantile(above[above >= 0.5 * above.max()], 0.5)) if above.any() else 0.0
    if contrast < 0.05:
        raise ValueError("the picture is blank: all its pixels are equal")
    strokes = ((above / contrast - FAINTEST) / (1 - FAINTEST)).clip(0, 1)
    return strokes.reshape(height, width)


def _light(values: Grey, terms: Grey, paper: NDArray[np.bool_], among: NDArray[np.bool_]) -> Grey:
    """Fit a sum of terms to the paper pixels, which are found anew in ``among`` after each fit."""
    light = np.full_like(values, np.median(values[paper]))
    for _ in range(6):
        if paper.sum() <= 2 * terms.shape[1]:
            break
        light = terms @ np.linalg.lstsq(terms[paper], values[paper], rcond=None)[0]
        paper = _is_paper(values - light, paper) & among
    return light


def _is_paper(above: Grey, paper: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of pixels that are no lighter than paper, within the spread of paper pixels."""
    median = np.median(above[paper])
    spread = 1.4826 * np.median(np.abs(above[paper] - median))
    return np.asarray(above < median + 3 * spread + 0.02)


def _centre(strokes: Grey) -> NDArray[np.uint8]:
    """Crop, scale into the box, and put the centre of mass into the middle of the image."""
    from PIL import Image

    rows, columns = (np.flatnonzero(strokes.max(axis) > FAINTEST) for axis in (1, 0))
    crop = strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(crop.shape)
    height, width = (max(1, round(side * scale)) for side in crop.shape)
    drawing = Image.fromarray(crop.astype(np.float32))
    digit = np.asarray(drawing.resize((width, height), Image.Resampling.LANCZOS), np.float64)
    digit = digit.clip(0, None) / digit.max()
    image = np.zeros((SIZE, SIZE))
    place = []
    for axis, side in ((1, height), (0, width)):
        mass = digit.sum(axis)
        # The middle of pixel 14, as in MNIST, whose centres of mass lie there within half a pixel.
        centre = float((mass * (np.arange(side) + 0.5)).sum() / mass.sum())
        place.append(min(max(round(SIZE / 2 + 0.5 - centre), 0), SIZE - side))
    image[place[0] : place[0] + height, place[1] : place[1] + width] = digit
    return np.rint(image * 255).astype(np.uint8)


def _parts(image: Tensor) -> int:
    """Return the number of parts of the ink that lie apart; specks and dots are none.

    Two digits beside each other are two parts, and so are 10 of the package's 6,000 digits, such as
    a five whose bar is far from its belly.
    """
    ink = image >= INK
    labels = torch.arange(1.0, 1 + image.numel()).reshape(image.shape) * ink
    former = torch.zeros_like(labels)
    while not torch.equal(labels, former):  # the largest label of a part spreads over it
        former = labels
        labels = max_pool2d(labels[None], 2 * NEAR + 1, 1, NEAR)[0] * ink
    share = labels.long().flatten().bincount(image.flatten().double())[1:] / image[ink].sum()
    return max(1, int((share >= PART).sum()))
