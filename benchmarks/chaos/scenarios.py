"""What a scenario is, how it is carried out, and how seeds draw them."""

import dataclasses
import pathlib
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmarks.chaos import verdicts, world
from benchmarks.chaos.commands import Outcome

# The faults that scenarios can reveal.
FAULTS = (
    "a killed command ends otherwise",
    "Ctrl-C is no clean end",
    "two trainings in one workdir",
    "two evaluations in one workdir",
    "two preparations of one name",
    "commands in places of their own disturb each other",
    "other data of the same name on resume",
    "a changed recording goes unnoticed",
    "old and new windows are mixed",
    "a changed source goes unnoticed",
    "the same recording twice",
    "shards differ between preparations",
    "an edited manifest is believed",
    "a damaged manifest",
    "a damaged info file",
    "a damaged shard",
    "features.json runs code",
    "dataset_info.json leads elsewhere",
    "a damaged checkpoint",
    "checksums that verify nothing",
    "a renamed step folder",
    "an edited config.json goes unnoticed",
    "a text step in metrics.jsonl",
    "a file where a folder belongs",
    "damaged results of an evaluation",
    "a read-only data_dir",
    "a read-only training workdir",
    "a read-only evaluation workdir",
    "a full disk while preparing",
    "a full disk while training",
    "a full disk at the end of an evaluation",
    "training depends on the topology",
    "validation depends on the devices",
)


class Impossible(Exception):
  """A scenario that this machine or checkout does not allow; says why."""


@dataclasses.dataclass
class Case:
  """One scenario as it is carried out.

  Attributes:
    world: made before.
    rng: all that is drawn comes from here.
    folder: of the scenario alone.
    fault: that problems reveal unless said otherwise.
    found: (fault, what was seen).
    notes: what was done, in a few words each.
    outcomes: of all commands so far.
  """

  world: world.World
  rng: np.random.Generator
  folder: pathlib.Path
  fault: str
  found: list[tuple[str, str]] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)
  outcomes: list[Outcome] = dataclasses.field(default_factory=list)

  def furnish(self, *copies: str) -> None:
    """Sets up the folder; see `World.furnish`."""
    self.world.furnish(self.folder, copies)

  def start(self, words: Sequence[str], **how):
    """Starts a command in the folder."""
    return self.world.commands.start(words, self.folder, **how)

  def ended(self, process) -> Outcome:
    """Waits for a started command."""
    self.outcomes.append(process.end())
    return self.outcomes[-1]

  def run(self, words: Sequence[str], **how) -> Outcome:
    """Runs a command in the folder."""
    return self.ended(self.start(words, **how))

  def check(self, problem: str, fault: str = "") -> bool:
    """Notes a problem, if it is one, after what was done last.

    Returns whether all is well.
    """
    if problem:
      done = f"{self.notes[-1]}: " if self.notes else ""
      self.found.append((fault or self.fault, done + problem))
    return not problem

  def note(self, text: str) -> None:
    """Says what was done."""
    self.notes.append(text)

  def pick(self, choices: Sequence) -> object:
    """One of them."""
    return choices[int(self.rng.integers(len(choices)))]

  def path(self, name: str) -> pathlib.Path:
    """A path in the folder."""
    return self.folder / name

  def unchanged(self, name: str, before: dict[str, str]) -> bool:
    """Checks that no content of a folder is gone."""
    return self.check(verdicts.lost(before, self.path(name)))


def several(draw: Callable[[Case], None], count: int = 3):
  """A scenario that draws several times, each in a folder of its own."""
  def run(case):
    folder = case.folder
    for number in range(count):
      case.folder = folder / str(number)
      draw(case)

  return run


@dataclasses.dataclass(frozen=True)
class Scenario:
  """One kind of disturbance.

  Attributes:
    name: of it.
    faults: that it can reveal, the first by default.
    run: carries it out on a Case.
    weight: how often it is drawn once all kinds had their turn.
  """

  name: str
  faults: tuple[str, ...]
  run: Callable[[Case], None]
  weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Result:
  """What came of a scenario.

  Attributes:
    number: of it in the order that the seed draws.
    scenario: its name.
    faults: that it can reveal.
    found: (fault, what was seen).
    notes: what was done.
    kills: signals that commands were sent.
    commands: how many were run.
    seconds: that it took.
    impossible: why it could not be carried out, or "".
  """

  number: int
  scenario: str
  faults: tuple[str, ...]
  found: tuple[tuple[str, str], ...]
  notes: tuple[str, ...]
  kills: int
  commands: int
  seconds: float
  impossible: str = ""


def order(
    scenarios: Sequence[Scenario], seed: int
) -> Iterator[tuple[int, Scenario]]:
  """(number, scenario) without end: all kinds once, then by weight."""
  rng = np.random.default_rng([seed, 0])
  number = 0
  for place in rng.permutation(len(scenarios)):
    yield number, scenarios[place]
    number += 1
  weights = np.array([s.weight for s in scenarios], float)
  weights /= weights.sum()
  while True:
    yield number, scenarios[rng.choice(len(scenarios), p=weights)]
    number += 1


def carry_out(
    scenario: Scenario, number: int, seed: int, place: world.World,
    folder: pathlib.Path, keep: bool = False,
) -> Result:
  """Carries out a scenario; what it draws depends on seed and number alone."""
  start, impossible = time.monotonic(), ""
  case = Case(
      place, np.random.default_rng([seed, number, 1]), folder,
      scenario.faults[0],
  )
  try:
    scenario.run(case)
  except Impossible as error:
    impossible = str(error)
  except Exception as error:  # a fault of chaos, or results nobody can read
    line = traceback.extract_tb(error.__traceback__)[-1]
    case.check(
        f"chaos itself: {type(error).__name__}: {verdicts.short(str(error))} "
        f"({pathlib.Path(line.filename).name}:{line.lineno})"
    )
  if not keep:
    shutil.rmtree(folder, ignore_errors=True)
  strange = {fault for fault, _ in case.found} - set(scenario.faults)
  if strange:
    raise ValueError(f"{scenario.name} does not name {sorted(strange)}")
  return Result(
      number, scenario.name, scenario.faults, tuple(case.found),
      tuple(case.notes), sum(bool(o.sent) for o in case.outcomes),
      len(case.outcomes), time.monotonic() - start, impossible,
  )
