"""What every evaluator is given, gathered once.

What is scored has a name: TESTED is the encoder under test; beside it stand
`untrained`, `features`, `envelope`, `mean`, and the signal of the checkpoint's
other encoder.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import interrupts
from accfm.evals.baselines import envelope, features, traced
from accfm.evals.files import privacy
from accfm.evals.results.figures import TESTED
from accfm.signals import feed
from accfm.signals.targets import Target


@dataclasses.dataclass(frozen=True)
class Inputs:
  """The split under evaluation, and what probes are fitted on.

  Attributes:
    split: name of the split under evaluation.
    tables: split -> columns [N] for the splits that were embedded.
    encoders: name -> split -> [N, D] encoder outputs: TESTED, "untrained",
      and the checkpoint's other encoder under its signal's name.
    pairs: name -> signal -> [N, P] vectors of the evaluated split whose inner
      product is a similarity: TESTED, "untrained", "envelope".
    features: split -> [N, F] hand-made features, or {}.
    student, teacher: the signal of the encoder under test and its partner's;
      "" where it has none.
    window_sec: length of a segment.
    targets: what the checkpoint's predictor predicts, () without one.
    outputs: [N, O] outputs of that predictor for the evaluated split, or
      None.
    recordings: the open split under evaluation, to draw signals from, or
      None.
    likeness: encoder -> split -> [N] the similarity of the projections of
      both signals of a segment.
    readings: split -> row -> [N] heart rates in bpm that are read from
      acceleration without a fit: "traced", "harmonic".
    members: people of the train split whom the encoder was trained on; None
      where nobody knows.
    fitted_on: names of the splits that probes are fitted and chosen on.
    absent: signals of the checkpoint that the data set cannot feed -> why.
    outside: names of the rows of somebody else's encoders.
    unpaired: name of a row -> why it has no pair of signals.
  """

  split: str
  tables: Mapping[str, Mapping[str, np.ndarray]]
  encoders: Mapping[str, Mapping[str, np.ndarray]]
  pairs: Mapping[str, Mapping[str, np.ndarray]]
  features: Mapping[str, np.ndarray]
  student: str
  teacher: str
  window_sec: float
  targets: tuple[Target, ...] = ()
  outputs: np.ndarray | None = None
  recordings: Any = None
  likeness: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(
      default_factory=dict
  )
  readings: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(
      default_factory=dict
  )
  members: Sequence[str] | None = ()
  fitted_on: tuple[str, str] = ("train", "val")
  absent: Mapping[str, str] = dataclasses.field(default_factory=dict)
  outside: tuple[str, ...] = ()
  unpaired: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def table(self) -> Mapping[str, np.ndarray]:
    """Columns of the split under evaluation."""
    return self.tables[self.split]

  @property
  def ways(self) -> list[tuple[str, str]]:
    """Both directions of retrieval: (signal of the query, of the answer)."""
    return [(self.student, self.teacher), (self.teacher, self.student)]


class Shared:
  """What the evaluations of one command share, each made once.

  Attributes:
    key: the command's secret (`privacy`).
    partner: the checkpoint to align with (`checkpoints.Loaded`), or None.
    outside: somebody else's encoders (`outside.Outside`).
  """

  def __init__(self, partner: Any = None, outside: Sequence[Any] = ()):
    self.key, self.partner = privacy.draw_key(), partner
    self.outside = tuple(outside)
    self._made: dict[Any, Any] = {}

  def get(self, name: Any, make: Callable[[], Any]) -> Any:
    """`make()`, or what it gave before under this name."""
    if name not in self._made:
      self._made[name] = make()
    return self._made[name]


def describe_checkpoint(loaded: Any) -> dict[str, Any]:
  """What `metrics.json` says of a checkpoint, as plain data.

  Args:
    loaded: `accfm.train.checkpoints.Loaded`, or None.
  """
  if loaded is None:
    return {
        "checkpoint": "", "step": 0, "kind": "outside", "trained_on": [],
        "checkpoint_code_version": "", "trained_config": {},
    }
  record = loaded.record
  return {
      "checkpoint": str(loaded.path),
      "step": int(loaded.step),
      "kind": record.kind,
      "trained_on": [
          {"dataset": cohort.dataset, "split_hash": cohort.split_hash}
          for cohort in record.cohorts or ()
      ],
      "checkpoint_code_version": record.code_version,
      "trained_config": privacy.public(record.config),
  }


def gather(
    split: str, learned: Mapping[str, Any], untrained: Mapping[str, Any],
    handmade: Mapping[str, Mapping[str, Any]], student: str, teacher: str,
    window_sec: float, targets: tuple[Target, ...] = (),
    extra: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    recordings: Any = None,
) -> Inputs:
  """Names the vectors of the embedding passes.

  Args:
    split: name of the split under evaluation.
    learned, untrained: split -> `forward.Embedded`; `untrained` may be {}.
    handmade: split -> {"features": [N, F], "envelope": {signal: [N, S]}}.
    student, teacher: signal names.
    window_sec: length of a segment.
    targets: of the checkpoint.
    extra: split -> further columns of its table (`own_labels.load_columns`).
    recordings: the open split under evaluation.
  """
  encoders, pairs, likeness, extra = {}, {}, {}, extra or {}
  for row, embedded in ((TESTED, learned), ("untrained", untrained)):
    if not embedded:
      continue
    for name in embedded[split].signals:
      if row != TESTED and name != student:
        continue  # an untrained teacher says nothing that is asked
      encoders[row if name == student else name] = {
          s: e.signals[name]["embedding"] for s, e in embedded.items()
          if name in e.signals
      }
    heads = {
        name: kinds["projection"]
        for name, kinds in embedded[split].signals.items()
        if kinds["projection"] is not None
    }
    if teacher and {student, teacher} <= set(heads):
      pairs[row] = heads
      likeness[row] = {
          s: np.einsum("np,np->n", *(
              e.signals[name]["projection"] for name in (student, teacher)))
          for s, e in embedded.items() if teacher in e.signals
      }
  if handmade.get(split, {}).get("envelope"):
    pairs["envelope"] = handmade[split]["envelope"]
  by_split = {
      s: made["features"] for s, made in handmade.items()
      if made["features"] is not None
  }
  return Inputs(
      split, {s: {**e.table, **extra.get(s, {})} for s, e in learned.items()},
      encoders, pairs, by_split, student, teacher, window_sec, targets,
      learned[split].signals[student].get("prediction"), recordings, likeness,
      {s: made["readings"] for s, made in handmade.items()
       if made.get("readings")},
  )


def make_handmade(
    splits: Mapping[str, Any], tested: str, pair: Sequence[str], motion: str,
    batch_size: int = 512,
) -> dict[str, dict[str, Any]]:
  """Streams splits through the hand-made vectors.

  Args:
    splits: name -> open split.
    tested: name of the split to make motion envelopes for.
    pair: the two signals to make them of; none if one is "".
    motion: name of the signal to make features of, "" for none.
    batch_size: rows read at once.

  Returns:
    split -> {"features": [N, F] or None, "readings": {row: [N]},
    "envelope": {signal: [N, S]}}.
  """
  out = {}
  for title, split in splits.items():
    rate = split.contract.rate
    made = {s: [] for s in pair} if title == tested and all(pair) else {}
    found, traces = [], []
    wanted = sorted(set(made) | ({motion} if motion else set()))
    for at in range(0, len(split) if wanted else 0, batch_size):
      interrupts.check()
      rows = np.arange(at, min(at + batch_size, len(split)))
      batch = split.read(rows, wanted)
      for name in wanted:
        x = feed.dequantize(batch[name], batch[f"{name}_scale"])
        if name in made:
          made[name].append(envelope.vectors(x, rate(name)))
        if name == motion:
          found.append(features.extract(x, rate(name)))
          traces.append(traced.read_windows(x, rate(name)))
    out[title] = {
        "features": np.concatenate(found) if found else None,
        "readings": {
            "traced": np.concatenate(traces),
            "harmonic": np.concatenate(found)[:, features.BEAT_COLUMN],
        } if found else {},
        "envelope": {n: np.concatenate(v) for n, v in made.items() if v},
    }
  return out
