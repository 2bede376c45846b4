"""The page of accuracies: what its rows say of our commands and of other projects' results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import accuracies
from benchmarks.plan import Plan
from spikemnist.models import LeakyMLP

OTHERS = json.loads(accuracies.PUBLISHED.read_text("utf-8"))
COLUMN = {name: number for number, name in enumerate(accuracies.HEADER)}
TRAIN = (
    "test accuracy     97.50% of 10,000 images, standard error 0.16%\n"
    "weights           after the last of 6 epochs\n"
    "spikes per image  input 150, hidden 1 301, hidden 2 40, output 4\n"
)


def run(printed: str, seconds: float = 9.0, **more: Any) -> dict[str, Any]:
    return {"printed": printed, "seconds": seconds, "seed": 0, **more}


def entry(**more: Any) -> dict[str, Any]:
    return {
        "data": "mnist",
        "task": accuracies.TASKS[0],
        "name": "A",
        "url": "https://a.org",
        **more,
    }


def test_tasks_and_parameters_of_the_commands_of_the_plan() -> None:
    for line in Plan().commands:
        setup = accuracies.described(line)
        assert setup.data in accuracies.SETS
        assert setup.task in accuracies.TASKS[:-1]
        assert int(setup.epochs) > 0
        assert setup.parameters > 1000 or "SVM" in setup.network


@pytest.mark.parametrize(
    ("options", "task"),
    [
        ("", "MLP, images as they are"),
        ("--augment affine", "MLP, augmented images"),
        ("--spike-penalty 1e-4", "MLP, few spikes; ours with augmented images"),
        ("--model conv", "Convolutions, images as they are"),
        ("--model conv --augment affine", "Convolutions, augmented images"),
        ("--model conv --num-steps 1", accuracies.BY_BACKPROPAGATION[-1]),
    ],
)
def test_task_of_a_command(options: str, task: str) -> None:
    assert accuracies.described(f"spikemnist train --data mnist {options}").task == task


def test_row_of_a_training() -> None:
    line = "spikemnist train --data mnist --hidden 30 20"
    quieter = TRAIN.replace("97.50", "97.70").replace("301", "299")
    row = accuracies.ours(line, [run(TRAIN), run(quieter), run(TRAIN, 900.0, busy="others")], 7)
    cells = [row.cells[COLUMN[name]] for name in ("Runs", "Last, %", "Time")]
    assert cells == ["3\u00a0x\u00a06", "97.57 ±\u00a00.12 (97.50 to 97.70)", "9 s (2 runs)"]
    assert row.cells[0] == "**Ours (7)**: 784-30-20-10, latency code, T=8"
    assert row.cells[COLUMN["Spikes"]] == "150 + 344"
    weights = sum(weight.numel() for weight in LeakyMLP((30, 20), in_features=784).parameters())
    assert row.cells[COLUMN["Parameters"]] == f"{weights / 1000:.1f} k"


def test_spikes_of_neurons_and_of_features() -> None:
    neurons = run("spikes per image  12.3; silent for 0.0% of the images\n")
    assert accuracies.spikes([neurons]) == "12"
    assert accuracies.spikes([run("spikes per sample neurons 1,012.3\n")]) == "1012"
    assert accuracies.spikes([run("features appear   in 773.0 cells of an image\n")]) == "773"
    assert accuracies.spikes([run("nothing of the kind\n")]) == "–"


def test_row_of_another_program() -> None:
    row = accuracies.ours("train", [run("test accuracy 97.00% of 1,000 images\n")])
    assert row.cells[1:5] == ("97.00", "–", "–", "1\u00a0x\u00a0–")


def test_order_of_published_results() -> None:
    known = accuracies.published(entry(network="3-2", tail="98.1", last="98.4", best="99.0"))
    unsaid = accuracies.published(entry(network="3-2", best="98.2"))
    assert (known.figure, unsaid.figure) == (98.1, 98.2)
    rows = accuracies.groups([known, unsaid]).splitlines()
    assert rows[2].startswith(f"| **{known.task}** |")
    assert ["99.0" in row for row in rows[3:]] == [False, True]


def test_tasks_in_which_others_are_ahead() -> None:
    theirs = accuracies.published(entry(network="3-2", best="98.2"))
    line = "spikemnist train --data mnist"
    below = accuracies.ours(line, [run(TRAIN)])
    above = accuracies.ours(line, [run(TRAIN.replace("97.50", "98.50"))])
    assert next(accuracies.ahead([theirs, below])) == (
        "MNIST, MLP, images as they are: A 98.2; ours 97.50"
    )
    assert [*accuracies.ahead([theirs, above])] == [*accuracies.ahead([])]
    (absent,) = accuracies.ahead([theirs])
    assert absent.startswith("No row of ours: MNIST, MLP, images as they are; ")


@pytest.mark.parametrize("other", OTHERS, ids=lambda one: f"{one['name']} {one['task']}")
def test_source_and_figure_of_a_published_result(other: dict[str, Any]) -> None:
    assert other["url"].startswith("https://")
    assert other["task"] in accuracies.TASKS[:-1]
    assert other["data"] in accuracies.SETS
    assert "tail" not in other or other["epochs"] >= 10
    figures = [float(other[kind]) for kind in ("tail", "last", "best") if kind in other]
    assert figures
    assert float(other.get("best", 100)) == max([float(other.get("best", 100)), *figures])
    assert ("hours" in other) <= ("machine" in other)
