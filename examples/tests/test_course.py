"""The course of ``examples/course``: sheets, solutions, and checks that name the mistake."""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
import torch

from spikemnist import Classifier, LeakyMLP, diagnose, evaluate, load_digits, ops
from spikemnist.data import load_images
from spikemnist.encoding import LatencyEncoder

if TYPE_CHECKING:
    from collections.abc import Iterable

COURSE = Path(__file__).resolve().parents[1] / "course"
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


def code_of(sheet: Path) -> list[str]:
    """Return the cells of code of a sheet."""
    cells = json.loads(sheet.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def tasks_of(solution: str) -> list[str]:
    """Return the functions that a sheet checks."""
    return re.findall(r"^(\w+) = check\(\1\)$", solution, re.MULTILINE)


@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_sheet_is_made_from_its_solution(path: Path) -> None:
    text = path.read_text("utf-8")
    assert (COURSE / f"{path.stem}.ipynb").read_text("utf-8") == MAKE["sheet"](text)
    assert len(tasks_of(text)) >= 2


def test_every_task_belongs_to_one_sheet() -> None:
    names = [name for path in SOLUTIONS for name in tasks_of(path.read_text("utf-8"))]
    assert sorted(names) == sorted(checks.TASKS)


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
    code = "\n\n".join(code_of(COURSE / f"{path.stem}.ipynb"))
    run(code.replace(MAKE["MAGIC"], "", 1), tmp_path, monkeypatch)
    said = capsys.readouterr().out
    for name in tasks_of(code):
        assert f"{name}: not yet. It returns nothing: the gap is empty" in said
    assert f"0 of {len(tasks_of(code))} right" in said


@pytest.mark.slow
def test_the_zip_of_the_site_has_all_that_a_sheet_needs(tmp_path: Path) -> None:
    pack = runpy.run_path(str(COURSE.parents[1] / "docs" / "extensions" / "course.py"))
    pack["write_zip"](tmp_path / "course.zip")
    with zipfile.ZipFile(tmp_path / "course.zip") as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / "course"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {f"{name}.ipynb" for name in NAMES} | {"README.markdown", "requirements.txt"} < names
    assert not [name for name in names if "solution" in name or "__pycache__" in name]
    starts = [code_of(folder / f"{name}.ipynb")[0] for name in NAMES]
    code = "\n".join([*starts, "import checks", "print(checks.__file__)"])
    command = [sys.executable, "-c", code.replace(MAKE["MAGIC"], "")]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    assert Path(ran.stdout.splitlines()[-1]) == folder / "checks" / "__init__.py"


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
DECAY = """def decay(tau, timestep):
    return torch.exp(-timestep / tau)
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
SILENT = "def silent_share(spikes):\n"
SATURATED = "def saturated_share(spikes):\n"
WORTH = """def surrogate_share(membranes, threshold, slope):
    x = abs(membranes - threshold)
    sigma = 1 / (1 + slope * x) ** 2
    return float((sigma >= 0.01).sum()) / sigma.numel()
"""
SCALE = """def start_scale(currents, beta, threshold, share):
    mem, highest = torch.zeros_like(currents[0]), torch.full_like(currents[0], -math.inf)
    for current in currents:
        mem = beta * mem + current
        highest = torch.maximum(highest, mem)
    return threshold / torch.quantile(highest, 1 - share)
"""
MOVED = "def moved_share(before, after):\n"
SYNAPSES = """def synapses(sizes):
    total = 0
    for i in range(len(sizes) - 1):
        total += sizes[i] * sizes[i + 1]
    return total
"""
LARGEST = """def largest_hidden(inputs, classes, neurons, synapses):
    hidden = 1
    while hidden + classes <= neurons and hidden * (inputs + classes) <= synapses:
        hidden += 1
    return hidden - 1
"""
ENERGY = """def chip_energy(spikes, sizes, timesteps):
    total = 0
    for i in range(len(spikes)):
        total += 100 * sizes[i + 1] * timesteps + 0.5 * spikes[i] * sizes[i + 1]
    return total
"""
SCORE = "def score(accuracy, picojoules):\n    return 100 * accuracy - "
TRACE = """def trace(spikes, decay):
    traces, x = torch.zeros(spikes.shape), 0
    for t in range(len(spikes)):
        x = x * decay + spikes[t]
        traces[t] = x
    return traces
"""
PAIR = """def pair_rule(pre, post, weight, decay, a_plus, a_minus):
    x, y = torch.zeros(pre.shape[1]), torch.zeros(post.shape[1])
    for t in range(len(pre)):
        x = decay * x
        y = decay * y
        weight = weight + a_plus * torch.outer(post[t], x)
        weight = weight - a_minus * torch.outer(y, pre[t])
        x = x + pre[t]
        y = y + post[t]
    return weight
"""
CLASSES = """def neuron_classes(counts, labels, classes):
    result = []
    for n in range(counts.shape[1]):
        if counts[:, n].sum() == 0:
            result.append(-1)
        else:
            means = [counts[labels == c, n].float().mean() for c in range(classes)]
            result.append(means.index(max(means)))
    return torch.tensor(result)
"""
VOTE = """def vote(counts, neuron_class, classes):
    scores = torch.zeros(len(counts), classes)
    for c in range(classes):
        size = int((neuron_class == c).sum())
        scores[:, c] = counts[:, neuron_class == c].sum(1) / max(size, 1)
    return scores
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
    ("silent_share", SILENT + "    return 1 - float((spikes.amax((0, 1)) > 0).float().mean())"),
    ("saturated_share", SATURATED + "    return spikes.prod(0).mean()"),
    ("surrogate_share", WORTH),
    ("start_scale", SCALE),
    ("moved_share", MOVED + "    return torch.dist(before, after) / torch.norm(before)"),
    ("synapses", SYNAPSES),
    ("largest_hidden", LARGEST),
    ("chip_energy", ENERGY),
    ("score", SCORE + "math.log(picojoules / 1000) / math.log(4)"),
    ("trace", TRACE),
    ("pair_rule", PAIR),
    ("neuron_classes", CLASSES),
    ("vote", VOTE),
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
    # Sheet 4
    (
        "silent_share",
        SILENT + "    return (spikes.sum(0) == 0).float().mean()",
        "A neuron is silent here if it fires for no image of the batch",
    ),
    ("silent_share", SILENT + "    return (spikes.sum((1, 2)) == 0).float().mean()", "wrong axes"),
    ("silent_share", SILENT + "    return (spikes.sum((0, 1)) == 0).sum()", "divide by N"),
    (
        "saturated_share",
        SATURATED + "    return (spikes.mean((0, 1)) == 1).float().mean()",
        "Here each image counts by itself",
    ),
    (
        "saturated_share",
        SATURATED + "    return (spikes.sum(0) == 8).float().mean()",
        "It compares with 8, which is T in this sheet alone",
    ),
    ("surrogate_share", WORTH.replace(" - threshold", ""), "The threshold is not subtracted"),
    ("surrogate_share", WORTH.replace(" ** 2", ""), "The square is missing"),
    ("surrogate_share", WORTH.replace("abs", ""), "The absolute value of x is missing"),
    ("start_scale", SCALE.replace("1 - share", "share"), "It takes the wrong end"),
    ("start_scale", SCALE.replace("threshold /", "1 / threshold *"), "the other way round"),
    (
        "start_scale",
        SCALE.replace("+ current", "+ current - threshold * (mem > threshold).float()"),
        "The membranes are reset by spikes",
    ),
    ("start_scale", SCALE.replace("torch.maximum(highest, mem)", "mem"), "at the last timestep"),
    (
        "moved_share",
        MOVED + "    return (after.norm() - before.norm()) / before.norm()",
        "which is 0 if the weights only turn",
    ),
    (
        "moved_share",
        MOVED + "    return ((after - before) ** 2).sum() / (before**2).sum()",
        "The root is missing",
    ),
    # Sheet 5
    ("synapses", SYNAPSES.replace("sizes[i] *", "(sizes[i] + 1) *"), "It counts the biases"),
    ("largest_hidden", LARGEST.replace("hidden + classes", "hidden"), "The output neurons need"),
    ("largest_hidden", LARGEST.replace("inputs + classes", "inputs"), "synapses to the output"),
    (
        "largest_hidden",
        LARGEST.replace("hidden + classes", "hidden + inputs + classes").replace(
            "hidden = 1", "hidden = 1 - inputs"
        ),
        "It counts the pixels as neurons",
    ),
    ("chip_energy", ENERGY.replace(" * timesteps", ""), "multiply the updates by T"),
    (
        "chip_energy",
        ENERGY.replace("0.5 * spikes[i]", "0.5 * timesteps * spikes[i]"),
        "It multiplies the events by T",
    ),
    ("chip_energy", ENERGY.replace("spikes[i] * sizes[i + 1]", "spikes[i]"), "next layer"),
    ("chip_energy", ENERGY.replace("return total", "return total / 1000"), "nanojoules"),
    ("score", SCORE + "math.log(picojoules / 1000)", "natural logarithm"),
    ("score", SCORE + "math.log(picojoules, 4)", "divide by 1000"),
    # Sheet 6
    (
        "trace",
        TRACE.replace("x * decay + spikes[t]", "decay * (x + spikes[t])"),
        "The trace decays after the spike is added",
    ),
    ("trace", TRACE.replace("x * decay", "x"), "The trace never decays"),
    (
        "pair_rule",
        PAIR.replace("post[t], x", "y, pre[t]", 1).replace(
            "a_minus * torch.outer(y, pre[t])", "a_minus * torch.outer(post[t], x)"
        ),
        "Stronger and weaker are exchanged",
    ),
    (
        "pair_rule",
        PAIR.replace("        x = x + pre[t]\n        y = y + post[t]\n", "")
        .replace("decay * x", "decay * x + pre[t]")
        .replace("decay * y", "decay * y + post[t]"),
        "Two spikes of the same timestep count as a pair",
    ),
    (
        "neuron_classes",
        CLASSES.replace(".float().mean()", ".sum()"),
        "A class with many images then gets too many neurons",
    ),
    ("neuron_classes", CLASSES.replace("append(-1)", "append(0)"), "belongs to no class"),
    ("vote", VOTE.replace(" / max(size, 1)", ""), "divide by the number of neurons of the class"),
    ("vote", VOTE.replace("max(size, 1)", "size"), "A class without a neuron gives 0 / 0"),
    (
        "vote",
        VOTE.replace("for c", "neuron_class = neuron_class % classes\n    for c"),
        "Neurons of class -1 vote for the last class",
    ),
    # Any other function, of tensors
    (
        "neuron",
        NEURON.replace("torch.stack(spikes), ", ""),
        "It returns a tensor of shape [4, 1]; expected is a tuple of 2",
    ),
    (
        "neuron",
        NEURON.replace("torch.stack(mems)", "mem"),
        "a tensor of shape [1]; expected is a tuple of 2",
    ),
    (
        "neuron",
        NEURON.replace(" * 1.0", ""),
        "a tensor of torch.bool; expected is torch.float32: add .float()",
    ),
    ("neuron", NEURON.replace("torch.stack(mems)", "mems"), "with torch.stack"),
    (
        "neuron",
        NEURON.replace("0, [], []", "0, [], [0]").replace("torch.stack", ""),
        "with torch.stack",
    ),
    ("neuron", NEURON.replace("beta * mem", "beta * memory"), "NameError"),
    (
        "neuron",
        NEURON.replace("beta * mem", "beta * memory"),
        "line 4 of the function, for current = [[1",
    ),
    (
        "neuron",
        NEURON.replace("), 0, []", "), 1, []"),
        ", for current = [[1.6], [0.5], [0.9], [0.0]], beta",
    ),
    (
        "neuron",
        NEURON.replace("mem = beta", "current += 1\n        mem = beta"),
        "It changes its arguments",
    ),
    ("neuron", NEURON.replace("    return", "    #"), "It returns nothing"),
    (
        "neuron",
        NEURON.replace("beta * mem", "0.5 * mem"),
        ", for current = a tensor of shape [20, 6], beta = 0.9, ",
    ),
    # Errors of torch
    (
        "neuron",
        NEURON.replace("(mem > threshold) * 1.0", "1 if mem > threshold else 0"),
        "The list holds numbers, one for all neurons. Compare the tensor of all neurons",
    ),
    (
        "neuron",
        NEURON.replace("(mem > threshold) * 1.0", "torch.ones(1) if mem > threshold else mem * 0"),
        "An if takes one value. Compare the tensor of all neurons as a whole",
    ),
    ("decay", DECAY, "torch.exp takes a tensor: for a number there is math.exp."),
    # Any other function, of numbers and tuples
    (
        "silent_share",
        SILENT + "    return spikes.sum((0, 1)) == 0",
        "It returns a tensor of shape [3]; expected is a number.",
    ),
    (
        "synapses",
        SYNAPSES.replace("return total", "return total + 1"),
        "It returns 15; right is 14, for sizes = (3, 2, 4).",
    ),
    (
        "neuron_classes",
        CLASSES.replace("counts[labels == c, n].float()", "counts[labels == c, n]"),
        "Error: mean(): could not infer output dtype",
    ),
]
"""Functions with a mistake, as students write them, and words of the message that names it."""


@pytest.mark.parametrize(("name", "code", "words"), MISTAKES)
def test_a_check_names_the_mistake(
    name: str, code: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = check(name, code, capsys)
    assert f"{name}: not yet" in said
    assert words in said


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


def values(pairs: Iterable[tuple[str, str]]) -> dict[str, float | str]:
    """Return settings by name, numbers as numbers."""
    return {
        name: float(text) if re.fullmatch(r"[\d.e-]+", text) else text.strip('"')
        for name, text in pairs
    }


def test_the_links_of_sheet_4_are_those_of_the_playground() -> None:
    page = COURSE.parents[1] / "src" / "spikemnist" / "export" / "page" / "training.js"
    lessons = re.findall(r"set: \{ (.+) \}", page.read_text("utf-8"))
    sheet = (COURSE / "solutions" / "4_why_not.py").read_text("utf-8")
    links = re.findall(r'": "#(.+)"', sheet)
    assert len(links) == 4
    assert [values(parse_qsl(link)) for link in links] == [
        values(re.findall(r"(\w+): ([^,]+)", lesson)) for lesson in lessons
    ]


def test_sheet_4_shows_its_page_without_a_file_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code_of(COURSE / "4_why_not.ipynb")[:2]:
        exec(cell.replace(MAKE["MAGIC"], ""), names)
    for patient, link in names["LINKS"].items():
        kind, _, rest = names["watch"](patient).src.partition(",")
        page, _, settings = rest.partition("#")
        assert kind == "data:text/html;base64"
        assert base64.b64decode(page) == (tmp_path / "playground.html").read_bytes()
        assert f"#{settings}" == link


def test_the_chip_of_sheet_5_counts_as_the_library_does() -> None:
    train, _ = load_digits()
    classifier = Classifier(LeakyMLP(hidden=(20, 15), threshold=0.3), LatencyEncoder(num_steps=5))
    result = checks.on_chip(classifier, train[:50])
    sizes, tasks = (784, 20, 15, 10), checks.TASKS
    sent = evaluate(classifier, train[:50]).spikes_per_sample
    picojoules = tasks["chip_energy"].right([*sent.values()][:3], sizes, 5)
    assert tasks["synapses"].right(sizes) == result.synapses
    assert picojoules == pytest.approx(1000 * result.nanojoules)
    assert tasks["score"].right(result.accuracy, picojoules) == pytest.approx(result.score)


@pytest.mark.parametrize(
    ("hidden", "encoder", "reason"),
    [
        (1020, "latency", "1,030 neurons, but the chip has 1,024; "),
        (166, "latency", "131,804 synapses, but the chip has 131,072$"),
        (20, "direct", "hidden 1 receives values other than spikes"),
    ],
)
def test_networks_that_do_not_fit_the_chip(hidden: int, encoder: str, reason: str) -> None:
    classifier = Classifier(LeakyMLP(hidden=hidden), encoder)
    with pytest.raises(ValueError, match=f"does not fit the chip: {reason}"):
        checks.on_chip(classifier, load_digits()[1][:2])


def test_sheet_4_measures_what_the_doctor_does() -> None:
    few = load_digits()[0][:64]
    right = {name: task.right for name, task in checks.TASKS.items()}
    for threshold in (0.3, 3.0):
        surrogate = ops.FastSigmoid(slope=15.0)
        network = LeakyMLP(hidden=40, threshold=threshold, spike_grad=surrogate, seed=0)
        classifier = Classifier(network, "latency")
        layer = diagnose(classifier, few).layers[0]
        record = classifier(few.images, record="all").detach().layers[0]
        share = right["surrogate_share"](record.membrane, threshold, 15.0)
        assert layer.silent == pytest.approx(float(right["silent_share"](record.spikes)))
        assert layer.surrogate_share == pytest.approx(float(share))
    currents = network.layers[0].linear(classifier.encoder(few.images).flatten(2)).detach()
    scale = right["start_scale"](currents, 0.95, threshold, 0.1)
    # Both add 8 timesteps in float32, in another order: 8 times 6e-8 of the largest term.
    assert layer.reach == pytest.approx(1 / float(scale), rel=1e-5)


def test_digits_of_a_student(tmp_path: Path) -> None:
    path = checks.own_digits("S-123", tmp_path)
    assert path == checks.own_digits(" s-123 ", tmp_path)
    assert path.name == "digits-s-123.npz"
    drawn, others = load_images(path), load_images(checks.own_digits(124, tmp_path))
    for own, other, data, number in zip(drawn, others, load_digits(), (450, 50), strict=True):
        assert own.labels.bincount().tolist() == [number] * 10
        assert not torch.equal(own.images, other.images)
        pairs = [
            {
                (bytes(image), int(label))
                for image, label in zip(part.images.numpy(), part.labels, strict=True)
            }
            for part in (own, data)
        ]
        assert len(pairs[0]) == 10 * number
        assert pairs[0] < pairs[1]
    with pytest.raises(
        ValueError, match=r"a student number has letters, digits, - and _; got '\.\./a'"
    ):
        checks.own_digits("../a", tmp_path)
