"""Checkpoints that are missing, damaged, foreign, malicious, or of another run."""

from __future__ import annotations

import io
import math
import os
import pickle
import random
import re
import shutil
import zipfile

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from spikemnist.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from tests.training.small_runs import new_classifier, new_network, run, same, weights

ADVICE = "Delete it to start at the first epoch"
WEIGHT = "network.0.linear.weight"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(folder, new_classifier(), epochs=1)
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def refuse(folder, content):
    """Expect one line that names the file and says what to do."""
    damaged = folder / "damaged.pt"
    damaged.write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        load_checkpoint(damaged)
    assert str(caught.value) == f"{damaged} is damaged, or not a checkpoint of spikemnist. {ADVICE}"


def saved(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def test_a_checkpoint_reads_back(file, tmp_path):
    checkpoint = load_checkpoint(file)
    save_checkpoint(checkpoint, tmp_path / "again.pt")
    assert same(vars(load_checkpoint(tmp_path / "again.pt")), vars(checkpoint))
    assert list(checkpoint.model) == list(new_network().state_dict())
    assert torch.load(file, weights_only=True)["format"] == FORMAT


def test_a_missing_file(tmp_path):
    for path in (tmp_path / "nowhere.pt", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"no checkpoint to resume from at {path}"):
            load_checkpoint(path)


def test_a_truncated_file(file, folder):
    content = file.read_bytes()
    for length in (0, 1, 100, *range(1000, len(content), len(content) // 10), len(content) - 1):
        refuse(folder, content[:length])


def test_a_flipped_bit_is_noticed_unless_it_changes_nothing(file, folder):
    """Each entry of the archive has a checksum; its date, for one, has none."""
    data, original = file.read_bytes(), load_checkpoint(file)
    begin = data.find(original.model[WEIGHT].numpy().tobytes())
    weight, noticed = set(range(begin, begin + 9)), set()
    places = random.Random(0).sample(range(len(data)), 50)
    for place in {*places, *range(0, 200, 4), *weight, *range(len(data) - 80, len(data), 2)}:
        content = bytearray(data)
        content[place] ^= 1 << place % 8
        (folder / "flipped.pt").write_bytes(content)
        try:
            checkpoint = load_checkpoint(folder / "flipped.pt")
        except ValueError:
            noticed.add(place)
        else:
            assert same(vars(checkpoint), vars(original))
    assert noticed >= weight
    assert len(noticed) > 50


@given(st.binary(max_size=80))
@example(b"hello\n")
@example(b"\x80\x02}q\x00.")
@example(b"\x89PNG\r\n\x1a\n")
def test_any_other_bytes(folder, content):
    refuse(folder, content)


@pytest.mark.parametrize(
    "content", [torch.zeros(3), [1, 2], "text", None, {}, {WEIGHT: torch.zeros(3)}], ids=repr
)
def test_another_file_of_torch(folder, content):
    refuse(folder, saved(content))


def test_another_archive_and_a_model_file(folder):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(folder, content.getvalue())
    refuse(folder, new_classifier().save(folder / "model.safetensors").read_bytes())


def test_another_format_is_not_called_damaged(folder):
    """The advice must not be to delete the file of a newer version."""
    (folder / "new.pt").write_bytes(saved({"format": "spikemnist-checkpoint-12"}))
    message = f"new.pt has format 'spikemnist-checkpoint-12'; .* of spikemnist reads '{FORMAT}'$"
    with pytest.raises(ValueError, match=message):
        load_checkpoint(folder / "new.pt")


class Payload:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("where", ["pickle", "archive", "history"])
def test_a_payload_does_not_run(folder, tmp_path, where):
    trap = tmp_path / "trap"
    payload = Payload(str(trap))
    content = {
        "pickle": pickle.dumps(payload, protocol=2),
        "archive": saved(payload),
        "history": saved({"format": FORMAT, "history": payload}),
    }[where]
    refuse(folder, content)
    assert not trap.exists()
    pickle.loads(pickle.dumps(payload))
    assert trap.exists(), "the payload is harmless, so this test proves nothing"


def test_a_file_without_permission_is_not_called_damaged(file, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(file), "read_bytes", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_checkpoint(file)


CHANGES = {
    "no weights": lambda c: c.model.clear(),
    "weights of another shape": lambda c: c.model.update({WEIGHT: torch.zeros(3)}),
    "weights of another dtype": lambda c: c.model.update({WEIGHT: c.model[WEIGHT].double()}),
    "one weight too many": lambda c: c.model.update(more=torch.zeros(3)),
    "NaN": lambda c: c.model[WEIGHT].view(-1)[3].fill_(math.nan),
    "infinity in the best weights": lambda c: c.best[WEIGHT].view(-1)[3].fill_(-math.inf),
    "an average of another shape": lambda c: c.average.update({WEIGHT: torch.zeros(3)}),
    "no average": lambda c: setattr(c, "average", None),
    # Torch's fused kernels would read and write outside of these.
    "a moment of one number": lambda c: moments(c).update(exp_avg=torch.zeros(1)),
    "a moment of another shape": lambda c: moments(c).update(exp_avg=moments(c)["exp_avg"].T),
    "a moment that is NaN": lambda c: moments(c)["exp_avg_sq"].view(-1)[3].fill_(math.nan),
    "no moment": lambda c: moments(c).pop("exp_avg"),
    "a step of two numbers": lambda c: moments(c).update(step=torch.zeros(2)),
    "a state of no parameter": lambda c: c.optimizer["state"].update({99: moments(c)}),
}


def moments(checkpoint):
    """Return the state of the optimiser for the first weights."""
    return checkpoint.optimizer["state"][0]


def test_strides_and_settings_of_a_resumed_optimiser(tmp_path):
    """A transposed moment has the right shape and numbers, and the settings are in config.json."""
    run(tmp_path / "sound", new_classifier(), epochs=1, schedule="constant")
    shutil.copytree(tmp_path / "sound", tmp_path / "changed")
    checkpoint = load_checkpoint(tmp_path / "changed" / "checkpoint.pt")
    moments(checkpoint)["exp_avg"] = moments(checkpoint)["exp_avg"].T.contiguous().T
    checkpoint.optimizer["param_groups"][0].update(maximize=True, eps=-1.0)
    save_checkpoint(checkpoint, tmp_path / "changed" / "checkpoint.pt")
    ends = []
    for name in ("sound", "changed"):
        classifier = new_classifier()
        run(tmp_path / name, classifier, epochs=2, schedule="constant", resume=True)
        ends.append(weights(classifier))
    assert same(*ends)


@pytest.mark.parametrize(
    "change",
    [
        lambda history: history.update(seconds=2.5),
        lambda history: history.update(best_epoch="first"),
        lambda history: history.update(stopped_early=-1),
        lambda history: history["epochs"].append(history["epochs"][0]),
        lambda history: history["epochs"][0].update(loss="low"),
        lambda history: history["epochs"][0].pop("lr"),
    ],
)
def test_an_impossible_history(file, folder, change):
    content = torch.load(file, weights_only=True)
    change(content["history"])
    refuse(folder, saved(content))


@pytest.mark.parametrize("what", CHANGES)
def test_a_state_that_does_not_fit_changes_nothing(file, tmp_path, what):
    checkpoint = load_checkpoint(file)
    CHANGES[what](checkpoint)
    shutil.copy(file.with_name("config.json"), tmp_path)
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(checkpoint, path)
    before, classifier = path.read_bytes(), new_classifier()
    untouched = weights(classifier)
    message = f"{re.escape(str(path))} does not fit the run: .*{ADVICE}"
    with pytest.raises(ValueError, match=message):
        run(tmp_path, classifier, epochs=1, resume=True)
    assert path.read_bytes() == before
    assert same(weights(classifier), untouched)
