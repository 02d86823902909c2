"""Finding heart beats beside neurokit2: speed, and the labels that follow.

  pip install neurokit2
  python -m benchmarks.beats --recordings=DIR --out=results/benchmark_beats

DIR holds `stress_predict/` and `tfg_e4/` (Empatica E4) and `ieee_spc_2015/`.
Speed is per minute of signal, from the raw signal to the times of the peaks,
in processes that take turns. Labels are those of accfm.signals.labels with
`ppg_beats`, on windows of 60 s every 20 s, with either package's peaks in the
same program; the reference is the device's own inter-beat intervals, or the
cup's heart rate from the ECG. Needs a minute on 2 cores.
"""

import importlib.metadata
import pathlib
import sys
import warnings

import numpy as np

from accfm import prepare
from accfm.base.errors import InputError
from accfm.configs import prepare as prepare_config
from accfm.data.sources import SOURCES, ieee_spc
from accfm.signals import beats, labels, windows
from benchmarks import interleave

# folder -> argument of configs/prepare.py, source of the reference
COHORTS = {
    "stress_predict": ("e4,name=stress_predict", "beats"),
    "tfg_e4": ("e4", "beats"),
    "ieee_spc_2015": ("ieee_spc", "track"),
}
HOP_SEC = 20.0
PACKAGES = ("accfm", "neurokit2")


def their_peaks(x, rate_hz, method):
  """neurokit2's peaks [P] of a filtered PPG or ECG: replaces `beats._peaks`."""
  import neurokit2
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
      found = (
          neurokit2.ppg_findpeaks(x, sampling_rate=rate_hz)["PPG_Peaks"]
          if method is beats.PPG else
          neurokit2.ecg_findpeaks(x, sampling_rate=rate_hz)["ECG_R_Peaks"]
      )
    except (IndexError, ValueError):  # how it says that there is none
      found = ()
  return np.asarray(found, np.int64)


def finders(package):
  """{what: find(x [N], rate)}, from a raw signal to peaks."""
  if package == "accfm":
    return {"PPG": beats.ppg_peaks, "ECG": beats.r_peaks}
  import neurokit2 as nk
  return {
      "PPG": lambda x, rate: their_peaks(
          nk.ppg_clean(x, sampling_rate=rate), rate, beats.PPG
      ) / rate,
      "ECG": lambda x, rate: their_peaks(
          nk.ecg_clean(x, sampling_rate=rate), rate, beats.ECG
      ) / rate,
  }


def signals(folder):
  """{what: ([signal [N]], rate)}: the PPG of tfg_e4, the ECG of the cup."""
  source, found = SOURCES["e4"], []
  for name in source.list_recordings(folder / "tfg_e4"):
    x = source.read_recording(folder / "tfg_e4", name).signals["ppg"]
    x = x.values[:, 0].astype(np.float64)
    found.append(x[np.isfinite(x)])
  return {"PPG": (found, 64.0), "ECG": (
      [ecg for ecg, _ in cup(folder)], 125.0
  )}


def cup(folder):
  """[(ECG [N], Track of heart rate)] of the IEEE cup's training files."""
  folder = folder / "ieee_spc_2015"
  found = [
      ieee_spc.read_recording(folder, name, {"ecg": True})
      for name in ieee_spc.list_recordings(folder)
  ]
  return [
      (r.signals["ecg"].values[:, 0].astype(np.float64), r.tracks["hr_bpm"])
      for r in found if "ecg" in r.signals
  ]


def one(package, folder):
  """Times one package on every signal."""
  found, ms, total = finders(package), {}, 0.0
  for what, (some, rate) in signals(folder).items():
    minutes = sum(map(len, some)) / rate / 60
    seconds = interleave.measure(
        lambda some=some, rate=rate, what=what: [
            found[what](x, rate) for x in some
        ], 3,
    )
    ms[what] = 1e3 * seconds / minutes
    total += seconds
  version = "" if package == "accfm" else importlib.metadata.version(package)
  interleave.emit(total, ms=ms, version=version)


def aligned(folder, argument):
  """[Aligned] of a cohort's recordings, their contract and label config."""
  c = prepare_config.get_config(argument)
  source = SOURCES[c.source]
  contract = prepare.make_contract(c, str(folder))
  found = []
  for name in source.list_recordings(folder, c.source_cfg):
    recording = source.read_recording(folder, name, c.source_cfg)
    try:
      found.append(windows.align(recording, contract))
    except InputError:
      continue  # too short
  return found, contract, c.labels.to_dict()


def label_quality(recordings, contract, cfg, reference):
  """How many windows `ppg_beats` labels, and how far from the reference."""
  rows = []
  for recording in recordings:
    mine = {**cfg, "beat_source": "ppg_beats"}
    found = labels.select_beats(recording, contract, mine)
    other = {**cfg, "beat_source": reference}
    known = labels.select_beats(recording, contract, other)
    for window in windows.cut(recording, contract, HOP_SEC):
      got, want = (
          labels.window_labels(
              window.start_s, contract.window_sec, b, recording.tracks, (), c
          ) for b, c in ((found, mine), (known, other))
      )
      rows.append([
          (got[n], want[n]) for n in ("hr_bpm", "sdnn_ms", "rmssd_ms")
      ])
  rows = np.array(rows)  # [windows, label, (ours, reference)]
  apart = np.abs(rows[..., 0] - rows[..., 1])
  both = np.isfinite(apart[:, 0])

  def middle(column, q=50):
    column = column[np.isfinite(column)]
    return float(np.percentile(column, q)) if len(column) else None

  return {
      "recordings": len(recordings), "windows": len(rows),
      "labelled": float(np.isfinite(rows[:, 0, 0]).mean()),
      "with reference": int(both.sum()),
      "hr_bpm": middle(apart[:, 0]), "hr_bpm p95": middle(apart[:, 0], 95),
      "sdnn_ms": middle(apart[:, 1]), "rmssd_ms": middle(apart[:, 2]),
  }


def ecg_quality(folder, find):
  """Heart rate of the cup's 8 s windows from R peaks, beside its own."""
  apart = []
  for x, track in cup(folder):
    times = find(x, 125.0)
    for start, want in zip(track.start_s, track.values, strict=True):
      inside = times[(times >= start) & (times <= start + track.span_s)]
      apart.append(abs(60 / np.diff(inside).mean() - want))
  return {
      "windows": len(apart), "hr_bpm": float(np.median(apart)),
      "hr_bpm p95": float(np.percentile(apart, 95)),
      "more than 5 bpm": int(np.sum(np.array(apart) > 5)),
  }


def quality(folder):
  """{cohort: {package: result}}, of labels and of R peaks."""
  out, own = {}, beats._peaks
  for name, (argument, reference) in COHORTS.items():
    given = aligned(folder / name, argument)
    out[name] = {}
    for package in PACKAGES:
      beats._peaks = own if package == "accfm" else their_peaks
      out[name][package] = label_quality(*given, reference)
  beats._peaks = own
  out["ECG"] = {
      package: ecg_quality(folder, finders(package)["ECG"])
      for package in PACKAGES
  }
  return out


def markdown(result):
  """The comparison as tables, with machine and command."""
  of, found = {}, result["quality"]
  for run in sorted(result["runs"], key=lambda r: r["round"]):
    of.setdefault(run["name"], []).append(run["ms"])
  lines = [
      f"# {result['title']}", "",
      "| signal | accfm, ms a minute | neurokit2, ms a minute (times as long) "
      "|",
      "|---|---|---|",
  ]
  for what in ("PPG", "ECG"):
    ours, theirs = ([ms[what] for ms in of[p]] for p in PACKAGES)
    ratio = [b / a for a, b in zip(ours, theirs, strict=True)]
    lines.append(
        f"| {what} | {interleave.spread(ours)} | {interleave.spread(theirs)} "
        f"({interleave.spread(ratio, 1)}) |"
    )
  lines += [
      "", "Labels with `labels.beat_source=ppg_beats`, windows of 60 s every "
      "20 s; differences from the reference are medians over windows with "
      "both:", "",
      "| recordings | beats by | windows labelled | with reference | heart "
      "rate, bpm (95th percentile) | SDNN, ms | RMSSD, ms |",
      "|---|---|---|---|---|---|---|",
  ]
  for name in COHORTS:
    for package in PACKAGES:
      q = found[name][package]
      cells = [
          "\u2013" if q[key] is None else f"{q[key]:.{digits}f}"
          for key, digits in (("hr_bpm", 3), ("hr_bpm p95", 2),
                              ("sdnn_ms", 2), ("rmssd_ms", 2))
      ]
      lines.append(
          f"| {name} ({q['recordings']}) | {package} | "
          f"{100 * q['labelled']:.1f} % of {q['windows']:,} | "
          f"{q['with reference']:,} | {cells[0]} ({cells[1]}) | {cells[2]} | "
          f"{cells[3]} |"
      )
  lines += [
      "", "The reference is the E4's inter-beat intervals, or the cup's heart "
      "rate from the ECG (people run there: few windows pass). R peaks of the "
      "cup's ECG, heart rate of 8 s windows beside the cup's own:", "",
      "| beats by | windows | median difference, bpm | 95th percentile | more "
      "than 5 bpm |", "|---|---|---|---|---|",
  ]
  for package in PACKAGES:
    q = found["ECG"][package]
    lines.append(
        f"| {package} | {q['windows']:,} | {q['hr_bpm']:.3f} | "
        f"{q['hr_bpm p95']:.2f} | {q['more than 5 bpm']} |"
    )
  version = next(r["version"] for r in result["runs"] if r["version"])
  return "\n".join([*lines, *interleave.notes(
      result, f"- neurokit2 {version}: its `elgendi` method of PPG, its "
      "default of ECG",
  )]) + "\n"


def main():
  parser = interleave.make_parser(__doc__)
  parser.add_argument("--recordings", required=True, type=pathlib.Path)
  parser.add_argument("--one", choices=PACKAGES, help="one process")
  args = parser.parse_args()
  if args.one:
    one(args.one, args.recordings)
    return
  if not args.out:
    parser.error("want --out=PATH")
  result = interleave.run(
      {
          name: [sys.executable, "-m", "benchmarks.beats", f"--one={name}",
                 f"--recordings={args.recordings}"]
          for name in PACKAGES
      }, args.rounds, args.out, "Heart beats found by accfm and neurokit2",
      f"python -m benchmarks.beats --recordings=DIR --out={args.out}",
  )
  result["commands"] = {}  # they name the folder
  result["quality"] = quality(args.recordings)
  interleave.write(result, args.out, markdown(result))


if __name__ == "__main__":
  main()
