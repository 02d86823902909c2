"""Draws docs/augmentations.png: each augmentation on one simulated minute.

  python docs/augmentations.py [FILE]

Grey is the segment, colour what an operation makes of it at the strength of
the presets.
"""

import pathlib
import sys
import types

import jax
import numpy as np
from matplotlib import figure
from matplotlib import pyplot as plt

from accfm.data.sources import simulated
from accfm.signals import augment, filters

SOURCE = types.SimpleNamespace(
    participants=8, minutes_per_participant=3, difficulty="easy", seed=5
)
PERSON, MINUTE = "p00002", 2
RATE_HZ = round(simulated.RATE_HZ)
BAND_HZ = (0.5, 8.0)  # of PPG, as prepared data sets have it

# Operation: seconds shown, the seed of a draw that shows it well, title.
ROWS = {
    "time_shift": (0, 60, 9, "moves all signals of a segment together, in a "
                   "circle"),
    "time_jitter": (20, 28, 3, "moves each view on its own"),
    "time_warp": (8, 18, 3, "faster here, slower there; the minute's ends "
                  "stay"),
    "permute_channels": (20, 28, 0, "the colour is that of the channel it "
                         "was; dotted: zero"),
    "magnitude_warp": (0, 60, 8, "swells and shrinks about the mean"),
    "scale": (20, 28, 0, "one factor for the minute, about the mean"),
    "rotate": (0, 60, 13, "turns the axes, gravity with them; dotted: zero"),
    "cutout": (0, 60, 5, "a span becomes the mean"),
    "noise": (20, 24, 0, "white, Gaussian"),
}
ALL_CHANNELS = ("permute_channels", "rotate")
LANE = {"ppg": 120.0, "acc": 2.2}  # distance between channels, au and g
HEADS = ("PPG", "acceleration")
NAMES = {"ppg": "1234", "acc": "xyz"}

GREY, COLORS = "#a3aab5", ("#2f7fd1", "#e0852f", "#2f9c82", "#7b61c9")
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 9.5, "axes.titleweight": "bold",
    "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 3, "ytick.major.size": 3,
}


def segment(signal):
  """The minute of a signal, float32 [T, C]: PPG in au, acceleration in g."""
  values = simulated.read_recording("", PERSON, SOURCE).signals[signal].values
  if signal == "ppg":
    values = filters.bandpass(values, RATE_HZ, BAND_HZ, order=2)
  first = 60 * MINUTE * RATE_HZ
  return np.float32(values[first : first + 60 * RATE_HZ])


def changed(name, seed, kind, x):
  """The operation on x [T, C] at the preset's strength."""
  fields = dict(augment.preset(kind)[name])
  del fields["prob"], fields["together"]
  operation = augment.OPERATIONS[name]
  return np.asarray(operation(jax.random.key(seed), x, **fields))


def panel(ax, name, kind, x):
  """One operation on one signal: before and after."""
  start, stop, seed, _ = ROWS[name]
  if name == "rotate" and kind == "ppg":
    ax.set_axis_off()
    ax.text(0.5, 0.5, "acceleration only", color=GREY, ha="center",
            transform=ax.transAxes)
    return

  y = changed(name, seed, kind, x)
  at = np.arange(start * RATE_HZ, stop * RATE_HZ)
  width = 1.1 if stop - start < 60 else 0.7
  if name in ALL_CHANNELS:
    colors = np.arange(x.shape[1])
    if name == "permute_channels":
      colors = changed(name, seed, kind, np.float32(colors)[None])[0]
    base = -LANE[kind] * np.arange(x.shape[1])
    for c, color in enumerate(colors):
      ax.axhline(base[c], color=GREY, linewidth=0.5, linestyle=":")
      ax.plot(at / RATE_HZ, base[c] + x[at, c], color=GREY, linewidth=width)
      ax.plot(at / RATE_HZ, base[c] + y[at, c], color=COLORS[int(color)],
              linewidth=width)
    ax.set_yticks(base, NAMES[kind], fontweight="bold")
    for c, label in enumerate(ax.get_yticklabels()):
      label.set_color(COLORS[c])
    unit = "au" if kind == "ppg" else "g"
    ax.set_ylabel(f"{LANE[kind]:g} {unit} apart")
  else:
    unit, size = ("au", 1.0) if kind == "ppg" else ("mg", 1000.0)
    for values, color in ((x, GREY), (y, COLORS[0])):
      ax.plot(at / RATE_HZ, size * (values[at, 0] - x[:, 0].mean()),
              color=color, linewidth=width)
    ax.set_ylabel(unit)
  ax.set_xlim(start, stop)
  ax.xaxis.set_major_formatter("{x:g} s")


def draw_all(path):
  """Writes the figure to `path`."""
  signals = {kind: segment(kind) for kind in ("ppg", "acc")}
  heights = [1.5 if name in ALL_CHANNELS else 1.0 for name in ROWS]
  with plt.rc_context(STYLE):
    fig = figure.Figure(figsize=(11, 16))
    axes = fig.subplots(len(ROWS), 2, height_ratios=heights)
    fig.subplots_adjust(0.07, 0.02, 0.985, 0.945, wspace=0.16, hspace=0.62)
    fig.text(0.012, 0.983, "One simulated minute before (grey) and after "
             "(colour) each augmentation", fontsize=13, fontweight="bold")
    for row, name in zip(axes, ROWS, strict=True):
      for ax, (kind, x) in zip(row, signals.items(), strict=True):
        panel(ax, name, kind, x)
        ax.yaxis.set_label_coords(-0.09, 0.5)
      top = row[0].get_position().y1 + 0.005
      fig.text(0.012, top, f"{name}: {ROWS[name][-1]}", fontweight="bold")
    for ax, head in zip(axes[0], HEADS, strict=True):
      ax.text(1, 1.12, head, ha="right", transform=ax.transAxes)
    fig.savefig(path, dpi=100)


if __name__ == "__main__":
  draw_all(sys.argv[1] if len(sys.argv) > 1 else
           pathlib.Path(__file__).with_suffix(".png"))
