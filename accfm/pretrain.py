"""Main: one signal of prepared shards -> a self-supervised encoder.

  accfm pretrain --config=ppg_contrastive --workdir=W

Running the same command again resumes.
"""

from typing import Any

from ml_collections import ConfigDict

from accfm.base import mains, plugins
from accfm.evals import validate
from accfm.steps import kinds
from accfm.steps import record as recordlib
from accfm.steps.given import Given
from accfm.train import fit, opening


def run(config: ConfigDict, workdir: str) -> Any:
  """Trains to the end of the config; returns the last TrainState."""
  plugins.allow_fields(config)
  name, kind = kinds.of_config(config, "pretrain")
  data = opening.open_data(config, kind.signals(config, None))
  config = kind.resolve_augment(config, data.contract, data.signals)
  sampler = opening.make_sampler(config, data)
  objective = kind.make_objective(config, Given(data.contract))
  record = recordlib.make(name, config, data)
  check = validate.make_validate(
      record, data, objective.loss, config.validate_rows, config.seed,
      opening.by_people(config),
  )
  return fit.fit(fit.Training(
      config, workdir, data, objective, record, sampler, check
  ))


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("ppg_contrastive", "ppg_mae", "acc_contrastive", "acc_mae"),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
