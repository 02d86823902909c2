"""Main: paired shards and a frozen teacher -> a student of another signal.

  python -m accfm.distill --config=configs/acc_distill.py \\
      --config.teacher=DIR --workdir=W

Running the same command again resumes, also when the teacher's folder is
gone: every checkpoint holds the teacher.
"""

import os

from accfm.base import mains, mesh
from accfm.base.errors import InputError
from accfm.data import samplers
from accfm.evals import validate
from accfm.signals import contract
from accfm.steps import objectives, towers
from accfm.train import checkpoints
from accfm.train import session as sessions

MODES = ("frozen", "trained", "scratch")


def run(config, workdir):
  """Trains to the end of the config; returns the last TrainState."""
  teacher, teacher_meta = load_teacher(config, workdir)
  if teacher.signal == config.signal:
    raise InputError(
        f"teacher: got one of {teacher.signal!r}, the student's own signal, "
        "want one of another signal"
    )
  session = sessions.open_session(config, (config.signal, teacher.signal))
  if "contract" in teacher_meta:
    contract.check_match(
        session.contract, contract.from_dict(teacher_meta["contract"]),
        [teacher.signal], session.train.parts[0].dataset_dir,
    )
  sampler = samplers.make(
      session.train, config.batch_size, config.seed, session.weights,
      multiple=mesh.row_shards(session.mesh), near=sessions.near(config),
  )
  meta = sessions.make_meta("distill", config, session, teacher_meta)
  objective = objectives.make_distill(
      config, session.contract, config.signal, teacher
  )
  check = validate.make_validate(
      meta, session, objective.loss, config.validate_rows, config.seed
  )
  best = f"val/{config.signal}2{teacher.signal}/recall@1"
  return sessions.fit(
      config, workdir, session, objective, meta, check, (best, "max"), sampler
  )


def load_teacher(config, workdir):
  """(objectives.Teacher, meta): of the run, its folder, or a fresh one.

  A fresh teacher's meta says its encoder config alone.
  """
  if config.teacher_mode not in MODES:
    raise InputError(
        f"teacher_mode: got {config.teacher_mode!r}, want one of {MODES}"
    )
  mine = sessions.resumed(workdir, "distill", "distill")
  if mine is not None:
    return _teacher(mine, "teacher", mine.meta["signals"][1],
                    mine.meta["teacher"])
  if config.teacher_mode == "scratch":
    if config.teacher:
      raise InputError(
          f"teacher: got {config.teacher!r} with teacher_mode='scratch', want "
          "no folder, or teacher_mode 'frozen' or 'trained'"
      )
    encoder = config.teacher_encoder
    meta = {"kind": "scratch", "config": {"encoder": encoder.to_dict()}}
    return objectives.Teacher(config.teacher_signal, encoder), meta
  if not config.teacher:
    raise InputError(
        "teacher: got none, want a pre-training workdir; set "
        "--config.teacher=DIR"
    )
  loaded = checkpoints.load(os.fspath(config.teacher), config.teacher_step)
  if "encoder" not in loaded.params or loaded.meta["kind"] == "supervised":
    raise InputError(
        f"teacher {config.teacher}: got a {loaded.meta['kind']!r} "
        "checkpoint, want one of accfm.pretrain"
    )
  return _teacher(loaded, "encoder", loaded.meta["signals"][0], loaded.meta)


def _teacher(loaded, name, signal, meta):
  variables = towers.encoder_variables(
      loaded.params, loaded.carried, loaded.frozen, name
  )
  teacher = objectives.Teacher(signal, meta["config"]["encoder"], variables)
  return teacher, meta


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("acc_distill",),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
