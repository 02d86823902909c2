"""Reads a page as a browser would, and makes up the figures of one."""

import dataclasses
import html.parser
import re
import xml.etree.ElementTree

from accfm.evals.report import plots
from accfm.evals.results.figures import CHANCE, TESTED, Figure, Figures
from accfm.evals.stats.people import Estimate

VOID = {"meta", "br", "wbr"}


class _Reader(html.parser.HTMLParser):
  """Checks that tags close, and collects tables, headings and text."""

  def __init__(self):
    super().__init__()
    self.open, self.tables, self.heads, self.text = [], [], [], []
    self.tags = set()

  def handle_starttag(self, tag, attrs):
    self.tags.add(tag)
    if tag not in VOID:
      self.open.append(tag)
    if tag == "table":
      self.tables.append([])
    if tag == "tr":
      self.tables[-1].append(0)
    if tag in ("td", "th"):
      self.tables[-1][-1] += int(dict(attrs).get("colspan", 1))
    if tag in ("h1", "h2", "h3"):
      self.heads.append("")

  def handle_startendtag(self, tag, attrs):
    self.tags.add(tag)

  def handle_endtag(self, tag):
    assert self.open and self.open.pop() == tag, (tag, self.open[-3:])

  def handle_data(self, data):
    if self.open and self.open[-1] in ("h1", "h2", "h3"):
      self.heads[-1] += data
    if "style" not in self.open:
      self.text.append(data)


def read(path):
  """A page that is whole: tags close, rows are even, ids are its own.

  Returns:
    (headings, its text).
  """
  text = path.read_text(encoding="utf-8")
  reader = _Reader()
  reader.feed(text)
  reader.close()
  assert not reader.open
  for rows in reader.tables:
    assert len(set(rows)) == 1, rows
  assert not reader.tags & {"script", "link", "iframe", "img", "a"}
  assert not re.search(r"(?:src|href)=\"(?!#|data:)|@import|url\((?!#)", text)
  ids = re.findall(r' id="([^"]*)"', text)
  assert len(ids) == len(set(ids))
  assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)) <= (
      {(i, "") for i in ids} | {("", i) for i in ids})
  return reader.heads, " ".join(" ".join(reader.text).split())


def is_svg(text):
  """Whether a drawing is well formed, and takes its ink from the page."""
  root = xml.etree.ElementTree.fromstring(text)
  assert root.tag.endswith("svg") and "width" not in root.attrib
  assert "#010203" not in text and "currentColor" in text
  return True


def no_drawing(monkeypatch):
  """Pages without their drawings, of which one test of a page is enough."""
  monkeypatch.setattr(plots, "svg", lambda *_, **__: "<svg></svg>")


def spread(value):
  """An Estimate with an interval."""
  return Estimate(value, value - 0.1, value + 0.1)


def make_figures(leave_out=lambda figure: False):
  """Figures of everything that a page can show.

  Args:
    leave_out: which to leave out.
  """
  out = Figures()

  def add(about, value, **fields):
    figure = dataclasses.replace(about, **fields)
    if leave_out(figure):
      return
    if value is None:
      out.skip(figure, "not known here")
    else:
      out.add(figure, value)

  _add_retrieval(add)
  _add_probes(add)
  _add_subgroups(add)
  _add_encoders(add)
  return out


def _add_retrieval(add):
  about = Figure("test", "retrieval")
  for way in ("acc2ppg", "ppg2acc"):
    for encoder, value in ((TESTED, 0.9), ("envelope", 0.4),
                           ("untrained", 0.01)):
      at = dataclasses.replace(about, subject=way, encoder=encoder)
      for pool in (8, 16, "all"):
        for k in (1, 3):
          add(at, spread(value), measure=f"recall@{k}", pool=pool)
        add(at, 1.5, measure="mean_rank", pool=pool)
      add(at, spread(value / 2), variant="not_adjacent", measure="recall@1",
          pool=8)
      add(at, spread(value / 3), variant="within_person", measure="recall@1",
          pool=4)
    at = dataclasses.replace(
        about, subject=way, variant="control_fails", pool=8)
    add(at, spread(0.77), measure="recall@1")
    add(at, 0.31, measure="share")
    add(at, Estimate(0.5, 0.4, 0.6), variant="", rival="envelope",
        measure="recall@1_minus_best_unlearned")
  add(about, spread(0.654), subject="acc2ppg",
      variant="not_adjacent/control_fails", measure="recall@1", pool=8)
  for variant in ("", "not_adjacent"):
    add(about, 0.125, encoder=CHANCE, variant=variant, measure="recall@1",
        pool=8)
  add(about, 64, measure="windows")
  add(about, 8, measure="people")


def _add_probes(add):
  about = Figure("test", "probe")
  hr = dataclasses.replace(about, subject="hr")
  few = dataclasses.replace(hr, share=0.1)
  for encoder, value in ((TESTED, 2.0), ("ppg", 1.5), ("untrained", 6.0),
                         ("features", 5.0), ("demographics", 5.5),
                         ("mean", 6.5)):
    add(hr, spread(value), encoder=encoder, measure="mae", unit="bpm")
    add(hr, spread(value + 1), encoder=encoder, measure="rmse", unit="bpm")
    add(hr, -0.25, encoder=encoder, measure="r2")
    if encoder != "demographics":
      add(few, Estimate(value + 0.7, value + 0.6, value + 0.8, 0.3),
          encoder=encoder, measure="mae", unit="bpm")
    if encoder != "mean":
      add(about, spread(0.75), subject="sex", encoder=encoder, measure="auc")
      add(about, spread(0.61), subject="sex", encoder=encoder,
          measure="average_precision")
  add(hr, 64, measure="windows")
  add(hr, 8, measure="people")
  add(few, 2, measure="labelled_people")
  add(few, 5, measure="draws")
  add(hr, spread(0.69), measure="mae_below_mean_share")
  add(hr, 1.2, measure="median_abs_error", unit="bpm")
  add(hr, 0.97, measure="within_5bpm_share")
  for kind in ("unlearned", "baseline"):
    add(hr, Estimate(-3.0, -3.5, -2.5), measure=f"mae_minus_best_{kind}",
        unit="bpm", rival="features")


def _add_subgroups(add):
  about = Figure("test", "probe", subject="hr", attribute="sex")
  for group, value in (("female", 1.8), ("male", 2.4)):
    at = dataclasses.replace(about, group=group)
    add(at, spread(value), measure="mae", unit="bpm")
    add(at, 4, measure="people")
    add(at, 32, measure="windows")
  add(about, 0.6, measure="worst_gap", unit="bpm")
  about = Figure("test", "probe", subject="sex", attribute="skin_tone")
  for group, people in (("type_2", 3), ("type_1", 5)):
    add(about, spread(0.7), group=group, measure="auc")
    add(about, people, group=group, measure="people")
  add(about, 0.123, measure="worst_gap_auc")


def _add_encoders(add):
  about = Figure("test", "reidentify")
  for encoder in (TESTED, "ppg", "untrained"):
    at = Figure("test", "health", encoder)
    add(at, 7.5, measure="effective_rank")
    add(at, 12, measure="dimensions")
    add(at, 0.4, measure="alignment")
    add(at, 0.0, measure="collapsed")
    add(about, spread(0.44), encoder=encoder, measure="recall@1")
    add(about, spread(0.66), encoder=encoder, measure="recall@5")
  for rule in ("", "same_session"):
    add(about, 0.125, encoder=CHANCE, measure="recall@1", variant=rule)
    add(about, 0.625, encoder=CHANCE, measure="recall@5", variant=rule)
  add(about, spread(0.321), measure="recall@1", variant="same_session")
  for rule, windows in (("", 63), ("same_session", 60)):
    add(about, 8, measure="people", variant=rule)
    add(about, windows, measure="windows", variant=rule)
  add(about, None, measure="recall@1", variant="other_sessions")


def changed(figures, value, **fields):
  """The same Figures with another value where they have these fields."""
  out = Figures()
  for figure in figures:
    fits = all(getattr(figure, name) == x for name, x in fields.items())
    if figure.value is None or (fits and value is None):
      out.skip(dataclasses.replace(figure, value=None), "not known here")
    else:
      out.add(figure, value if fits else Estimate(
          figure.value, figure.low, figure.high, figure.draws_sd))
  return out
