"""What sections say of targets, shares of labels and subgroups."""

import pytest

from accfm.evals.probes import describe, describe_shares, describe_subgroups
from accfm.evals.probes import found as found_targets
from accfm.evals.results.figures import TESTED, Figure, Figures
from accfm.evals.stats.people import Estimate
from tests.evals import pages


def test_targets_are_those_of_everybody():
  figures = pages.make_figures()
  found = found_targets.find_targets(figures, "probe")
  assert [(t.title, t.scale, t.about.share) for t in found] == [
      ("HR", "bpm", 1.0), ("HR, 10 % of labels", "bpm", 0.1),
      ("sex", "AUC", 1.0),
  ]
  assert set(found[0].scores) == {
      TESTED, "ppg", "untrained", "features", "demographics", "mean"}
  assert found[0].scores["ppg"].value == 1.5
  assert not found_targets.find_targets(figures, "direct")


def test_label_curves_hold_every_line_and_share():
  (one,) = describe_shares.label_curves(pages.make_figures())
  assert (one.title, one.scale) == ("HR", "bpm")
  assert one.shares == [0.1, 1.0]
  assert one.people == {0.1: 2} and one.draws == {0.1: 5}
  assert list(one.lines) == [
      TESTED, "ppg", "features", "demographics", "untrained", "mean"]
  assert set(one.lines["demographics"]) == {1.0}
  got = one.lines["ppg"][0.1]
  assert (got.value, got.low) == (pytest.approx(2.2), pytest.approx(2.1))


def test_a_share_alone_is_no_curve():
  figures = pages.make_figures(lambda f: f.share < 1)
  assert describe_shares.label_curves(figures) == []


def test_subgroups_of_each_attribute():
  hr, sex = describe_subgroups.find_panels(pages.make_figures())
  assert (hr.attribute, hr.title, hr.scale) == ("sex", "HR", "bpm")
  assert hr.whole.value == 2.0 and hr.gap.value == 0.6 and hr.gap.low is None
  assert [(g.title, g.score.value, g.people, g.segments) for g in hr.groups
          ] == [("female", 1.8, 4, 32), ("male", 2.4, 4, 32)]
  assert (sex.attribute, sex.scale, sex.gap.value) == (
      "skin_tone", "AUC", 0.123)
  assert [(g.counted, g.segments) for g in sex.groups] == [
      ("type 1 (5)", None), ("type 2 (3)", None)]


def test_bands_of_numbers_are_in_order():
  bands = ["40to60", "60plus", "under40", "100to120"]
  order_of, title_of = describe_subgroups.order_of, describe_subgroups.title_of
  assert sorted(bands, key=order_of) == [
      "under40", "40to60", "60plus", "100to120"]
  assert [title_of(b) for b in bands] == [
      "40 to 60", "60 plus", "under 40", "100 to 120"]
  names = ["still", "moving", "type_2", "type_1"]
  assert sorted(names, key=order_of) == ["moving", "still", "type_1", "type_2"]
  assert title_of("type_1") == "type 1"


def test_a_subgroup_that_cannot_be_evaluated_stays():
  figures = Figures()
  about = Figure("test", "probe", subject="x", attribute="age",
                 group="under30")
  figures.add(about, 1, measure="people")
  figures.skip(about, "1 person", measure="mae")
  figures.skip(about, "no two groups", group="", measure="worst_gap")
  (one,) = describe_subgroups.find_panels(figures)
  (group,) = one.groups
  assert (group.title, group.people, group.segments) == ("under 30", 1, None)
  assert group.score.value is None and one.gap.value is None
  assert one.whole is None
  assert not describe_subgroups.describe_subgroups(figures)


def test_a_direct_prediction_has_a_section_of_its_own():
  figures = Figures()
  about = Figure("test", "direct", subject="hr", measure="mae", unit="bpm")
  figures.add(about, Estimate(3.0, 2.0, 4.0))
  figures.add(about, 9, measure="windows", unit="")
  (section,) = describe.describe_targets(
      "Direct predictions", "", "direct", None, figures, [])
  (table,) = section.parts
  assert [c.text for c in table.lines[0].cells] == [
      "HR, predicted directly (bpm)", "3.00"]
  assert table.lines[0].cells[0].below == "9 windows"
  assert [c.title for c in section.cards] == ["HR, predicted directly error"]
