"""The notebook of ``examples/``: what it stores, and that it and its solutions run."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from matplotlib.figure import Figure

from spikemnist import training
from spikemnist.encoding import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

# Matplotlib draws tensors by a protocol of NumPy that torch has not taken up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
PLACE = "examples/snn_mnist_classifier.ipynb"
SCRIPT = "scripts/run_notebook.py"
RUN = runpy.run_path(str(ROOT / "scripts/guide_pictures.py"))["run"]
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
EXERCISES = [name.removeprefix("exercise-") for name in SOURCES if name.startswith("exercise-")]
GAP = re.compile(r"^ +\.\.\.$", re.MULTILINE)


def run_cell(source: str, names: dict[str, Any]) -> object:
    """Run a cell as Jupyter does, and return the value of its last expression."""
    # Without the commands that only IPython understands.
    return RUN(re.sub(r"^( *)%.*", r"\1pass", source, flags=re.MULTILINE), names)


def solution_of(exercise: str) -> str:
    """Return the code in the folded solution of an exercise."""
    (solution,) = FOLDED.findall(SOURCES[f"exercise-{exercise}"])
    (code,) = re.findall(r"^```python\n(.*?)\n```$", solution, re.MULTILINE | re.DOTALL)
    return str(code)


def filled(exercise: str, lines: str) -> str:
    """Return the cell of an exercise with lines in its gap."""
    source = SOURCES[f"write-{exercise}"]
    assert len(GAP.findall(source)) == 1
    return GAP.sub(lambda _: lines, source)


def words(printed: str) -> set[str]:
    """Return the lines without their numbers."""
    lines = re.sub(r"-?\d[\d.,]*", "#", printed).splitlines()
    return {re.sub(r"\s+", " ", line) for line in lines}


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


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")  # the own surrogate
def test_it_and_its_solutions_run_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For one epoch in place of five, which the building of the docs takes its time for."""
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    # The other tests hide the GPU from the library, but not from this name.
    monkeypatch.setattr(training, "available_devices", lambda: ("cpu",))
    monkeypatch.chdir(tmp_path)
    assert TEXT.count("EPOCHS = 5\\n") == 1
    names: dict[str, Any] = {"__name__": "notebook"}
    answers = {}
    with torch.random.fork_rng():
        values = {
            cell["id"]: run_cell(SOURCES[cell["id"]].replace("EPOCHS = 5", "EPOCHS = 1"), names)
            for cell in CODE_CELLS
        }
        said = capsys.readouterr().out
        names["drawn_digit"]().save("my-digit.jpg")
        run_cell(SOURCES["own-photograph"], names)
        answers["photograph"] = capsys.readouterr().out
        names["kept"] = names["kept"][:1000]  # a solution trains anew, which need not be good
        for name in EXERCISES:
            has_gap = f"write-{name}" in SOURCES
            run_cell(filled(name, solution_of(name)) if has_gap else solution_of(name), names)
            answers[name] = capsys.readouterr().out

    # A figure is a picture, and nothing else is shown but printed.
    assert {type(value) for value in values.values()} == {Figure, type(None)}
    assert [name for name, value in values.items() if value is not None] == [
        cell["id"]
        for cell in CODE_CELLS
        if any("image/png" in output.get("data", ()) for output in cell["outputs"])
    ]
    assert words(said) == words(PRINTED), f"the library prints otherwise: run python {SCRIPT}"

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

    assert said.count("nothing yet: replace the ... by your lines\n") == 3
    assert "the network reads 2; " in said
    assert "no file my-digit.jpg" in said
    assert answers["photograph"].startswith("the network reads 2; ")
    assert answers["encoder"] == answers["neuron"] == "right: equal to the library\n"
    learned = re.fullmatch(
        r"right.*^accuracy (\d+\.\d)% .* run by reference\n", answers["surrogate"], re.M | re.S
    )
    assert learned is not None
    assert float(learned[1]) > 60
    below, above = re.findall(r"(\d+) spikes", answers["current"])
    assert int(below) == 0 < int(above)
    tied = re.findall(r"tied (\d+\.\d)%", answers["readout"])
    assert float(tied[0]) < float(tied[1])
    sent = [int(count) for count in re.findall(r"(\d+) in,", answers["codes"])]
    assert sent[1] == min(sent) < min(sent[0], sent[2])
    wrong = names["titles"]
    assert wrong
    assert all(title[0] != title.partition(" read as ")[2][0] for title in wrong)
    # Whatever it wrote is gone: a reader's folder stays as it was.
    assert [file.name for file in tmp_path.iterdir()] == ["my-digit.jpg"]


@pytest.fixture(scope="module")
def before_training() -> Iterator[dict[str, Any]]:
    """Return the names of the notebook once its neuron has run."""
    names: dict[str, Any] = {"__name__": "notebook"}
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(registry, "_factories", dict(registry._factories))
        for cell in CODE_CELLS:
            run_cell(SOURCES[cell["id"]], names)
            if cell["id"] == "write-neuron":
                break
        yield names


MISTAKES = [
    ("encoder", "==", "<=", "a pixel fires more than once"),
    ("encoder", "0.01", "0", "a pixel below 0.01 fires"),
    ("encoder", "1 - brightness", "brightness", "dark pixels fire first"),
    ("encoder", "num_steps - 1", "num_steps", "some pixels never fire: the last timestep is T - 1"),
    ("encoder", "round()", "long()", "round to the nearest timestep"),
    ("encoder", "time = ", "spikes = spikes[:, 0]; time = ", "the shape must be [10, 1, 28, 28];"),
    ("neuron", "(1 - spike) * membrane", "membrane - spike", "one threshold is subtracted"),
    ("neuron", "(1 - spike) * ", "", "the membrane is never reset"),
    ("neuron", "(membrane)", "(membrane * (1 - spike))", "the reset is too early"),
    (
        "neuron",
        "+ current\n        spike = (membrane > threshold).float()",
        "+ current; spike = (torch.stack(membranes[-1:] or [spike])[0] > threshold).float()",
        "the reset is too late",
    ),
    (
        "neuron",
        "beta * (1 - spike) * membrane + current",
        "(1 - spike) * (beta * membrane + current)",
        "the reset must not clear the new current",
    ),
    ("neuron", "beta *", "beta**2 *", "not yet: the first difference is at [1]"),
    ("surrogate", "grad /", "1 /", "multiply by `grad`"),
    ("surrogate", ".abs()", "", "the curve must be symmetric"),
    ("surrogate", " ** 2", "", "the square is missing"),
    ("surrogate", "10 *", "25 *", "the curve has another width"),
]


@pytest.mark.parametrize(("exercise", "right", "wrong", "hint"), MISTAKES)
def test_a_mistake_in_a_gap_gets_its_hint(
    before_training: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    exercise: str,
    right: str,
    wrong: str,
    hint: str,
) -> None:
    lines = solution_of(exercise)
    assert right in lines
    cell = filled(exercise, lines.replace(right, wrong))
    run_cell(cell, dict(before_training))
    (answer,) = capsys.readouterr().out.splitlines()
    assert answer.startswith(hint)
