"""Main: a checkpoint -> metrics.json, predictions.csv and report.html.

  python -m accfm.evaluate --config=configs/evaluate.py \
      --checkpoint=DIR --workdir=W [--config.split=test]

Rebuilds the encoders from the checkpoint alone, embeds people they never
saw, and scores retrieval and linear probes beside what needs no learning.
"""

import os
import time

from accfm.base import mains
from accfm.evals import (
  direct,
  embed,
  health,
  inputs,
  page,
  probe,
  reidentify,
  report,
  retrieval,
  stats,
)
from accfm.steps import towers
from accfm.train import checkpoints

EVALS = {
    "health": health.run, "retrieval": retrieval.run,
    "reidentify": reidentify.run, "probe": probe.run, "direct": direct.run,
}


def run(config, checkpoint, workdir):
  """Evaluates one checkpoint on a data set, or on each that it learned from.

  Args:
    config: as `configs/evaluate.py`.
    checkpoint: a workdir, its checkpoints folder or one step's folder.
    workdir: results go here (into a folder for each data set, where there
      are several); files of an earlier evaluation are replaced.

  Returns:
    Flat metrics, as in `metrics.json`: key -> number, None where not
    evaluable; {data set: metrics} where there are several.
  """
  probe.check(config)
  step = int(config.step) if config.step.isdigit() else config.step
  loaded = checkpoints.load(checkpoint, step)
  inputs.trained_people(loaded.meta)  # a record that says so, first of all
  cohorts = [cohort["dataset"] for cohort in loaded.meta["cohorts"]]
  names = [config.dataset] if config.dataset else cohorts
  if len(names) == 1:
    return evaluate(config, loaded, names[0], workdir)
  return {
      name: evaluate(config, loaded, name, os.path.join(workdir, name))
      for name in names
  }


def evaluate(config, loaded, dataset, workdir):
  """Evaluates a loaded checkpoint on one data set; returns its metrics."""
  start, meta = time.time(), loaded.meta
  splits, seen = inputs.open_splits(config, meta, dataset)
  tested = splits[config.split]
  page.check(config, tested.table)
  student, teacher, motion = inputs.signals(meta, tested.contract)

  def embed_all(encoders):
    return {
        name: embed.run(encoders, split, config.batch_size)
        for name, split in splits.items()
    }

  def say(text):
    print(f"[{time.time() - start:5.0f} s] {text}", flush=True)

  say(f"embedding {sum(map(len, splits.values()))} windows of {dataset}")
  trained = towers.from_checkpoint(
      loaded.params, loaded.carried, loaded.frozen, meta
  )
  learned, fresh = embed_all(trained), {}
  if config.untrained:
    fresh = embed_all(towers.untrained(meta, config.seed))
  made = {}
  if config.handmade:
    made = inputs.handmade(splits, config.split, (student, teacher), motion)
  data = inputs.gather(
      config.split, learned, fresh, made, student, teacher,
      tested.contract.window_sec, meta.get("targets", ()),
  )
  metrics, found = stats.Metrics(), {}
  for name in config.evals:
    say(f"measuring {name}")
    found[name] = EVALS[name](data, config, metrics)
  facts = report.facts(config, loaded, splits, data, seen)
  predictions = found.get("probe", []) + found.get("direct", [])
  os.makedirs(workdir, exist_ok=True)
  report.write_metrics(f"{workdir}/metrics.json", metrics, facts)
  report.write_predictions(f"{workdir}/predictions.csv", predictions)
  if config.report:
    examples = page.draw_examples(data, tested, config.examples, config.seed)
    page.write(
        f"{workdir}/report.html", data, metrics, facts,
        found.get("retrieval", {}), predictions, examples,
    )
  say(f"results are in {workdir}")
  print("\n".join(report.console(metrics, facts)), flush=True)
  return metrics.values


if __name__ == "__main__":
  mains.start(
      run, config="configs/evaluate.py",
      checkpoint="a run's workdir or one step's folder",
      workdir="where the results go",
  )
