"""`fuzz(parser, strategy, check)`: a handful of cases, or hundreds."""

import os
import pathlib

import pytest

from tests.fuzz import judge as judges

FEW, MANY = 12, 200


@pytest.fixture(params=[
    pytest.param(FEW, id="few"),
    pytest.param(MANY, id="many", marks=pytest.mark.full),
])
def fuzz(request, tmp_path, monkeypatch):
  """Runs cases in a folder that is the current one, as a command's is.

  `ACCFM_FUZZ_SEED` gives other cases, `ACCFM_FUZZ_CASES` another number of
  the many, and `ACCFM_FUZZ_REPORT` a file for a line of each fault.
  """
  folder = tmp_path / "here"
  folder.mkdir()
  monkeypatch.chdir(folder)
  monkeypatch.syspath_prepend(folder)  # as `python -m` does
  many = request.param == MANY
  count = int(os.environ.get("ACCFM_FUZZ_CASES", MANY)) if many else FEW

  def run(strategy, check):
    judge = judges.Judge(request.node.originalname, pathlib.Path(folder))
    judges.run(
        judge, strategy, check, count,
        int(os.environ.get("ACCFM_FUZZ_SEED", 0)),
        os.environ.get("ACCFM_FUZZ_REPORT"),
    )

  return run
