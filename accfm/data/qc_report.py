"""Quality control of a preparation: counts, checks and a table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from accfm.base import pseudonyms
from accfm.base.errors import InputError
from accfm.data import ids, quantise, splits, twins
from accfm.data import manifest as manifest_lib
from accfm.signals.contract import Contract

# A recording's summary, as `staging.cut_recording` makes it, plain data.
Summary = Mapping[str, Any]
BySplit = Mapping[str, Sequence[tuple[str, str, Summary]]]

LABELS = ("hr_bpm", "sdnn_ms", "rmssd_ms")
ATTRIBUTES = ("age_years", "sex", "bmi")
SHOWN = 5  # messages about single recordings


def check_recordings(
    summaries: Sequence[Summary], same_recording: str = "refuse",
    say: Callable[[str], Any] = print,
) -> Sequence[Summary]:
  """Says what is wrong with single recordings.

  Args:
    summaries: of every recording.
    same_recording: field of the config.
    say: called with each line.

  Returns:
    The summaries without those of recordings that are there twice.

  Raises:
    InputError: a recording or a session is there twice, or no window is left.
  """
  for line in problems(summaries):
    say(f"prepare: left out: {line}")
  for line in twins.overlaps(summaries):
    say(f"prepare: {line}")
  copies = twins.settle(twins.by_samples(summaries), same_recording, say)
  summaries = [s for s in summaries if s["recording"] not in copies]
  seen = {}
  for s in summaries:
    key = (s.get("participant"), s.get("session"))
    if not s["unreadable"] and key in seen:
      raise InputError(
          f"recordings {seen[key]!r} and {s['recording']!r} are both "
          f"participant {key[0]!r} session {key[1]!r}, want each session "
          "once; rename or remove one"
      )
    seen[key] = s["recording"]
  if not any(s["windows"] for s in summaries):
    reasons = [f"{n:,} {why}" for why, n in rejected(summaries).items()]
    raise InputError(
        f"no window left of {len(summaries):,} recordings; windows rejected: "
        f"{', '.join(reasons) or 'none'}; recordings without any: "
        + (" | ".join(problems(summaries)) or "none")
        + "; mend the recordings or relax --config.quality"
    )
  return summaries


def rejected(summaries: Iterable[Summary]) -> dict[str, int]:
  """{reason: rejected windows}, most frequent first."""
  total = {}
  for s in summaries:
    for reason, count in s.get("rejected", {}).items():
      total[reason] = total.get(reason, 0) + count
  return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def problems(summaries: Iterable[Summary], shown: int = SHOWN) -> list[str]:
  """Messages about recordings that could not be read or aligned."""
  lines = [m for s in summaries if (m := s["unreadable"] or s["unusable"])]
  more = len(lines) - shown
  return lines[:shown] + ([f"and {more:,} more"] if more > 0 else [])


def split_recordings(
    summaries: Sequence[Summary], config: ConfigDict
) -> BySplit:
  """Assigns people to splits and gives them their ids.

  Args:
    summaries: of every recording.
    config: the prepare config.

  Returns:
    {split: [(participant, session, summary)]} of all readable recordings, in
    order, with pseudonyms for ids if the config has a salt.

  Raises:
    InputError: the people cannot be split like that, or a split has no
      window.
  """
  cfg = config.split
  sizes = cfg[cfg.kind]
  cohort, people = ids.cohort(config), {}
  for s in summaries:
    if not s["unreadable"]:
      people.setdefault(f"{cohort}/{s['participant']}", []).append(s)
  if cfg.kind == "names":
    chosen = splits.split_by_names(people, tuple(sizes))
  else:
    chosen = splits.split_participants(
        people, tuple(sizes), cfg.seed, cfg.fold, cfg.folds
    )
  names = {p: pseudonyms.pseudonym(p, config.salt) for p in people}
  if len(set(names.values())) < len(names):
    raise InputError("salt: two people get one pseudonym; choose another")
  out = {}
  for split, members in chosen.items():
    out[split] = [
        (names[person],
         pseudonyms.session_pseudonym(person, s["session"], config.salt), s)
        for person in members
        for s in sorted(people[person], key=lambda s: s["session"])
    ]
    if not any(s["windows"] for _, _, s in out[split]):
      raise InputError(
          f"split {split}: no window of its {len(members)} people passes "
          f"quality control ({rejected(s for _, _, s in out[split])}); "
          "change --config.split.seed or relax --config.quality"
      )
  return out


def describe(
    by_split: BySplit, summaries: Sequence[Summary], contract: Contract,
    hop_sec: float, joined: int = 0,
) -> dict[str, Any]:
  """The counts of the manifest, from the result of `split_recordings`.

  `joined` is how many recordings were left out for being there twice.
  """
  used = [s for s in summaries if s["windows"]]
  step = min(hop_sec, contract.window_sec)
  known = {name for s in used for name in s["labels"]}
  facts = {name for s in used for name in s["attributes"]}
  labels = LABELS + tuple(sorted(known - set(LABELS)))
  windows = {
      split: sum(s["windows"] for _, _, s in rows)
      for split, rows in by_split.items()
  }
  people = {
      split: sorted({person for person, _, _ in rows})
      for split, rows in by_split.items()
  }
  return {
      "contract": contract.to_dict(),
      "code_version": contract.code_version,
      "hop_sec": hop_sec,
      "splits": people,
      "split_hash": manifest_lib.split_hash(people),
      "people": {
          split: len({person for person, _, s in rows if s["windows"]})
          for split, rows in by_split.items()
      },
      "windows": windows,
      "rows": {split: _rows(rows) for split, rows in by_split.items()},
      "fingerprints": ids.fingerprints(
          people, (entry for rows in by_split.values() for entry in rows)
      ),
      "hours": {k: round(n * step / 3600, 3) for k, n in windows.items()},
      "labels": list(labels),
      "label_windows": {
          split: {
              name: sum(s["labels"].get(name, 0) for _, _, s in rows
                        if s["windows"])
              for name in labels
          }
          for split, rows in by_split.items()
      },
      "attributes": list(ATTRIBUTES)
      + sorted(facts - set(ATTRIBUTES)),
      "qc": {
          "kept": sum(windows.values()),
          "rejected": rejected(summaries),
          "recordings": {
              "used": len(used),
              "without_windows": sum(
                  not s["windows"] and not s["unreadable"] for s in summaries
              ),
              "unreadable": sum(bool(s["unreadable"]) for s in summaries),
              **({"joined": joined} if joined else {}),
          },
      },
      "quantisation": {
          name: quantise.summary(
              quantise.add_sums(s["quantisation"][name] for s in used)
          )
          for name in contract.signals
      },
  }


def _rows(entries):
  """[[person, windows], ...] in the order of a split's rows."""
  counts = {}  # the recordings of a person follow each other
  for person, _, summary in entries:
    if summary["windows"]:
      counts[person] = counts.get(person, 0) + summary["windows"]
  return [[person, n] for person, n in counts.items()]


def table(manifest: Mapping[str, Any], digest: str = "") -> str:
  """The table of quality control as text.

  Args:
    manifest: of the data set.
    digest: its hash, `manifest.digest`; "" if it has none.
  """
  contract, labels = manifest["contract"], manifest["labels"]
  length = contract["window_sec"]
  qc = manifest["qc"]
  lines = [
      f"{manifest['name']} (source {manifest['source']}): windows of "
      f"{length:g} s at {_rates(contract)} every {manifest['hop_sec']:g} s",
      f"{'split':6}{'people':>8}{'windows':>9}{'hours':>8}"
      + "".join(f"{name:>12}" for name in labels),
  ]
  for split in splits.NAMES:
    count = manifest["windows"][split]
    shares = [
        f"{100 * manifest['label_windows'][split][name] / count:10.0f} %"
        for name in labels
    ]
    lines.append(
        f"{split:6}{manifest['people'][split]:8,}{count:9,}"
        f"{manifest['hours'][split]:8.1f}" + "".join(shares)
    )
  reasons = ", ".join(f"{n:,} {why}" for why, n in qc["rejected"].items())
  counts = qc["recordings"]
  lines += [
      f"windows: {qc['kept']:,} kept, rejected: {reasons or 'none'}",
      *_still(manifest),
      f"recordings: {counts['used']:,} used, {counts['without_windows']:,} "
      f"without a window, {counts['unreadable']:,} unreadable"
      + (f", {n:,} there twice" if (n := counts.get("joined")) else ""),
  ]
  for name, cost in manifest["quantisation"].items():
    lines.append(
        f"int16 storage of {name}: RMS error {cost['rms_relative']:.1e} of "
        f"the signal's SD, largest {cost['max_abs']:.1e} "
        f"{contract['signals'][name]['unit']}"
    )
  if digest:
    lines.append(f"hash of the data set: {digest}")
  return "\n".join(lines)


def _still(manifest):
  """The line about the share of time that is still enough to be kept.

  Motion is the last of the checks (`quality.check`), so what it rejects has
  passed all others.
  """
  limit = manifest["prepare_config"].get("quality", {}).get("max_motion_g")
  if limit is None:
    return []
  kept = manifest["qc"]["kept"]
  sound = kept + manifest["qc"]["rejected"].get("too_much_motion", 0)
  return [
      f"still: {kept:,} of the {sound:,} windows that pass all other checks, "
      f"{100 * kept / sound:.1f} % of the time, have a motion of at most "
      f"{limit:g} g"
  ]


def _rates(contract):
  """Such as "64 Hz", or "64 Hz (acc 50 Hz)" where a signal has its own."""
  own = ", ".join(
      f"{name} {spec['rate_hz']:g} Hz"
      for name, spec in contract["signals"].items() if spec.get("rate_hz")
  )
  return f"{contract['rate_hz']:g} Hz" + (f" ({own})" if own else "")
