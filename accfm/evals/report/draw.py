"""Draws sections: plain data through templates, plots by their names.

The templates lie in `templates/`, one macro for each kind of part. They
escape all text; a drawing alone is HTML.
"""

import pathlib
from typing import Any

import jinja2
import markupsafe

from accfm.evals.report import encoder_plots, forest, probe_plots
from accfm.evals.results.section import Plot
from accfm.evals.stats import intervals

# The plots that a section may name; each takes the data of a Plot.
PLOTS = {
    "lines": encoder_plots.lines,  # of any evaluator
    "recall_curves": encoder_plots.recall_curves,
    "pool_sizes": encoder_plots.pool_sizes,
    "pair": encoder_plots.pair,
    "spectra": encoder_plots.spectra,
    "embedding_map": encoder_plots.embedding_map,
    "agreement": probe_plots.agreement,
    "roc": probe_plots.roc,
    "label_curves": probe_plots.label_curves,
    "subgroups": probe_plots.subgroups,
    "forest": forest.forest,
}


def draw_plot(plot: Plot) -> markupsafe.Markup:
  """The drawing of a Plot, an <svg> element."""
  return markupsafe.Markup(PLOTS[plot.name](**plot.data))


def _breakable(text: str) -> markupsafe.Markup:
  """Text that breaks after an underscore, as a long name of a run may."""
  return markupsafe.escape(text).replace(
      "_", markupsafe.Markup("_<wbr>"))


def fill(template: str, **values: Any) -> str:
  """A template of `templates/` with its values."""
  environment = jinja2.Environment(
      loader=jinja2.FileSystemLoader(
          pathlib.Path(__file__).parent / "templates"),
      autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
      lstrip_blocks=True,
  )
  environment.filters["drawing"] = draw_plot
  environment.filters["breakable"] = _breakable
  environment.globals["few"] = intervals.FEW
  return environment.get_template(template).render(values)
