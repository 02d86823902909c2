"""Configs by name from any folder, and by path."""

import pathlib

import pytest

from accfm.base import configfiles
from accfm.base.errors import InputError

FOLDER = pathlib.Path(__file__).parents[2] / "configs"


def test_names_are_the_files_with_a_config():
  want = {p.stem for p in FOLDER.glob("*.py")} - {"__init__", "common"}
  assert configfiles.names() == sorted(want)


def test_a_name_is_found_from_any_folder(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  assert configfiles.load("acc_distill:tiny").batch_size == 8


def test_a_name_never_means_a_file_of_the_folder(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  pathlib.Path("acc_mae.py").write_text("def get_config():\n  return 1 / 0\n")
  pathlib.Path("mine.py").write_text("def get_config():\n  return 1 / 0\n")
  assert configfiles.load("acc_mae:tiny").batch_size == 8
  with pytest.raises(InputError, match=r"--config=\./mine\.py"):
    configfiles.load("mine")


def test_a_file_of_ones_own_imports_the_packages(tmp_path):
  path = tmp_path / "mine.py"
  path.write_text(
      "from accfm.configs import acc_mae\n\n"
      "def get_config(arg=None):\n"
      "  c = acc_mae.get_config(arg).unlock()\n"
      "  c.seed = 5\n"
      "  return c.lock()\n"
  )
  got = configfiles.load(f"{path}:tiny")
  assert (got.seed, got.batch_size) == (5, 8)
  assert configfiles.load(str(path)).batch_size == 4096


@pytest.mark.parametrize("text, match", [
    ("acc_maee", "got 'acc_maee', want one of .*; did you mean 'acc_mae'?"),
    ("common", "got 'common', want one of"),
    ("", "got '', want one of"),
    ("configs/acc_maee.py", "no file 'configs/acc_maee.py'.*mean 'acc_mae'?"),
    ("/", "no file '/'"),
    ("acc_mae.py", "no file 'acc_mae.py'"),
])
def test_what_is_not_there_is_one_line(monkeypatch, tmp_path, text, match):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(InputError, match=match) as error:
    configfiles.load(text)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("body, match", [
    ("x = 1\n", "has no function get_config"),
    ("def get_config():\n  return {}\n", "gave a dict, want an ml_collections"),
    ("def get_config():\n  pass\n", "gave a NoneType"),
])
def test_a_file_that_is_no_config(tmp_path, body, match):
  path = tmp_path / "c.py"
  path.write_text(body)
  with pytest.raises(InputError, match=match):
    configfiles.load(str(path))


def test_a_config_without_arguments_takes_none(tmp_path):
  path = tmp_path / "c.py"
  path.write_text(
      "from ml_collections import ConfigDict\n"
      "def get_config():\n  return ConfigDict(dict(a=1))\n"
  )
  assert configfiles.load(str(path)).a == 1
  with pytest.raises(InputError, match="takes no argument"):
    configfiles.load(f"{path}:tiny")


@pytest.mark.parametrize("body, kind", [
    ("return 1 / 0", ZeroDivisionError), ("return {}['x']", KeyError),
    ("return int('x')", ValueError), ("(", SyntaxError),
])
def test_a_bug_in_a_config_keeps_its_own_error(tmp_path, body, kind):
  path = tmp_path / "c.py"
  path.write_text(f"def get_config(arg=None):\n  {body}\n")
  with pytest.raises(kind) as error:
    configfiles.load(str(path))
  assert not isinstance(error.value, InputError)
