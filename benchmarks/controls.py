"""What needs no distillation: identity alone, alignment, hand-made heart rates.

  bash launch/controls.sh [WORKDIR]
  python -m benchmarks.controls --out=results/controls [--workdir=WORKDIR]
      [--datasets=NAME,...]

Identity alone is in closed form and takes seconds. With --workdir, where
`launch/controls.sh` has trained and evaluated, the table has encoders that
were pre-trained apart and aligned afterwards, and heart rates of acceleration
without any learning on the named data sets (WORKDIR/data), all splits of them.
"""

import argparse
import json
import pathlib

import numpy as np
from matplotlib import figure

from accfm.base import files
from accfm.data import manifest, pipeline
from accfm.evals.baselines import features, traced
from accfm.evals.report import plots
from accfm.evals.retrieval import identity, pools, ranks
from accfm.evals.stats import people as stats
from accfm.signals import feed

EACH = 116  # minutes of a person, as in the paper's cohort
PAPER_PEOPLE = 17232
PEOPLE = (10, 30, 100, 300, 1000, 3000, PAPER_PEOPLE)
POOLS = (64, 256, 1024, 4096, 10000)
PAPER = {"recall@1": 0.992, "mean rank": 1.02}
OURS, OURS_PEOPLE, OURS_EACH = "stress_predict_fold2", 10, 55
BATCH = 256
WAYS = ("acc2ppg", "ppg2acc")
# Run, encoder of its evaluation, title.
ROWS = (
    ("student", "", "distilled student"),
    ("acc", "aligned_cca", "pre-trained apart, aligned by CCA"),
    ("acc", "aligned_ridge", "pre-trained apart, aligned by ridge"),
    ("student", "aligned_cca", "distilled student, aligned by CCA as well"),
    ("acc", "envelope", "motion envelope"),
    ("acc", "identity", "identity alone"),
    ("acc", "chance", "chance"),
)


def identity_table():
  """{people: {pool: (recall@1, mean rank)}} of people with EACH minutes."""
  return {
      people: {pool: identity.expect(people, EACH, pool) for pool in POOLS
               if pool <= people * EACH} for people in PEOPLE
  }


def uneven(spread, seed=0):
  """{pool: (recall@1, mean rank)} at the paper's scale, minutes log-normal.

  Args:
    spread: SD of the logarithm of a person's minutes, whose mean is EACH.
    seed: of the draw.
  """
  rng = np.random.default_rng(seed)
  minutes = EACH * np.exp(rng.normal(-spread**2 / 2, spread, PAPER_PEOPLE))
  minutes = np.maximum(minutes.round().astype(int), 1)
  own = np.repeat(minutes, minutes)  # of each minute's person
  counts = ranks.Counts(np.full(len(own), len(own)), own - 1)
  people, out = stats.People(np.zeros(len(own)), 0, 0), {}
  for pool in POOLS:
    sums = identity.rank_sums(counts, pool, people)
    total, mass = pools.total_rank(sums)[0]
    out[pool] = float(sums[0, 0] / mass), float(total / mass)
  return out


def read_heart_rates(folder):
  """Reader -> absolute errors [N] on the labelled segments of a data set."""
  found = {}

  def add(name, values):
    found.setdefault(name, []).append(values)

  for name in ("train", "val", "test"):
    split = pipeline.open_split(folder, name)
    rate = split.contract.rate_hz
    power = []
    for at in range(0, len(split), BATCH):
      batch = split.read(np.arange(at, min(at + BATCH, len(split))), ["acc"])
      x = feed.dequantize(batch["acc"], batch["acc_scale"])
      power.append(traced.spectra(x, rate))
      add("beat_bpm", features.extract(x, rate)[:, features.BEAT_COLUMN])
      add("traced", traced.read_windows(x, rate))
    power, table = np.concatenate(power), split.table
    whole = np.full(len(split), np.nan)
    which = np.char.add(table["participant"], table["session"])
    for recording in np.unique(which):
      rows = np.flatnonzero(which == recording)
      whole[rows] = traced.read_recording(power[rows], table["start_s"][rows])
    add("recording", whole)
    add("true", table["labels/hr_bpm"])
    add("who", table["participant"])
  read = {name: np.concatenate(parts) for name, parts in found.items()}
  true, who = read.pop("true"), read.pop("who")
  known = np.isfinite(true)
  true, who = true[known], who[known]
  out = {name: np.abs(x[known] - true) for name, x in read.items()}
  own = np.empty(len(true))
  for person in np.unique(who):
    own[who == person] = np.median(true[who == person])
  out["median"] = np.abs(np.median(true) - true)
  out["own median"] = np.abs(own - true)
  return out


READERS = {
    "median": "the median of all labels (cheats)",
    "own median": "each person's own median (cheats)",
    "beat_bpm": "harmonic sum, each window by itself",
    "traced": "traced curve, each window by itself",
    "recording": "traced curve through the recording",
}


def summary(errors):
  """Plain figures of absolute errors [N]."""
  return {
      "windows": len(errors), "mean": float(errors.mean()),
      "median": float(np.median(errors)),
      "within 5": float(np.mean(errors <= 5)),
  }


def aligned_rows(workdir):
  """[{title, recall by way, mean rank, heart rate}] of two evaluations."""
  found = {
      run: json.loads(path.read_text()) for run in ("student", "acc")
      if (path := workdir / run / "evaluation/metrics.json").exists()
  }
  out = []
  for run, encoder, title in [row for row in ROWS if row[0] in found]:
    head = f"test/{encoder}/" if encoder else "test/"
    way = [w if encoder != "chance" else "" for w in WAYS]
    v = found[run]

    def get(name, v=v):
      keys = (name, f"{name}_ci95_low", f"{name}_ci95_high")
      return [v.get(key) for key in keys]

    out.append({
        "title": title,
        **{f"recall {w}": get("/".join(filter(None, [
            head.rstrip("/"), at, "recall@1_poolall"])))
           for w, at in zip(WAYS, way, strict=True)},
        "mean rank": get("/".join(filter(None, [
            head.rstrip("/"), way[0], "mean_rank_poolall"]))),
        "heart rate": get(f"{head}probe_hr/mae_bpm"),
    })
  about = found["acc"]["_meta"]
  return {"rows": out, "people": about["people"]["test"],
          "windows": about["windows"]["test"],
          "steps": {run: v["_meta"]["step"] for run, v in found.items()},
          "chosen": {name: found for name, found in about[
              "aligned_with"].items() if name != "checkpoint"}}


def draw(table, path):
  """Recall@1 of identity by pool, for several numbers of people, and back."""
  with plots.matplotlib.rc_context(plots.STYLE):
    fig = figure.Figure(figsize=(10.8, 3.4), layout="constrained")
    left, right = fig.subplots(1, 2, sharey=True)
    shades = plots.SCALE(np.linspace(0, 1, len(PEOPLE)))
    sizes = np.unique(np.geomspace(16, 10000, 40).round().astype(int))
    for people, color in zip(PEOPLE, shades, strict=True):
      some = sizes[sizes <= people * EACH]
      left.plot(some, [identity.expect(people, EACH, int(k))[0] for k in some],
                color=color, label=f"{people:,} people")
    crowd = np.unique(np.geomspace(10, 20000, 40).round().astype(int))
    for pool, color in zip(
        POOLS, plots.SCALE(np.linspace(0, 1, len(POOLS))), strict=True):
      some = crowd[crowd * EACH >= pool]
      right.plot(some, [identity.expect(int(p), EACH, pool)[0] for p in some],
                 color=color, label=f"pool {pool:,}")
    ours = table["ours"]
    for ax, at in ((left, 256), (right, ours["people"])):
      ax.axhline(PAPER["recall@1"], color=plots.GREY, ls=plots.DASHED, lw=1)
      ax.plot([at], [ours["recall@1"]], "o", color=plots.INK, ms=5,
              label="accfm, 10 people, pool 256")
      ax.set(xscale="log", ylim=(0, 1.03))
      ax.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(1, 1))
    left.set(xlabel="minutes in the pool", ylabel="recall@1",
             title="Who knows the person alone finds the minute")
    right.set(xlabel="people among whom is searched (116 minutes each)",
              title="The paper reports 0.992 (dashed), pool unknown")
    fig.savefig(path, dpi=130, facecolor="white", transparent=False)


def markdown(result):
  """The tables, with their commands."""
  lines = [
      "# Controls", "",
      "Recall@1 (mean rank) of who knows whose minute it is and nothing else, "
      f"with {EACH} minutes of each person, in closed form:", "",
      "| people | " + " | ".join(f"pool {p:,}" for p in POOLS) + " |",
      "|---" * (1 + len(POOLS)) + "|",
  ]

  def line(title, by_pool):
    return f"| {title} | " + " | ".join(
        f"{by_pool[p][0]:.3f} ({by_pool[p][1]:.3f})" if p in by_pool else
        "\u2013" for p in POOLS) + " |"

  lines += [line(f"{n:,}", by_pool) for n, by_pool in result["identity"]]
  lines += [line(f"{PAPER_PEOPLE:,}, minutes uneven (SD of the logarithm "
                 f"{s:g})", by_pool) for s, by_pool in result["uneven"]]
  ours = result["ours"]
  lines += [
      "", f"The paper reports {PAPER['recall@1']} and a mean rank of "
      f"{PAPER['mean rank']} for {PAPER_PEOPLE:,} unseen people, its pool not "
      f"known. Our student finds {ours['recall@1']:.3f} of the minutes of "
      f"{ours['people']} unseen people among 256 ({OURS}), where identity "
      f"alone finds {ours['identity']:.3f}.", "",
      "![Identity alone by pool size and number of people](controls.png)",
  ]
  if result.get("aligned"):
    found = result["aligned"]
    lines += [
        "", "Two encoders that were pre-trained apart by contrast and aligned "
        "afterwards" + (
            ", beside the student distilled from the same PPG encoder: "
            if "student" in found["steps"] else ": ") +
        f"{found['people']} unseen people and {found['windows']:,} minutes of "
        f"the easy simulated cohort, {found['steps']['acc']} steps of 64 "
        "each.", "",
        "| | recall@1 among all, acc \u2192 PPG | PPG \u2192 acc | mean rank | "
        "heart rate, bpm |", "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
      lines.append(f"| {row['title']} | " + " | ".join(
          _cell(row[key], digits) for key, digits in (
              *((f"recall {w}", 3) for w in WAYS), ("mean rank", 1),
              ("heart rate", 2))) + " |")
  if result.get("heart_rate"):
    lines += [
        "", "Heart rate of one window of acceleration, nothing fitted: mean "
        "and median absolute error in bpm, share within 5 bpm.", "",
        "| data set (labelled windows) | | mean | median | within 5 |",
        "|---|---|---|---|---|",
    ]
    for name, by_reader in result["heart_rate"].items():
      for reader, title in READERS.items():
        v = by_reader[reader]
        lines.append(
            f"| {name} ({v['windows']:,}) | {title} | {v['mean']:.2f} | "
            f"{v['median']:.2f} | {v['within 5']:.2f} |")
  return "\n".join([*lines, "", "Command: `bash launch/controls.sh`; the two "
                    "E4 cohorts by `REAL=\"stress_predict=DIR tfg_e4=DIR\"`.",
                    ""])


def _cell(values, digits):
  value, low, high = values
  if value is None:
    return "\u2013"
  text = f"{value:.{digits}f}"
  return text if low is None else (
      f"{text} [{low:.{digits}f}, {high:.{digits}f}]")


def our_result():
  """The recall of our student on real recordings, beside identity's."""
  path = pathlib.Path(__file__).parents[1] / f"results/{OURS}.json"
  rows = json.loads(path.read_text())["rows"]
  return {
      "people": OURS_PEOPLE,
      "recall@1": rows["distilled student"]["recall@1 acc\u2192PPG"][0],
      "identity": identity.expect(OURS_PEOPLE, OURS_EACH, 256)[0],
  }


def main():
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--out", required=True, type=pathlib.Path)
  parser.add_argument("--workdir", type=pathlib.Path)
  parser.add_argument("--datasets", default="")
  args = parser.parse_args()
  result = {
      "identity": list(identity_table().items()),
      "uneven": [(s, uneven(s)) for s in (0.5, 1.0)],
      "ours": our_result(),
  }
  if args.workdir and (args.workdir / "acc").exists():
    result["aligned"] = aligned_rows(args.workdir)
  if args.workdir:
    result["heart_rate"] = {
        name: {reader: summary(errors) for reader, errors in read_heart_rates(
            manifest.find(args.workdir / "data", name)).items()}
        for name in filter(None, args.datasets.split(","))
    }
  draw(result, args.out.with_suffix(".png"))
  files.write_atomic(
      args.out.with_suffix(".json"), json.dumps(result, indent=1) + "\n")
  files.write_atomic(args.out.with_suffix(".md"), markdown(result))


if __name__ == "__main__":
  main()
