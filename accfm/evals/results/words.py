"""How numbers, encoders and targets are called for people."""

from collections.abc import Iterable

from accfm.evals.results.figures import TESTED

DASH = "\u2013"  # where there is no number
ACRONYMS = {"bmi": "BMI", "hr": "HR", "ecg": "ECG", "af": "AF"}
SIGNALS = {"acc": "acceleration", "ppg": "PPG", "ecg": "ECG"}
ENCODERS = {
    TESTED: "this encoder", "untrained": "untrained encoder",
    "envelope": "motion envelope", "mean": "predict the mean",
    "features": "motion features", "demographics": "demographics",
    "chance": "chance", "identity": "identity alone",
    "traced": "traced curve, not fitted",
    "harmonic": "harmonic sum, not fitted",
    "aligned_ridge": "aligned by ridge", "aligned_cca": "aligned by CCA",
}
# What each is called after "better than".
RIVALS = {
    "mean": "predicting the mean", "envelope": "the motion envelope",
    "untrained": "the untrained encoder",
    "traced": "the traced curve", "harmonic": "the harmonic sum",
}
# What stands after all encoders that were trained, in this order.
_LAST = ("features", "traced", "harmonic", "demographics", "untrained", "mean")
MEASURES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
# What may end the name of a label.
UNITS = ("bpm", "ms", "s", "years", "kg", "cm", "m", "mmhg", "c")


def number(value: float | None, digits: int = 3) -> str:
  """A value with a true minus sign; a dash for None."""
  if value is None:
    return DASH
  text = f"{value:,.{digits}f}"
  if float(text.replace(",", "")) == 0:  # no negative zero
    text = text.removeprefix("-")
  return text.replace("-", "\u2212")


def interval(
    low: float | None, high: float | None, digits: int = 3
) -> str:
  """`0.1 to 0.2`, "" where an end is None."""
  if low is None or high is None:
    return ""
  return f"{number(low, digits)} to {number(high, digits)}"


def with_interval(
    value: float, low: float | None, high: float | None, digits: int,
    unit: str = "",
) -> str:
  """`0.15 bpm (0.10 to 0.20)`."""
  text = number(value, digits) + (f" {unit}" if unit else "")
  span = interval(low, high, digits)
  return text + (f" ({span})" if span else "")


def signal(name: str) -> str:
  """A signal's name."""
  return SIGNALS.get(name, name)


def arrow(pair: tuple[str, str]) -> str:
  """A direction of two signals: `acceleration -> PPG` with a true arrow."""
  return " \u2192 ".join(map(signal, pair))


def among(pool: int | str) -> str:
  """`256` -> "among 256"."""
  return "among all" if pool == "all" else f"among {int(pool):,}"


def encoder(name: str) -> str:
  """The name of what was scored; a signal names the other encoder.

  A name with a dot is that of somebody else's encoder, by its file or
  function.
  """
  if "." in name:
    return name
  return ENCODERS.get(name) or f"{signal(name)} encoder (ceiling)"


def rival(name: str) -> str:
  """What a baseline is called after "better than"."""
  return RIVALS.get(name) or encoder(name)


def ceilings(encoders: Iterable[str]) -> set[str]:
  """Those of the checkpoint's other encoder, which are no rivals."""
  return {
      name for name in encoders if name not in ENCODERS and "." not in name
  }


def in_order(encoders: Iterable[str]) -> list[str]:
  """Each once: the encoder under test, its ceiling, then what knows less."""
  found = set(encoders)
  trained = sorted(found - {TESTED, *_LAST})
  return [e for e in (TESTED, *trained, *_LAST) if e in found]


def split_unit(label: str) -> tuple[str, str]:
  """A label's name in the data: `hr_bpm` -> ("hr", "bpm").

  Where no known unit ends it: (label, "").
  """
  name, _, unit = label.rpartition("_")
  return (name, unit) if name and unit in UNITS else (label, "")


def target(name: str, unit: str = "", share: float = 1.0) -> str:
  """`hr` with the unit bpm -> "HR"; a share of labels is named."""
  text = name.removeprefix("target_")
  if unit in ("bpm", "ms") and len(text) < 6:
    text = text.upper()
  text = ACRONYMS.get(text, text.replace("_", " "))
  return text if share == 1.0 else f"{text}, {100 * share:g} % of labels"


def scale(measure: str, unit: str) -> str:
  """What a first score is in: its unit if it is an error, else its name."""
  return unit if measure == "mae" else MEASURES.get(measure, measure)


def in_brackets(text: str, unit: str) -> str:
  """`HR (bpm)`; the text alone for no unit."""
  return f"{text} ({unit})" if unit else text
