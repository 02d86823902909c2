"""The world that scenarios disturb, and what undisturbed commands give in it.

Tiny data sets and runs, made once by the checkout that is tried. A scenario
works in a folder of its own: links to what it leaves as it is, copies of what
it changes, and the same relative names, since a run's config holds them.
"""

import concurrent.futures
import dataclasses
import pathlib
import re
import shutil
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.chaos import recordings, same
from benchmarks.chaos.commands import Commands, Outcome

SEGMENTS = ("--config.window_sec=8", "--config.hop_sec=8",
            "--config.labels.min_pairs=4", "--config.workers=1")
NAME = "simulated_easy"
STEPS = 6
FAST = ("--config.untrained=false", "--config.handmade=false",
        "--config.report=false", "--config.data_dir=data")


def prepare_words(kind: str = "easy", data: str = "data") -> list[str]:
  """Prepares 11 simulated people: 7 to train on, 1 to validate, 3 to test.

  Another kind than "easy" has the same name, people and number of windows.
  """
  return [
      "prepare", "--config=prepare:simulated,participants=11,minutes=1,"
      f"split=7/1/3,name={NAME},difficulty={kind}", *SEGMENTS,
      f"--data_dir={data}",
  ]


def e4_words(source: str = "wrists") -> list[str]:
  """Prepares the E4 folders of `recordings`."""
  return [
      "prepare", "--config=prepare:e4,name=wrists,split=6/1/2", *SEGMENTS,
      f"--source_dir={source}", "--data_dir=made",
  ]


def own_words() -> list[str]:
  """Prepares the arrays of `recordings` by a source of one's own."""
  return [
      "prepare", "--config=prepare:./watch.py,split=4/1/1", *SEGMENTS,
      "--config.rate_hz=32", "--source_dir=arrays", "--data_dir=made",
  ]


def train_words(kind: str, *more: str, steps: int = STEPS) -> list[str]:
  """A training of a few steps, a checkpoint and a validation every second."""
  main, config, *fields = TRAININGS[kind]
  return [
      main, f"--config={config}:tiny", "--workdir=run",
      "--config.data_dir=data", f"--config.total_steps={steps}",
      "--config.checkpoint_every=2", "--config.validate_every=2",
      "--config.log_every=1", *fields, *more,
  ]


def evaluate_words(*more: str, of: str = "student") -> list[str]:
  """An evaluation without controls and report."""
  return [
      "evaluate", "--config=evaluate:tiny", f"--checkpoint={of}",
      "--workdir=scores", *FAST, *more,
  ]


TRAININGS = {
    "masked": ("pretrain", "ppg_mae"),
    "contrast": ("pretrain", "acc_contrastive"),
    "distilled": ("distill", "acc_distill", "--config.teacher=teacher"),
    "supervised": ("supervise", "acc_supervised"),
}


@dataclasses.dataclass
class World:
  """Folders made once, and what to compare with.

  Attributes:
    commands: of the checkout.
    root: where the folders are.
    events: command -> file events of it in its folder.
    lines: command -> lines of stdout that it says.
    runs: kind of training -> `same.of_run`.
    data: name of a folder -> `same.of_data`.
    scores: `same.of_evaluation`.
  """

  commands: Commands
  root: pathlib.Path
  events: dict[str, int] = dataclasses.field(default_factory=dict)
  lines: dict[str, int] = dataclasses.field(default_factory=dict)
  runs: dict[str, Any] = dataclasses.field(default_factory=dict)
  data: dict[str, Any] = dataclasses.field(default_factory=dict)
  scores: dict[str, Any] = dataclasses.field(default_factory=dict)
  _once: dict[str, Any] = dataclasses.field(default_factory=dict)
  _lock: Any = dataclasses.field(default_factory=threading.RLock)

  def once(self, name: str, make: Callable[[], Any]) -> Any:
    """What `make` gives, made when it is first asked for."""
    with self._lock:
      if name not in self._once:
        self._once[name] = make()
      return self._once[name]

  def furnish(
      self, folder: pathlib.Path, copies: tuple[str, ...] = (),
  ) -> None:
    """Puts `data`, `teacher`, `student`, `wrists` and such into a folder.

    Args:
      folder: of a scenario; made here.
      copies: which of them are copied, not linked. Of what is not linked by
        default ("half", "other", "arrays") a copy comes only by its name.
    """
    folder.mkdir(parents=True)
    for name in LINKED:
      if name not in copies and (self.root / name).exists():
        (folder / name).symlink_to(self.root / name)
    for name in copies:
      shutil.copytree(self.root / name, folder / name, symlinks=True)


LINKED = ("data", "teacher", "student", "wrists")


def make(commands: Commands, root: pathlib.Path, jobs: int) -> World:
  """Makes the world; RuntimeError where an undisturbed command fails."""
  world = World(commands, root)
  for folder in (root, commands.scratch / "tmp"):
    folder.mkdir(parents=True, exist_ok=True)
  recordings.write_cohort(root / "wrists", 9)
  recordings.write_arrays(root / "arrays", 6)
  _prepare(world)
  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    list(pool.map(lambda kind: _train(world, kind), (
        "masked", "contrast", "supervised",
    )))
    list(pool.map(lambda task: task(), (
        lambda: _half(world),
        lambda: (_train(world, "distilled"), _evaluate(world)),
    )))
  return world


def undisturbed(
    world: World, name: str, words: list[str], cwd: pathlib.Path,
    of: str, **how,
) -> Outcome:
  """Runs a command that must succeed, and counts its events and lines.

  Args:
    world: to write the counts into.
    name: of the command in them.
    words: its words.
    cwd: its folder.
    of: the folder in `cwd` whose file events are counted.
    **how: as `Commands.run`.
  """
  count = cwd / f"{name}.events"
  outcome = world.commands.run(
      words, cwd, fills_cache=True, CHAOS_COUNT=str(count),
      CHAOS_OF=events_of(of), **how,
  )
  if outcome.code:
    raise RuntimeError(
        f"{' '.join(outcome.command)}: exit code {outcome.code}, undisturbed:\n"
        + outcome.said[-2000:]
    )
  world.events[name] = int(count.read_text())
  world.lines[name] = len(outcome.out)
  return outcome


def events_of(folder: str) -> str:
  """A pattern of the file events of a folder named in a command."""
  return rf"(^|[/ ]){re.escape(folder)}(/|$)"


def _prepare(world):
  for folder, kind in (("data", "easy"), ("other", "realistic")):
    undisturbed(world, "prepare", prepare_words(kind, folder), world.root,
                folder)
    world.data[folder] = same.of_data(world.root / folder, NAME)
  undisturbed(world, "prepare e4", e4_words(), world.root, "made")
  world.data["made"] = same.of_data(world.root / "made", "wrists")
  shutil.rmtree(world.root / "made")


def _train(world, kind):
  folder = world.root / kind
  folder.mkdir()
  for name in ("data", "teacher"):
    (folder / name).symlink_to(world.root / name)
  undisturbed(world, kind, train_words(kind), folder, "run")
  world.runs[kind] = same.of_run(folder / "run")
  links = {"masked": "teacher", "distilled": "student"}
  if kind in links:
    (world.root / links[kind]).symlink_to(folder / "run")


def _half(world):
  """The masked training as a kill before its last save leaves it."""
  folder = world.root / "half_made"
  folder.mkdir()
  (folder / "data").symlink_to(world.root / "data")
  outcome = world.commands.run(
      train_words("masked"), folder, fault=f"before_save:{STEPS}"
  )
  if same.steps(folder / "run") != [2, 4]:
    raise RuntimeError(f"no run to resume:\n{outcome.said[-2000:]}")
  (folder / "run").rename(world.root / "half")


def _evaluate(world):
  undisturbed(world, "evaluate", evaluate_words(), world.root, "scores")
  world.scores = same.of_evaluation(world.root / "scores")
  shutil.rmtree(world.root / "scores")
