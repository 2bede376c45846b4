"""The engine returns what is requested of each layer, and no more.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import pytest
import torch

from tests.laws.agreement import DOUBLE
from tests.laws.layers import by_snntorch
from tests.laws.runners import OUTPUTS, detach, leaves_of, run
from tests.laws.stacks import Stack, layer, spikes, stack


@pytest.mark.parametrize("record", ["output", "all"])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_outputs_are_those_requested(record: str, final: bool, gradient: bool) -> None:
    given = stack((70, 66, 66, 3), record=record, final=final)
    with torch.set_grad_enabled(gradient):
        outputs = run("engine", leaves_of(given)[0])
    expected = by_snntorch(given.spikes, given.layers)
    for index, (one, other) in enumerate(zip(outputs, expected, strict=True)):
        recorded = record == "all" or index == 2
        assert (one.spikes is None, one.membrane is None) == (not recorded, not recorded)
        assert (one.final is None) == (not final)
        assert torch.equal(one.counts, other.counts)
        assert not one.counts.requires_grad
        for name in OUTPUTS:
            if getattr(one, name) is not None:
                assert getattr(one, name).requires_grad == gradient
        if final:
            options = {"rtol": DOUBLE, "atol": DOUBLE}
            torch.testing.assert_close(detach(one).final, other.final, **options)


def test_one_layer_twice_is_recorded_once() -> None:
    params = layer(66, 66)
    outputs = run("engine", Stack(spikes(5, 2, 66), [params, params]))
    assert [one.spikes is None for one in outputs] == [True, False]
