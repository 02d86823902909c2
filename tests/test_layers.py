"""The layers hold: every import in accfm points down, and none is hidden.

`LAYERS` is the architecture. A module imports lower numbers only, folders of
one number never meet, mains see all, and modules never import in a circle.
`ROOMS` is the order within `evals`, by the same rules.
The checker is itself checked on small trees that break one rule each.
"""

import ast
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LAYERS = {
    "base": 0,
    "signals": 1, "models": 1, "losses": 1,
    "steps": 2, "data": 2,
    "train": 3, "evals": 3,
    "plans": 4, "use": 4,
}
MAIN = 5
# Folders of evals, the leak guard, and the modules that gather for all; what
# lies beside them (evaluators, suite, validate) sees all.
ROOMS = {
    "stats": 0, "files": 0, "baselines": 0, "results": 1, "leaks": 1,
    "inputs": 2, "opened": 3,
    "embedding": 4, "retrieval": 5, "probes": 5, "report": 6, "compare": 7,
}
# Configs (`accfm.configs` is the folder configs/) take defaults, such as an
# encoder's sizes or an augmentation's, from layer 1.
CONFIGS_SEE = 1
# The prepare defaults of a source lie beside its reader.
CONFIGS_SEE_ALSO = {"accfm.data.sources"}
EVERYBODY_IMPORTS = {"accfm", "accfm.version"}
# TensorFlow is slow to import and not needed; the others run what they read.
FORBIDDEN_MODULES = {"tensorflow", "pickle", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "import_module"}
# Nor these in what is installed.
LOADERS = {"exec_module", "spec_from_file_location", "run_module", "run_path"}
# The one module that imports by name.
IMPORTS_BY_NAME = "accfm/base/plugins.py"
MAX_LINES = {"main": 130, "module": 400}


def modules(root):
  """Dotted name -> path of each module of accfm and configs under root."""
  out = {}
  for top in ("accfm", "configs"):
    for path in sorted((root / top).rglob("*.py")):
      parts = list(path.relative_to(root).with_suffix("").parts)
      if parts[-1] == "__init__":
        parts.pop()
      if top == "configs":
        parts.insert(0, "accfm")
      name = ".".join(parts)
      # configs/__init__.py and accfm/configs.py are one package.
      out[f"{name}.clone" if name in out else name] = path
  return out


def imports(path, name, known):
  """(line, module) of every import in a file, wherever it stands."""
  package = name if path.name == "__init__.py" else name.rpartition(".")[0]
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield node.lineno, alias.name
    elif isinstance(node, ast.ImportFrom):
      base = node.module or ""
      if node.level:
        parents = package.split(".")
        parents = parents[: len(parents) - node.level + 1]
        base = ".".join(parents + ([base] if base else []))
      for alias in node.names:
        whole = f"{base}.{alias.name}"
        is_module = any(f"{name}.".startswith(f"{whole}.") for name in known)
        yield node.lineno, whole if is_module else base


def layer(name):
  """Layer of an accfm module; None where it has none."""
  parts = name.split(".")
  if len(parts) == 2 and parts[1] not in LAYERS:
    return MAIN
  return LAYERS.get(parts[1])


def room(name):
  """The folder of evals that a module lies in, "" where there is none."""
  parts = name.split(".")
  inside = parts[1] == "evals" and len(parts) > 2 and parts[2] in ROOMS
  return parts[2] if inside else ""


def is_config(name):
  """Whether a module is a config."""
  return f"{name}.".startswith("accfm.configs.")


def import_problems(root):
  """Lines that say which import breaks which rule."""
  known = modules(root)
  graph = {name: set() for name in known}
  problems = []
  for name, path in known.items():
    free = is_config(name) or name in EVERYBODY_IMPORTS
    if not free and layer(name) is None:
      problems.append(f"{name}: folder has no layer in {list(LAYERS)}")
      continue
    for line, target in imports(path, name, known):
      where = f"{name}:{line}"
      if target.split(".")[0] in FORBIDDEN_MODULES:
        problems.append(f"{where} imports {target}")
      if target in known and target != name:
        graph[name].add(target)
      if target in EVERYBODY_IMPORTS or target.split(".")[0] != "accfm":
        continue
      if is_config(name) or name in EVERYBODY_IMPORTS:
        seen = CONFIGS_SEE if is_config(name) else 0
        if not (is_config(name) and is_config(target)) and (
            layer(target) is None or layer(target) > seen
        ) and not (is_config(name) and target in CONFIGS_SEE_ALSO):
          problems.append(
              f"{where} sees layers up to {seen}, imports {target}"
          )
        continue
      same_folder = name.split(".")[1] == target.split(".")[1]
      if layer(name) < MAIN and not same_folder and (
          layer(target) is None or layer(target) >= layer(name)
      ):
        problems.append(
            f"{where} (layer {layer(name)}) imports {target} "
            f"(layer {layer(target)})"
        )
      mine, other = room(name), room(target)
      if mine and mine != other and target.startswith("accfm.evals") and (
          not other or ROOMS[other] >= ROOMS[mine]
      ):
        problems.append(
            f"{where} (room {mine}) imports {target}, want a room before it"
        )
  try:
    graphlib.TopologicalSorter(graph).prepare()
  except graphlib.CycleError as error:
    problems.append("circle: " + " -> ".join(error.args[1]))
  return problems


def call_problems(path, calls=FORBIDDEN_CALLS):
  """Lines that run text as code or change where imports come from."""
  problems = []
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Call):
      called = ast.unparse(node.func).rpartition(".")[2]
      if called == "eval" and "." in ast.unparse(node.func):
        continue  # a method of that name
      if called in calls:
        problems.append(f"{path.name}:{node.lineno} calls {called}")
      for keyword in node.keywords:
        if keyword.arg == "allow_pickle" and getattr(
            keyword.value, "value", True
        ):
          problems.append(f"{path.name}:{node.lineno} allows pickle")
    elif isinstance(node, ast.Attribute) and (
        node.attr == "path" and getattr(node.value, "id", "") == "sys"
    ):
      problems.append(f"{path.name}:{node.lineno} touches sys.path")
  return problems


def test_imports_point_down():
  assert not import_problems(ROOT)


def test_nothing_runs_text_as_code():
  installed = [
      p for f in ("accfm", "configs") for p in (ROOT / f).rglob("*.py")
      if p != ROOT / IMPORTS_BY_NAME
  ]
  others = [ROOT / "setup.py"]
  for folder in ("benchmarks", "tests"):
    others += (ROOT / folder).rglob("*.py")
  assert not [
      line for path in others for line in call_problems(path)
  ] + [
      line for path in installed
      for line in call_problems(path, FORBIDDEN_CALLS | LOADERS)
  ]


def test_files_stay_small():
  long = []
  for name, path in modules(ROOT).items():
    lines = len(path.read_text().splitlines())
    kind = "main" if name != "accfm" and not is_config(name) and (
        layer(name) == MAIN
    ) else "module"
    if lines > MAX_LINES[kind]:
      long.append(f"{name}: {lines} lines, want <= {MAX_LINES[kind]}")
  assert not long


def test_modules_say_their_idea():
  silent = [
      name for name, path in modules(ROOT).items()
      if path.read_text().strip()
      and not ast.get_docstring(ast.parse(path.read_text()))
  ]
  assert not silent


def write_tree(root, files):
  good = {
      "accfm/__init__.py": "from accfm.version import __version__",
      "accfm/version.py": "",
      "accfm/base/keys.py": "import numpy",
      "accfm/signals/windows.py": "from accfm.base import keys",
      "accfm/data/__init__.py": "",
      "accfm/data/splits.py": "from accfm.signals.windows import cut",
      "accfm/data/sources/e4.py": "from accfm.data import splits",
      "accfm/train/loop.py": "from accfm.base.keys import stream",
      "accfm/pretrain.py": "from accfm.train import loop",
      "accfm/evals/stats/roc.py": "",
      "accfm/evals/report/page.py": "from accfm.evals.stats import roc",
      "accfm/evals/suite.py": "from accfm.evals.report import page",
      "configs/x.py": (
          "from accfm.base import keys\nfrom accfm.configs import y"
      ),
      "configs/y.py": "",
  }
  for name, text in (good | files).items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_checker_accepts_a_good_tree(tmp_path):
  write_tree(tmp_path, {})
  assert not import_problems(tmp_path)


@pytest.mark.parametrize("name, text, want", [
    ("accfm/base/x.py", "import accfm.train.loop", "layer 3"),
    ("accfm/base/x.py", "def f():\n  from accfm.data import splits", ":2 "),
    ("accfm/data/x.py", "from ..train import loop", "accfm.train.loop"),
    ("accfm/data/__init__.py", "from ..train import loop", "layer 3"),
    ("accfm/signals/x.py", "from accfm.models import vit", "layer 1"),
    ("accfm/evals/x.py", "from accfm import pretrain", "layer 5"),
    ("accfm/evals/x.py", "from accfm import train", "layer 3"),
    ("accfm/tools/x.py", "", "no layer"),
    ("accfm/version.py", "from accfm import data", "up to 0"),
    ("accfm/data/x.py", "import tensorflow as tf", "tensorflow"),
    ("accfm/data/x.py", "from tensorflow.io import gfile", "tensorflow"),
    ("accfm/data/x.py", "try:\n  import pickle\nexcept E: pass", "pickle"),
    ("configs/x.py", "from accfm.data import splits", "up to 1"),
    ("accfm/data/splits.py", "from accfm.data.sources import e4", "circle"),
    ("accfm/evals/stats/x.py", "from accfm.evals.report import page",
     "room before"),
    ("accfm/evals/report/x.py", "from accfm.evals import suite", "room before"),
])
def test_checker_rejects(tmp_path, name, text, want):
  write_tree(tmp_path, {name: text})
  problems = import_problems(tmp_path)
  assert len(problems) == 1 and want in problems[0], problems


@pytest.mark.parametrize("text, want", [
    ("x = eval('1')", "eval"),
    ("exec(text)", "exec"),
    ("importlib.import_module(name)", "import_module"),
    ("spec.loader.exec_module(module)", "exec_module"),
    ("np.load(f, allow_pickle=True)", "pickle"),
    ("sys.path.append('.')", "sys.path"),
    ("np.load(f, allow_pickle=False)", None),
    ("model.eval()", None),
])
def test_checker_of_calls(tmp_path, text, want):
  path = tmp_path / "x.py"
  path.write_text(text)
  problems = call_problems(path, FORBIDDEN_CALLS | LOADERS)
  assert bool(problems) == bool(want)
  assert not want or want in problems[0]
