"""How every main starts: `--config`, its other flags, one error line.

Flags are defined when a main runs, not when it is imported, so that several
mains can be imported into one process. What is wrong with a command line is
said by libraries in many ways; here it becomes one `InputError`.
"""

import difflib
import glob
import os
import re
import sys

from absl import flags
from ml_collections import config_flags

from accfm.base import configlib, errors, quiet
from accfm.base.errors import InputError
from accfm.base.processes import cluster


def start(run, optional=(), config=None, switches=None, several=False,
          **texts):
  """Parses flags and calls `run(config, **flags)`.

  Args:
    run: the main's function.
    optional: names of the flags that may be left out; their value is "".
    config: default path of --config; None makes it required.
    switches: flag -> help text of those that are on or, left out, off.
    several: whether it may run as several processes (see
      `accfm.base.processes.cluster`).
    **texts: flag = help text, all of them text flags.
  """
  switches = switches or {}
  argv = list(sys.argv)
  if config and not config_path(argv):
    argv.insert(1, f"--config={config}")
  define(flags.FLAGS, argv, optional, switches, **texts)

  def main(_):
    quiet.quiet_libraries()
    run(
        flags.FLAGS["config"].value,
        **{name: flags.FLAGS[name].value for name in (*texts, *switches)},
    )

  def read(_):
    if several:
      cluster.start()  # first, so that the others hear of what is wrong
    else:
      cluster.refuse(os.path.basename(argv[0]))
    return cluster.guarded(parse)(flags.FLAGS, argv)

  errors.run_main(cluster.guarded(main, last=True), read)


def define(values, argv, optional=(), switches=None, **texts):
  """Defines --config and the flags of `start` in the FlagValues `values`."""
  config_flags.DEFINE_config_file(
      "config", None, "a file such as configs/ppg_mae.py",
      flag_values=values, sys_argv=argv,
  )
  for name, text in texts.items():
    default = "" if name in optional else None
    flags.DEFINE_string(name, default, text, flag_values=values)
  for name, text in (switches or {}).items():
    flags.DEFINE_bool(name, False, text, flag_values=values)
  for name in ("config", *texts):
    if name not in optional:
      flags.mark_flag_as_required(name, flag_values=values)


def parse(values, argv):
  """Reads the flags of `argv` into `values`.

  Returns:
    `argv` without flags: its first word.

  Raises:
    InputError: anything wrong with flags, the config file's path, its
      argument or an override. What breaks inside a config file keeps its
      own error.
  """
  try:
    rest = values(argv)
    values["config"].value.keys()  # an unreadable file is told on first use
  except (
      flags.Error, AttributeError, LookupError, OSError, TypeError, ValueError
  ) as error:
    message = _explain(error, values, argv)
    if message is None:
      raise
    raise InputError(message) from error
  if len(rest) > 1:
    raise InputError(
        f"command line: got {rest[1:]}, want flags such as --workdir=W"
    )
  return rest


def _explain(error, values, argv):
  """One line for an error of parsing, or None for an error in a config."""
  deepest, cause = None, error
  while cause is not None:
    deepest = cause if isinstance(cause, InputError) else deepest
    cause = cause.__cause__ or cause.__context__
  if deepest is not None:
    return str(deepest)
  path = config_path(argv)
  file = path.partition(":")[0]
  unread = file or isinstance(error, OSError)
  if unread and not os.path.isfile(file):
    near = difflib.get_close_matches(file, glob.glob("configs/*.py"), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return (
        f"--config: no file {file!r}, want one such as configs/ppg_mae.py{hint}"
    )
  return _of_flag(error, values) or _of_field(error, values, path, argv)


def _of_flag(error, values):
  """One line for a missing or an unknown flag, else None."""
  text = " ".join(str(error).split())
  missing = re.match(r"flag --(\w+)=None: Flag --\w+ must have a", text)
  if missing:
    name = missing[1]
    return f"--{name} is missing, want --{name}=... ({values[name].help})"
  if isinstance(error, flags.UnrecognizedFlagError):
    near = difflib.get_close_matches(error.flagname, list(values), n=1)
    hint = f"; did you mean --{near[0]}?" if near else ""
    return f"flag --{error.flagname} is unknown{hint}"
  return None


def _of_field(error, values, path, argv):
  """One line for an unknown or ill-typed override, None if it is neither."""
  text = " ".join(str(error).split())
  if "Error whilst parsing config file" in text:
    return None
  names = [
      found[1] for found in
      (re.match(r"--?(?:no)?config\.([\w.]+)(?:=|$)", arg) for arg in argv)
      if found
  ]
  if path and names:
    config = values["config"].parser.parse(path)
    fields = {}
    for name in names:
      try:
        fields[name] = configlib.field(config, name)
      except InputError as unknown:
        return str(unknown)
    wrong = re.match(r"flag --config\.([\w.]+)=(.*?): ", text)
    if wrong and wrong[1] in fields:
      kind = type(fields[wrong[1]]).__name__
      return f"config field {wrong[1]!r}: got {wrong[2]!r}, want {kind}"
  return text if isinstance(error, flags.Error) else None


def config_path(argv):
  """What follows --config in a command line; "" where it is not there."""
  for i, arg in enumerate(argv):
    found = re.match(r"--?config(?:=(.*))?$", arg)
    if found:
      following = argv[i + 1] if i + 1 < len(argv) else ""
      return following if found[1] is None else found[1]
  return ""
