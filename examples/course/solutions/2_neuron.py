# %% [markdown]
# # 2. One neuron
#
# **Aims.** You write a leaky integrate-and-fire neuron as a loop over time. You can say which
# current makes it fire, how often it fires, and what its leak and its reset do.
#
# **Time**: 45 minutes. **Read before**: *The leaky neuron* in the guide.

# %%
import math

import torch
from checks import check, report
from matplotlib.figure import Figure

from spikemnist import ops

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"

# %% [markdown]
# ## The membrane
#
# A neuron remembers one number, its membrane $U$. At each timestep it keeps the share $\beta$ of
# it and adds the current $I$. If the membrane is above the threshold $\theta$, the neuron fires.
# One timestep after a spike, the threshold is subtracted:
#
# $$U[t] = \beta\, U[t-1] + I[t] - \theta\, S[t-1], \qquad S[t] = 1 \text{ if } U[t] > \theta
# \text{ else } 0$$
#
# **Write the loop.** The currents are a tensor `[T, N]` of `T` timesteps and `N` neurons. At first
# all membranes are zero, and no neuron has fired. The neurons of a timestep are one tensor `[N]`:
# compare it as a whole, without an `if`.


# %%
def neuron(current, beta, threshold):
    """Return the spikes and the membranes of leaky neurons, two tensors [T, N]."""
    # BEGIN SOLUTION
    membrane = spike = torch.zeros_like(current[0])
    spikes, membranes = [], []
    for inflow in current:
        membrane = beta * membrane + inflow - threshold * spike
        spike = (membrane > threshold).float()
        spikes.append(spike)
        membranes.append(membrane)
    return torch.stack(spikes), torch.stack(membranes)
    # END SOLUTION


neuron = check(neuron)

# %% [markdown]
# Three neurons show what you have written. The first has a weak current, the second a stronger one,
# and the third receives a spike every four timesteps, through a weight of 0.6. A dot is a spike.

# %%
currents = torch.zeros(50, 3)
currents[:, 0] = 0.09
currents[:, 1] = 0.25
currents[::4, 2] = 0.6
spikes, membranes = neuron(currents, beta=0.9, threshold=1.0)

figure = Figure(figsize=(8, 5), layout="constrained")
titles = ("current 0.09", "current 0.25", "0.6 every four timesteps")
for n, panel in enumerate(figure.subplots(3, 1, sharex=True)):
    fired = spikes[:, n].nonzero().flatten()
    panel.axhline(1.0, color=RED, linestyle="--", linewidth=1, label="threshold")
    panel.plot(membranes[:, n], color=BLUE, label="membrane")
    panel.plot(fired, membranes[fired, n], "o", color="black", markersize=4, label="spike")
    panel.set_title(f"{titles[n]}: {len(fired)} spikes", loc="left", fontsize=10)
    panel.set(ylabel="membrane", ylim=(-0.2, 1.5))
    panel.spines[["top", "right"]].set_visible(False)
panel.set_xlabel("timestep")
figure.axes[0].legend(frameon=False, ncols=3, loc="upper right", fontsize=9)
figure

# %% [markdown]
# **Question 1.** The weakest current that makes a neuron fire is its *rheobase*. Let the current be
# constant. Towards which value does the membrane go if there is no threshold? Derive the rheobase
# from it, for $\beta = 0.9$, $\theta = 1$ and for $\beta = 0.95$, $\theta = 0.5$. Does the neuron
# fire if the current is exactly that?

# %% [markdown] answer
# At rest the membrane no longer changes, $U = \beta U + I$, so it goes towards $I / (1 - \beta)$.
# This is above the threshold if $I > I_{\min} = \theta\, (1 - \beta)$. For $\beta = 0.9$ and
# $\theta = 1$ that is $1 \cdot 0.1 = 0.1$, and for $\beta = 0.95$ and $\theta = 0.5$ it is
# $0.5 \cdot 0.05 = 0.025$. With exactly this current the membrane comes nearer and nearer to the
# threshold, from below, and never passes it: the neuron does not fire.

# %% [markdown]
# ## How long it remembers
#
# Without current, the membrane of a cell decays as $e^{-t / \tau}$ with the time constant $\tau$.
# **Write $\beta$**, the share that is left after one timestep, from $\tau$ and the length of a
# timestep, both in milliseconds.


# %%
def decay(tau, timestep):
    """Return beta, a number, from the time constant and the length of a timestep."""
    # BEGIN SOLUTION
    return math.exp(-timestep / tau)
    # END SOLUTION


decay = check(decay)

# %%
impulse = torch.zeros(40, 1)
impulse[0] = 0.9  # below the threshold

figure = Figure(figsize=(8, 3), layout="constrained")
panel = figure.subplots()
for tau, colour in ((2.0, BLUE), (10.0, ORANGE), (30.0, GREEN)):
    beta = decay(tau, timestep=1.0)
    _, membranes = neuron(impulse, beta, threshold=1.0)
    name = f"time constant {tau:.0f} ms, beta {beta:.3f}"
    panel.plot(membranes[:, 0], "o-", markersize=3, color=colour, label=name)
panel.set(xlabel="time in ms", ylabel="membrane", ylim=(0, None))
panel.set_title("one input at 0 ms", loc="left", fontsize=10)
panel.spines[["top", "right"]].set_visible(False)
panel.legend(frameon=False)
figure

# %% [markdown]
# ## How often it fires
#
# The firing rate over a constant current is the **f-I curve** of a neuron. **Measure it with your
# neuron**: give each of `N` neurons its current at each of `num_steps` timesteps, and return the
# spikes per timestep.


# %%
def firing_rates(currents, beta, threshold, num_steps):
    """Return the spikes per timestep [N] under constant currents [N]."""
    # BEGIN SOLUTION
    spikes, _ = neuron(currents.expand(num_steps, -1), beta, threshold)
    return spikes.mean(0)
    # END SOLUTION


firing_rates = check(firing_rates)

# %% [markdown]
# Now without a simulation. After $n$ timesteps the membrane is a geometric series:
#
# $$U = I + \beta I + \dots + \beta^{n-1} I = I\, \frac{1 - \beta^n}{1 - \beta}$$
#
# The neuron fires at the first $n$ with $U > \theta$. With $I_{\min} = \theta\, (1 - \beta)$, solve
# this for $n$, and **write the formula**. Remember that $\ln \beta$ is negative, and that $n$ is a
# whole number *above* the fraction. A neuron whose current is not above $I_{\min}$ never fires:
# return `math.inf`.


# %%
def interval(current, beta, threshold):
    """Return the number n of timesteps in which a constant current, a number, makes a spike."""
    # BEGIN SOLUTION
    weakest = threshold * (1 - beta)
    if current <= weakest:
        return math.inf
    return math.floor(math.log(1 - weakest / current) / math.log(beta)) + 1
    # END SOLUTION


interval = check(interval)

# %% [markdown]
# If a spike sets the membrane to zero, the neuron starts afresh, and its rate is $1 / n$: the steps
# in the picture. The library's neuron with this reset is on the steps. Yours keeps what was above
# the threshold. Where is it faster, and where slower?

# %%
strengths = torch.linspace(0.01, 1.2, 60)
expected = [1 / interval(float(current), 0.9, 1.0) for current in strengths]
to_zero, _ = ops.leaky(strengths.expand(1000, 1, -1), 0.9, reset_mechanism="zero")

figure = Figure(figsize=(8, 3.6), layout="constrained")
panel = figure.subplots()
panel.step(strengths, expected, where="mid", color=ORANGE, label="your formula, 1 / n")
panel.plot(strengths, to_zero[:, 0].mean(0), "o", color=ORANGE, markersize=3, label="reset to zero")
rates = firing_rates(strengths, 0.9, 1.0, 1000)
panel.plot(strengths, rates, "o", color=BLUE, markersize=3, label="your neuron")
panel.set(xlabel="current", ylabel="spikes per timestep", ylim=(0, 1.05))
panel.spines[["top", "right"]].set_visible(False)
panel.legend(frameon=False)
figure

# %% [markdown]
# **Question 2.** A neuron does not leak: $\beta = 1$. Its threshold is 1, and its current is 0.3
# for 95 timesteps. How many spikes are there if a spike subtracts the threshold, and how many if it
# sets the membrane to zero? What is lost? Calculate; then check the first number with your neuron.

# %% [markdown] answer
# Subtraction loses nothing: 95 timesteps bring $95 \cdot 0.3 = 28.5$, and each spike takes 1, so
# there are 28 spikes, and 0.5 is left. With a reset to zero the membrane is 0.3, 0.6, 0.9, 1.2, so
# the neuron fires every 4 timesteps, $\lfloor 95 / 4 \rfloor = 23$ times. At each spike the 0.2
# above the threshold are lost. In the picture, where $\beta = 0.9$, subtraction is not always the
# faster one: the membrane decays first, so that a spike may leave it below zero.

# %% [markdown]
# ## Open task: a neuron that hears a rhythm
#
# Two inputs have the same number of spikes: one sends them in pairs, the other evenly. **Find a
# neuron that fires often for the pairs and seldom for the even spikes, and another neuron that does
# the opposite.** Vary `beta` and the weight; the threshold is 1. Write down for each neuron `beta`,
# the weight, and both numbers of spikes, and say in a sentence why it works.

# %%
pairs, even = torch.zeros(2, 120)
pairs[0::6] = pairs[1::6] = 1
even[0::3] = 1
trains = torch.stack([pairs, even], dim=1)  # [T, 2]
print("spikes sent:", trains.sum(0).int().tolist())


def answers(beta, weight):
    """Print how often a neuron fires for the pairs and for the even spikes."""
    spikes, _ = neuron(weight * trains, beta, 1.0)
    for_pairs, for_even = spikes.sum(0).int().tolist()
    print(f"beta {beta}, weight {weight}: {for_pairs} spikes for pairs, {for_even} for even ones")


answers(beta=0.9, weight=0.5)  # a start

# %%
# BEGIN SOLUTION
# It forgets an input before the next even one comes, and only a pair adds up: 0.7 + 0.35 > 1.
answers(beta=0.5, weight=0.7)
# Each input alone makes it fire. In a pair, the second meets the reset of the first.
answers(beta=0.4, weight=1.1)
# END SOLUTION

# %%
report("neuron", "decay", "firing_rates", "interval")
