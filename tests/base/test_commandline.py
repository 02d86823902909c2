"""What a user mistypes on a command line comes back as one line."""

import pytest

from accfm.base import commandline
from accfm.base.commandline import Flag
from accfm.base.errors import InputError

CONFIG = "--config=acc_mae"
WORKDIR = "--workdir=w"
FLAGS = (Flag("workdir", "folder of the run"),)
WATCH = (*FLAGS, Flag("watch", "go on", False))


def parse(*args, flags=FLAGS, **more):
  return commandline.parse(args, flags, **more)


def test_a_good_command_line():
  got = parse(
      f"{CONFIG}:tiny", WORKDIR, "--config.lr=0.5", "--config.encoder.depth",
      "3", "--config.normalize_target",
  )
  config = got.config
  assert got.flags == {"workdir": "w"} and got.place == "acc_mae:tiny"
  assert (config.lr, config.encoder.depth, config.batch_size) == (0.5, 3, 8)
  assert config.normalize_target is True


def test_the_order_of_flags_does_not_matter():
  got = parse("--config.seed=3", WORKDIR, "--config", "acc_mae:tiny")
  assert (got.config.seed, got.flags["workdir"]) == (3, "w")


def test_a_flag_that_may_be_left_out():
  flags = (Flag("workdir", "folder of the run", ""),)
  assert parse(CONFIG, flags=flags).flags == {"workdir": ""}


def test_a_main_may_have_a_usual_config():
  got = parse(WORKDIR, "--config.seed=4", default="evaluate:tiny")
  assert got.config.batch_size == 16 and got.config.seed == 4


@pytest.mark.parametrize("args, want", [
    ([], False), (["--watch"], True), (["--watch=true"], True),
    (["--nowatch"], False), (["--watch=false"], False),
])
def test_a_switch_is_on_or_off(args, want):
  assert parse(CONFIG, WORKDIR, *args, flags=WATCH).flags["watch"] is want


def test_plugins_are_names_with_commas_between():
  got = parse(CONFIG, WORKDIR, "--plugins=./a.py:Net,pkg.b")
  assert got.plugins == ("./a.py:Net", "pkg.b")


def test_help_wants_nothing_else():
  assert parse("--help").help
  assert parse("--config=acc_mae", "-h").place == "acc_mae"


def test_flags_of_other_libraries_are_handed_on():
  got = parse(CONFIG, WORKDIR, "--v=1", others={"v"})
  assert got.rest == ("--v=1",)


@pytest.mark.parametrize("args, want", [
    ([CONFIG, WORKDIR, "--config.batchsize=3"],
     "config field 'batchsize' is unknown; did you mean 'batch_size'?"),
    ([CONFIG, WORKDIR, "--config.encoder.widht=3"],
     "config field 'encoder.widht' is unknown; did you mean "
     "'encoder.width'?"),
    ([CONFIG, WORKDIR, "--config.seed.x=3"],
     "config field 'seed.x': 'seed' is a plain value, want no field 'x' of "
     "it"),
    ([CONFIG, WORKDIR, "--config.batch_size=abc"],
     "config field 'batch_size': got 'abc', want a whole number"),
    ([CONFIG, WORKDIR, "--config.clip_norm="],
     "config field 'clip_norm': got '', want a number"),
    ([CONFIG, WORKDIR, "--config.normalize_target=maybe"],
     "config field 'normalize_target': got 'maybe', want true or false"),
    ([CONFIG, WORKDIR, "--config.order=3"],
     "config field 'order': got '3' for a group of fields, want one of "
     "order.block, order.lanes, order.window"),
    ([CONFIG, WORKDIR, "--config.lr"],
     "config field 'lr': got no value, want --config.lr=VALUE"),
    ([CONFIG, WORKDIR, "--noconfig.lr"],
     "flag --noconfig.lr: want --config.lr=VALUE"),
    ([f"{CONFIG}:encodr=x", WORKDIR],
     "config argument: got 'encodr=x', want one of ['encoder', 'scale']; did "
     "you mean 'encoder'?"),
    (["--config=prepare:e5", WORKDIR],
     "config argument source: got 'e5', want one of ('simulated', 'e4', "
     "'ieee_spc', 'embraceplus', 'cwa', 'geneactiv', 'gt3x'), or a file of "
     "your own such as ./watch.py"),
    ([WORKDIR], "--config is missing, want --config=... (a config's name, or "
     "the path of one of your own)"),
    (["--config=", WORKDIR], "--config is missing, want --config=... (a "
     "config's name, or the path of one of your own)"),
    ([WORKDIR, "--config.lr=3"], "--config is missing, want --config=... (a "
     "config's name, or the path of one of your own)"),
    ([CONFIG], "--workdir is missing, want --workdir=... (folder of the "
     "run)"),
    ([CONFIG, "--workdir"],
     "--workdir: got nothing, want --workdir=... (folder of the run)"),
    ([CONFIG, "--wrokdir=w"],
     "flag --wrokdir is unknown; did you mean --workdir?"),
    ([CONFIG, WORKDIR, "more"],
     "command line: got 'more', want flags such as --workdir=W"),
    ([CONFIG, WORKDIR, "--noworkdir"],
     "flag --noworkdir is unknown; did you mean --workdir?"),
])
def test_one_line_for_each_mistake(args, want):
  with pytest.raises(InputError) as error:
    parse(*args)
  assert str(error.value) == want


def test_a_switch_is_not_a_text():
  with pytest.raises(InputError) as error:
    parse(CONFIG, WORKDIR, "--watch=maybe", flags=WATCH)
  assert str(error.value) == (
      "flag --watch: got 'maybe', want --watch or --nowatch"
  )
