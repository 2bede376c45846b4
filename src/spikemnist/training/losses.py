"""From a Record and the labels to one number.

Shapes: ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch.nn import functional

from spikemnist.models import Record

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[[Record, "Tensor"], "Tensor"]


def cross_entropy(record: Record, labels: Tensor) -> Tensor:
    r"""Cross-entropy of the softmax of the model's class scores, mean over the batch.

    .. math:: L = -\frac1B \sum_b \ln \frac{e^{s_{b, y_b}}}{\sum_c e^{s_{b, c}}}

    Parameters
    ----------
    record
        What the model returned; ``record.scores`` is ``[B, C]``.
    labels
        ``[B]``, int64.

    Returns
    -------
    torch.Tensor
        A scalar.
    """
    return functional.cross_entropy(record.scores, labels)
