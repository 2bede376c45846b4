"""Format the results as a Markdown page."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from benchmarks import stdp, timing
from benchmarks.candidates import COMPILED, OURS, STAGES, STEP, TIMESTEP, WHOLE, SnnTorchLoop
from benchmarks.comparison import no_ratio
from benchmarks.growth import workload_of

Results = dict[str, Any]

AUTO = f"{OURS}auto"
NOTHING, UNSTEADY = "–", "unsteady"

NOTE = (
    "The median is in brackets. Unsteady ratios are counted: other programs ran, or the quartiles "
    "of a time are further apart than half its median. The last column is the next timestep of one "
    "image, from the state that the last one left."
)
"""What a `range_table` shows."""

PICTURES = {
    "stages.png": (
        "Speed of every stage of each library, in three codes",
        "Speed of each stage at the base network, one row for each code. Further right is faster, "
        "and one grid line is a factor of ten. Compare the orange dot, this package, with the "
        "markers below it.",
    ),
    "growth.png": (
        "Time of a training step against timesteps, batch size and hidden neurons",
        "Time of a training step along each sweep; lower is faster. The axes are logarithmic: a "
        "flat line means that a larger size costs little, and parallel lines keep their ratio.",
    ),
    "stdp.png": (
        "Time and memory of STDP learning against neurons and input spikes",
        "STDP learning: time of an image above, memory below. The left column has more neurons "
        "from point to point, the right column more spikes in each image.",
    ),
}
"""Pictures with their alternative texts and captions."""


def page(results: Results, pictures: Sequence[str]) -> str:
    """Return the page of results.

    Parameters
    ----------
    results : dict
        Results as ``python -m benchmarks`` writes them.
    pictures : sequence of str
        Places of the picture files, seen from the folder of the page.
    """
    places = {PurePath(place).name: place for place in pictures}
    drawn = {
        name: f"![{alt}]({places[name]})\n\n{caption}"
        for name, (alt, caption) in PICTURES.items()
        if name in places
    }
    parts = [
        "# Speeds",
        "Written by `python -m benchmarks`; [the docs](../../docs/benchmarks.md) explain them.",
        *unsteady(results),
        *ranges(results),
        *section(networks, results["networks"]),
        drawn.get("stages.png"),
        *section(throughputs, results["networks"]),
        *growth(drawn.get("growth.png")),
        *section(convolution, results["convolution"]),
        *section(unsupervised, results["stdp"]),
        drawn.get("stdp.png"),
        *section(every_stage, results["networks"]),
        *notes(results),
        "## Machines",
        *machines(results["runs"]),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def section(
    of: Callable[[Sequence[Results]], Iterable[str]], measured: Sequence[Results]
) -> Iterable[str]:
    """Return the parts of a section; none where nothing was measured."""
    return of(measured) if measured else ()


def machines(runs: Mapping[str, Results]) -> Iterator[str]:
    """Yield each machine, with the sections measured on it if there are several machines."""
    sections: dict[str, list[str]] = {}
    for section, run in runs.items():
        sections.setdefault(machine(run["machine"]), []).append(section)
    for where, measured in sections.items():
        yield where if len(sections) == 1 else f"{', '.join(measured)}: {where}"


def unsteady(results: Results) -> Iterator[str]:
    """Yield how many timings are unsteady, as other programs ran or as the calls differed."""
    timings = [
        found
        for group in compared(results)
        for candidate in group.get("candidates", {}).values()
        for found in candidate["stages"].values()
    ]
    if not timings:
        return
    disturbed = sum(found["share"] < timing.QUIET for found in timings)
    wide = sum(bool(found["busy"]) for found in timings) - disturbed
    taken = max(0.0, 1 - min(found["share"] for found in timings))
    yield (
        f"Of {len(timings):,} timings, {disturbed} were taken while other programs had more than "
        f"{1 - timing.QUIET:.0%} of the processors, and {wide} others have quartiles further apart "
        f"than half the median: their ratios are marked unsteady, and counted in the ranges. Other "
        f"programs had at most {taken:.0%}."
    )


def ranges(results: Results) -> Iterator[str]:
    """Yield the ranges of the ratios to the fastest peer, if networks were compared."""
    if compared(results):
        yield "Times as fast as the fastest peer, the lowest and the highest of all rows below:"
        yield range_table(results)
        yield NOTE


def range_table(results: Results) -> str:
    """Return a table with the `span` of each stage over the networks of each kind."""
    stages = (*WHOLE, TIMESTEP)
    rows = [
        [kind, str(len(groups)), *(span(groups, stage) for stage in stages)]
        for kind, groups in kinds(results).items()
        if groups
    ]
    return table(["networks", "number", *stages], rows)


def kinds(results: Results) -> dict[str, list[Results]]:
    """Return the networks that were compared, by kind."""
    dense = results["networks"]
    codes = dict.fromkeys(network["code"] for network in dense)
    by_code = {
        f"dense, {code} code": [network for network in dense if network["code"] == code]
        for code in codes
    }
    parts = {
        "of these, one image": [network for network in dense if network["batch"] == 1],
        "of these, also against `torch.compile`": [
            network
            for network in dense
            if any(name.endswith(COMPILED) for name in network["candidates"])
        ],
    }
    convolutions = {"convolutions": results["convolution"]}
    return {"all": compared(results), **by_code, **parts, **convolutions}


def span(groups: Sequence[Results], stage: str) -> str:
    """Return the lowest and the highest ratio of a stage to the fastest peer, and the median.

    Unsteady ratios are counted. A stage that was not timed of all networks has no range.
    """
    each = [
        ratio(group["candidates"], fastest_peer(group["candidates"], stage), stage)
        for group in groups
    ]
    if NOTHING in each or not each:
        return NOTHING
    numbers = [float(found.partition(",")[0]) for found in each]
    low, high = min(numbers), max(numbers)
    median = f" to {high} ({statistics.median(numbers):.1f})" if low < high else ""
    unsteady = sum(found.endswith(UNSTEADY) for found in each)
    return f"{low}{median}" + f", {unsteady} {UNSTEADY}" * bool(unsteady)


def compared(results: Results) -> list[Results]:
    """Return all results that compare several candidates."""
    sections = ("networks", "convolution")
    return [group for section in sections for group in results[section]]


def machine(found: Mapping[str, Any]) -> str:
    """Return a sentence that describes the machine of a run."""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    threads = f"{found['threads']} thread{'' if found['threads'] == 1 else 's'}"
    return (
        f"{found['processor']}, {found['cores']} cores, {threads}, "
        f"{found['vector']}; {found['system']}, Python {found['python']}; {packages}."
    )


def networks(measured: Sequence[Results]) -> Iterator[str]:
    """Yield the section that compares this package with the fastest peer."""
    yield "## Against the fastest peer"
    yield (
        'Milliseconds with `backend="auto"`; training step and inference begin with float32 '
        "pixels. A ratio is the peer's median divided by spikemnist's; in brackets are the lowest "
        "and the highest ratio of the processes. One timestep of one image begins with the state "
        "that the last one left."
    )
    for stage in (*WHOLE, TIMESTEP):
        header = ["network", "backend", stage, "fastest peer", "ratio", "ratio to snnTorch's loop"]
        rows = [
            against_the_fastest(network, stage)
            for network in measured
            if timing_of(network["candidates"], AUTO, stage)
        ]
        if rows:
            yield table(header, rows)


def throughputs(measured: Sequence[Results]) -> Iterator[str]:
    """Yield the section on the throughput of this package."""
    yield "## Throughput"
    yield (
        "Throughput of spikemnist's training step. A non-zero input causes one synaptic event in "
        "each neuron that it reaches. A density is the share of non-zero inputs or hidden spikes."
    )
    header = ["network", "input density", "hidden density"]
    header += ["samples × timesteps/s", "neuron updates/s", "synaptic events/s"]
    yield table(header, [throughput(network) for network in measured])


def every_stage(measured: Sequence[Results]) -> Iterator[str]:
    """Yield the section with the stages of all candidates, where all were timed."""
    yield "## Every stage"
    yield "Milliseconds: median and, in brackets, quartiles."
    for network in measured:
        if timing_of(network["candidates"], AUTO, STAGES[0]):
            yield f"### {workload_of(network)}"
            yield stages(network["candidates"], STAGES)


def against_the_fastest(network: Results, stage: str) -> list[str]:
    """Return a row: this package's time, and ratios to the fastest peer and to snnTorch."""
    candidates = network["candidates"]
    peer = fastest_peer(candidates, stage)
    return [
        str(workload_of(network)),
        candidates[AUTO]["backend"] or NOTHING,
        milliseconds(seconds(candidates, AUTO, stage)),
        f"{milliseconds(seconds(candidates, peer, stage))} ({peer})" if peer else NOTHING,
        *(with_range(candidates, other, stage) for other in (peer, SnnTorchLoop.name)),
    ]


def with_range(candidates: Results, name: str, stage: str) -> str:
    """Return the `ratio` to a candidate, with the lowest and the highest of the processes."""
    found, *mark = ratio(candidates, name, stage).split(", ")
    ours, theirs = (timing_of(candidates, who, stage) or {} for who in (AUTO, name))
    pairs = zip(theirs.get("processes", ()), ours.get("processes", ()), strict=False)
    each = [f"{their / our:.1f}" for their, our in pairs]
    if each:
        found += f" ({min(each, key=float)} to {max(each, key=float)})"
    return ", ".join((found, *mark))


def throughput(network: Results) -> list[str]:
    """Return a row: the densities of the signals, and the throughput per second."""
    work, ours = network["work"], seconds(network["candidates"], AUTO, STEP)
    counts = (work["timesteps"], work["neuron_updates"], work["synaptic_events"])
    return [
        str(workload_of(network)),
        f"{work['input_density']:.1%}",
        f"{work['hidden_density']:.1%}",
        *(NOTHING if ours is None else scaled(count / ours) for count in counts),
    ]


def growth(picture: str | None) -> Iterator[str]:
    """Yield the section on growth: the exponents of the power laws."""
    if picture:
        yield "## Growth"
        yield (
            "The legends have the exponent k of the power law time = c size^k, fitted to the "
            "training step along each sweep. With k = 1 the time is proportional to the size, with "
            "k = 0 independent of it."
        )
        yield picture


def convolution(measured: Sequence[Results]) -> Iterator[str]:
    """Yield the section on the convolutional network, with every stage."""
    yield "## A convolutional network"
    yield (
        "The network of snnTorch's tutorial 6. Milliseconds: median and, in brackets, quartiles. A "
        "ratio is the median of the fastest peer divided by spikemnist's."
    )
    for network in measured:
        candidates = network["candidates"]
        yield (
            f"### {network['code']}, {network['layers']}, T={network['num_steps']}, "
            f"batch {network['batch']}"
        )
        yield stages(candidates, STAGES)
        ratios = [
            f"{stage} {ratio(candidates, peer, stage)} ({peer})"
            for stage in WHOLE
            if (peer := fastest_peer(candidates, stage))
        ]
        if ratios:
            yield f"Against the fastest peer: {', '.join(ratios)}."


def unsupervised(measured: Sequence[Results]) -> Iterator[str]:
    """Yield the section on STDP: time and memory, and their growth."""
    yield "## Learning by STDP"
    yield (
        "`STDPClassifier` on digits, 350 timesteps per image: median milliseconds per image, and "
        "the memory that the classifier and its learning add."
    )
    yield table(
        ["neurons", "input spikes", "output spikes", "learning", "responding", "MiB"],
        [
            [
                f"{point.get('neurons', 400):,}",
                f"{point['spikes']:,.0f}",
                f"{point['fired']:.1f}",
                milliseconds(point["learn"]),
                milliseconds(point["respond"]),
                NOTHING if point["bytes"] is None else f"{point['bytes'] / 2**20:.0f}",
            ]
            for point in measured
        ],
    )
    for fitted in stdp.fit(measured):
        powers = ", ".join(
            f"{what} {fitted[name]:.2f}"
            for name, what in stdp.QUANTITIES.items()
            if fitted[name] is not None
        )
        yield f"Exponents of growth with the {stdp.AXES[fitted['axis']]}: {powers}."
    for point in measured:
        if point.get("bindsnet"):
            ours, theirs = point["bindsnet"]["ours"], point["bindsnet"]["theirs"]
            busy = point["bindsnet"].get("busy")
            yield (
                f"Learning from an image, {point['neurons']} neurons and 250 timesteps, in turn: "
                f"BindsNET {milliseconds(theirs)} ms, spikemnist {milliseconds(ours)} ms, "
                f"{f'no ratio: {busy}' if busy else f'{theirs / ours:.0f} times'}."
            )


def notes(results: Results) -> Iterator[str]:
    """Yield the deviations from snnTorch, and the reasons for missing speeds."""
    deviations: dict[str, dict[str, None]] = {}
    refused: dict[str, None] = {}
    for group in compared(results):
        where = group.get("layers", str(workload_of(group)))
        for name, found in group.get("candidates", {}).items():
            for deviation in filter(None, found["deviation"].split("; ")):
                deviations.setdefault(name, {})[deviation] = None
            if found["check"]["why"]:
                refused[f"{name}, {where}: {found['check']['why']}"] = None
    if deviations:
        yield "## Deviations from snnTorch"
        yield "\n".join(f"- {name}: {'; '.join(found)}." for name, found in deviations.items())
    if refused:
        yield "## Not shown"
        yield "\n".join(f"- {line}." for line in refused)


def stages(candidates: Results, wanted: Sequence[str]) -> str:
    """Return a table of the stages of all candidates."""
    rows = []
    for name, found in candidates.items():
        rows.append([label(name, found), *(cell(found["stages"].get(stage)) for stage in wanted)])
    return table(("", *wanted), rows)


def label(name: str, found: Mapping[str, Any]) -> str:
    """Return a name, with the backend that ran if the name does not contain it."""
    backend = found.get("backend", "")
    return f"{name} ({backend})" if backend and backend not in name else name


def cell(timing: Mapping[str, Any] | None) -> str:
    """Return the median and the quartiles in milliseconds."""
    if timing is None:
        return NOTHING
    low, high = map(milliseconds, timing["quartiles"])
    return f"{milliseconds(timing['median'])} ({low} to {high})"


def fastest_peer(candidates: Results, stage: str) -> str:
    """Return the name of the fastest candidate of another library, or an empty string."""
    times = {
        name: time
        for name in candidates
        if not name.startswith(OURS) and (time := seconds(candidates, name, stage)) is not None
    }
    return min(times, key=times.__getitem__, default="")


def ratio(candidates: Results, name: str, stage: str) -> str:
    """Return a candidate's time divided by this package's, with a note if one is unsteady."""
    ours, theirs = (timing_of(candidates, who, stage) for who in (AUTO, name))
    if ours is None or theirs is None:
        return NOTHING
    mark = f", {UNSTEADY}" if no_ratio(ours, theirs) else ""
    return f"{theirs['median'] / ours['median']:.1f}{mark}"


def seconds(candidates: Results, name: str, stage: str) -> float | None:
    """Return the median of a stage, or None if it was not measured."""
    timing = timing_of(candidates, name, stage)
    return None if timing is None else timing["median"]


def timing_of(candidates: Results, name: str, stage: str) -> Mapping[str, Any] | None:
    """Return the timing of a stage, or None if it was not measured."""
    timing: Mapping[str, Any] | None = candidates.get(name, {}).get("stages", {}).get(stage)
    return timing


def milliseconds(value: float | None) -> str:
    """Return seconds formatted as milliseconds with three digits."""
    return NOTHING if value is None else timing.milliseconds(value)


def scaled(value: float) -> str:
    """Return a number formatted with three digits and a unit prefix.

    Examples
    --------
    >>> scaled(12_345_678.0)
    '12.3 M'
    """
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{prefix}"
    return f"{value:.3g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in itertools.chain([header, rule], rows))
