"""Code is imported by name only where a command names it."""

import sys

import ml_collections
import pytest

from accfm.base import plugins
from accfm.base.errors import InputError


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
  monkeypatch.setattr(plugins, "_named", {})
  monkeypatch.setattr(plugins, "_files", {})


@pytest.fixture
def file(tmp_path):
  path = tmp_path / "nets.py"
  path.write_text("class Net:\n  size = 3\n")
  return path


def test_a_named_file_gives_what_is_asked(file):
  plugins.allow([f"{file}:Net"])
  assert plugins.load(f"{file}:Net", "encoder family").size == 3


def test_a_named_module_gives_itself(monkeypatch, file):
  monkeypatch.syspath_prepend(file.parent)
  plugins.allow(["nets:Net"])
  assert plugins.load("nets:Net", "encoder family").size == 3
  sys.modules.pop("nets")


def test_what_a_file_says_is_not_imported(tmp_path):
  """The file's code would leave a trace."""
  path = tmp_path / "evil.py"
  path.write_text(
      f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
  )
  with pytest.raises(InputError, match=r"--plugins=.*evil.py:Net"):
    plugins.load(f"{path}:Net", "encoder family")
  assert not (tmp_path / "ran").exists()


def test_a_file_is_known_by_its_own_name(file, tmp_path):
  """A record says ./nets.py; today the file lies elsewhere."""
  plugins.allow([f"{file}:Net"])
  assert plugins.load("./nets.py:Net", "encoder family").size == 3
  with pytest.raises(InputError):
    plugins.load("./nets.py:Other", "encoder family")


@pytest.mark.parametrize("name, match", [
    ("no_such_package_at_all:Net", "no module 'no_such_package_at_all'"),
    ("./no_such_file.py:Net", "no file './no_such_file.py'"),
    ("json:no_such_name", "has no 'no_such_name'"),
    ("a b:Net", "want the name of a module"),
])
def test_what_is_not_there_is_one_line(name, match):
  plugins.allow([name])
  with pytest.raises(InputError, match=match) as error:
    plugins.load(name, "encoder family")
  assert "\n" not in str(error.value)


def test_a_plain_word_is_no_plugin():
  with pytest.raises(InputError, match="got 'vit1d'"):
    plugins.allow(["vit1d"])


def test_errors_of_a_plugin_stay_its_own(tmp_path):
  path = tmp_path / "broken.py"
  path.write_text("import no_such_thing_here\n")
  plugins.allow([f"{path}:Net"])
  with pytest.raises(ModuleNotFoundError, match="no_such_thing_here"):
    plugins.load(f"{path}:Net", "encoder family")


def test_fields_of_a_config_name_their_plugins(file):
  config = ml_collections.ConfigDict({
      "encoder": {"family": f"{file}:Net", "width": 3}, "source": "e4",
      "teacher": "./other.py:Net",
  })
  plugins.allow_fields(config)
  assert plugins.load(f"{file}:Net", "encoder family").size == 3
  with pytest.raises(InputError, match="has not named"):
    plugins.load("./other.py:Net", "encoder family")


def test_a_file_runs_once(tmp_path):
  path = tmp_path / "counted.py"
  path.write_text(
      f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).mkdir()\n"
  )  # a second time it would fail
  assert plugins.load_file(path, "x") is plugins.load_file(str(path), "x")
  assert (tmp_path / "ran").is_dir()


def test_own_modules_alone_come_without_a_name():
  assert plugins.load_own("accfm.base.keys").__name__ == "accfm.base.keys"
  with pytest.raises(ValueError):
    plugins.load_own("json")
