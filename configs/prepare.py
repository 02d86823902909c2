"""Recordings to shards.

  accfm prepare --config=prepare:<source>[,args] \\
    --source_dir=DIR --data_dir=DIR

Sources and their arguments, with time on 2 CPU cores and size on disk:

  simulated  difficulty=easy|realistic, participants, minutes, seed, tiny;
             needs no --source_dir. 240 people x 20 minutes: 2 minutes,
             190 MB; tiny (12 x 4): 10 s, 2 MB
  e4         Empatica E4 session folders. A name that starts with
             stress_predict splits 20/5/10 and names the tasks of the
             Stress-Predict data: 35 people, 1,915 minutes, 1 minute,
             53 MB
  ieee_spc   the IEEE Signal Processing Cup 2015 .mat files: 20 people, 205
             windows that overlap by 40 s, 20 s, 8 MB

A source of your own is a file or module, such as prepare:./watch.py
(docs/cohort.md): three axes of acceleration in g and one PPG channel, unless
your config says otherwise.

For all: name (of the data set), cohort (name of the study; by default the
source's: give your own study its own), split as counts (20/5/10) or fractions
(0.8/0.1/0.1) of people for train/val/test, fold and folds; still keeps the
minutes of little motion alone, as the paper has them.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from accfm.base import configlib, plugins
from accfm.base.errors import InputError
from accfm.data.sources import SOURCES
from accfm.signals import labels, quality

# What `still` keeps: motion up to this level, in g. The paper says that its
# minutes have little motion, not how little [o]. The rounding of an E4 (15.6
# mg) alone gives 0.005 g. Of the minutes of Stress-Predict, people at a desk,
# 34 % stay below 0.03 g.
STILL_G = 0.03


def get_config(arg=None):
  """The prepare config of a source; see the module."""
  arg = configlib.parse(
      arg, positional="source", source="simulated", name="", cohort="",
      split="", fold=0, folds=1, tiny=False, difficulty="easy", participants=0,
      minutes=0, seed=0, still=False,
  )
  own = arg.source not in SOURCES
  if own and not plugins.is_plugin(arg.source):
    raise InputError(
        f"config argument source: got {arg.source!r}, want one of "
        f"{tuple(SOURCES)}, or a file of your own such as ./watch.py"
    )
  c = ConfigDict()
  c.name = arg.name or arg.source  # of the data set
  # Of the study or device: ids are cohort/participant. "": the source's name.
  c.cohort = arg.cohort
  # What reads the recordings: a name, or a file or module of your own.
  c.source = arg.source
  # Samples per second, after resampling, of a signal that names no rate.
  c.rate_hz = 64.0
  c.window_sec = 60.0  # length of a segment
  c.hop_sec = 60.0  # from the start of a segment to that of the next
  c.signals = ConfigDict({
      "acc": signal(3, "g", "acc", gravity_kept=True),
      # The band of pulse waves at rest and in motion, without the baseline.
      "ppg": signal(1, "au", "ppg", band_hz=(0.5, 8.0)),
  })
  c.labels = ConfigDict(labels.DEFAULTS)
  c.quality = ConfigDict({
      name: placeholder(float) if value is None else value
      for name, value in quality.DEFAULTS.items()
  })
  # A secret that turns ids into pseudonyms; "" keeps the ids. It is not stored
  # with the data.
  c.salt = ""
  # Whether to count a recording that cannot be read, instead of stopping.
  c.skip_bad_recordings = False
  # "refuse" a recording that is there twice, under two names, or "join": keep
  # the first by name.
  c.same_recording = "refuse"
  c.workers = 0  # processes; 0: one for each core
  if own:
    plugins.allow([arg.source])
    c.name = arg.name or plugins.stem(arg.source)
    source = plugins.load(arg.source, "source")
  else:
    source = SOURCES[arg.source]
  # What a source without defaults of its own is given.
  c.source_cfg = ConfigDict(getattr(source, "DEFAULTS", {}))
  if hasattr(source, "prepare_config"):
    source.prepare_config(c, arg)
  if arg.still:
    c.quality.max_motion_g = STILL_G
    c.name = arg.name or f"{c.name}_still"
  c.split = split(arg)
  return c.lock()


def signal(channels, unit, kind, gravity_kept=False, band_hz=None):
  """The fields of one signal: `accfm.signals.contract.SignalSpec`."""
  band = placeholder(tuple)  # so that "none" empties the field
  band.set(band_hz)
  rate = placeholder(float)  # None: that of all signals
  return dict(
      channels=channels, unit=unit, kind=kind, gravity_kept=gravity_kept,
      band_hz=band, band_order=2, delay_s=0.0, normalize="zscore", rate_hz=rate,
  )


def split(arg):
  """How people are split, from `split=20/5/10`, `split=0.8/0.1/0.1` or, by
  name, `split=A*+C*/B1*/B*`.
  """
  out = dict(
      kind="fractions",  # "fractions", "counts" or "names": which applies
      fractions=(0.8, 0.1, 0.1),  # of people for train, val and test
      counts=(0, 0, 0),  # people for train, val and test
      seed=0,  # of the order of people
      fold=arg.fold,  # which part of that order is tested
      folds=arg.folds,  # how many such parts there are
  )
  if arg.split:
    parts = arg.split.split("/")
    try:
      if all(part.isdigit() for part in parts):
        out.update(kind="counts", counts=tuple(int(part) for part in parts))
      else:
        out.update(fractions=tuple(float(part) for part in parts))
    except ValueError:
      out.update(kind="names", names=tuple(parts))
    if len(parts) != 3 or not all(parts):
      raise InputError(
          f"config argument split: got {arg.split!r}, want train/val/test as "
          "20/5/10, 0.8/0.1/0.1, or names: A*+C*/B1*/B*"
      )
  return ConfigDict(out)
