"""--help says flags, arguments, and each field with value and comment."""

import re

import pytest

from accfm.base import configfiles, fielddocs, helptext
from accfm.base.commandline import Flag
from accfm.base.errors import InputError


def test_help_of_a_main():
  text = helptext.of_main(
      "accfm run", "Main: one -> two.\n\nMore.", (
          Flag("workdir", "folder of the run"), Flag("watch", "go on", False),
          Flag("out", "a path", ""),
      ), "acc_distill:tiny", ("acc_distill",),
  )
  assert "accfm run --config=NAME[:ARGUMENT] --workdir=WORKDIR" in text
  assert re.search(r"--watch +go on \(a switch\)", text)
  assert re.search(r"--out +a path \(may be left out\)", text)
  assert "scale='tiny'" in text and "lambda=0.5" in text
  assert re.search(r"temperature = 0\.04", text)


def test_an_unknown_config_is_said_inside_the_help():
  text = helptext.of_main("accfm x", "Doc.", (), "acc_distil", ())
  assert "did you mean 'acc_distill'?" in text


def test_a_config_alone():
  text = helptext.of_config("evaluate:tiny")
  assert "pools = (8,)" in text and "tiny" in text
  with pytest.raises(InputError):
    helptext.of_config("evaluatee")


@pytest.mark.parametrize("name", configfiles.names())
def test_every_config_loads_at_its_default_scale(name):
  assert "Fields (--config.FIELD=VALUE):" in helptext.of_config(name)


def test_a_study_shows_its_runs_and_no_more():
  text = helptext.of_config("study:tiny")
  assert "runs.distilled = ..." in text
  assert text.count("\n") < 200


CODE = '''
"""Doc."""
c = object()
c.plain = 1
# above
c.first = 2
c.second = 3  # beside
# two
# lines
c.third = dict(
    inner=4,  # in a call
    other={"key": 5},  # of a key
)


class Net:
  """A net.

  Attributes:
    width, depth: of its blocks,
      each.
    rate: of dropout.

  Notes: none.
  """
'''


def test_comments_of_a_file(tmp_path):
  path = tmp_path / "c.py"
  path.write_text(CODE)
  assert fielddocs.comments(path) == {
      "first": "above", "second": "beside", "third": "two lines",
      "inner": "in a call", "other": "of a key", "key": "of a key",
      # A keyword is also known by what it is a part of.
      "third.inner": "in a call", "third.other": "of a key",
      "width": "of its blocks, each.", "depth": "of its blocks, each.",
      "rate": "of dropout.",
  }


@pytest.mark.parametrize("place", [
    *(name for name in configfiles.names() if name != "prepare"),
    "prepare:simulated", "prepare:e4", "prepare:ieee_spc",
])
def test_every_field_has_a_meaning(place):
  module = configfiles.module(place.partition(":")[0])
  assert not [
      path for path, _, meaning in
      fielddocs.lines(configfiles.load(place), module)
      if not meaning and not path.startswith("runs.")
  ]


def test_a_group_is_explained_by_its_own_file():
  config = configfiles.load("acc_distill")
  found = {
      path: meaning for path, _, meaning in
      fielddocs.lines(config, configfiles.module("acc_distill"))
  }
  assert found["encoder.patch"].startswith("samples per token")
  assert found["teacher_encoder.remat"] == found["encoder.remat"] != ""
  assert found["head.hidden"].startswith("width of the hidden layer")
  assert found["cache_mb"]  # of a config that this one imports
