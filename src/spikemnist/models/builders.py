"""Make networks: a user's own by `accelerate`, or by their sizes `LeakyMLP` and `LeakyConvNet`.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``C`` channels or classes, ``H`` and
``W`` pixels.
"""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from spikemnist import ops
from spikemnist._arguments import check_number, must_be, named
from spikemnist._descriptions import fields_of
from spikemnist._doors import import_object
from spikemnist._names import ReadoutName, ResetMechanism, SurrogateName
from spikemnist._seeds import seeded
from spikemnist.models.architecture import neurons_of
from spikemnist.models.inputs import check_spikes
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.network_options import ELSEWHERE, LAYERS, NetworkOptions, shared_options
from spikemnist.models.neuron import new_leaky
from spikemnist.models.notation import stages_of
from spikemnist.models.parameters import PerLayer, per_layer, sizes_of
from spikemnist.models.readout import Readout, named_or_own
from spikemnist.ops.dynamics import check_reset

READ_LOOP = "spikemnist.interop.tracing.read_loop"
"""Door to what reads a forward that loops over time."""


@named()
def accelerate(
    network: nn.Module,
    example: Tensor | None = None,
    *,
    in_shape: Sequence[int] | None = None,
    readout: ReadoutName | Readout = "mean_membrane",
    population: int = 1,
    backend: ops.Backend = "auto",
) -> SpikingNetwork:
    """Wrap an snnTorch network so that a call runs all timesteps, and at once where possible.

    The result shares its parameters with ``network``: training either one trains both. Compiled
    kernels run a sequence of the modules below. Any other network with neurons of snnTorch is
    stepped by snnTorch, one timestep after the other, and a warning says why; neurons that cannot
    be stepped, such as `snntorch.LeakyParallel`, are refused.

    The forward of a network is that of one timestep. Where it loops over time itself, as in
    snnTorch's tutorials, pass an ``example`` of what it takes: its modules and pooling functions
    become layers, if they form a chain, each taking the output of the one before. They are compared
    with the loop before they are believed, in evaluation and in training: spikes, membranes,
    gradients, what forward returns. The result takes all timesteps, ``[T, B, ...]``, whatever the
    loop takes.

    Parameters
    ----------
    network : torch.nn.Module
        For the kernels, a `torch.nn.Sequential`, possibly nested, of `torch.nn.Flatten`,
        `torch.nn.Linear`, `torch.nn.Conv2d`, `torch.nn.BatchNorm1d`, `torch.nn.BatchNorm2d`,
        `torch.nn.MaxPool2d`, `torch.nn.AvgPool2d`, their adaptive forms, `torch.nn.Dropout`,
        `torch.nn.Identity` and `snntorch.Leaky`, which must come last. The options ``init_hidden``
        and ``output`` of the neurons make no difference. In training, batch normalisation takes its
        statistics over all timesteps of a batch, whereas snnTorch's loop takes them for each
        timestep. With hooks on weights ``"auto"`` takes the reference, which calls each once; with
        other hooks snnTorch steps the network. Else, a module that snnTorch can step: see
        `SpikingNetwork`.
    example : torch.Tensor, default None
        A few samples for a forward that loops over time: ``[T, B, ...]``, or ``[B, ...]`` if each
        timestep has the same input. None for a forward of one timestep. The layers are compared
        with copies of the network on the example and on numbers drawn in its range, twice as long:
        what depends on time beyond that, or on values outside of the range, cannot be seen. A
        forward for a certain number of timesteps or samples is compared with that number.
    in_shape : sequence of int, default None
        Shape of a sample at one timestep, such as ``(1, 28, 28)``. The exports need it where the
        network begins with a convolution.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.get_readout`.
    population : int, default 1
        Number of output neurons that stand for each class together: see `SpikingNetwork`. A network
        with 500 outputs for 10 classes has ``population=50``.
    backend : str, default "auto"
        Backend that runs the T timesteps: see `spikemnist.ops.select_backend`. ``"snntorch"`` steps
        ``network`` itself, whatever its modules, and without a warning. For a given seed, the
        backends ``"reference"`` and ``"event_driven"`` draw the same masks of `torch.nn.Dropout`;
        ``"snntorch"`` draws the masks of snnTorch's loop, timestep by timestep.

    Returns
    -------
    SpikingNetwork
        A model that is used like `LeakyMLP`. Energy and exports refuse what snnTorch steps.

    Raises
    ------
    TypeError
        If ``network`` is not a module, or is a network of spikemnist already.
    ValueError
        If snnTorch cannot step the network either, as it has no neurons, some that cannot be
        stepped, or the same ones in two places; if another ``backend`` than ``"auto"`` and
        ``"snntorch"`` cannot run it. The message names the place in the network. With an
        ``example``, if forward is no chain, normalises batches, branches on values of tensors, or
        does more than its layers; the message names the step.

    Warns
    -----
    UserWarning
        If ``backend="auto"`` has snnTorch step the network, now or after a change; if a forward
        with an ``example`` runs one timestep, or keeps its membranes from call to call.

    Examples
    --------
    >>> import snntorch
    >>> import torch
    >>> from torch import nn
    >>> from spikemnist import accelerate
    >>> network = nn.Sequential(
    ...     nn.Flatten(),
    ...     nn.Linear(784, 100),
    ...     snntorch.Leaky(beta=0.95, init_hidden=True),
    ...     nn.Linear(100, 10),
    ...     snntorch.Leaky(beta=0.95, init_hidden=True, output=True),
    ... )
    >>> record = accelerate(network)(torch.rand(25, 2, 1, 28, 28) < 0.1)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([25, 2, 10]), torch.Size([2, 10]))
    """
    if not isinstance(network, nn.Module) or isinstance(network, SpikingNetwork):
        raise TypeError(
            "accelerate takes a torch.nn.Module with neurons of snnTorch; got "
            f"{type(network).__name__}"
        )
    if example is not None:
        network = import_object(READ_LOOP)(network, example)
    return SpikingNetwork(
        network, in_shape=in_shape, readout=readout, population=population, backend=backend
    )


class LeakyNetwork(SpikingNetwork):
    """Base class of `LeakyMLP` and `LeakyConvNet`: puts neurons behind each layer of weights.

    The modules of layer ``i`` are ``network[i]``, by the names ``dropout``, ``flatten``, ``conv``
    or ``linear``, ``norm``, ``pool`` and ``leaky``.

    Parameters
    ----------
    stages : sequence of mapping of str to torch.nn.Module
        Modules before the neurons of each layer, by their names.
    in_shape : sequence of int
        Shape of a sample at one timestep.
    options : NetworkOptions
        Neurons, dropout, readout and backend.
    sizes : mapping of str to object
        The other arguments of the constructor, for ``config``.
    """

    in_shape: tuple[int, ...]

    def __init__(
        self,
        stages: Sequence[Mapping[str, nn.Module]],
        in_shape: Sequence[int],
        options: NetworkOptions,
        sizes: Mapping[str, Any],
    ) -> None:
        check_reset(options.reset_mechanism)
        surrogate: Any = ops.get_surrogate(options.spike_grad)
        widths = [_width(stage) for stage in stages]
        betas = per_layer("beta", options.beta, widths)
        thresholds = per_layer("threshold", options.threshold, widths)
        layers: list[nn.Sequential] = []
        for stage, beta, threshold in zip(stages, betas, thresholds, strict=True):
            probability = options.dropout if layers else options.input_dropout
            leaky = new_leaky(
                _for_channels(beta, dense="linear" in stage),
                _for_channels(threshold, dense="linear" in stage),
                reset_mechanism=options.reset_mechanism,
                spike_grad=surrogate,
                learn_beta=options.learn_beta,
                learn_threshold=options.learn_threshold,
            )
            dropout = {"dropout": nn.Dropout(probability)} if probability else {}
            layers.append(nn.Sequential(OrderedDict({**dropout, **stage, "leaky": leaky})))
        super().__init__(
            nn.Sequential(*layers),
            in_shape=in_shape,
            readout=options.readout,
            population=options.population,
            backend=options.backend,
        )
        numbers = {"beta": _plain(options.beta), "threshold": _plain(options.threshold)}
        self._arguments = fields_of(options) | numbers | {**sizes}

    @property
    def config(self) -> dict[str, Any]:
        """Arguments that built the network, with surrogate, readout and backend as they are now."""
        return self._arguments | {
            "readout": named_or_own(self.readout),
            "backend": self.backend,
            "spike_grad": next(iter(neurons_of(self.network))).spike_grad,
        }


class LeakyMLP(LeakyNetwork):
    r"""Fully connected layers of `snntorch.Leaky` neurons with a readout.

    Layer :math:`l` integrates :math:`I^l_t = W^l S^{l-1}_t + b^l` as in `spikemnist.ops.leaky`. The
    readout computes the class scores from the spikes and membranes of the output layer.

    Parameters
    ----------
    hidden : int or sequence of int, default (1000,)
        Number of neurons of each hidden layer. A single number makes one hidden layer, an empty
        sequence none. The other arguments are given by name.
    in_features : int, default 784
        Number of inputs per sample, ``F``. The default is an image of 28 x 28 pixels. The input may
        have any shape with as many numbers per sample, such as ``[T, B, 28, 28]``.
    out_features : int, default 10
        Number of classes, ``C``, each of ``population`` output neurons.
    batch_norm : bool, default False
        Whether a `torch.nn.BatchNorm1d` follows the weights of each hidden layer.
        Its statistics are taken over all timesteps of a batch together.
    beta : float, torch.Tensor or sequence, default 0.95
        Decay of the membrane per timestep, in [0, 1]. One number for all layers, or a sequence with
        one entry for each layer, output layer included: a number, or one number for each neuron.
    threshold : float, torch.Tensor or sequence, default 1.0
        Firing threshold, above 0. In the same form as ``beta``.
    reset_mechanism : str, default "subtract"
        Reset after a spike, ``"subtract"`` or ``"zero"``.
    spike_grad : str or callable, default "atan"
        Surrogate gradient: a name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with its own gradient.
    learn_beta, learn_threshold : bool, default False
        Whether beta or threshold is trained.
    dropout, input_dropout : float, default 0.0
        Probability, in [0, 1), of dropping a hidden spike, or an input, in training. Drawn anew at
        each timestep.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.get_readout`.
    population : int, default 1
        Number of output neurons that stand for each class together.
    backend : str, default "auto"
        Backend that runs the timesteps: see `spikemnist.ops.select_backend`.
    seed : int, default None
        Seed of the initial weights. None draws them from torch's global generator, as after
        ``torch.manual_seed``.

    Raises
    ------
    TypeError
        If an option is unknown; the message has the closest one. If an option is given by position.
    ValueError
        If an argument is out of its range.

    Warns
    -----
    UserWarning
        If ``hidden`` begins with ``in_features`` and ends with ``out_features``, which are no
        hidden layers.

    Examples
    --------
    >>> import torch
    >>> model = LeakyMLP(hidden=(100,), beta=0.9)
    >>> spikes = torch.rand(25, 2, 28, 28) < 0.1
    >>> record = model(spikes)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([25, 2, 10]), torch.Size([2, 10]))
    """

    @named(ELSEWHERE)
    def __init__(
        self,
        hidden: int | Sequence[int] = (1000,),
        *,
        in_features: int = 784,
        out_features: int = 10,
        batch_norm: bool = False,
        beta: PerLayer = 0.95,
        threshold: PerLayer = 1.0,
        reset_mechanism: ResetMechanism = "subtract",
        spike_grad: SurrogateName | Callable[[Tensor], Tensor] = "atan",
        learn_beta: bool = False,
        learn_threshold: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        readout: ReadoutName | Readout = "mean_membrane",
        population: int = 1,
        backend: ops.Backend = "auto",
        seed: int | None = None,
    ) -> None:
        options = shared_options(locals())
        hidden = sizes_of("hidden", hidden)
        in_features = check_number("in_features", in_features, "1..")
        out_features = check_number("out_features", out_features, "1..")
        if in_features != out_features and hidden[:1] + hidden[-1:] == (in_features, out_features):
            warnings.warn(
                f"hidden={hidden} are hidden layers, beside in_features={in_features} inputs and "
                f"out_features={out_features} classes; did you mean hidden={hidden[1:-1]}?",
                stacklevel=3,
            )
        widths = (in_features, *hidden, out_features * options.population)
        with initial_weights(seed):
            stages: list[dict[str, nn.Module]] = [
                {"linear": nn.Linear(*pair)} for pair in itertools.pairwise(widths)
            ]
        stages[0] = {"flatten": nn.Flatten(), **stages[0]}
        if options.batch_norm:
            for stage, size in zip(stages, hidden, strict=False):
                stage["norm"] = nn.BatchNorm1d(size)
        sizes = {"in_features": in_features, "hidden": hidden, "out_features": out_features}
        super().__init__(stages, (in_features,), options, sizes)

    def _check_input(self, spikes: Tensor) -> Tensor:
        check_spikes(spikes, self.in_shape)
        return spikes  # the first layer flattens it, and a Record has it as it came


class LeakyConvNet(LeakyNetwork):
    r"""Convolutional and dense layers of `snntorch.Leaky` neurons with a readout.

    ``layers`` uses the notation of the literature: ``12C5`` is a convolution with 12 channels and
    kernels of 5 x 5 pixels, ``P2`` is maximum and ``AP2`` average pooling over 2 x 2 pixels, and a
    plain number is a dense layer. ``12C5s2p1`` has stride 2 and padding 1. Neurons follow each
    layer of weights, after its normalisation and pooling, and integrate its output as in
    `spikemnist.ops.leaky`. The last number is that of the classes, each of ``population`` neurons.

    A layer computes all timesteps at once, folded into the batch, also for batch normalisation. An
    input that is the same at every timestep, as from `~spikemnist.encoding.DirectEncoder`, passes
    the first convolution only once.

    Parameters
    ----------
    layers : str, default "12C5-P2-64C5-P2-10"
        Layers from the input to the classes. The default is the network of snnTorch's sixth
        tutorial.
    in_shape : sequence of int, default (1, 28, 28)
        Shape ``(C, H, W)`` of a sample at one timestep: ``(1, 28, 28)`` for MNIST, ``(2, 34, 34)``
        for N-MNIST. The input may have any other shape with as many numbers per sample, such as
        ``[T, B, 28, 28]``.
    batch_norm : bool, default False
        Whether a `torch.nn.BatchNorm2d` follows the weights of each convolution.
        Its statistics are taken over all timesteps of a batch together.
    beta : float, torch.Tensor or sequence, default 0.95
        Decay of the membrane per timestep, in [0, 1]. One number for all layers, or a sequence with
        one entry for each layer, output layer included: a number, or one number for each dense
        neuron or channel.
    threshold : float, torch.Tensor or sequence, default 1.0
        Firing threshold, above 0. In the same form as ``beta``.
    reset_mechanism : str, default "subtract"
        Reset after a spike, ``"subtract"`` or ``"zero"``.
    spike_grad : str or callable, default "atan"
        Surrogate gradient: a name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with its own gradient.
    learn_beta, learn_threshold : bool, default False
        Whether beta or threshold is trained.
    dropout, input_dropout : float, default 0.0
        Probability, in [0, 1), of dropping a hidden spike, or an input, in training. Drawn anew at
        each timestep.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.get_readout`.
    population : int, default 1
        Number of output neurons that stand for each class together.
    backend : str, default "auto"
        Backend that runs the timesteps: see `spikemnist.ops.select_backend`.
    seed : int, default None
        Seed of the initial weights, as in `LeakyMLP`.

    Raises
    ------
    TypeError
        If an option is unknown; the message has the closest one.
    ValueError
        If an argument is out of its range, or if ``layers`` leaves no pixel.

    Examples
    --------
    >>> import torch
    >>> model = LeakyConvNet("4C5-P2-8C3-P2-10")
    >>> model.sizes
    {'hidden 1': 576, 'hidden 2': 200, 'output': 10}
    >>> record = model(torch.rand(8, 2, 28, 28) < 0.1)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([8, 2, 10]), torch.Size([2, 10]))
    """

    @named(ELSEWHERE)
    def __init__(
        self,
        layers: str = LAYERS,
        in_shape: Sequence[int] = (1, 28, 28),
        *,
        batch_norm: bool = False,
        beta: PerLayer = 0.95,
        threshold: PerLayer = 1.0,
        reset_mechanism: ResetMechanism = "subtract",
        spike_grad: SurrogateName | Callable[[Tensor], Tensor] = "atan",
        learn_beta: bool = False,
        learn_threshold: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        readout: ReadoutName | Readout = "mean_membrane",
        population: int = 1,
        backend: ops.Backend = "auto",
        seed: int | None = None,
    ) -> None:
        options = shared_options(locals())
        if not isinstance(layers, str):
            raise must_be("layers", f"a string such as {LAYERS!r}", layers, TypeError)
        in_shape = sizes_of("each size of in_shape", in_shape)
        if len(in_shape) != 3:
            raise must_be("in_shape", "(channels, height, width)", in_shape)
        with initial_weights(seed):
            stages = stages_of(layers, in_shape, options)
        super().__init__(stages, in_shape, options, {"layers": layers, "in_shape": in_shape})


def initial_weights(seed: int | None) -> AbstractContextManager[object]:
    """Return a context in which weights are drawn from a seed; None leaves torch's generators."""
    return nullcontext() if seed is None else seeded(seed, torch.get_default_device())


def _width(stage: Mapping[str, nn.Module]) -> int:
    """Return the number of dense neurons or channels of a layer."""
    weights = next(m for m in stage.values() if isinstance(m, (nn.Linear, nn.Conv2d)))
    return len(weights.weight)


def _for_channels(values: Tensor, *, dense: bool) -> Tensor:
    """Reshape the numbers of channels to broadcast against ``[C, H, W]``."""
    return values if dense or not values.dim() else values.view(-1, 1, 1)


def plain_numbers(values: Tensor) -> float | list[float]:
    """Return a scalar as a number, and the values of channels or neurons as a list.

    The numbers are the shortest that have the bits of the tensor: 0.95, not 0.949999988079071.
    """
    wide = values.detach().double() if values.element_size() < 4 else values.detach()
    numbers = [float(str(number)) for number in wide.cpu().flatten().numpy()]
    return numbers if values.dim() else numbers[0]


def _plain(values: Any, *, of_layers: bool = True) -> Any:
    """Return beta or threshold without tensors: one number, or a list if layers differ.

    The numbers of the neurons of a layer stay a list.
    """
    if isinstance(values, float | int):
        return float(values)
    if not getattr(values, "shape", True):  # a number of NumPy or torch
        return plain_numbers(torch.as_tensor(values))
    first, *others = numbers = [_plain(value, of_layers=False) for value in values]
    equal = isinstance(first, float) and all(x == first for x in others)
    return first if of_layers and equal else numbers
