"""Networks that snnTorch steps, one timestep after the other: all that the kernels cannot run.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from torch import nn

from spikemnist._tables import Table
from spikemnist.models.neuron import own_states, state_names, threshold_and_reset
from spikemnist.models.readout import name_of
from spikemnist.models.recording import RecordingNetwork, Run
from spikemnist.models.sequential import not_last
from spikemnist.ops.layer import LayerOutput, count_spikes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from spikemnist.models.recording import State

Step = dict["snntorch.SpikingNeuron | None", "tuple[Tensor, Tensor]"]
"""Spikes and membranes ``[B, ...]`` of the neurons at one timestep, the output last.

The key is None for an output that no neuron fired.
"""


class SteppedNetwork(RecordingNetwork):
    """A network with neurons of snnTorch that is called once for each timestep.

    `accelerate` makes one where the kernels cannot run a network. It maps spikes to a `Record` as
    `SpikingNetwork` does, at the speed of snnTorch's own loop. The neurons keep their membranes
    themselves, with or without ``init_hidden``, and are at rest at the beginning of each call.

    Parameters
    ----------
    network : torch.nn.Module
        Module that is called on one timestep, ``[B, ...]``. It calls its neurons with the current
        alone, and returns spikes ``[B, C]``; spikes and membranes; or numbers that are no spikes,
        as a last `torch.nn.Linear` does: these are recorded as membranes that never fire.
    reason : str
        Sentence that says why the kernels cannot run the network.
    **options
        ``in_shape`` and ``readout``, as in `SpikingNetwork`.

    Raises
    ------
    ValueError
        If the network has no neurons of snnTorch.

    Examples
    --------
    >>> neurons = snntorch.Synaptic(alpha=0.8, beta=0.9)
    >>> network = SteppedNetwork(nn.Sequential(nn.Linear(4, 3), neurons), "it has Synaptic neurons")
    >>> record = network(torch.ones(5, 2, 4), state=None)
    >>> record.backend, record.membrane.shape, len(record.state)
    ('snntorch', torch.Size([5, 2, 3]), 2)
    """

    def __init__(self, network: nn.Module, reason: str, **options: Any) -> None:
        super().__init__(network, **options)
        self.reason = reason
        if not self._neurons():
            raise ValueError(
                "the network has no neurons of snnTorch, so there is no time to run it over"
            )

    def table(self) -> Table:
        """Return the neurons and why snnTorch steps them, as ``repr`` shows."""
        total = sum(parameter.numel() for parameter in self.parameters())
        return Table(
            f"{type(self).__name__} of {total:,} parameters, readout={name_of(self.readout)!r}",
            ("neurons", "kind", "threshold", "reset"),
            [
                (path, type(neuron).__name__, *threshold_and_reset(neuron))
                for neuron, path in self._neurons().items()
            ],
            f"stepped by snnTorch: {self.reason}",
        )

    def _neurons(self) -> dict[snntorch.SpikingNeuron, str]:
        """Return the neurons and their places."""
        modules = self.named_modules()
        return {m: path for path, m in modules if isinstance(m, snntorch.SpikingNeuron)}

    def _run(self, spikes: Tensor, like: Tensor, record: str, state: State, final: bool) -> Run:
        neurons = self._neurons()
        states = [(neuron, name) for neuron in neurons for name in state_names(neuron)]
        # snnTorch zeroes a state of another shape than the current: an empty one starts at rest.
        initial = state or [like.new_empty(0)] * len(states)
        if len(initial) != len(states):
            raise ValueError(
                f"state must hold {len(states)} tensors, all of Record.state; got {len(initial)}"
            )
        steps: list[Step] = []
        with own_states(list(neurons)), _watched(neurons, not_last(self.network), steps):
            for (neuron, name), value in zip(states, initial, strict=True):
                setattr(neuron, name, value)
            for signal in spikes:
                steps.append({})
                _add_output(self.network(signal.to(like.dtype)), steps[-1], len(signal))
            last = tuple(getattr(neuron, name) for neuron, name in states)
        for (neuron, name), before, after in zip(states, initial, last, strict=True):
            if state and before.shape != after.shape:
                raise ValueError(
                    f"the state {name} of {neurons[neuron]} must have the shape "
                    f"{tuple(after.shape)}; got {tuple(before.shape)}"
                )
        layers = list(steps[0])
        outputs = [_stack([step[layer] for step in steps]) for layer in layers]
        none = like.new_full((), torch.inf)
        thresholds = [none if layer is None else layer.threshold for layer in layers]
        path = "network" if layers[-1] is None else neurons[layers[-1]]
        return Run("snntorch", outputs, thresholds, last if final else None, path)


@contextmanager
def _watched(
    neurons: Mapping[snntorch.SpikingNeuron, str], passing_on: set[nn.Module], steps: Sequence[Step]
) -> Iterator[None]:
    """Note spikes and membranes of each neuron in the last of ``steps`` when it is called.

    The neurons ``passing_on`` return their spikes alone, which the next module takes.
    """

    def note(neuron: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        signal, *given = [*args, *kwargs.values()]
        if given or neuron in steps[-1]:
            raise ValueError(
                f"{neurons[neuron]} is called with a membrane, or twice in a timestep: call each "
                "neuron once, with the current alone, and leave the loop over time out of forward. "
                "Neurons keep their membranes themselves"
            )
        fired, *states = output if isinstance(output, tuple) else (output,)
        fired = fired.to(signal.dtype)  # snnTorch's surrogates return float32 for any membrane
        steps[-1][neuron] = fired, states[-1] if states else neuron.mem
        return (fired, *states) if states and neuron not in passing_on else fired

    hooks = [neuron.register_forward_hook(note, with_kwargs=True) for neuron in neurons]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _add_output(result: Any, step: Step, batch: int) -> None:
    """Put the output of a timestep at the end of ``step``."""
    first, *rest = result if isinstance(result, tuple) else (result,)
    if not isinstance(first, torch.Tensor) or first.dim() < 2 or len(first) != batch:
        shape = getattr(first, "shape", type(first).__name__)
        raise ValueError(
            f"the network must return [B, C] for one timestep, here B = {batch}; got {shape}. It "
            "is called once for each timestep, so leave the loop over time out of forward"
        )
    neuron = next((neuron for neuron, (fired, _) in step.items() if fired is first), None)
    if neuron is not None:
        step[neuron] = step.pop(neuron)
    else:
        step[None] = (first, rest[-1]) if rest else (torch.zeros_like(first), first)


def _stack(pairs: Sequence[tuple[Tensor, Tensor]]) -> LayerOutput:
    spikes, membrane = map(torch.stack, zip(*pairs, strict=True))
    return LayerOutput(spikes, membrane, count_spikes(spikes), None, tuple(spikes.shape[2:]))
