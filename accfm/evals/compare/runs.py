"""The runs of a study: the config of each, and where its evaluation lies."""

import pathlib
from collections.abc import Iterable

from ml_collections import ConfigDict

from accfm.steps import kinds


def resolve(
    config: ConfigDict, name: str, dataset: str, work: pathlib.Path
) -> ConfigDict:
  """The config of a run, with the study's shared fields in it.

  Args:
    config: as `configs/study.py`.
    name: of the run.
    dataset: that it is trained on.
    work: folder of the runs of this data set.
  """
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


def metrics_of(workdir: pathlib.Path) -> pathlib.Path:
  """The file with which the evaluation of a run ends."""
  return workdir / "evaluation" / "metrics.json"


def forget_evaluations(
    config: ConfigDict, order: Iterable[str], work: pathlib.Path
) -> None:
  """Removes what says that runs of a study have been evaluated."""
  for name in order:
    for dataset in config.datasets:
      metrics_of(work / dataset / name).unlink(missing_ok=True)
