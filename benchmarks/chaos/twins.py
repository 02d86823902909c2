"""Several commands at once.

Two of a kind in one place: the first stops at a file event, meanwhile the
second runs; then the first goes on. Or all kinds, each in its own place.
"""

from benchmarks.chaos import same, verdicts, world
from benchmarks.chaos.scenarios import Case, Scenario, several

TRAIN, EVALUATE, PREPARE = (
    "two trainings in one workdir", "two evaluations in one workdir",
    "two preparations of one name",
)
CROWD = "commands in places of their own disturb each other"


def both(case: Case, first: list[str], second: list[str], at: str):
  """(outcome of the first, of the second, whether the first stopped)."""
  case.note("the first stops at file event " + at.split(":")[0])
  one = case.start(first, at=at)
  stopped = one.until_stopped()
  other = case.run(second)
  one.go_on()
  return case.ended(one), other, stopped


def trainings(case: Case) -> None:
  """The first trains as if alone; the second is refused."""
  case.furnish()
  kind = str(case.pick(["masked", "contrast"]))
  words = world.train_words(kind)
  step = int(case.rng.choice([2, 4, 6]))
  one, other, stopped = both(
      case, words, words, f"1:SIGSTOP:/checkpoints/{step}")
  case.check(verdicts.finished(one, lambda: same.difference(
      case.world.runs[kind], same.of_run(case.path("run")), kind)))
  if stopped:
    case.check(verdicts.refusal(other, "run"))


def evaluations(case: Case) -> None:
  """Each ends or is refused, and the metrics are those of one alone."""
  case.furnish()
  words = world.evaluate_words()
  event = int(case.rng.integers(1, case.world.events["evaluate"]))
  one, other, _ = both(
      case, words, words, f"{event}:SIGSTOP:{world.events_of('scores')}")

  def metrics():
    return same.difference(
        case.world.scores, same.of_evaluation(case.path("scores")), "scores")

  for outcome in (one, other):
    case.check(verdicts.finished_or_refused(outcome, metrics, "scores"))
  if one.code and other.code:
    case.check("neither ends")


def preparations(case: Case, differ: bool = True) -> None:
  """Each ends or is refused; the data set is whole and that of one config."""
  case.furnish()
  case.path("data").unlink()
  first = world.prepare_words()
  second = world.prepare_words("realistic") if differ else first
  event = int(case.rng.integers(2, case.world.events["prepare"] - 1))
  one, other, _ = both(
      case, first, second, f"{event}:SIGSTOP:{world.events_of('data')}")

  def shards():
    found = same.of_data(case.path("data"), world.NAME)
    if differ and found == case.world.data["other"]:
      return ""
    return same.difference(case.world.data["data"], found, "data")

  for outcome in (one, other):
    case.check(verdicts.finished_or_refused(outcome, shards, world.NAME))
  if one.code and other.code:
    case.check("neither ends")


def same_preparations(case: Case) -> None:
  """The same with one config."""
  preparations(case, differ=False)


def all_kinds(case: Case) -> None:
  """A preparation, a training and two evaluations give what each alone does."""
  case.furnish()
  kind = str(case.pick(["masked", "contrast"]))
  other = [
      word.replace("--workdir=scores", "--workdir=others")
      for word in world.evaluate_words()
  ]
  case.note(f"a preparation, a training ({kind}) and two evaluations")
  there = case.world
  looks = (
      (world.prepare_words(data="made"), lambda: same.difference(
          there.data["data"], same.of_data(case.path("made"), world.NAME),
          "data")),
      (world.train_words(kind), lambda: same.difference(
          there.runs[kind], same.of_run(case.path("run")), kind)),
      (world.evaluate_words(), lambda: same.difference(
          there.scores, same.of_evaluation(case.path("scores")), "scores")),
      (other, lambda: same.difference(
          there.scores, same.of_evaluation(case.path("others")), "others")),
  )
  running = [case.start(words) for words, _ in looks]
  for process, (_, look) in zip(running, looks, strict=True):
    case.check(verdicts.finished(case.ended(process), look))


SCENARIOS = (
    Scenario("run all kinds at once", (CROWD,), all_kinds),
    Scenario("train twice at once", (TRAIN,), trainings),
    Scenario("evaluate twice at once", (EVALUATE,),
             several(evaluations)),
    Scenario("prepare two configs at once", (PREPARE,),
             several(preparations, 2)),
    Scenario("prepare one config twice at once", (PREPARE,),
             same_preparations),
)
