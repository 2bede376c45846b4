r"""Surrogate gradients: replacements for the derivative of the Heaviside step.

A neuron fires when its membrane is above the threshold, :math:`S = H(x)` with
:math:`x = U - \theta`. The derivative of :math:`H` is zero almost everywhere, so training replaces
it by a smooth :math:`\sigma'(x)` in the backward pass only (E. Neftci, H. Mostafa, F. Zenke,
*Surrogate gradient learning in spiking neural networks*, IEEE Signal Processing Magazine, 2019).

Every surrogate here is a frozen value: it can be pickled, compared and written to a file. It is
also a callable that `snntorch.Leaky` takes as its ``spike_grad``. Unlike snnTorch's closures it
keeps the dtype of the membrane.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor

from spikemnist._arguments import check_choice, must_be, named, set_numbers

__all__ = [
    "SURROGATES",
    "ATan",
    "FastSigmoid",
    "Heaviside",
    "Sigmoid",
    "SparseFastSigmoid",
    "SpikeRateEscape",
    "StraightThrough",
    "Surrogate",
    "Triangular",
    "get_surrogate",
    "is_named",
]


@dataclass(frozen=True)
class Surrogate:
    """Heaviside step with a replaced gradient: the base class of the named surrogates.

    A call returns ``1`` where the argument is above zero, else ``0``, in the dtype of the
    argument. Its gradient is `derivative_`, the only method that a new surrogate has to define.

    Examples
    --------
    >>> class Box(Surrogate):
    ...     def derivative_(self, x):
    ...         return x.copy_(x.abs() < 0.5)
    >>> x = torch.tensor([-0.2, 0.7], requires_grad=True)
    >>> Box()(x).sum().backward()
    >>> x.grad
    tensor([1., 0.])
    """

    name: ClassVar[str]

    def __call__(self, x: Tensor) -> Tensor:
        """Return a spike where the membrane is above the threshold.

        Parameters
        ----------
        x : torch.Tensor
            Membrane minus threshold, ``[...]``, any shape, floating.

        Returns
        -------
        torch.Tensor
            Spikes ``[...]``, zeros and ones in the dtype of ``x``.
        """
        return _Step.apply(x, self)  # type: ignore[no-any-return, no-untyped-call]

    def derivative_(self, x: Tensor) -> Tensor:
        """Return the surrogate derivative, which may replace the argument in place.

        Parameters
        ----------
        x : torch.Tensor
            Membrane minus threshold, ``[...]``, any shape, floating.

        Returns
        -------
        torch.Tensor
            The derivative at ``x``, ``[...]``: a new tensor, or the argument itself, changed.

        Raises
        ------
        NotImplementedError
            In the base class `Surrogate`, which has no derivative.
        """
        raise NotImplementedError

    @property
    def constants(self) -> tuple[float, float]:
        """The two numbers in the formula of the compiled kernels, 0 where there is none."""
        first, second = (*vars(self).values(), 0.0, 0.0)[:2]
        return first, second


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return ctx.surrogate.derivative_(x.clone()) * grad, None
        # For a second derivative, autograd keeps copies of what the formula changes in place.
        copied = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: tensor.detach().clone(), lambda copy: copy
        )
        with copied:
            slope = ctx.surrogate.derivative_(x.clone())
        return slope * grad, None


@named()
@dataclass(frozen=True)
class ATan(Surrogate):
    r"""Derivative of a shifted arctangent; the default surrogate.

    .. math:: \sigma'(x) = \frac{\alpha / 2}{1 + (\frac\pi2 \alpha x)^2}

    Fang et al., *Incorporating learnable membrane time constants*, ICCV 2021.

    Parameters
    ----------
    alpha : float, default 2.0
        Steepness :math:`\alpha`, above 0: the larger, the narrower the derivative.

    Raises
    ------
    ValueError
        For a parameter outside its range.

    Examples
    --------
    >>> ATan()(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([0., 0., 1.])
    >>> ATan().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([0.9102, 1.0000, 0.9102])
    """

    name: ClassVar[str] = "atan"
    alpha: float = 2.0

    def __post_init__(self) -> None:
        set_numbers(self, alpha="(0, inf)")

    @property
    def constants(self) -> tuple[float, float]:
        """Scale of the argument and height of the derivative."""
        return math.pi / 2 * self.alpha, self.alpha / 2

    def derivative_(self, x: Tensor) -> Tensor:
        scale, height = self.constants
        return x.mul_(scale).square_().add_(1).reciprocal_().mul_(height)


@named()
@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    r"""Derivative of the fast sigmoid.

    .. math:: \sigma'(x) = \frac{1}{(1 + k \left|x\right|)^2}

    Zenke, Ganguli, *SuperSpike*, Neural Computation, 2018.

    Parameters
    ----------
    slope : float, default 25.0
        Slope :math:`k`, above 0: the larger, the narrower the derivative.

    Raises
    ------
    ValueError
        For a parameter outside its range.

    Examples
    --------
    >>> FastSigmoid().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([0.0816, 1.0000, 0.0816])
    """

    name: ClassVar[str] = "fast_sigmoid"
    slope: float = 25.0

    def __post_init__(self) -> None:
        set_numbers(self, slope="(0, inf)")

    def derivative_(self, x: Tensor) -> Tensor:
        return x.abs_().mul_(self.slope).add_(1).square_().reciprocal_()


@named()
@dataclass(frozen=True)
class SparseFastSigmoid(Surrogate):
    r"""Derivative of the fast sigmoid, but zero at and below ``cutoff``.

    .. math:: \sigma'(x) = \frac{H(x - B)}{(1 + k \left|x\right|)^2}

    Perez-Nieves, Goodman, *Sparse spiking gradient descent*, NeurIPS 2021.

    Parameters
    ----------
    slope : float, default 25.0
        Slope :math:`k`, above 0: the larger, the narrower the derivative.
    cutoff : float, default 1.0
        Cutoff :math:`B`, in units of the membrane.

    Raises
    ------
    ValueError
        For a parameter outside its range.

    Examples
    --------
    >>> SparseFastSigmoid(cutoff=0.05).derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([0.0000, 0.0000, 0.0816])
    """

    name: ClassVar[str] = "sparse_fast_sigmoid"
    slope: float = 25.0
    cutoff: float = 1.0

    def __post_init__(self) -> None:
        set_numbers(self, slope="(0, inf)", cutoff="(-inf, inf)")

    def derivative_(self, x: Tensor) -> Tensor:
        active = x > self.cutoff
        return x.abs_().mul_(self.slope).add_(1).square_().reciprocal_().mul_(active)


@named()
@dataclass(frozen=True)
class Sigmoid(Surrogate):
    r"""Derivative of the logistic sigmoid.

    .. math:: \sigma'(x) = k \, s(kx) \, (1 - s(kx)), \qquad s(z) = \frac{1}{1 + e^{-z}}

    Zenke, Ganguli, *SuperSpike*, Neural Computation, 2018. The exponential form that
    snnTorch uses overflows to ``nan`` for membranes far below the threshold; this one does not.

    Parameters
    ----------
    slope : float, default 25.0
        Slope :math:`k`, above 0: the larger, the narrower the derivative.

    Raises
    ------
    ValueError
        For a parameter outside its range.

    Examples
    --------
    >>> Sigmoid().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([1.7526, 6.2500, 1.7526])
    """

    name: ClassVar[str] = "sigmoid"
    slope: float = 25.0

    def __post_init__(self) -> None:
        set_numbers(self, slope="(0, inf)")

    def derivative_(self, x: Tensor) -> Tensor:
        # Even in x, so evaluated at -|x|, where 1 - s(kx) does not cancel.
        sigmoid = x.abs_().mul_(-self.slope).sigmoid_()
        return sigmoid.mul_(1 - sigmoid).mul_(self.slope)


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    r"""Straight-through estimator, :math:`\sigma'(x) = 1`.

    Bengio, Leonard, Courville, *Estimating or propagating gradients through stochastic
    neurons*, arXiv:1308.3432, 2013.

    Examples
    --------
    >>> StraightThrough().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([1., 1., 1.])
    """

    name: ClassVar[str] = "straight_through"

    def derivative_(self, x: Tensor) -> Tensor:
        return x.fill_(1)


@named()
@dataclass(frozen=True)
class Triangular(Surrogate):
    r"""The sign-changing surrogate that snnTorch calls triangular.

    .. math:: \sigma'(x) = \theta \text{ for } x < 0, \quad -\theta \text{ for } x \ge 0

    Parameters
    ----------
    threshold : float, default 1.0
        Size :math:`\theta` of the gradient.

    Raises
    ------
    ValueError
        For a parameter outside its range.

    Examples
    --------
    >>> Triangular().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([ 1., -1., -1.])
    """

    name: ClassVar[str] = "triangular"
    threshold: float = 1.0

    def __post_init__(self) -> None:
        set_numbers(self, threshold="(0, inf)")

    def derivative_(self, x: Tensor) -> Tensor:
        below = x < 0
        return x.copy_(below).mul_(2).sub_(1).mul_(self.threshold)


@dataclass(frozen=True)
class Heaviside(Surrogate):
    r"""The Heaviside step itself as its derivative, :math:`\sigma'(x) = H(x)`.

    Examples
    --------
    >>> Heaviside().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([0., 0., 1.])
    """

    name: ClassVar[str] = "heaviside"

    def derivative_(self, x: Tensor) -> Tensor:
        above = x > 0
        return x.copy_(above)


@named()
@dataclass(frozen=True)
class SpikeRateEscape(Surrogate):
    r"""Boltzmann escape rate.

    .. math:: \sigma'(x) = k \, e^{-\beta \left|x - 1\right|}

    Gerstner, Kistler, *Spiking Neuron Models*, Cambridge University Press, 2002.

    Parameters
    ----------
    beta : float, default 1.0
        Decay :math:`\beta` of the derivative on both sides of its maximum.
    slope : float, default 25.0
        Largest derivative :math:`k`, at 1 above the threshold.

    Raises
    ------
    ValueError
        For a parameter outside its range.

    Examples
    --------
    >>> SpikeRateEscape().derivative_(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([ 8.3218,  9.1970, 10.1642])
    """

    name: ClassVar[str] = "spike_rate_escape"
    beta: float = 1.0
    slope: float = 25.0

    def __post_init__(self) -> None:
        set_numbers(self, beta="(0, inf)", slope="(0, inf)")

    def derivative_(self, x: Tensor) -> Tensor:
        return x.sub_(1).abs_().mul_(-self.beta).exp_().mul_(self.slope)


@dataclass(frozen=True)
class MissingSurrogate(Surrogate):
    """A surrogate of one's own, in a network from a file: spikes as any, but no derivative.

    Parameters
    ----------
    origin : str
        Module and printed form of the surrogate whose code the file does not hold.

    Examples
    --------
    >>> MissingSurrogate("mine.Gaussian(width=0.4)")(torch.tensor([-0.1, 0.0, 0.1]))
    tensor([0., 0., 1.])
    """

    name: ClassVar[str] = "missing"
    origin: str

    def derivative_(self, x: Tensor) -> Tensor:
        raise RuntimeError(
            f"the network has been trained with the surrogate {self.origin!r}, which is code, and "
            "its file holds none. To train it again, set the surrogate: for layer in "
            "classifier.network.layers: layer.leaky.spike_grad = ..."
        )


SURROGATES: dict[str, type[Surrogate]] = {
    kind.name: kind
    for kind in (
        ATan,
        FastSigmoid,
        SparseFastSigmoid,
        Sigmoid,
        StraightThrough,
        Triangular,
        Heaviside,
        SpikeRateEscape,
    )
}

SNNTORCH = "snntorch.surrogate"

# Names of snnTorch's factories and of their parameters, where they differ from those here.
_SNNTORCH = {"SFS": "sparse_fast_sigmoid", "straight_through_estimator": "straight_through"}
_PARAMETERS = {"cutoff": "B"}


def is_named(spike_grad: Callable[[Tensor], Tensor]) -> TypeGuard[Surrogate]:
    """Tell whether a surrogate's class is one of `SURROGATES`, and not merely a subclass of one.

    Parameters
    ----------
    spike_grad : callable
        Any surrogate.

    Returns
    -------
    bool
        Whether a model file can hold it.

    Examples
    --------
    >>> is_named(ATan(alpha=4.0)), is_named(torch.sigmoid)
    (True, False)
    """
    return type(spike_grad) in SURROGATES.values()


def get_surrogate(spike_grad: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the surrogate for a name or a callable.

    Parameters
    ----------
    spike_grad : str or callable
        Name (``"atan"``, ``"fast_sigmoid"``, ...), `Surrogate`, result of a factory in
        `snntorch.surrogate`, or any other callable from membrane - threshold to spikes with its
        own gradient.

    Returns
    -------
    callable
        A `Surrogate` for a name or for one of snnTorch's closures, whose arguments are kept; any
        other callable unchanged.

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        If ``spike_grad`` is neither a name nor callable, or if it is a class or a factory of
        snnTorch without the parentheses that make a surrogate of it.

    Examples
    --------
    >>> import snntorch.surrogate
    >>> get_surrogate("atan")
    ATan(alpha=2.0)
    >>> get_surrogate(snntorch.surrogate.fast_sigmoid(slope=10))
    FastSigmoid(slope=10.0)
    """
    if isinstance(spike_grad, Surrogate):
        return spike_grad
    if isinstance(spike_grad, str):
        check_choice("spike_grad", spike_grad, SURROGATES, ", or a callable")
        return SURROGATES[spike_grad]()
    # What a factory of snnTorch returns has the factory before a dot in its qualified name.
    module, name = (getattr(spike_grad, part, "") for part in ("__module__", "__qualname__"))
    if isinstance(spike_grad, type) or (module == SNNTORCH and "." not in name):
        raise TypeError(
            f"spike_grad must be a surrogate, and {name} makes one: write {name}(), or "
            f"{name}.apply for a torch.autograd.Function"
        )
    if not callable(spike_grad):
        raise must_be("spike_grad", "a name or a callable", spike_grad, TypeError)
    factory = name.partition(".")[0]
    kind = SURROGATES.get(_SNNTORCH.get(factory, factory))
    if module != SNNTORCH or kind is None or not inspect.isfunction(spike_grad):
        return spike_grad
    values = inspect.getclosurevars(spike_grad).nonlocals
    names = [field.name for field in fields(kind)]
    return kind(**{name: float(values[_PARAMETERS.get(name, name)]) for name in names})
