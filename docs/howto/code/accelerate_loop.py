"""A loop of one's own with `accelerate` of Hugging Face, which places tensors and gradients."""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from spikemnist import Classifier, LeakyMLP, load_digits
from spikemnist.training import cross_entropy

train, test = load_digits()
classifier = Classifier(LeakyMLP(hidden=100), "latency")
accelerator = Accelerator()
batches = DataLoader(train, batch_size=64, shuffle=True)
classifier, optimizer, batches = accelerator.prepare(
    classifier, torch.optim.Adam(classifier.parameters(), lr=0.01), batches
)
for _ in range(2):
    for images, labels in batches:
        optimizer.zero_grad()
        accelerator.backward(cross_entropy(classifier(images), labels))
        optimizer.step()
with torch.no_grad():
    images = test.images.to(accelerator.device)
    right = classifier(images).predictions.cpu() == test.labels
print(f"accuracy {right.float().mean():.1%}")
