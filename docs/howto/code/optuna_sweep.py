"""Learning rate and beta, chosen by Optuna on images that are held back."""

import optuna

from spikemnist import Classifier, LeakyMLP, TrainConfig, fit, load_digits

train, _ = load_digits()


def objective(trial: optuna.Trial) -> float:
    beta = trial.suggest_float("beta", 0.5, 0.99)
    lr = trial.suggest_float("lr", 1e-3, 3e-2, log=True)

    def prune(history, classifier):
        trial.report(history.epochs[-1].validation_accuracy, len(history))
        if trial.should_prune():
            raise optuna.TrialPruned

    history = fit(
        Classifier(LeakyMLP(hidden=100, beta=beta), "latency"),
        train[:2000],
        TrainConfig(epochs=3, lr=lr),
        validation=0.2,
        callbacks=[prune],
        progress=False,
    )
    return history.epochs[-1].validation_accuracy


study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=4)
print(f"accuracy {study.best_value:.1%} with {study.best_params}")
