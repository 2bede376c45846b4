"""The same by Ray Tune, several trials at a time."""

from ray import tune

from spikemnist import Classifier, LeakyMLP, TrainConfig, fit, load_digits


def trial(config: dict) -> dict:
    train, _ = load_digits()
    history = fit(
        Classifier(LeakyMLP(hidden=100, beta=config["beta"]), "latency"),
        train[:2000],
        TrainConfig(epochs=3, lr=config["lr"]),
        validation=0.2,
        progress=False,
    )
    return {"accuracy": history.epochs[-1].validation_accuracy}


tuner = tune.Tuner(
    trial,
    param_space={"beta": tune.uniform(0.5, 0.99), "lr": tune.loguniform(1e-3, 3e-2)},
    tune_config=tune.TuneConfig(metric="accuracy", mode="max", num_samples=4),
)
best = tuner.fit().get_best_result()
print(f"accuracy {best.metrics['accuracy']:.1%} with {best.config}")
