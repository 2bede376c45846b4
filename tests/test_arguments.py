"""Arguments of every room: numbers of other libraries, wrong names, and wrong kinds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikemnist import (
    Classifier,
    DirectEncoder,
    LatencyEncoder,
    LeakyConvNet,
    LeakyMLP,
    RateEncoder,
    TrainConfig,
    accelerate,
    evaluate,
    fit,
    get_encoder,
    load,
    load_digits,
    viz,
)
from spikemnist._arguments import check_number
from spikemnist.data import ImageDataset, RandomAffine
from spikemnist.ops import ATan
from spikemnist.training import Recipe, SpikeTimeCrossEntropy
from tests.rooms import of_rooms

# Untrained networks of a few neurons are silent.
pytestmark = pytest.mark.filterwarnings("ignore:.*did not fire in an epoch")

DIGITS = load_digits()[0][:40]
ONE_EPOCH = TrainConfig(epochs=1)


def network() -> LeakyMLP:
    return LeakyMLP(hidden=8, seed=0)


def classifier() -> Classifier:
    return Classifier(network(), "latency")


@given(st.integers(-5, 20), st.sampled_from([np.int8, np.int64, np.asarray, torch.tensor]))
def test_integers_of_other_libraries(number: int, kind: Callable[[int], Any]) -> None:
    """They pass and fail as Python's own, and become one of them."""
    if 1 <= number <= 8:
        plain = check_number("x", kind(number), "1..8")
        assert (plain, type(plain)) == (number, int)
        return
    with pytest.raises(ValueError, match=r"x must be an integer in 1\.\.8; got"):
        check_number("x", kind(number), "1..8")


@given(st.floats(-2, 2, width=32), st.sampled_from([float, np.float32, torch.tensor]))
def test_floats_of_other_libraries(number: float, kind: Callable[[float], Any]) -> None:
    if 0 <= number < 1:
        plain = check_number("x", kind(number), "[0, 1)")
        assert (plain, type(plain)) == (number, float)
        return
    with pytest.raises(ValueError, match="x must be a number, at least 0 and below 1; got"):
        check_number("x", kind(number), "[0, 1)")


@pytest.mark.parametrize("wrong", [True, np.True_, torch.tensor(True), None, "1", [1], 1.5, 1j])
def test_what_is_no_integer(wrong: Any) -> None:
    with pytest.raises(ValueError, match="x must be an integer >= 0; got"):
        check_number("x", wrong, "0..")


def validated(share: Any) -> float | None:
    history = fit(classifier(), DIGITS, ONE_EPOCH, validation=share, progress=False)
    return history.epochs[0].validation_accuracy


# Calls with a number; each takes those of NumPy and torch as those of Python.
INTEGERS: dict[str, Callable[[Any], object]] = {
    "hidden": lambda n: LeakyMLP(hidden=n).config["hidden"],
    "sizes": lambda n: LeakyMLP(hidden=[n, n], in_features=n, out_features=n).config,
    "population": lambda n: LeakyMLP(hidden=8, population=n).config["population"],
    "in_shape": lambda n: LeakyConvNet("2C3-10", in_shape=(n, 9, 9)).config["in_shape"],
    "seed": lambda n: LeakyMLP(hidden=8, seed=n).network[0].linear.weight.tolist(),
    "num_steps": lambda n: [kind(n) for kind in (RateEncoder, DirectEncoder)],
    "first_spike_time": lambda n: LatencyEncoder(9, first_spike_time=n),
    **dict(of_rooms("INTEGERS")),
    "config": lambda n: TrainConfig(epochs=n, batch_size=n, truncate=n, patience=n, seed=n),
    "batch_size": lambda n: evaluate(classifier(), DIGITS, batch_size=n, seed=n).accuracy,
    "split": lambda n: DIGITS.split(0.5, seed=n)[0].labels.tolist(),
    "batches": lambda n: [len(labels) for _, labels in DIGITS.batches(n, seed=n)],
    "index": lambda n: DIGITS[n][1].item(),
    "sample": lambda n: viz.raster(torch.zeros(8, 5, 4), sample=n).axes[0].get_title("left"),
}
FLOATS: dict[str, Callable[[Any], object]] = {
    "dropout": lambda x: LeakyMLP(dropout=x, input_dropout=x).config,
    "beta": lambda x: LeakyMLP(beta=x, threshold=x).config["beta"],
    "encoder": lambda x: (RateEncoder(gain=x, offset=x), LatencyEncoder(tau=x, threshold=x)),
    "config": lambda x: TrainConfig(lr=x, clip_norm=x, label_smoothing=x, weight_decay=x),
    "augmentation": lambda x: RandomAffine(degrees=x, scale=(x, x)),
    "loss": lambda x: SpikeTimeCrossEntropy(tau=x),
    "surrogate": lambda x: ATan(alpha=x),
    "validation": validated,
    "split": lambda x: len(DIGITS.split(x)[1]),
}


@pytest.mark.parametrize("kind", [np.int64, torch.tensor])
@pytest.mark.parametrize("call", INTEGERS)
def test_integers_of_other_libraries_in_calls(call: str, kind: Callable[[int], Any]) -> None:
    assert repr(INTEGERS[call](kind(3))) == repr(INTEGERS[call](3))


@pytest.mark.parametrize("kind", [np.float32, torch.tensor])
@pytest.mark.parametrize("call", FLOATS)
def test_floats_of_other_libraries_in_calls(call: str, kind: Callable[[float], Any]) -> None:
    assert repr(FLOATS[call](kind(0.25))) == repr(FLOATS[call](0.25))


# Calls with a name that is none, and the end of their errors.
NAMES: dict[str, Callable[[], object]] = {
    "TrainConfig has no option 'learning_rate'; did you mean lr?": lambda: TrainConfig(
        learning_rate=0.1
    ),
    "TrainConfig takes names alone: write epochs=...; got 1 by position": lambda: TrainConfig(10),  # type: ignore[misc]
    "TrainConfig has no option 'epoch'; did you mean epochs?": lambda: TrainConfig(epoch=5),
    "TrainConfig has no option 'num_epochs'; did you mean epochs?": lambda: TrainConfig(
        num_epochs=5
    ),
    "fit has no option 'epochs': write TrainConfig(epochs=...)": lambda: fit(
        classifier(), DIGITS, epochs=5
    ),
    "fit has no option 'learning_rate': write TrainConfig(lr=...)": lambda: fit(
        classifier(), DIGITS, learning_rate=5
    ),
    "fit has no option 'val'; did you mean validation?": lambda: fit(classifier(), DIGITS, val=0.1),
    "evaluate has no option 'bs'; did you mean batch_size?": lambda: evaluate(
        classifier(), DIGITS, bs=5
    ),
    "RateEncoder has no option 'steps'; did you mean num_steps?": lambda: RateEncoder(steps=25),
    "RateEncoder has no option 'timesteps'; did you mean num_steps?": lambda: RateEncoder(
        timesteps=25
    ),
    "LatencyEncoder has no option 'num_step'; did you mean num_steps?": lambda: LatencyEncoder(
        num_step=8
    ),
    "LatencyEncoder has no option 'T'; did you mean num_steps?": lambda: get_encoder(
        "latency", T=8
    ),
    "LeakyMLP has no option 'hiden'; did you mean hidden?": lambda: LeakyMLP(hiden=5),
    "LeakyMLP has no option 'reset'; did you mean reset_mechanism?": lambda: LeakyMLP(reset="zero"),
    "LeakyMLP has no option 'surrogate'; did you mean spike_grad?": lambda: LeakyMLP(
        surrogate="atan"
    ),
    "LeakyMLP has no option 'T': write it at the encoder, LatencyEncoder(num_steps=...)": lambda: (
        LeakyMLP(T=8)
    ),
    "Classifier has no option 'timesteps': write it at the encoder, LatencyEncoder(num": lambda: (
        Classifier(network(), "rate", timesteps=8)
    ),
    "RandomAffine has no option 'degree'; did you mean degrees?": lambda: RandomAffine(degree=3),
    "SpikeTimeCrossEntropy has no option 'taus'; did you mean tau?": lambda: SpikeTimeCrossEntropy(
        taus=1
    ),
    "ATan has no option 'alfa'; did you mean alpha?": lambda: ATan(alfa=1),
    "raster has no option 'samples'; did you mean sample?": lambda: viz.raster(
        DIGITS.images, samples=1
    ),
    "accelerate has no option 'read_out'; did you mean readout?": lambda: accelerate(
        nn.Linear(2, 2), read_out="x"
    ),
    **dict(of_rooms("NAMES_OF_OPTIONS")),
}


@pytest.mark.parametrize("message", NAMES)
def test_wrong_names_of_options(message: str) -> None:
    with pytest.raises(TypeError) as caught:
        NAMES[message]()
    assert str(caught.value).startswith(message)


def test_results_answer_wrong_names() -> None:
    net = classifier()
    history, evaluation = fit(net, DIGITS, ONE_EPOCH, progress=False), evaluate(net, DIGITS)
    record = net(DIGITS.images)
    for result, name, answer in (
        (history, "accuracy", "History has no 'accuracy': write history.column('accuracy')"),
        (history, "losses", "History has no 'losses': write history.column('loss')"),
        (evaluation, "acc", "Evaluation has no 'acc'; did you mean accuracy?"),
        (record, "hidden", "Record has no 'hidden': write record.layers[0], of network(spikes, r"),
        (record, "mem", "Record has no 'mem'; did you mean membrane?"),
        (record, "state", "this record has no state, since the network was called without one"),
    ):
        with pytest.raises(AttributeError) as caught:
            getattr(result, name)
        assert str(caught.value).startswith(answer)
    for call, answer in (
        (lambda: history["loss"], r"no entries: write history.column\('loss'\)"),
        (lambda: record["hidden 1"], r"no entries: write record.layers\[0\]"),
        (lambda: f"{evaluation:.1%}", "no format '.1%': format its .accuracy"),
    ):
        with pytest.raises(TypeError, match=answer):
            call()
    assert f"{evaluation}" == str(evaluation)
    assert not hasattr(record, "__array__")


RECORD = r"draws a Record of classifier\(images\)"
WRONG_DATA: dict[str, Callable[[], object]] = {
    rf"membrane {RECORD} or of network\(spikes\); got Tensor": lambda: viz.membrane(DIGITS.images),
    rf"raster {RECORD}.* or a Tensor of .*; got ndarray": lambda: viz.raster(np.zeros((3, 4))),
    rf"animate {RECORD}.*; got list": lambda: viz.animate([]),
    r"training_curves draws a History of fit\(\.\.\.\); got dict": lambda: viz.training_curves({}),
    "confusion draws an Evaluation of .*; got LeakyMLP": lambda: viz.confusion(network()),
    "codes draws a dictionary by names; got NoneType": lambda: viz.codes(None),
    "of_sample draws a Tensor of .*, or a Record of .*; got int": lambda: viz.of_sample(5),
    "for a picture file, call spikemnist.decide": lambda: classifier().predict("8.png"),
    r"such as torch.utils.data.DataLoader\(dataset, batch_size=64\); got Subset": lambda: fit(
        classifier(), torch.utils.data.Subset(DIGITS, [1, 2])
    ),
    **dict(of_rooms("OBJECTS")),
}


@pytest.mark.parametrize("message", WRONG_DATA)
def test_objects_of_another_kind(message: str) -> None:
    with pytest.raises(TypeError, match=message):
        WRONG_DATA[message]()


def nothing_to_train(**options: Any) -> None:
    readout = options.pop("readout", "mean_membrane")
    net = Classifier(LeakyMLP(hidden=8, readout=readout), "latency")
    fit(net, DIGITS, TrainConfig(epochs=1, **options), progress=False)


def detached(spikes: Tensor, membrane: Tensor) -> Tensor:
    return membrane.mean(0).detach()


detached.running = True  # type: ignore[attr-defined]

TORCH_FILE = r"state.pt is a zip, as torch.save writes: .* load_state_dict\(torch.load"
VALUES: dict[str, Callable[[], object]] = {
    r"\(8, 40, 32, 32\)\. A network for such samples has in_features=1024": lambda: evaluate(
        classifier(), (torch.ones(40, 32, 32), DIGITS.labels)
    ),
    r"has in_shape=\(1, 20, 20\)": lambda: LeakyConvNet()(torch.zeros(8, 2, 20, 20)),
    r"Were they spikes before they were encoded\? Then call classifier.network": lambda: (
        classifier()(classifier().encode(DIGITS.images))
    ),
    "All timesteps go in one call, without a loop": lambda: [
        network()(step) for step in classifier().encode(DIGITS.images)
    ],
    r"the loss has no gradient.*look for \.detach\(\)": lambda: nothing_to_train(
        loss=lambda record, labels: cross_entropy(record.scores.detach(), labels)
    ),
    "nothing would be trained": lambda: nothing_to_train(readout=detached, truncate=4),
    "unknown encoder 5; choose from": lambda: get_encoder(5),
    "unknown encoder None; choose from": lambda: Recipe.from_json(
        {**Recipe().to_json(), "encoder": {"name": None}}
    ).classifier(),
    "gain must be a number, finite; got int": lambda: RateEncoder(gain=10**400),
    "epochs must be an integer >= 1 and below .*; got int": lambda: TrainConfig(epochs=10**400),
    "deterministic must be True or False; got 'False'": lambda: RateEncoder(deterministic="False"),
    "seed must be an integer in 0.*; got 'a'": lambda: LeakyMLP(seed="a"),
    "spike_grad must be one of atan, .*; got 'foo'": lambda: Recipe.from_json(
        {**Recipe().to_json(), "network": {"name": "mlp", "spike_grad": {"name": "foo"}}}
    ).classifier(),
    **dict(of_rooms("VALUES")),
}


@pytest.mark.parametrize("message", VALUES)
def test_values_that_do_not_fit(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VALUES[message]()


def test_weights_of_torch(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "state.pt")
    with pytest.raises(ValueError, match=TORCH_FILE):
        load(tmp_path / "state.pt")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.int32])
def test_labels_of_every_integer_dtype(dtype: torch.dtype) -> None:
    labels = DIGITS.labels.to(dtype)
    assert ImageDataset(DIGITS.images, labels).labels.equal(DIGITS.labels)


def test_inputs_and_outputs_among_the_hidden_layers() -> None:
    """The list of all sizes is a habit of tutorials."""
    message = r"hidden=\(784, 100, 10\) are hidden layers.* did you mean hidden=\(100,\)\?"
    with pytest.warns(UserWarning, match=message) as caught:
        LeakyMLP([784, 100, 10])
    assert [one.filename for one in caught] == [__file__]
    for sizes, ends in (([784, 100], (784, 10)), ([3, 3], (3, 3)), ([], (784, 10))):
        LeakyMLP(sizes, in_features=ends[0], out_features=ends[1])  # warnings are errors


def test_names_of_classes_that_the_data_lack() -> None:
    named = Classifier(network(), "latency", tuple("abcdefghij"))
    few = DIGITS[DIGITS.labels < 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for measure in (evaluate, *of_rooms("OF_CLASSIFIERS")):
            measure(named, few, progress=False)
