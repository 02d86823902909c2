"""Recordings that change, that lie there twice, and data sets of one name."""

import os
import shutil

import numpy as np

from benchmarks.chaos import recordings, same, verdicts, world
from benchmarks.chaos.scenarios import Case, Scenario, several

OTHER, CHANGED, MIXED, SOURCE, TWICE = (
    "other data of the same name on resume",
    "a changed recording goes unnoticed",
    "old and new windows are mixed",
    "a changed source goes unnoticed",
    "the same recording twice",
)


def other_cohort(case: Case) -> None:
  """A run goes on when its data set is another one of the same name."""
  case.furnish("half")
  case.path("half").rename(case.path("run"))
  _point(case, "data", "other")
  before = verdicts.snapshot(case.path("run"))
  if not case.check(verdicts.refusal(
      case.run(world.train_words("masked")), world.NAME, "data")):
    return
  case.unchanged("run", before)
  _point(case, "data", "data")
  case.check(verdicts.finished(
      case.run(world.train_words("masked")), lambda: same.difference(
          case.world.runs["masked"], same.of_run(case.path("run")), "run")))


def other_people(case: Case) -> None:
  """The same, where the people are split otherwise."""
  case.furnish("half")
  case.path("half").rename(case.path("run"))
  case.path("data").unlink()
  words = [
      word.replace("split=7/1/3", "split=7/2/2")
      for word in world.prepare_words()
  ]
  case.check(verdicts.finished(case.run(words), lambda: ""))
  case.check(verdicts.refusal(
      case.run(world.train_words("masked")), world.NAME, "data"))


def changed_recording(case: Case) -> None:
  """A recording changes between two preparations."""
  case.furnish("wrists")
  case.check(verdicts.finished(case.run(world.e4_words()), lambda: ""))
  person = f"P{case.rng.integers(9):02d}"
  file = recordings.change_e4(case.path("wrists") / person, case.rng)
  case.note(f"{person}/{file} changed")
  _prepared_anew(case, world.e4_words(), person)


def other_folder(case: Case) -> None:
  """Another folder whose recordings have the same names."""
  case.furnish()
  case.check(verdicts.finished(case.run(world.e4_words()), lambda: ""))
  recordings.write_cohort(case.path("others"), 9, seed=1)
  case.note("another folder of P00 to P08")
  _prepared_anew(case, world.e4_words("others"), "others", "P0", "recording")


def _prepared_anew(case, words, *names):
  """A second preparation tells of the change, or prepares what is there."""
  outcome = case.run(words)
  if outcome.code:
    case.check(verdicts.refusal(outcome, *names))
    return
  case.check(verdicts.broken(outcome))
  found = same.of_data(case.path("made"), "wrists")
  shutil.rmtree(case.path("made"))
  case.run(words)
  case.check(_shards(same.of_data(case.path("made"), "wrists"), found))


def changed_while_down(case: Case) -> None:
  """A preparation is killed; a recording changes before it goes on."""
  case.furnish("wrists")
  number = int(case.rng.integers(2, 8))
  case.run(world.e4_words(), fault=f"after_recording:{number}")
  person = f"P{case.rng.integers(number):02d}"
  file = recordings.change_e4(case.path("wrists") / person, case.rng)
  if case.rng.random() < 0.5:  # as `cp -p` and `rsync -t` leave it
    os.utime(case.path("wrists") / person / file, (1.6e9, 1.6e9))
  case.note(f"killed after {number} recordings, {person}/{file} changed")
  _as_if_fresh(case, world.e4_words(), "wrists")


def other_folder_while_down(case: Case) -> None:
  """A preparation is killed; a folder of another place takes its name."""
  case.furnish("wrists")
  number = int(case.rng.integers(2, 8))
  case.run(world.e4_words(), fault=f"after_recording:{number}")
  case.path("wrists").rename(case.path("before"))
  recordings.write_cohort(case.path("wrists"), 9, seed=1)
  old = case.rng.random() < 0.5
  for path in case.path("wrists").rglob("*") if old else ():
    os.utime(path, (1.6e9, 1.6e9))
  case.note(f"killed after {number} recordings, then another folder")
  _as_if_fresh(case, world.e4_words(), "wrists")


def changed_source_while_down(case: Case) -> None:
  """A preparation is killed; the source's code changes; it goes on."""
  _own_source(case)
  number = int(case.rng.integers(1, 5))
  case.run(world.own_words(), fault=f"after_recording:{number}")
  file = _change_source(case)
  case.note(f"killed after {number} recordings, {file} changed")
  _as_if_fresh(case, world.own_words(), "watch")


def changed_source(case: Case) -> None:
  """The source's code changes between two preparations."""
  _own_source(case)
  case.check(verdicts.finished(case.run(world.own_words()), lambda: ""))
  file = _change_source(case)
  case.note(f"{file} changed")
  outcome = case.run(world.own_words())
  if outcome.code:
    case.check(verdicts.refusal(outcome, "watch", "source"))
    return
  found = same.of_data(case.path("made"), "watch")
  shutil.rmtree(case.path("made"))
  case.run(world.own_words())
  case.check(_shards(same.of_data(case.path("made"), "watch"), found))


def changed_arrays(case: Case) -> None:
  """A recording of a source of one's own changes between two."""
  _own_source(case)
  case.check(verdicts.finished(case.run(world.own_words()), lambda: ""))
  path = case.path("arrays") / f"W{case.rng.integers(6):02d}.npy"
  rows = np.load(path)
  rows[:, 3] = np.roll(rows[:, 3], 17)
  np.save(path, rows)
  case.note(f"{path.name} changed")
  outcome = case.run(world.own_words())
  if outcome.code:
    case.check(verdicts.refusal(outcome, path.stem, "recording"))
    return
  found = same.of_data(case.path("made"), "watch")
  shutil.rmtree(case.path("made"))
  case.run(world.own_words())
  case.check(_shards(same.of_data(case.path("made"), "watch"), found))


def twice(case: Case) -> None:
  """A recording lies there under a second name."""
  case.furnish("wrists")
  wrists, way = case.path("wrists"), str(case.pick(TWINS))
  person = f"P{case.rng.integers(9):02d}"
  case.note(f"{way} of {person}")
  name = {"copy": "P20", "named copy": f"{person} - Copy",
          "link": "P20", "nested": "P20"}.get(way, person)
  if way in ("copy", "named copy"):
    shutil.copytree(wrists / person, wrists / name)
  elif way == "link":
    (wrists / name).symlink_to(wrists / person)
  elif way == "nested":
    shutil.copytree(wrists / person, wrists / name / "morning")
  else:  # a folder that holds itself
    name = "P20"
    (wrists / name).symlink_to(wrists)
  words = [w.replace("split=6/1/2", "split=6/2/2") for w in world.e4_words()]
  outcome = case.run(words)
  if way == "loop" and outcome.code == 0:  # or: each recording once
    case.check(verdicts.broken(outcome))
    facts = same.of_data(case.path("made"), "wrists")["manifest"]
    people = [p for ids in facts["splits"].values() for p in ids]
    case.check("" if len(people) == 9 else f"{len(people)} people of 9")
    return
  case.check(verdicts.refusal(outcome, person, name))


TWINS = ("copy", "named copy", "link", "nested", "loop")


def _own_source(case):
  case.furnish("arrays")
  case.path("watch.py").write_text(recordings.SOURCE)
  case.path("watch_scale.py").write_text(recordings.BESIDE)


def _change_source(case):
  """Turns the PPG round, in the source or in the module beside it."""
  file = str(case.pick(["watch.py", "watch_scale.py"]))
  path = case.path(file)
  path.write_text(path.read_text().replace("GAIN = 1.0", "GAIN = -1.0"))
  return file


def _as_if_fresh(case, words, name):
  """The command goes on, and gives what a fresh one gives; or refuses."""
  outcome = case.run(words)
  if outcome.code:
    case.check(verdicts.refusal(outcome))
    return
  case.check(verdicts.broken(outcome))
  found = same.of_data(case.path("made"), name)
  shutil.rmtree(case.path("made"))
  case.run(words)
  case.check(_shards(same.of_data(case.path("made"), name), found))


def _shards(want, got):
  """The first difference of shards; the manifest may name other times."""
  for facts in (want, got):
    del facts["manifest"]
  return same.difference(want, got, "shards")


def _point(case, name, target):
  """Makes a link in the folder point at another folder of the world."""
  case.path(name).unlink()
  case.path(name).symlink_to(case.world.root / target)


SCENARIOS = (
    Scenario("resume on another cohort", (OTHER,), other_cohort),
    Scenario("resume on other people", (OTHER,), other_people),
    Scenario("change a recording", (CHANGED,), changed_recording),
    Scenario("change an array", (CHANGED,), changed_arrays),
    Scenario("give another folder", (CHANGED,), other_folder),
    Scenario("change a recording after a kill", (MIXED,), changed_while_down),
    Scenario("give another folder after a kill", (MIXED,),
             other_folder_while_down),
    Scenario("change a source", (SOURCE,), changed_source),
    Scenario("change a source after a kill", (MIXED,),
             changed_source_while_down),
    Scenario("give a recording twice", (TWICE,), several(twice)),
)
