"""Batches compared leaf by leaf."""

import numpy as np


def same(a, b):
  """Asserts that two batches hold the same arrays, of the same types."""
  assert a.keys() == b.keys()
  for key in a:
    if isinstance(a[key], dict):
      same(a[key], b[key])
    else:
      assert a[key].dtype == b[key].dtype
      np.testing.assert_array_equal(a[key], b[key])
