"""The notebook of ``examples/``: its form, and that it runs from top to bottom."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
PLACE = "examples/snn_mnist_classifier.ipynb"
TEXT = (ROOT / PLACE).read_text(encoding="utf-8")
NOTEBOOK: dict[str, Any] = json.loads(TEXT)
CELLS: list[dict[str, Any]] = NOTEBOOK["cells"]
CODE_CELLS = [cell for cell in CELLS if cell["cell_type"] == "code"]
KEYS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}


def python_of(cell: dict[str, Any]) -> str:
    """Return the code of a cell without the commands that only IPython understands."""
    return re.sub(r"^( *)%.*", r"\1pass", "".join(cell["source"]), flags=re.MULTILINE)


def test_it_is_a_notebook_of_format_4() -> None:
    assert set(NOTEBOOK) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert NOTEBOOK["nbformat"] == 4
    assert NOTEBOOK["nbformat_minor"] >= 5  # from which on cells have ids
    for cell in CELLS:
        assert set(cell) == KEYS[cell["cell_type"]]
        assert isinstance(cell["source"], list)
        assert all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert "".join(cell["source"]).strip()
    ids = [cell["id"] for cell in CELLS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)


def test_it_holds_nothing_of_the_machine_that_wrote_it() -> None:
    assert set(NOTEBOOK["metadata"]) == {"kernelspec", "language_info"}
    assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
    assert NOTEBOOK["metadata"]["language_info"] == {"name": "python"}
    assert [cell["id"] for cell in CELLS if cell["metadata"]] == []
    assert [cell["id"] for cell in CODE_CELLS if cell["outputs"]] == []
    assert [cell["id"] for cell in CODE_CELLS if cell["execution_count"] is not None] == []


def test_its_file_is_as_jupyter_writes_it() -> None:
    """A run that is saved without its outputs changes no line."""
    assert json.dumps(NOTEBOOK, ensure_ascii=False, indent=1, sort_keys=True) + "\n" == TEXT


@pytest.mark.parametrize("cell", CODE_CELLS, ids=lambda cell: cell["id"])
def test_each_cell_is_python(cell: dict[str, Any]) -> None:
    compile(python_of(cell), cell["id"], "exec")


def test_the_badge_opens_this_file() -> None:
    links = re.findall(r"https://colab\.research\.google\.com/github/[^)\s]+", TEXT)
    assert [link.partition("/blob/main/")[2] for link in links] == [PLACE]
    assert CELLS[0]["source"][0].startswith("# ")


def test_one_line_of_code_changes_the_data() -> None:
    lines = [line for cell in CODE_CELLS for line in python_of(cell).split("\n")]
    assert [line for line in lines if "load_mnist" in line] == [
        "train, test = data.load_digits()  # data.load_mnist() for all 70,000"
    ]
    assert sum("load_" in line and "digits" in line for line in lines) == 1


def test_the_package_is_installed_only_where_it_is_missing() -> None:
    """By the notebook's own `%pip`, which asks the kernel's Python, and by no other program."""
    assert sum("pip install" in "".join(cell["source"]) for cell in CELLS) == 1
    condition, command = "".join(CODE_CELLS[0]["source"]).split("\n")[-2:]
    assert condition.startswith('if importlib.util.find_spec("spikemnist") is None:')
    assert command == "    %pip install -q spikemnist"
    assert "subprocess" not in TEXT


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For two epochs in place of eight, which the building of the docs takes its time for."""
    code = "\n\n".join(map(python_of, CODE_CELLS))
    assert code.count('"epochs": 8,') == 1
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        exec(compile(code.replace('"epochs": 8,', '"epochs": 2,'), PLACE, "exec"), {})
    said = capsys.readouterr().out
    # Training takes half a minute and more: each epoch says that it goes on.
    epochs = re.findall(r"^epoch (\d): loss \d\.\d+, validation \d+\.\d%$", said, re.MULTILINE)
    assert epochs == ["1", "2", "1", "2"]
    accuracy = re.search(r"^accuracy (\d+\.\d)% ± ", said, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) > 90
    assert f"accuracy {accuracy[1]}%, as before" in said
    # Whatever it wrote is gone: a reader's folder stays as it was.
    assert not any(tmp_path.iterdir())
