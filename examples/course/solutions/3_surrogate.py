# %% [markdown]
# # 3. Learning through a step
#
# **Aims.** You can say why a spike has no useful derivative, and what takes its place. You derive
# the surrogate, write backpropagation through time, and train a network with it.
#
# **Time**: 45 minutes. **Read before**: *Surrogate gradients* in the guide, up to *Named
# surrogates*. **Read afterwards**: *The whole idea in 150 lines*.

# %%
import math

import torch
from checks import check, report
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional

from spikemnist import LatencyEncoder, load_digits, ops

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"

# %% [markdown]
# ## A step has no slope
#
# Learning asks: if a weight grows a little, does the loss rise or fall? A neuron fires when its
# membrane is above the threshold, $S = 1$ for $U > \theta$. If the membrane is 0.8 and rises to
# 0.81, the spike does not change. The derivative of the step is zero, except at the threshold,
# where it is infinite. So no weight would ever learn.
#
# The way out: spikes stay as they are, but the derivative is that of a smooth step,
#
# $$\sigma(x) = \frac{1}{\pi} \arctan\left(\frac{\pi}{2}\, \alpha\, x\right) + \frac{1}{2}, \qquad
# x = U - \theta .$$
#
# **Derive $\sigma'(x)$**, with $\arctan'(z) = 1 / (1 + z^2)$ and the chain rule, **and write it.**
# This is the *surrogate*; the larger $\alpha$, the narrower it is.


# %%
def surrogate(distance, alpha):
    """Return the derivative of the smooth step at distances from the threshold, any shape."""
    # BEGIN SOLUTION
    return alpha / 2 / (1 + (math.pi / 2 * alpha * distance) ** 2)
    # END SOLUTION


surrogate = check(surrogate)

# %%
distance = torch.linspace(-2, 2, 401)
figure = Figure(figsize=(8, 3), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(distance, distance > 0, color="black", linewidth=1, label="the spike")
for alpha, colour in ((1.0, GREEN), (2.0, BLUE), (10.0, ORANGE)):
    smooth = torch.atan(math.pi / 2 * alpha * distance) / math.pi + 0.5
    left.plot(distance, smooth, color=colour, label=f"alpha = {alpha:.0f}")
    right.plot(distance, surrogate(distance, alpha), color=colour)
left.set_title("smooth steps", loc="left", fontsize=10)
right.set_title("your surrogate", loc="left", fontsize=10)
for panel in (left, right):
    panel.set_xlabel("membrane - threshold")
    panel.spines[["top", "right"]].set_visible(False)
left.legend(frameon=False, fontsize=9)
figure

# %% [markdown]
# **Question 1.** A membrane is 0.5 below its threshold. How large is the surrogate there, for
# $\alpha = 2$ and for $\alpha = 100$? A gradient passes such a neuron in each of three layers. By
# which factor is it multiplied in all, weights left aside?

# %% [markdown] answer
# $\alpha = 2$: $1 / (1 + (\pi \cdot 0.5)^2) = 1 / 3.47 = 0.29$. $\alpha = 100$:
# $50 / (1 + (157 \cdot 0.5)^2) = 50 / 6170 = 0.0081$. Three layers: $0.29^3 = 0.024$ and
# $0.0081^3 = 5.3 \cdot 10^{-7}$. A narrow surrogate reaches only neurons near their threshold, and
# with each layer the gradient becomes smaller.

# %% [markdown]
# ## The backward pass of a spike
#
# Backpropagation hands each operation the *upstream* gradient: how the loss $L$ depends on what the
# operation returned. The operation returns how the loss depends on what it received:
#
# $$\frac{\partial L}{\partial U} = \frac{\partial L}{\partial S}\, \sigma'(U - \theta) .$$
#
# **Write it**, with your surrogate.


# %%
def spike_backward(upstream, membranes, threshold, alpha):
    """Return dL/dU from the upstream gradient dL/dS, both of the shape of the membranes."""
    # BEGIN SOLUTION
    return upstream * surrogate(membranes - threshold, alpha)
    # END SOLUTION


spike_backward = check(spike_backward)


# %% [markdown]
# Both halves make an operation that torch can learn through. Five neurons should fire, and those
# with a small weight do not. A negative gradient says: this weight should grow.


# %%
class Step(torch.autograd.Function):
    """A spike where the membrane is above 1, with your backward pass."""

    @staticmethod
    def forward(ctx, membranes):
        ctx.save_for_backward(membranes)
        return (membranes > 1.0).float()

    @staticmethod
    def backward(ctx, upstream):
        return spike_backward(upstream, *ctx.saved_tensors, 1.0, 2.0)


weights = torch.tensor([0.0, 0.5, 0.9, 1.1, 1.5], requires_grad=True)
spikes = Step.apply(weights * 1.0)  # an input of 1 through each weight
(spikes - 1).square().sum().backward()
for weight, spike, slope in zip(weights.tolist(), spikes.tolist(), weights.grad, strict=True):
    print(f"weight {weight:.1f}   spike {spike:.0f}   gradient {slope:6.3f}")

# %% [markdown]
# ## Backwards through time
#
# A layer of neurons receives the currents $I[t]$. Let $\delta[t]$ be the derivative of the loss
# with respect to the membrane $U[t]$, all later timesteps included. Three things depend on this
# membrane: the loss directly, its spike $S[t]$, and the next membrane,
# $U[t+1] = \beta\, U[t] + I[t+1] - \theta\, S[t]$. The last term, the reset, is taken as a
# constant. So
#
# $$\delta[t] = \frac{\partial L}{\partial U[t]} + \sigma'(U[t] - \theta)\,
# \frac{\partial L}{\partial S[t]} + \beta\, \delta[t+1],$$
#
# and after the last timestep there is nothing. The current is added to the membrane, so
# $\partial L / \partial I[t] = \delta[t]$. **Write this recursion.** The check compares it with
# autograd through the library.


# %%
def leaky_backward(membranes, slope_of_spikes, slope_of_membranes, beta, threshold, alpha):
    """Return dL/dI [T, B, N] from the membranes, dL/dS and dL/dU, each [T, B, N]."""
    # BEGIN SOLUTION
    direct = slope_of_membranes + spike_backward(slope_of_spikes, membranes, threshold, alpha)
    delta, later = torch.zeros_like(direct), torch.zeros_like(direct[0])
    for t in reversed(range(len(direct))):
        delta[t] = direct[t] + beta * later
        later = delta[t]
    return delta
    # END SOLUTION


leaky_backward = check(leaky_backward)


# %% [markdown]
# Forwards runs the neuron of sheet 2, by the library, and backwards runs your recursion: now a
# single weight learns. Two neurons receive 40 timesteps of input and should fire five times. One
# begins silent, the other fires too often.


# %%
class Leaky(torch.autograd.Function):
    """Leaky neurons, currents [T, B, N] in, spikes and membranes out, with your backward pass."""

    @staticmethod
    def forward(ctx, current, beta, threshold, alpha):
        spikes, membranes = ops.leaky(current, beta, threshold=threshold)
        ctx.save_for_backward(membranes)
        ctx.settings = beta, threshold, alpha
        return spikes, membranes

    @staticmethod
    def backward(ctx, slope_of_spikes, slope_of_membranes):
        slopes = slope_of_spikes, slope_of_membranes
        return leaky_backward(*ctx.saved_tensors, *slopes, *ctx.settings), None, None, None


generator = torch.Generator().manual_seed(0)
inputs = (torch.rand(40, 1, 1, generator=generator) < 0.4).float()
weights = torch.tensor([0.1, 0.9], requires_grad=True)
counts = []
for _ in range(30):
    spikes, _ = Leaky.apply(inputs * weights, 0.9, 1.0, 2.0)
    loss = (spikes.sum(0) - 5).square().sum()
    weights.grad = None
    loss.backward()
    with torch.no_grad():
        weights -= 1e-4 * weights.grad
    counts.append(spikes.sum(0)[0].tolist())

figure = Figure(figsize=(8, 2.8), layout="constrained")
panel = figure.subplots()
panel.axhline(5, color=RED, linestyle="--", linewidth=1, label="wanted")
for n, colour in enumerate((BLUE, ORANGE)):
    name = f"weight {(0.1, 0.9)[n]} becomes {float(weights[n].detach()):.2f}"
    panel.step(range(30), [count[n] for count in counts], color=colour, label=name)
panel.set(xlabel="steps of gradient descent", ylabel="spikes of the neuron")
panel.spines[["top", "right"]].set_visible(False)
panel.legend(frameon=False)
figure

# %% [markdown]
# **Question 2.** A loss looks only at the last membrane, $t = T - 1$, and the neuron never fires.
# How large is $\delta[0]$ if $\delta[T - 1] = 1$ and $T = 25$, for $\beta = 0.9$ and for
# $\beta = 0.5$? What does it mean for learning? Can $\delta$ explode on its way back?

# %% [markdown] answer
# Only the last term is left, 24 times: $\delta[0] = \beta^{24}$. For $\beta = 0.9$ that is 0.080,
# for $\beta = 0.5$ it is $6 \cdot 10^{-8}$. The second neuron has forgotten its first input, and
# cannot learn from it either. Along time the gradient cannot explode, since $\beta \le 1$ and the
# reset is a constant; it can only fade.

# %% [markdown]
# ## A network learns
#
# Four layers of leaky neurons read digits. The network turns spikes `[T, B, 784]` into the
# membranes of the output neurons, `[T, B, 10]`, and the score of a digit is the mean of its
# membrane over time. **Write the loop of an epoch**: for each batch compute the scores and their
# loss, a `functional.cross_entropy`, then the gradients, and let `optimizer` take a step.


# %%
def train_epoch(network, optimizer, batches):
    """Learn from pairs of spikes [T, B, F] and labels [B]; return a list of their losses."""
    # BEGIN SOLUTION
    losses = []
    for spikes, labels in batches:
        membranes = network(spikes)
        loss = functional.cross_entropy(membranes.mean(0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    # END SOLUTION


train_epoch = check(train_epoch)


# %%
class Network(nn.Module):
    """Layers of leaky neurons, from spikes [T, B, 784] to membranes [T, B, 10]."""

    def __init__(self, alpha, hidden_layers):
        super().__init__()
        torch.manual_seed(0)  # the same first weights each time
        sizes = [784, *[100] * hidden_layers, 10]
        self.layers = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))
        self.alpha = alpha

    def forward(self, spikes):
        for layer in self.layers:
            spikes, membranes = Leaky.apply(layer(spikes), 0.9, 1.0, self.alpha)
        return membranes


def spikes_of(images):
    """Return the spikes [T, B, 784] of images: the latency code of sheet 1."""
    return LatencyEncoder(num_steps=8)(images).flatten(2)


train, test = load_digits()
batches = [(spikes_of(images), labels) for images, labels in train[:2000].batches(50, seed=0)]


def trained(alpha, hidden_layers=3, epochs=2):
    """Train a network; return its losses, and its accuracy on 1,000 digits held out."""
    network = Network(alpha, hidden_layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    losses = [loss for _ in range(epochs) for loss in train_epoch(network, optimizer, batches)]
    with torch.no_grad():
        digits = network(spikes_of(test.images)).mean(0).argmax(1)
    return losses, float((digits == test.labels).float().mean())


losses, accuracy = trained(alpha=2.0)
print(f"loss {losses[0]:.2f} at first, {losses[-1]:.2f} at last; accuracy {accuracy:.1%}")

# %% [markdown]
# ## Far too narrow
#
# A narrow surrogate is nearer to the true derivative, which is zero almost everywhere. See what
# comes of it. The last number is how much of the gradient arrives at the weights of the first layer
# before any training, its norm.

# %%
figure = Figure(figsize=(8, 3), layout="constrained")
panel = figure.subplots()
for alpha, colour in ((2.0, BLUE), (100.0, ORANGE), (1000.0, GREEN)):
    network = Network(alpha, hidden_layers=3)
    spikes, labels = batches[0]
    functional.cross_entropy(network(spikes).mean(0), labels).backward()
    arrives = float(network.layers[0].weight.grad.norm())
    losses, accuracy = trained(alpha)
    print(f"alpha {alpha:5.0f}   accuracy {accuracy:5.1%}   gradient {arrives:.0e}")
    panel.plot(losses, color=colour, label=f"alpha = {alpha:.0f}")
panel.set(xlabel="batch", ylabel="loss", ylim=(0, None))
panel.spines[["top", "right"]].set_visible(False)
panel.legend(frameon=False)
figure

# %% [markdown]
# ## Open task: which width for which depth?
#
# **Find the widths with which a network of one hidden layer learns, and those for four hidden
# layers.** Call `trained(alpha, hidden_layers)` with values of your own; a network has learned if
# its accuracy is above 70 %. Write down a table of $\alpha$, depth and accuracy, the range of
# $\alpha$ for each depth, and a rule: how should the width change with the depth, and why? Is there
# a surrogate that is too wide?

# %%
# BEGIN SOLUTION
print("alpha   1 hidden layer   4 hidden layers")
for alpha in (0.1, 2.0, 100.0):
    accuracies = [trained(alpha, hidden_layers)[1] for hidden_layers in (1, 4)]
    print(f"{alpha:5g}" + "".join(f"{accuracy:17.1%}" for accuracy in accuracies))
# With one hidden layer each width learns. With four, the gradient is multiplied by the surrogate of
# four layers, and a narrow one leaves nothing: the deeper, the wider it has to be. But at 0.1 it is
# so low, 0.05 at most, that little is left of a gradient either, and near looks like far.
# END SOLUTION

# %%
report("surrogate", "spike_backward", "leaky_backward", "train_epoch")
