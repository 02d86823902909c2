"""The hash of a source's code: other code reads other recordings.

It covers the file of the source and the modules that this file imports from
its own folder, and theirs. Nothing is imported to find them.
"""

import ast
import hashlib
import inspect
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any


def digest(source: Any) -> str:
  """A short hash of a module's code, or of the module of an object's class.

  "" where there is no file of it.
  """
  module = source if inspect.ismodule(source) else (
      sys.modules.get(type(source).__module__)
  )
  path = getattr(module, "__file__", None)
  if not path or not os.path.isfile(path):
    return ""
  found = find_files(path, getattr(module, "__package__", None) or "")
  hashes = [
      hashlib.sha256(pathlib.Path(p).read_bytes()).hexdigest() for p in found
  ]
  if len(hashes) == 1:
    return hashes[0][:16]
  folder = os.path.dirname(path)
  lines = [
      f"{os.path.relpath(p, folder)} {h}\n"
      for p, h in zip(found, hashes, strict=True)
  ]
  return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()[:16]


def find_files(path: str, package: str = "") -> list[str]:
  """A Python file and what it imports from its own folder, sorted.

  Args:
    path: of the file.
    package: dotted name of the package whose folder this is, "" for none.
  """
  folder = os.path.dirname(path)
  found, todo = set(), [path]
  while todo:
    file = todo.pop()
    if file in found:
      continue
    found.add(file)
    for stem in _imported(file, folder, package):
      candidates = (f"{stem}.py", os.path.join(stem, "__init__.py"))
      todo += [p for p in candidates if os.path.isfile(p)]
  return sorted(found)


def _imported(file: str, folder: str, package: str) -> Iterator[str]:
  """Paths inside `folder`, without suffix, that a file may import."""
  try:
    tree = ast.parse(pathlib.Path(file).read_bytes())
  except (SyntaxError, ValueError):
    return  # it cannot be imported either
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      start, names = folder, [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      start = folder
      for level in range(node.level):
        start = os.path.dirname(file if level == 0 else start)
      base = f"{node.module}." if node.module else ""
      names = [base + alias.name for alias in node.names]
    else:
      continue
    relative = isinstance(node, ast.ImportFrom) and node.level
    if not f"{start}/".startswith(f"{folder}/"):
      continue
    for name in names:
      if package and not relative:
        if not name.startswith(f"{package}."):
          continue
        name = name.removeprefix(f"{package}.")
      parts = name.split(".")
      for i in range(len(parts)):
        yield os.path.join(start, *parts[:i + 1])
