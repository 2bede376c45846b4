"""Options of the command line: one dataclass per command.

Nothing heavy is imported here, so that ``spikemnist --help`` answers at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from tyro.conf import Positional, arg

from spikemnist._names import (
    AugmentationName,
    Backend,
    LossName,
    OptimizerName,
    ReadoutName,
    ResetMechanism,
    ScheduleName,
    SurrogateName,
    Voting,
)
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
from spikemnist.encoding import ENCODERS

ImagesName = Literal["digits", "mnist", "fashion_mnist"]
DataName = Literal[ImagesName, "nmnist"]
RecipeName = Literal["fast", "accurate", "sparse"]
Technology = Literal["45nm-fp32", "45nm-fp16", "45nm-int32", "45nm-int8"]
Memory = Literal["8KB", "32KB", "1MB", "DRAM"]


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

    def default(literal: str) -> str:
        return f"(default: {({'None': absent, '': absent, 'False': 'off'}).get(literal, literal)})"

    return arg(help=text, metavar=value, help_behavior_hint=default)


def choices(names: Any) -> str:
    """Return the placeholder of an option that takes one of several names, or none.

    Examples
    --------
    >>> choices(Literal["rate", "latency"])
    '{rate,latency}'
    """
    return f"{{{','.join(get_args(names))}}}"


IMAGES = (
    "data set. digits: 6,000 images of MNIST that come with the package. mnist, fashion_mnist: the "
    "full sets, read from --root, SPIKEMNIST_DATA or the cache, else downloaded"
)
DATA = f"{IMAGES}. nmnist: N-MNIST, event-camera recordings, never downloaded"
BACKEND = "implementation that runs the timesteps"
ROOT = "folder of the data files"
RUN = "run folder; it must be new or empty, except with --resume"
TRAINED = "run folder, model file, or name of a pretrained network"

# Options of several commands.
Json = Annotated[bool, option("print the result as JSON, one line for each result")]
TestSet = Annotated[
    DataName | None,
    option("test set", choices(DataName), absent="as in training"),
]
TestRoot = Annotated[Path | None, option(ROOT, "PATH", absent="as in training")]
Index = Annotated[int, INDEX, option("index of the sample in the test set, from 0", "N")]
Device = Annotated[str, option("PyTorch device; auto uses CUDA, else MPS, else the CPU", "DEVICE")]
CodeSeed = Annotated[int, SEED, option("seed of random encoders such as rate", "N")]


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    debug: Annotated[bool, option("show the traceback of an error")] = False
    quiet: Annotated[bool, option("print only the result, without progress")] = False
    verbose: Annotated[bool, option("also print all settings, the network and the device")] = False


@dataclass(frozen=True, kw_only=True)
class Source(Common):
    """Where images, or recordings of an event camera, come from."""

    data: Annotated[DataName, option(DATA)] = "digits"
    root: Annotated[Path | None, option(ROOT, "PATH", absent="SPIKEMNIST_DATA, else the cache")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class Neuron:
    """Leaky neurons, the same in all layers, and the readout of class scores."""

    beta: Annotated[float, SHARE, option("decay of a membrane per timestep", "BETA")] = 0.95
    threshold: Annotated[float, POSITIVE, option("firing threshold", "THRESHOLD")] = 1.0
    reset_mechanism: Annotated[
        ResetMechanism,
        option("reset after a spike: subtract the threshold, set the membrane to zero, or none"),
    ] = "subtract"
    spike_grad: Annotated[SurrogateName, option("surrogate gradient")] = "atan"
    learn_beta: Annotated[bool, option("train beta as well")] = False
    learn_threshold: Annotated[bool, option("train the threshold as well")] = False
    readout: Annotated[
        ReadoutName,
        option("class scores, computed from the output neurons"),
    ] = "mean_membrane"


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Loss, optimiser and regularisation."""

    loss: Annotated[
        LossName,
        option("loss of the class scores, or of the times of the first output spikes"),
    ] = "cross_entropy"
    spike_penalty: Annotated[
        float, NOT_NEGATIVE, option("cost in the loss of each hidden spike of an image", "COST")
    ] = 0.0
    label_smoothing: Annotated[
        float,
        PROBABILITY,
        option("share of a label spread over all classes, for cross_entropy", "P"),
    ] = 0.0
    optimizer: Annotated[OptimizerName, option("optimiser; sgd has a momentum of 0.9")] = "adam"
    schedule: Annotated[
        ScheduleName,
        option("learning rate over time. one_cycle: rises for the first 30 %, then falls to zero"),
    ] = "one_cycle"
    weight_decay: Annotated[
        float | None,
        NOT_NEGATIVE,
        option("decay of the weights, not of the biases", "DECAY", absent="as in the optimiser"),
    ] = None
    augment: Annotated[
        tuple[AugmentationName, ...],
        option(
            "random changes of the training images, drawn anew in each epoch. affine: rotate, "
            "shift, scale, shear. elastic: bend. erase: black rectangle",
            f"{choices(AugmentationName)} [...]",
        ),
    ] = ()
    dropout: Annotated[
        float, PROBABILITY, option("probability that a hidden spike is dropped", "P")
    ] = 0.0
    input_dropout: Annotated[
        float, PROBABILITY, option("probability that an input is dropped", "P")
    ] = 0.0
    ema: Annotated[
        float | None,
        PROBABILITY,
        option("decay per step of a moving average of the weights, such as 0.999", "DECAY"),
    ] = None
    validation: Annotated[
        float | None,
        PART,
        option("share of the training images held out to choose the best epoch", "P"),
    ] = None
    patience: Annotated[
        int | None,
        COUNT,
        option("epochs without a lower validation loss after which training ends", "N"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """Recordings of an event camera, with --data nmnist."""

    first_saccade: Annotated[bool, option("use only the first saccade of each recording")] = False
    stabilize: Annotated[bool, option("remove the movement of the camera from the events")] = False
    drop_events: Annotated[
        float,
        PROBABILITY,
        option("probability that an event is left out in training, drawn anew in each epoch", "P"),
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class Train(Source):
    """Train a spiking network, test it, and draw its activity."""

    recipe: Annotated[
        RecipeName | None,
        option(
            "named settings for images. fast: 98 % on MNIST as soon as possible. accurate: highest "
            "accuracy, in minutes to an hour. sparse: few spikes. Other options given override it",
            choices(RecipeName),
        ),
    ] = None
    encoder: Annotated[
        str,
        option(
            f"code that turns images into spikes: {', '.join(ENCODERS)}, or a code from a plug-in "
            "package; events is for nmnist",
            "NAME",
        ),
    ] = "latency"
    num_steps: Annotated[int, STEPS, option("timesteps for each sample", "N")] = 8
    model: Annotated[
        Literal["mlp", "conv"],
        option(
            "network. mlp: dense layers. conv: convolutions before the dense layers, with other "
            "defaults; --model conv --help shows them"
        ),
    ] = "mlp"
    hidden: Annotated[
        tuple[int, ...],
        COUNT,
        option("neurons of each hidden layer of an mlp; 512 256 makes two layers", "N [N ...]"),
    ] = (512,)
    layers: Annotated[
        str,
        option(
            "layers of a conv: 12C5 is a convolution with 12 channels and kernels of 5 x 5, P2 is "
            "pooling, 10 is a dense layer",
            "LAYERS",
        ),
    ] = "12C5-P2-64C5-P2-10"
    batch_norm: Annotated[
        bool,
        option("batch normalisation of each convolution of a conv, or each hidden layer of an mlp"),
    ] = False
    epochs: Annotated[int, COUNT, option("passes over the training images", "N")] = 10
    batch_size: Annotated[int, COUNT, option("images in a training step", "N")] = 64
    lr: Annotated[float, POSITIVE, option("peak learning rate", "LR")] = 1e-2
    device: Device = "auto"
    backend: Annotated[Backend, option(BACKEND)] = "auto"
    seed: Annotated[
        int, SEED, option("seed of the weights, the order of the images and the encoder", "N")
    ] = 0
    out: Annotated[Path | None, option(RUN, "PATH", absent="a new folder below runs/")] = None
    resume: Annotated[bool, option("continue the run in --out, with its own options")] = False
    json: Json = False
    neuron: Neuron = Neuron()
    learning: Learning = Learning()
    recordings: RecordingOptions = RecordingOptions()


@dataclass(frozen=True, kw_only=True)
class Stdp(Source):
    """Learn digits without labels by spike-timing-dependent plasticity, and test the result."""

    data: Annotated[ImagesName, option(IMAGES)] = "digits"
    neurons: Annotated[int, COUNT, option("competing neurons", "N")] = 400
    features: Annotated[
        int | None,
        COUNT,
        option(
            "convolutional features to learn instead of neurons that see whole images; labels "
            "train their readout",
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
            absent="depends on the numbers of neurons and images",
        ),
    ] = None
    voting: Annotated[
        Voting,
        option(
            "vote of a spike. proportional: for all classes that its neuron responds to. assigned: "
            "for the class that the neuron is assigned to"
        ),
    ] = "proportional"
    seed: Annotated[
        int, SEED, option("seed of the weights, the order of the images and the spikes", "N")
    ] = 0
    out: Annotated[Path | None, option(RUN, "PATH", absent="a new folder below runs/")] = None
    resume: Annotated[bool, option("continue the run in --out, with its own options")] = False
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """Test networks of `train` and classifiers of `stdp`."""

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
    batch_size: Annotated[int, COUNT, option("samples in a step", "N")] = 256
    device: Device = "auto"
    backend: Annotated[
        Backend | None,
        option(
            BACKEND,
            choices(Backend),
            absent="as in the model",
        ),
    ] = None
    seed: CodeSeed = 0
    energy: Annotated[
        bool, option("also count operations, and estimate the energy in comparison with an ANN")
    ] = False
    technology: Annotated[Technology, option("cost of an operation, for --energy")] = "45nm-fp32"
    memory: Annotated[
        Memory | None,
        option(
            "memory whose accesses are counted, for --energy",
            choices(Memory),
            absent="accesses are free",
        ),
    ] = None
    robustness: Annotated[
        bool,
        option(
            "also measure the accuracy under noise, shift, rotation and dropped spikes, and draw "
            "all networks in one picture"
        ),
    ] = False
    out: Annotated[
        Path | None,
        option(
            "picture (png, pdf, svg), for --robustness; an existing one is replaced",
            "FILE",
            absent="robustness.png, or the next free robustness-2.png",
        ),
    ] = None
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class Predict(Common):
    """Recognise the digit in a picture of your own, and draw how the network decides."""

    run: Annotated[Positional[Path], arg(help=TRAINED, metavar="RUN")]
    pictures: Annotated[
        Positional[tuple[Path, ...]],
        arg(
            help="image file: png, jpg or another format that Pillow reads",
            metavar="PICTURE [PICTURE ...]",
            help_behavior_hint="(required)",
        ),
    ]
    invert: Annotated[
        Literal["auto", "yes", "no"],
        option(
            "whether the strokes are darker than the paper. auto takes the edge of the picture for "
            "paper"
        ),
    ] = "auto"
    gif: Annotated[bool, option("also write an animation")] = False
    seed: CodeSeed = 0
    out: Annotated[
        Path,
        option("folder for the pictures; existing ones are replaced", "PATH"),
    ] = Path()
    json: Json = False


@dataclass(frozen=True, kw_only=True)
class Encode(Source):
    """Turn an image or recording of the test set into spikes, and draw or store them."""

    encoder: Annotated[
        str,
        option(
            f"code: {', '.join(ENCODERS)}, or a code from a plug-in package; events is for nmnist",
            "NAME",
        ),
    ] = "latency"
    num_steps: Annotated[int, STEPS, option("timesteps", "N")] = 8
    index: Index = 0
    seed: CodeSeed = 0
    compare: Annotated[
        bool,
        option("compare all codes: spikes, error of the decoded image, bits per spike, picture"),
    ] = False
    out: Annotated[
        Path | None,
        option(
            "picture (png, pdf, svg) or NumPy array (npy); an existing one is replaced",
            "FILE",
            absent="encoding.png, or the next free encoding-2.png",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Plot(Common):
    """Draw a network's activity for one image of its test set, or the pictures of `stdp` again."""

    run: Annotated[Positional[Path], arg(help=TRAINED, metavar="RUN")]
    data: TestSet = None
    root: TestRoot = None
    index: Index = 0
    device: Device = "auto"
    seed: CodeSeed = 0
    out: Annotated[
        Path | None, option("folder for the pictures", "PATH", absent="the run folder, or NAME")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Export(Common):
    """Write a trained network for a browser, other simulators, ONNX runtimes or a C compiler."""

    run: Annotated[Positional[Path], arg(help=TRAINED, metavar="RUN")]
    to: Annotated[
        Literal["html", "nir", "onnx", "c"],
        option(
            "format. html: a page on which you draw a digit. nir: the Neuromorphic Intermediate "
            "Representation. onnx: ONNX, including the encoder. c: a folder of C99"
        ),
    ] = "html"
    weights: Annotated[
        Literal["float32", "int8"], option("number format, for --to c; int8 uses integers only")
    ] = "float32"
    out: Annotated[
        Path | None,
        option(
            "file, or folder for c; an existing one is replaced",
            "PATH",
            absent="NAME.html, NAME.nir, NAME.onnx or NAME-c, or the next free NAME-2.html",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Info(Common):
    """Print versions, devices, backends, encoders and data, for bug reports."""


@dataclass(frozen=True, kw_only=True)
class Bench(Common):
    """Time training and inference on this machine, and compare with snnTorch's loop over time."""

    quick: Annotated[bool, option("fewer calls: half a minute instead of a minute")] = False
    json: Json = False


Command = Train | Stdp | Evaluate | Predict | Encode | Plot | Export | Info | Bench
