"""Known faults, put into accfm as its modules are imported.

Each is a mistake that accfm does not make: chaos has to find it. A plant
whose place is gone fails at once, so that none is passed over in silence.
"""

import dataclasses
import fcntl
import importlib.abc
import importlib.machinery
import os
import signal
import sys


def lose_rows(module):
  """The last row that a resume keeps in metrics.jsonl is dropped."""
  replace = module.replace

  def losing(source, target, **how):
    if os.fspath(target).endswith("metrics.jsonl"):
      with open(source) as f:
        lines = f.readlines()
      with open(source, "w") as f:
        f.writelines(lines[:-1])
    replace(source, target, **how)

  module.replace = losing


def ignore_locks(module):
  """Every lock is given to everybody."""
  module.flock = module.lockf = lambda *unused: None


def ignore_ctrl_c(module):
  """Ctrl-C does nothing, whoever asks for it."""
  setter = module.signal
  setter(module.SIGINT, module.SIG_IGN)
  module.signal = lambda number, handler: (
      module.SIG_IGN if number == module.SIGINT else setter(number, handler)
  )


def run_code(module):
  """A module that lies in the current folder is imported."""
  del module
  if os.path.exists("chaos_named.py"):
    import chaos_named  # noqa: F401


def trust_arrays(module):
  """Checksums of a checkpoint are not compared."""
  assert callable(module.verify)
  module.verify = lambda path: None


def trust_data(module):
  """A run resumes on whatever data there are."""
  assert callable(module.check_same_data)
  module.check_same_data = lambda *unused, **names: None


def nudge_restored(module):
  """A resume changes the parameters by a millionth."""
  restore = module.Checkpoints.restore

  def nudging(self, *args, **how):
    import jax
    step, state, frozen = restore(self, *args, **how)
    params = jax.tree.map(lambda x: x * (1 + 1e-6), state.params)
    return step, dataclasses.replace(state, params=params), frozen

  module.Checkpoints.restore = nudging


def forget_window(module):
  """Of a recording that was staged before a kill one window is forgotten."""
  finished = module.finished

  def forgetting(*args, **how):
    summary = finished(*args, **how)
    if summary is not None and summary.get("windows", 0) > 1:
      summary = {**summary, "windows": summary["windows"] - 1}
    return summary

  module.finished = forgetting


def show_traceback(module):
  """A manifest that is no JSON ends in a traceback."""
  load = module.load

  def bare(*args, **how):
    try:
      return load(*args, **how)
    except ValueError as error:
      raise KeyError("manifest") from error

  module.load = bare


# name -> (module, what is put into it)
PLANTS = {
    "a row of metrics.jsonl is lost": ("os", lose_rows),
    "locks are given to everybody": ("fcntl", ignore_locks),
    "Ctrl-C is ignored": ("signal", ignore_ctrl_c),
    "code of the current folder is imported": (
        "accfm.data.manifest", run_code),
    "checksums are not compared": (
        "accfm.train.checkpoints.folder", trust_arrays),
    "data are not compared on resume": ("accfm.train.resume", trust_data),
    "parameters change on resume": (
        "accfm.train.checkpoints.saver", nudge_restored),
    "a staged window is forgotten": ("accfm.data.staging", forget_window),
    "a damaged manifest shows a traceback": (
        "accfm.data.manifest", show_traceback),
}
HERE = {"os": os, "fcntl": fcntl, "signal": signal}


class Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Loads one module as usual, then puts a fault into it."""

  def __init__(self, name, put):
    self._name, self._put, self._loader = name, put, None

  def find_spec(self, name, path, target=None):
    """The spec of the one module; None for all others."""
    if name != self._name:
      return None
    spec = importlib.machinery.PathFinder.find_spec(name, path, target)
    self._loader, spec.loader = spec.loader, self
    return spec

  def create_module(self, spec):
    """As usual."""
    return self._loader.create_module(spec)

  def exec_module(self, module):
    """As usual, and the fault."""
    self._loader.exec_module(module)
    self._put(module)


def plant(name):
  """Puts a fault into this process."""
  module, put = PLANTS[name]
  if module in HERE:
    put(HERE[module])
  elif module in sys.modules:
    put(sys.modules[module])
  else:
    sys.meta_path.insert(0, Planter(module, put))
