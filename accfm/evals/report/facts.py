"""Everything about a run that its figures depend on, as plain data."""

import json
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import configlib
from accfm.evals import inputs
from accfm.evals.embedding import cache
from accfm.evals.files import privacy
from accfm.evals.opened import Opened
from accfm.evals.retrieval import segments as candidates
from accfm.version import __version__


def describe_run(
    config: ConfigDict, loaded: Any, opened: Opened, data: inputs.Inputs,
    naming: privacy.Naming,
) -> dict[str, Any]:
  """What `metrics.json` keeps under `_meta`.

  Args:
    config: the evaluation's ConfigDict.
    loaded: the checkpoint (`accfm.train.checkpoints.Loaded`), or None.
    opened: what was read.
    data: what was measured.
    naming: how files name them.
  """
  splits, seen = opened.splits, opened.seen
  manifest = opened.split.manifest
  checkpoint = inputs.describe_checkpoint(loaded)
  table = data.table
  rows = candidates.thin(
      table["participant"], table["session"], table["start_s"],
      data.window_sec,
  )
  return {
      "dataset": manifest["name"],
      "split": data.split,
      "split_hash": manifest["split_hash"],
      "data_hash": opened.split.digest,
      "rows_hash": cache.rows_hash(table),
      "redaction": naming.token,
      **{k: checkpoint[k] for k in ("checkpoint", "step", "kind")},
      "student": data.student,
      "teacher": data.teacher,
      "trained_on": checkpoint["trained_on"],
      **{
          mark: naming({"participant": np.array(people, str)})[0][
              "participant"
          ].tolist() for mark, people in (
              ("seen", seen.trained), ("validated", seen.validated),
              ("untold", seen.untold),
          )
      },
      "windows": {name: len(split) for name, split in splits.items()},
      "people": {
          name: len(set(split.table["participant"]))
          for name, split in splits.items()
      },
      "fit_dataset": _fit_dataset(opened),
      "absent": dict(opened.signals.absent),
      "retrieval_windows": len(rows),
      "pools": list(config.pools),
      "seed": config.seed,
      "code_version": __version__,
      "checkpoint_code_version": checkpoint["checkpoint_code_version"],
      "shards_code_version": manifest["code_version"],
      "config": privacy.public(json.loads(configlib.to_json(config))),
      "trained_config": checkpoint["trained_config"],
  }


def _fit_dataset(opened: Opened) -> dict[str, str] | None:
  """The data set of the people whom probes are fitted on, if another."""
  fitted = opened.splits.get(opened.fitted_on[0])
  if not opened.fit_dataset or fitted is None:
    return None
  return {
      "dataset": opened.fit_dataset,
      "split_hash": fitted.manifest["split_hash"], "data_hash": fitted.digest,
  }
