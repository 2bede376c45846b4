# %% [markdown]
# # 6. Learning without labels
#
# **Aims.** You can write the rule by which the times of two spikes change a weight. You can say
# why neurons that compete need thresholds that adapt, and how this learning differs from
# backpropagation. You train neurons that become digits without ever seeing a label.
#
# **Time**: 45 minutes. **Read before**: *Learning without labels* in the guide.

# %%
import math

import torch
from checks import check, report
from matplotlib.figure import Figure

from spikemnist import STDPClassifier, load_digits, viz

train, test = load_digits()
train = train[:2000]

# %% [markdown]
# ## A trace
#
# Spike-timing-dependent plasticity (STDP) asks how long ago a neuron fired. The neuron remembers it
# as a **trace** $x$, which decays at each timestep, and to which each spike adds 1:
#
# $$x[t] = d\, x[t-1] + S[t]$$
#
# Before the first timestep it is 0. Does this remind you of something?
#
# **Write the trace.**


# %%
def trace(spikes, decay):
    """Return the traces [T, N] of neurons with these spikes [T, N]."""
    # BEGIN SOLUTION
    x, traces = torch.zeros(spikes.shape[1]), []
    for spike in spikes:
        x = decay * x + spike
        traces.append(x)
    return torch.stack(traces)
    # END SOLUTION


trace = check(trace)

# %% [markdown]
# Here are two traces of the same spikes, for timesteps of 1 ms and time constants of 20 ms and 5
# ms.

# %%
generator = torch.Generator().manual_seed(1)
spikes = (torch.rand(100, 1, generator=generator) < 0.06).float()

figure = Figure(figsize=(8, 2.6), layout="constrained")
ax = figure.add_subplot()
for tau, colour in ((20.0, "#0072B2"), (5.0, "#E69F00")):
    ax.plot(trace(spikes, math.exp(-1 / tau)), color=colour, label=f"time constant {tau:.0f} ms")
times = spikes[:, 0].nonzero().flatten()
ax.plot(times, torch.full_like(times, -0.15, dtype=torch.float), "|", color="black", label="spike")
ax.set(xlabel="time [ms]", ylabel="trace")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
figure

# %% [markdown]
# ## The pair rule
#
# A weight $w_{ji}$ leads from the presynaptic neuron $i$ to the postsynaptic neuron $j$. With the
# trace $x$ of pre and the trace $y$ of post, both as they were **before** this timestep and decayed
# up to it:
#
# - when **post** fires, inputs that fired before it may have caused the spike: $w_{ji}$ grows by
#   $A_+\, d\, x_i[t-1]$,
# - when **pre** fires, it comes too late for the spikes of post: $w_{ji}$ shrinks by
#   $A_-\, d\, y_j[t-1]$.
#
# Two spikes of the same timestep are no pair. The weights here stay far from any bound. You may use
# `trace`, or write one loop over time. `torch.outer(a, b)` has the entries $a_j b_i$.
#
# **Write the rule.**


# %%
def pair_rule(pre, post, weight, decay, a_plus, a_minus):
    """Return the new weights [J, I], after spikes pre [T, I] and post [T, J]."""
    # BEGIN SOLUTION
    x, y = torch.zeros(pre.shape[1]), torch.zeros(post.shape[1])
    for before, after in zip(pre, post, strict=True):
        x, y = decay * x, decay * y
        weight = weight + a_plus * torch.outer(after, x) - a_minus * torch.outer(y, before)
        x, y = x + before, y + after
    return weight
    # END SOLUTION


pair_rule = check(pair_rule)

# %% [markdown]
# One spike of pre and one of post, at each distance in time: the change of the weight is the
# **window** of the rule.

# %%
lags = torch.arange(-60, 61)
pre = torch.zeros(121, 1)
pre[60] = 1.0  # one input, which fires in the middle
post = torch.eye(121)  # 121 neurons, each of which fires at another timestep
start = torch.full((121, 1), 0.5)
window = pair_rule(pre, post, start, math.exp(-1 / 20), 0.01, 0.0105) - start

viz.stdp_window(lags, window[:, 0])

# %% [markdown]
# ## Neurons that compete
#
# `STDPClassifier` shows images to neurons as spikes. The neuron that fires first inhibits all
# others, and learns: weights from inputs with a high trace grow, the others shrink. This is the
# half of your rule that acts when post fires, with a target for the trace in place of the other
# half. Each spike raises the threshold of its neuron by `theta_plus`. Labels change no weight:
# `fit` takes them to name the neurons afterwards, which you will do yourself.

# %%
classifier = STDPClassifier(n_neurons=50, voting="assigned")
classifier.fit(train.images, train.labels, progress=False)
print(f"theta_plus {classifier.theta_plus_:.4f} mV, thresholds are higher by ", end="")
print(f"{classifier.theta_.min():.0f} to {classifier.theta_.max():.0f} mV")

viz.receptive_fields(classifier)

# %% [markdown]
# What would happen if thresholds did not adapt?

# %%
settings = {"n_neurons": 50, "learning_rate": classifier.learning_rate_}
for theta_plus in (0.0, classifier.theta_plus_):
    other = STDPClassifier(theta_plus=theta_plus, **settings)
    other.partial_fit(train.images[:1000], train.labels[:1000])
    counts = other.count_spikes(test.images).sum(0)
    print(f"theta_plus {theta_plus:.4f} mV: the busiest neuron makes ", end="")
    print(f"{counts.max() / counts.sum():.0%} of all spikes, {sum(counts == 0)} of 50 never fire")

# %% [markdown]
# **Question 1.** Why does one neuron win again and again if thresholds are fixed? With the step
# printed above, how many spikes more than its neighbour may a neuron make until its threshold is
# higher by 5 mV?

# %% [markdown] answer
# The neuron that wins by chance moves its weights towards the image, so it fits the next image
# better as well, wins again, and inhibits the others, which never learn. A threshold that rises
# with each spike handicaps the winner until others win. $5 / 0.0625 = 80$ spikes.

# %% [markdown]
# ## Which class does a neuron stand for?
#
# Labels come in only now. Show all training images once more, and count the spikes of each neuron
# for each image. A neuron stands for the class to whose images it responds with the most spikes
# **on average**. A neuron that never fires stands for none, -1.
#
# **Write the classes of the neurons.**


# %%
def neuron_classes(counts, labels, classes):
    """Return the class of each neuron [N], from spikes [B, N] and labels [B] of 0 to classes - 1.

    The class is -1 for a neuron that never fires.
    """
    # BEGIN SOLUTION
    means = torch.stack([counts[labels == c].float().mean(0) for c in range(classes)])
    best = means.argmax(0)
    best[counts.sum(0) == 0] = -1
    return best
    # END SOLUTION


neuron_classes = check(neuron_classes)

# %% [markdown]
# **Write the vote.** The score of a class is the mean number of spikes of its neurons, and 0 if it
# has none. Neurons of class -1 do not vote.


# %%
def vote(counts, neuron_class, classes):
    """Return the scores [B, classes], from spikes [B, N] and the class of each neuron [N]."""
    # BEGIN SOLUTION
    scores = torch.zeros(len(counts), classes)
    for c in range(classes):
        members = neuron_class == c
        if members.any():
            scores[:, c] = counts[:, members].float().mean(1)
    return scores
    # END SOLUTION


vote = check(vote)

# %%
seen = torch.from_numpy(classifier.count_spikes(train.images))
unseen = torch.from_numpy(classifier.count_spikes(test.images))
stands_for = neuron_classes(seen, train.labels, 10)
read = vote(unseen, stands_for, 10).argmax(1)
print(f"accuracy by your vote {(read == test.labels).float().mean():.1%}, ", end="")
print(f"of the classifier {classifier.score(test.images, test.labels):.1%}")
number = torch.bincount(stands_for[stands_for >= 0], minlength=10).tolist()
print("neurons of each class:", number)

figure = Figure(figsize=(8, 2.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.bar(range(10), number, color="#0072B2")
left.set(xlabel="class", ylabel="neurons", xticks=range(10))
right_share = [float((read == c)[test.labels == c].float().mean()) for c in range(10)]
right.bar(range(10), right_share, color="#E69F00")
right.set(xlabel="class", ylabel="share read correctly", xticks=range(10), ylim=(0, 1))
for panel in (left, right):
    panel.spines[["top", "right"]].set_visible(False)
figure

# %% [markdown]
# **Question 2.** Which numbers must reach a synapse so that it can learn by your pair rule, and
# which by backpropagation? Name one thing that this makes easier and one that it makes harder.

# %% [markdown] answer
# STDP: the spikes of its own two neurons, with their traces, and nothing else. Backpropagation: the
# derivative of the loss by the membrane of post at each timestep, which comes from the label,
# through the weights of all layers above and backwards in time. Local learning needs no labels, no
# memory of all timesteps and no way back, so a chip or a brain can do it while it runs. But a
# synapse cannot know which change would separate two classes: neurons learn what is frequent. A 4
# and a 9 share a neuron, and the accuracy stays below that of a trained network, some 95 %.

# %% [markdown]
# ## Open task
#
# What does the accuracy depend on more, the number of neurons or the number of images? Choose five
# settings of `n_neurons` (20 to 200) and images (200 to 2,000) before you run any, and write down
# what you expect.
#
# Report: a table of neurons, images and accuracy; how many neurons never fire; receptive fields of
# the best and of the worst; and your answer, with the standard error $\sqrt{a (1 - a) / 1000}$.

# %%
# BEGIN SOLUTION
for neurons, images in ((20, 500), (20, 2000), (50, 500), (50, 2000)):
    part = train[:images]
    other = STDPClassifier(n_neurons=neurons).fit(part.images, part.labels, progress=False)
    accuracy = other.score(test.images, test.labels)
    error = math.sqrt(accuracy * (1 - accuracy) / len(test))
    print(f"{neurons:3d} neurons, {images:4d} images: accuracy {accuracy:.1%} ± {error:.1%}")
print("Thirty more neurons gain more than 1,500 more images: each stands for a way of writing.")
# END SOLUTION

# %%
report("trace", "pair_rule", "neuron_classes", "vote")
