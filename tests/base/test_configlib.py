"""Config arguments are typed, and a wrong one is answered with the right."""

import json

import ml_collections
import pytest

from accfm.base import configlib
from accfm.base.errors import InputError

DEFAULTS = dict(encoder="vit_s", tiny=False, steps=10, lr=1e-3, teacher=None)


def parse(arg):
  return configlib.parse(arg, **DEFAULTS).to_dict()


def test_no_argument_gives_the_defaults():
  assert parse(None) == parse("") == DEFAULTS


@pytest.mark.parametrize("arg, changed", [
    ("tiny", {"tiny": True}),
    ("tiny=false", {"tiny": False}),
    ("tiny=1,steps=3", {"tiny": True, "steps": 3}),
    ("lr=2e-4", {"lr": 2e-4}),
    ("encoder=cnn,teacher=a/b=c", {"encoder": "cnn", "teacher": "a/b=c"}),
    ("steps=3,steps=4", {"steps": 4}),
])
def test_values_take_the_type_of_the_default(arg, changed):
  got = parse(arg)
  assert got == DEFAULTS | changed
  assert all(type(got[name]) is type(changed[name]) for name in changed)


@pytest.mark.parametrize("arg, words", [
    ("tinny", ["'tinny'", "did you mean 'tiny'"]),
    ("encodr=x", ["'encodr=x'", "did you mean 'encoder'"]),
    ("zzz=1", ["'zzz=1'", "'steps'"]),
    ("encoder", ["'encoder'"]),
    ("steps=many", ["steps", "'many'", "int"]),
    ("steps=1.5", ["steps", "'1.5'", "int"]),
    ("tiny=maybe", ["tiny", "'maybe'", "true/false"]),
])
def test_wrong_arguments_are_named(arg, words):
  with pytest.raises(InputError) as error:
    parse(arg)
  message = str(error.value)
  assert "\n" not in message
  assert [word for word in words if word not in message] == []


def test_a_bare_word_fills_the_positional_field():
  got = configlib.parse("e4,tiny", positional="source", source="", tiny=False)
  assert got.to_dict() == {"source": "e4", "tiny": True}


def tree():
  return ml_collections.ConfigDict(
      {"optim": {"lr": 1e-3, "steps": 5}, "seed": 0}
  )


def test_update_sets_nested_fields():
  config = configlib.update(tree(), {"optim.lr": 0.5, "seed": 3})
  assert config.to_dict() == {"optim": {"lr": 0.5, "steps": 5}, "seed": 3}


@pytest.mark.parametrize("path, words", [
    ("sed", ["'sed'", "did you mean 'seed'"]),
    ("optim.l", ["'optim.l'", "did you mean 'optim.lr'"]),
    ("optm.lr", ["'optm.lr'", "did you mean 'optim'"]),
])
def test_update_refuses_unknown_fields(path, words):
  config = tree()
  with pytest.raises(InputError) as error:
    configlib.update(config, {path: 1})
  assert [word for word in words if word not in str(error.value)] == []
  assert config == tree()


def test_json_round_trip_gives_the_same_locked_config():
  config = tree()
  config.band_hz = (0.5, 8.0)
  again = configlib.from_json(configlib.to_json(config))
  assert again.is_locked
  assert configlib.to_json(again) == configlib.to_json(config)
  with pytest.raises(AttributeError):
    again.new_field = 1


def test_digest_ignores_order_and_sees_every_value():
  base = {"a": 1, "b": {"c": [1, 2], "d": "x"}}
  turned = json.loads('{"b": {"d": "x", "c": [1, 2]}, "a": 1}')
  assert configlib.digest(base) == configlib.digest(turned)
  others = [
      {"a": 2, "b": base["b"]},
      {"a": 1, "b": {"c": [2, 1], "d": "x"}},
      {"a": 1, "b": {"c": [1, 2], "d": "y"}},
      {"a": 1, "b": {"c": [1, 2]}},
  ]
  assert len({configlib.digest(x) for x in [base, *others]}) == 5


def test_differences_name_the_fields():
  old = {"a": 1, "b": {"c": 2, "d": 3}, "only_old": 0}
  new = {"a": 1, "b": {"c": 5, "d": 3}, "only_new": "x"}
  assert configlib.differences(old, new) == [
      "b.c: 2 -> 5",
      "only_new: '(absent)' -> 'x'",
      "only_old: 0 -> '(absent)'",
  ]
  assert configlib.differences(old, old) == []
