"""The protocol of encoders, and checks that the encoders share.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikemnist._arguments import set_numbers
from spikemnist._names import NUM_STEPS
from spikemnist._tensors import check_images, check_tensor


@runtime_checkable
class Encoder(Protocol):
    """A function from images to spike trains.

    An encoder has no state: a call does not change it, and the same images and the same generator
    state give the same spikes. Any object with these two members is an encoder; no base class is
    needed. A frozen dataclass that is registered with `register_encoder` can also be written into
    run folders and model files.

    An encoder that makes only zeros and ones may have the class attribute ``binary = True`` and
    take an argument ``dtype`` when called; `spikemnist.models.Classifier` then asks for uint8.

    An encoder may also have ``decode(spikes)``. It returns the pixels in [0, 1], float32
    ``[B, ...]``, that spikes ``[T, B, ...]`` stand for, and raises a `ValueError` unless their
    number of timesteps is ``num_steps``.

    An encoder of other samples than images has ``blank(shape)``, which returns a batch of one empty
    sample, from which a `Recipe` reads the shape of its spikes.

    Attributes
    ----------
    num_steps
        Number of timesteps, ``T``.

    Examples
    --------
    >>> from spikemnist.encoding import LatencyEncoder
    >>> encoder = LatencyEncoder(num_steps=8)
    >>> isinstance(encoder, Encoder), encoder(torch.rand(2, 28, 28)).shape
    (True, torch.Size([8, 2, 28, 28]))
    """

    @property
    def num_steps(self) -> int:
        """Number of timesteps, ``T``."""
        ...

    def __call__(self, images: Any, /, *, generator: torch.Generator | None = None) -> Tensor:
        """Encode images.

        Parameters
        ----------
        images : torch.Tensor
            Images ``[B, ...]``, uint8 or floating in [0, 1]; an `EventEncoder` takes the events of
            B recordings instead.
        generator : torch.Generator, default None
            Source of all randomness, if any; ``None`` is torch's global CPU generator. It may be
            on another device than the images: `spikemnist.fit` and `spikemnist.evaluate` pass a
            CPU generator.

        Returns
        -------
        torch.Tensor
            Spikes ``[T, B, ...]``, float32 unless another ``dtype`` is asked for, on the device of
            the images.
        """
        ...


def intensities(images: Tensor) -> Tensor:
    """Check images and return them as floating-point numbers in [0, 1].

    Parameters
    ----------
    images
        Images of any shape; uint8 in 0..255, or floating in [0, 1].

    Returns
    -------
    torch.Tensor
        float32, or float64 for float64 images. Half precision is widened, since it cannot hold
        the small differences that matter to a logarithm.

    Raises
    ------
    TypeError
        If ``images`` is not a tensor.
    ValueError
        For another dtype, for NaN, and for values outside [0, 1].
    """
    if hasattr(images, "starts"):
        raise TypeError(
            f"images must be a tensor; got an {type(images).__name__}, which needs an EventEncoder"
        )
    check_tensor(images, "images", "[B, ...]")
    check_images(images)
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255
    return images if images.dtype == torch.float64 else images.to(torch.float32)


@dataclass(frozen=True)
class Timesteps:
    """Base class of the encoders of the package: ``num_steps`` comes first, by position or name."""

    num_steps: int = NUM_STEPS

    def __post_init__(self) -> None:
        set_numbers(self, num_steps="1..")


@dataclass(frozen=True)
class PixelEncoder(Timesteps):
    """Base class of the codes of zeros and ones that draw no random numbers."""

    binary: ClassVar[bool] = True

    def __call__(
        self,
        images: Tensor,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Encode images ``[B, ...]`` as spikes ``[T, B, ...]``."""
        return self._encode(intensities(images).detach().float(), dtype)

    def _encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the spikes of pixels ``x`` in [0, 1], float32 ``[B, ...]``."""
        raise NotImplementedError


def check_steps(spikes: Tensor, num_steps: int) -> None:
    """Raise a `ValueError` unless ``spikes`` have ``num_steps`` timesteps and a batch axis."""
    if spikes.dim() < 2 or len(spikes) != num_steps:
        raise ValueError(
            f"expected spikes [T, B, ...] with T = {num_steps} (num_steps); got shape "
            f"{tuple(spikes.shape)}"
        )
