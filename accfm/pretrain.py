"""Main: one signal of prepared shards -> a self-supervised encoder.

  python -m accfm.pretrain --config=configs/ppg_contrastive.py --workdir=W

Running the same command again resumes.
"""

from accfm.base import mains, mesh
from accfm.data import samplers
from accfm.evals import validate
from accfm.steps import objectives
from accfm.train import fit, opening, record


def run(config, workdir):
  """Trains to the end of the config; returns the last TrainState."""
  data = opening.open_data(config, (config.signal,))
  by_people = opening.by_people(config)
  sampler = samplers.make(
      data.train, config.batch_size, config.seed, data.weights,
      by_people, mesh.row_shards(data.mesh), opening.near(config),
  )
  objective = objectives.make_pretrain(config, data.contract)
  meta = record.make_meta(config.objective, config, data)
  check = validate.make_validate(
      meta, data, objective.loss, config.validate_rows, config.seed,
      by_people,
  )
  return fit.fit(
      config, workdir, data, objective, meta, check, ("val/loss", "min"),
      sampler,
  )


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("ppg_contrastive", "ppg_mae", "acc_contrastive", "acc_mae"),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
