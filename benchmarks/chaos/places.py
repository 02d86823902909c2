"""Disks that are read-only or full, and processes and devices that change."""

import numpy as np

from benchmarks.chaos import disks, same, verdicts, world
from benchmarks.chaos.scenarios import Case, Impossible, Scenario

READ_DATA, READ_RUN, READ_SCORES = (
    "a read-only data_dir", "a read-only training workdir",
    "a read-only evaluation workdir",
)
FULL_DATA, FULL_RUN, FULL_SCORES = (
    "a full disk while preparing", "a full disk while training",
    "a full disk at the end of an evaluation",
)
TOPOLOGY, DEVICES = (
    "training depends on the topology", "validation depends on the devices",
)
NOWHERE = "/proc/chaos"  # where nobody can make a folder


def _unshare(case):
  found = case.world.once("unshare", disks.find_unshare)
  if not found:
    raise Impossible("no mount namespaces here: neither root nor users'")
  return found


def _read_only(case, words, folder, *names):
  """A command whose folder is on a read-only disk, or below /proc."""
  if case.rng.random() < 0.7:
    path = case.path(folder)
    path.mkdir(exist_ok=True)
    case.note(f"{folder} is on a read-only disk")
    wrap = disks.read_only(_unshare(case), path)
    outcome = case.run(words, wrap=wrap)
  else:
    case.note(f"{folder} is {NOWHERE}")
    outcome = case.run([
        w.replace(f"workdir={folder}", f"workdir={NOWHERE}").replace(
            f"data_dir={folder}", f"data_dir={NOWHERE}")
        if w.startswith(("--workdir", "--data_dir")) else w for w in words
    ])
  case.check(verdicts.refusal(outcome, folder, NOWHERE, *names))


def read_only_data(case: Case) -> None:
  """Nothing can be prepared there."""
  case.furnish()
  _read_only(case, world.prepare_words(data="made"), "made")


def read_only_input(case: Case) -> None:
  """Training reads data, and an evaluation a run, that nobody may change."""
  case.furnish("data")
  wrap = disks.read_only(_unshare(case), case.path("data"))
  outcome = case.run(world.train_words("masked"), wrap=wrap)
  case.check(verdicts.finished(outcome, lambda: same.difference(
      case.world.runs["masked"], same.of_run(case.path("run")), "run")))


def read_only_run(case: Case) -> None:
  """A run can neither begin nor go on there."""
  case.furnish("half")
  if case.rng.random() < 0.5:
    case.path("half").rename(case.path("run"))
    case.note("a run to resume")
  _read_only(case, world.train_words("masked"), "run")


def read_only_scores(case: Case) -> None:
  """No evaluation can be written there."""
  case.furnish()
  _read_only(case, world.evaluate_words(), "scores")


def _full(case, words, folder, whole, kept=0):
  """A command on a small disk: it ends, or says so; then all is as it was.

  Returns:
    The outcome of the same command with room enough.
  """
  path = case.path(folder)
  path.mkdir(exist_ok=True)
  low, high = kept + 16_384, max(kept + 65_536, int(1.2 * whole))
  size = int(np.exp(case.rng.uniform(np.log(low), np.log(high)))) // 4096
  case.note(f"a disk of {size * 4} KiB for {whole // 1024} KiB")
  outcome = case.run(
      words, wrap=disks.small_disk(_unshare(case), path, size * 4096))
  disks.keep_disk(path)
  if outcome.code or verdicts.broken(outcome):
    case.check(verdicts.refusal(
        outcome, folder, "space", "disk", "No space left"))
  return case.run(words)


def _size(folder):
  """Bytes on a disk of blocks of 4 KiB."""
  return sum(
      -(-p.lstat().st_size // 4096) * 4096 + 4096
      for p in folder.rglob("*")
  )


def full_data(case: Case) -> None:
  """The disk is full while recordings are prepared."""
  case.furnish()
  whole = 2 * _size(case.world.root / "data")  # staged files and shards
  outcome = _full(case, world.prepare_words(data="made"), "made", whole)
  case.check(verdicts.finished(outcome, lambda: same.difference(
      case.world.data["data"], same.of_data(case.path("made"), world.NAME),
      "data")))


def full_run(case: Case) -> None:
  """The disk is full in a training."""
  case.furnish("half")
  kept = 0
  if case.rng.random() < 0.5:
    case.path("half").rename(case.path("run"))
    kept = _size(case.path("run"))
  whole = 2 * _size(case.world.root / "masked" / "run")
  outcome = _full(case, world.train_words("masked"), "run", whole, kept)
  case.check(verdicts.finished(outcome, lambda: same.difference(
      case.world.runs["masked"], same.of_run(case.path("run")), "run")))


def full_scores(case: Case) -> None:
  """The disk is full when an evaluation writes."""
  case.furnish()
  words = world.evaluate_words()
  if case.rng.random() < 0.3:
    words.append("--config.save_embeddings=true")
  path = case.path("scores")
  path.mkdir()
  size = int(case.rng.integers(1, 12)) * 4096
  case.note(f"a disk of {size // 1024} KiB")
  outcome = case.run(words, wrap=disks.small_disk(_unshare(case), path, size))
  disks.keep_disk(path)
  if outcome.code or verdicts.broken(outcome):
    case.check(verdicts.refusal(
        outcome, "scores", "space", "disk", "No space left"))
  case.check(verdicts.finished(case.run(words), lambda: same.difference(
      case.world.scores, same.of_evaluation(path), "scores")))


# --- processes and devices ---------------------------------------------------

LONG = 10  # steps of a run that changes its topology


def topologies(case: Case) -> None:
  """One device, eight, split over them, two processes, one."""
  case.furnish()
  words = world.train_words("masked", steps=LONG)
  want, rows = case.world.once("long", lambda: _long(case))
  for step, how, more in (
      (4, dict(devices=1), ()), (6, dict(devices=8), ()),
      (8, dict(devices=8), ("--config.fsdp=4",)),
  ):
    outcome = case.run(
        [*words, *more], fault=f"before_save:{step}", fills_cache=True, **how)
    case.check("" if outcome.code == -9 else verdicts.finished(
        outcome, lambda step=step: f"it ended before step {step}"))
  outcomes = case.world.commands.run_job(
      words, case.folder, 2, devices=4, fault=f"before_save:{LONG}",
      fills_cache=True)
  case.outcomes.extend(outcomes)
  if not any(outcome.code == -9 for outcome in outcomes):
    case.check(f"two processes: exit codes {[o.code for o in outcomes]}; "
               f"{verdicts.short(outcomes[0].said[-200:])}")
  outcome = case.run(words)

  def near():
    run = case.path("run")
    return same.distance(want, same.arrays(run, LONG), 1e-5) or _losses(
        rows, same.rows(run), "train/loss", 1e-4)

  case.check(verdicts.finished(outcome, near))


def _long(case):
  """(parameters, rows) of a long undisturbed run on one device."""
  folder = case.folder / "long"
  folder.mkdir()
  (folder / "data").symlink_to(case.world.root / "data")
  outcome = case.world.commands.run(
      world.train_words("masked", steps=LONG), folder, fills_cache=True)
  if outcome.code:
    raise RuntimeError(outcome.said[-500:])
  return same.arrays(folder / "run", LONG), same.rows(folder / "run")


def _losses(want, got, key, tolerance):
  """The first row whose number of a key differs, or ""."""
  pairs = [
      [(row["step"], row[key]) for row in rows if key in row]
      for rows in (want, got)
  ]
  if [p[0] for p in pairs[0]] != [p[0] for p in pairs[1]]:
    return f"{key}: steps {[p[0] for p in pairs[1]]}"
  for (step, a), (_, b) in zip(*pairs, strict=True):
    if abs(a - b) > tolerance * max(1, abs(a)):
      return f"{key} of step {step}: {b:.6g}, undisturbed {a:.6g}"
  return ""


def devices(case: Case) -> None:
  """Validation on eight devices gives what it gives on one."""
  case.furnish()
  count = int(case.rng.choice([2, 4, 8]))
  case.note(f"{count} devices")
  words = world.train_words("distilled", steps=2)
  wanted = case.world.once("on one device", lambda: _on(case, words, 1, "one"))
  found = _on(case, words, count, "several")
  for key in sorted(k for row in wanted for k in row if k.startswith("val/")):
    case.check(_losses(wanted, found, key, 1e-3))


def _on(case, words, count, name):
  """The rows of a run on some devices."""
  words = [w.replace("--workdir=run", f"--workdir={name}") for w in words]
  outcome = case.run(words, devices=count, fills_cache=True)
  case.check(verdicts.finished(outcome, lambda: ""))
  return same.rows(case.path(name))


SCENARIOS = (
    Scenario("prepare on a read-only disk", (READ_DATA,), read_only_data),
    Scenario("train on read-only data", (READ_DATA,), read_only_input),
    Scenario("train on a read-only disk", (READ_RUN,), read_only_run),
    Scenario("evaluate on a read-only disk", (READ_SCORES,), read_only_scores),
    Scenario("fill the disk of a preparation", (FULL_DATA,), full_data,
             weight=2),
    Scenario("fill the disk of a training", (FULL_RUN,), full_run, weight=2),
    Scenario("fill the disk of an evaluation", (FULL_SCORES,), full_scores,
             weight=2),
    Scenario("change the topology", (TOPOLOGY,), topologies, weight=0.5),
    Scenario("validate on more devices", (DEVICES,), devices),
)
