"""Main: a checkpoint -> metrics.json, predictions.csv and report.html.

  python -m accfm.evaluate --config=configs/evaluate.py \
      --checkpoint=DIR --workdir=W [--config.split=test]

Rebuilds the encoders from the checkpoint alone, embeds people they never
saw, and scores retrieval and linear probes beside what needs no learning.
"""

import os
import time

from accfm.base import mains
from accfm.data import manifest, pipeline
from accfm.evals import (
  embed,
  health,
  inputs,
  page,
  probe,
  report,
  retrieval,
  stats,
)
from accfm.signals import contract
from accfm.steps import towers
from accfm.train import checkpoints

EVALS = {"health": health.run, "retrieval": retrieval.run, "probe": probe.run}


def run(config, checkpoint, workdir):
  """Evaluates one checkpoint.

  Args:
    config: as `configs/evaluate.py`.
    checkpoint: a workdir, its checkpoints folder or one step's folder.
    workdir: results go here; files of an earlier evaluation are replaced.

  Returns:
    Flat metrics, as in `metrics.json`: key -> number, None where not
    evaluable.
  """
  start = time.time()
  step = int(config.step) if config.step.isdigit() else config.step
  loaded = checkpoints.load(checkpoint, step)
  meta = loaded.meta
  dataset_dir = manifest.find(
      config.data_dir or meta["config"]["data_dir"],
      config.dataset or meta["manifest"]["dataset"],
  )
  names = dict.fromkeys(["train", "val", config.split])
  if "probe" not in config.evals:
    names = [config.split]
  splits = {name: pipeline.open_split(dataset_dir, name) for name in names}
  tested = splits[config.split]
  contract.check_match(
      tested.contract, contract.from_dict(meta["contract"]), meta["signals"],
      dataset_dir,
  )
  seen = inputs.check_unseen(
      tested.table["participant"], meta, config.allow_seen
  )
  student, teacher, motion = inputs.signals(meta, tested.contract)

  def embed_all(encoders):
    return {
        name: embed.run(encoders, split, config.batch_size)
        for name, split in splits.items()
    }

  def say(text):
    print(f"[{time.time() - start:5.0f} s] {text}", flush=True)

  say(f"embedding {sum(map(len, splits.values()))} windows of {dataset_dir}")
  trained = towers.from_checkpoint(loaded.params, loaded.frozen, meta)
  learned, fresh = embed_all(trained), {}
  if config.untrained:
    fresh = embed_all(towers.untrained(meta, config.seed))
  made = {}
  if config.handmade:
    made = inputs.handmade(splits, config.split, (student, teacher), motion)
  data = inputs.gather(
      config.split, learned, fresh, made, student, teacher,
      tested.contract.window_sec,
  )
  metrics, found = stats.Metrics(), {}
  for name in config.evals:
    say(f"measuring {name}")
    found[name] = EVALS[name](data, config, metrics)
  facts = report.facts(config, loaded, splits, data, seen)
  predictions = found.get("probe", [])
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
