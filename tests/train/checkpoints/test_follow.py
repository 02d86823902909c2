"""A run is followed through whatever happens to its checkpoints.

Nothing sleeps: waiting is a script of what the trainer does meanwhile.
"""

import json
import shutil
import types

import pytest

from accfm.base.errors import InputError
from accfm.train.checkpoints import follow, reader

LAST = 6


class Run:
  """A run's folder, a script for each wait, and what came of following it."""

  def __init__(self, folder):
    self.path, self.folder = folder, folder / "checkpoints"
    self.done, self.said, self.waits = set(), [], []
    self.script, self.broken = [], set()

  def begin(self):
    self.folder.mkdir(parents=True)
    (self.path / "config.json").write_text(
        json.dumps({"config": {"total_steps": LAST}}))

  def save(self, *steps):
    for step in steps:
      (self.folder / f"{step}.orbax-checkpoint-tmp-0").mkdir()
      self.commit(step)

  def commit(self, step):
    half = self.folder / f"{step}.orbax-checkpoint-tmp-0"
    half.rename(self.folder / str(step))

  def remove(self, *steps):
    for step in steps:
      shutil.rmtree(self.folder / str(step))

  def wait(self, seconds):
    assert len(self.waits) < 50, self.said
    self.waits.append(seconds)
    if self.script:
      self.script.pop(0)()

  def load(self, path):
    if not path.is_dir():
      raise InputError(f"checkpoint {path}: got nothing there")
    if int(path.name) in self.broken:
      raise ValueError("not\nwhat was written")
    return types.SimpleNamespace(step=int(path.name))

  def follow(self, meanwhile=None, **options):
    """Steps as they came; `meanwhile(step)` is while one is evaluated."""
    out = []
    for loaded in follow.follow(
        self.path, lambda step: step in self.done, wait=self.wait,
        load=self.load, say=self.said.append, **options
    ):
      out.append(loaded.step)
      if meanwhile:
        meanwhile(loaded.step)
    return out


@pytest.fixture
def run(tmp_path):
  run = Run(tmp_path / "run")
  run.begin()
  return run


def test_each_step_once_as_it_comes(run):
  run.save(1)
  run.script = [lambda: run.save(3, 2), lambda: None, lambda: run.save(LAST)]
  assert run.follow() == [1, 2, 3, LAST]
  assert run.said == [
      f"waiting for a checkpoint in {run.path}",
      f"waiting for a checkpoint in {run.path}",
      "the run has ended: step 6 of 6",
  ]


def test_what_is_half_written_is_not_read(run):
  half = run.folder / "2.orbax-checkpoint-tmp-0"
  half.mkdir()
  (run.folder / "damaged-1").mkdir()
  run.script = [lambda: None, lambda: run.commit(2), lambda: run.save(LAST)]
  assert run.follow() == [2, LAST]
  assert len(run.waits) == 3


def test_a_run_that_has_not_begun(tmp_path):
  run = Run(tmp_path / "run")
  run.script = [lambda: None, run.begin, lambda: run.save(LAST)]
  assert run.follow() == [LAST]
  assert run.said[0] == f"waiting for a run to begin in {run.path}"


def test_a_step_that_goes_while_another_is_evaluated(run):
  run.save(1, 2, 3)
  at = {1: lambda: run.remove(1, 2), 3: lambda: run.save(LAST)}
  assert run.follow(lambda step: at.get(step, list)()) == [1, 3, LAST]
  assert run.said == [
      "step 2: removed before it could be read; going on",
      "the run has ended: step 6 of 6",
  ]
  assert run.waits == []


def test_a_step_that_goes_while_it_is_read(run):
  run.save(1, 2)
  load = run.load

  def go(path):
    if path.name == "1":
      run.remove(1)
      raise FileNotFoundError(path)  # as a library says it
    return load(path)

  run.load = go
  run.script = [lambda: run.save(LAST)]
  assert run.follow() == [2, LAST]
  assert "step 1: removed before it could be read; going on" in run.said
  assert len(run.said) == 3  # that, waiting, the end


def test_a_step_that_is_removed_file_by_file(run):
  """Half of it is there at one look, nothing at the next."""
  run.save(1, LAST)
  run.broken = {1}
  run.script = [lambda: run.remove(1)]
  assert run.follow() == [LAST]
  assert run.said == [
      "step 1: removed before it could be read; going on",
      "the run has ended: step 6 of 6",
  ]


def test_a_damaged_step_is_left_out_and_said_once(run):
  run.save(1)
  run.broken = {1}
  run.script = [lambda: None, lambda: run.save(2), lambda: None,
                lambda: run.save(LAST)]
  assert run.follow() == [2, LAST]
  assert [line for line in run.said if line.startswith("step")] == [
      "step 1: left out: not what was written"]


def test_a_damaged_last_step_ends_it(run):
  run.save(1, LAST)
  run.broken = {LAST}
  assert run.follow() == [1]
  assert run.said[-2:] == ["step 6: left out: not what was written",
                           "the run has ended: step 6 of 6"]


def test_a_trainer_that_goes_back_and_writes_a_damaged_step_again(run):
  run.save(1, 2)
  run.broken = {2}

  def again():
    # As a restarted run does: set aside, then saved once more.
    (run.folder / "2").rename(run.folder / "damaged-2")
    run.broken.clear()
    run.save(2)

  run.script = [lambda: None, again, lambda: run.save(LAST)]
  assert run.follow() == [1, 2, LAST]
  assert "step 2: left out: not what was written" in run.said


def test_a_step_written_again_is_not_evaluated_again(run):
  run.save(1)

  def again():
    run.remove(1)
    run.save(1)

  run.script = [again, lambda: run.save(LAST)]
  assert run.follow() == [1, LAST]


def test_its_own_restart(run):
  run.save(1, 2, LAST)
  run.done = {1, LAST}
  assert run.follow() == [2]
  run.done.add(2)
  assert run.follow() == [] and run.waits == []
  assert run.said[-1] == "the run has ended: step 6 of 6"


def test_it_ends_where_the_last_step_was_done_and_is_gone(run):
  run.done = {LAST}
  assert run.follow() == [] and run.waits == []


def test_idle_too_long(run):
  run.save(1)
  run.script = [lambda: None, lambda: run.save(2)]
  assert run.follow(idle_s=3 * follow.EVERY_S) == [1, 2]
  # Two waits before step 2, then three without anything new.
  assert run.waits == [follow.EVERY_S] * 5
  assert run.said[-1] == (
      f"nothing new in {run.path} for 30 s (watch_seconds): this ends before "
      "the run's last step; start again to go on")


def test_a_config_that_cannot_be_read(run):
  (run.path / "config.json").write_text("{")
  with pytest.raises(InputError, match="config.json: not valid JSON"):
    run.follow()


def test_by_default_it_reads_checkpoints_and_sleeps():
  defaults = follow.follow.__defaults__
  assert reader.load in defaults and follow.time.sleep in defaults


def test_steps_of_a_workdir(run):
  assert reader.steps(run.path) == []
  run.save(12, 3)
  (run.folder / "4.orbax-checkpoint-tmp-0").mkdir()
  assert reader.steps(run.path) == [3, 12]
  assert reader.steps(run.path / "nowhere") == []
