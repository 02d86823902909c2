"""Worker processes that end with their parent, and never speak for it.

They do not hear Ctrl-C; their parent does, and ends them at once. Whatever
they write is whole or absent, so nothing waits for them.
"""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from accfm.base import interrupts
from accfm.base.errors import InputError

GRACE_S = 1.0  # between the end of a worker and a signal for the whole job


def run(
    function: Callable[[str, Any, Any], Any], work: Mapping[str, Any],
    job: Any, workers: int,
) -> Iterator[tuple[str, Any]]:
  """Yields (name, function(name, job, work[name])) as they are done.

  Args:
    function, job: a new process must be able to import, or unpickle, them.
    work: name of each piece of work -> what only that piece needs.
    workers: number of processes.

  Raises:
    InputError: as `function`, or a worker was killed.
    interrupts.Interrupted: a signal came.
  """
  theirs, ours = multiprocessing.Pipe(duplex=False)
  # Spawned, not forked: forking a process with threads (JAX's, if a caller has
  # imported it) may hang.
  with concurrent.futures.ProcessPoolExecutor(
      workers, mp_context=multiprocessing.get_context("spawn"),
      initializer=_end_with_parent, initargs=(theirs,),
  ) as executor:
    try:
      with interrupts.kept_from_children():
        futures = {
            executor.submit(function, name, job, own): name
            for name, own in work.items()
        }
      pending = set(futures)
      while pending:
        done, pending = concurrent.futures.wait(
            pending, interrupts.LOOK_S, concurrent.futures.FIRST_COMPLETED
        )
        interrupts.check()
        for future in done:
          yield futures[future], future.result()
    except concurrent.futures.process.BrokenProcessPool:
      interrupts.wait(GRACE_S)
      raise InputError(
          f"prepare: one of {workers} worker processes was killed, perhaps "
          "for want of memory; run again with --config.workers=1"
      ) from None
    except BaseException as error:
      if not isinstance(error, Exception):
        ours.close()  # what they are at is not waited for
      raise
    finally:
      executor.shutdown(cancel_futures=True)
      for end in (theirs, ours):
        end.close()


def _end_with_parent(stop: Any) -> None:
  """Ends this worker when its parent says so or dies; else it would wait.

  Args:
    stop: the end of a pipe whose other end is the parent's.
  """
  parent = multiprocessing.parent_process()
  assert parent is not None

  def wait():
    multiprocessing.connection.wait([parent.sentinel, stop])
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
