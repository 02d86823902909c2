"""The model card: README.md of a model folder.

Its YAML head is what model hubs read; the text says what the numbers mean.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from accfm.steps.record import Record
from accfm.use.encoder import Encoder
from accfm.use.probes import Probe
from accfm.version import __version__

# Figures that a card shows, by the beginning of their names.
SHOWN = (
    ("probe_hr/mae_bpm", "heart rate, mean absolute error, bpm"),
    ("probe_sdnn/mae_ms", "SDNN, mean absolute error, ms"),
    ("probe_rmssd/mae_ms", "RMSSD, mean absolute error, ms"),
)


def write(
    encoder: Encoder, record: Record, probes: Sequence[Probe],
    metrics: Mapping[str, Any] | None, license_: str,
) -> str:
  """The text of the card.

  Args:
    encoder: what the folder holds.
    record: of its checkpoint.
    probes: its read-outs.
    metrics: of an evaluation (`metrics.json`), None without one.
    license_: as the head names it.
  """
  spec = encoder.contract.signals[encoder.signal]
  band = "none" if not spec.band_hz else (
      f"{spec.band_hz[0]:g} to {spec.band_hz[1]:g} Hz")
  found = _figures(metrics)
  lines = [
      "---",
      f"license: {json.dumps(license_)}",
      "library_name: accfm",
      "tags: [accelerometer, wearables, time-series, foundation-model]",
      *_index(found, metrics),
      "---", "",
      f"# An encoder of {encoder.signal} segments", "",
      f"Written by accfm {__version__}; trained by {record.code_version}, kind "
      f"`{record.kind}`, step {record.step}.", "",
      "```python", "import accfm", "", 'encoder = accfm.load("DIR")',
      f"x = ...  # [N, {spec.channels}] in {spec.unit}",
      f"vectors = encoder.embed(x, rate_hz={encoder.rate_hz:g}, "
      f'unit="{spec.unit}")', "```", "",
      "## Input", "",
      f"- segments of {encoder.contract.window_sec:g} s at "
      f"{encoder.rate_hz:g} Hz, {spec.channels} channel(s) in {spec.unit}, "
      f"gravity {'kept' if spec.gravity_kept else 'not kept'}",
      f"- band filter: {band}; normalisation: {spec.normalize}",
      f"- embedding: {encoder.tower.encoder.embed_dim} numbers", "",
      "## Data", "",
      *_data(record), "",
      "## Read-outs", "",
      *(_probe(p) for p in probes),
      *(["None."] if not probes else []), "",
      "## Scores", "", *_scores(found, metrics), "",
      "## Use and limits", "",
      "- For research. Not a medical device; no figure here is a diagnosis.",
      "- People, devices and activities unlike those of the data may be read "
      "wrongly, without a sign of it.",
      "- An interval of a read-out covers a new person of the same kind as "
      "those of the validation split; these people also chose the penalty of "
      "the read-out, and may have chosen the checkpoint's step.",
      "- Embeddings identify people: who has two of one person can often tell "
      "that they are one. Treat them as personal data.",
      "- `ledger.json` names people by pseudonyms, with the salt beside them. "
      "Nobody can read an id there, but a guess (such as S01) can be tested.",
      "",
  ]
  return "\n".join(lines)


def _data(record):
  if record.cohorts is None:
    return ["Not known: the checkpoint is of an older version."]
  return [
      f"- `{c.dataset}`: "
      + ", ".join(f"{len(ids)} people in {s}" for s, ids in c.splits.items())
      + f"; split hash `{c.split_hash}`" for c in record.cohorts
  ] + (["- it started from another checkpoint, whose people are in the ledger "
        "too"] if record.parent else [])


def _probe(p):
  width = "no interval: too few people" if p.half_width == float("inf") else (
      f"+-{p.half_width:.3g} {p.unit} for {100 * p.coverage:g} % of a new "
      "person's segments")
  return (f"- `{p.name}` in {p.unit}: ridge, {width} (calibrated on "
          f"{p.people} people)")


def _figures(metrics):
  """[(title, name, value, low, high, control)] that the metrics hold."""
  if not metrics:
    return []
  split = metrics.get("_meta", {}).get("split", "test")
  out = []
  for name, title in SHOWN:
    key = f"{split}/{name}"
    value = metrics.get(key)
    if isinstance(value, (int, float)):
      task, _, measure = name.partition("/")
      out.append((
          title, key, value, metrics.get(f"{key}_ci95_low"),
          metrics.get(f"{key}_ci95_high"),
          metrics.get(f"{split}/{task}/mean/{measure}")))
  return out


def _scores(found, metrics):
  if not found:
    return ["Not evaluated here; see `accfm evaluate --encoder=DIR`."]
  about = metrics.get("_meta", {})
  lines = [
      f"On the {about.get('split', 'test')} people of "
      f"`{about.get('dataset', '?')}`, with 95 % intervals over people.", "",
      "| | encoder | predicting the mean |", "|---|---|---|",
  ]
  for title, _, value, low, high, control in found:
    ends = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    lines.append(f"| {title} | {value:.3g}{ends} | "
                 f"{'' if control is None else f'{control:.3g}'} |")
  return lines


def _index(found, metrics):
  """The head's model-index."""
  if not found:
    return []
  data = json.dumps(str(metrics.get("_meta", {}).get("dataset", "?")))
  lines = [
      "model-index:", "- name: accfm encoder", "  results:",
      "  - task: {type: time-series-regression}",
      f"    dataset: {{name: {data}, type: {data}}}", "    metrics:",
  ]
  return lines + [
      f"    - {{type: {json.dumps(name)}, value: {value:.6g}}}"
      for _, name, value, *_ in found
  ]
