"""The columns of a stored row: their names, shapes and types.

Writing gives them to TFDS, and reading compares the description that lies
beside the shards with them. So nothing of that description decides how a row
is read.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from accfm.signals.contract import Contract

SCALAR = "scalar"  # a float32, as a number
BYTES = "bytes"  # an array, as its raw bytes
TEXT = "text"


@dataclasses.dataclass(frozen=True)
class Column:
  """One column.

  Attributes:
    kind: `SCALAR`, `BYTES` or `TEXT`.
    dtype: of an array or number, such as "int16".
    shape: of an array.
  """

  kind: str
  dtype: str = ""
  shape: tuple[int, ...] = ()


def of_row(
    contract: Contract, labels: Iterable[str], attributes: Iterable[str]
) -> dict[str, Column]:
  """{name: Column} of a row; "/" joins the names of a group and its column.

  Args:
    contract: of the data set.
    labels: names of its labels.
    attributes: names of its facts about people.
  """
  number = Column(SCALAR, "float32")
  columns = {}
  for name, spec in contract.signals.items():
    columns[f"{name}/values"] = Column(
        BYTES, "int16", (contract.length(name), spec.channels)
    )
    columns[f"{name}/scale"] = Column(BYTES, "float32", (spec.channels,))
  return {
      **columns,
      "participant": Column(TEXT),
      "session": Column(TEXT),
      "condition": Column(TEXT),
      "start_s": Column(BYTES, "float64"),
      "motion_g": number,
      **{f"labels/{name}": number for name in labels},
      **{f"attributes/{name}": number for name in attributes},
  }


def nested(columns: Mapping[str, Column]) -> dict:
  """{"acc": {"values": Column, ...}, ...} of {"acc/values": Column, ...}."""
  out: dict = {}
  for name, column in columns.items():
    group, _, inner = name.rpartition("/")
    (out.setdefault(group, {}) if group else out)[inner] = column
  return out
