"""The direct code. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.encoding import DirectEncoder
from tests.strategies import pixels


@given(pixels(), st.integers(1, 30))
def test_timesteps_and_image(images: Tensor, num_steps: int) -> None:
    current = DirectEncoder(num_steps=num_steps)(images)
    assert current.shape == (num_steps, *images.shape)
    assert current.dtype == torch.float32
    assert (current == images.float() / 255).all()


def test_memory_of_timesteps() -> None:
    images = torch.rand(4, 28, 28)
    current = DirectEncoder(num_steps=1000)(images)
    assert current.stride() == (0, *images.stride())
    assert current.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()


def test_gradient_of_the_image() -> None:
    images = torch.rand(2, 5, requires_grad=True)
    DirectEncoder(num_steps=7)(images).sum().backward()
    assert torch.equal(images.grad, torch.full((2, 5), 7.0))
