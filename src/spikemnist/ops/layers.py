"""Layers of leaky neurons one after the other, on the event-driven engine.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


LARGEST_WINDOW = 15
"""Side of a pooling window up to which a place in it fits a byte."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Weights and the leaky neurons behind them.

    Attributes
    ----------
    weight
        ``[N, F]``; ``None`` where the layer's input is its current, ``[T, B, N]``.
    bias
        ``[N]``.
    beta, threshold
        Of the membrane: see `leaky`. Scalars or ``[N]``.
    reset_mechanism
        ``"subtract"``, ``"zero"`` or ``"none"``.
    spike_grad
        The surrogate: see `get_surrogate`.
    initial
        Membrane before the first step, ``[B, N]``; zero when ``None``.
    dropout
        Probability with which a spike is dropped on its way to the next layer, drawn anew at
        each timestep from torch's global generator, as `torch.nn.Dropout` does for ``[T, B, N]``.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.ops import get_surrogate
    >>> layer = Layer(
    ...     weight=torch.rand(3, 4),
    ...     beta=torch.tensor(0.9),
    ...     threshold=torch.ones(3),
    ...     reset_mechanism="zero",
    ...     spike_grad=get_surrogate("atan"),
    ... )
    >>> layer.bias is None, layer.dropout
    (True, 0.0)
    """

    weight: Tensor | None
    bias: Tensor | None = None
    beta: Tensor
    threshold: Tensor
    reset_mechanism: str
    spike_grad: Callable[[Tensor], Tensor]
    initial: Tensor | None = None
    dropout: float = 0.0


@dataclass(frozen=True)
class Activity:
    """What a layer did.

    Attributes
    ----------
    spikes, membrane
        ``[T, B, N]``, of the last layer, and of the others where everything is recorded.
    counts
        Spikes of each sample, int64 ``[B]``, detached.
    final
        Membranes after the last step, ``[B, N]``, where they are asked for.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.ops import get_surrogate
    >>> layer = Layer(
    ...     weight=None,
    ...     beta=torch.tensor(0.5),
    ...     threshold=torch.tensor(1.0),
    ...     reset_mechanism="zero",
    ...     spike_grad=get_surrogate("atan"),
    ... )
    >>> (did,) = run_layers(torch.full((3, 1, 2), 0.75), [layer], final=True)
    >>> did.spikes[:, 0].tolist(), did.counts.tolist(), did.final.tolist()
    ([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [2], [[0.75, 0.75]])
    """

    spikes: Tensor | None
    membrane: Tensor | None
    counts: Tensor
    final: Tensor | None


def run_layers(
    spikes: Tensor, layers: Sequence[Layer], *, record: str = "output", final: bool = False
) -> list[Activity]:
    """Run layers over all timesteps on the event-driven engine.

    What `linear` and `leaky` do one layer after the other, with spikes travelling between the
    layers as bits.

    Parameters
    ----------
    spikes
        ``[T, B, F]``, any dtype, on the CPU.
    layers
        At least one; each takes the spikes of the one before. Their surrogates must be named
        ones, their dtype float32 or float64.
    record
        ``"output"`` keeps spikes and membranes of the last layer, ``"all"`` those of every one.
    final
        Whether the membranes after the last step are wanted.

    Returns
    -------
    list of Activity
        One for each layer.

    Raises
    ------
    ValueError
        When a shape, a surrogate, a reset mechanism or ``record`` does not fit.
    TypeError
        When the spikes are no tensor, or a layer mixes dtypes or has another than float32 and
        float64.
    ImportError
        Where Numba is not installed.

    Notes
    -----
    Sums over input spikes come in another order than in a matrix product, so a membrane within
    rounding of the threshold may fire here and not there. A weight that is infinite or not a number
    has no effect while its input is silent, where a matrix product would make NaN of it.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.ops import get_surrogate
    >>> layer = Layer(
    ...     weight=torch.ones(1, 2),
    ...     beta=torch.tensor(0.5),
    ...     threshold=torch.tensor(1.0),
    ...     reset_mechanism="subtract",
    ...     spike_grad=get_surrogate("atan"),
    ... )
    >>> (activity,) = run_layers(torch.ones(3, 1, 2), [layer])
    >>> activity.membrane.flatten(), activity.counts
    (tensor([2., 2., 2.]), tensor([3]))
    """
    if record not in ("output", "all"):
        raise ValueError(f"record must be 'output' or 'all'; got {record!r}")
    # Loads the compiler, which the package alone must not.
    from spikemnist import engine

    return engine.run_fused(spikes, layers, record=record, final=final)


def run_pooled(
    current: Tensor, layer: Layer, *, num_steps: int, size: int = 1, membranes: bool = True
) -> tuple[Tensor, Tensor | None]:
    r"""Run leaky neurons behind a convolution and its maximum pooling, on the event-driven engine.

    What `leaky` does with :math:`I_t = \text{maxpool}(x_t)`, in one pass over :math:`x`.

    Parameters
    ----------
    current
        :math:`x`, ``[T, B, C, H, W]``, or ``[1, B, C, H, W]`` when it is the same at every
        timestep; on the CPU. It is copied unless the channels come last in memory.
    layer
        Neurons with a named surrogate and no weights; ``beta`` and ``threshold`` are scalars or
        ``[N]``, and ``initial`` is ``[B, N]``, with :math:`N = C \lfloor H / k \rfloor
        \lfloor W / k \rfloor`.
    num_steps
        ``T``.
    size
        Side :math:`k` of the windows, which do not overlap; rows and columns that fill no window
        count for nothing.
    membranes
        Whether they are wanted; without a gradient to come, it saves writing them.

    Returns
    -------
    spikes, membrane : torch.Tensor
        ``[T, B, C, H // k, W // k]`` each, the channels last in memory; None in place of
        membranes that nobody wants.

    Raises
    ------
    ValueError
        When a shape or the surrogate does not fit.
    TypeError
        When dtypes are mixed, or others than float32 and float64.
    ImportError
        Where Numba is not installed.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.ops import get_surrogate
    >>> layer = Layer(
    ...     weight=None,
    ...     beta=torch.tensor(0.5),
    ...     threshold=torch.tensor(1.0),
    ...     reset_mechanism="subtract",
    ...     spike_grad=get_surrogate("atan"),
    ... )
    >>> image = torch.arange(4.0).view(1, 1, 1, 2, 2)
    >>> spikes, membrane = run_pooled(image, layer, num_steps=3, size=2)
    >>> membrane.flatten()
    tensor([3.0000, 3.5000, 3.7500])
    """
    # Loads the compiler, which the package alone must not.
    from spikemnist.engine import pooled

    return pooled.run_pooled(current, num_steps, size, layer, membranes=membranes)


def weigh_events(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""Weigh the input of all timesteps spike by spike: `linear` on the event-driven engine.

    .. math:: I_{t,b,n} = b_n + \sum_{f :\, x_{t,b,f} \ne 0} W_{n,f} \, x_{t,b,f}

    Parameters
    ----------
    spikes
        ``[T, B, F]``, any dtype, on the CPU.
    weight, bias
        ``[N, F]`` and ``[N]``, float32 or float64.

    Returns
    -------
    torch.Tensor
        ``[T, B, N]``.

    Raises
    ------
    ValueError
        When a shape does not fit.
    TypeError
        When dtypes are mixed, or others than float32 and float64.
    ImportError
        Where Numba is not installed.

    Examples
    --------
    >>> import torch
    >>> spikes = torch.tensor([[[1.0, 0.0, 1.0]]])
    >>> weigh_events(spikes, torch.tensor([[1.0, 2.0, 4.0]]))
    tensor([[[5.]]])
    """
    from spikemnist import engine

    return engine.weigh(spikes, weight, bias)


def convolve_events(
    spikes: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Tensor:
    r"""Convolve images, spike by spike where they are spikes and that is faster.

    .. math:: I_{o,y,x} = b_o + \sum_{c,k,l} W_{o,c,k,l} \, S_{c,\, s y + k - p,\, s x + l - p}

    `torch.nn.functional.conv2d` with its defaults otherwise, and its answer for any input.

    Parameters
    ----------
    spikes
        ``[N, C, H, W]`` on the CPU.
    weight, bias
        ``[O, C, K, L]`` and ``[O]``, float32 or float64.
    stride, padding
        Rows and columns.

    Returns
    -------
    torch.Tensor
        ``[N, O, Y, X]``.

    Raises
    ------
    ValueError
        When a shape does not fit.
    TypeError
        When dtypes are mixed, or others than float32 and float64.
    ImportError
        Where Numba is not installed.

    Examples
    --------
    >>> import torch
    >>> spikes = torch.zeros(1, 1, 3, 3)
    >>> spikes[..., 1, 2] = 1
    >>> convolve_events(spikes, torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[0., 0.],
              [0., 2.],
              [0., 0.]]]])
    """
    # Loads the compiler, which the package alone must not.
    from spikemnist.engine import convolution

    out = convolution.convolve(spikes, weight, bias, stride, padding)
    if out is None:
        return functional.conv2d(spikes.to(weight.dtype), weight, bias, stride, padding)
    return out
