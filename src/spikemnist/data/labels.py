"""Check the labels of a dataset, and hold out samples of each class.

Shapes: ``N`` samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikemnist._tensors import check_tensor
from spikemnist.data.indexing import generator_of


def check_labels(labels: Tensor, samples: int, what: str, device: torch.device) -> None:
    """Raise unless ``labels`` are class indices ``[N]``, one for each sample."""
    check_tensor(labels, "labels", "[N]")
    if labels.ndim != 1:
        raise ValueError(
            f"labels must be [N], one class index for each of the {what}; got shape "
            f"{list(labels.shape)}"
        )
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            "labels must be class indices of an integer dtype such as torch.int64; got "
            f"{labels.dtype}"
        )
    if len(labels) != samples:
        raise ValueError(f"{samples} {what} but {len(labels)} labels; expected one for each")
    if labels.device != device:
        raise ValueError(
            f"{what} is on {device} but labels on {labels.device}; move them to one device"
        )


def check_classes(labels: Tensor, classes: tuple[str, ...]) -> None:
    """Raise unless each label is at least 0 and, if ``classes`` has names, has one."""
    if isinstance(classes, str):
        raise TypeError(
            f"classes must be a tuple with the name of each class; got the string {classes!r}"
        )
    if not labels.numel():
        return
    lowest, highest = (int(bound) for bound in labels.aminmax())
    if lowest < 0:
        raise ValueError(f"labels must be at least 0; got {lowest}")
    if classes and highest >= len(classes):
        raise ValueError(
            f"labels must lie in 0..{len(classes) - 1}, as classes has {len(classes)} names; got "
            f"{highest}"
        )


def hold_out(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Return a mask ``[N]`` of a fraction of the samples, about the same in each class.

    Raises
    ------
    ValueError
        If ``fraction`` is not between 0 and 1, or one of the two parts would be empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1; got {fraction}")
    total = round(fraction * len(labels))
    if total in (0, len(labels)):
        empty = "held-out" if total == 0 else "kept"
        raise ValueError(
            f"holding out {fraction} of {len(labels)} samples leaves the {empty} part empty; "
            "choose another fraction or give more samples"
        )
    return _stratified_mask(labels.cpu(), fraction, total, seed)


def _stratified_mask(labels: Tensor, fraction: float, total: int, seed: int) -> Tensor:
    """Return a mask ``[N]`` of ``total`` samples, about ``fraction`` of each class."""
    _, group, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    quotas = fraction * sizes.double()
    take = quotas.floor().long()
    # Rounding down leaves a few samples over: they go to the classes that lost most.
    most_lost_first = (take - quotas).argsort(stable=True)
    take[most_lost_first[: total - int(take.sum())]] += 1

    shuffled = torch.randperm(len(labels), generator=generator_of(seed))
    by_group = shuffled[group[shuffled].argsort(stable=True)]
    first_of_group = sizes.cumsum(0) - sizes
    rank = torch.arange(len(labels)) - first_of_group[group[by_group]]
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[by_group] = rank < take[group[by_group]]
    return mask
