"""A `LeakyMLP` in a `LightningModule`."""

import lightning
import torch
from torch.utils.data import DataLoader

from spikemnist import LatencyEncoder, LeakyMLP, load_digits
from spikemnist.training import cross_entropy


class SpikingClassifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = LatencyEncoder(num_steps=8)
        self.model = LeakyMLP(hidden=(100,))

    def training_step(self, batch, index):
        images, labels = batch
        return cross_entropy(self.model(self.encoder(images)), labels)

    def validation_step(self, batch, index):
        images, labels = batch
        right = self.model(self.encoder(images)).predictions == labels
        self.log("accuracy", right.float().mean(), batch_size=len(labels))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


train, test = load_digits()
loaders = [
    DataLoader(list(zip(data.images, data.labels, strict=True)), batch_size=64, shuffle=shuffle)
    for data, shuffle in ((train, True), (test, False))
]
trainer = lightning.Trainer(max_epochs=2, logger=False, enable_checkpointing=False)
trainer.fit(SpikingClassifier(), *loaders)
print(f"accuracy {trainer.callback_metrics['accuracy']:.1%}")
