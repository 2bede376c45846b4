"""Attack the library for some time, and report the expectations that held.

    python -m benchmarks.attacks --minutes 10                    # every class, a fresh seed
    python -m benchmarks.attacks --only shapes --seed 7 --case 3 # one case again
    python -m benchmarks.attacks --list

The exit code is 1 on a failure that `benchmarks/attacks/known.py` does not list. A class that had
no time is reported as not run. A case depends only on its seed and number, except for the instant
at which a signal arrives.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from benchmarks.attacks.registry import ATTACKS
from benchmarks.attacks.table import Tally, as_table, new_failures
from benchmarks.attacks.workers import run_cases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.attacks.attack import Attack


def main(arguments: Sequence[str] | None = None, attacks: Sequence[Attack] = ATTACKS) -> int:
    """Run the requested attacks, print the table, and return the exit code."""
    options = _parse(arguments, attacks)
    if options.list:
        for attack in attacks:
            print(f"{attack.name:<16}{attack.expectation}")
        return 0
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    chosen = [attack for attack in attacks if not options.only or attack.name in options.only]
    tallies = [Tally(attack.name) for attack in chosen]
    print(f"seed {seed}", flush=True)
    interrupted = False
    try:
        _attack(chosen, tallies, seed, options)
    except KeyboardInterrupt:
        interrupted = True
    print(as_table(tallies))
    failures = new_failures(tallies, seed)
    if failures:
        print("\nNew failures:\n" + "\n".join(failures))
        return 1
    return 130 if interrupted else 0


def _attack(
    chosen: Sequence[Attack], tallies: Sequence[Tally], seed: int, options: argparse.Namespace
) -> None:
    """Run each class for an equal share of the remaining time."""
    end = time.monotonic() + 60 * options.minutes
    for position, (attack, tally) in enumerate(zip(chosen, tallies, strict=True)):
        now = time.monotonic()
        until = now + (end - now) / (len(chosen) - position)
        if options.case is not None:
            with closing(run_cases(attack, seed, first=options.case, until=now + 1)) as outcomes:
                tally.add(next(outcomes))
            continue
        for outcome in run_cases(attack, seed, first=0, until=until):
            tally.add(outcome)
        print(f"{attack.name}: {tally.held} of {tally.tried} held", file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None, attacks: Sequence[Attack]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [attack.name for attack in attacks]
    parser.add_argument("--minutes", type=float, default=10.0, help="time of all classes together")
    parser.add_argument("--seed", type=int, help="of the random numbers; a fresh one if left out")
    parser.add_argument("--only", nargs="+", choices=names, help="these classes alone")
    parser.add_argument("--case", type=int, help="this case alone; needs --only and --seed")
    parser.add_argument("--list", action="store_true", help="list the classes, and run none")
    options = parser.parse_args(arguments)
    if options.case is not None and (options.seed is None or len(options.only or ()) != 1):
        parser.error("--case needs one class in --only, and --seed")
    return options


if __name__ == "__main__":
    sys.exit(main())
