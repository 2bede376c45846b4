"""A spiking network that learns digits, whole: NumPy, and no other library.

An image becomes spikes, bright pixels first. Two layers of leaky neurons run over time, and the
class is the output neuron with the highest mean membrane. A spike has no derivative, so learning
takes a smooth one in its place, the surrogate. Code, neurons, gradient, Adam: all is here.

Shapes: T timesteps, B images, F inputs, N neurons of a layer, C classes. Time comes first.

    python examples/microspike.py      # less than a minute; over 93 % on 1,000 digits held out

Its spikes and gradients are those of the library and of snnTorch: tests/test_microspike.py.
"""

from itertools import pairwise

import numpy as np

TIMESTEPS, HIDDEN, CLASSES = 8, 256, 10
BETA = 0.95  # share of a membrane that is left after a timestep
THRESHOLD = 0.5  # membrane above which a neuron fires
EPOCHS, BATCH, LEARNING_RATE = 6, 64, 0.003


# --------------------------------------------------------------------------- from images to spikes


def encode(images, timesteps=TIMESTEPS):
    """Return spikes [T, B, F]: a pixel fires once, the brighter the earlier; black ones never."""
    grey = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    latest = timesteps - 1
    time = np.round(np.minimum((grey - 1) * -np.float32(latest), np.float32(0.99) * latest))
    fires = time == np.arange(timesteps)[:, None, None]
    return (fires & (grey >= np.float32(0.01))).astype(float)


# ---------------------------------------------------------------------------------------- neurons


def leaky(current):
    """Return spikes and membranes [T, B, N] of leaky neurons that receive a current [T, B, N].

    U[t] = beta U[t-1] + I[t] - threshold S[t-1]        S[t] = 1 if U[t] > threshold, else 0
    """
    membrane, spike = np.zeros_like(current[0]), np.zeros_like(current[0])
    membranes, spikes = np.empty_like(current), np.empty_like(current)
    for t, inflow in enumerate(current):
        membrane = BETA * membrane + inflow - THRESHOLD * spike
        spike = (membrane > THRESHOLD).astype(float)
        membranes[t], spikes[t] = membrane, spike
    return spikes, membranes


def surrogate(membranes):
    """Return what stands for dS/dU: the derivative of an arctangent, highest at the threshold."""
    return 1 / (1 + (np.pi * (membranes - THRESHOLD)) ** 2)


def leaky_gradient(membranes, membrane_gradient, spike_gradient):
    """Return dL/dI [T, B, N] from dL/dU and dL/dS: backpropagation through time.

    delta[t] = dL/dU[t] + surrogate(U[t]) dL/dS[t] + beta delta[t+1], the reset a constant.
    """
    delta = membrane_gradient + surrogate(membranes) * spike_gradient
    for t in reversed(range(len(delta) - 1)):
        delta[t] += BETA * delta[t + 1]
    return delta


# ---------------------------------------------------------------------------------------- network


def new_network(random, sizes=(784, HIDDEN, CLASSES)):
    """Return weights [F, N] and biases [N] of each layer, uniform in +-1/sqrt(F), as torch does."""
    network = []
    for inputs, neurons in pairwise(sizes):
        bound = inputs**-0.5
        network.append(random.uniform(-bound, bound, (inputs, neurons)))
        network.append(random.uniform(-bound, bound, neurons))
    return network


def run(network, spikes):
    """Return what each layer receives, its spikes and its membranes, and the scores [B, C]."""
    record = []
    for weight, bias in zip(network[::2], network[1::2], strict=True):
        received, (spikes, membranes) = spikes, leaky(spikes @ weight + bias)
        record.append((received, spikes, membranes))
    return record, membranes.mean(axis=0)


def loss_and_gradients(network, spikes, labels):
    """Return the mean cross-entropy of a batch, and its gradient for each parameter."""
    record, scores = run(network, spikes)
    likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
    likelihood /= likelihood.sum(axis=1, keepdims=True)
    truth = np.eye(CLASSES)[labels]
    loss = -np.log((likelihood * truth).sum(axis=1)).mean()
    # A score is the mean of T membranes, and the loss the mean of B images: each gets its share.
    score_gradient = (likelihood - truth) / len(labels)
    membrane_gradient = np.broadcast_to(score_gradient / len(spikes), record[-1][2].shape)
    spike_gradient, gradients = 0.0, []
    for weight, (received, _, membranes) in zip(network[::2][::-1], record[::-1], strict=True):
        delta = leaky_gradient(membranes, membrane_gradient, spike_gradient)
        # The same weights act on all timesteps and images, so their gradient is a sum over both.
        gradients = [np.tensordot(received, delta, ((0, 1), (0, 1))), delta.sum((0, 1)), *gradients]
        # The layer below acts on the loss by its spikes alone, which these weights pass on.
        membrane_gradient, spike_gradient = 0.0, delta @ weight.T
    return loss, gradients


def adam(network, gradients, state, step, rate):
    """Move each parameter by Adam (Kingma and Ba, 2015), in place."""
    for values, gradient, (mean, square) in zip(network, gradients, state, strict=True):
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (gradient**2 - square)
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        values -= rate * mean / (1 - 0.9**step) / size


# --------------------------------------------------------------------------------------- training


def accuracy(network, images, labels):
    """Return the share of images whose highest score is that of their class."""
    return np.mean(run(network, encode(images))[1].argmax(axis=1) == labels)


def train(images, labels, epochs=EPOCHS, seed=0):
    """Return a network that has learned from the images [N, 28, 28] and their labels [N]."""
    random = np.random.default_rng(seed)
    network = new_network(random)
    state = [(np.zeros_like(values), np.zeros_like(values)) for values in network]
    step = 0
    for epoch in range(1, epochs + 1):
        order = random.permutation(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            loss, gradients = loss_and_gradients(network, encode(images[batch]), labels[batch])
            step += 1
            adam(network, gradients, state, step, LEARNING_RATE)
        print(f"epoch {epoch}  loss of the last batch {loss:.3f}", flush=True)
    return network


if __name__ == "__main__":
    from spikemnist import load_digits  # 6,000 digits; the only use of the library

    learn, test = ((part.images.numpy(), part.labels.numpy()) for part in load_digits())
    print(f"accuracy on {len(test[0]):,} digits held out: {accuracy(train(*learn), *test):.1%}")
