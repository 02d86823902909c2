"""What the fields of a config mean, read from the comments beside them.

A field is explained where its value stands: by the comment on its line, or by
the lines of comment right above it. What belongs to a part of the package (an
encoder, a head, the quality rules) is explained there, by such comments or in
the `Attributes` of a class. So no text is written twice, and `accfm X --help`
can show it all.
"""

import ast
import functools
import inspect
import io
import pathlib
import re
import tokenize
from types import ModuleType

from ml_collections import ConfigDict

# Group of fields -> the files of the package that explain them.
EXPLAINED_IN = {
    "encoder": ("models/build.py", "models/encoders/{family}.py"),
    "teacher_encoder": ("models/build.py", "models/encoders/{family}.py"),
    "head": ("models/heads.py",),
    "decoder": ("models/mae_decoder.py",),
    "augment": ("signals/augment.py",),
    "labels": ("signals/labels.py",),
    "quality": ("signals/quality.py",),
    "signals": ("signals/contract.py",),
    "order": ("data/orders.py",),
    "split": ("data/splits.py",),
    "source_cfg": tuple(
        f"data/sources/{name}.py" for name in ("simulated", "e4", "ieee_spc")
    ),
}
PACKAGE = pathlib.Path(__file__).parents[1]


def lines(config: ConfigDict, module: ModuleType) -> list[tuple[str, str, str]]:
  """(dotted name, value, meaning) of every field of a config.

  Args:
    config: as its `get_config` gave it.
    module: that holds `get_config`.

  Returns:
    In the config's order; a meaning is "" where no comment gives one.
  """
  known = {}
  for path in reversed(_sources(module)):
    known |= comments(path)
  return list(_walk(config, known, ""))


def _walk(group, known, prefix):
  for name in group:
    value = group[name]
    path = f"{prefix}{name}"
    if isinstance(value, ConfigDict) and len(value):
      inner = dict(known)
      for file in EXPLAINED_IN.get(name, ()):
        file = PACKAGE / file.format(family=value.get("family", ""))
        if file.is_file():
          inner |= comments(file)
      yield from _walk(value, inner, f"{path}.")
    else:
      within = ".".join(path.split(".")[-2:])
      yield path, _shown(value), known.get(within, known.get(name, ""))


def _shown(value) -> str:
  return "{}" if isinstance(value, ConfigDict) else repr(value)


def _sources(module: ModuleType) -> list[pathlib.Path]:
  """The module's file, then those of the configs that it imports."""
  out, queue = [], [module]
  while queue:
    one = queue.pop(0)
    path = pathlib.Path(inspect.getfile(one))
    if path in out:
      continue
    out.append(path)
    queue += [
        value for value in vars(one).values()
        if isinstance(value, ModuleType)
        and value.__name__.startswith("accfm.configs.")
    ]
  return out


@functools.cache
def comments(path: pathlib.Path) -> dict[str, str]:
  """Name -> meaning of what a Python file assigns, passes or documents."""
  source = path.read_text()
  beside, alone = _comments_by_line(source)
  out, names_at = {}, {}
  for node in ast.walk(ast.parse(source)):
    for name, line in _named(node):
      names_at.setdefault(line, []).append(name)
    out |= _attributes(node)  # a file's last class is the one it is about
  for line, names in sorted(names_at.items()):
    text = beside.get(line, "")
    above = []
    while not text and line - 1 - len(above) in alone:
      above.append(alone[line - 1 - len(above)])
    if above:  # is about what the line begins with
      text = " ".join(reversed(above))
      first = names[0].rpartition(".")[2]
      names = [name for name in names if name.rpartition(".")[2] == first]
    for name in names if text else ():
      out.setdefault(name, text)  # the first place is where it is explained
  return out


def _comments_by_line(source: str) -> tuple[dict[int, str], dict[int, str]]:
  """({line: comment behind code}, {line: comment that stands alone})."""
  beside, alone = {}, {}
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    if token.type == tokenize.COMMENT:
      text = token.string.lstrip("# ").rstrip()
      behind = token.line[:token.start[1]].strip()
      (beside if behind else alone)[token.start[0]] = text
  return beside, alone


def _named(node: ast.AST):
  """(name, line) of an assigned attribute, a keyword or a key of text.

  A keyword within the value of an attribute, or within a function, is also
  named behind it: `seed` of `c.source_cfg = dict(seed=0)` is `source_cfg.seed`
  as well.
  """
  if isinstance(node, ast.Assign):
    for target in node.targets:
      if isinstance(target, ast.Attribute):
        yield target.attr, node.lineno
        yield from _within(target.attr, node.value)
  elif isinstance(node, ast.FunctionDef):
    yield from _within(node.name, node)
  elif isinstance(node, ast.keyword) and node.arg:
    yield node.arg, node.value.lineno
  elif isinstance(node, ast.Dict):
    for key in node.keys:
      if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield key.value, key.lineno


def _within(group: str, node: ast.AST):
  for inner in ast.walk(node):
    if isinstance(inner, ast.keyword) and inner.arg:
      yield f"{group}.{inner.arg}", inner.value.lineno


def _attributes(node: ast.AST) -> dict[str, str]:
  """Name -> text of the `Attributes:` section of a class."""
  if not isinstance(node, ast.ClassDef):
    return {}
  _, _, section = (ast.get_docstring(node) or "").partition("Attributes:\n")
  out = {}
  for item in re.split(r"\n(?=  \S)", section.split("\n\n")[0]):
    names, colon, text = item.strip().partition(":")
    if colon and re.fullmatch(r"\w+(, \w+)*", names):
      text = " ".join(text.split())
      out.update({name: text for name in names.split(", ")})
  return out
