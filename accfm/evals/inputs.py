"""What every evaluator is given, gathered once.

Rows of a result are named: "" is the encoder under test, and beside it stand
`untrained`, `features`, `envelope`, `mean` and the other tower's signal.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from accfm.base import pseudonyms
from accfm.base.errors import InputError
from accfm.data import manifest, pipeline
from accfm.evals.baselines import envelope, features
from accfm.evals.files import privacy
from accfm.signals import contract as contract_lib
from accfm.signals import feed
from accfm.steps import kinds


@dataclasses.dataclass(frozen=True)
class Inputs:
  """Everything of the split under evaluation, and what probes are fitted on.

  Attributes:
    split: name of the split under evaluation.
    tables: split -> columns [N] for the splits that were embedded.
    encoders: row -> split -> [N, D] encoder outputs: "" (the student),
      "untrained", and the teacher under its signal's name.
    pairs: row -> signal -> [N, P] vectors of the evaluated split whose inner
      product is a similarity: "", "untrained", "envelope".
    features: split -> [N, F] hand-made features, or {}.
    student, teacher: signal names; teacher "" where there is one signal.
    window_sec: length of a window.
    targets: what the checkpoint's predictor predicts, () without one.
    outputs: [N, O] outputs of that predictor for the evaluated split, or
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
  targets: tuple = ()
  outputs: np.ndarray | None = None

  @property
  def table(self):
    """Columns of the split under evaluation."""
    return self.tables[self.split]


class Shared:
  """What the evaluations of one command share, each made once.

  Attributes:
    key: the command's secret (`privacy`).
  """

  def __init__(self):
    self.key = privacy.draw_key()
    self._made = {}

  def get(self, name, make):
    """`make()`, or what it gave before under this name."""
    if name not in self._made:
      self._made[name] = make()
    return self._made[name]


def datasets(config, record):
  """Names of the data sets to evaluate on.

  Args:
    config: with `dataset`, "" for all that the checkpoint learned from.
    record: the checkpoint's record.

  Raises:
    InputError: the record does not say.
  """
  trained = [cohort.dataset for cohort in _cohorts(record)]
  return [config.dataset] if config.dataset else trained


def open_splits(config, record, dataset, shared):
  """What an evaluation reads, after checking that it may.

  Args:
    config: as `configs/evaluate.py`.
    record: the checkpoint's record.
    dataset: name of the data set.
    shared: Shared; a split is opened once.

  Returns:
    ({split: open split}, ids under evaluation that training saw).

  Raises:
    InputError: no such data set or split, a split without windows, another
      input contract, or people that were trained on.
  """
  folder = manifest.find(config.data_dir or record.setting("data_dir"), dataset)
  names = [config.split]
  if "probe" in config.evals:  # fitted on train, penalised by val
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
  for name, split in splits.items():
    if not len(split):
      raise InputError(
          f"{folder}: split {name} has 0 windows, want at least 1; prepare it "
          "with more people in that split, or evaluate what needs no such "
          "split (--config.split, --config.evals)"
      )
  people = tested.table["participant"]
  return splits, check_unseen(people, record, config.allow_seen)


def signals(record, contract):
  """The parts that a checkpoint's signals play.

  Args:
    record: the checkpoint's record.
    contract: Contract of the shards.

  Returns:
    (student, teacher, motion): the encoder under test's signal; the signal
    it is paired with, "" where the shards have no other; the acceleration
    signal, "" where there is none.
  """
  student, *others = record.signals
  others += [s for s in contract.signals if s not in record.signals]
  motion = [n for n, s in contract.signals.items() if s.kind == "acc"]
  return student, (others or [""])[0], (motion or [""])[0]


def gather(split, learned, untrained, handmade, student, teacher, window_sec,
           targets=(), extra=None):
  """Names the vectors of the embedding passes.

  Args:
    split: name of the split under evaluation.
    learned, untrained: split -> `forward.Embedded`; `untrained` may be {}.
    handmade: split -> {"features": [N, F], "envelope": {signal: [N, S]}}.
    student, teacher: signal names.
    window_sec: length of a window.
    targets: that the checkpoint predicts.
    extra: split -> further columns of its table (`own_labels.load_columns`).

  Returns:
    Inputs.
  """
  encoders, pairs = {}, {}
  for row, embedded in (("", learned), ("untrained", untrained)):
    if not embedded:
      continue
    for name in embedded[split].signals:
      key = row if name == student else "/".join(filter(None, (row, name)))
      if row and name != student:
        continue  # an untrained teacher says nothing that is asked
      encoders[key] = {
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
  extra = extra or {}
  return Inputs(
      split, {s: {**e.table, **extra.get(s, {})} for s, e in learned.items()},
      encoders, pairs,
      by_split, student, teacher, window_sec,
      targets,
      learned[split].signals[student].get("prediction"),
  )


def handmade(splits, tested, pair, motion, batch_size=512):
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


def _cohorts(record):
  """The data sets of a checkpoint's record.

  Raises:
    InputError: the record does not say; a guard that guesses guards nothing.
  """
  if record.cohorts is None:
    raise InputError(
        "leak guard: the checkpoint's record does not say who was trained "
        "on; an older version wrote it: train again"
    )
  return record.cohorts


def _trained_on(people, record):
  """Those of a set of ids whom a checkpoint's record names.

  A record that holds pseudonyms holds their salt, too.
  """
  out = set()
  for cohort in _cohorts(record):
    trained = set(cohort.splits.get("train", ()))
    salt = cohort.salt
    out |= {p for p in people if pseudonyms.pseudonym(p, salt) in trained}
  return out


def check_unseen(people, record, allow_seen):
  """The leak guard: nobody who is scored may have been trained on.

  Args:
    people: ids under evaluation.
    record: the checkpoint's record, with its parents' inside.
    allow_seen: score them all the same.

  Returns:
    Sorted ids that training saw: [] unless allowed.

  Raises:
    InputError: some were seen and `allow_seen` is False.
  """
  people, seen, who = set(map(str, people)), set(), []
  name = "the encoder"
  while record is not None:
    trained = _trained_on(people, record)
    if trained:
      seen |= trained
      who.append(name)
    name = kinds.of_record(record).parent_title
    record = record.parent
  if seen and not allow_seen:
    some = ", ".join(sorted(seen)[:5])
    raise InputError(
        f"leak guard: {' and '.join(who)} trained on {len(seen)} of the "
        f"{len(people)} people to be scored ({some}), want none; choose "
        "another --config.split or dataset, or mark the result as seen with "
        "--config.allow_seen=true"
    )
  return sorted(seen)
