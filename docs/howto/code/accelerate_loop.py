"""A loop of one's own with `accelerate` of Hugging Face, which places tensors and gradients."""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from spikemnist import LatencyEncoder, LeakyMLP, load_digits
from spikemnist.training import cross_entropy

train, test = load_digits()
encoder, model = LatencyEncoder(num_steps=8), LeakyMLP(hidden=(100,))
accelerator = Accelerator()
batches = DataLoader(
    list(zip(train.images, train.labels, strict=True)), batch_size=64, shuffle=True
)
model, optimizer, batches = accelerator.prepare(
    model, torch.optim.Adam(model.parameters(), lr=0.01), batches
)
for _ in range(2):
    for images, labels in batches:
        optimizer.zero_grad()
        accelerator.backward(cross_entropy(model(encoder(images)), labels))
        optimizer.step()
with torch.no_grad():
    images = test.images.to(accelerator.device)
    right = model(encoder(images)).predictions.cpu() == test.labels
print(f"accuracy {right.float().mean():.1%}")
