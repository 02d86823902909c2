"""Main: a checkpoint -> metrics.json, predictions.parquet and report.html.

  python -m accfm.evaluate --config=configs/evaluate.py \
      --checkpoint=DIR[,DIR...] --workdir=W [--config.split=test] \
      [--watch] [--redact]

Rebuilds the encoders from the checkpoint alone, embeds people they never
saw, and scores retrieval and linear probes beside what needs no learning.
Several checkpoints are compared with each other, pair by pair; with --watch
each new checkpoint of a run is evaluated while it trains.
"""

import json
import os
import pathlib
import time

from accfm.base import configlib, files, mains
from accfm.base.errors import InputError
from accfm.evals import inputs, suite
from accfm.evals.compare import checkpoints as compared
from accfm.evals.compare import history as watchlib
from accfm.evals.files import privacy
from accfm.train import checkpoints
from accfm.train import workdir as workdir_lib
from accfm.train.checkpoints import follow


def run(config, checkpoint, workdir, watch=False, redact=False,
        wait=time.sleep):
  """Evaluates on a data set, or on each that a checkpoint learned from.

  Args:
    config: as `configs/evaluate.py`.
    checkpoint: a workdir, its checkpoints folder or one step's folder;
      several with commas between.
    workdir: results go here; files of an earlier evaluation are replaced.
    watch: evaluate each new checkpoint of a run until that has ended.
    redact: as `config.redact`.
    wait: `wait(seconds)` of a watch.

  Returns:
    Flat metrics, as in `metrics.json`: key -> number, None where not
    evaluable; {data set: metrics} where there are several. Of several
    checkpoints {run: those}, of a watch {step: those}.
  """
  files.refuse_file(workdir, "--workdir")
  suite.check(config)
  if redact:
    config = config.copy_and_resolve_references().unlock()
    config.redact = True
  shared, given = inputs.Shared(), [checkpoint]
  if not os.path.isdir(checkpoint):  # a folder's name may hold a comma
    given = [path for path in checkpoint.split(",") if path] or given
  if watch:
    return follow_run(config, given, pathlib.Path(workdir), shared, wait)
  step = int(config.step) if config.step.isdigit() else config.step
  if len(given) > 1:
    paths = [checkpoints.find(path, step) for path in given]
    return compare_runs(config, paths, workdir, shared)
  return evaluate(config, checkpoints.load(given[0], step), workdir, shared)


def evaluate(config, loaded, workdir, shared, name=""):
  """Evaluates one checkpoint into WORKDIR/DATASET/NAME, as far as needed."""
  names = inputs.datasets(config, loaded.record)
  out = {}
  for dataset in names:
    folder = os.path.join(workdir, dataset if len(names) > 1 else "", name)
    out[dataset] = suite.run(config, loaded, dataset, folder, shared)
  return out if len(names) > 1 else out[names[0]]


def compare_runs(config, paths, workdir, shared):
  """Evaluates several checkpoints on the same people and compares them."""
  runs = dict(zip(compared.name_runs(paths), paths, strict=True))
  records = {
      name: checkpoints.read_record(path) for name, path in runs.items()
  }
  datasets, out = compared.check_runs(config, records, shared), {}
  for name, path in runs.items():
    print(f"\n== {name}: {path}", flush=True)
    loaded = checkpoints.load(path)
    out[name] = evaluate(config, loaded, workdir, shared, name)
  for dataset in datasets:
    folder = os.path.join(workdir, dataset if len(datasets) > 1 else "")
    compared.write(config, {n: os.path.join(folder, n) for n in runs}, folder)
  return out


def follow_run(config, given, work, shared, wait):
  """Evaluates each checkpoint of a run as it comes, into WORK/STEP."""
  if len(given) > 1:
    raise InputError(
        f"--watch: got {len(given)} checkpoints, want the workdir of one run"
    )
  source, out = pathlib.Path(given[0]).absolute(), {}
  source = source.parent if source.name == "checkpoints" else source
  plain = privacy.public(json.loads(configlib.to_json(config)))
  workdir_lib.claim(work, {"watched": str(source), **plain}, ["watch_seconds"])
  watchlib.write_history(work)
  for loaded in follow.follow(
      source, lambda step: watchlib.is_done(work / str(step)),
      config.watch_seconds, wait,
  ):
    folder = work / str(loaded.step)
    out[loaded.step] = evaluate(config, loaded, folder, shared)
    watchlib.write_history(work)
  return out


MAIN = mains.Main(
    __doc__, run, (
        mains.Flag(
            "checkpoint", "a run's workdir or one step's folder, or several"
        ),
        mains.Flag("workdir", "where the results go"),
        mains.Flag(
            "watch", "evaluate each new checkpoint while the run trains", False
        ),
        mains.Flag("redact", "name people by numbers in all files", False),
    ),
    config="evaluate", usual=("evaluate",),
)

if __name__ == "__main__":
  MAIN.start()
