"""What a user mistypes on a command line comes back as one line."""

import os
import pathlib
import subprocess
import sys

import pytest
from absl import flags

from accfm.base import mains
from accfm.base.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = "--config=configs/acc_mae.py"
WORKDIR = "--workdir=w"


def parse(*args, monkeypatch, optional=(), switches=None):
  """(values, rest) of a main with --config and --workdir."""
  monkeypatch.chdir(ROOT)
  argv = ["main", *args]
  values = flags.FlagValues()
  mains.define(values, argv, optional, switches, workdir="folder of the run")
  return values, mains.parse(values, argv)


def test_a_good_command_line(monkeypatch):
  values, rest = parse(
      f"{CONFIG}:tiny", WORKDIR, "--config.lr=0.5", "--config.encoder.depth",
      "3", "--config.normalize_target", monkeypatch=monkeypatch,
  )
  config = values["config"].value
  assert rest == ["main"] and values["workdir"].value == "w"
  assert (config.lr, config.encoder.depth, config.batch_size) == (0.5, 3, 8)
  assert config.normalize_target is True


def test_an_optional_flag_may_be_left_out(monkeypatch):
  values, _ = parse(CONFIG, monkeypatch=monkeypatch, optional=("workdir",))
  assert values["workdir"].value == ""


@pytest.mark.parametrize("args, want", [
    ([], False), (["--watch"], True), (["--watch=true"], True),
    (["--nowatch"], False), (["--watch=false"], False),
])
def test_a_switch_is_on_or_off(monkeypatch, args, want):
  values, _ = parse(
      CONFIG, WORKDIR, *args, monkeypatch=monkeypatch,
      switches={"watch": "go on"},
  )
  assert values["watch"].value is want


def test_a_switch_is_not_a_text(monkeypatch):
  with pytest.raises(InputError, match="flag --watch=maybe: ") as error:
    parse(CONFIG, WORKDIR, "--watch=maybe", monkeypatch=monkeypatch,
          switches={"watch": "go on"})
  assert "\n" not in str(error.value)


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
     "config field 'batch_size': got 'abc', want int"),
    ([f"{CONFIG}:encodr=x", WORKDIR],
     "config argument: got 'encodr=x', want one of ['encoder', 'scale']; did "
     "you mean 'encoder'?"),
    (["--config=configs/prepare.py:e5", WORKDIR],
     "config argument source: got 'e5', want one of ('simulated', 'e4', "
     "'ieee_spc')"),
    (["--config=configs/acc_maee.py", WORKDIR],
     "--config: no file 'configs/acc_maee.py', want one such as "
     "configs/ppg_mae.py; did you mean configs/acc_mae.py?"),
    (["--config", "/", WORKDIR, "--config.batch_size=3"],
     "--config: no file '/', want one such as configs/ppg_mae.py"),
    ([WORKDIR], "--config is missing, want --config=... (a file such as "
     "configs/ppg_mae.py)"),
    ([CONFIG], "--workdir is missing, want --workdir=... (folder of the "
     "run)"),
    ([CONFIG, "--wrokdir=w"],
     "flag --wrokdir is unknown; did you mean --workdir?"),
    ([CONFIG, WORKDIR, "more"],
     "command line: got ['more'], want flags such as --workdir=W"),
])
def test_one_line_for_each_mistake(monkeypatch, args, want):
  with pytest.raises(InputError) as error:
    parse(*args, monkeypatch=monkeypatch)
  assert str(error.value) == want


@pytest.mark.parametrize("args", [
    ["--config.batch_size=3", CONFIG, WORKDIR],
    [CONFIG, WORKDIR, "--config.encoder=3"],
    [CONFIG, WORKDIR, "--config.clip_norm="],
    ["--config=", WORKDIR],
])
def test_other_mistakes_are_one_line_too(monkeypatch, args):
  with pytest.raises(InputError) as error:
    parse(*args, monkeypatch=monkeypatch)
  assert "\n" not in str(error.value) and "config" in str(error.value)


@pytest.mark.parametrize("body, kind", [
    ("return 1 / 0", ZeroDivisionError), ("return {}['x']", KeyError),
    ("return int('x')", flags.IllegalFlagValueError), ("(", SyntaxError),
])
def test_a_bug_in_a_config_file_keeps_its_own_error(
    monkeypatch, tmp_path, body, kind
):
  path = tmp_path / "c.py"
  path.write_text(f"def get_config(arg=None):\n  {body}\n")
  with pytest.raises(kind) as error:
    parse(f"--config={path}", WORKDIR, monkeypatch=monkeypatch)
  assert not isinstance(error.value, InputError)


def test_the_command_prints_it_alone(tmp_path):
  done = subprocess.run(
      [sys.executable, "-m", "accfm.evaluate", "--config.sed=3",
       "--checkpoint=c", "--workdir=w"],
      cwd=ROOT, capture_output=True, text=True, timeout=300,
      env={**os.environ, "PYTHONPATH": str(ROOT)},
  )
  assert done.returncode == 2 and done.stdout == ""
  assert done.stderr == (
      "error: config field 'sed' is unknown; did you mean 'seed'?\n"
  )
