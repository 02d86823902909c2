"""How every main starts: `--config`, its other flags, one error line.

Flags are defined when a main runs, not when it is imported, so that several
mains can be imported into one process.
"""

from absl import flags, logging
from ml_collections import config_flags

from accfm.base import errors


def start(run, optional=(), config=None, **texts):
  """Parses flags and calls `run(config, **flags)`.

  Args:
    run: the main's function.
    optional: names of the flags that may be left out; their value is "".
    config: default path of --config; None makes it required.
    **texts: flag = help text, all of them text flags.
  """
  config_flag = config_flags.DEFINE_config_file("config", config)
  for name, text in texts.items():
    flags.DEFINE_string(name, "" if name in optional else None, text)
    if name not in optional:
      flags.mark_flag_as_required(name)
  if config is None:
    flags.mark_flag_as_required("config")

  def main(argv):
    if len(argv) > 1:
      raise errors.InputError(
          f"command line: got {argv[1:]}, want flags such as --workdir=W"
      )
    logging.set_verbosity(logging.WARNING)  # libraries narrate at INFO
    run(
        config_flag.value,
        **{name: flags.FLAGS[name].value for name in texts},
    )

  errors.run_main(main)
