"""Shape checks at the edges, in the project's fixed letters.

B batch, T samples, C channels, L patches, D embedding. A digit in a spec is
a fixed size; equal letters must have equal sizes within one `check_all`.
"""

from collections.abc import Iterable
from typing import Any

from accfm.base.errors import InputError


def check(x: Any, name: str, spec: str, fix: str = "") -> None:
  """Checks `x.shape` against `spec`, e.g. `check(acc, "acc", "B T 3")`.

  Args:
    x: anything with a `.shape`.
    name: what the message calls it.
    spec: one word per axis: a letter (any size) or a number (that size).
    fix: what the reader should do, added to the message.

  Raises:
    InputError: the number of axes or a fixed size differs.
  """
  check_all([(x, name, spec)], fix)


def check_all(
    triples: Iterable[tuple[Any, str, str]], fix: str = ""
) -> None:
  """As `check` for several `(x, name, spec)`, letters shared between them."""
  triples, sizes = list(triples), {}
  for x, name, spec in triples:
    words = spec.split()
    shape = tuple(x.shape)
    good = len(words) == len(shape)
    for word, size in zip(words, shape, strict=True) if good else ():
      want = int(word) if word.isdigit() else sizes.setdefault(word, size)
      good = good and want == size
    if not good:
      known = {w: sizes[w] for w in words if w in sizes}
      where = f" with {known}" if known and len(triples) > 1 else ""
      tail = f"; {fix}" if fix else ""
      raise InputError(
          f"{name}: got shape {list(shape)}, want [{', '.join(words)}]"
          f"{where}{tail}"
      )
