"""C99, compiled with every warning an error and run under the sanitizers."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.replay import REPLAY, from_lines
from spikemnist import (
    Classifier,
    DirectEncoder,
    LatencyEncoder,
    LeakyConvNet,
    LeakyMLP,
    accelerate,
    load,
)
from spikemnist.export import to_c
from spikemnist.models import READOUTS, Record, available_pretrained
from tests.export.replay import DIGITS, draw_network, samples_that_differ, watch
from tests.pairs import Case, named, pairs
from tests.rooms import of_rooms

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no compiler is there by these names"),
]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)] or ["cc"]
CXX = next(filter(None, map(shutil.which, ("g++", "clang++"))), "")
needs_cxx = pytest.mark.skipif(not CXX, reason="no C++ compiler is there")
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wsign-conversion -Wfloat-equal -Werror"
CORTEX_M4 = ("arm-none-eabi-gcc", ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"])
STRICT = ("-std=c99", *WARNINGS.split())
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compile_c(folder: Path, *options: str, compiler: str = COMPILERS[0]) -> Path:
    program = folder / "program"
    words = [compiler, *STRICT, *options, f"-I{folder}", REPLAY, folder / "network.c"]
    subprocess.run([*map(str, words), "-o", str(program)], check=True)
    return program


def compile_example(folder: Path, name: str = "main", *options: str) -> Path:
    words = [COMPILERS[0], *STRICT, *options, f"{name}.c", "network.c", "-o", name]
    subprocess.run(words, cwd=folder, check=True)
    return folder / name


def run(program: Path, data: NDArray[np.uint8], *words: str) -> list[str]:
    done = subprocess.run([program, *words], input=data.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def spikes_of(lines: list[str], record: Record) -> list[NDArray[np.float32]]:
    """Return the spikes of each layer, ``[T, B, ...]``, from what the program printed."""
    shapes = [layer.spikes.shape[2:] for layer in record.layers]
    return from_lines(lines, len(record.spikes), [(*s[1:], s[0]) for s in shapes])


def steps_of(record: Record) -> NDArray[np.uint8]:
    """Return the input of a network timestep by timestep for each sample, channels last."""
    assert record.input is not None
    signal = record.input.movedim(0, 1)
    signal = signal.movedim(2, -1) if signal.dim() == 5 else signal
    return signal.to(torch.uint8).numpy()


@pytest.mark.parametrize(
    ("name", "compiler"),
    [
        *((name, COMPILERS[0]) for name in available_pretrained()),
        *(("mnist-sparse", compiler) for compiler in COMPILERS[1:]),
    ],
)
def test_replay_of_digits(name: str, compiler: str, tmp_path: Path) -> None:
    classifier = load(name)
    record = watch(classifier)
    steps = len(record.spikes)
    to_c(classifier, tmp_path)
    program = compile_c(tmp_path, *SANITIZED, f"-DSTEPS={steps}", compiler=compiler)
    images = DIGITS.images.numpy()
    grey = isinstance(classifier.encoder, DirectEncoder)
    signal = np.repeat(images[:, None], steps, 1) if grey else steps_of(record)
    lines = run(program, signal)
    differ = samples_that_differ(record, spikes_of(lines, record))
    assert differ <= 1
    classes = [int(line.partition(">")[2].split()[0]) for line in lines]
    assert (np.array(classes) != record.predictions.numpy()).sum() <= differ
    at_once = run(program, images, "classify")
    assert [int(line.split()[0]) for line in at_once] == classes


@pytest.mark.parametrize("name", available_pretrained())
def test_int8_weights(name: str, tmp_path: Path) -> None:
    classifier = load(name)
    record = watch(classifier)
    to_c(classifier, tmp_path, weights="int8")
    program = compile_c(tmp_path, *SANITIZED, "-DSTEPS=1")
    lines = run(program, DIGITS.images.numpy(), "classify")
    answers = np.array([int(line.split()[0]) for line in lines])
    assert (answers != record.predictions.numpy()).sum() <= 1
    text = (tmp_path / "network.c").read_text(encoding="utf-8")
    assert not re.search(r"\b\d+(\.\d*)?e[-+]?\d+f", text)  # no fraction in any table


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-sparse"])
def test_copies_of_the_outputs(name: str, weights: Any, tmp_path: Path) -> None:
    """Four copies of each output decide as it does: sums of four, or of integers, are exact."""
    classifier = load(name)
    config = {**classifier.network.config, "population": 4}
    network = type(classifier.network)(**config)
    before = classifier.state_dict()
    grown = {
        name: before[f"network.{name}"].repeat_interleave(len(old) // len(x), 0) if x.dim() else x
        for name, old in network.state_dict().items()
        for x in [before[f"network.{name}"]]
    }
    network.load_state_dict(grown)
    answers = []
    for model in (classifier, Classifier(network.eval(), classifier.encoder)):
        to_c(model, tmp_path, weights=weights)
        program = compile_c(tmp_path, *SANITIZED, "-DSTEPS=1")
        lines = run(program, DIGITS.images.numpy(), "classify")
        answers.append([int(line.split()[0]) for line in lines])
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "case",
    pairs(
        layers=["12", "4C5-P2-5C3p1-AP2-6-10", "2C4s3p2-10"],
        reset_mechanism=["subtract", "zero", "none"],
        readout=[*READOUTS],
        population=[1, 3],
    ),
    ids=named,
)
def test_spikes_and_decisions_of_the_model(case: Case, tmp_path: Path) -> None:
    model = draw_network(**case, seed=0, beta=0.9)
    spikes = (torch.rand(5, 4, 1, 28, 28) < 0.2).float()
    with torch.no_grad():
        record = model(spikes, record="all")
    to_c(model, tmp_path)
    program = compile_c(tmp_path, *SANITIZED, "-DSTEPS=5", "-Dnetwork_classify(state,image)=(0)")
    lines = run(program, steps_of(record))
    if samples_that_differ(record, spikes_of(lines, record)) == 0:
        scores = record.scores.sort().values
        for line, ours, (*_, second, first) in zip(lines, record.predictions, scores, strict=True):
            if case["readout"] in ("spike_count", "first_spike") or first - second > 1e-3:
                assert int(line.partition(">")[2].split()[0]) == int(ours)


def test_example_program(tmp_path: Path) -> None:
    folder = to_c(load("mnist-mlp"), tmp_path / "new" / "folder", weights="int8")
    program = compile_example(folder)
    image = DIGITS.images[0].numpy().tobytes()
    (folder / "digit").write_bytes(image)
    (folder / "short").write_bytes(image[:-1])
    (folder / "long").write_bytes(image + b"0")

    def classify(*files: str) -> tuple[int, str]:
        words = [program, *files]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = classify("digit")
    assert code == 0
    assert said.startswith(f"class {int(DIGITS.labels[0])}\nlayer 0: ")
    for other in ("short", "long"):
        code, said = classify(other)
        assert code == 1
        assert f"{other} must have 784 bytes" in said
    assert classify("elsewhere")[0] == classify()[0] == 2


def test_pooled_sums_beyond_32_bits(tmp_path: Path) -> None:
    model = LeakyConvNet("1C16-AP17-4", (1, 32, 32))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.layers[0].modules[0][1].weight.fill_(1)
        model.layers[1].linear.weight[2] = 1  # class 2 hears the only hidden neuron
    to_c(Classifier(model, DirectEncoder(num_steps=3)), tmp_path, weights="int8")
    program = compile_c(tmp_path, *SANITIZED, "-DSTEPS=1")
    white = np.full((32, 32), 255, np.uint8)
    assert run(program, white, "classify")[0].startswith("2 ")


@needs_cxx
def test_two_networks_in_a_cpp_program(tmp_path: Path) -> None:
    digit = load("mnist-mlp")
    torch.manual_seed(0)
    letter = LeakyConvNet("3C5s2-10", threshold=0.3, readout="first_spike").eval()
    other = Classifier(letter, DirectEncoder(num_steps=4))
    to_c(digit, tmp_path, prefix="digit", weights="int8")
    to_c(other, tmp_path, prefix="Letter2")
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"README.md", "main.c", "test.c"} | {
        f"{prefix}.{ending}" for prefix in ("digit", "Letter2") for ending in "ch"
    }
    (tmp_path / "both.cpp").write_text(
        """
        #include "digit.h"
        #include "Letter2.h"
        #include <cstdio>
        static_assert(DIGIT_INPUTS == 784 && LETTER2_STEPS == 4, "macros have the prefix");
        int main()
        {
            static uint8_t image[DIGIT_INPUTS];
            static digit_state digit;
            static Letter2_state letter;
            while (std::fread(image, 1, sizeof image, stdin) == sizeof image) {
                const int first = digit_classify(&digit, image);
                std::printf("%d %d\\n", first, Letter2_classify(&letter, image));
            }
        }
        """
    )
    sources = ("digit.c", "Letter2.c")
    cpp = (CXX, "-std=c++11", *WARNINGS.split())
    subprocess.run([COMPILERS[0], *STRICT, "-c", *sources], cwd=tmp_path, check=True)
    program = tmp_path / "both"
    words = [*cpp, "both.cpp", "digit.o", "Letter2.o", "-o", program]
    subprocess.run(words, cwd=tmp_path, check=True)
    lines = run(program, DIGITS.images.numpy())
    answers = np.array([list(map(int, line.split())) for line in lines])
    ours = np.stack([one.predict(DIGITS).numpy() for one in (digit, other)], 1)
    assert (answers != ours).sum(0).max() <= 1
    # The sources are C++ as well, as where a sketch has them under the name digit.cpp.
    words = [*cpp, "-x", "c++", "both.cpp", *sources, "-o", tmp_path / "alone"]
    subprocess.run(words, cwd=tmp_path, check=True)
    assert run(tmp_path / "alone", DIGITS.images.numpy()) == lines


@pytest.mark.parametrize(
    "prefix", ["", "2digits", "my-net", "a b", "_digit", "café", "a\n", "main", "Test", "stdint"]
)
def test_wrong_prefixes(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="prefix must be a C identifier") as error:
        to_c(LeakyMLP((3,), in_features=4, out_features=2), tmp_path, prefix=prefix)
    assert str(error.value).endswith(f"got {prefix!r}")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name their sections otherwise")
@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("readout", READOUTS)
def test_sizes_in_the_readme(readout: str, weights: Any, tmp_path: Path) -> None:
    network = draw_network("2C5-P2-6-10", seed=0, readout=readout, population=2)
    to_c(Classifier(network, "latency"), tmp_path, weights=weights, prefix="digit")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    tables, memory = (int(n.replace(",", "")) for n in re.findall(r"\| ([\d,]+) \|\n", readme))
    (tmp_path / "state.c").write_text('#include "digit.h"\nstruct digit_state state;\n')
    for tools, compiler, machine in (("", COMPILERS[0], ()), ("arm-none-eabi-", *CORTEX_M4)):
        if not shutil.which(compiler):
            continue
        words = [compiler, *STRICT, *machine, "-Os", "-c", "digit.c", "state.c"]
        subprocess.run(words, cwd=tmp_path, check=True)
        text = subprocess.check_output([f"{tools}size", "-A", "digit.o"], cwd=tmp_path, text=True)
        sections = {name: int(size) for name, size in re.findall(r"^(\.\S+) +(\d+)", text, re.M)}
        constant = sum(n for name, n in sections.items() if name.startswith((".rodata", ".data")))
        assert sum(n for name, n in sections.items() if name.startswith(".text")) < 2300
        assert tables <= constant < tables + 1000  # and the pointers to them
        assert not sections.get(".data")
        assert not sections[".bss"]  # all that changes is in the state
        printed = subprocess.check_output([f"{tools}nm", "-S", "state.o"], cwd=tmp_path, text=True)
        assert [int(line.split()[1], 16) for line in printed.splitlines()] == [memory]
        printed = subprocess.check_output([f"{tools}nm", "digit.o"], cwd=tmp_path, text=True)
        public = {name for *_, kind, name in map(str.split, printed.splitlines()) if kind == "T"}
        names = ["reset", "step", "step_events", "decision", "spikes", "membranes", "classify"]
        assert public == {f"digit_{name}" for name in names}


@pytest.mark.skipif(not shutil.which(CORTEX_M4[0]), reason="no compiler for ARM is there")
@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("name", available_pretrained())
def test_sizes_in_the_page(name: str, weights: Any, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "howto" / "export.md"
    row = rf"\| {name}, {weights} \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|"
    (found,) = re.findall(row, page.read_text(encoding="utf-8"))
    flash, code, ram = (int(number.replace(",", "")) for number in found)
    to_c(load(name), tmp_path, weights=weights)
    (tmp_path / "state.c").write_text('#include "network.h"\nstruct network_state state;\n')
    words = [CORTEX_M4[0], *STRICT, *CORTEX_M4[1], "-Os", "-c", "network.c", "state.c"]
    subprocess.run(words, cwd=tmp_path, check=True)
    sizes = []
    for file in ("network.o", "state.o"):
        printed = subprocess.check_output(["arm-none-eabi-size", tmp_path / file], text=True)
        sizes.append([int(word) for word in printed.splitlines()[1].split()[:3]])
    assert sizes[1] == [0, 0, ram]
    assert sizes[0] == [pytest.approx(flash, abs=300), 0, 0]  # another gcc makes other code
    assert code < 2000


@pytest.mark.parametrize(
    "case",
    pairs(
        layers=["12", "4C5-P2-5C3p1-AP2-6-10", "3C7s2p3-P5-10", "2C5p2-AP3-5C3s2-12-10"],
        code=["latency", "direct", *of_rooms("CODES_OF_PIXELS")[:1]],
        weights=["float32", "int8"],
        reset_mechanism=["subtract", "zero", "none"],
        readout=[*READOUTS],
        population=[1, 3],
    ),
    ids=named,
)
def test_program_that_compares(case: Case, tmp_path: Path) -> None:
    code, weights = case.pop("code"), case.pop("weights")
    classifier = Classifier(draw_network(**case, seed=0, beta=0.9, threshold=0.3), code)
    program = compile_example(to_c(classifier, tmp_path, weights=weights), "test", *SANITIZED)
    assert run(program, np.empty(0, np.uint8)) == ["10 of 10 images agree"]


@pytest.mark.parametrize("shape", [(3, 9, 8), (2, 30, 40)])
def test_program_that_compares_other_pictures(shape: tuple[int, ...], tmp_path: Path) -> None:
    network = LeakyConvNet("4C3-P2-5", shape, threshold=0.3, seed=0).eval()
    folder = to_c(Classifier(network, "latency"), tmp_path, weights="int8")
    program = compile_example(folder, "test", *SANITIZED)
    assert run(program, np.empty(0, np.uint8)) == ["10 of 10 images agree"]


@pytest.mark.parametrize("name", available_pretrained())
def test_images_and_spikes_of_the_comparison(name: str, tmp_path: Path) -> None:
    classifier = load(name)
    text = (to_c(classifier, tmp_path) / "test.c").read_text(encoding="utf-8")
    rows = re.findall(r"^    \{(\d+), \{(.*)\}\}", text, re.M)
    (pixels,) = re.findall(r"images\[\] = \{(.*?)\}", text, re.S)
    images = torch.tensor(list(map(int, pixels.split(",")))).reshape(10, 28, 28)
    record = classifier(images.to(torch.uint8), record="all")
    expected = torch.stack([x.spikes.transpose(0, 1).flatten(1).sum(1) for x in record.layers], 1)
    assert [list(map(int, counts.split(","))) for _, counts in rows] == expected.tolist()
    assert [int(label) for label, _ in rows] == record.predictions.tolist()


def test_int8_of_outputs_that_never_fire(tmp_path: Path) -> None:
    """A converted network has outputs of an unreachable threshold, which must not set the unit."""
    classifier = load("mnist-mlp")
    classifier.network.layers[-1].leaky.threshold.fill_(1e9)
    program = compile_c(to_c(classifier, tmp_path, weights="int8"), "-DSTEPS=1")
    lines = run(program, DIGITS.images.numpy(), "classify")
    actual = torch.tensor([int(line.split()[0]) for line in lines])
    assert (actual != classifier.predict(DIGITS)).sum() <= 1


def test_difference_from_the_comparison(tmp_path: Path) -> None:
    to_c(load("mnist-mlp"), tmp_path, weights="int8")
    source = tmp_path / "network.c"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("threshold_1[] = {\n    ", "threshold_1[] = {\n    -"))
    program = compile_example(tmp_path, "test")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"^image \d, layer 1: \d+ spikes, expected \d+$", done.stdout, re.M)
    assert re.search(r"^\d of 10 images agree$", done.stdout, re.M)


STATES = """
    #include "network.h"
    #include <pthread.h>
    #include <stdio.h>

    enum { IMAGES = 10 };
    static uint8_t images[IMAGES][NETWORK_INPUTS];
    static int alone[IMAGES], together[IMAGES];

    static void *classify(void *first)
    {
        struct network_state state;
        int i;
        for (i = *(const int *)first; i < IMAGES; i += 2) {
            together[i] = network_classify(&state, images[i]);
        }
        return NULL;
    }

    int main(void)
    {
        static struct network_state states[2];
        static const int first[2] = {0, 1};
        pthread_t threads[2];
        int i, t;
        if (fread(images, sizeof images, 1, stdin) != 1) {
            return 1;
        }
        for (i = 0; i < IMAGES; i++) {
            alone[i] = network_classify(states, images[i]);
        }
        for (i = 0; i < 2; i++) {
            pthread_create(threads + i, NULL, classify, (void *)(uintptr_t)(first + i));
        }
        for (i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        for (i = 0; i < IMAGES; i++) {
            printf("%d %d", alone[i], together[i]);
            network_reset(states);
            network_reset(states + 1);
            for (t = 0; t < NETWORK_STEPS; t++) { /* beside an image of another state */
                network_step(states, images[i]);
                network_step(states + 1, images[IMAGES - 1 - i]);
            }
            printf(" %d\\n", network_decision(states));
        }
        return 0;
    }
"""


@pytest.mark.parametrize("layers", ["12", "4C5-P2-6-10"])
def test_states_of_two_threads_and_streams(layers: str, tmp_path: Path) -> None:
    network = draw_network(layers, seed=0, threshold=0.3)
    to_c(Classifier(network, "direct"), tmp_path, weights="int8")
    (tmp_path / "both.c").write_text(STATES)
    options = ["-O1", "-g", "-pthread", "-fsanitize=thread"]
    program = compile_example(tmp_path, "both", *options)
    lines = run(program, DIGITS.images[:10].numpy())
    answers = [line.split() for line in lines]
    assert len(answers) == 10
    assert all(len({*line}) == 1 for line in answers)


EMPTY = """
#include "network.h"

#include <stdio.h>

int main(void)
{
    static struct network_state states[2];
    static uint8_t all[NETWORK_INPUTS];
    int i, j;

    for (i = 0; i < NETWORK_INPUTS; i++) {
        all[i] = 1;
    }
    for (i = 0; i < 2; i++) {
        network_reset(states + i);
        network_step(states + i, all);
        for (j = 0; j < 5; j++) {
            network_step_events(states + i, i ? NULL : states[i].events, 0);
        }
        printf("%lu\\n", (unsigned long)states[i].total[0]);
    }
    return 0;
}
"""


def test_list_without_events(tmp_path: Path) -> None:
    """The address of an empty list may be NULL, as that of an empty std::vector."""
    to_c(load("mnist-mlp"), tmp_path)
    (tmp_path / "empty.c").write_text(EMPTY)
    first, second = run(compile_example(tmp_path, "empty", *SANITIZED), np.empty(0, np.uint8))
    assert first == second


ORDERS = """
#include "network.h"

#include <stdio.h>

int main(void)
{
    static struct network_state state;
    static uint8_t image[NETWORK_INPUTS];
    static uint16_t list[2 * NETWORK_INPUTS];
    int i, t, way;

    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        for (way = 0; way < 4; way++) { /* ascending, descending, each twice, within the state */
            network_reset(&state);
            for (t = 0; t < 5; t++) {
                uint16_t *const index = way == 3 ? state.events : list;
                int count = 0;
                for (i = 0; i < NETWORK_INPUTS; i++) {
                    const int input = way ? NETWORK_INPUTS - 1 - i : i;
                    if (image[input] > 50 * t) {
                        index[count++] = (uint16_t)input;
                        if (way == 2) {
                            index[count++] = (uint16_t)input;
                        }
                    }
                }
                network_step_events(&state, index, count);
            }
            for (i = 0; i < NETWORK_LAYERS; i++) {
                printf("%lu ", (unsigned long)state.total[i]);
            }
            printf("%d;", network_decision(&state));
        }
        printf("\\n");
    }
    return 0;
}
"""


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-conv"])
def test_events_in_any_order(name: str, tmp_path: Path) -> None:
    to_c(load(name).network, tmp_path)
    (tmp_path / "orders.c").write_text(ORDERS)
    lines = run(compile_example(tmp_path, "orders", *SANITIZED), DIGITS.images[:50].numpy())
    assert len(lines) == 50
    for line in lines:
        first, *others = line.rstrip(";").split(";")
        assert others == [first] * 3
    assert len({*lines}) > 10


def test_code_of_each_readout(tmp_path: Path) -> None:
    texts = set()
    for readout in READOUTS:
        to_c(
            LeakyMLP((3,), in_features=4, out_features=2, readout=readout), tmp_path, prefix="digit"
        )
        text = (tmp_path / "digit.c").read_text(encoding="utf-8")
        assert re.findall("^#if.*", text, re.M) == ["#if INT_MAX < INT32_MAX"]
        assert not re.search(r"@|network_|classify|int64|\bUNIT", text)
        assert ("score" in text) == (readout != "mean_membrane")
        assert ("score[i]--" in text) == (readout == "first_spike")
        texts.add(re.sub(r"(?s)static const \w+ \w+\[\].*?;", "", text))
    assert len(texts) == len(READOUTS)


def test_int_of_16_bits(tmp_path: Path) -> None:
    to_c(LeakyMLP((3,), in_features=4, out_features=2), tmp_path)
    (tmp_path / "limits.h").write_text("#define INT_MAX 32767\n")
    words = [COMPILERS[0], "-std=c99", f"-I{tmp_path}", "-c", "network.c"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "an int must have 32 bits" in done.stderr


@pytest.mark.parametrize("shape", [(3, 9, 8), (2, 8, 9)])
def test_channels_last(shape: tuple[int, int, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = LeakyConvNet("4C3-P2-5", shape, threshold=0.3).eval()
    classifier = Classifier(network, DirectEncoder(num_steps=4))
    program = compile_example(to_c(classifier, tmp_path))
    images = torch.randint(0, 256, (4, *shape), dtype=torch.uint8)
    for image, ours in zip(images, classifier.predict(images), strict=True):
        file = tmp_path / "image"
        file.write_bytes(image.movedim(0, -1).numpy().tobytes())
        said = subprocess.check_output([program, file], text=True)
        assert said.startswith(f"class {int(ours)}\n")


def test_int8_layer_of_zeros(tmp_path: Path) -> None:
    layers = (snntorch.Leaky(beta=0.9, threshold=0, init_hidden=True, output=out) for out in (0, 1))
    model = accelerate(
        nn.Sequential(nn.Linear(4, 3), next(layers), nn.Linear(3, 2), next(layers))
    ).eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    model.layers[1].linear.bias.data[1] = 1  # which alone fires
    to_c(model, tmp_path, weights="int8")
    program = compile_c(tmp_path, *SANITIZED, "-DSTEPS=1", "-Dnetwork_classify(state,image)=(0)")
    assert run(program, np.ones(4, np.uint8)) == ["|| 1> 1 12"]


def test_files_without_an_encoder(tmp_path: Path) -> None:
    folder = to_c(LeakyMLP((3,), in_features=4, out_features=2), tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "network.c", "network.h"]
    header, readme = (
        (folder / name).read_text(encoding="utf-8") for name in ("network.h", "README.md")
    )
    assert "#define NETWORK_STEPS 0 " in header
    assert "network_classify" not in header + readme
    assert not re.search(r"main\.c|test\.c|prepare_image", readme)


def test_folder_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    first, second = (
        Classifier(LeakyMLP((3,), in_features=4, out_features=2), code)
        for code in ("latency", "direct")
    )
    to_c(first, tmp_path)
    old, write = read(), Path.write_text

    def write_on_a_full_disk(path: Path, text: str, **options: Any) -> int:
        if path.suffix == ".md":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, text, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_on_a_full_disk)
        with pytest.raises(OSError, match=r"No space left on device: .*README\.md"):
            to_c(second, tmp_path)
    assert read() == old
    to_c(second, tmp_path)
    assert read().keys() == old.keys()
    assert read() != old


def test_wrong_weights_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights must be one of float32, int8; got 'int4'"):
        to_c(LeakyMLP(), tmp_path, weights="int4")
    with pytest.raises(ValueError, match=r"numbered in 16 bits; got 70,000 inputs and 3 neurons"):
        to_c(Classifier(LeakyMLP((3,), in_features=70_000), LatencyEncoder(num_steps=3)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_codes_of_neither_spikes_nor_grey_values(tmp_path: Path) -> None:
    class Faint(DirectEncoder):
        def __call__(self, images: torch.Tensor, **options: Any) -> torch.Tensor:
            return super().__call__(images, **options) / 2

    with pytest.raises(ValueError, match="spikes, 0 and 1, or be the grey value over 255"):
        to_c(Classifier(LeakyMLP(hidden=3), Faint()), tmp_path)
    assert not list(tmp_path.iterdir())
