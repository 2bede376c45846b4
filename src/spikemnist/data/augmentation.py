r"""Random changes of training images that keep their labels.

An augmentation, like an encoder, has no state. It draws its random numbers in one call on the
device of the generator and moves them to the images. So one generator gives the same images on
every device, within rounding.

Shapes: ``B`` batch, ``H`` height and ``W`` width of an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from spikemnist._arguments import check_number, must_be, named, set_numbers, takes
from spikemnist._tensors import check_images, check_tensor


@runtime_checkable
class Augmentation(Protocol):
    """A random change of images.

    An augmentation has no state: a call does not change it, and the same images and the same
    generator state give the same result. Any callable with this signature is an augmentation; no
    base class is needed. Checkpoints describe a frozen dataclass in full.

    Examples
    --------
    >>> isinstance(RandomAffine(), Augmentation)
    True
    """

    def __call__(self, images: Tensor, /, *, generator: torch.Generator | None = None) -> Tensor:
        """Change images at random.

        Parameters
        ----------
        images : torch.Tensor
            Images ``[B, ..., H, W]``, uint8 or floating in [0, 1].
        generator : torch.Generator, default None
            Source of all randomness; torch's global CPU generator when ``None``.

        Returns
        -------
        torch.Tensor
            Images of the same shape, dtype and device.
        """
        ...


@named()
@dataclass(frozen=True, kw_only=True)
class RandomAffine:
    r"""Rotate, shear, scale and shift each image at random.

    The pixel at :math:`p`, measured from the centre of the image, moves to

    .. math::

        p' = s \begin{pmatrix} \cos\varphi & -\sin\varphi \\ \sin\varphi & \cos\varphi
        \end{pmatrix} \begin{pmatrix} 1 & \tan\psi \\ 0 & 1 \end{pmatrix} p + t

    with numbers drawn uniformly for each image. The image is interpolated bicubically, which keeps
    strokes sharp. Beyond its edges it is black.

    Parameters
    ----------
    degrees : float, default 10.0
        Largest rotation :math:`|\varphi|`, in degrees.
    translate : float, default 0.05
        Largest shift :math:`|t|` along each axis, as a fraction of the image size.
    scale : tuple of float, default (0.9, 1.1)
        Smallest and largest factor :math:`s`.
    shear : float, default 5.0
        Largest angle :math:`|\psi|`, in degrees, below 90.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images of another shape, dtype or range.
    TypeError
        When called with anything but a tensor.

    Examples
    --------
    >>> images = torch.zeros(2, 28, 28, dtype=torch.uint8)
    >>> images[:, 10:18, 13:15] = 255
    >>> moved = RandomAffine(degrees=30)(images, generator=torch.Generator().manual_seed(0))
    >>> moved.shape, moved.dtype, bool((moved[0] != moved[1]).any())
    (torch.Size([2, 28, 28]), torch.uint8, True)
    """

    degrees: float = 10.0
    translate: float = 0.05
    scale: tuple[float, float] = (0.9, 1.1)
    shear: float = 5.0

    def __post_init__(self) -> None:
        set_numbers(self, degrees="[0, 180]", translate="[0, 1]", shear="[0, 89]")
        object.__setattr__(self, "scale", _pair("scale", self.scale, "(0, inf)"))

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Change images at random."""
        return resample(images, self._grid(images, generator))

    def _grid(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw the source position of each pixel, ``[B, H, W, 2]``: see `resample`."""
        batch, _ = _batch_and_size(images)
        numbers = uniform((5, batch), generator) * 2 - 1
        low, high = self.scale
        return affine_grid(
            images,
            angle=(numbers[0] * self.degrees).deg2rad(),
            slant=(numbers[1] * self.shear).deg2rad(),
            scale=(low + high) / 2 + (high - low) / 2 * numbers[2],
            shift=numbers[3:] * self.translate,
        )


@named()
@dataclass(frozen=True, kw_only=True)
class ElasticDeformation:
    r"""Shift each pixel of an image by a smooth random field, as if it were drawn on rubber.

    .. math:: d(p) = \delta \sqrt{3} \sum_k w_k(p)\, u_k, \qquad
              w_k(p) \propto e^{-|p - p_k|^2 / 2 \sigma^2}, \qquad \sum_k w_k(p)^2 = 1

    for each axis. The :math:`u_k` are uniform in [-1, 1]; the knots :math:`p_k` form a lattice with
    a spacing of at most :math:`\sigma`. So :math:`\delta` is the root mean square shift of every
    pixel along each axis.

    Parameters
    ----------
    displacement : float, default 1.0
        Root mean square shift :math:`\delta`, in pixels.
    sigma : float, default 4.0
        Distance :math:`\sigma` over which shifts are alike, in pixels, at least 1.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images of another shape, dtype or range.
    TypeError
        When called with anything but a tensor.

    Notes
    -----
    Simard, Steinkraus, Platt, *Best practices for convolutional neural networks applied to visual
    document analysis*, ICDAR 2003, filter one random number per pixel. Fewer numbers, a distance
    :math:`\sigma` apart, give fields that look the same and are faster to compute.

    Examples
    --------
    >>> images = torch.zeros(2, 28, 28, dtype=torch.uint8)
    >>> images[:, 10:18, 13:15] = 255
    >>> bent = ElasticDeformation()(images, generator=torch.Generator().manual_seed(0))
    >>> bent.shape, bent.dtype
    (torch.Size([2, 28, 28]), torch.uint8)
    """

    displacement: float = 1.0
    sigma: float = 4.0

    def __post_init__(self) -> None:
        # A knot for each pixel, at most.
        set_numbers(self, displacement="[0, inf)", sigma="[1, inf)")

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Change images at random."""
        return resample(images, self._grid(images, generator))

    def _grid(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw the source position of each pixel, ``[B, H, W, 2]``: see `resample`."""
        batch, (height, width) = _batch_and_size(images)
        dtype = torch.get_default_dtype()
        rows, columns = (_knot_weights(size, self.sigma, dtype) for size in (height, width))
        knots = uniform((2, batch, rows.shape[1], columns.shape[1]), generator) * 2 - 1
        # In grid units, in which an image is 2 wide; the field of x comes first.
        factors = torch.tensor([2 / width, 2 / height]) * (self.displacement * math.sqrt(3))
        field = (rows @ (knots * factors.view(2, 1, 1, 1)) @ columns.T).to(images.device)
        return field.movedim(0, -1).add_(_still(height, width, images.device))


@named()
@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Blacken a random rectangle in some images.

    Parameters
    ----------
    probability : float, default 0.5
        Probability that an image loses a rectangle, in [0, 1].
    size : tuple of float, default (0.1, 0.4)
        Smallest and largest side of the rectangle, as a fraction of the image side. Height, width
        and position are drawn independently and uniformly; the rectangle lies inside the image.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images of another shape, dtype or range.
    TypeError
        When called with anything but a tensor.

    Notes
    -----
    Zhong, Zheng, Kang, Li, Yang, *Random erasing data augmentation*, AAAI 2020.

    Examples
    --------
    >>> images = torch.ones(1, 28, 28)
    >>> erase = RandomErasing(probability=1.0, size=(0.5, 0.5))
    >>> float(erase(images).mean())
    0.75
    """

    probability: float = 0.5
    size: tuple[float, float] = (0.1, 0.4)

    def __post_init__(self) -> None:
        set_numbers(self, probability="[0, 1]")
        object.__setattr__(self, "size", _pair("size", self.size, "(0, 1]"))

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Change images at random."""
        batch, shape = _batch_and_size(images)
        numbers = uniform((5, batch), generator)
        selection = numbers[0] < self.probability
        low, high = self.size
        inside = []
        for side, place, pixels in zip(numbers[1:3], numbers[3:], shape, strict=True):
            length = ((low + (high - low) * side) * pixels).round()
            begin = (place * (pixels - length + 1)).floor().unsqueeze(1)
            index = torch.arange(pixels)
            inside.append((index >= begin) & (index < begin + length.unsqueeze(1)))
        region = (inside[0].unsqueeze(2) & inside[1].unsqueeze(1)) & selection.view(-1, 1, 1)
        region = region.view(batch, *[1] * (images.dim() - 3), *shape)
        return images.masked_fill(region.to(images.device), 0)


@named()
@dataclass(frozen=True, kw_only=True)
class RandomFlip:
    """Mirror some images, left to right.

    It suits things that may face either way, such as the shoes of Fashion-MNIST. A mirrored digit
    or letter is another one, or none.

    Parameters
    ----------
    probability : float, default 0.5
        Probability that an image is mirrored, in [0, 1].

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images of another shape, dtype or range.
    TypeError
        When called with anything but a tensor.

    Examples
    --------
    >>> flip = RandomFlip(probability=1.0)
    >>> flip(torch.tensor([[[0, 1, 2], [3, 4, 5]]], dtype=torch.uint8)).tolist()
    [[[2, 1, 0], [5, 4, 3]]]
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        set_numbers(self, probability="[0, 1]")

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Change images at random."""
        batch, _ = _batch_and_size(images)
        selection = (uniform((batch,), generator) < self.probability).to(images.device)
        return torch.where(selection.view(-1, *[1] * (images.dim() - 1)), images.flip(-1), images)


@named()
@dataclass(frozen=True)
class Compose:
    """Apply several augmentations in order.

    Where `RandomAffine` and `ElasticDeformation` follow one another, their shifts are combined and
    the image is interpolated only once, since each interpolation blurs it.

    Parameters
    ----------
    augmentations : sequence of Augmentation
        Augmentations in the order of application, at least one. Those of a `Compose` among them
        take its place.

    Raises
    ------
    ValueError
        If there is none.
    TypeError
        If one is no function of images and generator.

    Examples
    --------
    >>> both = Compose([RandomAffine(), RandomErasing()])
    >>> both(torch.zeros(4, 28, 28)).shape
    torch.Size([4, 28, 28])
    """

    augmentations: Sequence[Augmentation]

    def __post_init__(self) -> None:
        if not self.augmentations:
            raise ValueError("Compose needs an augmentation, for example RandomAffine()")
        for one in self.augmentations:
            _check_augmentation(one)
        parts = (a.augmentations if isinstance(a, Compose) else (a,) for a in self.augmentations)
        object.__setattr__(self, "augmentations", tuple(chain.from_iterable(parts)))

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Change images at random."""
        grid: Tensor | None = None
        for augmentation in self.augmentations:
            if isinstance(augmentation, (RandomAffine, ElasticDeformation)):
                change = augmentation._grid(images, generator)
                grid = change if grid is None else _compose(grid, change)
                continue
            if grid is not None:
                images, grid = resample(images, grid), None
            images = augmentation(images, generator=generator)
        return images if grid is None else resample(images, grid)


def affine_grid(
    images: Tensor, *, angle: Tensor, slant: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """Return the source position of each pixel under rotation, shear, scaling and shift.

    See `RandomAffine` for the transform and `resample` for the positions. ``angle`` and ``slant``
    ``[B]`` are in radians; ``shift`` ``[2, B]``, along x and y, is a fraction of the image size.
    All are on the CPU.
    """
    batch, size = _batch_and_size(images)
    # The inverse transform, from an output pixel to its source. The grid runs from -1 to 1 along
    # each axis, x before y.
    cos, sin, tan = angle.cos() / scale, angle.sin() / scale, slant.tan()
    matrix = torch.stack((cos + tan * sin, sin - tan * cos, -sin, cos)).view(2, 2, batch)
    aspect = torch.tensor([[1, size[0] / size[1]], [size[1] / size[0], 1]])
    matrix = matrix.movedim(2, 0) * aspect
    offset = matrix @ (-2 * shift).T.unsqueeze(2)
    theta = torch.cat((matrix, offset), 2).to(images.device)
    return functional.affine_grid(theta, [batch, 1, *size], align_corners=False)


def resample(images: Tensor, grid: Tensor) -> Tensor:
    """Resample images ``[B, ..., H, W]`` at the positions ``grid``.

    The positions ``[B, H, W, 2]`` run from -1 to 1 along x and y, from edge to edge.
    """
    device = images.device
    if device.type == "mps":  # MPS has no bicubic interpolation
        images, grid = images.cpu(), grid.cpu()
    channels = images.reshape(len(images), -1, *images.shape[-2:]).to(grid.dtype)
    samples = functional.grid_sample(channels, grid, mode="bicubic", align_corners=False)
    samples = samples.view(images.shape)
    if images.dtype == torch.uint8:
        return samples.round_().clamp_(0, 255).to(images.dtype).to(device)
    return samples.clamp_(0, 1).to(images.dtype).to(device)


def _compose(first: Tensor, second: Tensor) -> Tensor:
    """Return the positions of a single change that equals the first followed by the second."""
    shifts = first - _still(first.shape[1], first.shape[2], first.device)
    # The first shift, interpolated at the positions of the second; constant beyond the edge.
    interpolation = functional.grid_sample(
        shifts.movedim(-1, 1), second, padding_mode="border", align_corners=False
    )
    return second + interpolation.movedim(1, -1)


def _still(height: int, width: int, device: torch.device) -> Tensor:
    """Return the positions of unmoved pixels, ``[1, H, W, 2]``."""
    identity = torch.eye(2, 3, device=device).unsqueeze(0)
    return functional.affine_grid(identity, [1, 1, height, width], align_corners=False)


@lru_cache(maxsize=8)
def _knot_weights(size: int, sigma: float, dtype: torch.dtype) -> Tensor:
    """Return the weights ``[size, knots]`` of an axis; the squares of a row sum to 1."""
    # Two knots beyond each edge, so that the field there sums as many knots as elsewhere.
    inside = math.ceil((size - 1) / sigma) + 1
    spacing = (size - 1) / max(inside - 1, 1)
    knots = (torch.arange(-2, inside + 2, dtype=dtype) * spacing).unsqueeze(0)
    distance = (torch.arange(size, dtype=dtype).unsqueeze(1) - knots) / sigma
    return functional.normalize(torch.exp(-0.5 * distance.square()), dim=1)


def _pair(name: str, values: Sequence[float], span: str) -> tuple[float, float]:
    """Return the least and the greatest factor of a range, each within a span."""
    if len(values) != 2 or not values[0] <= values[1]:
        raise must_be(name, "the least and the greatest of a range", values)
    low, high = (check_number(f"each factor of {name}", value, span) for value in values)
    return low, high


def _batch_and_size(images: Tensor) -> tuple[int, tuple[int, int]]:
    """Check images; return the batch size, and their height and width."""
    check_tensor(images, "images", "[B, ..., H, W]")
    if images.dim() < 3 or not images.numel():
        raise must_be("images", "[B, ..., H, W]", images)
    if images.dim() > 3 and images.shape[-1] <= 4 < min(images.shape[-3:-1]):
        raise must_be("images", "[B, C, H, W], channels first, as images.movedim(-1, 1)", images)
    check_images(images)  # a pixel of NaN would spread, and one of 255.0 would be clamped
    return len(images), (images.shape[-2], images.shape[-1])


def uniform(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Draw numbers in [0, 1) on the device of the generator and return them on the CPU."""
    device = "cpu" if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=device).cpu()


AUGMENTATIONS: dict[str, Augmentation] = {
    "affine": RandomAffine(),
    "elastic": ElasticDeformation(),
    "erase": RandomErasing(),
    "flip": RandomFlip(),
}
"""The augmentations by name, with their defaults."""


def get_augmentation(augment: tuple[str, ...] | Augmentation | None) -> Augmentation | None:
    """Return the augmentation of these names, or None for no name; another one unchanged.

    Raises
    ------
    ValueError
        If a name is unknown.
    TypeError
        If an augmentation takes no images and generator.
    """
    if augment is None:
        return None
    if callable(augment):
        _check_augmentation(augment)
        return augment
    if not isinstance(augment, (tuple, list)) or not AUGMENTATIONS.keys() >= set(augment):
        expected = (
            f"a tuple of names among {', '.join(AUGMENTATIONS)}, or an augmentation such as "
            "RandomAffine() or Compose([RandomAffine(), RandomErasing()])"
        )
        raise must_be("augment", expected, augment)
    return Compose([AUGMENTATIONS[name] for name in augment]) if augment else None


def _check_augmentation(augment: object) -> None:
    if not takes(augment, 1, "generator"):
        raise TypeError(
            "an augmentation is a function of images and generator, such as RandomAffine(); got "
            f"{augment!r}. To wrap a transform of torchvision, pass lambda images, generator: "
            "torch.stack([transform(image[None])[0] for image in images])"
        )
