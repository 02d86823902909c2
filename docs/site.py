"""What the documentation's site adds to the pages in docs/.

The tables in results/ become pages of the site, so that links to them hold
there as they do in the repository; the reference is made from the code: the
commands and configs by their own help, the Python side by its docstrings.
"""

import inspect
import pathlib
import re

from mkdocs.structure.files import File

from accfm import cli
from accfm.base import commandline, configfiles, fielddocs, plugins

ROOT = pathlib.Path(__file__).parents[1]
# What others call. A name is documented with its class's methods.
PUBLIC = {
    "Use a trained encoder": ("accfm.load", "accfm.use.Encoder"),
    "Recordings and the input contract": (
        "accfm.signals.recording", "accfm.signals.contract",
    ),
    "Configs": ("accfm.base.configlib", "accfm.base.configfiles"),
    "Code outside accfm": ("accfm.base.plugins",),
    "Losses": ("accfm.losses.infonce", "accfm.losses.koleo"),
    "Encoders": ("accfm.models.build", "accfm.models.encoders.vit1d.ViT1D",
                 "accfm.models.encoders.efficientnet1d.EfficientNet1D"),
}


def on_files(files, config):
  """Adds the pages that are made and those of results/."""
  made = {
      "reference/configs.md": configs_page(),
      "reference/python.md": python_page(),
  }
  for path in sorted((ROOT / "results").iterdir()):
    if path.suffix in (".md", ".png"):
      files.append(File.generated(
          config, f"results/{path.name}", abs_src_path=str(path)
      ))
  for name, text in made.items():
    files.append(File.generated(config, name, content=text))
  return files


def on_page_markdown(markdown, page, **unused):
  """Links to results/ as they are on the site."""
  del unused
  if page.file.src_uri.startswith(("results/", "reference/")):
    return markdown
  return markdown.replace("](../results/", "](results/")


def configs_page():
  """Commands with their flags, then every config with its fields."""
  out = ["# Commands and configs", ""]
  for name in cli.COMMANDS:
    main = plugins.load_own(f"accfm.{name}").MAIN
    out += [f"## accfm {name}", "", main.summary, "",
            "| flag | meaning |", "|---|---|"]
    out += [
        f"| `--{flag.name}` | {_cell(flag.help)} |"
        for flag in (*commandline.COMMON, *main.flags)
    ]
    out += ["", "Configs: " + ", ".join(
        f"[{usual}](#{usual})" for usual in main.usual), ""]
  for name in configfiles.names():
    out += _config(name)
  return "\n".join(out) + "\n"


def _config(name):
  """A config's own words, and a table of its fields."""
  module = configfiles.module(name)
  doc = (module.__doc__ or "").strip()
  about = inspect.cleandoc(configfiles.function(name).__doc__ or "")
  out = [f"## {name}", "", "```text", doc, "```", "", about, "",
         "| field | value | meaning |", "|---|---|---|"]
  for path, value, text in fielddocs.lines(configfiles.load(name), module):
    if not path.startswith("runs."):
      out.append(f"| `{path}` | `{_cell(value)}` | {_cell(text)} |")
  return [*out, ""]


def _cell(text):
  """Text that a table's cell can hold."""
  return re.sub(r"([|<>*_])", r"\\\1", " ".join(text.split()))


def python_page():
  """Docstrings of what others call."""
  out = ["# Python", ""]
  for title, names in PUBLIC.items():
    out += [f"## {title}", ""] + [f"::: {name}\n" for name in names]
  return "\n".join(out) + "\n"
