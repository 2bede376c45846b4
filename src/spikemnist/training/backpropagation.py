"""Backpropagation through time, over all timesteps or truncated.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spikemnist.models import LayerRecord, Record
from spikemnist.training.losses import Loss, compute_loss, model_options


def backpropagate(
    model: nn.Module, spikes: Tensor, labels: Tensor, loss: Loss
) -> tuple[Record, Tensor]:
    """Run the model over the whole window, and add the gradient of the loss to its parameters.

    Parameters
    ----------
    model : torch.nn.Module
        Model that returns a `spikemnist.models.Record`.
    spikes : torch.Tensor
        Input ``[T, B, ...]``.
    labels : torch.Tensor
        Labels ``[B]``.
    loss : callable
        Function of record and labels that returns a scalar.

    Returns
    -------
    record : spikemnist.models.Record
    loss : torch.Tensor
        A scalar, detached.
    """
    record: Record = model(spikes, **model_options(loss))
    value = compute_loss(loss, record, labels)
    _backward(value)
    return record, value.detach()


def _backward(value: Tensor) -> None:
    """Add the gradient of a loss to the parameters; raise a `ValueError` if it has none."""
    if not value.requires_grad:
        raise ValueError(
            "the loss has no gradient, so nothing would be trained: look for .detach(), .item(), "
            "argmax and torch.no_grad() in the loss, the readout and the network, and for weights "
            "with requires_grad=False"
        )
    torch.autograd.backward(value)


def backpropagate_truncated(
    model: Any,
    spikes: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    truncate: int,
) -> tuple[Record, Tensor]:
    r"""Backpropagate like `backpropagate`, but only within chunks of timesteps.

    Chunk :math:`i` of :math:`k_i` timesteps starts from the detached membranes at the end of the
    chunk before, and contributes :math:`\frac{k_i}{T} \nabla L_i`, where :math:`L_i` is the loss of
    the readout over that chunk alone. Memory grows with the chunk, not with ``T``. With one chunk
    this is `backpropagate`.

    Parameters
    ----------
    model : torch.nn.Module
        Model that takes and returns its membranes, as `spikemnist.models.LeakyMLP` does.
    spikes, labels, loss
        As in `backpropagate`.
    truncate : int
        Number of timesteps of a chunk.

    Returns
    -------
    record : spikemnist.models.Record
        Record of the whole window, detached.
    loss : torch.Tensor
        Loss of the whole window, a scalar.

    Raises
    ------
    TypeError
        If the model takes no ``state``.
    """
    network = getattr(model, "module", model)  # several processes wrap it
    if "state" not in inspect.signature(network.forward).parameters:
        raise TypeError(
            "truncate needs a network that takes and returns its state, as LeakyMLP does; the "
            f"forward of {type(network).__name__} has no argument state"
        )
    state: tuple[torch.Tensor, ...] | None = None
    records = []
    for chunk in torch.split(spikes, truncate):
        record = model(chunk, state=state, **model_options(loss))
        value = compute_loss(loss, record, labels)
        _backward(value * (len(chunk) / len(spikes)))
        state = tuple(tensor.detach() for tensor in record.state)
        records.append(record)
    record = _join(records)
    return record, compute_loss(loss, record, labels)


def gradient_norm(model: nn.Module, *, clip: float | None = None) -> Tensor:
    """Return the Euclidean norm of the whole gradient.

    Parameters
    ----------
    model : torch.nn.Module
        Model after `backpropagate`.
    clip : float, default None
        Largest norm. A longer gradient is scaled down to it, in place.

    Returns
    -------
    torch.Tensor
        The norm before any scaling, a scalar.
    """
    parameters = [p for p in model.parameters() if p.grad is not None]
    if clip is not None:
        return torch.nn.utils.clip_grad_norm_(parameters, clip)
    norms = torch.stack([torch.linalg.vector_norm(p.grad) for p in parameters])
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


def _join(records: Sequence[Record]) -> Record:
    """Join the records of chunks into one of the whole window, detached."""
    spikes, membrane = _concatenate(records)
    layers = zip(*(record.layers for record in records), strict=True)
    return replace(
        records[-1],
        spikes=spikes,
        membrane=membrane,
        scores=records[-1].by_class(records[-1].readout(spikes, membrane)),
        spike_counts=torch.stack([record.spike_counts for record in records]).sum(0),
        layers=tuple(map(_join_layer, layers)),
        input=None,
        final=None,
    )


def _join_layer(parts: Sequence[LayerRecord]) -> LayerRecord:
    spikes, membrane = _concatenate(parts)
    return replace(parts[0], spikes=spikes, membrane=membrane)


def _concatenate(parts: Sequence[Record] | Sequence[LayerRecord]) -> tuple[Tensor, Tensor]:
    """Join the spikes and the membranes of chunks, detached."""
    spikes = torch.cat([part.spikes.detach() for part in parts])
    return spikes, torch.cat([part.membrane.detach() for part in parts])
