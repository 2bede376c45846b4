"""The course of ``examples/course``: sheets, solutions, and checks that name the mistake."""

from __future__ import annotations

import itertools
import json
import math
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

COURSE = Path(__file__).resolve().parent.parent / "examples" / "course"
sys.path.insert(0, str(COURSE))  # as in a notebook that lies there

import checks  # noqa: E402

MAKE = runpy.run_path(str(COURSE / "solutions" / "make_sheets.py"))
SOLUTIONS = sorted((COURSE / "solutions").glob("[0-9]_*.py"))
NAMES = [path.stem for path in SOLUTIONS]


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code of a sheet in a folder of its own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(checks, "_right", {})
    with torch.random.fork_rng():
        exec(compile(code, "sheet", "exec", dont_inherit=True), {"__name__": "sheet"})


def tasks_of(solution: str) -> list[str]:
    """Return the functions that a sheet checks."""
    return re.findall(r"^(\w+) = check\(\1\)$", solution, re.MULTILINE)


@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_sheet_is_made_from_its_solution(path: Path) -> None:
    text = path.read_text("utf-8")
    assert (COURSE / f"{path.stem}.ipynb").read_text("utf-8") == MAKE["sheet"](text)
    assert len(tasks_of(text)) >= 2


def test_every_task_belongs_to_one_sheet() -> None:
    asked = [name for path in SOLUTIONS for name in tasks_of(path.read_text("utf-8"))]
    assert sorted(asked) == sorted(checks.TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_solution_is_right(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = path.read_text("utf-8")
    run(text, tmp_path, monkeypatch)
    said = capsys.readouterr().out
    count = len(tasks_of(text))
    assert "not yet" not in said
    assert f"{count} of {count} right" in said


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_sheet_with_its_gaps_runs_and_says_what_is_missing(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cells = json.loads((COURSE / f"{path.stem}.ipynb").read_text("utf-8"))["cells"]
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    run(code.replace(MAKE["MAGIC"], "", 1), tmp_path, monkeypatch)
    said = capsys.readouterr().out
    for name in tasks_of(code):
        assert f"{name}: not yet. It returns nothing: the gap is empty" in said
    assert f"0 of {len(tasks_of(code))} right" in said


def check(name: str, code: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a check says of a function that a student wrote."""
    space = {"math": math, "torch": torch, "functional": torch.nn.functional}
    exec(compile(code, "cell", "exec"), space)
    checks.check(space[name])
    return capsys.readouterr().out


RATE = "def rate_code(brightness, random):\n"
LATENCY = """def latency_code(brightness, num_steps):
    time = ((1 - brightness) * (num_steps - 1)).round()
    spikes = torch.zeros(num_steps, *brightness.shape)
    for t in range(num_steps):
        spikes[t] = (time == t).float() * (brightness >= 0.01)
    return spikes
"""
READ = "def read_latency(spikes):\n    time = spikes.argmax(0)\n"
MEASURE = "def spikes_and_error(x, spikes, read):\n    gap = (x - read) ** 2\n"
NEURON = """def neuron(current, beta, threshold):
    mem, spk, spikes, mems = torch.zeros(current.shape[1]), 0, [], []
    for t in range(len(current)):
        mem = beta * mem + current[t] - threshold * spk
        spk = (mem > threshold) * 1.0
        spikes += [spk]
        mems += [mem]
    return torch.stack(spikes), torch.stack(mems)
"""
INTERVAL = """def interval(current, beta, threshold):
    rheobase = threshold * (1 - beta)
    if current <= rheobase:
        return math.inf
    return int(math.log(1 - rheobase / current, beta)) + 1
"""
SURROGATE = """def surrogate(distance, alpha):
    z = math.pi * alpha * distance / 2
    return alpha / (2 * (1 + z * z))
"""
LEAKY = """def leaky_backward(membranes, d_spikes, d_membranes, beta, threshold, alpha):
    x = math.pi / 2 * alpha * (membranes - threshold)
    delta = d_membranes + d_spikes * alpha / 2 / (1 + x**2)
    for t in range(len(membranes) - 2, -1, -1):
        delta[t] += beta * delta[t + 1]
    return delta
"""
TRAIN = """def train_epoch(network, optimizer, batches):
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(x).mean(dim=0), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
"""
SPIKE = """def spike_backward(upstream, membranes, threshold, alpha):
    x = membranes - threshold
    return upstream * alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2)
"""

RIGHT = [
    ("rate_code", RATE + "    return 1.0 * (brightness > random)"),
    ("latency_code", LATENCY),
    ("read_latency", READ + "    return spikes.sum(0) * (1 - time / (len(spikes) - 1))"),
    ("spikes_and_error", MEASURE + "    return spikes.sum() / len(x), math.sqrt(gap.mean())"),
    ("neuron", NEURON),
    ("interval", INTERVAL),
    ("surrogate", SURROGATE),
    ("spike_backward", SPIKE),
    ("leaky_backward", LEAKY),
    ("train_epoch", TRAIN),
]
"""Right answers, as other students write them."""


@pytest.mark.parametrize(("name", "code"), RIGHT, ids=[name for name, _ in RIGHT])
def test_a_right_function_is_right(
    name: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{name}: right" in check(name, code, capsys)


MISTAKES = [
    # Sheet 1
    ("rate_code", RATE + "    return (random > brightness).float()", "Dark pixels fire most"),
    ("rate_code", RATE + "    return (random < brightness) * brightness", "a spike is 1"),
    ("latency_code", LATENCY.replace(" * (brightness >= 0.01)", ""), "Black pixels fire"),
    (
        "latency_code",
        LATENCY.replace("(num_steps - 1)).round", "num_steps).round"),
        "num_steps - 1",
    ),
    ("latency_code", LATENCY.replace(".round()", ".long()"), "round it to the nearest"),
    ("latency_code", LATENCY.replace("time == t", "time <= t"), "goes on firing"),
    ("read_latency", READ + "    return 1 - time / (len(spikes) - 1)", "read as white"),
    (
        "spikes_and_error",
        MEASURE + "    return spikes.sum() / len(x), gap.mean()",
        "The root is missing",
    ),
    # Sheet 2
    (
        "neuron",
        NEURON.replace(
            "        spikes +=", "        mem = mem - threshold * spk\n        spikes +="
        ).replace(" - threshold * spk\n        spk", "\n        spk"),
        "The reset happens in the same timestep; here it belongs to the next",
    ),
    ("neuron", NEURON.replace(" - threshold * spk", ""), "never reset"),
    ("neuron", NEURON.replace("threshold * spk", "spk"), "A spike subtracts 1"),
    (
        "neuron",
        NEURON.replace(
            "beta * mem + current[t] - threshold * spk", "beta * mem * (1 - spk) + current[t]"
        ),
        "sets the membrane to zero; here it subtracts",
    ),
    ("neuron", NEURON.replace("mem > threshold", "mem >= threshold"), "with >, not >="),
    (
        "neuron",
        NEURON.replace("+ current[t]", "+ (1 - beta) * current[t]"),
        "multiplied by 1 - beta",
    ),
    (
        "neuron",
        NEURON.replace(
            "beta * mem + current[t] - threshold * spk",
            "beta * (mem - threshold * spk) + current[t]",
        ),
        "before the decay",
    ),
    ("interval", INTERVAL.replace(")) + 1", "))"), "one timestep too short"),
    ("interval", INTERVAL.replace(" int(", " (").replace(" + 1", ""), "not whole"),
    # Sheet 3
    ("surrogate", SURROGATE.replace("z * z", "z"), "Nothing is squared"),
    ("surrogate", SURROGATE.replace("alpha / (2 *", "1 / (1 *"), "The factor alpha / 2 is missing"),
    ("spike_backward", SPIKE.replace("upstream * ", ""), "The upstream gradient is missing"),
    ("spike_backward", SPIKE.replace("- threshold", ""), "taken at the membrane"),
    (
        "leaky_backward",
        LEAKY.replace("range(len(membranes) - 2, -1, -1)", "range(1, len(membranes))").replace(
            "t + 1", "t - 1"
        ),
        "Time runs forwards",
    ),
    ("leaky_backward", LEAKY.replace("beta * delta", "delta"), "Beta is missing"),
    (
        "train_epoch",
        TRAIN.replace("optimizer.zero_grad()", "pass"),
        "gradients of all batches add up",
    ),
    ("train_epoch", TRAIN.replace(".mean(dim=0)", ".sum(dim=0)"), "added over time"),
    ("train_epoch", TRAIN.replace("optimizer.step()", "pass"), "The weights never change"),
]
"""Functions with a mistake, as students write them, and words of the message that names it."""


@pytest.mark.parametrize(("name", "code", "words"), MISTAKES)
def test_a_check_names_the_mistake(
    name: str, code: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = check(name, code, capsys)
    assert f"{name}: not yet" in said
    assert words in said


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            NEURON.replace("torch.stack(spikes), ", ""),
            "It returns a tensor of shape [4, 1]; expected is a tuple of 2",
        ),
        (
            NEURON.replace("torch.stack(mems)", "mem"),
            "a tensor of shape [1]; expected is a tuple of 2",
        ),
        (
            NEURON.replace(" * 1.0", ""),
            "a tensor of torch.bool; expected is torch.float32: add .float()",
        ),
        (NEURON.replace("torch.stack(mems)", "mems"), "with torch.stack"),
        (NEURON.replace("0, [], []", "0, [], [0]").replace("torch.stack", ""), "with torch.stack"),
        (NEURON.replace("beta * mem", "beta * memory"), "NameError"),
        (
            NEURON.replace("beta * mem", "beta * memory"),
            "line 4 of the function, for current = [[1",
        ),
        (
            NEURON.replace("), 0, []", "), 1, []"),
            ", for current = [[1.6], [0.5], [0.9], [0.0]], beta",
        ),
        (
            NEURON.replace("mem = beta", "current += 1\n        mem = beta"),
            "It changes its arguments",
        ),
        (NEURON.replace("    return", "    #"), "It returns nothing"),
        (
            NEURON.replace("beta * mem", "0.5 * mem"),
            ", for current = a tensor of shape [20, 6], beta = 0.9, ",
        ),
    ],
)
def test_a_check_says_what_is_wrong_with_any_other_function(
    code: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in check("neuron", code, capsys)


def test_a_check_returns_a_function_with_which_the_sheet_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def neuron(current: torch.Tensor, beta: float, threshold: float) -> None: ...

    spikes, membranes = checks.check(neuron)(torch.full((3, 1), 2.0), 0.5, 1.0)
    assert spikes.flatten().tolist() == [1.0, 1.0, 1.0]
    assert membranes.flatten().tolist() == [2.0, 2.0, 2.0]
    assert "The sheet goes on" in capsys.readouterr().out


def test_a_check_lists_its_tasks_for_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no task 'my_neuron'" in check("my_neuron", "def my_neuron(): ...", capsys)


@pytest.mark.parametrize("name", checks.TASKS)
def test_no_mistake_gives_the_right_answers_or_those_of_another(name: str) -> None:
    task = checks.TASKS[name]
    answers = {sentence: task.answers(wrong) for sentence, wrong in task.mistakes.items()}
    answers["right"] = task.answers(task.right)
    for (one, these), (other, those) in itertools.combinations(answers.items(), 2):
        assert not all(map(checks.close, these, those)), (one, other)
