"""The dynamics on CUDA: one forward and one backward kernel for a whole layer. Internal.

The kernels repeat the arithmetic of `spikemnist.ops.leaky` operation by operation. They are
imported at the first call, and Triton with them.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from torch import Tensor

from spikemnist.gpu.proof import unsupported
from spikemnist.ops.layer import LayerParams

__all__ = ["run", "unsupported"]


def run(
    current: Tensor, layer: LayerParams, *, membrane: bool = True
) -> tuple[Tensor, Tensor | None, Tensor]:
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
    last : torch.Tensor
        Membranes after the last timestep, ``[B, N]``.
    """
    from spikemnist.gpu.scan import scan

    return scan(current, layer, membrane=membrane)
