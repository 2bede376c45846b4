"""Checkpoints that are missing, damaged, foreign or malicious."""

from __future__ import annotations

import copy
import hashlib
import io
import math
import os
import pickle
import random
import re
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from spikemnist.models import save_model
from spikemnist.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from tests.training.small_runs import new_model, run, same


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(folder, new_model(), epochs=2)
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


ADVICE = r"Delete it to start at the first epoch"
FOREIGN = rf"is not a checkpoint of spikemnist.*\. {ADVICE}$"
DAMAGED = rf"is damaged: .*{ADVICE}"
OLD = Path(__file__).parent.parent / "files_of_0_1_0" / "checkpoint.pt"


def refuse(folder, content, message=FOREIGN):
    """Expect one line that names the file and says what to do, and no warning."""
    damaged = folder / "damaged.pt"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(damaged)) + " " + message) as caught:
        load_checkpoint(damaged)
    said = str(caught.value)
    assert "\n" not in said
    assert "weights_only" not in said


def saved(content):
    """Return a file with the digest that spikemnist would write."""
    file = io.BytesIO()
    torch.save(content, file)
    archive = bytearray(file.getvalue())
    archive[-2:] = (71).to_bytes(2, "little")
    return bytes(archive + b"sha256=" + hashlib.sha256(archive).hexdigest().encode())


def test_a_checkpoint_reads_back(file, tmp_path):
    checkpoint = load_checkpoint(file)
    save_checkpoint(checkpoint, tmp_path / "again.pt")
    again = load_checkpoint(tmp_path / "again.pt")
    assert same(vars(again), vars(checkpoint))
    assert list(checkpoint.model) == list(new_model().state_dict())


def test_a_checkpoint_holds_no_code_and_no_foreign_type(file):
    assert type(load_checkpoint(file).settings) is dict
    with zipfile.ZipFile(file) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        code = archive.read(name)
    # Every global that the pickle names, such as b"ctorch._utils\n_rebuild_tensor_v2\n".
    modules = set(re.findall(rb"c([\w.]+)\n\w+\n", code))
    assert modules <= {b"torch", b"torch._utils", b"collections"}


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint to resume from at .*nowhere.pt"):
        load_checkpoint(tmp_path / "nowhere.pt")
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from at"):
        load_checkpoint(tmp_path)


def test_a_truncated_file(file, folder):
    content = file.read_bytes()
    lengths = [0, 1, 2, 100, 1000, *range(0, len(content), len(content) // 40), len(content) - 1]
    for length in lengths:
        refuse(folder, content[:length], DAMAGED if length > 3 else FOREIGN)


def test_every_flipped_bit_is_noticed(file, folder):
    """At random places and at those where no other check looks: the ends and the weights."""
    whole = file.read_bytes()
    places = random.Random(0).sample(range(len(whole)), 300)
    begin = whole.find(load_checkpoint(file).model["layers.0.linear.weight"].numpy().tobytes())
    for place in (*places, *range(100), *range(begin, begin + 9), *range(-100, 0)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        refuse(folder, damaged, DAMAGED)


def test_a_checkpoint_is_a_file_of_torch(file):
    content = torch.load(file, weights_only=True)
    assert content["format"] == FORMAT
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None


def test_a_checkpoint_of_0_1_0_is_read_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"checkpoint.pt has no digest of its contents") as said:
        checkpoint = load_checkpoint(OLD)
    assert len(said) == 1
    assert len(checkpoint.history) == 1
    save_checkpoint(checkpoint, tmp_path / "new.pt")
    load_checkpoint(tmp_path / "new.pt")  # without a warning, which would be an error here


def test_flips_in_the_contents_of_a_checkpoint_of_0_1_0_are_noticed(folder):
    """The archive has a checksum for each entry."""
    whole = OLD.read_bytes()
    with zipfile.ZipFile(OLD) as archive:
        for entry in archive.infolist():
            content = archive.read(entry)
            begin = whole.index(content, entry.header_offset + 30 + len(entry.filename))
            for place in {begin, begin + len(content) // 2, begin + len(content) - 1}:
                damaged = bytearray(whole)
                damaged[place] ^= 0x10
                refuse(folder, damaged, rf"is damaged: the checksum of {entry.filename} is wrong")


def test_an_archive_that_unpacks_is_not_unpacked(folder):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    refuse(folder, content.getvalue())


@given(st.binary(max_size=80))
@example(b"")
@example(b"hello\n")
@example(b"\x80\x02}q\x00.")
@example(b"\x89PNG\r\n\x1a\n")
@example(b"l")
@example(b"K\x02d")
@example(b"X\xff")
@example(b"sha256=")
def test_any_other_bytes(folder, content):
    refuse(folder, content)


def without(name):
    content = {"format": FORMAT, "settings": {}, "model": {}, "optimizer": {}, "best": None}
    content["history"] = {"epochs": [], "best_epoch": None}
    return {key: value for key, value in content.items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        [1, 2],
        3,
        "text",
        None,
        {},
        {"model": torch.zeros(3)},
        *(without(name) for name in ("format", "settings", "model", "optimizer", "history")),
        without("best"),
        {**without(None), "history": {"epochs": [{"epoch": 1}]}},
        {**without(None), "history": {"epochs": 3}},
        {**without(None), "history": {"accuracy": []}},
        {**without(None), "history": [1]},
    ],
    ids=repr,
)
def test_what_torch_saved_for_somebody_else(folder, content):
    refuse(folder, saved(content))


def test_a_state_dict_and_a_model_file(folder):
    refuse(folder, saved(new_model().state_dict()))
    save_model(new_model(), folder / "model.safetensors")
    refuse(folder, (folder / "model.safetensors").read_bytes())


def test_a_zip_file_of_something_else(folder):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(folder, content.getvalue(), FOREIGN)


@pytest.mark.parametrize("name", ["spikemnist-checkpoint-0", "spikemnist-checkpoint-x", "other-2"])
def test_another_format_is_named(folder, name):
    content = {**without(None), "format": name}
    message = f"is not a checkpoint.*: it has format .{name}.; this version reads .*-1"
    refuse(folder, saved(content), message)


@pytest.mark.parametrize("content", [without(None), {"entries": "of its own"}], ids=["same", "new"])
def test_a_newer_format_is_no_damage(folder, content):
    """The advice must not be to delete it, which would lose the run."""
    message = (
        "was written by a newer version of spikemnist: it has format .spikemnist-checkpoint-12., "
        "and this version reads .spikemnist-checkpoint-1.. Upgrade spikemnist to resume the run$"
    )
    refuse(folder, saved({**content, "format": "spikemnist-checkpoint-12"}), message)


def saved_by_protocol_4(content):
    """Torch warns of such a file, and asks to report it."""
    file = io.BytesIO()
    torch.save(content, file, pickle_protocol=4)
    return file.getvalue()


class Payload:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("where", ["pickle", "archive", "settings", "protocol 4"])
def test_a_payload_does_not_run(folder, tmp_path, where):
    trap = tmp_path / "trap"
    payload = Payload(str(trap))
    content = {
        "pickle": pickle.dumps(payload, protocol=2),
        "archive": saved(payload),
        "protocol 4": saved_by_protocol_4(payload),
        "settings": saved({**without("settings"), "settings": payload}),
    }[where]
    refuse(folder, content)
    assert not trap.exists()
    pickle.loads(pickle.dumps(payload))
    assert trap.exists(), "the payload is harmless, so this test proves nothing"


def test_resuming_a_damaged_file_leaves_it_and_the_model_alone(file, tmp_path):
    content = file.read_bytes()[:5000]
    (tmp_path / "checkpoint.pt").write_bytes(content)
    model = new_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=DAMAGED):
        run(tmp_path, model, epochs=2, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content
    assert same(dict(model.state_dict()), before)


def test_a_file_that_may_not_be_read_is_not_called_damaged(file, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(file), "read_bytes", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_checkpoint(file)


def momentum_of(content):
    return content["optimizer"]["state"][0]


WRONG = {
    "a model of strings": lambda c: c["model"].update({WEIGHT: "x"}),
    "no model": lambda c: c["model"].clear(),
    "weights of another shape": lambda c: c["model"].update({WEIGHT: torch.zeros(3)}),
    "weights of another dtype": lambda c: c["model"].update({WEIGHT: c["model"][WEIGHT].double()}),
    "one weight too many": lambda c: c["model"].update(more=torch.zeros(3)),
    "NaN": lambda c: c["model"][WEIGHT].view(-1)[3:4].fill_(math.nan),
    "infinity": lambda c: c["model"][WEIGHT].view(-1)[3:4].fill_(-math.inf),
    "a best model of another shape": lambda c: c.update(best={WEIGHT: torch.zeros(3)}),
    "NaN in the best model": lambda c: c.update(
        best={**c["model"], WEIGHT: torch.full_like(c["model"][WEIGHT], math.nan)}
    ),
    "an optimiser without groups": lambda c: c["optimizer"].pop("param_groups"),
    "an optimiser without a state": lambda c: c["optimizer"].pop("state"),
    "groups that are none": lambda c: c["optimizer"].update(param_groups=3),
    "groups of numbers": lambda c: c["optimizer"].update(param_groups=[3]),
    "groups has other parameters": lambda c: c["optimizer"]["param_groups"][0].update(params=[7]),
    "a learning rate of letters": lambda c: c["optimizer"]["param_groups"][0].update(lr="x"),
    "betas of letters": lambda c: c["optimizer"]["param_groups"][0].update(betas=("x", 1)),
    "a state of numbers": lambda c: c["optimizer"]["state"].update({0: 3}),
    "the state of no parameter": lambda c: c["optimizer"]["state"].update({99: {}}),
    "half a state": lambda c: momentum_of(c).pop("exp_avg"),
    "a state of letters": lambda c: momentum_of(c).update(exp_avg="x"),
    "a state of another shape": lambda c: momentum_of(c).update(exp_avg=torch.zeros(2)),
    "a history of letters": lambda c: c["history"]["epochs"][0].update(loss="x"),
    "a history of other epochs": lambda c: c["history"]["epochs"][0].update(epoch=5),
    "more seconds than epochs": lambda c: c["history"]["seconds"].append(1.0),
    "tensors among settings": lambda c: c["settings"].update(epochs=torch.ones(2)),
    "settings of another run": lambda c: c["settings"].update(lr=9.0),
    "a format that is a tensor": lambda c: c.update(format=torch.zeros(2)),
}
WEIGHT = "layers.0.linear.weight"


@pytest.mark.parametrize("what", WRONG)
def test_contents_that_do_not_fit_are_refused_in_a_sentence(file, tmp_path, what):
    """Though the digest is right: a file of another program, or of another run."""
    content = copy.deepcopy(torch.load(file, weights_only=True))
    WRONG[what](content)
    damaged = tmp_path / "checkpoint.pt"
    damaged.write_bytes(saved(content))
    model = new_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=re.escape(str(damaged))) as caught:
        run(tmp_path, model, epochs=2, resume=True)
    said = str(caught.value)
    assert "object" not in said, "a raw message of Python"
    assert re.search(ADVICE + "|cannot resume", said)
    assert same(dict(model.state_dict()), before)


def test_options_that_a_later_torch_added_are_filled_in(file, tmp_path):
    content = torch.load(file, weights_only=True)
    del content["optimizer"]["param_groups"][0]["amsgrad"]
    (tmp_path / "checkpoint.pt").write_bytes(saved(content))
    run(tmp_path, new_model(), epochs=2, resume=True)
