"""
Answers to noise
================

A network trained on ten digits has ten answers, and none of them means "I do not know". Its margin
is the difference between the probabilities of the two leading classes: above 0.9 for most digits.

Question: how often is the margin above 0.9 for white noise, and for inverted digits?

Level: first steps.
"""

import torch
from matplotlib.figure import Figure

from spikemnist import Classifier, LeakyMLP, TrainConfig, fit, load_digits

train, test = load_digits()
classifier = Classifier(LeakyMLP(hidden=256, seed=0), "latency")
fit(classifier, train, TrainConfig(epochs=5), progress=False)

# %%
# A thousand images of each kind. Shuffled images keep their grey values, at random positions.
digits, generator = test.images.flatten(1), torch.Generator().manual_seed(0)
order = torch.rand(digits.shape, generator=generator).argsort(1)
noise = torch.randint(0, 256, digits.shape, generator=generator, dtype=torch.uint8)
kinds = {
    "digits": digits,
    "inverted": 255 - digits,
    "shuffled": digits.gather(1, order),
    "white noise": noise,
    "blank": torch.zeros_like(digits),
}
figure = Figure(figsize=(10, 5.2), layout="constrained")
axes = figure.subplots(3, 5, sharey="row", height_ratios=(3, 2, 2))
equal, look = [1 / len(test)] * len(test), {"color": "#0072B2"}
classifier.cpu().eval()
for (name, images), (picture, answers, margins) in zip(kinds.items(), axes.T, strict=True):
    with torch.inference_mode():
        record = classifier(images)
    first, second = record.scores.softmax(1).topk(2, 1).values.unbind(1)
    margin, hidden = first - second, record.spike_counts[0].float()
    print(f"{name:12s} margin above 0.9: {(margin > 0.9).float().mean():4.0%}", end="   ")
    print(f"hidden spikes {hidden.mean():3.0f} ± {hidden.std():.0f}")
    picture.imshow(images[0].view(28, 28).numpy(), cmap="gray", vmin=0, vmax=255)
    picture.set(xticks=[], yticks=[])
    picture.set_title(f"{name}\nanswer {record.predictions[0]}, margin {margin[0]:.2f}", fontsize=9)
    answers.bar(range(10), record.predictions.bincount(minlength=10).numpy() / len(images), **look)
    answers.set(xlabel="answer", xticks=range(10))
    margins.hist(margin.numpy(), bins=20, range=(0, 1), weights=equal, **look)
    margins.set_xlabel("margin")
    for ax in (answers, margins):
        ax.spines[["top", "right"]].set_visible(False)
figure.supylabel("share of images", fontsize=10, y=0.32)
# sphinx_gallery_alt = "Five kinds of images, with the answers to them and their margins"
figure.savefig("noise.png", dpi=120)
print("pictures: noise.png")
figure

# %%
# More than half of the inverted digits have a margin above 0.9, and more than a third of the noise.
# A large margin proves nothing. It means only that one answer is ahead of the other nine, not that
# any of them is right. The number of hidden spikes is the better warning here: on average it is far
# larger, or far smaller, than for digits. For a blank image hardly any hidden neuron fires. So
# `spikemnist.decide` doubts an answer by the margin and by the hidden spikes.
#
# Try: replace ``255 - digits`` by ``digits // 4``, digits that are four times as dark. How often is
# their margin above 0.9?
#
# Next: `spikemnist.models.Record`, and for how it becomes an answer
# *Readouts: from spikes to a class* in the guide.
