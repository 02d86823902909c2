"""The model card: README.md of a model folder.

Its YAML head is what model hubs read; the text says what the numbers mean.
"""

import json
from collections.abc import Sequence

from accfm.steps.record import Record
from accfm.use import scores
from accfm.use.encoder import Encoder
from accfm.use.probes import Probe
from accfm.use.scores import Scores
from accfm.version import __version__


def write(
    encoder: Encoder, record: Record, probes: Sequence[Probe],
    found: Scores | None, license_: str,
) -> str:
  """The text of the card.

  Args:
    encoder: what the folder holds.
    record: of its checkpoint.
    probes: its read-outs.
    found: an evaluation of it, None without one.
    license_: as the head names it.
  """
  spec = encoder.contract.signals[encoder.signal]
  band = "none" if not spec.band_hz else (
      f"{spec.band_hz[0]:g} to {spec.band_hz[1]:g} Hz")
  lines = [
      "---",
      f"license: {json.dumps(license_)}",
      "library_name: accfm",
      "tags: [accelerometer, wearables, time-series, foundation-model]",
      *scores.index(found),
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
      "## Scores", "", *scores.describe(found), "",
      "## Intended use", "",
      "- Research: embeddings of segments as input of models of one's own, "
      "and read-outs where the scores above carry them.",
      "- Not a medical device; no figure here is a diagnosis. Not for "
      "decisions about a single person, nor for telling who somebody is.", "",
      "## Limits", "",
      "- People, devices and activities unlike those of the data may be read "
      "wrongly, without a sign of it.",
      "- An interval of a read-out covers a new person of the same kind as "
      "those of the validation split; these people also chose the penalty of "
      "the read-out, and may have chosen the checkpoint's step.",
      "", "## Privacy", "",
      "- Embeddings identify people: who has two of one person can often tell "
      "that they are one. Treat them as personal data.",
      "- `ledger.json` names people by pseudonyms, with the salt beside them. "
      "Nobody can read an id there, but a guess (such as S01) can be tested.",
      "",
  ]
  return "\n".join(lines)


def _data(record):
  """Whom it was trained on, and whom what it started from."""
  lines, one, whose = [], record, ""
  while one is not None:
    if one.cohorts is None:
      lines.append(f"- {whose}not known: an older version wrote its record.")
    lines += [
        f"- {whose}`{c.dataset}`: " + ", ".join(
            f"{len(c.splits[s]):,} people in {s}"
            + (f" ({c.windows[s]:,} segments)" if s in c.windows else "")
            for s in sorted(c.splits, key=_order))
        + f"; split hash `{c.split_hash}`" for c in one.cohorts or ()
    ]
    one, whose = one.parent, "what it started from: "
  return lines


def _order(split):
  known = ("train", "val", "test")
  return (known.index(split) if split in known else len(known), split)


def _probe(p):
  width = "no interval: too few people" if p.half_width == float("inf") else (
      f"+-{p.half_width:.3g} {p.unit} for {100 * p.coverage:g} % of a new "
      "person's segments")
  return (f"- `{p.name}` in {p.unit}: ridge, {width} (calibrated on "
          f"{p.people} people)")
