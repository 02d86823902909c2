"""Main: paired shards and a frozen teacher -> a student of another signal.

  python -m accfm.distill --config=configs/acc_distill.py \\
      --config.teacher=DIR --workdir=W

Running the same command again resumes, also when the teacher's folder is
gone: every checkpoint holds the teacher.
"""

import os

from accfm.base import mains
from accfm.base.errors import InputError
from accfm.evals import validate
from accfm.signals import contract
from accfm.steps import objectives
from accfm.train import checkpoints
from accfm.train import session as sessions


def run(config, workdir):
  """Trains to the end of the config; returns the last TrainState."""
  teacher, teacher_meta = load_teacher(config, workdir)
  (teacher_signal,) = teacher_meta["signals"]
  if teacher_signal == config.signal:
    raise InputError(
        f"teacher: got one of {teacher_signal!r}, the student's own signal, "
        "want one of another signal"
    )
  session = sessions.open_session(config, (config.signal, teacher_signal))
  contract.check_match(
      session.contract, contract.from_dict(teacher_meta["contract"]),
      [teacher_signal], session.train.dataset_dir,
  )
  meta = sessions.make_meta("distill", config, session, teacher_meta)
  params, frozen, loss = objectives.make_distill(
      config, session.contract, session.signals, teacher,
      teacher_meta["config"]["encoder"],
  )
  check = validate.make_validate(
      meta, session.val, session.signals, loss, config.validate_rows,
      session.mesh, config.seed,
  )
  best = f"val/{config.signal}2{teacher_signal}/recall@1"
  return sessions.fit(
      config, workdir, session, loss, params, frozen, meta, check,
      (best, "max"),
  )


def load_teacher(config, workdir):
  """(encoder params, meta) of the teacher: from the run, else its folder."""
  newest = checkpoints.newest_whole(workdir)
  if newest is not None:
    mine = checkpoints.load(newest)
    if mine.meta["kind"] != "distill":
      raise InputError(
          f"workdir {workdir}: got a {mine.meta['kind']!r} run, want one of "
          "accfm.distill; choose another --workdir"
      )
    return mine.frozen["teacher"], mine.meta["teacher"]
  if not config.teacher:
    raise InputError(
        "teacher: got none, want a pre-training workdir; set "
        "--config.teacher=DIR"
    )
  loaded = checkpoints.load(os.fspath(config.teacher), config.teacher_step)
  if "encoder" not in loaded.params:
    raise InputError(
        f"teacher {config.teacher}: got a {loaded.meta['kind']!r} "
        "checkpoint, want one of accfm.pretrain"
    )
  return loaded.params["encoder"], loaded.meta


if __name__ == "__main__":
  mains.start(run, workdir="folder of the run")
