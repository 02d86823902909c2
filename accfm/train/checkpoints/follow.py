"""Follows a run from beside it: each checkpoint once, as it is finished.

Checkpoints come by a rename when they are whole, and go when retention or a
restarted run removes them, also while they are read. So a step is loaded
before it is believed; one that cannot be loaded is looked at once more, and
then is either gone or damaged. Nothing here writes.
"""

import time

from accfm.train import workdir
from accfm.train.checkpoints import reader

EVERY_S = 10.0  # between two looks at a run that has nothing new


def follow(
    run, done, idle_s=0.0, wait=time.sleep, load=reader.load, say=print
):
  """Yields each finished checkpoint of a run, oldest first.

  Steps are looked for again after each one, as retention goes on meanwhile.
  The run may begin later, end by a signal and be started again; it has ended
  when the last step of its config has been yielded or is `done`.

  Args:
    run: pathlib.Path of its workdir.
    done: `done(step) -> bool`: those that are not wanted any more.
    idle_s: seconds without anything new after which this ends; 0: never.
    wait: `wait(seconds)`, by default sleeps.
    load: `load(path) -> Loaded`.
    say: prints a line.

  Yields:
    `reader.Loaded`.
  """
  given, ahead, suspect, damaged = set(), set(), {}, {}
  waits, idle, told = 0, 0.0, False
  while True:
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


def _path(run, step):
  return run / "checkpoints" / str(step)


def _mark(run, step):
  """What tells a step's folder from one that took its place; None: gone."""
  try:
    found = _path(run, step).stat()
  except OSError:
    return None
  return found.st_ino, found.st_mtime_ns


def _total_steps(run):
  """Of a run's config; None until it has begun."""
  if not (run / "config.json").exists():
    return None
  return workdir.load_config(run).get("total_steps")
