"""Drawings are SVG that fits any page and shows what it was given."""

import re

import numpy as np
import pytest

from accfm.evals.probes import describe_shares, describe_subgroups
from accfm.evals.report import draw, encoder_plots, forest, plots, probe_plots
from accfm.evals.results.figures import TESTED
from accfm.evals.results.section import Plot, pick_points, say_picked
from accfm.evals.stats import agreement, roc
from accfm.evals.stats import people as stats
from accfm.evals.stats.people import Estimate
from tests.evals import pages

RNG = np.random.default_rng(0)


def _agreement(rows):
  true = RNG.normal(70, 9, rows)
  predicted = true + RNG.normal(0, 3, rows)
  people = stats.People(np.arange(rows) % 5, 20, 0)
  found = agreement.limits(people, true, predicted)
  return probe_plots.agreement(true, predicted, found, "bpm", "HR")


def _roc():
  y = np.tile([0.0, 1.0], 12)
  curve = roc.curve(stats.People(np.arange(24), 50, 0), y, RNG.normal(size=24))
  panels = [(f"task {i}", "AUC 0.5", {TESTED: curve, "ppg": curve})
            for i in range(4)]
  return probe_plots.roc(panels)


def _labels():
  curves = describe_shares.label_curves(pages.make_figures())
  return probe_plots.label_curves(curves, {e: e for e in curves[0].lines})


def _subgroups():
  found = describe_subgroups.find_panels(pages.make_figures())[:1]
  return probe_plots.subgroups(found)


def _map(values):
  xy = RNG.normal(size=(len(values), 2))
  return encoder_plots.embedding_map(
      {"one": xy, "two": -xy}, {"one": ("a", "b"), "two": ("c", "d")}, values,
      "a colour")


def _pools():
  at = [(8, Estimate(0.9, 0.8, 1.0)), (99, Estimate(0.7))]
  return encoder_plots.pool_sizes(
      {TESTED: {"x": at, "y": at}}, [("x", "there"), ("y", "back")])


def _forest(pairs):
  scores = {"a": Estimate(1.0, 0.9, 1.1), "b": Estimate(2.0)}
  return forest.forest("x", scores, pairs, "error", -1, {
      "a": "#11aa11", "b": "#bb22bb"})


@pytest.mark.parametrize("draw", [
    lambda: _agreement(40), lambda: _agreement(1600), _roc, _labels,
    _subgroups, _pools, lambda: _forest({}),
    lambda: _map(RNG.normal(size=30)),
    lambda: _map(np.where(np.arange(30) < 5, np.nan, 1.0)),
    lambda: _map(np.full(30, np.nan)),
    lambda: _map(np.array([f"class {i % 12}" for i in range(60)])),
    lambda: encoder_plots.spectra({TESTED: np.array([3.0, 1.0, 0.0])}),
    lambda: encoder_plots.pair(RNG.normal(size=(99, 3)),
                               RNG.normal(size=(99, 1)),
                               RNG.normal(size=(99, 1)), (8.0, 4.0),
                               ("a", "b")),
    lambda: encoder_plots.lines(
        {TESTED: [(1, Estimate(0.5)), (10, Estimate(0.7, 0.6, 0.8))],
         "mean": [(1, Estimate(0.1))]}, "dimensions", "share", log=True),
    lambda: encoder_plots.recall_curves(
        {TESTED: {"x": np.linspace(0.5, 1, 8)}}, [("x", "there")],
        "among 8"),
])
def test_every_drawing_is_whole(draw):
  assert pages.is_svg(draw())


def test_ids_are_a_drawings_own():
  text = ('<g id="a"/><path id="b"/><use href="#b"/><g clip-path="url(#c)"/>'
          '<clipPath id="c"/>')
  got = plots.own_ids(text)
  ids = re.findall(r' id="([^"]*)"', got)
  assert [i[-1] for i in ids] == ["b", "c"] and len(ids[0]) > 4
  assert f'href="#{ids[0]}"' in got and f"url(#{ids[1]})" in got
  assert plots.own_ids(text) == got
  assert not set(ids) & set(re.findall(r' id="([^"]*)"',
                                       plots.own_ids(text + "<g/>")))


def test_points_that_are_left_out_are_chosen_once_and_said():
  np.testing.assert_array_equal(pick_points(7, 10), np.arange(7))
  rows = pick_points(100, 10)
  assert len(set(rows)) == 10 and (np.diff(rows) > 0).all()
  np.testing.assert_array_equal(rows, pick_points(100, 10))
  assert say_picked(7, 7) == ""
  assert "10 of 4,000 points" in say_picked(10, 4000)


def test_a_plot_is_drawn_by_its_name():
  sizes = {TESTED: np.array([3.0, 1.0])}
  got = draw.draw_plot(Plot("spectra", {"sizes": sizes}, "a caption"))
  assert got == encoder_plots.spectra(sizes) and got.__html__() == got


def test_every_point_of_an_agreement_is_drawn():
  true = np.array([60.0, 70, 80, 70, 60, 80] * 5)
  predicted = true + np.array([0.0, 1, -1, 0, 1, -1] * 5)
  predicted[3] = 190.0  # far off, and not left out
  found = agreement.limits(
      stats.People(np.arange(30) % 3, 10, 0), true, predicted)
  text = probe_plots.agreement(true, predicted, found, "", "x")
  box = [float(v) for v in re.search(r'viewBox="([^"]*)"', text)[1].split()]
  places = [tuple(map(float, m)) for m in re.findall(
      r'<use [^>]*x="([\d.-]+)" y="([\d.-]+)"', text)]
  for x, y in places:
    assert 0 <= x <= box[2] and 0 <= y <= box[3]
  highest = min(y for _, y in places)  # SVG counts from the top
  assert sum(y < highest + 3 for _, y in places) <= 3


def test_a_clear_difference_has_the_colour_of_the_better():
  a_errs_less = {("a", "b"): Estimate(-1.0, -1.5, -0.5)}
  assert _forest(a_errs_less).count("#11aa11") > _forest({}).count("#11aa11")
  a_errs_more = {("a", "b"): Estimate(1.0, 0.5, 1.5)}
  assert _forest(a_errs_more).count("#bb22bb") > _forest({}).count("#bb22bb")
  unclear = {("a", "b"): Estimate(-1.0, -1.5, 0.5)}
  assert _forest(unclear).count("#11aa11") == _forest({}).count("#11aa11")
  assert plots.GREY in _forest(unclear)
