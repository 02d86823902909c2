"""Follows a run from beside it: each checkpoint once, as it is finished.

A checkpoint appears by a rename when it is whole. It may disappear at any
time, also while it is read: the run keeps only its latest and best ones. So a
step counts only once it is loaded. A step that cannot be loaded is tried once
more after a wait; by then it is gone, or it is damaged. Nothing here writes.
"""

import pathlib
from collections.abc import Callable, Iterator

from accfm.base import interrupts
from accfm.train import workdir
from accfm.train.checkpoints import reader

EVERY_S = 10.0  # between two looks at a run that has nothing new


def follow(
    run: pathlib.Path,
    done: Callable[[int], bool],
    idle_s: float = 0.0,
    wait: Callable[[float], None] = interrupts.wait,
    load: Callable[[pathlib.Path], reader.Loaded] = reader.load,
    say: Callable[[str], None] = print,
) -> Iterator[reader.Loaded]:
  """Yields each finished checkpoint of a run, oldest first.

  The folder is read again after each one, because the run goes on removing
  checkpoints. The run may begin later, or stop and be started again. It has
  ended when the last step of its config was yielded or is `done`.

  Args:
    run: its workdir.
    done: whether a step need not be yielded.
    idle_s: seconds without a new checkpoint after which this ends; 0: never.
    wait: sleeps for a number of seconds.
    load: loads a step's folder.
    say: prints a line.
  """
  given, ahead, suspect, damaged = set(), set(), {}, {}
  waits, idle, told = 0, 0.0, False
  while True:
    interrupts.check()
    total = _total_steps(run)
    there = set(reader.steps(run))
    for step in sorted(ahead - there):
      say(f"step {step}: removed before it could be read; going on")
      suspect.pop(step, None)
    ahead = {
        step for step in there
        if step not in given and not done(step)
        and damaged.get(step) != _mark(run, step)
    }
    loaded = None
    for step in sorted(ahead):
      mark, before = _mark(run, step), suspect.get(step)
      if before == (mark, waits):
        continue  # looked at since the last wait
      try:
        loaded = load(_path(run, step))
        break
      except Exception as error:  # files go while any library reads them
        suspect[step] = mark, waits
        if before and mark and before[0] == mark:
          damaged[step] = mark
          ahead.remove(step)
          say(f"step {step}: left out: {reader.reason(error)}")
    if loaded is not None:
      idle, told = 0.0, False
      given.add(loaded.step)
      ahead.remove(loaded.step)
      yield loaded
      continue
    if total is not None and not ahead and (
        total in given or total in damaged or done(total)
    ):
      say(f"the run has ended: step {total} of {total}")
      return
    if idle_s and idle >= idle_s:
      say(f"nothing new in {run} for {idle:.0f} s (watch_seconds): this ends "
          "before the run's last step; start again to go on")
      return
    if not told and not ahead:
      what = "a run to begin" if total is None else "a checkpoint"
      say(f"waiting for {what} in {run}")
      told = True
    wait(EVERY_S)
    waits, idle = waits + 1, idle + EVERY_S


def _path(run: pathlib.Path, step: int) -> pathlib.Path:
  return run / "checkpoints" / str(step)


def _mark(run: pathlib.Path, step: int) -> tuple[int, int] | None:
  """Differs between a step's folder and a later one of that name; None: gone.
  """
  try:
    found = _path(run, step).stat()
  except OSError:
    return None
  return found.st_ino, found.st_mtime_ns


def _total_steps(run: pathlib.Path) -> int | None:
  """`total_steps` of a run's config; None until the run has begun."""
  if not (run / "config.json").exists():
    return None
  return workdir.load_config(run).get("total_steps")
