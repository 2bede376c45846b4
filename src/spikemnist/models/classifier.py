"""A network and the encoder that it was trained with, as one object.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` samples.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from spikemnist._arguments import check_number, must_be, named
from spikemnist._descriptions import fields_of
from spikemnist._interrupt import between
from spikemnist._progress import progress_bar
from spikemnist._seeds import seeded
from spikemnist._tensor_files import check_classes
from spikemnist._tensors import check_tensor
from spikemnist.data.dataset import LabelledDataset, Samples
from spikemnist.data.feed import Dataset, Feed, by_name
from spikemnist.encoding import Encoder, get_encoder
from spikemnist.models import files
from spikemnist.models.limits import Limits
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.network_options import ELSEWHERE
from spikemnist.models.record import Record, check_record


@named(ELSEWHERE)
class Classifier(nn.Module):
    """A network with its encoder: samples in, a `Record` out.

    Parameters
    ----------
    network : torch.nn.Module
        A `LeakyMLP`, a `LeakyConvNet`, a network of `accelerate`, or any module that maps spikes
        ``[T, B, ...]`` to a `Record`. It holds all parameters.
    encoder : Encoder or str
        Encoder that makes the spikes. A name stands for that encoder with its defaults: ``"rate"``
        is ``get_encoder("rate")``, of 8 timesteps.
    classes : sequence of str, default ()
        Names of the classes, in the order of the output neurons. Data with names as well are mapped
        by them, whatever the order of their labels, and data of other classes are refused.

    Attributes
    ----------
    limits : Limits
        Limits beyond which a decision on a picture is doubted; in a new classifier ``Limits()``.

    Raises
    ------
    TypeError
        If network or encoder are of another kind.
    ValueError
        If the name of the encoder is unknown, or if the encoder has parameters, which would not be
        trained; if ``classes`` are no tuple of different, printable names.

    Examples
    --------
    >>> from spikemnist import LatencyEncoder, LeakyMLP, load_digits
    >>> _, test = load_digits()
    >>> classifier = Classifier(LeakyMLP(hidden=100), LatencyEncoder(num_steps=8))
    >>> record = classifier(test.images[:5])
    >>> record.spikes.shape, classifier.predict(test[:50]).shape
    (torch.Size([8, 5, 10]), torch.Size([50]))
    """

    def __init__(
        self, network: nn.Module, encoder: Encoder | str, classes: Sequence[str] = ()
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise must_be("network", "a torch.nn.Module, such as LeakyMLP()", network, TypeError)
        self.network = network
        self.classes: tuple[str, ...] = tuple(classes)
        check_classes(classes if isinstance(classes, str) else self.classes)
        self.limits = Limits()
        self._encoder = _check_encoder(encoder)
        compact = isinstance(network, SpikingNetwork) and getattr(self._encoder, "binary", False)
        self._spikes: dict[str, Any] = {"dtype": torch.uint8} if compact else {}

    @property
    def encoder(self) -> Encoder:
        """The encoder, read-only: for another encoder, make another classifier."""
        return self._encoder

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def __repr__(self) -> str:
        names = [f"classes {', '.join(self.classes)}"] if self.classes else []
        lines = [_brief(self.encoder), *repr(self.network).splitlines(), *names]
        return "\n  ".join(["Classifier", *lines])

    def forward(
        self,
        samples: Samples,
        *,
        generator: torch.Generator | None = None,
        record: Literal["output", "all"] = "output",
    ) -> Record:
        """Encode samples, and run the network on their spikes.

        Parameters
        ----------
        samples : torch.Tensor or EventBatch
            Images ``[B, ...]``, or recordings for an `~spikemnist.encoding.EventEncoder`.
        generator : torch.Generator, default None
            Source of the encoder's randomness; None is torch's global CPU generator.
        record : str, default "output"
            ``"all"`` records every layer, see `SpikingNetwork.forward`.

        Returns
        -------
        Record

        Raises
        ------
        TypeError, ValueError
            If the samples do not fit the encoder, its spikes the network, or its outputs the names
            of the classes; if the network returns no `Record`.
        """
        spikes = self.encode(samples, generator=generator)
        # A network of another kind may know no record.
        options = {} if record == "output" else {"record": record}
        response = check_record(self.network(spikes, **options))
        if not self.classes:
            return response
        if len(self.classes) != (number := response.scores.shape[1]):
            raise ValueError(
                f"classes has {len(self.classes)} names, but the network has {number} classes"
            )
        return dataclasses.replace(response, classes=self.classes)

    if TYPE_CHECKING:  # torch.nn.Module calls `forward`, and says nothing of its types
        __call__ = forward

    def encode(self, samples: Samples, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the spikes that the network receives.

        Parameters
        ----------
        samples, generator
            As in `forward`.

        Returns
        -------
        torch.Tensor
            Spikes ``[T, B, ...]`` on the device of the samples: uint8 where the code has only zeros
            and ones and the network is a `SpikingNetwork`, otherwise as the encoder makes them.

        Raises
        ------
        TypeError, ValueError
            If the samples do not fit the encoder.
        ValueError
            If the encoder does not return ``num_steps`` timesteps of each sample.
        """
        spikes = self._encoder(samples, generator=generator, **self._spikes)
        expected = (self.encoder.num_steps, len(samples))
        if tuple(spikes.shape[:2]) != expected:
            raise ValueError(
                f"{type(self.encoder).__name__} must return spikes [T, B, ...], here "
                f"[{expected[0]}, {expected[1]}, ...], with T = num_steps first; got shape "
                f"{tuple(spikes.shape)}"
            )
        return spikes

    def predict(
        self,
        data: Samples | Dataset,
        *,
        batch_size: int = 256,
        seed: int = 0,
    ) -> Tensor:
        """Return the class of each sample, in evaluation mode.

        Parameters
        ----------
        data : torch.Tensor, EventBatch, ImageDataset or EventDataset
            Images ``[N, ...]``, one batch of recordings, or a dataset, whose labels are not used.
        batch_size : int, default 256
            Number of samples per batch; a batch of recordings is not divided.
        seed : int, default 0
            Seed for encoders that draw random numbers.

        Returns
        -------
        torch.Tensor
            Classes ``[N]``, int64, on the CPU.

        Raises
        ------
        TypeError, ValueError
            If the samples do not fit the encoder, or its spikes the network.
        """
        batch_size = check_number("batch_size", batch_size, "1..")
        with evaluating(self, seed) as generator:
            classes = [
                self(samples.to(self.device), generator=generator).predictions.cpu()
                for samples in _batches(data, batch_size)
            ]
        return torch.cat([torch.empty(0, dtype=torch.int64), *classes])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write network, encoder, classes and limits to one safetensors file, atomically.

        `spikemnist.load` reads it. A file holds no code. Of a network, an encoder or a readout of
        your own it has the name: build the classifier again, and call `load_weights`. Of a
        surrogate gradient of your own it has the name, too, but the network that is loaded
        predicts the same, and asks for the surrogate when it is trained.

        Parameters
        ----------
        path : str or os.PathLike
            File to write, usually ``*.safetensors``. A missing folder is created.

        Returns
        -------
        pathlib.Path
            ``path``.

        Raises
        ------
        ValueError
            If a parameter holds NaN or infinity.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import spikemnist
        >>> classifier = Classifier(spikemnist.LeakyMLP(hidden=20), "latency")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = classifier.save(f"{folder}/digits.safetensors")
        ...     spikemnist.load(file).network.sizes
        {'hidden 1': 20, 'output': 10}
        """
        description = files.describe_classifier(self.network, self.encoder, self.classes)
        return files.write_classifier(
            path, self.network, description | {"limits": fields_of(self.limits)}
        )

    def load_weights(self, source: str | os.PathLike[str]) -> Classifier:
        """Load the weights of a file of `save` into the network, which may be of your own.

        The classifier gets the limits of the file as well, and its names of the classes.

        Parameters
        ----------
        source : str or os.PathLike
            File, or folder of a run.

        Returns
        -------
        Classifier
            The classifier itself.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, a weight has another name, shape or dtype, or the classifier has
            other names of the classes. The network stays unchanged.

        Warns
        -----
        UserWarning
            If the file describes another encoder, reset, readout, population, or geometry of
            convolutions.

        Examples
        --------
        >>> import tempfile
        >>> from spikemnist import LeakyMLP
        >>> one, other = (Classifier(LeakyMLP(hidden=20), "latency") for _ in range(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = one.save(f"{folder}/digits.safetensors")
        ...     weights = other.load_weights(file).state_dict()
        >>> all(torch.equal(weights[name], x) for name, x in one.state_dict().items())
        True
        """
        read = files.load_weights(source, self.network, self.encoder, self.classes)
        self.limits, self.classes = read
        return self


def load_classifier(path: Path) -> Classifier:
    """Load what `Classifier.save` wrote: see `spikemnist.load`."""
    network, encoder, classes, limits = files.read_classifier(path)
    classifier = Classifier(network, encoder, classes).eval()
    classifier.limits = limits
    return classifier


def check_classifier(classifier: object, function: str) -> None:
    """Raise a `TypeError` for a network without its encoder, or anything else."""
    if not isinstance(classifier, Classifier):
        raise TypeError(
            f"{function} takes a Classifier, a network with its encoder, as in "
            f"Classifier(LeakyMLP(), 'latency'); got {type(classifier).__name__}"
        )


def check_network(classifier: Classifier, function: str) -> SpikingNetwork:
    """Return the network of a classifier, or raise a `TypeError` if it does not show its layers."""
    check_classifier(classifier, function)
    if not isinstance(classifier.network, SpikingNetwork):
        raise TypeError(
            f"{function} needs a LeakyMLP, a LeakyConvNet or a network from accelerate(); got "
            f"{type(classifier.network).__name__}"
        )
    return classifier.network


@contextmanager
def evaluating(classifier: Classifier, seed: int) -> Iterator[torch.Generator]:
    """Put a classifier into evaluation mode within the context; yield a seeded CPU generator.

    Inference mode is on, so nothing is kept for a backward pass.
    """
    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    try:
        with torch.inference_mode(), seeded(seed, classifier.device) as generator:
            yield generator
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def responses(
    classifier: Classifier,
    feed: Feed,
    *,
    seed: int,
    options: Mapping[str, Any],
    progress: bool,
) -> Iterator[Iterator[tuple[Tensor, Record, Tensor]]]:
    """Yield the spikes, the Record and the labels of each batch, in evaluation mode.

    ``options`` go to the network. The labels are those of the classifier, by the names of the
    classes: see `by_name`. Without a batch, the iterator raises a `ValueError`.
    """
    feed = dataclasses.replace(feed, data=by_name(feed.data, classifier.classes))
    with (
        evaluating(classifier, seed) as generator,
        progress_bar(
            progress=progress, total=feed.num_batches, desc="testing", unit="batch"
        ) as bar,
    ):

        def run() -> Iterator[tuple[Tensor, Record, Tensor]]:
            empty = True
            for samples, labels in between(feed.batches()):
                empty = False
                spikes = classifier.encode(samples, generator=generator)
                yield spikes, classifier.network(spikes, **options), labels
                bar.update()
            if empty:
                raise ValueError("the data to evaluate are empty")

        yield run()


def _check_encoder(encoder: Encoder | str) -> Encoder:
    """Return an encoder, built by name if a name is given."""
    if isinstance(encoder, str):
        return get_encoder(encoder)
    if not isinstance(encoder, Encoder) or isinstance(encoder, type):
        expected = "a name such as 'latency', or an Encoder such as LatencyEncoder(num_steps=8)"
        raise must_be("encoder", expected, encoder, TypeError)
    if isinstance(encoder, nn.Module) and any(True for _ in encoder.parameters()):
        raise ValueError(
            f"{type(encoder).__name__} has parameters, and an encoder is not trained: put them "
            "into a first layer of the network, and take DirectEncoder as the encoder"
        )
    return encoder


def _brief(encoder: Encoder) -> str:
    """Return the printed form of an encoder: the timesteps, and options not at their defaults."""
    if not dataclasses.is_dataclass(encoder):
        return repr(encoder)
    options = [(field, getattr(encoder, field.name)) for field in dataclasses.fields(encoder)]
    settings = [
        f"{field.name}={value!r}"
        for field, value in options
        if field.name == "num_steps" or value != field.default
    ]
    return f"{type(encoder).__name__}({', '.join(settings)})"


def _batches(data: Samples | Dataset, batch_size: int) -> Iterable[Any]:
    if isinstance(data, LabelledDataset):
        return (samples for samples, _ in data.batches(batch_size))
    if not isinstance(data, Tensor) and isinstance(data, Samples):
        return [data]
    if isinstance(data, (str, os.PathLike)):
        remedy = f"call spikemnist.decide(classifier, {str(data)!r})"
        raise TypeError(f"predict takes images; for a picture file, {remedy}")
    check_tensor(data, "data", "[N, ...]")
    return torch.split(data, batch_size) if len(data) else []
