"""A `Classifier` in skorch: scikit-learn's manners, here a search for a learning rate."""

import torch
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier

from spikemnist import Classifier, LeakyMLP, load_digits


class Scores(torch.nn.Module):
    """Images to class scores, which are logits, in the place of a record."""

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        self.classifier = Classifier(LeakyMLP(hidden=hidden), "latency")

    def forward(self, images):
        return self.classifier(images).scores


train, test = load_digits()
net = NeuralNetClassifier(
    Scores,
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    max_epochs=2,
    batch_size=64,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
)
search = GridSearchCV(net, {"lr": [0.003, 0.01]}, cv=3)
search.fit(train.images.numpy(), train.labels.numpy())
print(f"learning rate {search.best_params_['lr']}")
print(f"accuracy {search.score(test.images.numpy(), test.labels.numpy()):.1%}")
