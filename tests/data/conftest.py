"""A data set that several modules read, or copy and damage."""

import pytest

from accfm import prepare
from tests.data import fake_source


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """The directory of a data set of 27 windows."""
  return prepare.run(
      fake_source.get_config(), "x", str(tmp_path_factory.mktemp("data")),
      {"fake": fake_source.Fake()},
  )
