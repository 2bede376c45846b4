"""The training of an epoch: encode, forward, loss, backward, clip, step, metrics.

Shapes: ``T`` timesteps, ``B`` samples of a batch.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._seeds import derive_seed, seeded
from spikemnist.training.backpropagation import backpropagate, backpropagate_truncated
from spikemnist.training.monitor import EpochMonitor, batch_counts, check_finite
from spikemnist.training.schedules import get_schedule

if TYPE_CHECKING:
    from torch import Tensor, nn
    from tqdm import tqdm

    from spikemnist._interrupt import Interruption
    from spikemnist.training.run import Run


def train_epoch(run: Run, bar: tqdm[Any], interruption: Interruption) -> EpochMonitor:
    """Train for one epoch; return its metrics."""
    epoch, seed = len(run.history) + 1, run.config.seed
    monitor = EpochMonitor()
    run.network.train()
    bar.set_postfix_str("", refresh=False)
    bar.reset()
    bar.set_description_str(f"epoch {epoch}/{run.config.epochs}", refresh=False)
    changes = torch.Generator().manual_seed(derive_seed(seed, epoch, 3))
    with seeded(derive_seed(seed, epoch), run.feed.device) as generator:
        batches = run.feed.batches(seed=derive_seed(seed, epoch, 1))
        for images, labels in interruption.between(batches):
            set_lr(run, epoch, monitor.batches)
            if run.augment is not None:
                images = run.augment(images, generator=changes)
            # No variable holds the spikes: it would keep them while the next batch is encoded.
            train_step(run, run.classifier.encode(images, generator=generator), labels, monitor)
            bar.set_postfix_str(
                f"loss {monitor.loss:.4f}, accuracy {monitor.accuracy:.2%}", refresh=False
            )
            bar.update()
    return monitor


def train_step(
    run: Run, spikes: Tensor, labels: Tensor, monitor: EpochMonitor
) -> tuple[float, float]:
    """Change the weights by the spikes ``[T, B, ...]`` and the labels ``[B]`` of a batch.

    Return the loss and the norm of the gradient before clipping.
    """
    config, processes, samples = run.config, run.processes, len(labels)
    epoch, batch = len(run.history) + 1, monitor.batches
    mine = processes.share(samples)
    spikes, labels = spikes[:, mine], labels[mine]
    learn: Any = backpropagate
    if config.truncate is not None:
        learn = functools.partial(backpropagate_truncated, truncate=config.truncate)

    run.optimizer.zero_grad(set_to_none=True)
    with processes.own_masks(spikes.device, config.seed, epoch, 4, batch):
        record, loss = learn(
            run.model, spikes, labels, run.loss, weight=processes.weight(len(labels), samples)
        )
    norm = gradient_norm(run.network, clip=config.clip_norm)

    # Read together, because a read waits for the GPU; the counts are ready by then.
    exact = torch.promote_types(loss.dtype, torch.float32)
    value, length = torch.stack([loss.to(exact).view(()), norm.to(exact)]).tolist()
    counts = batch_counts(record, labels).tolist()
    # The loss may hide NaN: a membrane of NaN never fires, so after a hidden layer NaN shows in the
    # gradient only, which must not reach the weights.
    for number, what in ((value, "loss"), (length, "gradient")):
        check_finite(
            number,
            what,
            model=run.network,
            lr=run.lr if epoch > 1 or batch else None,
            place=f"in epoch {epoch}, batch {batch + 1}",
            spikes=spikes,
        )
    run.optimizer.step()
    if run.average is not None:
        run.average.update(run.network)
    counted = len(labels) if processes.counts(samples) else 0
    monitor.add(record, counted, value, counts)
    return value, length


def set_lr(run: Run, epoch: int, batch: int) -> None:
    """Set the learning rate of a batch by the schedule."""
    within = batch / run.feed.num_batches if run.feed.num_batches else 0.0
    progress = (epoch - 1 + within) / run.config.epochs
    # A schedule may return a NumPy number or a tensor, but a checkpoint holds plain numbers.
    factor = float(get_schedule(run.config.schedule)(progress))
    for group in run.optimizer.param_groups:
        group["lr"] = run.config.lr * factor


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
