"""``python -m benchmarks``: what is measured, fitted, told and drawn."""

from __future__ import annotations

import copy
import doctest
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import spikemnist
from benchmarks import (
    __main__,
    candidates,
    commands,
    growth,
    memory,
    peers,
    pictures,
    report,
    stdp,
    timing,
    tutorial,
)
from benchmarks.candidates import STAGES, Ours, SnnTorchLoop
from benchmarks.machine import describe_machine
from benchmarks.plan import Plan
from benchmarks.workload import Workload, first_weights

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

pytestmark = pytest.mark.slow

TINY = Plan(
    base=Workload(hidden=24, num_steps=4, batch=8),
    hidden=(12, 24),
    num_steps=(4, 8),
    batch=(8, 16),
    codes=("rate", "direct"),
    layer_widths=(16, 32),
    layer_steps=6,
    epoch=64,
    repeats=6,
    budget=0.01,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a tiny plan finds, with nobody but who is always there."""
    file = tmp_path_factory.mktemp("results") / "results.json"
    with pytest.MonkeyPatch.context() as patch:
        only = "snnTorch, hoisted"
        patch.setattr(peers, "PEERS", {only: peers.PEERS[only]})
        peers.installed.cache_clear()
        patch.setattr(timing, "processor_share", lambda: 1.0)
        patch.setattr(timing, "WIDEST", float("inf"))
        found = __main__.run(TINY, ("networks", "layers", "fit"), {}, file)
    peers.installed.cache_clear()
    return found


def test_the_plan_crosses_at_its_base_point() -> None:
    plan = Plan()
    workloads = plan.workloads()
    assert len(workloads) == len(set(workloads)) == 3 * (1 + 3 + 2 + 3)
    assert {w.code for w in workloads} == {"rate", "latency", "direct"}
    assert Workload(hidden=4096) in workloads
    assert Workload(code="latency", num_steps=100) in workloads
    assert Workload(code="direct", batch=1) in workloads
    assert Workload(hidden=128) in workloads
    assert Workload(hidden=4096, batch=1) not in workloads
    assert len(Plan(whole_grid=True).workloads()) == 3 * 4 * 3 * 4


def test_everyone_has_every_stage(results: dict[str, Any]) -> None:
    assert len(results["networks"]) == 2 * 4
    for network in results["networks"]:
        assert list(network["candidates"]) == [*_ours(), "snnTorch", "snnTorch, hoisted"]
        for found in network["candidates"].values():
            assert found["check"]["why"] == ""
            assert list(found["stages"]) == list(STAGES)
            for stage in found["stages"].values():
                low, high = stage["quartiles"]
                assert 0 < low <= stage["median"] <= high
                assert stage["calls"] == 6
                assert (stage["share"], stage["busy"]) == (1.0, "")
    assert [layer["width"] for layer in results["layers"]] == [16, 32]
    json.dumps(results)  # plain values throughout


def test_what_was_measured_is_written_at_once_and_kept(
    tmp_path: Path, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"

    def stopped(width: int, plan: Plan) -> dict[str, Any]:
        if width == plan.layer_widths[-1]:
            raise KeyboardInterrupt
        return {"width": width}

    monkeypatch.setattr(__main__.layer, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        __main__.run(TINY, ("layers",), results, file)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["layers"] == [{"width": TINY.layer_widths[0]}]
    assert found["networks"] == results["networks"]
    assert found["fit"] == results["fit"]


def test_sections_of_two_machines_are_told_apart(tmp_path: Path, results: dict[str, Any]) -> None:
    runs = {name: {**run, "machine": dict(run["machine"])} for name, run in results["runs"].items()}
    runs["networks"]["machine"]["processor"] = "another"
    earlier = {**results, "runs": runs}
    found = __main__.run(TINY, ("layers",), earlier, tmp_path / "results.json")
    assert found["networks"] is earlier["networks"]
    page = report.page(found, [])
    assert first_line(page, "networks: another, ")
    assert first_line(page, f"layers, fit: {results['runs']['fit']['machine']['processor']}, ")


def first_line(page: str, start: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(start))


def _ours() -> list[str]:
    return [name for name in candidates.names() if name.startswith(candidates.OURS)]


def test_who_fails_the_check_has_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlike(Ours):
        def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
            return [(1 - fired, membrane) for fired, membrane in super().trace(spikes)]

    monkeypatch.setattr(candidates, "Ours", Unlike)
    plan = Plan(**{**TINY.__dict__, "codes": ("rate",), "hidden": (24,), "num_steps": (4,)})
    found = __main__.run(plan, ("networks",), {}, tmp_path / "results.json")
    network = found["networks"][0]
    assert network["candidates"]["spikemnist auto"]["stages"] == {}
    assert set(network["candidates"]["snnTorch"]["stages"]) == set(STAGES)
    page = report.page(found, [])
    row = first_line(page, "| spikemnist reference |")
    assert row.split("|")[2:-1] == [" – "] * len(STAGES)
    assert "- spikemnist auto, rate, 784-24-10, T=4, batch 8: a spike differs" in page


def test_power_laws_are_found() -> None:
    sizes = [1, 4, 9]
    assert growth.exponent(sizes, [3 * size**0.5 for size in sizes]) == pytest.approx(0.5)
    assert growth.exponent(sizes, [2.0] * 3) == pytest.approx(0)


@pytest.mark.parametrize("module", [growth, report])
def test_examples_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_growth_is_fitted_along_each_sweep(results: dict[str, Any]) -> None:
    sweeps = {(s["code"], s["axis"], s["candidate"]): s for s in results["growth"]}
    assert len(sweeps) == 2 * 3 * (len(_ours()) + 2)
    sweep = sweeps["direct", "num_steps", "snnTorch"]
    assert sweep["sizes"] == [4, 8]
    assert all(seconds > 0 for seconds in sweep["seconds"])
    assert growth.fit(results["networks"][:1], TINY) == []  # no slope through one point


def test_the_page_says_what_was_found(results: dict[str, Any]) -> None:
    page = report.page(results, ["growth.png"])
    assert results["runs"]["networks"]["machine"]["processor"] in page
    assert page.index("| rate, 784-24-10") < page.index("```{figure} growth.png\n:alt: Time of")
    assert "stages.png" not in page
    network = results["networks"][0]
    medians = {
        name: found["stages"]["training step"]["median"]
        for name, found in network["candidates"].items()
    }
    step = medians["spikemnist auto"]
    fastest = min(("snnTorch", "snnTorch, hoisted"), key=medians.__getitem__)
    row = first_line(page, "| rate, 784-24-10, T=4, batch 8 |")
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[2] == report.milliseconds(step)
    assert cells[3] == f"{report.milliseconds(medians[fastest])} ({fastest})"
    assert cells[4] == f"{medians[fastest] / step:.1f}"
    assert cells[5] == f"{medians['snnTorch'] / step:.1f}"
    updates = network["work"]["neuron_updates"] / step
    assert f"| {report.scaled(updates)} |" in page
    assert "One epoch of `fit`" in page
    assert "Not shown" not in page


def test_a_busy_machine_has_no_ratio_on_the_page(results: dict[str, Any]) -> None:
    busy = copy.deepcopy(results)
    reason = "other programs took 60 % of the processors"
    ours = busy["networks"][0]["candidates"]["spikemnist auto"]["stages"]
    ours["training step"]["busy"] = busy["fit"][0]["steps"]["busy"] = reason
    page = report.page(busy, [])
    rows = [
        line for line in page.splitlines() if line.startswith("| rate, 784-24-10, T=4, batch 8 |")
    ]
    assert rows[0].endswith("| busy | busy |")
    assert "busy" not in rows[1]  # inference, which nothing disturbed
    assert first_line(page, "| rate, 784-24-10, T=4, batch 8, 64 images").endswith("| busy |")
    assert f"which have no ratio; the first time {reason}." in page
    assert "The machine was busy" not in report.page(results, [])
    sweeps = {(s["code"], s["axis"], s["candidate"]): s for s in growth.fit(busy["networks"], TINY)}
    assert ("rate", "hidden", "spikemnist auto") not in sweeps  # one point of two is left
    assert len(sweeps["rate", "hidden", "snnTorch"]["sizes"]) == 2


def test_results_of_earlier_versions_make_the_page_that_is_published() -> None:
    """Their timings know nothing of the load."""
    folder = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
    stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    published = (folder / "results.md").read_text(encoding="utf-8")
    assert report.page(stored, re.findall(r"\{figure\} (.*)", published)) == published


def test_pages_of_nothing_are_no_error(results: dict[str, Any]) -> None:
    empty = {**results, "networks": [], "layers": [], "growth": [], "fit": []}
    assert re.findall(r"^#+ .*", report.page(empty, []), re.M) == [
        "# Benchmark results",
        "## Machines",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0.00123456, "1.23"), (0.0123456, "12.3"), (0.123456, "123")]
)
def test_milliseconds_have_three_digits(seconds: float | None, text: str) -> None:
    assert report.milliseconds(seconds) == text


def test_pictures_show_the_figures(results: dict[str, Any], tmp_path: Path) -> None:
    drawn = pictures.draw(results, tmp_path)
    assert drawn == ["stages.png", "growth.png", "layer.png"]
    assert set(drawn) < set(report.PICTURES)
    for file in tmp_path.iterdir():
        with Image.open(file) as picture:
            assert min(picture.size) > 300
    figure = pictures.draw_growth(results["growth"])
    assert len(figure.axes) == 2 * 3
    ax = figure.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "timesteps"
    assert ax.get_ylabel() == "training step, ms"
    (sweep,) = (
        s
        for s in results["growth"]
        if (s["code"], s["axis"], s["candidate"]) == ("rate", "num_steps", "spikemnist auto")
    )
    line = ax.get_lines()[0]
    assert line.get_xdata().tolist() == sweep["sizes"]
    assert line.get_ydata().tolist() == pytest.approx([1e3 * s for s in sweep["seconds"]])
    assert ax.get_legend().get_texts()[0].get_text() == f"spikemnist  {sweep['exponent']:.2f}"
    stages = pictures.draw_stages(pictures.base_points({**results, "plan": {"base": _base()}}))
    assert [ax.get_title() for ax in stages.axes] == 2 * list(STAGES)


def _base() -> dict[str, Any]:
    return {"code": "rate", "hidden": 24, "num_steps": 4, "batch": 8}


def test_each_candidate_looks_different() -> None:
    looks = [pictures.look(name) for name in ("spikemnist auto", "snnTorch", *peers.PEERS)]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 7


def test_a_memory_figure_covers_what_the_step_must_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "names", lambda: ["snnTorch", "Spyx"])
    monkeypatch.setattr(memory, "trained_weights", lambda given: first_weights(given.sizes))
    measured = memory.measure(Workload(hidden=16, num_steps=25, batch=256))
    assert (measured["hidden"], measured["batch"]) == (16, 256)
    found = measured["candidates"]["snnTorch"]
    if sys.platform == "linux":
        spikes = 4 * 25 * 256 * 784  # bytes of the encoded batch in float32, about 20 MB
        assert spikes < found["bytes"] < 20 * spikes
    elif sys.platform == "darwin":
        assert found["bytes"] >= 0
    else:
        assert "Windows" in found["why"]
    assert measured["candidates"]["Spyx"]["why"]  # and no process was started for it


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    found = memory.in_a_process("snnTorch", Workload(), tmp_path / "absent.pt")
    assert "absent.pt" in found["why"]


def test_memory_is_in_page_and_picture(results: dict[str, Any]) -> None:
    added = {
        "spikemnist auto": {"why": "", "bytes": 10 * 2**20, "backend": "event_driven"},
        "snnTorch": {"why": "", "bytes": 45 * 2**20, "backend": ""},
        "Spyx": {"why": "cannot be told"},
    }
    weighed = [{**_base(), "candidates": added}]
    page = report.page({**results, "memory": weighed}, [])
    assert "| spikemnist auto (event_driven) | 10 | 4.5 |" in page
    assert "- Spyx, memory: cannot be told." in page
    (ax,) = pictures.draw_memory(weighed).axes
    assert [bar.get_width() for bar in ax.patches] == [10, 45]
    assert ax.get_xlabel() == "peak memory added by a training step, MiB"


def test_fit_is_timed_against_its_steps(results: dict[str, Any]) -> None:
    for fit in results["fit"]:
        expected = fit["fit"]["median"] / fit["steps"]["median"] - 1
        assert fit["overhead"] == pytest.approx(expected)
        assert fit["images"] == 64


def test_learning_by_stdp_is_measured_told_and_drawn(
    results: dict[str, Any], tmp_path: Path
) -> None:
    plan = replace(TINY, stdp_neurons=(20, 80), stdp_rates=(32.0,), stdp_blocks=1)
    measured = [stdp.measured_here(point) for point in stdp.points(plan)]
    measured[1] = stdp.measure(stdp.points(plan)[1])  # whose memory is that of a fresh process
    few, many, dim = measured
    assert (few["neurons"], many["neurons"], dim["max_rate"]) == (20, 80, 32.0)
    assert dim["spikes"] == pytest.approx(few["spikes"] * 32 / 63.75)
    assert all(point["learn"] > 0 < point["respond"] for point in measured)
    if sys.platform == "linux":
        assert many["bytes"] > 4 * 80 * 784  # its weights at least
    page = report.page({**results, "stdp": measured}, [])
    assert f"| 80 | {many['spikes']:,.0f} | {many['fired']:.1f} |" in page
    (fitted,) = stdp.fit(measured)  # no slope through the one rate
    assert f"learning {fitted['learn']:.2f}" in page
    nothing: dict[str, Any] = {"networks": [], "growth": [], "layers": []}
    drawn = pictures.draw({**results, **nothing, "stdp": measured}, tmp_path)
    assert drawn == ["stdp.png"]


def command(text: str, *, code: int = 0) -> str:
    """Return a command that prints a text, and takes the seed that it is given."""
    return f'{sys.executable} -c "import sys; print({text!r}); sys.exit({code})"'


def test_a_command_is_run_with_each_seed_and_read() -> None:
    plan = replace(TINY, commands=("a", "b"), seeds=(0, 1))
    assert commands.items(plan) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    text = "accuracy 12.5 %, test accuracy     98.04% of 10,000 images"
    found = commands.measure((command(text), 3))
    assert found["printed"].strip() == text
    assert found["seed"] == 3
    assert commands.accuracy(found) == 98.04
    assert 0 < found["seconds"] < 60
    silent = commands.measure((command("nothing"), 0))
    assert math.isnan(commands.accuracy(silent))
    with pytest.raises(RuntimeError, match="ended with 3"):
        commands.measure((command("no data", code=3), 0))


def test_a_command_prints_utf8_whatever_the_system_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "")
    for name, value in (("LC_ALL", "C"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0")):
        monkeypatch.setenv(name, value)
    found = commands.measure((command("28 × 28"), 0))
    assert found["printed"].strip() == "28 × 28"


def test_the_page_of_accuracies() -> None:
    machine = {**describe_machine(), "processor": "abacus"}
    said = ("assigned 90.00%, proportional 91.00%", "assigned 91.00%, proportional 92.00%")
    measured = list[dict[str, Any]]()
    for seed, (vote, seconds) in enumerate(zip(said, (9.0, 11.0), strict=True)):
        printed = f"test accuracy     {91 + seed}.00% of 100 images\n{vote}\n"
        found = {"command": "learn", "seed": seed, "seconds": seconds, "printed": printed}
        measured = commands.merge(measured, {**found, "machine": machine})
    page = "\n\n".join(commands.lines(measured))
    assert "| `learn` | 100 | 91.00, 92.00 | 91.50 | 2.79 | 10 |" in page
    assert "| `learn` | 90.00, 91.00 | 91.00, 92.00 |" in page
    assert page.count("\nabacus, ") == 1
    again = commands.merge(measured, {**measured[1], "printed": "test accuracy 50.00% of 100"})
    assert [commands.accuracy(one) for one in again] == [91.0, 50.0]
    one_busy = [measured[0], {**measured[1], "busy": "other programs took 60 %"}]
    assert "| 2.79 | 9 |" in "\n\n".join(commands.lines(one_busy))
    all_busy = [{**one, "busy": "other programs took 60 %"} for one in measured]
    assert "| 2.79 | busy |" in "\n\n".join(commands.lines(all_busy))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the load before it must do")
def test_other_programs_beside_a_command_are_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as beside:
        found = commands.measure((f"{sys.executable} -c 'import time; time.sleep(2)'", 0))
        beside.kill()
    assert found["busy"].startswith("other programs took")


def test_the_tutorials_network_is_compared_through_accelerate() -> None:
    found = tutorial.measure(TINY)
    assert found["network"] == str(TINY.base)
    for way in ("accelerate(network)", "snnTorch"):
        assert found["candidates"][way]["check"]["why"] == ""
        assert set(found["candidates"][way]["stages"]) == set(STAGES)
    page = "\n".join(report.tutorial([found]))
    assert "Spikes that differ from snnTorch's by rounding:" in page


def test_the_tutorials_network_stepped_is_the_oracle() -> None:
    workload = TINY.base
    layers, batch = first_weights(workload.sizes), workload.load()
    for layer in layers:
        layer.weight.data.mul_(3)
    stepped = tutorial.Stepped(layers, workload)
    found = stepped.trace(stepped.prepare_input(batch.spikes))
    right = SnnTorchLoop(layers).trace(batch.spikes.float())
    for (fired, membrane), (expected, exact) in zip(found, right, strict=True):
        assert float(expected.sum()) > 0
        assert fired.equal(expected)
        assert membrane.equal(exact)


def test_from_the_command_line_to_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(__main__, "QUICK", TINY)
    words = ["--quick", "--sections", "layers", "--codes", "rate", "--out", str(tmp_path / "new")]
    __main__.main(words)
    words[2] = "commands"
    asked = ["--commands", command("test accuracy 97.00% of 1,000 images"), "--seeds", "7"]
    __main__.main([*words, *asked])
    written = {file.name for file in (tmp_path / "new").iterdir()}
    assert written == {"results.json", "results.md", "accuracies.md", "layer.png"}
    page = (tmp_path / "new" / "results.md").read_text(encoding="utf-8")
    assert "| 1,000 | 97.00 | 97.00 | 0.54 |" in (tmp_path / "new" / "accuracies.md").read_text(
        encoding="utf-8"
    )
    assert "results.md" in capsys.readouterr().out
    (tmp_path / "new" / "results.md").unlink()
    __main__.main(["--draw", "--out", str(tmp_path / "new")])
    assert (tmp_path / "new" / "results.md").read_text(encoding="utf-8") == page


def test_the_package_knows_no_benchmark() -> None:
    """Nothing of `benchmarks` is in the wheel."""
    source = Path(spikemnist.__file__).parent
    assert not (source / "benchmark").exists()
    imports = re.compile(r"^\s*(?:from|import) benchmarks\b", re.M)
    files = source.rglob("*.py")
    assert [file for file in files if imports.search(file.read_text(encoding="utf-8"))] == []
