"""What a model card says of an evaluation: scores beside their controls."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from accfm.base.errors import InputError
from accfm.evals.results import figures as figures_lib
from accfm.evals.results import marks, saved, verdict, words
from accfm.evals.results.figures import Figures
from accfm.steps.record import Record

FIELDS = ("dataset", "split", "split_hash", "step", "kind", "student",
          "trained_on", "people")
NONE = "Not evaluated here; see `accfm evaluate --encoder=DIR`."


class Scores(NamedTuple):
  """An evaluation: its figures, and `_meta` of its metrics.json."""

  figures: Figures
  facts: Mapping[str, Any]

  @property
  def pair(self) -> tuple[str, str]:
    """The encoder's signal, and that of the checkpoint's other encoder."""
    return self.facts["student"], self.facts.get("teacher") or ""


def load(folder: str, record: Record, signal: str, kinds: tuple[str, ...] = ()
         ) -> Scores:
  """The evaluation of a checkpoint.

  Args:
    folder: where `accfm evaluate` wrote metrics.json and figures.json.
    record: of the checkpoint.
    signal: of the encoder.
    kinds: of training, that the evaluation may name instead of the record's.

  Raises:
    InputError: a file is absent or damaged, or it is of another checkpoint.
  """
  facts = saved.load_metrics(
      os.path.join(folder, "metrics.json"), *FIELDS)["_meta"]
  found = figures_lib.load_figures(os.path.join(folder, "figures.json"))
  trained = [
      (one.get("dataset"), one.get("split_hash"))
      for one in facts["trained_on"] if isinstance(one, Mapping)]
  for name, got, want in (
      ("step", facts["step"], record.step),
      ("signal", facts["student"], signal),
      ("kind of training", facts["kind"],
       facts["kind"] if facts["kind"] in kinds else record.kind),
      ("training data", trained,
       [(c.dataset, c.split_hash) for c in record.cohorts or ()]),
  ):
    if got != want and want is not None:
      raise InputError(
          f"evaluation {folder}: is of another checkpoint: its {name} is "
          f"{got!r}, this one's {want!r}; evaluate this checkpoint")
  return Scores(found, facts)


def describe(scores: Scores | None) -> list[str]:
  """Lines of Markdown: whom was scored, a table, what it comes to."""
  if scores is None:
    return [NONE]
  facts, found = scores.facts, _verdicts(scores)
  split = facts["split"]
  count = facts["people"].get(split)
  lines = [
      f"On {f'the {count:,}' if count else 'the'} {split} people of "
      f"`{facts['dataset']}` (split hash `{facts['split_hash']}`), with 95 % "
      "intervals over people. Each score stands beside the best control that "
      "learns no encoder and the best of all, an untrained encoder among them.",
      "",
  ]
  marked = marks.note({"this encoder": marks.count(facts)})
  if marked:
    lines += [f"**{marked[0]}: {marked[1]}.**", ""]
  if not found:
    return [*lines, "No score was compared with a control."]
  lines += ["| | encoder | best without learning | best baseline |",
            "|---|---|---|---|"]
  for one in found:
    score = one.score
    mine = words.with_interval(
        score.value or 0.0, score.low, score.high, one.digits)
    lines.append(f"| {_title(one)} | {mine} | "
                 + " | ".join(_control(one, kind) for kind in verdict.RANK)
                 + " |")
  return [*lines, "", *(f"- {one.title}: {verdict.say(one)}" for one in found),
          "", verdict.CHOICE]


def index(scores: Scores | None) -> list[str]:
  """The head's model-index, as model hubs read it."""
  found = [] if scores is None else _verdicts(scores)
  if scores is None or not found:
    return []
  data, split = (json.dumps(str(scores.facts[n])) for n in ("dataset", "split"))
  lines = [
      "model-index:", "- name: accfm encoder", "  results:",
      "  - task: {type: time-series-regression}",
      f"    dataset: {{name: {data}, type: {data}, split: {split}}}",
      "    metrics:",
  ]
  return lines + [
      f"    - {{type: {json.dumps(figures_lib.key(one.score))}, name: "
      f"{json.dumps(_title(one))}, "
      f"value: {one.score.value or 0.0:.6g}}}" for one in found
  ]


def _verdicts(scores):
  return [v for v in verdict.find_verdicts(scores.figures, scores.pair)
          if v.score.share == 1.0]


def _title(one):
  """`HR, mean error in bpm`, `acceleration \u2192 PPG, among 256, recall@1`."""
  if one.score.measure == "mae":
    unit = f" in {one.score.unit}" if one.score.unit else ""
    return f"{one.title}, mean error{unit}"
  return f"{one.title}, {one.scale}"


def _control(one, kind):
  difference = one.differences.get(kind)
  if difference is None:
    return ""
  value = words.number(verdict.rival_score(one, kind), one.digits)
  return f"{value}, {words.rival(difference.rival)}"
