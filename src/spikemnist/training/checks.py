"""Checks of what `fit` and `evaluate` are asked to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spikemnist.encoding import Encoder, get_encoder
from spikemnist.encoding.protocol import compacted
from spikemnist.models import Record
from spikemnist.models.network import SpikingNetwork
from spikemnist.training.losses import model_options

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemnist.training.losses import Loss


NUM_STEPS = 8
"""Timesteps of an encoder that is named, as on the command line."""


def as_encoder(encoder: Encoder | str) -> Encoder:
    """Return an encoder, or the one of a name.

    Parameters
    ----------
    encoder : Encoder or str
        An encoder, or one of `spikemnist.encoding.available_encoders`, built with 8 timesteps.

    Raises
    ------
    TypeError
        When it is neither.
    ValueError
        For an unknown name.
    """
    if isinstance(encoder, str):
        return get_encoder(encoder, num_steps=NUM_STEPS)
    if not isinstance(encoder, Encoder) or isinstance(encoder, type):
        raise TypeError(
            "encoder must be an Encoder such as LatencyEncoder(num_steps=8), or what "
            f"get_encoder('rate', num_steps=25) returns; got {encoder!r}"
        )
    return encoder


def compact_for(model: nn.Module, encoder: Encoder, loss: Loss) -> Encoder:
    """Return the encoder with spikes of a byte each, where nobody but the network reads them.

    A module of one's own may want numbers, and a loss on the record of all layers sees the input.
    """
    if not isinstance(model, SpikingNetwork) or model_options(loss):
        return encoder
    return compacted(encoder)


def check_output(record: object, labels: Tensor) -> None:
    """Raise unless a model's output is a `Record` with a class for each of ``labels``."""
    if not isinstance(record, Record):
        raise TypeError(
            "the model must return a spikemnist.models.Record, as LeakyMLP does; "
            f"got {type(record).__name__}"
        )
    classes = record.scores.shape[1]
    if labels.dim() != 1 or labels.dtype != torch.int64:
        raise ValueError(
            f"labels must be int64 of shape [B]; got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    low, high = (int(bound) for bound in labels.aminmax())  # no batch is empty: see Feed
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels must lie in 0..{classes - 1} for a model of {classes} classes; "
            f"got {low}..{high}"
        )


def parameter_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype that a model computes with."""
    return next((p.dtype for p in model.parameters()), torch.float32)
