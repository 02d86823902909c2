"""One checkpoint on one data set: embed, measure, write.

`metrics.json` is written last: a folder that has one is whole.
"""

import pathlib
import time

import numpy as np

from accfm.base import configlib
from accfm.base.errors import InputError
from accfm.evals import inputs
from accfm.evals.compare import checkpoints as compared
from accfm.evals.embedding import cache, forward, health
from accfm.evals.files import privacy, store
from accfm.evals.probes import direct, own_labels
from accfm.evals.probes import run as probe
from accfm.evals.report import page
from accfm.evals.report import results as report
from accfm.evals.retrieval import reidentify
from accfm.evals.retrieval import run as retrieval
from accfm.evals.stats import bootstrap as stats
from accfm.steps import towers

EVALS = {
    "health": health.run, "retrieval": retrieval.run,
    "reidentify": reidentify.run, "probe": probe.run, "direct": direct.run,
}
FILES = ("metrics.json", "predictions.parquet", "queries.parquet",
         "report.html")


def check(config):
  """Raises InputError for a config that no evaluation can follow."""
  for name in config.evals:
    if name not in EVALS:
      raise InputError(
          f"evals: got {name!r}, want some of {sorted(EVALS)}"
          f"{configlib.nearest(name, EVALS)}"
      )
  for name in ("batch_size", "bootstrap_draws"):
    if config[name] < 1:
      raise InputError(
          f"{name}: got {config[name]}, want 1 or more; set --config.{name}"
      )
  probe.check(config)


def run(config, loaded, dataset, workdir, shared):
  """Evaluates a loaded checkpoint on one data set.

  Args:
    config: as `configs/evaluate.py`.
    loaded: `accfm.train.checkpoints.Loaded`.
    dataset: its name.
    workdir: results go here; those of an earlier evaluation are replaced.
    shared: `inputs.Shared` of the command.

  Returns:
    Flat metrics, as in `metrics.json`: key -> number, None where not
    evaluable.
  """
  start, record = time.time(), loaded.record
  workdir = pathlib.Path(workdir)
  splits, seen = inputs.open_splits(config, record, dataset, shared)
  tested = splits[config.split]
  extra = own_labels.load_columns(
      config.labels_file, {name: split.table for name, split in splits.items()}
  )
  page.check(config, {**tested.table, **extra.get(config.split, {})})
  student, teacher, motion = inputs.signals(record, tested.contract)
  mask = privacy.make_naming(
      config, shared.key, {name: split.table for name, split in splits.items()}
  )

  def say(text):
    print(f"[{time.time() - start:5.0f} s] {text}", flush=True)

  say(f"embedding {sum(map(len, splits.values()))} windows of {dataset}")
  learned = _embed(config, loaded, splits, workdir / "embeddings", mask, say)
  fresh, made = {}, {}
  if config.untrained:
    encoders = towers.untrained(record, config.seed)
    fresh = {
        name: forward.embed_split(encoders, split, config.batch_size)
        for name, split in splits.items()
    }
  if config.handmade:
    pair = student, teacher
    made = shared.get(
        ("handmade", *map(id, splits.values()), pair, motion),
        lambda: inputs.handmade(splits, config.split, pair, motion),
    )
  data = inputs.gather(
      config.split, learned, fresh, made, student, teacher,
      tested.contract.window_sec, record.targets, extra,
  )
  metrics, found = stats.Metrics(), {}
  for name in config.evals:
    say(f"measuring {name}")
    found[name] = EVALS[name](data, config, metrics)
  predictions = found.get("probe", []) + found.get("direct", [])
  facts = report.facts(config, loaded, splits, data, seen, mask)
  workdir.mkdir(parents=True, exist_ok=True)
  for name in FILES:
    (workdir / name).unlink(missing_ok=True)
  _write_tables(workdir, config, data, predictions, facts, mask)
  if config.report:
    count = 0 if config.redact else config.examples  # drawn from recordings
    page.write(
        workdir / "report.html", data, metrics, facts,
        found.get("retrieval", {}), predictions,
        page.draw_examples(data, tested, count, config.seed),
    )
  report.write_metrics(workdir / "metrics.json", metrics, facts)
  say(f"results are in {workdir}")
  print("\n".join(report.console(metrics, facts)), flush=True)
  return metrics.values


def _embed(config, loaded, splits, folder, mask, say):
  """split -> `forward.Embedded` of the checkpoint's encoders."""
  encoders = towers.from_checkpoint(
      loaded.params, loaded.carried, loaded.frozen, loaded.record
  )
  if not config.save_embeddings:
    return {
        name: forward.embed_split(encoders, split, config.batch_size)
        for name, split in splits.items()
    }
  weights = cache.weights_hash(loaded)
  return {
      name: cache.embed_or_reuse(
          encoders, split, config.batch_size, folder / f"{name}.parquet",
          cache.identity(loaded, weights, split, name), mask, say,
      ) for name, split in splits.items()
  }


def _write_tables(workdir, config, data, predictions, facts, mask):
  """Writes predictions.parquet and, where it retrieves, queries.parquet."""
  about = {key: facts[key] for key in (
      "dataset", "split", "split_hash", "rows_hash", "checkpoint", "step",
      "redaction", "code_version",
  )}
  store.write_predictions(
      workdir / "predictions.parquet", mask.predictions(predictions), about
  )
  if "retrieval" in config.evals and "" in data.pairs:
    queries, rows = compared.queries(data)
    keys, order = mask({
        c: data.table[c][rows] for c in ("participant", "session", "start_s")
    })
    store.write_queries(workdir / "queries.parquet", {
        way: tuple(np.asarray(x)[order] for x in both)
        for way, both in queries.items()
    }, keys, about)
