"""Main: one signal of prepared shards -> a self-supervised encoder.

  python -m accfm.pretrain --config=configs/ppg_contrastive.py --workdir=W

Running the same command again resumes.
"""

from accfm.base import mains, mesh
from accfm.data import samplers
from accfm.evals import validate
from accfm.steps import objectives
from accfm.train import session as sessions


def run(config, workdir):
  """Trains to the end of the config; returns the last TrainState."""
  session = sessions.open_session(config, (config.signal,))
  by_people = sessions.by_people(config)
  sampler = samplers.make(
      session.train, config.batch_size, config.seed, session.weights,
      by_people, mesh.row_shards(session.mesh), sessions.near(config),
  )
  objective = objectives.make_pretrain(config, session.contract)
  meta = sessions.make_meta(config.objective, config, session)
  check = validate.make_validate(
      meta, session, objective.loss, config.validate_rows, config.seed,
      by_people,
  )
  return sessions.fit(
      config, workdir, session, objective, meta, check, ("val/loss", "min"),
      sampler,
  )


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("ppg_contrastive", "ppg_mae", "acc_contrastive", "acc_mae"),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
