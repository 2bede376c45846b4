"""The Triton kernels on the GPU of this machine, if there is one."""

from __future__ import annotations

import pytest
import torch

from spikemnist import Classifier, DirectEncoder, LeakyMLP, TrainConfig, fit, load_digits, ops
from spikemnist.gpu import proof

if not torch.cuda.is_available():
    pytest.skip("needs CUDA", allow_module_level=True)

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("surrogate", ops.SURROGATES)
def test_kernels_agree_with_the_reference(
    surrogate: str, reset_mechanism: str, dtype: torch.dtype
) -> None:
    device = torch.device("cuda", 0)
    assert proof.unsupported(device, dtype, reset_mechanism, ops.SURROGATES[surrogate]()) is None


def test_a_training_run() -> None:
    torch.manual_seed(0)
    network = LeakyMLP((50,), in_features=784, backend="triton")
    classifier = Classifier(network, DirectEncoder(num_steps=5))
    train, _ = load_digits()
    history = fit(classifier, train[:600], TrainConfig(epochs=4, lr=0.01), device="cuda")
    assert history.epochs[-1].accuracy > 0.6
