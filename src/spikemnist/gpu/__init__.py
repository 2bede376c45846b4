"""The dynamics on CUDA: one forward and one backward kernel for a whole layer.

The kernels repeat the arithmetic of `spikemnist.ops.leaky` operation by operation. They are
imported at the first call, and Triton with them.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

import torch

from spikemnist.ops.layer import LayerParams
from spikemnist.ops.surrogate import ATan

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["obstacle", "run"]


@functools.cache
def obstacle(device: torch.device) -> str | None:
    """Run one neuron; return why the kernels fail on a device, or None.

    Warns
    -----
    RuntimeWarning
        The first time that the kernels fail, for example because Triton finds no C compiler.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        one = torch.ones((), device=device)
        layer = LayerParams(
            beta=one, threshold=one, reset_mechanism="zero", spike_grad=ATan(alpha=2.0)
        )
        try:
            spikes, _ = run(one.view(1, 1, 1).requires_grad_(), layer)
            torch.autograd.backward(spikes.sum())
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            warnings.warn(
                f"the kernels of backend='triton' fail on {device} ({reason}): plain torch runs "
                "in their place, and is slower",
                RuntimeWarning,
                stacklevel=2,
            )
            return f"its kernels fail on {device} ({reason})"
    return None


def run(
    current: Tensor, layer: LayerParams, *, membrane: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Run the neurons of a layer.

    Parameters
    ----------
    current : torch.Tensor
        Input current ``[T, B, N]``, floating, on CUDA.
    layer : LayerParams
        Layer with a named surrogate; its weights are not used.
    membrane : bool, default True
        Whether to return membranes.

    Returns
    -------
    spikes : torch.Tensor
        Spikes ``[T, B, N]``, zeros and ones in the dtype of the current.
    membrane : torch.Tensor or None
        Membranes ``[T, B, N]``, float64 for a float64 current, else float32.
    """
    from spikemnist.gpu.scan import scan

    return scan(current, layer, membrane=membrane)
