"""Spyx: JAX compiled by XLA for the CPU.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spyx
import torch
from flax import nnx

from benchmarks.candidates import LEARNING_RATE
from benchmarks.peers.dynamics import Dynamics
from benchmarks.workload import BETA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from benchmarks.workload import Workload


class Spyx:
    """One matrix product for each layer, then `spyx.nn.LIF` in a scan over time.

    Parameters
    ----------
    layers : sequence of torch.nn.Linear
        Layers with the initial weights, which are copied.
    workload : Workload or None, default None
        Workload that defines the encoder; None if the input is given directly.
    """

    name = "Spyx"
    backend = ""
    dynamics = Dynamics(late=True, detached=False)

    def __init__(self, layers: Sequence[nn.Linear], workload: Workload | None = None) -> None:
        self._constant = workload is not None and workload.code == "direct"
        network = nnx.List([module for layer in layers for module in _modules(layer)])
        self._graph, self._weights, self._rest = nnx.split(network, nnx.Param, ...)
        adam = optax.adam(LEARNING_RATE)
        self._moments = adam.init(self._weights)
        self._key = jax.random.key(0)
        self._encode = _encoder(workload)
        self._scores = jax.jit(lambda weights, spikes: self._run(weights, spikes)[-1][1].mean(0))
        self._fired = jax.jit(lambda weights, spikes: self._run(weights, spikes)[-1][0])
        self._trace = jax.jit(self._run)
        self._gradient = jax.jit(jax.value_and_grad(self._loss))
        self._summed = jax.jit(jax.value_and_grad(self._sum))

        def update(weights: Any, moments: Any, spikes: Any, labels: Any) -> Any:
            ones = jnp.ones(labels.shape)
            loss, gradient = jax.value_and_grad(self._loss)(weights, spikes, labels, ones)
            changes, moments = adam.update(gradient, moments, weights)
            return optax.apply_updates(weights, changes), moments, loss

        self._update = jax.jit(update)
        self.deviation = f"{self.dynamics.deviation}; it runs on all cores, whatever torch is told"
        if workload and workload.code == "rate":
            self.deviation += "; its rate code rounds probabilities to float16"

    def prepare_input(self, spikes: Tensor) -> Any:
        """Return the spikes as a float32 JAX array."""
        return to_jax(spikes.float())

    def encode(self, pixels: Any) -> Any:
        """Encode the pixels with `spyx.data`."""
        self._key, key = jax.random.split(self._key)
        return jax.block_until_ready(self._encode(to_jax(pixels), key))

    def forward(self, spikes: Any) -> Any:
        """Return the scores."""
        return jax.block_until_ready(self._scores(self._weights, spikes))

    def fired(self, spikes: Any) -> Any:
        """Return the output spikes."""
        return jax.block_until_ready(self._fired(self._weights, spikes))

    def backward(self, spikes: Any, labels: Any) -> Any:
        """Return the loss and its gradient."""
        labels = to_jax(labels)
        return jax.block_until_ready(
            self._gradient(self._weights, spikes, labels, jnp.ones(labels.shape))
        )

    def backward_of_sum(self, spikes: Any) -> Any:
        """Return the sum of the output spikes and its gradient."""
        return jax.block_until_ready(self._summed(self._weights, spikes, jnp.ones(())))

    def step(self, pixels: Any, labels: Any) -> Any:
        """Run a training step and return its loss."""
        self._weights, self._moments, loss = jax.block_until_ready(
            self._update(self._weights, self._moments, self.encode(pixels), to_jax(labels))
        )
        return loss

    def trace(self, spikes: Any) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and compared membranes of every layer."""
        seen = []
        for layer in self._trace(self._weights, spikes):
            fired, membrane = (torch.from_numpy(np.array(signal)) for signal in layer)
            seen.append((fired, self.dynamics.decided(fired, membrane)))
        return seen

    def gradients(
        self, spikes: Any, labels: Tensor | None, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        """Return a loss and its gradients; see `Candidate.gradients`."""
        importance = to_jax(weights)
        if labels is None:
            loss, found = self._summed(self._weights, spikes, importance)
        else:
            loss, found = self._gradient(self._weights, spikes, to_jax(labels), importance)
        network = nnx.merge(self._graph, found, self._rest)
        linears = [module for module in network if isinstance(module, nnx.Linear)]
        arrays = [a for linear in linears for a in (linear.kernel[...].T, linear.bias[...])]
        return float(loss), [torch.from_numpy(np.array(array)) for array in arrays]

    def _run(self, weights: Any, spikes: Any) -> list[tuple[Any, Any]]:
        network = list(nnx.merge(self._graph, weights, self._rest))
        seen: list[tuple[Any, Any]] = []
        for linear, leaky in zip(network[::2], network[1::2], strict=True):

            def traced(inflow: Any, state: Any, leaky: Any = leaky) -> Any:
                fired, membrane = leaky(inflow, state)
                return (fired, membrane), membrane

            if self._constant and not seen:
                # The direct code is the same at every timestep: one product, as for the others.
                steps, batch, _ = spikes.shape
                current = jnp.broadcast_to(linear(spikes[0]), (steps, batch, linear.out_features))
            else:
                current = linear(spikes)
            at_rest = leaky.initial_state(spikes.shape[1])
            (spikes, membrane), _ = spyx.nn.run(traced, current, at_rest)
            seen.append((spikes, membrane))
        return seen

    def _loss(self, weights: Any, spikes: Any, labels: Any, importance: Any) -> Any:
        scores = self._run(weights, spikes)[-1][1].mean(0)
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
        return (losses * importance).sum() / importance.sum()

    def _sum(self, weights: Any, spikes: Any, importance: Any) -> Any:
        return (self._run(weights, spikes)[-1][0] * importance).sum()


def to_jax(tensor: Any) -> Any:
    """Return a tensor as a JAX array, without a copy if possible."""
    return jnp.asarray(tensor.numpy()) if isinstance(tensor, torch.Tensor) else tensor


def _modules(layer: nn.Linear) -> tuple[Any, Any]:
    linear = nnx.Linear(layer.in_features, layer.out_features, rngs=nnx.Rngs(0))
    linear.kernel[...] = to_jax(layer.weight.detach().T)
    linear.bias[...] = to_jax(layer.bias.detach())
    surrogate = spyx.axn.custom(bwd=lambda x: 1 / (1 + (math.pi * x) ** 2))
    leaky = spyx.nn.LIF((layer.out_features,), BETA, 1.0, surrogate, rngs=nnx.Rngs(0))
    leaky.beta = nnx.Variable(leaky.beta[...])  # constant, as in the other libraries
    return linear, leaky


def _encoder(workload: Workload | None) -> Any:
    """Return a compiled function of pixels and a random key."""
    if workload is None:
        return None
    steps = workload.num_steps
    if workload.code == "latency":
        code = spyx.data.latency_code(steps, threshold=0.01)
        return jax.jit(lambda pixels, _: code(pixels).astype(jnp.float32))
    if workload.code == "rate":
        draw = spyx.data.rate_code(steps, max_r=1.0)
        return jax.jit(
            lambda pixels, key: jnp.swapaxes(draw(pixels[:, None], key), 0, 1).astype(jnp.float32)
        )
    return jax.jit(lambda pixels, _: jnp.broadcast_to(pixels, (steps, *pixels.shape)))
