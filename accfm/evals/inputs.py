"""What every evaluator is given, gathered once.

What is scored has a name: TESTED is the encoder under test; beside it stand
`untrained`, `features`, `envelope`, `mean`, and the signal of the checkpoint's
other encoder.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from accfm.base import interrupts
from accfm.base.errors import InputError
from accfm.data import manifest, pipeline
from accfm.evals import leaks
from accfm.evals.baselines import envelope, features
from accfm.evals.files import privacy
from accfm.evals.results.figures import TESTED
from accfm.signals import contract as contract_lib
from accfm.signals import feed
from accfm.signals.targets import Target
from accfm.steps.record import Record


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
  """

  def __init__(self, partner: Any = None):
    self.key, self.partner = privacy.draw_key(), partner
    self._made: dict[Any, Any] = {}

  def get(self, name: Any, make: Callable[[], Any]) -> Any:
    """`make()`, or what it gave before under this name."""
    if name not in self._made:
      self._made[name] = make()
    return self._made[name]


def datasets(config: ConfigDict, record: Record) -> list[str]:
  """Names of the data sets to evaluate on.

  Args:
    config: with `dataset`, "" for all that the checkpoint learned from.
    record: the checkpoint's record.

  Raises:
    InputError: the record does not say.
  """
  trained = [cohort.dataset for cohort in leaks.cohorts(record)]
  return [config.dataset] if config.dataset else trained


def describe_checkpoint(loaded: Any) -> dict[str, Any]:
  """What `metrics.json` says of a checkpoint, as plain data.

  Args:
    loaded: `accfm.train.checkpoints.Loaded`.
  """
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


def open_splits(
    config: ConfigDict, record: Record, dataset: str, shared: Shared
) -> tuple[dict[str, Any], leaks.Seen]:
  """What an evaluation reads, after checking that it may.

  Args:
    config: as `configs/evaluate.py`.
    record: the checkpoint's record.
    dataset: name of the data set.
    shared: a split is opened once.

  Returns:
    ({split: open split}, who under evaluation may have been seen).

  Raises:
    InputError: no such data set or split, a split without segments, another
      input contract, no partner, or people that the leak guard refuses.
  """
  folder = manifest.find(config.data_dir or record.setting("data_dir"), dataset)
  names = [config.split]
  if "probe" in config.evals or config.align_with:  # fitted on train, val
    names = dict.fromkeys(["train", "val", config.split])
  splits = {
      name: shared.get(
          ("split", folder, name),
          functools.partial(pipeline.open_split, folder, name),
      ) for name in names
  }
  tested = splits[config.split]
  contract_lib.check_match(
      tested.contract, record.contract, record.signals, folder,
  )
  choose_signals(config, record, tested.contract)
  for name, split in splits.items():
    if not len(split):
      raise InputError(
          f"{folder}: split {name} has 0 windows, want at least 1; prepare it "
          "with more people in that split, or evaluate what needs no such "
          "split (--config.split, --config.evals)"
      )
  return splits, leaks.check_unseen(
      leaks.people_of(tested), record, config.allow_seen,
      allow_validated=config.split == "val",
  )


class Signals(NamedTuple):
  """The parts that signals play in an evaluation.

  Attributes:
    student: the signal of the encoder under test.
    teacher: the signal it is paired with, "" for none.
    motion: the acceleration that hand-made features are of, "" for none.
  """

  student: str
  teacher: str
  motion: str


def choose_signals(
    config: ConfigDict, record: Record, contract: contract_lib.Contract
) -> Signals:
  """The parts that signals play.

  Args:
    config: `partner`: the signal to retrieve, "" for the checkpoint's own
      second signal or the only other one of the contract; `evals`.
    record: the checkpoint's record.
    contract: of the shards.

  Raises:
    InputError: `partner` is none of the other signals, or is "" where
      retrieval has several to choose from.
  """
  student, *own = record.signals
  others = own or [s for s in contract.signals if s != student]
  partner = config.partner
  if partner and partner not in others:
    whose = "the checkpoint's own" if own else "the data set's others"
    raise InputError(
        f"partner: got {partner!r}, want one of {sorted(others)}, {whose}; "
        "set --config.partner"
    )
  if not partner and len(others) > 1 and "retrieval" in config.evals:
    raise InputError(
        f"partner: got none for a checkpoint of {student!r} alone, want the "
        f"signal to retrieve, one of {sorted(others)}; set --config.partner"
    )
  teacher = partner or (others[0] if len(others) == 1 else "")
  motion = [
      name for name in dict.fromkeys((student, teacher, *contract.signals))
      if name and contract.signals[name].kind == "acc"
  ]
  return Signals(student, teacher, (motion or [""])[0])


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
  encoders, pairs, extra = {}, {}, extra or {}
  for row, embedded in ((TESTED, learned), ("untrained", untrained)):
    if not embedded:
      continue
    for name in embedded[split].signals:
      if row != TESTED and name != student:
        continue  # an untrained teacher says nothing that is asked
      encoders[row if name == student else name] = {
          s: e.signals[name]["embedding"] for s, e in embedded.items()
      }
    heads = {
        name: kinds["projection"]
        for name, kinds in embedded[split].signals.items()
        if kinds["projection"] is not None
    }
    if teacher and {student, teacher} <= set(heads):
      pairs[row] = heads
  if handmade.get(split, {}).get("envelope"):
    pairs["envelope"] = handmade[split]["envelope"]
  by_split = {
      s: made["features"] for s, made in handmade.items()
      if made["features"] is not None
  }
  return Inputs(
      split, {s: {**e.table, **extra.get(s, {})} for s, e in learned.items()},
      encoders, pairs, by_split, student, teacher, window_sec, targets,
      learned[split].signals[student].get("prediction"), recordings,
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
    split -> {"features": [N, F] or None, "envelope": {signal: [N, S]}}.
  """
  out = {}
  for title, split in splits.items():
    rate = split.contract.rate_hz
    made = {s: [] for s in pair} if title == tested and all(pair) else {}
    found = []
    wanted = sorted(set(made) | ({motion} if motion else set()))
    for at in range(0, len(split) if wanted else 0, batch_size):
      interrupts.check()
      rows = np.arange(at, min(at + batch_size, len(split)))
      batch = split.read(rows, wanted)
      for name in wanted:
        x = feed.dequantize(batch[name], batch[f"{name}_scale"])
        if name in made:
          made[name].append(envelope.vectors(x, rate))
        if name == motion:
          found.append(features.extract(x, rate))
    out[title] = {
        "features": np.concatenate(found) if found else None,
        "envelope": {n: np.concatenate(v) for n, v in made.items() if v},
    }
  return out
