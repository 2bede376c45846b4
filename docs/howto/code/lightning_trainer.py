"""A `Classifier` in a `LightningModule`."""

import lightning
import torch
from torch.utils.data import DataLoader

from spikemnist import Classifier, LeakyMLP, load_digits
from spikemnist.training import cross_entropy


class Training(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = Classifier(LeakyMLP(hidden=100), "latency")

    def training_step(self, batch, index):
        images, labels = batch
        return cross_entropy(self.classifier(images), labels)

    def validation_step(self, batch, index):
        images, labels = batch
        right = self.classifier(images).predictions == labels
        self.log("accuracy", right.float().mean(), batch_size=len(labels))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


train, test = load_digits()
trainer = lightning.Trainer(max_epochs=2, logger=False, enable_checkpointing=False)
trainer.fit(
    Training(), DataLoader(train, batch_size=64, shuffle=True), DataLoader(test, batch_size=64)
)
print(f"accuracy {trainer.callback_metrics['accuracy']:.1%}")
