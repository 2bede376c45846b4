"""One training step: backpropagation through time over all timesteps, or truncated.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from spikemnist.models.readout import scores
from spikemnist.training.losses import compute_loss, model_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from spikemnist.models import LayerRecord, Record
    from spikemnist.training.losses import Loss


def backpropagate(
    model: nn.Module, spikes: Tensor, labels: Tensor, loss: Loss, *, share: float = 1.0
) -> tuple[Record, Tensor]:
    """Run the model over the whole window and add the loss's gradient to the parameters'.

    Parameters
    ----------
    model
        Returns a `spikemnist.models.Record`.
    spikes
        ``[T, B, ...]``.
    labels
        ``[B]``.
    loss
        From record and labels to a scalar.
    share : float, default 1.0
        Factor of the gradient: the share of the batch that these samples are.

    Returns
    -------
    record : spikemnist.models.Record
    loss : torch.Tensor
        A scalar, detached.
    """
    record: Record = model(spikes, **model_options(loss))
    value = compute_loss(loss, record, labels)
    torch.autograd.backward(value * share)
    return record, value.detach()


def backpropagate_truncated(
    model: Any,
    spikes: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    truncate: int,
    share: float = 1.0,
) -> tuple[Record, Tensor]:
    r"""Like `backpropagate`, but no gradient crosses the borders of chunks of timesteps.

    Chunk :math:`i` of :math:`k_i` timesteps starts from the detached membranes that the chunk
    before ended with, and contributes :math:`\frac{k_i}{T} \nabla L_i`, where :math:`L_i` is the
    loss of the readout over that chunk alone. Memory grows with the chunk, not with ``T``. With
    one chunk this is `backpropagate`.

    Parameters
    ----------
    model
        Takes and returns its membranes, as `spikemnist.models.LeakyMLP` does.
    spikes, labels, loss, share
        As in `backpropagate`.
    truncate
        Timesteps of a chunk.

    Returns
    -------
    record : spikemnist.models.Record
        Of the whole window, detached.
    loss : torch.Tensor
        Of the whole window, a scalar.

    Raises
    ------
    TypeError
        When the model has no ``initial_state``.
    """
    if not hasattr(model, "initial_state"):
        raise TypeError(
            "truncate needs a model that takes and returns its membranes, as LeakyMLP does; "
            f"{type(model).__name__} has no initial_state"
        )
    state = model.initial_state(spikes.shape[1])
    records = []
    for chunk in torch.split(spikes, truncate):
        record = model(chunk, state=state, **model_options(loss))
        value = compute_loss(loss, record, labels)
        torch.autograd.backward(value * (share * len(chunk) / len(spikes)))
        state = tuple(membrane.detach() for membrane in record.state)
        records.append(record)
    whole = _join(records)
    return whole, compute_loss(loss, whole, labels)


def gradient_norm(model: nn.Module, *, clip: float | None = None) -> Tensor:
    """Return the Euclidean norm of the whole gradient.

    Parameters
    ----------
    model
        After `backpropagate`.
    clip
        Largest norm: a longer gradient is scaled down to it, in place.

    Returns
    -------
    torch.Tensor
        A scalar, the norm before any scaling.
    """
    parameters = [p for p in model.parameters() if p.grad is not None]
    if clip is not None:
        return torch.nn.utils.clip_grad_norm_(parameters, clip)
    norms = torch.stack([torch.linalg.vector_norm(p.grad) for p in parameters])
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


def _join(records: Sequence[Record]) -> Record:
    """Return the record of the whole window, detached."""
    spikes, membrane = _joined(records)
    layers = zip(*(record.layers for record in records), strict=True)
    return replace(
        records[-1],
        spikes=spikes,
        membrane=membrane,
        scores=scores(records[-1].readout, spikes, membrane),
        spike_counts=torch.stack([record.spike_counts for record in records]).sum(0),
        layers=tuple(map(_join_layer, layers)),
        input=None,
        state=None,
    )


def _join_layer(parts: Sequence[LayerRecord]) -> LayerRecord:
    spikes, membrane = _joined(parts)
    return replace(parts[0], spikes=spikes, membrane=membrane)


def _joined(parts: Sequence[Record] | Sequence[LayerRecord]) -> tuple[Tensor, Tensor]:
    """Return the spikes and the membranes of chunks of time, detached."""
    spikes = torch.cat([part.spikes.detach() for part in parts])
    return spikes, torch.cat([part.membrane.detach() for part in parts])
