"""The notebook of ``examples/``: what it stores, and that it and its solutions run."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from spikemnist import training
from spikemnist.encoding import registry

ROOT = Path(__file__).resolve().parent.parent
PLACE = "examples/snn_mnist_classifier.ipynb"
SCRIPT = "scripts/run_notebook.py"
TEXT = (ROOT / PLACE).read_text(encoding="utf-8")
NOTEBOOK: dict[str, Any] = json.loads(TEXT)
CELLS: list[dict[str, Any]] = NOTEBOOK["cells"]
SOURCES: dict[str, str] = {cell["id"]: "".join(cell["source"]) for cell in CELLS}
CODE_CELLS = [cell for cell in CELLS if cell["cell_type"] == "code"]
OUTPUTS = [output for cell in CODE_CELLS for output in cell["outputs"]]
PRINTED = "".join(line for output in OUTPUTS for line in output.get("text", ()))
# GitHub and Jupyter read the inside of the tags as Markdown only between empty lines.
FOLDED = re.compile(
    r"\n\n<details>\n<summary>Solution</summary>\n\n(.*?)\n\n</details>$", re.DOTALL
)
EXERCISES = {name: text for name, text in SOURCES.items() if name.startswith("exercise-")}


def python_of(cell: dict[str, Any]) -> str:
    """Return the code of a cell without the commands that only IPython understands."""
    return re.sub(r"^( *)%.*", r"\1pass", "".join(cell["source"]), flags=re.MULTILINE)


def solution_of(exercise: str) -> str:
    """Return the code in the folded solution of an exercise."""
    (solution,) = FOLDED.findall(exercise)
    (code,) = re.findall(r"^```python\n(.*?)\n```$", solution, re.MULTILINE | re.DOTALL)
    return str(code)


def test_its_outputs_are_those_of_its_code() -> None:
    digest = runpy.run_path(str(ROOT / SCRIPT))["digest"]
    code = ["".join(cell["source"]) for cell in CODE_CELLS]
    assert NOTEBOOK["metadata"]["code_sha256"] == digest(code), f"changed: run python {SCRIPT}"


def test_it_stores_nothing_of_the_machine() -> None:
    assert [cell["execution_count"] for cell in CODE_CELLS] == [*range(1, len(CODE_CELLS) + 1)]
    assert [cell["id"] for cell in CELLS if cell["metadata"]] == []
    assert NOTEBOOK["metadata"].keys() == {"code_sha256", "kernelspec", "language_info"}
    assert NOTEBOOK["metadata"]["language_info"] == {"name": "python"}
    assert {output["name"] for output in OUTPUTS if "name" in output} == {"stdout"}
    assert {kind for output in OUTPUTS for kind in output.get("data", ())} <= {
        "image/png",
        "text/plain",
    }
    # Folders, drives and addresses of objects.
    assert re.findall(r"(?<!\w)/\w+/|\b[A-Z]:\\|\b0x[0-9a-f]{6}", PRINTED) == []
    assert len(TEXT) < 1e6


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_and_its_solutions_run_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For one epoch in place of five, which the building of the docs takes its time for."""
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    # The other tests hide the GPU from the library, but not from this name.
    monkeypatch.setattr(training, "available_devices", lambda: ("cpu",))
    monkeypatch.chdir(tmp_path)
    code = "\n\n".join(map(python_of, CODE_CELLS))
    assert code.count("EPOCHS = 5\n") == 1
    code = code.replace("EPOCHS = 5\n", "EPOCHS = 1\n")
    names: dict[str, Any] = {"__name__": "notebook"}
    with torch.random.fork_rng():
        exec(compile(code, PLACE, "exec", dont_inherit=True), names)
        said = capsys.readouterr().out
        names["kept"] = names["kept"][:1000]  # a solution trains anew, which need not be good
        answers = {}
        for name, text in EXERCISES.items():
            exec(compile(solution_of(text), name, "exec", dont_inherit=True), names)
            answers[name] = capsys.readouterr().out

    assert "snntorch.Leaky has the same membranes: True" in said
    # Training takes seconds: each epoch says that it goes on, in both loops.
    epochs = re.findall(r"^epoch 1:.* validation (\d+\.\d)%$", said, re.MULTILINE)
    assert len(epochs) == 2
    assert min(map(float, epochs)) > 80
    spikes = re.search(r"^by hand: ([\d,]+) hidden, ", said, re.MULTILINE)
    assert spikes is not None
    differing = dict(re.findall(r"run by (\w+): (\d+) hidden and \d+ output", said))
    assert set(differing) == {"snntorch", "event_driven"}
    assert differing["snntorch"] == "0"
    assert int(differing["event_driven"]) <= 1e-3 * int(spikes[1].replace(",", ""))
    accuracies = re.findall(r"^by (?:hand|fit) +accuracy (\d+\.\d)% ± ", said, re.MULTILINE)
    assert len(accuracies) == 2
    assert min(map(float, accuracies)) > 85
    assert "weights on cpu, run by event_driven" in said
    assert f"accuracy {accuracies[1]}%, as before" in said

    below, above = re.findall(r"(\d+) spikes", answers["exercise-current"])
    assert int(below) == 0 < int(above)
    tied = re.findall(r"tied (\d+\.\d)%", answers["exercise-readout"])
    assert float(tied[0]) < float(tied[1])
    sent = [int(count) for count in re.findall(r"(\d+) in,", answers["exercise-codes"])]
    assert sent[1] == min(sent) < min(sent[0], sent[2])
    learned = re.search(r"accuracy (\d+\.\d)% .* run by reference", answers["exercise-surrogate"])
    assert learned is not None
    assert float(learned[1]) > 60
    wrong = names["titles"]
    assert wrong
    assert all(title[0] != title.partition(" read as ")[2][0] for title in wrong)
    # Whatever it wrote is gone: a reader's folder stays as it was.
    assert not any(tmp_path.iterdir())
