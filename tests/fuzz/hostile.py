"""Hostile files made from good ones: strategies that know the structure.

Each begins with a file that a parser reads, and changes what a person, a
program, a disk or an enemy would: a key that is missing, a number that is
text, an encoding, a byte, a name that leads out of the folder.
"""

import copy
import json

from hypothesis import strategies as st

# A module of this name lies in the current folder of every case.
PLANTED = "planted"
TEXTS = (
    "", " ", "x", "nan", "NaN", "inf", "-1e999", "1e400", "0", "-1", "true",
    "None", "'", '"', "é", "\u202e", "\ud800", "a\nb", "\x00", "\x1b[31m", "ſ",
    "٣", "1_000", "0x10", "9" * 5000, "a" * 200_000, "a" * 300, "=1+1",
    "../../outside", "/etc/hostname", "..", "gs://bucket/x", "{", "{0.__x__}",
    f"{PLANTED}.Planted", f"{PLANTED}:Planted", f"./{PLANTED}.py",
)
NUMBERS = (
    0, -1, 1, 3, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 0.5,
    -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"),
)


# What a text that names code, a file or files is changed to.
LEADING = (
    f"{PLANTED}.Planted", "../../../outside", "/etc/hostname",
    f"./{PLANTED}.py",
)
TEMPLATES = (
    "../../other/1.0.0/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    "{DATASET}-val.{FILEFORMAT}-{SHARD_X_OF_Y}", "/{SPLIT}-{SHARD_X_OF_Y}",
)


class Case(bytes):
  """Bytes of a file; `about` says what was changed, for the report."""

  about = ""


class Deep:
  """Stands for lists or objects within each other, so many deep."""

  def __init__(self, depth, kind):
    self.depth, self.kind = depth, kind

  def __repr__(self):
    return f"{self.depth} deep"

  def text(self):
    left, right = ("[", "]") if self.kind == "list" else ('{"a":', "}")
    inner = "" if self.kind == "list" else "1"
    return left * self.depth + inner + right * self.depth


class Twice(dict):
  """An object whose keys each stand twice in its text."""


texts = st.sampled_from(TEXTS) | st.text(max_size=20)
plain_values = (
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | texts
    | st.sampled_from([[], {}, [[]], [None], {"": None}, [1, "x"]])
    | st.builds(list, st.lists(st.sampled_from(NUMBERS), max_size=4))
)
# A value of its own for each draw, which later changes may change again.
plain_values = plain_values.map(copy.deepcopy)
junk = plain_values | st.builds(
    Deep, st.sampled_from([70, 1500, 25_000, 100_000]),
    st.sampled_from(["list", "object"]),
)


def to_text(value):
  """JSON as Python writes it, with `Deep` and `Twice` spelled out."""
  if isinstance(value, Deep):
    return value.text()
  if isinstance(value, dict):
    pairs = [f"{json.dumps(k)}: {to_text(v)}" for k, v in value.items()]
    return "{" + ", ".join(pairs * (2 if isinstance(value, Twice) else 1)) + "}"
  if isinstance(value, list):
    return "[" + ", ".join(map(to_text, value)) + "]"
  if isinstance(value, int) and not isinstance(value, bool) and (
      abs(value) > 10**4000
  ):
    return "1" + "0" * 5000
  return json.dumps(value)


def places(value, most=60):
  """Keys that lead to each value in plain data; long lists are cut."""
  inner = ()
  if isinstance(value, dict):
    inner = value.items()
  elif isinstance(value, list):
    inner = enumerate(value[:3])
  found = []
  for key, item in list(inner)[:most]:
    found += [(key,), *((key, *rest) for rest in places(item, most))]
  return found


@st.composite
def changed(draw, valid, most=1, values=junk):
  """Plain data with up to `most` changes, each of one place."""
  value = copy.deepcopy(valid)
  for _ in range(draw(st.integers(1, most)) if most > 1 else 1):
    found = places(value)
    if not found:
      return draw(values)
    leading = [p for p in found if _leads(_at(value, p))]
    if leading and draw(st.integers(0, 3)) == 0:
      path = draw(st.sampled_from(leading))
      template = "{" in _at(value, path)
      _at(value, path[:-1])[path[-1]] = draw(
          st.sampled_from(TEMPLATES if template else LEADING)
      )
      continue
    # First how deep, then where: a long list does not draw all changes.
    depth = draw(st.sampled_from(sorted({len(p) for p in found})))
    path = draw(st.sampled_from([p for p in found if len(p) == depth]))
    owner, key = _at(value, path[:-1]), path[-1]
    way = draw(st.sampled_from(
        ["remove", "put", "put", "put", "copy", "add", "twice", "swap"]
    ))
    if way == "remove":
      del owner[key]
    elif way == "put":
      owner[key] = draw(values)
    elif way == "copy":
      owner[key] = copy.deepcopy(_at(valid, draw(st.sampled_from(
          places(valid)))))
    elif way == "add" and isinstance(owner, dict):
      owner[draw(st.text(max_size=8))] = draw(values)
    elif way == "twice" and isinstance(owner[key], dict):
      owner[key] = Twice(owner[key])
    elif way == "swap" and isinstance(owner, list) and len(owner) > 1:
      owner[0], owner[-1] = owner[-1], owner[0]
    else:
      owner[key] = draw(values)
  return value


def _leads(value):
  """Whether a text looks like the name of code or of files."""
  return isinstance(value, str) and bool(set(value) & set("./{"))


def _at(value, path):
  for key in path:
    value = value[key]
  return value


@st.composite
def encoded(draw, text):
  """Text as bytes, mostly as it should be."""
  way = draw(st.sampled_from([
      *["utf-8"] * 6, "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig",
  ]))
  if way == "latin-1":
    return (text + "é").encode("latin-1", "replace")
  return text.encode(way, "surrogatepass")


@st.composite
def damaged(draw, data):
  """Bytes with what a disk or a copy does to them."""
  out = bytearray(data)
  way = draw(st.sampled_from(
      ["cut", "flip", "flip", "zeros", "drop", "double", "insert", "empty"]
  ))
  at = draw(st.integers(0, max(len(out) - 1, 0)))
  size = draw(st.sampled_from([1, 1, 2, 8, 100]))
  if way == "empty" or not out:
    return b""
  if way == "cut":
    del out[at:]
  elif way == "flip":
    for i in range(at, min(at + size, len(out))):
      out[i] ^= draw(st.sampled_from([1, 16, 128, 255]))
  elif way == "zeros":
    out[at:at + size] = bytes(len(out[at:at + size]))
  elif way == "drop":
    del out[at:at + size]
  elif way == "double":
    out[at:at] = out[at:at + 100 * size]
  else:
    out[at:at] = draw(st.binary(min_size=1, max_size=8) | st.sampled_from(
        [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"\x1a"]
    ))
  return bytes(out)


@st.composite
def json_files(draw, valid, most=1):
  """A Case: a JSON file of plain data that was changed, or damaged."""
  way = draw(st.integers(0, 20))
  if way < 3:
    case = Case(draw(damaged(json.dumps(valid).encode())))
    case.about = f"damaged, {len(case)} bytes: {bytes(case[:100])!r}"
  elif way == 3:
    case = Case(draw(encoded(to_text(draw(junk)))))
  else:
    value = draw(changed(valid, most))
    case = Case(draw(encoded(to_text(value))))
    case.about = "; ".join(_differences(valid, value)) or repr(case[:100])
  return case


def _differences(old, new, place=""):
  """`place: old -> new` of each difference of plain data."""
  if type(old) is type(new) and isinstance(old, (dict, list)) and (
      isinstance(old, dict) or len(old) == len(new)
  ):
    keys = old.keys() | new.keys() if isinstance(old, dict) else range(len(old))
    none = "(none)"
    found = []
    for key in sorted(keys, key=str):
      one = old.get(key, none) if isinstance(old, dict) else old[key]
      two = new.get(key, none) if isinstance(old, dict) else new[key]
      found += _differences(one, two, f"{place}.{key}")
    return found
  if repr(old) == repr(new):
    return []
  return [f"{place or 'all'}: {repr(old)[:40]} -> {repr(new)[:60]}"]


cells = st.sampled_from(TEXTS) | st.text(max_size=12) | st.sampled_from(
    ['"open', 'a"b', '"a"b', "1,2", "1;2", "1.5", "-3.4e38", "3e38", "1e39"]
)


@st.composite
def tables(draw, valid):
  """Bytes of a CSV file like `valid`, a list of lists of text."""
  rows = [list(row) for row in valid]
  if draw(st.integers(0, 6)) == 0:
    return draw(damaged(_csv(rows, "\n", ",")))
  for _ in range(draw(st.integers(1, 3))):
    at = draw(st.integers(0, len(rows) - 1))
    way = draw(st.sampled_from(
        ["cell", "cell", "cell", "longer", "shorter", "double", "empty",
         "first", "huge"]
    ))
    if way == "huge" and rows[at]:
      rows[at][-1] = "1" * draw(st.sampled_from([200, 110_000, 200_000]))
    elif way == "cell" and rows[at]:
      rows[at][draw(st.integers(0, len(rows[at]) - 1))] = draw(cells)
    elif way == "longer":
      rows[at].append(draw(cells))
    elif way == "shorter":
      rows[at] = rows[at][:-1]
    elif way == "double":
      rows.insert(at, list(rows[at]))
    elif way == "first":
      rows[0] = [draw(cells) for _ in rows[0]]
    else:
      rows[at] = []
  end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n"]))
  comma = draw(st.sampled_from([",", ",", ",", ",", ";", "\t", ", "]))
  text = _csv(rows, end, comma).decode("utf-8", "surrogatepass")
  return draw(encoded(text))


def _csv(rows, end, comma):
  return end.join([*map(comma.join, rows), ""]).encode(
      "utf-8", "surrogatepass"
  )


# Names that a file system takes and people give.
names = st.sampled_from([
    b"P01", b"caf\xe9", b"\xff\xfe", "Zoë".encode(), b"a b", b" a", b"a\nb",
    b"-rf", b"'", b"a" * 255, b"P04 - Copy", b"\x1b[31m", b"*", b".hidden",
    b"__x", b"con", b"a:b", b"\\", "\u202e".encode(), b"\xed\xa0\x80",
]) | st.binary(min_size=1, max_size=20).filter(
    lambda b: not set(b) & {0, ord("/")} and b not in (b".", b"..")
)
