"""Known faults are put into accfm, to prove that the scenarios find them."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

from benchmarks.chaos import scenarios as lib
from benchmarks.chaos.scenarios import Result, Scenario

TRIES = 4  # draws of a scenario, one of which has to find the fault

# Fault (of inside/chaos_plants.py) -> the scenario that has to find it.
PLANTS = {
    "a row of metrics.jsonl is lost": "exchange arrays",
    "locks are given to everybody": "train twice at once",
    "Ctrl-C is ignored": "Ctrl-C in a training",
    "code of the current folder is imported": "name a class in features.json",
    "checksums are not compared": "exchange arrays",
    "data are not compared on resume": "resume on other people",
    "parameters change on resume": "exchange arrays",
    "a staged window is forgotten": "cut a staged file",
    "a damaged manifest shows a traceback": "damage a manifest",
}


@dataclasses.dataclass(frozen=True)
class Planted:
  """What came of a fault that was put into accfm.

  Attributes:
    fault: its name.
    scenario: that has to find it.
    found: what it saw; () if it missed the fault.
    without: what it saw without the fault, in the same draws.
  """

  fault: str
  scenario: str
  found: tuple[str, ...]
  without: tuple[str, ...]


def prove(
    fault: str, scenario: Scenario, seed: int,
    carry_out: Callable[[Scenario, int, int, str], Result],
) -> Planted:
  """Carries out a scenario with a fault and, where it finds it, without.

  Args:
    fault: its name.
    scenario: that has to find it.
    seed: of the draws.
    carry_out: (scenario, number, seed, fault) -> Result.
  """
  for number in range(TRIES):
    seen = _seen(carry_out(scenario, number, seed, fault))
    if seen:
      without = _seen(carry_out(scenario, number, seed, ""))
      return Planted(fault, scenario.name, seen, without)
  return Planted(fault, scenario.name, (), ())


def _seen(result: Result) -> tuple[str, ...]:
  return tuple(what for _, what in result.found)


def find(
    scenarios: Sequence[Scenario], plants: Mapping[str, str] = PLANTS
) -> dict[str, Scenario]:
  """Fault -> its scenario; KeyError for one that there is not."""
  by_name = {scenario.name: scenario for scenario in scenarios}
  return {fault: by_name[name] for fault, name in plants.items()}


def with_fault(place: lib.world.World, fault: str) -> lib.world.World:
  """The same world, whose commands have a fault in them."""
  return dataclasses.replace(
      place, commands=dataclasses.replace(place.commands, plant=fault))


def run_all(
    place: lib.world.World, scenarios: Sequence[Scenario], seed: int,
    folder: pathlib.Path, say: Callable[[str], None],
) -> list[Planted]:
  """Puts each fault into accfm in turn."""
  out = []
  for fault, scenario in find(scenarios).items():
    def carry_out(scenario, number, seed, fault):
      return lib.carry_out(
          scenario, number, seed, with_fault(place, fault), folder)

    out.append(prove(fault, scenario, seed, carry_out))
    say(f"{fault}: {'found' if out[-1].found else 'MISSED'} by "
        f"{scenario.name!r}")
  return out
