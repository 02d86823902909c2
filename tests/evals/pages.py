"""Reads a page as a browser would, and makes up the metrics of one."""

import html.parser
import re
import xml.etree.ElementTree

from accfm.evals.report import plots

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


def put(values, key, value, spread=0.1):
  """Adds a metric with an interval."""
  values[key] = value
  values[f"{key}_ci95_low"] = value - spread
  values[f"{key}_ci95_high"] = value + spread


def make_values():
  """Metrics of everything that a page can show."""
  v = {}
  for way in ("acc2ppg", "ppg2acc"):
    for row, value in (("", 0.9), ("envelope/", 0.4), ("untrained/", 0.01)):
      for pool in ("8", "16", "all"):
        for k in (1, 3):
          put(v, f"test/{row}{way}/recall@{k}_pool{pool}", value)
        v[f"test/{row}{way}/mean_rank_pool{pool}"] = 1.5
      put(v, f"test/{row}not_adjacent/{way}/recall@1_pool8", value / 2)
      put(v, f"test/{row}within_person/{way}/recall@1_pool4", value / 3)
    put(v, f"test/control_fails/{way}/recall@1_pool8", 0.77)
    v[f"test/control_fails/{way}/share_pool8"] = 0.31
  put(v, "test/not_adjacent/control_fails/acc2ppg/recall@1_pool8", 0.654)
  v["test/chance/recall@1_pool8"] = 0.125
  v["test/not_adjacent/chance/recall@1_pool8"] = 0.125
  v["test/retrieval/windows"] = 64.0
  for row, value in (("", 2.0), ("ppg/", 1.5), ("untrained/", 6.0),
                     ("features/", 5.0), ("demographics/", 5.5),
                     ("mean/", 6.5)):
    put(v, f"test/{row}probe_hr/mae_bpm", value)
    put(v, f"test/{row}probe_hr/rmse_bpm", value + 1)
    v[f"test/{row}probe_hr/r2"] = -0.25
    if row != "demographics/":
      put(v, f"test/{row}probe_hr_at_10pct/mae_bpm", value + 0.7)
      v[f"test/{row}probe_hr_at_10pct/mae_bpm_draws_sd"] = 0.3
    if row != "mean/":
      put(v, f"test/{row}probe_sex/auc", 0.75)
      put(v, f"test/{row}probe_sex/average_precision", 0.61)
  v["test/probe_hr/windows"], v["test/probe_hr/people"] = 64.0, 8.0
  v["test/probe_hr_at_10pct/labelled_people"] = 2.0
  v["test/probe_hr_at_10pct/draws"] = 5.0
  put(v, "test/probe_hr/mae_below_mean_share", 0.69)
  for group, value in (("female", 1.8), ("male", 2.4)):
    put(v, f"test/by_sex_{group}/probe_hr/mae_bpm", value)
    v[f"test/by_sex_{group}/probe_hr/people"] = 4.0
    v[f"test/by_sex_{group}/probe_hr/windows"] = 32.0
  v["test/by_sex/probe_hr/worst_gap_bpm"] = 0.6
  for value, people in (("type_1", 5.0), ("type_2", 3.0)):
    put(v, f"test/by_skin_tone_{value}/probe_sex/auc", 0.7)
    v[f"test/by_skin_tone_{value}/probe_sex/people"] = people
  v["test/by_skin_tone/probe_sex/worst_gap_auc"] = 0.123
  for row in ("", "ppg/", "untrained/"):
    v[f"test/{row}health/effective_rank"] = 7.5
    v[f"test/{row}health/dimensions"] = 12.0
    v[f"test/{row}health/alignment"] = 0.4
    v[f"test/{row}health/collapsed"] = 0.0
    put(v, f"test/{row}reidentify/recall@1", 0.44)
    put(v, f"test/{row}reidentify/recall@5", 0.66)
  v["test/reidentify/chance"] = 0.125
  v["test/reidentify/chance@5"] = 0.625
  put(v, "test/reidentify/recall@1_same_session", 0.321)
  for tail, windows in (("", 63.0), ("_same_session", 60.0)):
    v[f"test/reidentify/people{tail}"] = 8.0
    v[f"test/reidentify/windows{tail}"] = windows
  v["test/reidentify/recall@1_other_sessions"] = None
  return v
