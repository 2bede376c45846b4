"""A weight layer and its leaky neurons, the piece that models are built of.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import snntorch
import torch
from torch import nn

from spikemnist import ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def new_leaky(
    beta: Tensor,
    threshold: Tensor,
    *,
    reset_mechanism: str,
    spike_grad: Callable[[Tensor], Tensor],
    learn_beta: bool,
    learn_threshold: bool,
) -> snntorch.Leaky:
    """Return a `snntorch.Leaky` that nothing but its owner keeps alive.

    snnTorch appends every neuron to a global list, from which it never takes it away.
    """
    leaky = snntorch.Leaky(
        beta=beta,
        threshold=threshold,
        spike_grad=spike_grad,
        learn_beta=learn_beta,
        learn_threshold=learn_threshold,
        reset_mechanism=reset_mechanism,
    )
    registered = snntorch.SpikingNeuron.instances
    registered[:] = [neuron for neuron in registered if neuron is not leaky]
    return leaky


class LeakyLayer(nn.Module):
    """`torch.nn.Linear` followed by `snntorch.Leaky`, run over all timesteps at once.

    Parameters
    ----------
    linear
        The weights, from ``F`` to ``N``.
    leaky
        The neurons; beta, threshold, reset mechanism and surrogate are read from them.
    """

    def __init__(self, linear: nn.Linear, leaky: snntorch.Leaky) -> None:
        super().__init__()
        self.linear = linear
        self.leaky = leaky

    def forward(
        self, spikes: Tensor, initial: Tensor | None, backend: str
    ) -> tuple[Tensor, Tensor]:
        """Run the layer.

        Parameters
        ----------
        spikes
            ``[T, B, F]``.
        initial
            ``[B, N]``, the membrane to start from; zero when ``None``.
        backend
            ``"reference"``, ``"event_driven"`` or ``"snntorch"``.

        Returns
        -------
        spikes, membrane
            ``[T, B, N]`` each.
        """
        if backend == "snntorch":
            return self._step(spikes, initial)
        weigh = ops.weigh_events if backend == "event_driven" else ops.linear
        return ops.leaky(
            weigh(spikes, self.linear.weight, self.linear.bias),
            self.leaky.beta,
            self.leaky.threshold,
            reset_mechanism=self.leaky.reset_mechanism,
            spike_grad=self.leaky.spike_grad,
            initial=initial,
        )

    def _step(self, spikes: Tensor, initial: Tensor | None) -> tuple[Tensor, Tensor]:
        weight, leaky = self.linear.weight, self.leaky
        membrane = initial
        if membrane is None:
            membrane = weight.new_zeros(spikes.shape[1], self.linear.out_features)
        at_rest = leaky.mem
        fired, membranes = [], []
        for step in spikes:
            spike, membrane = leaky(self.linear(step.to(weight.dtype)), membrane)
            # snnTorch's surrogates return float32 whatever the membrane is.
            fired.append(spike.to(weight.dtype))
            membranes.append(membrane)
        # snnTorch leaves the last state, with its graph, in the module: a call must not change it.
        leaky.mem, leaky.reset = at_rest, None
        return torch.stack(fired), torch.stack(membranes)
