"""Options of the command line: one dataclass per command.

Nothing heavy is imported here, so that ``spikemnist --help`` answers at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from spikemnist.cli.limits import (
    COUNT,
    INDEX,
    MILLIVOLTS,
    NOT_NEGATIVE,
    PART,
    POSITIVE,
    PROBABILITY,
    SEED,
    SHARE,
    STEPS,
)

DataName = Literal["digits", "mnist", "fashion_mnist", "nmnist"]
BackendName = Literal["auto", "event_driven", "triton", "metal", "reference", "snntorch"]
Technology = Literal["45nm-fp32", "45nm-fp16", "45nm-int32", "45nm-int8"]
Memory = Literal["8KB", "32KB", "1MB", "DRAM"]

SurrogateName = Literal[
    "atan",
    "fast_sigmoid",
    "heaviside",
    "sigmoid",
    "sparse_fast_sigmoid",
    "spike_rate_escape",
    "straight_through",
    "triangular",
]

ENCODERS = (
    "burst",
    "delta",
    "direct",
    "events",
    "latency",
    "phase",
    "population",
    "rank_order",
    "rate",
)
"""Encoders of the package. Their registry loads torch, so a test compares the names."""


def option(text: str, value: str | None = None, *, absent: str = "none") -> Any:
    """Return the help of an option.

    Parameters
    ----------
    text : str
        Description of the option.
    value : str, default None
        Placeholder of its value, or its choices if they are few.
    absent : str, default "none"
        Text to show as the default of an option that has no default value.
    """

    def default(shown: str) -> str:
        return f"(default: {({'None': absent, '': absent, 'False': 'off'}).get(shown, shown)})"

    return arg(help=text, metavar=value, help_behavior_hint=default)


DATA = (
    "data set. digits: 6,000 images of MNIST in the package. mnist, fashion_mnist: the full sets, "
    "read from --root, SPIKEMNIST_DATA or the cache, else downloaded. nmnist: N-MNIST, never "
    "downloaded"
)
BACKEND = "way in which the timesteps are run"
ROOT = "folder of the data files"
RUN = "run folder; a folder that holds something is refused"
TRAINED = "run folder, model file, or pretrained:NAME"

# Options of several commands.
Json = Annotated[bool, option("result as JSON on standard output, one line for each result")]
TestSet = Annotated[
    DataName | None,
    option("test set", "{digits,mnist,fashion_mnist,nmnist}", absent="the one of the run"),
]
TestRoot = Annotated[Path | None, option(ROOT, "PATH", absent="the one of the run")]
Index = Annotated[int, INDEX, option("place of the image in the test set, from 0", "N")]
DEVICE = "device of PyTorch; auto takes CUDA, then MPS, then the CPU"
Device = Annotated[str, option(DEVICE, "DEVICE")]
TrainDevice = Annotated[str, option(f"{DEVICE}; fastest times a training step on each", "DEVICE")]
CodeSeed = Annotated[int, SEED, option("seed of an encoder that draws random numbers", "N")]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    debug: Annotated[bool, option("traceback of an error")] = False
    quiet: Annotated[bool, option("result alone, without progress")] = False
    verbose: Annotated[bool, option("every setting, the network and the device as well")] = False


@dataclass(frozen=True, kw_only=True)
class Source(Common):
    """Where images, or recordings of an event camera, come from."""

    data: Annotated[DataName, option(DATA)] = "digits"
    root: Annotated[Path | None, option(ROOT, "PATH", absent="the usual places")] = None


@dataclass(frozen=True, kw_only=True)
class Neuron:
    """Leaky neurons, and how class scores are read from the last ones."""

    beta: Annotated[float, SHARE, option("decay of a membrane per timestep", "BETA")] = 0.95
    threshold: Annotated[float, POSITIVE, option("firing threshold", "THRESHOLD")] = 1.0
    reset: Annotated[
        Literal["subtract", "zero", "none"],
        option("effect of a spike on its membrane: minus the threshold, to zero, or none"),
    ] = "subtract"
    spike_grad: Annotated[SurrogateName, option("surrogate gradient of a spike")] = "atan"
    learn_beta: Annotated[bool, option("beta as a parameter that is trained")] = False
    learn_threshold: Annotated[bool, option("threshold as a parameter that is trained")] = False
    readout: Annotated[
        Literal["mean_membrane", "max_membrane", "spike_count", "first_spike"],
        option("class scores from the last neurons"),
    ] = "mean_membrane"


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Loss, optimiser, and remedies for learning by heart."""

    loss: Annotated[
        Literal["cross_entropy", "spike_time_cross_entropy", "spike_time_mse"],
        option("loss: on the class scores, or on the times of the first output spikes"),
    ] = "cross_entropy"
    spike_penalty: Annotated[
        float, NOT_NEGATIVE, option("cost of each hidden spike of an image in the loss", "COST")
    ] = 0.0
    label_smoothing: Annotated[
        float, PROBABILITY, option("share of a label that all classes get, for cross_entropy", "P")
    ] = 0.0
    optimizer: Annotated[
        Literal["adam", "adamw", "sgd"], option("optimiser; sgd has a momentum of 0.9")
    ] = "adam"
    schedule: Annotated[
        Literal["one_cycle", "cosine", "constant"],
        option("course of the learning rate. one_cycle: up in the first 30 %, then down to zero"),
    ] = "one_cycle"
    weight_decay: Annotated[
        float | None,
        NOT_NEGATIVE,
        option("decay of weights, not of biases", "DECAY", absent="the one of the optimiser"),
    ] = None
    augment: Annotated[
        tuple[Literal["affine", "elastic", "erase"], ...],
        option(
            "random changes of the training images, anew in each epoch. affine: rotated, shifted, "
            "scaled, sheared. elastic: bent. erase: with a black rectangle",
            "{affine,elastic,erase} [...]",
        ),
    ] = ()
    dropout: Annotated[
        float, PROBABILITY, option("probability with which a hidden spike is dropped", "P")
    ] = 0.0
    input_dropout: Annotated[
        float, PROBABILITY, option("probability with which an input is dropped", "P")
    ] = 0.0
    ema: Annotated[
        float | None,
        PROBABILITY,
        option("decay per step of a moving average of the weights, such as 0.999", "DECAY"),
    ] = None
    validation: Annotated[
        float | None,
        PART,
        option("share of the training images held out, by which the best epoch is chosen", "P"),
    ] = None
    patience: Annotated[
        int | None,
        COUNT,
        option("epochs without a lower validation loss after which the training ends", "N"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Recordings of an event camera, with --data nmnist."""

    first_saccade: Annotated[
        bool, option("first saccade of each recording, without the others")
    ] = False
    stabilize: Annotated[bool, option("recordings without the movement of the camera")] = False
    drop_events: Annotated[
        float,
        PROBABILITY,
        option(
            "probability with which an event is left out in training, drawn anew in each epoch", "P"
        ),
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class Train(Source):
    """Train a spiking network, test it, and draw what it does."""

    recipe: Annotated[
        Literal["fast", "accurate", "sparse"] | None,
        option(
            "settings by name, for images. fast: 98 % on MNIST as early as possible. accurate: as "
            "many right answers as possible, in minutes to an hour. sparse: few spikes. Options "
            "given beside it come first",
            "{fast,accurate,sparse}",
        ),
    ] = None
    encoder: Annotated[
        str,
        option(
            f"code that turns images into spikes: {', '.join(ENCODERS)}, or one that another "
            "package brings; events is the code of nmnist",
            "NAME",
        ),
    ] = "latency"
    num_steps: Annotated[int, STEPS, option("timesteps for each image", "N")] = 8
    model: Annotated[
        Literal["mlp", "conv"],
        option(
            "network. mlp: dense layers of leaky neurons. conv: convolutions before them, with "
            "defaults of their own"
        ),
    ] = "mlp"
    hidden: Annotated[
        tuple[int, ...], COUNT, option("neurons of each hidden layer of an mlp", "N [N ...]")
    ] = (512,)
    layers: Annotated[
        str,
        option(
            "layers of a conv: 12C5 is a convolution with 12 channels and kernels of 5 x 5, P2 "
            "pooling, a number a dense layer",
            "LAYERS",
        ),
    ] = "12C5-P2-64C5-P2-10"
    batch_norm: Annotated[bool, option("batch normalisation after each convolution of a conv")] = (
        False
    )
    epochs: Annotated[int, COUNT, option("passes over the training images", "N")] = 10
    batch_size: Annotated[int, COUNT, option("images in a training step", "N")] = 64
    lr: Annotated[float, POSITIVE, option("peak learning rate", "LR")] = 1e-2
    device: TrainDevice = "auto"
    backend: Annotated[BackendName, option(BACKEND)] = "auto"
    seed: Annotated[
        int, SEED, option("seed of the weights, the order of the images and the encoder", "N")
    ] = 0
    out: Annotated[Path | None, option(RUN, "PATH", absent="a new folder below runs/")] = None
    resume: Annotated[bool, option("continuation of the run in --out, with its options")] = False
    json: Json = False
    neuron: Neuron = Neuron()
    learning: Learning = Learning()
    recordings: Recordings = Recordings()


@dataclass(frozen=True, kw_only=True)
class Stdp(Source):
    """Learn digits without labels by spike-timing-dependent plasticity, test, and draw."""

    neurons: Annotated[int, COUNT, option("neurons that compete", "N")] = 400
    features: Annotated[
        int | None,
        COUNT,
        option(
            "convolutional features to learn instead, with a readout that labels teach",
            "N",
        ),
    ] = None
    passes: Annotated[int, COUNT, option("passes over the training images", "N")] = 1
    theta_plus: Annotated[
        float | None,
        MILLIVOLTS,
        option(
            "rise of a threshold with each spike, in mV",
            "MV",
            absent="by the numbers of neurons and images",
        ),
    ] = None
    voting: Annotated[
        Literal["proportional", "assigned"],
        option(
            "vote of a spike: for all classes that its neuron responds to, or for the one that the "
            "neuron is assigned to"
        ),
    ] = "proportional"
    seed: Annotated[
        int, SEED, option("seed of the weights, the order of the images and the spikes", "N")
    ] = 0
    out: Annotated[Path | None, option(RUN, "PATH", absent="a new folder below runs/")] = None
    resume: Annotated[bool, option("continuation of the run in --out, with its options")] = False
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Test trained networks, or what STDP has learned."""

    runs: Annotated[
        Positional[tuple[Path, ...]],
        arg(
            help=TRAINED,
            metavar="RUN [RUN ...]",
            help_behavior_hint="(required)",
        ),
    ]
    data: TestSet = None
    root: TestRoot = None
    batch_size: Annotated[int, COUNT, option("images in a step", "N")] = 256
    device: Device = "auto"
    backend: Annotated[
        BackendName | None,
        option(
            BACKEND,
            "{auto,event_driven,triton,metal,reference,snntorch}",
            absent="the one of the model",
        ),
    ] = None
    seed: CodeSeed = 0
    energy: Annotated[
        bool, option("operations as well, and an estimate of the energy beside that of an ANN")
    ] = False
    technology: Annotated[Technology, option("cost of an operation, for --energy")] = "45nm-fp32"
    memory: Annotated[
        Memory | None,
        option(
            "memory whose accesses count, for --energy",
            "{8KB,32KB,1MB,DRAM}",
            absent="accesses are free",
        ),
    ] = None
    robustness: Annotated[
        bool,
        option(
            "accuracy under noise, shift, rotation and dropped spikes as well, and a picture of "
            "it, of all networks beside each other"
        ),
    ] = False
    out: Annotated[
        Path | None,
        option(
            "picture (png, pdf, svg), for --robustness; an old file is replaced",
            "FILE",
            absent="robustness.png, or the next free robustness-2.png",
        ),
    ] = None
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class Predict(Common):
    """Say which digit is in a picture of your own, and draw how the network decides."""

    run: Annotated[Positional[Path], arg(help=TRAINED, metavar="RUN")]
    pictures: Annotated[
        Positional[tuple[Path, ...]],
        arg(
            help="png, jpg or another file that Pillow reads",
            metavar="PICTURE [PICTURE ...]",
            help_behavior_hint="(required)",
        ),
    ]
    invert: Annotated[
        Literal["auto", "yes", "no"],
        option(
            "strokes darker than their paper. auto: by the edge of the picture, which is taken for "
            "paper"
        ),
    ] = "auto"
    gif: Annotated[bool, option("animation as well")] = False
    seed: CodeSeed = 0
    out: Annotated[
        Path,
        option("folder of the pictures; old ones are replaced", "PATH"),
    ] = Path()
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class Encode(Source):
    """Turn one image, or recording, of the test set into spikes, and draw or store them."""

    encoder: Annotated[
        str,
        option(
            f"code: {', '.join(ENCODERS)}, or one that another package brings; events is the code "
            "of nmnist",
            "NAME",
        ),
    ] = "latency"
    num_steps: Annotated[int, STEPS, option("timesteps", "N")] = 8
    index: Index = 0
    seed: CodeSeed = 0
    compare: Annotated[
        bool, option("all codes in place of one: spikes, error of the decoded image, a picture")
    ] = False
    out: Annotated[
        Path | None,
        option(
            "picture (png, pdf, svg), or NumPy array [T, 28, 28] (npy); an old file is replaced",
            "FILE",
            absent="encoding.png, or the next free encoding-2.png",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Plot(Common):
    """Draw what a trained network does with one image of its test set, or what STDP has learned."""

    run: Annotated[Positional[Path], arg(help=TRAINED, metavar="RUN")]
    data: TestSet = None
    root: TestRoot = None
    index: Index = 0
    device: Device = "auto"
    seed: CodeSeed = 0
    out: Annotated[
        Path | None, option("folder of the pictures", "PATH", absent="the run folder, or NAME")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Export(Common):
    """Write a trained network for a browser, other simulators, ONNX runtimes or a C compiler."""

    run: Annotated[Positional[Path], arg(help=TRAINED, metavar="RUN")]
    to: Annotated[
        Literal["html", "nir", "onnx", "c"],
        option(
            "format. html: a page on which one draws a digit. nir: the Neuromorphic Intermediate "
            "Representation. onnx: ONNX, the code of the images included. c: a folder of C99"
        ),
    ] = "html"
    weights: Annotated[
        Literal["float32", "int8"], option("precision, for --to c; int8 has whole numbers alone")
    ] = "float32"
    out: Annotated[
        Path | None,
        option(
            "file, or folder of c; an old one is replaced",
            "PATH",
            absent="NAME.html, NAME.nir, NAME.onnx or NAME-c, or the next free NAME-2.html",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Info(Common):
    """Print versions, devices, backends and data found, for bug reports."""


@dataclass(frozen=True, kw_only=True)
class Bench(Common):
    """Time training and inference on this machine, beside snnTorch's own loop over time."""

    quick: Annotated[bool, option("two networks in 20 seconds, not four in about a minute")] = False
    json: Json = False


Command = Train | Stdp | Evaluate | Predict | Encode | Plot | Export | Info | Bench
