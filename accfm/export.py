"""Main: a checkpoint -> a model folder that needs no training code.

  accfm export --checkpoint=RUN --output=DIR \\
      [--config.data_dir=DATA] [--config.evaluation=EVALUATION]

With --config.data_dir it also fits read-outs of labels on the run's training
people, with intervals from its validation people. docs/model_folder.md says
what the folder holds.
"""

import os
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import files, interrupts, mains, values
from accfm.base.errors import InputError
from accfm.data import builder, pipeline
from accfm.evals.probes import ridge
from accfm.evals.results.words import split_unit
from accfm.signals import contract as contract_lib
from accfm.steps import record as recordlib
from accfm.use import as_checkpoint, card, folder, ledger, probes, scores
from accfm.use.encoder import BATCH, Encoder
from accfm.use.load import load_checkpoint

RULES = {"coverage": values.between(0.01, 0.99)}


def run(config: ConfigDict, checkpoint: str, output: str) -> Encoder:
  """Writes a model folder, opens it again and returns its encoder.

  Args:
    config: as `configs/export.py`.
    checkpoint: a run's workdir, or one step's folder.
    output: a folder that is not there yet.

  Raises:
    InputError: something is wrong with a field, the checkpoint or the data.
  """
  files.refuse_url(checkpoint, "--checkpoint", reads=True)
  files.refuse_url(output, "--output")
  values.check(config, RULES)
  if os.path.exists(output):
    raise InputError(
        f"--output: {output} is there already; choose another name")
  encoder, record = load_checkpoint(
      checkpoint, config.step, config.signal or None)
  scored = scores.load(
      config.evaluation, record, encoder.signal, (as_checkpoint.KIND,)
  ) if config.evaluation else None
  found = fit(config, encoder, record) if config.data_dir else []
  folder.write(
      output, encoder, found,
      recordlib.to_plain(ledger.make(record, config.salt)),
      card.write(encoder, record, found, scored, config.license))
  made = folder.load(output)
  print(f"{output}: {encoder.signal} encoder, {len(found)} read-outs",
        flush=True)
  return made


def fit(
    config: ConfigDict, encoder: Encoder, record: recordlib.Record
) -> list[probes.Probe]:
  """The read-outs of a prepared data set's labels."""
  cohorts = record.cohorts or ()
  name = config.dataset or (cohorts[0].dataset if cohorts else "")
  if not name:
    raise InputError("dataset: the checkpoint does not say which; name one")
  place = builder.dataset_dir(config.data_dir, name)
  splits = {s: pipeline.open_split(place, s) for s in ("train", "val")}
  contract_lib.check_match(
      splits["train"].contract, encoder.contract, [encoder.signal], place)
  vectors, tables = {}, {}
  for title, split in splits.items():
    vectors[title], tables[title] = embed(encoder, split), split.table
  x = np.concatenate([vectors["train"], vectors["val"]])
  fits = np.arange(len(x)) < len(vectors["train"])
  out = []
  for column in config.probes:
    if column not in tables["train"]:
      raise InputError(
          f"probes: got {column!r}, want some of "
          f"{sorted(c for c in tables['train'] if '/' in c)}")
    y = np.concatenate([tables[s][column] for s in ("train", "val")])
    chosen = ridge.predict(
        x, y[:, None].astype(np.float64), fits, ~fits, ~fits).alpha[0]
    if not np.isfinite(chosen):
      print(f"{column}: no labels in train or val, no read-out", flush=True)
      continue
    known = np.isfinite(y[fits])
    task, unit = split_unit(column.rsplit("/", 1)[-1])
    out.append(probes.fit(
        task, unit, vectors["train"][known], y[fits][known], float(chosen),
        vectors["val"], y[~fits], tables["val"]["participant"],
        config.coverage))
  return out


def embed(encoder: Encoder, split: Any) -> np.ndarray:
  """[N, D] embeddings of all rows of an open split."""
  out = []
  for at in range(0, len(split), BATCH):
    interrupts.check()
    rows = split.read(
        np.arange(at, min(at + BATCH, len(split))), [encoder.signal])
    out.append(encoder.embed_stored(
        rows[encoder.signal], rows[f"{encoder.signal}_scale"]))
  return np.concatenate(out)


MAIN = mains.Main(__doc__, run, (
    mains.Flag("checkpoint", "a run's workdir, or one step's folder"),
    mains.Flag("output", "the model folder; must not be there yet"),
), config="export", usual=("export",), again="run the same command again")

if __name__ == "__main__":
  MAIN.start()
