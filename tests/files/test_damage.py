"""A damaged file is refused by its name, and nothing is lost; code in it never runs."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import Classifier, load
from tests.files.changes import Change, tensor
from tests.rooms import of_rooms
from tests.training.small_runs import interrupt_after, new_classifier, run, same, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")

MODEL, CHECKPOINT, CONFIG = "model.safetensors", "checkpoint.pt", "config.json"


def state(classifier: Classifier) -> Any:
    return repr(classifier), dict(classifier.state_dict())


def resume(path: Path) -> Any:
    """Run the epoch that is left; the optimiser and the averages count in it."""
    classifier = new_classifier(seed=1)
    before = weights(classifier)
    try:
        history = run(path.parent, classifier, epochs=2, schedule="constant", resume=True)
    except Exception:
        assert same(weights(classifier), before)
        raise
    return weights(classifier), history.to_csv()


READERS: dict[str, Callable[[Path], Any]] = {
    MODEL: lambda path: state(load(path)),
    **dict(of_rooms("READERS")),
    CHECKPOINT: resume,
    CONFIG: resume,
}
"""What reads a file of each name."""
STORED = [name for name in READERS if name.endswith(".safetensors")]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an undamaged file for each reader."""
    folder = tmp_path_factory.mktemp("sound")
    run(folder, new_classifier(), epochs=2, schedule="constant", callbacks=[interrupt_after(1)])
    new_classifier().save(folder / MODEL)
    for write in of_rooms("WRITERS"):
        write(folder)
    return folder


def copied(sound: Path, folder: Path) -> Path:
    return shutil.copytree(sound, folder, dirs_exist_ok=True)


def refusal(path: Path) -> str:
    """Return the message with which a file is refused; nothing in its folder changes."""
    before = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises((ValueError, OSError)) as caught:
        READERS[path.name](path)
    assert {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()} == before
    message = str(caught.value)
    assert any(folder in message for folder in (str(path.parent), repr(str(path.parent))[1:-1]))
    assert path.name in message or "with another configuration" in message
    assert len(message) < 2500
    return message


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_changed_bytes_are_refused_or_harmless(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """The date in an archive, for one, may be any."""
    path = copied(sound, tmp_path_factory.mktemp("changed")) / name
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.sets(places, min_size=1, max_size=4)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans(), "zeros"):
        place = data.draw(places)
        content[place : place + 512] = bytes(len(content[place : place + 512]))
    assume(content != path.read_bytes())
    path.write_bytes(content)
    try:
        actual = READERS[name](path)
    except (ValueError, OSError):
        refusal(path)
    else:
        expected = READERS[name](copied(sound, tmp_path_factory.mktemp("sound")) / name)
        assert same(actual, expected)


SENTINEL = Path("code-was-executed")


class Malice:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (SENTINEL,)


def of_torch(content: object) -> bytes:
    torch.save(content, file := io.BytesIO())
    return file.getvalue()


def archive(name: str) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as stream:
        stream.writestr(name, "hello")
    return file.getvalue()


FOREIGN: dict[str, bytes] = {
    "empty": b"",
    "zeros": bytes(4096),
    "page": b"<!DOCTYPE html><html><body>404 not found</body></html>\n",
    "list": b"[1, 2, 3]",
    "deep list": b"[" * 200_000,
    "object": b'{"config": [], "data": {}}',
    "picture": b"\x89PNG\r\n\x1a\n",
    "pickle": pickle.dumps({"model": Malice()}),
    "pickle of torch": of_torch({"format": "spikemnist-checkpoint-2", "history": Malice()}),
    "tensor": of_torch(torch.zeros(3)),
    "tensors": safetensors.torch.save({"weight": torch.zeros(2)}, {"format": "pt"}),
    "description": safetensors.torch.save({"a": torch.zeros(2)}, {"spikemnist": "[" * 200_000}),
    "archive": archive("readme.txt"),
    "archive of arrays": archive("x_train.npy"),
}


@pytest.mark.parametrize("name", READERS)
def test_other_contents_are_refused(sound: Path, tmp_path: Path, name: str) -> None:
    """Foreign ones, cut ones, those of another kind of file, and a folder."""
    path, names = copied(sound, tmp_path) / name, [*READERS]
    content = path.read_bytes()
    cut = [content[:length] for length in (1, 100, len(content) // 2, -30, -3)]
    other = (sound / names[names.index(name) - 1]).read_bytes()
    for contents in (*FOREIGN.values(), *cut, other):
        path.write_bytes(contents)
        refusal(path)
        assert not SENTINEL.exists(), contents
    path.unlink()
    path.mkdir()
    refusal(path)


@pytest.mark.parametrize("name", [*STORED, CHECKPOINT, CONFIG])
def test_a_file_without_permission_is_not_called_damaged(
    sound: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = Path.open

    def opened(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == name:
            raise PermissionError(13, "Permission denied", str(self))
        return open_(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(PermissionError, match=name):
        READERS[name](sound / name)


def rewrite(path: Path, change: Change) -> None:
    """Change description and tensors of a file, or contents and first moments of a checkpoint."""
    if path.name == CHECKPOINT:
        content = torch.load(path, weights_only=True)
        change(content, content["optimizer"]["state"][0])
        torch.save(content, path)
        return
    with safetensors.safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["spikemnist"])
    tensors = safetensors.torch.load(path.read_bytes())  # a mapped file cannot be written
    change(description, tensors)
    text = json.dumps({**description, "sha256": "0" * 64})
    data = safetensors.torch.save(tensors, {"spikemnist": text})
    path.write_bytes(data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1))


@pytest.mark.parametrize("name", [*STORED, CHECKPOINT])
def test_another_version_is_not_called_damaged(sound: Path, tmp_path: Path, name: str) -> None:
    """The advice must not be to delete the file of a newer version."""
    path = copied(sound, tmp_path) / name
    rewrite(path, lambda values, _: values.update(format="spikemnist-99"))
    message = refusal(path)
    assert "has format 'spikemnist-99'" in message
    assert "damaged" not in message
    assert "elete" not in message


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_not_saved(bad: float, tmp_path: Path) -> None:
    path = new_classifier().save(tmp_path / MODEL)
    content, classifier = path.read_bytes(), new_classifier(learn_beta=True)
    with torch.no_grad():
        classifier.get_parameter("network.network.1.leaky.beta").fill_(bad)
    with pytest.raises(ValueError, match=rf"1\.leaky\.beta holds NaN or inf.*{MODEL} was not writ"):
        classifier.save(path)
    assert path.read_bytes() == content


WEIGHT, THRESHOLD = "network.0.linear.weight", "network.0.leaky.threshold"


def last(value: float) -> Callable[[Tensor], Tensor]:
    """Return a function that sets the last number of a tensor."""
    return lambda x: torch.cat([x.flatten()[:-1], x.new_tensor([value])]).view(x.shape)


def state_of(part: str, **changed: Tensor) -> Change:
    return lambda content, _: content[part].update(changed)


CHANGES: list[tuple[Sequence[str], str, Change]] = [
    (STORED, "'classes' is missing", lambda m, _: m.pop("classes")),
    (STORED, "extra", lambda _, tensors: tensors.update(extra=torch.zeros(1))),
    ([MODEL], "got 'rnn'", lambda m, _: m["network"].update(name="rnn")),
    ([MODEL], "no option 'colour'", lambda m, _: m["network"].update(colour="red")),
    (
        [MODEL],
        "dropout must be a number, at least 0",
        lambda m, _: m["network"].update(dropout=2.0),
    ),
    (
        [MODEL],
        "spike_grad must be one of .* got 'os'",
        lambda m, _: m["network"].update(spike_grad={"name": "os"}),
    ),
    # Takes no 3e12 bytes of memory.
    ([MODEL], "4000000000", lambda m, _: m["network"].update(hidden=[4_000_000_000])),
    ([MODEL], "the model that it describes", lambda m, _: m.update(network=None)),
    ([MODEL], "needs the encoder 'morse'", lambda m, _: m.update(encoder={"name": "morse"})),
    ([MODEL], "num_steps must be", lambda m, _: m["encoder"].update(num_steps=0)),
    ([MODEL], "classes must be 10 names or none", lambda m, _: m.update(classes=["a"])),
    ([MODEL], "'limits' is missing", lambda m, _: m.pop("limits")),
    ([MODEL], "non-iterable", lambda m, _: m["limits"].update(hidden_spikes=[1.0])),
    ([MODEL], "control characters", lambda m, _: m.update(classes=[*"abcdefghi", "\x1b[31m"])),
    ([MODEL], f"Missing key.*{WEIGHT}", lambda _, tensors: tensors.pop(WEIGHT)),
    ([MODEL], f"mismatch for {WEIGHT}", tensor(WEIGHT, lambda x: x[:9])),
    ([MODEL], "nly Tensors of floating point", tensor(WEIGHT, Tensor.long)),
    ([MODEL], f"{THRESHOLD} is torch.int64, which no", tensor(THRESHOLD, Tensor.long)),
    ([MODEL], f"holds NaN or infinity in {WEIGHT}", tensor(WEIGHT, last(math.nan))),
    ([CHECKPOINT], "", lambda content, _: content["history"].update(seconds=["x"])),
    ([CHECKPOINT], "", lambda content, _: content["history"]["epochs"][0].update(loss="x")),
    ([MODEL], "", tensor(WEIGHT, lambda x: x.to(torch.float8_e4m3fn))),
    *of_rooms("CHANGES"),
    ([CHECKPOINT], "", lambda content, _: content["model"].clear()),
    ([CHECKPOINT], "", state_of("model", more=torch.zeros(3))),
    ([CHECKPOINT], "", state_of("best", more=torch.zeros(3))),
    ([CHECKPOINT], "", state_of("model", **{WEIGHT: torch.zeros(3)})),
    ([CHECKPOINT], "", state_of("model", **{WEIGHT: torch.zeros(16, 784).double()})),
    # Torch's fused kernels would read and write outside of these.
    ([CHECKPOINT], "", lambda _, moments: moments.update(exp_avg=torch.zeros(1))),
    ([CHECKPOINT], "", tensor("exp_avg", Tensor.t)),
    ([CHECKPOINT], "", tensor("exp_avg", Tensor.double)),
    ([CHECKPOINT], "", lambda _, moments: moments.pop("exp_avg")),
    ([CHECKPOINT], "", lambda _, moments: moments.update(step=torch.zeros(2))),
    ([CHECKPOINT], "", lambda c, moments: c["optimizer"]["state"].update({99: moments})),
]
"""Names of files, words of the error, and a change."""


@pytest.mark.parametrize(
    ("name", "words", "change"),
    [(name, words, change) for names, words, change in CHANGES for name in names],
)
def test_contents_that_do_not_fit_are_refused(
    sound: Path, tmp_path: Path, name: str, words: str, change: Change
) -> None:
    path = copied(sound, tmp_path) / name
    rewrite(path, change)
    assert re.search(words, refusal(path), re.DOTALL)


def test_strides_of_moments_do_not_matter(sound: Path, tmp_path: Path) -> None:
    """Nor do the settings of the optimiser, which config.json has."""
    path = copied(sound, tmp_path / "changed") / CHECKPOINT
    rewrite(path, tensor("exp_avg", lambda x: x.T.contiguous().T))
    rewrite(path, lambda c, _: c["optimizer"]["param_groups"][0].update(maximize=True, eps=-1.0))
    assert same(resume(path), resume(copied(sound, tmp_path / "sound") / CHECKPOINT))
