"""Weights of every objective without compiling initialisers."""

import pytest

from tests.models import fresh


@pytest.fixture(autouse=True)
def _quick_start():
  """Weights without compiling initialisers."""
  with fresh.initialisers():
    yield
