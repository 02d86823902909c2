"""A run resumes on the data it began on, whatever other data is called."""

import dataclasses

import pytest

from accfm.base.errors import InputError
from accfm.signals.contract import Contract, SignalSpec
from accfm.steps.record import Cohort, Record
from accfm.train import resume

OWN = Cohort(
    "ours", {"train": ("x/1", "x/2"), "val": ("x/3",)}, "5" * 16,
    {"train": 6, "val": 2}, digest="a" * 16,
)
CONTRACT = Contract({"acc": SignalSpec(3, "g", "acc", True)}, 64.0, 8.0)


def record(*cohorts, contract=CONTRACT):
  return Record("mae", {}, ("acc",), contract, cohorts)


def check(monkeypatch, before, now):
  monkeypatch.setattr(resume.reader, "newest_whole", lambda workdir: "w/3")
  monkeypatch.setattr(resume.reader, "read_record", lambda path: before)
  resume.check_same_data("w", now)


def test_the_same_data(monkeypatch, capsys):
  other = dataclasses.replace(OWN, dataset="theirs", digest="b" * 16)
  check(monkeypatch, record(OWN, other), record(OWN, other))
  newer = dataclasses.replace(CONTRACT, code_version="9")
  check(monkeypatch, record(OWN), record(OWN, contract=newer))
  assert capsys.readouterr().err == ""


def test_what_tells_people_is_not_known_of_an_older_checkpoint(
    monkeypatch, capsys
):
  told = dataclasses.replace(
      OWN, known_salt="", source="e4", fingerprints={"train": ("a", "b")})
  check(monkeypatch, record(OWN), record(told))
  assert capsys.readouterr().err == ""
  salted = dataclasses.replace(told, known_salt="salt/b")
  with pytest.raises(InputError, match=r"ours\.known_salt: '' -> 'salt/b'"):
    check(monkeypatch, record(told), record(salted))


def test_other_data_of_the_same_name(monkeypatch):
  """Contract, people, splits and counts are the same."""
  other = dataclasses.replace(OWN, digest="b" * 16)
  with pytest.raises(InputError, match=(
      r"workdir w: its run is on other data of the same name \(ours\), "
      r"differing in ours\.digest: 'a+' -> 'b+'; restore .* another --workdir"
  )):
    check(monkeypatch, record(OWN), record(other))


def test_a_data_set_that_lost_its_hash_is_other_data(monkeypatch):
  with pytest.raises(InputError, match=r"ours\.digest: 'a+' -> ''"):
    check(monkeypatch, record(OWN),
          record(dataclasses.replace(OWN, digest="")))


@pytest.mark.parametrize("change", [
    {"dataset": "theirs"}, {"split_hash": "6" * 16}, {"windows": {"train": 5}},
])
def test_other_data(monkeypatch, change):
  other = dataclasses.replace(OWN, **change)
  for digest in (OWN.digest, ""):  # also where nothing but this tells
    before = dataclasses.replace(OWN, digest=digest)
    with pytest.raises(InputError, match="its run is on other data, differ"):
      check(monkeypatch, record(before), record(other))


def test_an_older_checkpoint_is_told_of_in_one_line(monkeypatch, capsys):
  before = dataclasses.replace(OWN, digest="")
  check(monkeypatch, record(before), record(OWN))
  said = capsys.readouterr().err
  assert said.count("\n") == 1 and said.startswith("warning: w/3: an older ")
  assert "whether ours still holds the rows" in said
