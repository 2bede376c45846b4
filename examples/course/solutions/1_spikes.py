# %% [markdown]
# # 1. A picture becomes spikes
#
# **Aims.** You turn grey pixels into spikes in two ways, by their number and by their time, and
# read the picture back. You can say what each way costs in spikes, and what is lost.
#
# **Time**: 45 minutes. **Read before**: *Spikes and encodings* in the guide.

# %%
import torch
from checks import check, report
from matplotlib.figure import Figure

from spikemnist import load_digits, viz
from spikemnist.encoding import measure_code

BLUE, ORANGE = "#0072B2", "#E69F00"

_, test = load_digits()
brightness = test.images[:100] / 255  # [B, 28, 28], 0 is black and 1 is white
print("a row of pixels:", [round(float(x), 2) for x in brightness[1, 14, 8:20]])

# %% [markdown]
# A spiking network receives no grey values. It receives spikes: zeros and ones, `[T, B, 28, 28]`,
# for `T` timesteps and `B` images. How does a spike tell how bright a pixel is?
#
# ## By number: a rate code
#
# At each timestep a pixel of brightness $x$ fires with probability $x$. **Write the code.** The
# random numbers are given, uniform in $[0, 1)$, one for each timestep and pixel. White pixels fire
# at every timestep, black ones never.


# %%
def rate_code(brightness, random):
    """Return spikes [T, B, H, W] from brightness [B, H, W] and random numbers [T, B, H, W]."""
    # BEGIN SOLUTION
    return (random < brightness).float()
    # END SOLUTION


rate_code = check(rate_code)

# %% [markdown]
# The picture shows the image, the number of spikes of each pixel and the time of the first, and
# below the spikes of some timesteps.

# %%
generator = torch.Generator().manual_seed(0)
digit = brightness[1:2]
by_number = rate_code(digit, torch.rand(16, *digit.shape, generator=generator))
print(f"{int(by_number.sum())} spikes")
viz.encoding(by_number, image=digit)

# %% [markdown]
# ## By time: a latency code
#
# A single spike can tell the brightness by its time: the brighter, the earlier. In `T` timesteps,
# $t = 0$ to $T - 1$, a pixel fires once, at the whole number nearest to
#
# $$t(x) = (1 - x)\,(T - 1) .$$
#
# A pixel darker than 0.01 never fires. **Write the code.** One way: compare all timesteps,
# `torch.arange(num_steps).view(-1, 1, 1, 1)`, with the time of each pixel.


# %%
def latency_code(brightness, num_steps):
    """Return spikes [T, B, H, W] from brightness [B, H, W]."""
    # BEGIN SOLUTION
    time = torch.round((1 - brightness) * (num_steps - 1))
    steps = torch.arange(num_steps).view(-1, 1, 1, 1)
    return ((steps == time) & (brightness >= 0.01)).float()
    # END SOLUTION


latency_code = check(latency_code)

# %% [markdown]
# **Read the picture back.** The brightness is $1 - t / (T - 1)$ for a pixel that fires at $t$, and
# 0 for one that does not fire.


# %%
def read_latency(spikes):
    """Return the brightness [B, H, W] from the spikes [T, B, H, W] of a latency code, T > 1."""
    # BEGIN SOLUTION
    steps = torch.arange(len(spikes)).view(-1, 1, 1, 1)
    time = (steps * spikes).sum(0)
    return (1 - time / (len(spikes) - 1)) * spikes.sum(0)
    # END SOLUTION


read_latency = check(read_latency)

# %% [markdown]
# At the left is what one reads back, a rate code by its mean over time. In the middle is a
# **raster**: each mark is a spike. At the right is the number of spikes at each timestep.

# %%
by_time = latency_code(digit, 16)
read = {"rate": by_number.mean(0), "latency": read_latency(by_time)}
viz.codes({"rate": by_number, "latency": by_time}, reconstructions=read)

# %% [markdown]
# ## What it costs, and what is lost
#
# A spike is work: each neuron that receives it adds a weight. So the **cost** of a code is the
# number of spikes of an image. What is lost is the **error** of a pixel $x$ that is read as $y$:
# the root of the mean of $(y - x)^2$ over all pixels of all images. **Write both.**


# %%
def spikes_and_error(brightness, spikes, read):
    """Return the mean number of spikes of an image, and the error of a pixel: two numbers.

    The brightness and what was read are [B, H, W], the spikes [T, B, H, W].
    """
    # BEGIN SOLUTION
    error = (read - brightness).square().mean().sqrt()
    return float(spikes.sum()) / len(brightness), float(error)
    # END SOLUTION


spikes_and_error = check(spikes_and_error)

# %%
lit = float((brightness >= 0.01).sum()) / len(brightness)
light = float(brightness.sum()) / len(brightness)
print(f"of an image, {lit:.0f} pixels are lit, and the brightness of all adds up to {light:.0f}")

windows = [2, 4, 8, 16, 32, 64, 128]
costs, errors = {"rate": [], "latency": []}, {"rate": [], "latency": []}
print("\n  T    rate: spikes, error    latency: spikes, error")
for num_steps in windows:
    rate = rate_code(brightness, torch.rand(num_steps, *brightness.shape, generator=generator))
    latency = latency_code(brightness, num_steps)
    measured = {
        "rate": spikes_and_error(brightness, rate, rate.mean(0)),
        "latency": spikes_and_error(brightness, latency, read_latency(latency)),
    }
    for name, (cost, error) in measured.items():
        costs[name].append(cost)
        errors[name].append(error)
    print(f"{num_steps:3d}" + "".join(f"{c:15.0f}{e:9.4f}" for c, e in measured.values()))

# %%
expected = [float((brightness * (1 - brightness) / T).mean().sqrt()) for T in windows]

figure = Figure(figsize=(8, 3.4), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
for panel, places in ((left, dict.fromkeys(costs, windows)), (right, costs)):
    for name, colour in (("rate", BLUE), ("latency", ORANGE)):
        panel.loglog(places[name], errors[name], "o", color=colour, label=name)
    panel.spines[["top", "right"]].set_visible(False)
left.plot(windows, expected, color=BLUE, linewidth=1, label=r"mean of $x\,(1 - x) / T$, its root")
left.set_xticks(windows, windows)
left.minorticks_off()
left.set(xlabel="timesteps T", ylabel="error of a pixel")
right.set(xlabel="spikes of an image")
left.legend(frameon=False, fontsize=9)
figure

# %% [markdown]
# **Question 1.** The number of spikes of a pixel of brightness $x$ in a rate code is binomial, so
# the standard error of its mean over time is $\sqrt{x\,(1 - x) / T}$. How large is it for $x = 0.5$
# and $T = 16$, and for $T = 64$? How many timesteps, and how many spikes of this one pixel, does an
# error of 0.01 take?

# %% [markdown] answer
# $T = 16$: $\sqrt{0.25 / 16} = 0.125$. $T = 64$: $\sqrt{0.25 / 64} = 0.0625$, half of it for four
# times the timesteps. For 0.01: $T = 0.25 / 0.01^2 = 2500$ timesteps, with $0.5 \cdot 2500 = 1250$
# spikes of this pixel.

# %% [markdown]
# **Question 2.** Take the two numbers of an image that are printed above the table. How many spikes
# does a latency code of `T` timesteps need, how many a rate code? Why does the latency code save
# spikes? By how much can it misread a pixel that fires, for $T = 16$, and what does half of this
# error cost?

# %% [markdown] answer
# The latency code has one spike for each lit pixel, 152, for any $T$. A pixel of the rate code
# fires $x\,T$ times, so an image has about $105\,T$ spikes: for $T = 16$ that is 1,680, eleven
# times as many. In a latency code the *time* carries the brightness, and time without spikes costs
# nothing. Its times are steps of $1 / (T - 1)$ in brightness, and rounding goes to the nearest, so
# the error is at most $1 / (2 \cdot 15) = 0.033$. Half of it costs twice the time, $T = 31$, and no
# spike more. A rate code needs four times the timesteps, and four times the spikes.

# %% [markdown]
# ## Open task: a code of your own
#
# **Invent a code with 16 timesteps.** Beat the latency code in its spikes or in its error; the best
# codes give up little of the other. Write down: how a pixel fires, the spikes of an image, the
# error, and which pixels your code misreads most. Ideas: send edges only; two spikes, one for the
# coarse brightness and one for the fine; binary digits; other times for dark pixels; chance and
# time together.
#
# A code is an object as in the next cell. `measure_code` of the library measures it as you have
# done. Copy the class, give it another name, and change both methods.


# %%
class Latency:
    """The latency code of this sheet: a start."""

    num_steps = 16

    def __call__(self, images, *, generator=None):
        """Return spikes [T, B, H, W] from brightness [B, H, W]."""
        return latency_code(images, self.num_steps)

    def decode(self, spikes):
        """Return the brightness [B, H, W]."""
        return read_latency(spikes)


def tell(code):
    """Print what a code costs and loses."""
    measured = measure_code(code, brightness, generator=torch.Generator().manual_seed(0))
    name = type(code).__name__
    print(f"{name}: {measured.spikes:.0f} spikes, error {measured.error:.4f}")


tell(Latency())

# %%
# BEGIN SOLUTION
STEPS = torch.arange(8).view(-1, 1, 1, 1)


class TwoHands:
    """Two spikes, as a clock has two hands: the eighth of the brightness, and the eighth of it."""

    num_steps = 16

    def __call__(self, images, *, generator=None):
        """Fire once in each half of the window, earlier for a larger digit to the base 8."""
        level = torch.round(images * 63)
        hands = torch.cat([7 - level // 8 == STEPS, 7 - level % 8 == STEPS])
        return (hands & (level > 0)).float()

    def decode(self, spikes):
        """Read the digit of each half."""
        coarse, fine = (((7 - STEPS) * half).sum(0) for half in spikes.chunk(2))
        return (8 * coarse + fine) / 63


# Twice the spikes for less than a third of the error: 64 levels instead of 16.
tell(TwoHands())
hands = TwoHands()(digit)
viz.codes({"two hands": hands}, reconstructions={"two hands": TwoHands().decode(hands)})
# END SOLUTION

# %%
report("rate_code", "latency_code", "read_latency", "spikes_and_error")
