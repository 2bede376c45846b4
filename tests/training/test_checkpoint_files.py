"""Checkpoints that are missing, damaged, foreign or malicious."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from small_runs import new_model, run, same

from spikemnist.models import save_model
from spikemnist.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(folder, new_model(), epochs=2)
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def refuse(folder, content, message="is damaged or no spikemnist checkpoint of this version: "):
    damaged = folder / "damaged.pt"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(damaged)) + " " + message):
        load_checkpoint(damaged)


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


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
        refuse(folder, content[:length])


@given(st.binary(max_size=80))
@example(b"")
@example(b"hello\n")
@example(b"\x80\x02}q\x00.")
@example(b"\x89PNG\r\n\x1a\n")
@example(b"l")
@example(b"K\x02d")
@example(b"X\xff")
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
    refuse(folder, content.getvalue())


def test_another_format_is_named(folder):
    content = {**without(None), "format": "spikemnist-checkpoint-9"}
    message = "is damaged .*: it has format .spikemnist-checkpoint-9.; this version reads .*-1"
    refuse(folder, saved(content), message)


class Payload:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("where", ["pickle", "archive", "settings"])
def test_a_payload_does_not_run(folder, tmp_path, where):
    trap = tmp_path / "trap"
    payload = Payload(str(trap))
    content = {
        "pickle": pickle.dumps(payload, protocol=2),
        "archive": saved(payload),
        "settings": saved({**without("settings"), "settings": payload}),
    }[where]
    refuse(folder, content, ".*Weights only load failed")
    assert not trap.exists()
    pickle.loads(pickle.dumps(payload))
    assert trap.exists(), "the payload is harmless, so this test proves nothing"


def test_resuming_a_damaged_file_leaves_it_and_the_model_alone(file, tmp_path):
    content = file.read_bytes()[:5000]
    (tmp_path / "checkpoint.pt").write_bytes(content)
    model = new_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="damaged or no spikemnist checkpoint"):
        run(tmp_path, model, epochs=2, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == content
    assert same(dict(model.state_dict()), before)


def test_a_file_that_may_not_be_read_is_not_called_damaged(file, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(file), "read_bytes", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_checkpoint(file)
