"""What a number about a person can be: one table of names and ranges.

Every number of a recording or of a file of labels is stored as float32, so it
has to fit; NaN stands for unknown. Names that the table has not, such as
`target_*`, may hold any such number.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from accfm.base.errors import InputError

FLOAT32 = float(np.finfo(np.float32).max)

# Name -> (lowest, highest), both possible. The widest that was ever recorded
# of adults and children, with some room.
RANGES = {
    "age_years": (0.0, 130.0),
    "bmi": (5.0, 250.0),
    "height_cm": (30.0, 280.0),
    "height_m": (0.3, 2.8),
    "weight_kg": (0.3, 700.0),
    "hr_bpm": (10.0, 300.0),
    "device_hr_bpm": (10.0, 300.0),
    "sdnn_ms": (0.0, 10_000.0),
    "rmssd_ms": (0.0, 10_000.0),
}
# Name -> the values that it can have, and what they mean.
CODES = {"sex": {0.0: "female", 1.0: "male"}}


def wanted(name: str) -> str:
  """What a number of this name can be, in words."""
  if name in CODES:
    known = " or ".join(f"{v:g} ({what})" for v, what in CODES[name].items())
    return f"{known}, or NaN for unknown"
  low, high = RANGES.get(name, (-FLOAT32, FLOAT32))
  return f"{low:.4g} to {high:.4g}, or NaN for unknown"


def possible(name: str, values: Any) -> np.ndarray:
  """[N] bool: which numbers can be of this name; unknown ones can.

  Args:
    name: of an attribute, a track or a label.
    values: [N] floats, NaN where unknown.
  """
  values = np.asarray(values, np.float64)
  unknown = np.isnan(values)
  if name in CODES:
    return unknown | np.isin(values, list(CODES[name]))
  low, high = RANGES.get(name, (-FLOAT32, FLOAT32))
  return unknown | ((values >= low) & (values <= high))


def check(name: str, values: Any, where: str) -> None:
  """Raises InputError for the first number [N] that cannot be of this name."""
  values = np.atleast_1d(np.asarray(values, np.float64))
  bad = np.flatnonzero(~possible(name, values))
  if len(bad):
    at = f"[{bad[0]}]" if len(values) > 1 else ""
    raise InputError(
        f"{where} {name}{at}: got {values[bad[0]]:g}, want {wanted(name)}"
    )


def check_attributes(attributes: Mapping[str, Any], where: str) -> None:
  """Raises InputError unless each attribute is a number that can be.

  Args:
    attributes: name -> number.
    where: what they are of, for the message.
  """
  for name, value in attributes.items():
    try:
      number = float(value)
    except (TypeError, ValueError, OverflowError):
      raise InputError(
          f"{where} attribute {name}: got {value!r}, want a number, "
          f"{wanted(name)}"
      ) from None
    check(name, number, f"{where} attribute")
