# %% [markdown]
# # 4. Why does it not learn?
#
# **Aims.** You can say why a spiking network does not learn: it is silent, its gradient is lost, or
# its steps are too large or too small. You measure each, and you give a silent network a better
# start.
#
# **Time**: 45 minutes. **Read before**: *Surrogate gradients* and *Reading a raster* in the guide.

# %%
import base64
import warnings

import torch
from checks import check, report
from IPython.display import IFrame
from matplotlib.figure import Figure

from spikemnist import Classifier, LeakyMLP, TrainConfig, diagnose, evaluate, fit, load_digits, ops
from spikemnist.export import to_playground
from spikemnist.training import TrainingWarning, initialize

train, test = load_digits()
train = train[:2000]
images = train.images[:64]


def new_classifier(hidden=64, threshold=0.5, **options):
    """Return a network with the latency code, each time with the same first weights."""
    torch.manual_seed(0)
    return Classifier(LeakyMLP(hidden=hidden, threshold=threshold, **options), "latency")


def trained(classifier, **settings):
    """Train for two epochs without a word, and return the accuracy on the test images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        fit(classifier, train, TrainConfig(**{"epochs": 2} | settings), progress=False)
    return evaluate(classifier, test).accuracy


# %% [markdown]
# ## Four patients
#
# Four networks of 64 hidden neurons have one wrong setting or two. The next cell shows a page on
# which they learn in your browser. Press **Train**; then watch the next one, by its name in the
# last line or by its link below the curves. There the page asks a question about each.

# %%
page = to_playground("playground.html")
LINKS = {
    "silent": "#threshold=3&surrogate=heaviside",
    "saturated": "#beta=1&threshold=0.05&reset=none",
    "too fast": "#lr=1",
    "too slow": "#lr=0.00001",
}


def watch(name):
    """Show the page of a patient, whole: a browser cannot open a file of a server."""
    print(f"alone, if Jupyter runs on this computer: {page.resolve().as_uri()}{LINKS[name]}")
    whole = base64.b64encode(page.read_bytes()).decode()
    return IFrame(f"data:text/html;base64,{whole}{LINKS[name]}", width="100%", height=900)


watch("silent")

# %% [markdown]
# **Question 1.** Watch each for an epoch. How do the loss, the accuracy and the spikes of the
# hidden neurons look? Write one sentence for each: why does it learn badly, or not at all? The
# doctor comes at the end of this sheet.

# %% [markdown] answer
# *Silent*: no membrane reaches the threshold of 3, and below the threshold the derivative of
# heaviside is 0. All gradients of the hidden layer are 0, so nothing can wake it. *Saturated*: it
# does learn, but many neurons fire at every timestep of an image. They say only yes or no, at the
# price of many spikes. *Too fast*: each step leaps over the minimum, and the loss is far above 2.3,
# that of a guess. *Too slow*: the loss falls, but would need a thousand times as many images.

# %% [markdown]
# ## Silent
#
# A neuron that is silent for one image says something: this image is not mine. A neuron that is
# silent for **all** images is dead weight.
#
# **Write the share of silent neurons** of a batch. A share is the mean of truth values, as numbers:
# `(x == 0).float().mean()`.


# %%
def silent_share(spikes):
    """Return the share of neurons that fire at no timestep of any image; spikes are [T, B, N]."""
    # BEGIN SOLUTION
    per_neuron = spikes.sum((0, 1))
    return (per_neuron == 0).float().mean()
    # END SOLUTION


silent_share = check(silent_share)

# %% [markdown]
# ## Saturated
#
# A neuron that fires at every timestep of an image says no more than one spike would. Here each
# image counts by itself: a neuron may be saturated for a 0 and not for a 1.
#
# **Write the share of saturated pairs** of an image and a neuron.


# %%
def saturated_share(spikes):
    """Return the share of the B x N pairs of image and neuron with a spike at each timestep.

    The spikes are [T, B, N].
    """
    # BEGIN SOLUTION
    per_image = spikes.sum(0)
    return (per_image == len(spikes)).float().mean()
    # END SOLUTION


saturated_share = check(saturated_share)

# %% [markdown]
# Three networks before training: a common one, and the first two patients. Each panel shows how
# often a hidden neuron fires for an image.

# %%
silent = {"threshold": 3.0, "spike_grad": "heaviside"}
saturated = {"threshold": 0.05, "beta": 1.0, "reset_mechanism": "none"}


def hidden_layer(classifier):
    """Return the record of the first hidden layer for 64 images."""
    with torch.no_grad():
        return classifier(images, record="all").layers[0]


figure = Figure(figsize=(9, 2.8), layout="constrained")
for panel, (name, options) in zip(
    figure.subplots(1, 3, sharey=True),
    {"common": {}, "silent": silent, "saturated": saturated}.items(),
    strict=True,
):
    spikes = hidden_layer(new_classifier(**options)).spikes
    panel.hist(spikes.sum(0).flatten(), bins=torch.arange(10) - 0.5, rwidth=0.8, color="#0072B2")
    shares = f"{silent_share(spikes):.0%} silent, {saturated_share(spikes):.0%} saturated"
    panel.set_title(f"{name}: {shares}", loc="left", fontsize=9)
    panel.set_xlabel("spikes of a neuron in 8 timesteps")
    panel.spines[["top", "right"]].set_visible(False)
figure.axes[0].set_ylabel("pairs of image and neuron")
figure

# %% [markdown]
# ## No gradient
#
# Most neurons of the common network are silent as well, and yet it learns: the surrogate reaches
# below the threshold. How far, depends on its slope $k$. For the fast sigmoid,
#
# $$\sigma'(x) = \frac{1}{(1 + k\,|x|)^2}, \qquad x = U - \theta .$$
#
# It is highest, 1, where the membrane is at the threshold. Say that a derivative counts if it is at
# least one per cent of that.
#
# **Write the share of membranes with a derivative that counts.**


# %%
def surrogate_share(membranes, threshold, slope):
    """Return the share of the membranes [T, B, N] at which the derivative is at least 0.01."""
    # BEGIN SOLUTION
    x = membranes - threshold
    derivative = 1 / (1 + slope * x.abs()) ** 2
    return (derivative >= 0.01).float().mean()
    # END SOLUTION


surrogate_share = check(surrogate_share)

# %% [markdown]
# Three hidden layers with a threshold of 1 are silent, all of them. The network is trained with
# three surrogates. Grey are the membranes of the first layer. In the pale band the derivative
# counts.

# %%
deep = {"hidden": (64, 64, 64), "threshold": 1.0}
membranes = hidden_layer(new_classifier(**deep)).membrane
distance = torch.linspace(-1.8, 0.5, 461)

figure = Figure(figsize=(9, 3), layout="constrained")
for panel, slope in zip(figure.subplots(1, 3, sharey=True), (5.0, 25.0, 100.0), strict=True):
    accuracy = trained(new_classifier(**deep, spike_grad=ops.FastSigmoid(slope=slope)))
    share = surrogate_share(membranes, 1.0, slope)
    print(f"slope {slope:3.0f}: {share:.1%} of the membranes count, accuracy {accuracy:.0%}")
    heights, edges = torch.histogram((membranes - 1.0).flatten(), bins=40)
    panel.stairs(heights / heights.max(), edges, fill=True, color="#BBBBBB", label="membranes")
    curve = ops.FastSigmoid(slope=slope).derivative_(distance.clone())
    panel.plot(distance, curve, color="#E69F00", label="derivative")
    panel.fill_between(
        distance, 1.05, where=curve >= 0.01, color="#E69F00", alpha=0.15, label="counts"
    )
    panel.set_title(f"slope {slope:.0f}: {share:.1%} count", loc="left", fontsize=10)
    panel.set(xlabel="membrane - threshold", xlim=(-1.8, 0.5), ylim=(0, 1.05))
    panel.spines[["top", "right"]].set_visible(False)
figure.axes[0].set_ylabel("share of the highest")
figure.legend(*panel.get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
figure

# %% [markdown]
# **Question 2.** At which distance from the threshold does $\sigma'$ fall to 0.01? A membrane rests
# at 0, and the threshold is 1: up to which slope does a neuron at rest have a derivative that
# counts? With a slope of 100, one hidden layer still learns (85 %), and three do not: why?

# %% [markdown] answer
# $1 / (1 + k|x|)^2 = 0.01$ gives $1 + k|x| = 10$, so $|x| = 9 / k$: 1.8 for a slope of 5, 0.36 for
# 25 and 0.09 for 100. At rest $|x| = 1$, so $k$ may be 9. The gradient of the first layer is
# multiplied by one derivative for each layer. At rest and with a slope of 100 it is
# $1/101^2 \approx 10^{-4}$: three layers make $10^{-12}$. Adam divides a gradient by its size, plus
# $10^{-8}$, so it makes up for one weak layer, and not for three.

# %% [markdown]
# ## A start from data
#
# In place of the surrogate one can mend the start: scale the weights so that neurons fire. How
# much? Until its first spike a membrane is a sum of currents, decayed by $\beta$. With weights and
# bias times $s$, the membrane is times $s$ as well. So compute membranes **without a reset**,
# take the highest of each neuron for each image, and choose $s$ so that a share of them lies above
# the threshold. `tensor.amax(0)` is the highest along the first axis, and `tensor.quantile(q)` the
# value below which a share `q` lies.
#
# **Write the scale.**


# %%
def start_scale(currents, beta, threshold, share):
    """Return the factor of the currents [T, B, N] at which this share of the pairs of image and
    neuron reaches the threshold: a number."""
    # BEGIN SOLUTION
    membrane, membranes = 0.0, []
    for current in currents:
        membrane = beta * membrane + current
        membranes.append(membrane)
    highest = torch.stack(membranes).amax(0)
    return threshold / highest.flatten().quantile(1 - share)
    # END SOLUTION


start_scale = check(start_scale)

# %% [markdown]
# From the first layer to the last hidden one, the next cell scales the weights, and passes on the
# spikes that the layer then fires. `initialize` of the library looks for a firing rate instead,
# spikes in place of neurons, and needs a search for it: a rate does not grow like the weights.


# %%
def start_from_data(classifier, share):
    """Scale the weights of the hidden layers, in place, and return the factors."""
    spikes, factors = classifier.encoder(images).flatten(2), []
    with torch.no_grad():
        for layer in list(classifier.network.layers)[:-1]:
            beta, threshold = float(layer.leaky.beta), float(layer.leaky.threshold)
            factors.append(float(start_scale(layer.linear(spikes), beta, threshold, share)))
            layer.linear.weight *= factors[-1]
            layer.linear.bias *= factors[-1]
            spikes, _ = ops.leaky(layer.linear(spikes), beta, threshold=threshold)
    return factors


lost = deep | {"spike_grad": ops.FastSigmoid(slope=100.0)}
as_it_was, yours, theirs = (new_classifier(**lost) for _ in range(3))
factors = start_from_data(yours, share=0.3)
initialize(theirs, images, rate=0.1)
print("your factors:", ", ".join(f"{factor:.2f}" for factor in factors))
for name, classifier in {
    "as it was": as_it_was,
    "your start": yours,
    "initialize": theirs,
}.items():
    print(f"{name:11s}accuracy {trained(classifier):.0%}")

# %% [markdown]
# ## Too fast, too slow
#
# The loss says that a learning rate is wrong, but not always in which direction. The weights say
# it: how far has the training moved them, compared with their length?
#
# $$\frac{\lVert w_{after} - w_{before} \rVert}{\lVert w_{before} \rVert}, \qquad
# \lVert w \rVert = \sqrt{\textstyle\sum_i w_i^2}$$
#
# **Write this share** for two vectors of weights.


# %%
def moved_share(before, after):
    """Return how far the weights have moved, as a share of their norm; both are [N]."""
    # BEGIN SOLUTION
    way = (after - before).square().sum().sqrt()
    return way / before.square().sum().sqrt()
    # END SOLUTION


moved_share = check(moved_share)


# %%
def all_weights(classifier):
    """Return a copy of all weights as one vector."""
    return torch.nn.utils.parameters_to_vector(classifier.parameters()).detach().clone()


rates, accuracies, moves = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], [], []
for rate in rates:
    classifier = new_classifier()
    before = all_weights(classifier)
    accuracies.append(trained(classifier, epochs=1, lr=rate, schedule="constant"))
    moves.append(float(moved_share(before, all_weights(classifier))))
    print(f"rate {rate:<7g}accuracy {accuracies[-1]:4.0%}, weights moved by {moves[-1]:.1%}")

figure = Figure(figsize=(8, 3), layout="constrained")
left, right = figure.subplots(1, 2)
left.semilogx(rates, accuracies, "o-", color="#0072B2")
left.axhline(0.1, color="#8C8C8C", linestyle="dotted", label="a guess")
left.set(xlabel="learning rate", ylabel="accuracy after one epoch", ylim=(0, 1))
left.legend(frameon=False)
right.loglog(rates, moves, "o-", color="#E69F00")
right.set(xlabel="learning rate", ylabel="share by which weights moved")
for panel in (left, right):
    panel.spines[["top", "right"]].set_visible(False)
figure

# %% [markdown]
# ## The doctor
#
# `diagnose` trains a network on 64 images alone, puts its weights back, and looks at what you have
# measured: silent neurons, surrogate gradient, loss and moved weights. Compare with your first
# answer. It has no complaint of the saturated network, which learns: only its spikes are too many.

# %%
patients = {
    "silent": (new_classifier(**silent), TrainConfig()),
    "saturated": (new_classifier(**saturated), TrainConfig()),
    "too fast": (new_classifier(), TrainConfig(lr=1.0)),
    "too slow": (new_classifier(), TrainConfig(lr=1e-5)),
}
for name, (classifier, settings) in patients.items():
    diagnosis = diagnose(classifier, train[:64], settings)
    print(f"{name}: {diagnosis.layers[0].spikes:.0f} hidden spikes for an image")
    print("  " + "\n  ".join(diagnosis.findings or ["no finding"]))

# %% [markdown]
# The doctor's threshold and your scale are the same remedy: a threshold divided by $s$, or weights
# times $s$. Its value lets a tenth of the pairs fire.

# %%
sick = new_classifier(**silent)
with torch.no_grad():
    currents = sick.network.layers[0].linear(sick.encoder(images).flatten(2))
print(f"threshold / scale = {3.0 / start_scale(currents, 0.95, 3.0, 0.1):.3g}")

# %% [markdown]
# ## Open task
#
# Make a network that does not learn, for a reason that is not among the four patients, and hand it
# to your neighbour as one line of code. Ideas: depth, the code and its timesteps, the reset, beta,
# the optimiser, `clip_norm`, `weight_decay`, the images themselves. The neighbour has five minutes,
# with `silent_share`, `surrogate_share` and `moved_share`, and without `diagnose`.
#
# Write down: your line, its accuracy, your neighbour's diagnosis with the number that shows it, the
# accuracy after one change, and what `diagnose` says.

# %%
# BEGIN SOLUTION
# Pixels of 0 to 255 are divided by 255 twice, so that all are nearly black: no input spikes.
dark = (train.images / 255 / 255, train.labels)
classifier = new_classifier()
print(f"input spikes for an image: {classifier.encoder(dark[0][:64]).sum() / 64:.0f}")
print(f"silent hidden neurons: {silent_share(hidden_layer(classifier).spikes):.0%}, as in common")
for name, data in {"dark": dark, "divided once": (train.images / 255, train.labels)}.items():
    print(f"{name}: {diagnose(new_classifier(), data).findings or 'no finding'}")
# END SOLUTION

# %%
report("silent_share", "saturated_share", "surrogate_share", "start_scale", "moved_share")
