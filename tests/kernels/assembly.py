"""The machine code of kernels for processors that are not here.

    python -m tests.kernels.assembly FOLDER VECTOR_BYTES REGISTERS GATHERS_SIGNS

compiles kernels as for a processor with such registers and runs them on this one. It writes what
networks made of their spikes, and the code of each kernel before LLVM optimises it: so it is to be
run with ``NUMBA_OPT=0``.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import llvmlite.binding as llvm
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNELS = {
    "engine.forward": ("run_forward",),
    "engine.backward": ("run_backward",),
    "engine.convolution": ("run_convolution", "run_convolution_backward"),
    "kernels.spike_lists": ("_pack",),
}
"""Kernels whose inner loops are operations on rows, by module."""

PROCESSORS = {
    "apple-m1": "aarch64-apple-darwin",
    "neoverse-n1": "aarch64-unknown-linux-gnu",
    "haswell": "x86_64-unknown-linux-gnu",
}


class Loop(NamedTuple):
    """An innermost loop: its instructions, and those that spill a vector register or reload it."""

    instructions: list[str]
    spills: list[str]

    @property
    def calls(self) -> bool:
        return any(re.match(r"\t(bl|blr|callq?)\t", line) for line in self.instructions)


def run() -> list[torch.Tensor]:
    """Return the scores and gradients of small networks."""
    # torch's own sums depend on it; the processes here have one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return list(_found())
    finally:
        torch.set_num_threads(threads)


def _found() -> Iterator[torch.Tensor]:
    from spikemnist import LeakyConvNet, LeakyMLP

    for dtype in (torch.float32, torch.float64):
        # More than a block of neurons in each layer, and fewer than a second one.
        spikes = (torch.rand(6, 5, 130, generator=torch.Generator().manual_seed(0)) < 0.2).to(dtype)
        for reset in ("subtract", "zero"):
            torch.manual_seed(0)
            options: dict[str, Any] = {"reset_mechanism": reset, "backend": "event_driven"}
            model = LeakyMLP(130, (70,), 10, learn_beta=True, learn_threshold=True, **options)
            yield from _differentiated(model.to(dtype), spikes)
    torch.manual_seed(0)
    images = (torch.rand(3, 2, 2, 9, 9) < 0.2).float()
    layers = LeakyConvNet("5C3-P2-70C3-10", in_shape=(2, 9, 9), backend="event_driven")
    yield from _differentiated(layers, images)


def _differentiated(model: Any, spikes: torch.Tensor) -> list[torch.Tensor]:
    scores = model(spikes).scores
    (scores * torch.arange(scores.shape[1])).sum().backward()
    return [scores.detach(), *(parameter.grad for parameter in model.parameters())]


def kernels() -> Iterator[tuple[str, str]]:
    """Yield the code of each kernel that has been compiled, and a name for it."""
    for module, names in KERNELS.items():
        for name in names:
            kernel = getattr(importlib.import_module(f"spikemnist.{module}"), name)
            for number, code in enumerate(kernel.inspect_llvm().values()):
                yield f"{name}-{number}", code


def assembly(code: str, processor: str) -> str:
    """Return LLVM code as assembly, through the passes that Numba runs."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(PROCESSORS[processor])
    machine = target.create_target_machine(cpu=processor, opt=3)
    machine.set_asm_verbosity(True)
    # Code that is not to be optimised says so.
    code = re.sub(r"\{ noinline(?: optnone)? \}", "{ nounwind }", code)
    module = llvm.parse_assembly(re.sub(r"(?m)^target (datalayout|triple) = .*$", "", code))
    module.triple, module.data_layout = PROCESSORS[processor], str(machine.target_data)
    whole, cheap = (
        llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
        for level in (3, 0)
    )
    functions, first, last = (
        whole.getFunctionPassManager(),
        cheap.getModulePassManager(),
        whole.getModulePassManager(),
    )
    for function in module.functions:
        if not function.is_declaration:
            functions.run(function, whole)
    first.add_loop_rotate_pass()
    first.add_instruction_combine_pass()
    first.add_jump_threading_pass()
    for manager in (first, last):
        manager.add_refprune_pass()
    first.run(module, cheap)
    last.run(module, whole)
    text: str = machine.emit_assembly(module)
    return text


def innermost_loops(text: str) -> Iterator[Loop]:
    """Yield the loops that have none inside, as LLVM's comments tell them."""
    bodies: dict[str, list[str]] = {}
    headers, block, home = [], "", ""
    for line in text.splitlines():
        if label := re.match(r"(?:\.?L(BB\w+):|\W*(%bb\.\d+):)", line):
            block, home = label[1] or label[2], ""
        if re.search(r"=>\s*This Inner Loop Header", line):
            home = block
            headers.append(home)
        elif inside := re.search(r"in Loop: Header=(BB\w+)", line):
            home = inside[1]
        if home and re.match(r"\t[a-z]", line):
            bodies.setdefault(home, []).append(line)
    for header in headers:
        body = bodies[header]
        moved = (line for line in body if re.search(r"(16|32|64)-byte.*(Spill|Reload)", line))
        yield Loop(body, [line for line in moved if re.search(r"\bq\d+|[xyz]mm\d+", line)])


def main(folder: Path, vector_bytes: int, registers: int, gathers_signs: int) -> None:
    """Do what the module says."""
    from spikemnist.kernels import registers as module

    module.PROCESSOR = module.Processor(vector_bytes, registers, bool(gathers_signs))
    torch.save(run(), folder / "found.pt")
    for name, code in kernels():
        (folder / f"{name}.ll").write_text(code, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
