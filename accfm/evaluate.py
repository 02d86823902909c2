"""Main: a checkpoint -> metrics.json, predictions.parquet and report.html.

  accfm evaluate --config=evaluate \
      --checkpoint=DIR[,DIR...] --workdir=W [--config.split=test] \
      [--watch] [--redact] [--embeddings=PATH] [--encoder=module:function]

Rebuilds the encoders, embeds people they never saw, and scores retrieval and
linear probes beside what needs no learning, and beside somebody else's encoder.
With --watch it evaluates a run while that trains.
"""

import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm.base import configlib, files, gpumemory, interrupts, locks, mains
from accfm.base.errors import InputError
from accfm.evals import inputs, suite
from accfm.evals.compare import checkpoints as compare
from accfm.evals.compare import history
from accfm.evals.embedding import outside
from accfm.evals.files import privacy
from accfm.train import checkpoints
from accfm.train import workdir as workdir_lib
from accfm.train.checkpoints import follow
from accfm.use import as_checkpoint

Wait = Callable[[float], None]  # seconds


def run(config: ConfigDict, checkpoint: str, workdir: str, watch: bool = False,
        redact: bool = False, embeddings: str = "", encoder: str = "",
        wait: Wait = interrupts.wait) -> dict[Any, Any]:
  """Evaluates on a data set, or on each that a checkpoint learned from.

  Args:
    config: as `configs/evaluate.py`.
    checkpoint: a workdir, one step's folder or a model folder, or several with
      commas; "" to score other encoders alone.
    workdir: results go here, in place of an earlier evaluation's.
    watch: evaluate each new checkpoint of a run until that has ended.
    redact: as `config.redact`.
    embeddings, encoder: as `outside.name_all`; or encoder: a model folder.
    wait: `wait(seconds)` of a watch.

  Returns:
    Flat metrics, as in `metrics.json`; {data set: metrics} for several, for
    several checkpoints {run: these}, for a watch {step: these}.
  """
  checkpoint, encoder = as_checkpoint.named(checkpoint, encoder, watch)
  if watch:  # beside a training, perhaps on the same GPU
    gpumemory.take_as_needed()
  files.refuse_file(workdir, "--workdir")
  suite.check(config)
  if redact:
    config = config.copy_and_resolve_references().unlock()
    config.redact = True
  given = [checkpoint]
  if not os.path.isdir(checkpoint):  # a folder's name may hold a comma
    given = [path for path in checkpoint.split(",") if path] or given
  others = outside.name_all(embeddings, encoder, not checkpoint, watch)
  step = int(config.step) if config.step.isdigit() else config.step
  partner = checkpoints.load(config.align_with) if config.align_with else None
  shared = inputs.Shared(partner, others)
  with locks.held(workdir, "accfm evaluate", locks.EVALUATION):
    if watch:
      return follow_run(config, given, pathlib.Path(workdir), shared, wait)
    if len(given) > 1:
      paths = [checkpoints.find(path, step) for path in given]
      return compare_runs(config, paths, workdir, shared)
    loaded = as_checkpoint.load(given[0], step) if checkpoint else None
    return suite.evaluate_data_sets(config, loaded, workdir, shared)


def compare_runs(config: ConfigDict, paths: Sequence[pathlib.Path],
                 workdir: str, shared: inputs.Shared) -> dict[str, Any]:
  """Evaluates several checkpoints on the same people."""
  runs = dict(zip(compare.name_runs(paths), paths, strict=True))
  records = {
      name: checkpoints.read_record(path) for name, path in runs.items()
  }
  datasets, out = compare.check_runs(config, records, shared), {}
  for name, path in runs.items():
    print(f"\n== {name}: {path}", flush=True)
    out[name] = suite.evaluate_data_sets(
        config, checkpoints.load(path), workdir, shared, name)
  for dataset in datasets:
    folder = os.path.join(workdir, dataset if len(datasets) > 1 else "")
    compare.write_comparison(
        config, {n: os.path.join(folder, n) for n in runs}, folder)
  return out


def follow_run(config: ConfigDict, given: Sequence[str], work: pathlib.Path,
               shared: inputs.Shared, wait: Wait) -> dict[int, Any]:
  """Evaluates each checkpoint of a run as it comes, into WORK/STEP."""
  if len(given) > 1:
    raise InputError(
        f"--watch: got {len(given)} checkpoints, want the workdir of one run")
  source, out = pathlib.Path(given[0]).absolute(), {}
  source = source.parent if source.name == "checkpoints" else source
  plain = privacy.public(json.loads(configlib.to_json(config)))
  workdir_lib.claim(work, {"watched": str(source), **plain}, ["watch_seconds"])
  history.write_history(work)
  for loaded in follow.follow(
      source, lambda step: history.is_done(work / str(step)),
      config.watch_seconds, wait,
  ):
    out[loaded.step] = suite.evaluate_data_sets(
        config, loaded, work / str(loaded.step), shared)
    history.write_history(work)
  return out


MAIN = mains.Main(__doc__, run, (
    mains.Flag(
        "checkpoint", "a run's workdir or a step's folder, or several", ""),
    mains.Flag("workdir", "where the results go"),
    mains.Flag("watch", "evaluate each checkpoint while the run trains", False),
    mains.Flag("redact", "name people by numbers in all files", False),
    mains.Flag("embeddings", "Parquet vectors of somebody else's encoder", ""),
    mains.Flag("encoder", "somebody else's encoder as module:function", ""),
), config="evaluate", usual=("evaluate",))

if __name__ == "__main__":
  MAIN.start()
