"""Main: a list of runs -> all trained, all scored on the same people, a table.

  accfm study --config=study:small --workdir=W
  accfm study --config=ablations:small --workdir=W

Runs follow one another, teachers before students. The same command continues
a study that was stopped: it skips the runs that are done.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm import distill, evaluate, pretrain, supervise
from accfm.base import files, interrupts, mains, plugins, values
from accfm.base.errors import InputError
from accfm.data import manifest
from accfm.evals import suite
from accfm.evals.compare import runs, study, variants
from accfm.evals.results import saved
from accfm.train import allowed, checkpoints
from accfm.train import workdir as workdir_lib

RULES = {
    "datasets": values.several(values.NAME), "seed": values.SEED,
    "batch_size": values.SOME, "total_steps": values.SOME,
    "bootstrap_draws": values.SOME, "runs.*.fraction": values.above_to(0, 1),
}
MAINS = {
    "pretrain": pretrain.run, "distill": distill.run,
    "supervise": supervise.run,
}


def run(
    config: ConfigDict, workdir: str, out: str = "",
    evaluate_again: bool = False,
) -> dict[str, Any]:
  """Trains, evaluates and tabulates every run of a study.

  Args:
    config: as `configs/study.py`.
    workdir: of the study; runs are at WORKDIR/DATASET/RUN.
    out: path without ending for the table, by default WORKDIR/table.
    evaluate_again: evaluate anew what was evaluated before. It trains only
      what has not been trained to its end.

  Returns:
    The table, as `variants.write_tables`.
  """
  files.refuse_file(workdir, "--workdir")
  files.refuse_url(out, "--out")
  order = study.check_order(config)
  check_runs(config, order)
  for dataset in config.datasets:  # before the workdir becomes this config's
    manifest.find(config.data_dir, dataset)
  with workdir_lib.held(workdir, config, "accfm study") as work:
    if evaluate_again:
      runs.forget_evaluations(config, order, work)
    for dataset in config.datasets:
      for number, name in enumerate(order, 1):
        interrupts.check()
        print(f"\n== {dataset}, run {number}/{len(order)}: {name}", flush=True)
        run_one(config, name, dataset, work / dataset)
    return variants.write_tables(
        config, order, work, out or str(work / "table"))


def check_runs(config: ConfigDict, order: Sequence[str]) -> None:
  """Raises InputError for a field that the study or a run may not have so."""
  values.check(config, RULES)
  suite.check(config.evaluate)
  for name in order:
    settings = runs.resolve(config, name, config.datasets[0], pathlib.Path())
    plugins.allow_fields(settings)
    try:
      allowed.check(settings)
    except InputError as error:
      raise InputError(f"runs.{name}.config: {error}") from None


def run_one(
    config: ConfigDict, name: str, dataset: str, work: pathlib.Path
) -> None:
  """Trains and evaluates one run, unless an earlier command has done so."""
  spec = config.runs[name]
  settings = runs.resolve(config, name, dataset, work)
  work /= name
  done, newest = runs.metrics_of(work), checkpoints.newest_whole(work)
  trained = newest is not None and int(newest.name) >= settings.total_steps
  if done.exists() and trained:
    scored = saved.load_metrics(done, "step")["_meta"]["step"]
    if scored == int(checkpoints.find(work, best_step(spec, work)).name):
      print("done before", flush=True)
      return
  if not trained:
    MAINS[spec.main](settings, str(work))
  check = config.evaluate.copy_and_resolve_references().unlock()
  check.dataset = dataset
  # What needs no training is the same for all: the first run brings it.
  check.handmade = check.untrained = name == spec.get("reference", name)
  check.step = best_step(spec, work)
  evaluate.run(check, str(work), str(done.parent))


def best_step(spec: ConfigDict, workdir: pathlib.Path) -> str:
  """The last step; of a supervised run the best by the labels it may use."""
  if spec.main != "supervise":
    return "latest"
  last = checkpoints.read_record(checkpoints.find(workdir, "latest"))
  return "best" if last.best.metric else "latest"


MAIN = mains.Main(__doc__, run, (
    mains.Flag("workdir", "folder of the study"),
    mains.Flag(
        "out", "path of the table without ending, else WORKDIR/table", ""
    ),
    mains.Flag(
        "evaluate_again", "evaluate anew, without training; where that was "
        "stopped, go on without this flag", False,
    ),
), usual=("study", "ablations"))

if __name__ == "__main__":
  MAIN.start()
