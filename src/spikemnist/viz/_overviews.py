"""The pictures that belong to a run, and those that belong to a sample.

Shapes: ``T`` timesteps, ``B`` batch, ``H`` and ``W`` of an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from torch import Tensor

from spikemnist._arguments import must_be
from spikemnist._doors import import_object, is_installed
from spikemnist.viz._animation import animate
from spikemnist.viz._encodings import encoding
from spikemnist.viz._membranes import membrane
from spikemnist.viz._rasters import raster
from spikemnist.viz._samples import drawing, input_sample
from spikemnist.viz._training import confusion, training_curves
from spikemnist.viz._weights import receptive_fields

if TYPE_CHECKING:
    from spikemnist._evaluation import Evaluation
    from spikemnist.models.record import Record
    from spikemnist.training import History

    Draw = Callable[[], Any]

BEYOND = {
    "decision": "spikemnist.recognition.decision_pictures.decision_of_image",
    "spike_counts": "spikemnist.recognition.decision_pictures.spike_counts",
    "stdp": "spikemnist.plasticity.stdp_pictures.stdp",
    "energy": "spikemnist.energy.energy_picture.energy",
    "event_frames": "spikemnist.events.event_frames.event_frames",
    "event_animation": "spikemnist.events.event_frames.animate_events",
}
"""Door to the pictures that rooms beyond add, by name."""


def of_run(
    classifier: Any = None,
    *,
    history: History | None = None,
    evaluation: Evaluation | None = None,
    energy: Any = None,
    image_shape: Sequence[int] = (28, 28),
) -> dict[str, Figure]:
    """Draw what a run has learned: a picture of each thing that is given.

    Pictures of a room that is missing in this installation are left out.

    Parameters
    ----------
    classifier : Classifier, STDPClassifier or ConvSTDPClassifier, default None
        Trained classifier: ``"receptive_fields"``, and of an `STDPClassifier` also ``"stdp"``.
    history : History, default None
        Result of `fit`: ``"training"``.
    evaluation : Evaluation, default None
        Result of `evaluate`: ``"confusion"``, and the accuracy among the curves of the training.
    energy : Energy, default None
        Result of `measure_energy`: ``"energy"``.
    image_shape : sequence of int, default (28, 28)
        Shape of a sample, for the receptive fields of dense layers: ``(H, W)``, or ``(C, H, W)``,
        whose channels are drawn below one another.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        Pictures by name.

    Raises
    ------
    ValueError
        When the weights do not fit ``image_shape``, or the history has no epoch.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, evaluate, load_digits, viz
    >>> classifier = Classifier(LeakyMLP(hidden=20), "latency")
    >>> result = evaluate(classifier, load_digits()[1][:50])
    >>> figures = viz.of_run(classifier, evaluation=result)
    >>> [*figures]
    ['receptive_fields', 'confusion']
    """
    figures: dict[str, Figure] = {}
    if history is not None:
        figures["training"] = training_curves(history, test=evaluation)
    if classifier is not None:
        shape = _rows_and_columns(image_shape)
        figures["receptive_fields"] = receptive_fields(classifier, image_shape=shape)
    if evaluation is not None:
        figures["confusion"] = confusion(evaluation)
    beyond = {"stdp": classifier if hasattr(classifier, "assignments_") else None, "energy": energy}
    for name, data in beyond.items():
        if data is not None and _is_drawn(name):
            figures[name] = import_object(BEYOND[name])(data)
    return figures


@drawing
def of_sample(
    record: Tensor | Record,
    samples: Any = None,
    *,
    sample: int = 0,
    label: int | Tensor | None = None,
    names: Sequence[str] = (),
    animations: bool = False,
) -> dict[str, Any]:
    """Draw what a network does with one sample: the input, each layer, the decision.

    ``"encoding"``, ``"decision"`` with the membranes of the output layer, ``"raster"`` and
    ``"membrane"`` of the first layer, and ``"spike_counts"``; of a recording with events also
    ``"event_frames"``; of spikes without a network only those of the input. A decision needs scores
    after each timestep: see `spikemnist.models.running_scores`. Pictures of a room that is missing
    in this installation are left out.

    Parameters
    ----------
    record : Record or torch.Tensor
        Record of a model that was called with ``record="all"``, or spikes ``[T, B, ...]``.
    samples : torch.Tensor or EventBatch, default None
        Images ``[B, ...]`` or recordings before encoding, drawn beside the spikes.
    sample : int, default 0
        Index of the sample in the batch.
    label : int or torch.Tensor, default None
        True class of the sample, if known.
    names : sequence of str, default ()
        Pictures to draw; all if there are none.
    animations : bool, default False
        Whether to add ``"animation"``, and of a recording with events ``"event_animation"``.

    Returns
    -------
    dict of str to matplotlib.figure.Figure or matplotlib.animation.FuncAnimation
        Pictures by name. Keep an animation in a variable until it is saved.

    Raises
    ------
    IndexError
        When the batch has no such sample.
    ValueError
        When there is no picture of such a name, the Record holds no input, or ``label`` is not a
        class of it.

    Examples
    --------
    >>> from spikemnist import load, load_digits, viz
    >>> digits = load_digits()[1][:4]
    >>> record = load("mnist-mlp")(digits.images, record="all")
    >>> figures = viz.of_sample(record, digits.images, sample=2, names=["raster", "membrane"])
    >>> [figure.axes[0].get_ylabel() for figure in figures.values()]
    ['hidden 1, sorted by spikes', 'hidden 1 neuron']
    """
    recorded = hasattr(samples, "recording")
    image = None if samples is None or recorded else samples[sample]
    values = input_sample(record, sample)[0]
    original = image if image is not None and image.numel() == values.numel() else None
    shape = _rows_and_columns((values if original is None else original).shape)
    options: Any = {"sample": sample, "label": label}
    stills: dict[str, Draw] = {
        "encoding": lambda: encoding(record, sample=sample, image=original, image_shape=shape)
    }
    moving: dict[str, Draw] = {}
    if not isinstance(record, Tensor):
        if record.has_running_scores:
            stills["decision"] = lambda: import_object(BEYOND["decision"])(record, image, **options)
            moving["animation"] = lambda: animate(record, image_shape=shape, **options)
        stills["raster"] = lambda: raster(record, layer=0, sample=sample)
        stills["membrane"] = lambda: membrane(record, layer=0, sample=sample)
        stills["spike_counts"] = lambda: import_object(BEYOND["spike_counts"])(record, **options)
    if recorded and len(events := samples.recording(sample)):
        sensor = samples.sensor
        frames = {"num_frames": 12, "sensor": sensor}
        stills["event_frames"] = lambda: import_object(BEYOND["event_frames"])(events, **frames)
        moving["event_animation"] = lambda: import_object(BEYOND["event_animation"])(
            events, sensor=sensor
        )
    if unknown := [name for name in names if name not in stills]:
        raise must_be("names", f"among {', '.join(stills)}", unknown)
    chosen = {name: stills[name] for name in names or stills} | (moving if animations else {})
    return {name: draw() for name, draw in chosen.items() if _is_drawn(name)}


def _is_drawn(name: str) -> bool:
    """Return whether the room of a picture is there."""
    return name not in BEYOND or is_installed(BEYOND[name])


def _rows_and_columns(shape: Sequence[int]) -> tuple[int, int]:
    """Return the height and width of a picture of values, with channels below one another."""
    return math.prod(shape[:-1]), shape[-1]
