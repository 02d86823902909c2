"""A workdir belongs to one config."""

import json

import ml_collections
import pytest

from accfm.base.errors import InputError
from accfm.train import workdir
from accfm.version import __version__


def config(**overrides):
  fields = dict(lr=0.1, log_every=10, optim=dict(b1=0.9, workers=2), k=(1, 2))
  return ml_collections.ConfigDict({**fields, **overrides})


def test_first_run_writes_the_config_and_the_same_one_may_return(tmp_path):
  path = workdir.claim(tmp_path / "a" / "b", config())
  stored = json.loads((path / "config.json").read_text())
  assert stored["config"]["optim"] == {"b1": 0.9, "workers": 2}
  assert len(stored["digest"]) == 16 and stored["code_version"]
  before = (path / "config.json").read_bytes()
  workdir.claim(path, config())
  assert (path / "config.json").read_bytes() == before
  assert workdir.load_config(path)["lr"] == 0.1


def test_another_config_is_refused_with_its_differences(tmp_path):
  workdir.claim(tmp_path, config())
  with pytest.raises(InputError) as error:
    workdir.claim(tmp_path, config(lr=0.2, optim=dict(b1=0.8, workers=2)))
  text = str(error.value)
  assert "lr: 0.1 -> 0.2" in text and "optim.b1: 0.9 -> 0.8" in text
  assert "\n" not in text and "log_every" not in text


def test_volatile_fields_may_differ_at_any_depth(tmp_path):
  workdir.claim(tmp_path, config())
  workdir.claim(tmp_path, config(log_every=1, optim=dict(b1=0.9, workers=8)))
  with pytest.raises(InputError, match="log_every: 10 -> 1"):
    workdir.claim(tmp_path, config(log_every=1), volatile=())


@pytest.mark.parametrize("text", ["", "{", '{"config": 3}', "[]"])
def test_a_torn_config_is_named(tmp_path, text):
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(InputError, match="config.json: (not valid JSON|got )"):
    workdir.claim(tmp_path, config())


def test_checkpoints_without_a_config_are_refused(tmp_path):
  (tmp_path / "checkpoints" / "4").mkdir(parents=True)
  with pytest.raises(InputError, match="without a config.json"):
    workdir.claim(tmp_path, config())


def test_a_file_in_the_way_is_refused(tmp_path):
  (tmp_path / "w").write_text("")
  with pytest.raises(InputError, match="got a file"):
    workdir.claim(tmp_path / "w", config())
  with pytest.raises(InputError, match="cannot be written"):
    workdir.claim(tmp_path / "w" / "inner", config())


def test_a_run_that_began_before_a_field_existed_goes_on(tmp_path):
  workdir.claim(tmp_path, config())
  new = dict(optimizer="adamw", lr_multipliers=(), decay_patterns=())
  workdir.claim(tmp_path, config(**new))
  with pytest.raises(InputError, match="optimizer: 'adamw' -> 'lion'"):
    workdir.claim(tmp_path, config(**{**new, "optimizer": "lion"}))
  with pytest.raises(InputError, match="another: .* -> 1"):
    workdir.claim(tmp_path, config(another=1))
  inner = dict(b1=0.9, workers=2, preset="acc")
  workdir.claim(tmp_path, config(optim=inner, objective="mae"))


def edit(path, **fields):
  """Changes fields of a workdir's config.json; None removes one."""
  found = json.loads((path / "config.json").read_text())
  found = {k: v for k, v in {**found, **fields}.items() if v is not None}
  (path / "config.json").write_text(json.dumps(found))


@pytest.mark.parametrize("fields", [
    dict(config=config(lr=0.2).to_dict()), dict(digest="0" * 16),
    dict(digest=3), dict(digest=None), dict(volatile=["lr"]),
    dict(volatile="lr"), dict(volatile=[[]]), dict(volatile=3),
])
def test_an_edited_config_is_refused_by_its_digest(tmp_path, fields):
  """Also where the command's config is edited alike."""
  workdir.claim(tmp_path, config())
  edit(tmp_path, **fields)
  for lr in (0.1, 0.2):
    with pytest.raises(InputError, match=r"config.json: its config is not the "
                       "one that the run began with") as error:
      workdir.claim(tmp_path, config(lr=lr))
    assert "\n" not in str(error.value)


def test_a_volatile_field_may_be_edited(tmp_path, capsys):
  workdir.claim(tmp_path, config())
  edit(tmp_path, config=config(log_every=99).to_dict())
  workdir.claim(tmp_path, config())
  assert capsys.readouterr().err == ""


def test_a_config_of_older_code_is_warned_of(tmp_path, capsys):
  """It did not say which fields its digest leaves out."""
  workdir.claim(tmp_path, config())
  edit(tmp_path, volatile=None)
  workdir.claim(tmp_path, config())
  assert capsys.readouterr().err == ""
  edit(tmp_path, digest="0" * 16)
  workdir.claim(tmp_path, config())
  said = capsys.readouterr().err
  assert said.count("\n") == 1 and "does not fit its digest" in said


@pytest.mark.parametrize("version", ["0.0.9", 3, [["x"] * 99], None])
def test_another_code_version_is_said_in_one_line(tmp_path, capsys, version):
  workdir.claim(tmp_path, config())
  edit(tmp_path, code_version=version)
  workdir.claim(tmp_path, config())
  said = capsys.readouterr().err
  assert said.startswith(f"warning: {tmp_path / 'config.json'}: accfm ")
  assert said.count("\n") == 1 and len(said) < 400
  assert str(version)[:40] in said and __version__ in said
