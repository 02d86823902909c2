"""The command `accfm`: sub-commands, their list, what is mistyped."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest

from accfm import cli
from accfm.base import extras, plugins
from accfm.base.errors import InputError
from accfm.version import __version__

ROOT = pathlib.Path(__file__).parents[1]


def ended(*arguments):
  with pytest.raises(SystemExit) as error:
    cli.main(list(arguments))
  return error.value.code


def test_every_main_is_a_command():
  for name in cli.COMMANDS:
    module = plugins.load_own(f"accfm.{name}")
    assert module.MAIN.summary and module.MAIN.run is not None
    for config in module.MAIN.usual:
      assert config in cli.configfiles.names()


def test_the_list_says_what_each_does(capsys):
  cli.main(["--help"])
  out = capsys.readouterr().out
  for name in cli.COMMANDS:
    assert f"accfm {name}" in out
  assert "a frozen teacher -> a student" in out


def test_no_command_shows_the_list(capsys):
  assert ended() == 2
  assert capsys.readouterr().err == cli.overview()


@pytest.mark.parametrize("word, want", [
    ("evaluat", "did you mean 'evaluate'?"), ("zzz", "want one of prepare, "),
    ("--workdir=x", "got '--workdir=x'"),
])
def test_an_unknown_command_names_the_nearest(capsys, word, want):
  assert ended(word) == 2
  err = capsys.readouterr().err
  assert want in err and err.count("\n") == 1 and err.startswith("error: ")


def test_version(capsys):
  cli.main(["--version"])
  assert capsys.readouterr().out == f"accfm {__version__}\n"


def test_config_prints_the_names_or_one(capsys):
  cli.main(["config"])
  assert "acc_distill" in capsys.readouterr().out.splitlines()
  cli.main(["config", "acc_mae:tiny"])
  assert "batch_size = 8" in capsys.readouterr().out
  assert ended("config", "acc_maee") == 2
  assert ended("config", "a", "b") == 2


def test_a_missing_package_names_its_extra():
  with pytest.raises(InputError) as error, extras.explained("accfm prepare"):
    raise ModuleNotFoundError("no", name="tensorflow_datasets.core")
  assert str(error.value) == (
      "accfm prepare needs 'tensorflow_datasets', which is not installed: "
      "pip install 'accfm[train]'"
  )
  with pytest.raises(ModuleNotFoundError), extras.explained("x"):
    raise ModuleNotFoundError("no", name="something_else")


def test_a_command_without_its_packages_ends_with_that_line():
  code = (
      "import sys; sys.modules['grain'] = None\n"
      "from accfm import cli\n"
      "cli.main(['pretrain', '--config=acc_mae:tiny', '--workdir=w'])\n"
  )
  done = subprocess.run(
      [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
      check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
  )
  assert done.returncode == 2 and done.stdout == ""
  assert done.stderr == (
      "error: accfm pretrain needs 'grain', which is not installed: "
      "pip install 'accfm[train]'\n"
  )


def test_the_installed_command_is_this_one():
  points = importlib.metadata.entry_points(
      group="console_scripts", name="accfm"
  )
  for point in points:
    assert point.value == "accfm.cli:main"
