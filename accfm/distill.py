"""Main: paired shards and a frozen teacher -> a student of another signal.

  accfm distill --config=acc_distill \\
      --config.teacher=DIR --workdir=W

Running the same command again resumes, also when the teacher's folder is
gone: every checkpoint holds the teacher.
"""

from typing import Any

from ml_collections import ConfigDict

from accfm.base import mains, plugins
from accfm.base.errors import InputError
from accfm.evals import validate
from accfm.steps import kinds
from accfm.steps import record as recordlib
from accfm.steps.given import Given, Start
from accfm.train import allowed, fit, opening, starts


def run(config: ConfigDict, workdir: str) -> Any:
  """Trains to the end of the config; returns the last TrainState."""
  plugins.allow_fields(config)
  name, kind = kinds.of_config(config, "distill")
  allowed.check(config)
  teacher = load_teacher(config, workdir)
  if teacher.signal == config.signal:
    raise InputError(
        f"teacher: got one of {teacher.signal!r}, the student's own signal, "
        "want one of another signal"
    )
  data = opening.open_data(config, kind.signals(config, teacher))
  starts.check_contract(teacher, data)
  config = kind.resolve_augment(config, data.contract, data.signals)
  sampler = opening.make_sampler(config, data)
  record = recordlib.make(name, config, data, teacher.record)
  objective = kind.make_objective(config, Given(data.contract, teacher))
  check = validate.make_validate(
      record, data, objective.loss, config.validate_rows, config.seed
  )
  return fit.fit(fit.Training(
      config, workdir, data, objective, record, sampler, check
  ))


def load_teacher(config: ConfigDict, workdir: str) -> Start:
  """The teacher: of the run itself, of another run's folder, or to be drawn.
  """
  own = starts.load_own(config, workdir)
  if own is not None:
    return own
  if config.teacher_mode == "scratch":
    if config.teacher:
      raise InputError(
          f"teacher: got {config.teacher!r} with teacher_mode='scratch', want "
          "no folder, or teacher_mode 'frozen' or 'trained'"
      )
    return Start(config.teacher_signal, config.teacher_encoder)
  if not config.teacher:
    raise InputError(
        "teacher: got none, want a pre-training workdir; set "
        "--config.teacher=DIR"
    )
  return starts.load_parent(config, "pretrain")


MAIN = mains.Main(
    __doc__, run, (mains.Flag("workdir", "folder of the run"),),
    usual=("acc_distill",),
    several=True,
)

if __name__ == "__main__":
  MAIN.start()
