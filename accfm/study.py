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
from accfm.evals.compare import study
from accfm.evals.results import saved
from accfm.steps import kinds
from accfm.train import allowed, checkpoints
from accfm.train import workdir as workdir_lib
from accfm.train.checkpoints import reader

RULES = {
    "datasets": values.several(values.NAME), "seed": values.SEED,
    "batch_size": values.SOME, "total_steps": values.SOME,
    "bootstrap_draws": values.SOME, "runs.*.fraction": values.above_to(0, 1),
}
MAINS = {
    "pretrain": pretrain.run, "distill": distill.run,
    "supervise": supervise.run,
}


def run(config: ConfigDict, workdir: str, out: str = "") -> dict[str, Any]:
  """Trains, evaluates and tabulates every run of a study.

  Args:
    config: as `configs/study.py`.
    workdir: of the study; runs are at WORKDIR/DATASET/RUN.
    out: path without ending for the table, by default WORKDIR/table.

  Returns:
    The table, as `study.tabulate_study`.
  """
  files.refuse_file(workdir, "--workdir")
  files.refuse_url(out, "--out")
  order = study.check_order(config)
  check_runs(config, order)
  for dataset in config.datasets:  # before the workdir becomes this config's
    manifest.find(config.data_dir, dataset)
  with workdir_lib.held(workdir, config, "accfm study") as work:
    for dataset in config.datasets:
      for number, name in enumerate(order, 1):
        interrupts.check()
        print(f"\n== {dataset}, run {number}/{len(order)}: {name}", flush=True)
        run_one(config, name, dataset, work / dataset)
    return study.write_table(
        config, order, work, out or str(work / "table"))


def check_runs(config: ConfigDict, order: Sequence[str]) -> None:
  """Raises InputError for a field that the study or a run may not have so."""
  values.check(config, RULES)
  suite.check(config.evaluate)
  for name in order:
    settings = resolve(config, name, config.datasets[0], pathlib.Path())
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
  settings = resolve(config, name, dataset, work)
  results = work / name / "evaluation"
  done = results / "metrics.json"
  trained = reader.steps(work / name)
  if done.exists() and settings.total_steps in trained:
    about = saved.load_metrics(done, "step")["_meta"]
    chosen = checkpoints.find(work / name, best_step(spec, work / name))
    if about["step"] == int(chosen.name):
      print("done before", flush=True)
      return
  MAINS[spec.main](settings, str(work / name))
  check = config.evaluate.copy_and_resolve_references().unlock()
  check.dataset = dataset
  # What needs no training is the same for all: the first run brings it.
  check.handmade = check.untrained = name == spec.get("reference", name)
  check.step = best_step(spec, work / name)
  evaluate.run(check, str(work / name), str(results))


def best_step(spec: ConfigDict, workdir: pathlib.Path) -> str:
  """The step of a run that is evaluated.

  Of a supervised run it is the best by the labels that it was given, as a
  probe's penalty is; the last where nobody was held out to choose it. Other
  runs read no label, so their last step counts.
  """
  if spec.main != "supervise":
    return "latest"
  record = checkpoints.read_record(checkpoints.find(workdir, "latest"))
  return "best" if record.best.metric else "latest"


def resolve(
    config: ConfigDict, name: str, dataset: str, work: pathlib.Path
) -> ConfigDict:
  """The config of a run, with the study's shared fields in it."""
  spec = config.runs[name]
  settings = ConfigDict(spec.config.to_dict())
  for field in config.shared:
    settings[field] = config[field]
  settings.dataset = dataset
  settings.warmup_steps = min(settings.warmup_steps, settings.total_steps)
  if spec.main == "supervise":  # the people of the probe's draws
    settings.label_seed = config.evaluate.label_seed + spec.get("draw", 0)
  if spec.needs:
    _, kind = kinds.of_config(settings, spec.main)
    settings[kind.parent] = str(work / spec.needs)
  return settings


MAIN = mains.Main(__doc__, run, (
    mains.Flag("workdir", "folder of the study"),
    mains.Flag(
        "out", "path of the table without ending, else WORKDIR/table", ""
    ),
), usual=("study", "ablations"))

if __name__ == "__main__":
  MAIN.start()
