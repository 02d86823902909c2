"""Shape checks accept what they should and name what they refuse."""

import itertools

import numpy as np
import pytest

from accfm.base import shapes
from accfm.base.errors import InputError


def accepts(shape, spec):
  """Oracle: does some assignment of sizes to letters give this shape?"""
  words = spec.split()
  if len(words) != len(shape):
    return False
  pairs = list(zip(words, shape, strict=True))
  return all(
      (a == b or not wa == wb) for (wa, a), (wb, b)
      in itertools.product(pairs, pairs)
  ) and all(int(w) == n for w, n in pairs if w.isdigit())


@pytest.mark.parametrize("spec", ["B T 3", "B B", "T", "2 T", ""])
@pytest.mark.parametrize("shape", [
    (), (3,), (2, 2), (2, 3), (4, 4), (4, 5, 3), (4, 3, 5), (3, 3, 3), (0, 0),
])
def test_check_agrees_with_oracle(shape, spec):
  x = np.zeros(shape)
  if accepts(shape, spec):
    shapes.check(x, "x", spec)
  else:
    with pytest.raises(InputError):
      shapes.check(x, "x", spec)


def test_message_says_what_got_want_and_fix():
  with pytest.raises(InputError) as error:
    shapes.check(
        np.zeros((64, 3, 2560)), "acc", "B T 3", "move channels last"
    )
  assert str(error.value) == (
      "acc: got shape [64, 3, 2560], want [B, T, 3]; move channels last"
  )


def test_letters_are_shared_between_arrays():
  acc, ppg = np.zeros((4, 10, 3)), np.zeros((5, 10, 1))
  shapes.check_all([(acc, "acc", "B T 3"), (ppg[:4], "ppg", "B T C")])
  with pytest.raises(InputError, match=r"ppg: .*with \{'B': 4, 'T': 10"):
    shapes.check_all([(acc, "acc", "B T 3"), (ppg, "ppg", "B T C")])
