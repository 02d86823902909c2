"""Data sets whose files are damaged or edited by hand."""

import json

from benchmarks.chaos import damage, same, verdicts, world
from benchmarks.chaos.scenarios import Case, Scenario, several

MANIFEST, EDITED, INFO, SHARD, CODE, PATH = (
    "a damaged manifest", "an edited manifest is believed",
    "a damaged info file", "a damaged shard", "features.json runs code",
    "dataset_info.json leads elsewhere",
)


def _folder(case):
  """Copies the data set; returns the folder of its files."""
  case.furnish("data")
  return case.path("data") / "biosignal_pairs" / world.NAME / "1.0.0"


def _use(case, *names):
  """Trains or evaluates on the data: as undisturbed, or refused."""
  if case.rng.random() < 0.5:
    outcome = case.run(world.train_words("masked"))
    case.check(verdicts.finished_or_refused(outcome, lambda: same.difference(
        case.world.runs["masked"], same.of_run(case.path("run")), "run"),
        world.NAME, "data", *names))
  else:
    outcome = case.run(world.evaluate_words())
    case.check(verdicts.finished_or_refused(outcome, lambda: same.difference(
        case.world.scores, same.of_evaluation(case.path("scores")), "scores"),
        world.NAME, "data", *names))


def manifest(case: Case) -> None:
  """The manifest is damaged."""
  path = _folder(case) / "manifest.json"
  case.note(damage.draw(path, case.rng))
  _use(case, path.name)


def missing_key(case: Case) -> None:
  """The manifest is JSON and lacks a key, or is no object at all."""
  path = _folder(case) / "manifest.json"
  facts = json.loads(path.read_text())
  needed = [k for k in ("contract", "splits", "windows", "labels",
                        "attributes", "split_hash", "name", "rows")
            if k in facts]
  choice = int(case.rng.integers(len(needed) + 2))
  if choice < len(needed):
    del facts[needed[choice]]
    case.note(f"the manifest lacks {needed[choice]!r}")
  else:
    facts = ([], {})[choice - len(needed)]
    case.note(f"the manifest is {facts}")
  path.write_text(json.dumps(facts))
  _use(case, path.name, "manifest")


def info(case: Case) -> None:
  """dataset_info.json or features.json is damaged."""
  path = _folder(case) / str(
      case.pick(["dataset_info.json", "features.json"]))
  case.note(damage.draw(path, case.rng))
  _use(case, path.name)


def shard(case: Case) -> None:
  """A shard is damaged."""
  shards = sorted(_folder(case).glob("*.array_record*"))
  path = shards[int(case.rng.integers(len(shards)))]
  case.note(damage.draw(path, case.rng))
  _use(case, path.name)


def other_shard(case: Case) -> None:
  """A shard comes from another data set of the same name."""
  folder = _folder(case)
  split = str(case.pick(["train", "val", "test"]))
  for path in folder.glob(f"*-{split}.array_record*"):
    path.write_bytes((
        case.world.root / "other" / "biosignal_pairs" / world.NAME / "1.0.0"
        / path.name
    ).read_bytes())
  case.note(f"the shards of {split} are another data set's")
  words = (
      world.evaluate_words() if split == "test" else
      world.train_words("masked")
  )
  case.check(verdicts.refusal(case.run(words), world.NAME, "data", split))


# --- edited by hand ----------------------------------------------------------


def _rename_people(facts):
  """People of training get other names: no evaluation knows them as seen."""
  for key in ("splits", "rows"):
    facts[key]["train"] = json.loads(
        json.dumps(facts[key]["train"]).replace("/p", "/x"))


def _swap_people(facts):
  """One person of training changes places with one of test."""
  train, test = facts["splits"]["train"], facts["splits"]["test"]
  train[0], test[0] = test[0], train[0]


def _shift_rows(facts):
  """One person has a row more, the next a row less."""
  rows = facts["rows"]["train"]
  rows[0][1] += 1
  rows[1][1] -= 1


def _no_normalising(facts):
  facts["contract"]["signals"]["ppg"]["normalize"] = "none"


def _other_rate(facts):
  """As many samples at half the rate."""
  facts["contract"]["rate_hz"] /= 2
  facts["contract"]["window_sec"] *= 2


def _other_labels(facts):
  facts["labels"] = facts["labels"][::-1]
  facts["name"] = "renamed"


EDITS = {
    "people of training renamed": _rename_people,
    "people moved between splits": _swap_people,
    "row counts shifted": _shift_rows,
    "normalize: none": _no_normalising,
    "half the rate": _other_rate,
    "another name": _other_labels,
}


def edited(case: Case) -> None:
  """The manifest says something else than what was written."""
  path = _folder(case) / "manifest.json"
  facts = json.loads(path.read_text())
  edit = str(case.pick(list(EDITS)))
  EDITS[edit](facts)
  path.write_text(json.dumps(facts, indent=1, sort_keys=True))
  case.note(edit)
  case.check(verdicts.refusal(
      case.run(world.train_words("masked")), world.NAME, "manifest", "data"))


MODULE = '''"""A module that a data set's file names."""

import pathlib

from tensorflow_datasets.core.features.scalar import Scalar as Feature

pathlib.Path(__file__).with_name("ran").write_text("")
'''


def code(case: Case) -> None:
  """features.json names a class of a module in the current folder."""
  path = _folder(case) / "features.json"
  known = "tensorflow_datasets.core.features.scalar.Scalar"
  text = path.read_text()
  count = text.count(known)
  if count:
    place = int(case.rng.integers(count))
    parts = text.split(known)
    path.write_text(
        known.join(parts[:place + 1]) + "chaos_named.Feature"
        + known.join(parts[place + 1:]))
  else:  # whatever else is written there
    path.write_text(json.dumps({"pythonClassName": "chaos_named.Feature"}))
  case.path("chaos_named.py").write_text(MODULE)
  case.note("features.json names chaos_named.Feature")
  _use(case, path.name)
  if case.path("ran").exists():
    case.check("code of the current folder ran")


def elsewhere(case: Case) -> None:
  """The template of file names leads to another folder."""
  path = _folder(case) / "dataset_info.json"
  there = case.path("other")
  there.symlink_to(case.world.root / "other")
  facts = json.loads(path.read_text())
  up = f"../../../../other/biosignal_pairs/{world.NAME}/1.0.0/"
  if case.rng.random() < 0.3:
    up = f"{there}/biosignal_pairs/{world.NAME}/1.0.0/"
  for split in facts["splits"]:
    split["filepathTemplate"] = up + split.get("filepathTemplate", "x")
  path.write_text(json.dumps(facts))
  case.note(f"filepathTemplate begins with {up[:20]}...")
  _use(case, path.name)


SCENARIOS = (
    Scenario("damage a manifest", (MANIFEST,), several(manifest)),
    Scenario("take a key from a manifest", (MANIFEST,), several(missing_key)),
    Scenario("edit a manifest", (EDITED,), several(edited)),
    Scenario("damage an info file", (INFO,), several(info)),
    Scenario("damage a shard", (SHARD,), shard, weight=2),
    Scenario("exchange a shard", (EDITED,), other_shard),
    Scenario("name a class in features.json", (CODE,), code),
    Scenario("lead a template elsewhere", (PATH,), elsewhere),
)
