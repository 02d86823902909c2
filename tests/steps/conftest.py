"""Weights of every objective without compiling initialisers."""

import pytest

from accfm.steps import nets
from tests.models import fresh


@pytest.fixture(autouse=True)
def _quick_start(monkeypatch):
  """Weights without compiling initialisers."""
  monkeypatch.setattr(
      nets, "init",
      lambda module, seed, name, *inputs: fresh.variables(
          module, *inputs, seed=len(name)
      ),
  )
