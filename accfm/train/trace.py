"""A profiler's trace of some steps, for TensorBoard or Perfetto.

`--config.profile_steps=10:13` traces steps 10 to 13 into WORKDIR/profile. The
device finishes all earlier steps before the trace begins, and these before it
ends, so the trace holds these steps and no others.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax

from accfm.base.errors import InputError


def parse(text: str, total_steps: int) -> tuple[int, int] | None:
  """(first, last) of "first:last", steps from 1 on; None for "".

  Raises:
    InputError: the text is not a range, or the run has no such steps.
  """
  if not text:
    return None
  found = re.fullmatch(r"(\d+):(\d+)", text)
  first, last = map(int, found.groups()) if found else (0, 0)
  if not 1 <= first <= last <= total_steps:
    raise InputError(
        f"profile_steps: got {text!r}, want first:last such as 10:13, within "
        f"1:{total_steps}"
    )
  return first, last


class Trace:
  """Traces a range of a run's steps, in process 0 alone."""

  def __init__(
      self, workdir: str | os.PathLike, steps: tuple[int, int] | None
  ):
    """`steps`: as from `parse`."""
    self.folder = pathlib.Path(workdir) / "profile"
    self._steps = steps if jax.process_index() == 0 else None
    self._on = False

  @contextlib.contextmanager
  def step(self, step: int, state: Any) -> Iterator[None]:
    """Around the call of a step that starts from `state`."""
    first, last = self._steps or (0, 0)
    if first <= step <= last and not self._on:
      jax.block_until_ready(state)
      jax.profiler.start_trace(self.folder)
      self._on = True
    if not self._on:
      yield
      return
    with jax.profiler.StepTraceAnnotation("train", step_num=step):
      yield

  def end(self, step: int, state: Any, say: Callable[[str], None]) -> None:
    """After the call: writes the trace if `step` was its last one."""
    first, last = self._steps or (0, 0)
    if self._on and step == last:
      jax.block_until_ready(state)
      self.close()
      say(f"profile of steps {first} to {step}: {self.folder}")

  def close(self) -> None:
    """Writes what was traced so far, if a trace is under way."""
    if self._on:
      self._on = False
      jax.profiler.stop_trace()
