"""Commands killed or interrupted at random, and run again until they end.

A kill comes at a named fault point of accfm, at a file event, or after a line
of output. What is left in the end must be what an undisturbed command leaves.
"""

import shutil

from benchmarks.chaos import same, verdicts, world
from benchmarks.chaos.scenarios import Case, Scenario

KILLED, CTRL_C = "a killed command ends otherwise", "Ctrl-C is no clean end"
MOST_KILLS = 4
POINTS = {
    "train": ("in_step", "after_step", "before_save", "during_save",
              "after_save", "during_restore"),
    "prepare": ("after_recording:1", "after_recording:5", "in_shard:train:0",
                "in_shard:val:0", "in_shard:test:0", "before_publish:0",
                "after_publish:0", "in_recording:p00003"),
}
SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM")


def draw_kill(case: Case, name: str, folder: str, signals=SIGNALS) -> dict:
  """How to start a command so that it is sent a signal somewhere.

  Args:
    case: draws.
    name: of the command in the world's counts.
    folder: the folder whose file events count.
    signals: to draw from.
  """
  signal = case.pick(signals)
  kind = "train" if name in world.TRAININGS else name
  ways = ["event", "line"]
  if kind in POINTS and signal == "SIGKILL":
    ways.append("point")
  way = case.pick(ways)
  if way == "point":
    point = case.pick(POINTS[kind])
    if kind == "train":
      point = f"{point}:{case.rng.integers(1, world.STEPS + 1)}"
    case.note(f"killed at {point}")
    return {"fault": point}
  if way == "event":
    event = int(case.rng.integers(1, case.world.events[name]))
    case.note(f"{signal} at file event {event}")
    return {"at": f"{event}:{signal}:{world.events_of(folder)}"}
  line = int(case.rng.integers(1, max(2, case.world.lines[name])))
  delay = float(case.rng.choice([0, 0.1, 0.5]))
  case.note(f"{signal} {delay} s after line {line}")
  return {"at_line": (line, signal, delay)}


def disturb(
    case: Case, words: list[str], name: str, folder: str, signals=SIGNALS
) -> None:
  """Runs a command with a kill, up to a few times, then to its end."""
  for _ in range(int(case.rng.integers(1, MOST_KILLS + 1))):
    outcome = case.run(words, **draw_kill(case, name, folder, signals))
    if outcome.sent == "SIGINT":
      case.check(verdicts.interruption(outcome), CTRL_C)
    else:
      case.check(verdicts.broken(outcome), KILLED)
      if outcome.code not in (0, -9, -15, verdicts.PREEMPTED):
        case.check(
            f"exit code {outcome.code} after {outcome.sent or 'nothing'}",
            KILLED,
        )
    if outcome.code == 0:
      return


def finish_training(case: Case, kind: str, words: list[str]) -> None:
  """Runs to the end and compares."""
  case.check(verdicts.finished(case.run(words), lambda: same.difference(
      case.world.runs[kind], same.of_run(case.path("run")), kind)), KILLED)


def training(case: Case, signals=SIGNALS) -> None:
  """Training of any kind."""
  kind = str(case.pick(list(world.TRAININGS)))
  case.furnish()
  case.note(kind)
  words = world.train_words(kind)
  disturb(case, words, kind, "run", signals)
  finish_training(case, kind, words)


def preparation(case: Case, signals=SIGNALS) -> None:
  """Preparation of simulated people, or of E4 folders."""
  e4 = case.rng.random() < 0.5
  case.furnish()
  if e4:
    words, name, wanted, data, of = (
        world.e4_words(), "prepare e4", "made", "wrists", "made")
  else:
    case.path("data").unlink()
    words, name, wanted, data, of = (
        world.prepare_words(), "prepare", "data", world.NAME, "data")
  case.note(name)
  disturb(case, words, name, of, signals)
  problem = verdicts.finished(case.run(words), lambda: same.difference(
      case.world.data[wanted], same.of_data(case.path(of), data), "data"))
  case.check(problem, KILLED)


def evaluation(case: Case, signals=SIGNALS) -> None:
  """An evaluation, into an empty folder or over former results."""
  case.furnish()
  words = world.evaluate_words()
  if case.rng.random() < 0.5:
    words.append("--config.save_embeddings=true")
  disturb(case, words, "evaluate", "scores", signals)
  problem = verdicts.finished(case.run(words), lambda: same.difference(
      case.world.scores, same.of_evaluation(case.path("scores")), "scores"))
  case.check(problem, KILLED)


def distilled_without_teacher(case: Case) -> None:
  """Distillation that is killed, then resumed when its teacher is gone."""
  case.furnish()
  words = world.train_words("distilled")
  step = int(case.rng.choice([2, 4]))
  case.note(f"killed after_save:{step}, then without the teacher")
  case.run(words, fault=f"after_save:{step}")
  case.path("teacher").unlink()
  disturb(case, words, "distilled", "run")
  finish_training(case, "distilled", words)


def half_staged(case: Case) -> None:
  """A preparation is killed, and one of its staged files damaged."""
  case.furnish()
  case.path("data").unlink()
  case.run(world.prepare_words(), fault="after_recording:6")
  staged = sorted(case.path("data").rglob("*.npz"))
  if staged:
    path = staged[int(case.rng.integers(len(staged)))]
    content = path.read_bytes()
    path.write_bytes(content[:int(case.rng.integers(len(content)))])
    case.note(f"{len(staged)} staged, one cut short")
  outcome = case.run(world.prepare_words())
  case.check(verdicts.finished(outcome, lambda: same.difference(
      case.world.data["data"], same.of_data(case.path("data"), world.NAME),
      "data")))


def prepared_twice(case: Case) -> None:
  """Two preparations of the same recordings, byte by byte."""
  case.furnish()
  e4 = case.rng.random() < 0.5
  words = world.e4_words() if e4 else world.prepare_words(data="made")
  name = "wrists" if e4 else world.NAME
  found = []
  for _ in range(2):
    case.check(verdicts.finished(case.run(words), lambda: ""))
    found.append(same.files_of_data(case.path("made"), name))
    shutil.rmtree(case.path("made"))
  case.check(same.difference(*found))


def watch(case: Case) -> None:
  """Ctrl-C while an evaluation watches a run; then it goes on to the end."""
  case.furnish()
  words = world.evaluate_words("--watch")
  line = int(case.rng.integers(1, case.world.lines["evaluate"]))
  delay = float(case.rng.choice([0, 1, 3]))
  case.note(f"SIGINT {delay} s after line {line}")
  outcome = case.run(words, at_line=(line, "SIGINT", delay))
  case.check(verdicts.interruption(outcome), CTRL_C)
  case.check(verdicts.finished(
      case.run([*words, "--config.watch_seconds=1"]), lambda: same.difference(
          case.world.scores,
          same.of_evaluation(case.path("scores") / str(world.STEPS)),
          "scores")), KILLED)


def with_ctrl_c(run):
  """The same scenario with Ctrl-C in place of kills."""
  return lambda case: run(case, ("SIGINT",))


SCENARIOS = (
    Scenario("kill a training", (KILLED,), training, weight=6),
    Scenario("kill a preparation", (KILLED,), preparation, weight=6),
    Scenario("kill an evaluation", (KILLED,), evaluation, weight=4),
    Scenario("take the teacher away", (KILLED,), distilled_without_teacher),
    Scenario("cut a staged file", (KILLED,), half_staged),
    Scenario("prepare twice", ("shards differ between preparations",),
             prepared_twice, weight=0.5),
    Scenario("Ctrl-C in a training", (CTRL_C, KILLED), with_ctrl_c(training),
             weight=3),
    Scenario("Ctrl-C in a preparation", (CTRL_C, KILLED),
             with_ctrl_c(preparation), weight=2),
    Scenario("Ctrl-C in an evaluation", (CTRL_C, KILLED),
             with_ctrl_c(evaluation), weight=2),
    Scenario("Ctrl-C in a watch", (CTRL_C, KILLED), watch),
)
