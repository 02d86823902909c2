"""Two checkpoints that were trained apart, aligned after the fact.

The encoder under test embeds one signal and another checkpoint's encoder the
partner signal. `alignment` fits linear maps between them on the train people,
chosen on the val people. What comes of it is scored as encoders are, in
retrieval (the pairs of mapped rows) and in probes (the mapped embedding of
the encoder under test). A probe of an invertible map reads what a probe of
the embedding itself reads; these maps weigh the directions that the partner
shares and drop others, which shows where labels are few.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base.errors import InputError
from accfm.evals import inputs, leaks
from accfm.evals.embedding import alignment, forward
from accfm.evals.opened import Opened
from accfm.signals import contract as contract_lib
from accfm.steps import towers
from accfm.steps.record import Record


def check_partner(
    config: ConfigDict, partner: Record, opened: Opened
) -> leaks.Seen:
  """What must hold before work starts.

  Args:
    config: as `configs/evaluate.py`.
    partner: the record of `align_with`.
    opened: what is read: the split under evaluation and two to fit on.

  Returns:
    Who under evaluation may have shaped the partner.

  Raises:
    InputError: the split has no other people to fit and choose on, the
      partner does not embed the signal to retrieve, or not these windows, or
      there are people that the leak guard refuses.
  """
  if config.split != "test":
    raise InputError(
        f"align_with: got split {config.split!r}, want 'test': maps are "
        "fitted on train people and chosen on val people; set "
        "--config.split=test"
    )
  signal = opened.signals.teacher
  if not signal or signal not in partner.signals:
    raise InputError(
        f"align_with: got a checkpoint of {list(partner.signals)}, want one "
        f"that embeds {signal or 'a second signal of the data set'!r}; set "
        "--config.align_with to such a run"
    )
  for split in opened.splits.values():
    contract_lib.check_match(
        split.contract, partner.contract, [signal], "align_with")
  return leaks.check_unseen(
      leaks.people_of(opened.split), partner, config.allow_seen)


def add_aligned(
    data: inputs.Inputs, splits: Mapping[str, Any], partner: Any,
    batch_size: int, say: Callable[[str], None] = print,
) -> tuple[inputs.Inputs, dict[str, Any]]:
  """Adds the aligned rows to what evaluators are given.

  Args:
    data: with the embeddings of the encoder under test.
    splits: name -> open split, of what has passed `check_partner`.
    partner: `accfm.train.checkpoints.Loaded`.
    batch_size: rows embedded at once.
    say: prints a line.

  Returns:
    (`data` with further `encoders` and `pairs`; the partner's encoder is
    there under its signal unless the checkpoint has its own; plain data that
    says what was chosen).
  """
  record, signal = partner.record, data.teacher
  say(f"embedding {signal} by {partner.path} to align with")
  made = towers.from_checkpoint(
      partner.params, partner.carried, partner.frozen, record)
  other: dict[str, np.ndarray] = {}
  for name, split in splits.items():
    found = forward.embed_split({signal: made[signal]}, split, batch_size)
    other[name] = np.asarray(found.signals[signal]["embedding"])
  mine = data.encoders[inputs.TESTED]
  fit, select = data.fitted_on
  fitted = alignment.fit(mine[fit], other[fit], mine[select], other[select])
  encoders, pairs = {**data.encoders}, {**data.pairs}
  encoders.setdefault(signal, other)
  facts: dict[str, Any] = {
      "checkpoint": str(partner.path), "step": int(partner.step),
      "kind": record.kind, "signal": signal,
  }
  for name, maps in fitted.items():
    encoders[name] = {s: maps.first(x) for s, x in mine.items()}
    pairs[name] = {
        data.student: encoders[name][data.split],
        signal: maps.second(other[data.split]),
    }
    facts[name] = {
        "penalty": maps.penalty, "dimensions": maps.dimensions,
        "val_mean_reciprocal_rank": maps.score,
    }
  return dataclasses.replace(data, encoders=encoders, pairs=pairs), facts
