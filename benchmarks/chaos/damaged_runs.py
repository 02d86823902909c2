"""Runs and evaluations whose files are damaged or edited by hand."""

import json
import shutil

from benchmarks.chaos import damage, same, verdicts, world
from benchmarks.chaos.scenarios import Case, Scenario, several

CHECKPOINT, EMPTY, RENAMED, CONFIG, ROWS, KIND, RESULTS = (
    "a damaged checkpoint", "checksums that verify nothing",
    "a renamed step folder", "an edited config.json goes unnoticed",
    "a text step in metrics.jsonl", "a file where a folder belongs",
    "damaged results of an evaluation",
)


def _half(case):
  """A masked training with the checkpoints of steps 2 and 4 of 6."""
  case.furnish("half")
  case.path("half").rename(case.path("run"))


def _resume(case, *names):
  """Resumes: to what an undisturbed run gives, or refused, nothing lost."""
  before = verdicts.snapshot(case.path("run"))
  outcome = case.run(world.train_words("masked"))
  good = case.check(verdicts.finished_or_refused(
      outcome, lambda: same.difference(
          case.world.runs["masked"], same.of_run(case.path("run")), "run"),
      "run", *names))
  if good and outcome.code:
    case.unchanged("run", before)
  return outcome


def checkpoint(case: Case) -> None:
  """A file of the newest checkpoint is damaged."""
  _half(case)
  files = sorted(
      p for p in (case.path("run") / "checkpoints" / "4").rglob("*")
      if p.is_file()
  )
  path = files[int(case.rng.integers(len(files)))]
  case.note(damage.draw(path, case.rng))
  _resume(case)


def record(case: Case) -> None:
  """The record or the checksums of the newest checkpoint is damaged."""
  _half(case)
  path = case.path("run") / "checkpoints" / "4" / str(
      case.pick(["record.json", "checksums.json"]))
  case.note(damage.draw(path, case.rng))
  _resume(case)


def evaluated(case: Case) -> None:
  """A checkpoint that is to be evaluated is damaged."""
  case.furnish("student")
  newest = case.path("student") / "checkpoints" / str(world.STEPS)
  files = sorted(p for p in newest.rglob("*") if p.is_file())
  path = files[int(case.rng.integers(len(files)))]
  case.note(damage.draw(path, case.rng))
  outcome = case.run(world.evaluate_words())
  case.check(verdicts.finished_or_refused(outcome, lambda: same.difference(
      case.world.scores, same.of_evaluation(case.path("scores")), "scores"),
      "student"))


def other_arrays(case: Case) -> None:
  """The arrays of another step lie in a step's folder."""
  _half(case)
  steps = case.path("run") / "checkpoints"
  shutil.rmtree(steps / "4" / "state")
  shutil.copytree(steps / "2" / "state", steps / "4" / "state")
  case.note("the arrays of step 2 as those of step 4")
  _resume(case)


def no_checksums(case: Case) -> None:
  """The same, where checksums.json lists no file."""
  _half(case)
  steps = case.path("run") / "checkpoints"
  shutil.rmtree(steps / "4" / "state")
  shutil.copytree(steps / "2" / "state", steps / "4" / "state")
  text = str(case.pick(["{}", "[]", "null", '""']))
  (steps / "4" / "checksums.json").write_text(text)
  case.note(f"the arrays of step 2 as those of step 4, checksums {text}")
  _resume(case)


def renamed(case: Case) -> None:
  """A step's folder has another step's name."""
  _half(case)
  steps = case.path("run") / "checkpoints"
  old, new = case.pick([(4, 5), (4, 3), (2, 5), (4, 6)])
  (steps / str(old)).rename(steps / str(new))
  case.note(f"checkpoint {old} renamed to {new}")
  _resume(case)


def config(case: Case) -> None:
  """config.json is edited, and the command with it."""
  _half(case)
  path = case.path("run") / "config.json"
  found = json.loads(path.read_text())
  words = world.train_words("masked")
  if case.rng.random() < 0.5:
    found["config"]["lr"] = 0.5
    words.append("--config.lr=0.5")
    names, what = ("lr", "config.json"), "lr edited in config.json"
  else:
    found["code_version"] = "0.0.1"
    names, what = ("version", "0.0.1"), "an older code_version"
  path.write_text(json.dumps(found))
  case.note(what)
  outcome = case.run(words)
  if outcome.code:
    case.check(verdicts.refusal(outcome, "config.json", "run"))
    return
  told = verdicts.warned(outcome, *names)
  case.check(verdicts.broken(outcome) or (
      "" if told else "resumed without a word"))


def config_damaged(case: Case) -> None:
  """config.json is damaged."""
  _half(case)
  case.note(damage.draw(case.path("run") / "config.json", case.rng))
  _resume(case)


def text_step(case: Case) -> None:
  """A row of metrics.jsonl has a step that is no number."""
  _half(case)
  path = case.path("run") / "metrics.jsonl"
  lines = path.read_text().splitlines()
  line = str(case.pick([
      '{"step": "four", "train/loss": 1.0}', '{"step": null}',
      '{"step": [4]}', '{"step": {}}', "[1, 2]", "4", "not a row",
  ]))
  lines.insert(int(case.rng.integers(1, len(lines))), line)
  path.write_text("\n".join(lines) + "\n")
  case.note(f"metrics.jsonl has the line {line}")
  _resume(case)


def wrong_kinds(case: Case) -> None:
  """A file stands where a folder belongs, or the other way round."""
  _half(case)
  run = case.path("run")
  name = str(case.pick(
      ["tensorboard", "tensorboard", "checkpoints", "metrics.jsonl",
       "config.json", "checkpoints/4", "run"]))
  path = run if name == "run" else run / name
  if path.is_dir():
    shutil.rmtree(path)
    path.write_text("a file\n")
  else:
    path.unlink()
    path.mkdir()
  case.note(f"{name} is a {'file' if path.is_file() else 'folder'}")
  outcome = case.run(world.train_words("masked"))
  case.check(verdicts.finished_or_refused(outcome, lambda: same.difference(
      case.world.runs["masked"], same.of_run(run), "run"), "run"))


def results(case: Case) -> None:
  """Former results of an evaluation are damaged before the next."""
  case.furnish()
  words = world.evaluate_words("--config.save_embeddings=true")
  case.check(verdicts.finished(case.run(words), lambda: ""))
  files = sorted(p for p in case.path("scores").rglob("*") if p.is_file())
  for _ in range(int(case.rng.integers(1, 4))):
    path = files[int(case.rng.integers(len(files)))]
    if path.is_file():
      case.note(damage.draw(path, case.rng))
  outcome = case.run(words)
  case.check(verdicts.finished_or_refused(outcome, lambda: same.difference(
      case.world.scores, same.of_evaluation(case.path("scores")), "scores"),
      "scores"))


SCENARIOS = (
    Scenario("damage a checkpoint", (CHECKPOINT,), checkpoint, weight=2),
    Scenario("damage a record", (CHECKPOINT,), record),
    Scenario("evaluate a damaged checkpoint", (CHECKPOINT,), evaluated),
    Scenario("exchange arrays", (CHECKPOINT,), other_arrays),
    Scenario("exchange arrays and empty checksums", (EMPTY,),
             several(no_checksums)),
    Scenario("rename a step folder", (RENAMED,), several(renamed, 2)),
    Scenario("edit config.json", (CONFIG,), several(config, 2)),
    Scenario("damage config.json", (CONFIG,), config_damaged),
    Scenario("write a strange row", (ROWS,), several(text_step)),
    Scenario("exchange files and folders", (KIND,), several(wrong_kinds)),
    Scenario("damage results", (RESULTS,), results),
)
