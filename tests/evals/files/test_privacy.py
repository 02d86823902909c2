"""Names in files: as they are, salted, or numbers that tell nothing."""

import hashlib
import hmac

import numpy as np
import pytest

from accfm.configs import evaluate as evaluate_config
from accfm.evals.files import privacy
from accfm.evals.results.figures import TESTED
from accfm.evals.results.outcome import Predictions


def config(**fields):
  out = evaluate_config.get_config("tiny").unlock()
  out.update(fields)
  return out


def table(people=5, each=4, sessions=2):
  """Rows in a split's order: people sorted, then sessions, then time."""
  who = np.repeat([f"clinic/anna{i}" for i in range(people)], each)
  return {
      "participant": who,
      "session": np.tile(
          np.repeat([f"s{i}" for i in range(sessions)], each // sessions),
          people,
      ),
      "start_s": 1e9 + np.arange(people * each) * 60.0,
  }


def test_without_a_wish_names_stay():
  rows = table()
  mask = privacy.make_naming(config(), b"k", {"test": rows})
  got, order = mask(rows)
  assert got is rows and order.tolist() == list(range(20))
  assert mask.token == mask.salt == ""


def test_pseudonyms_are_salted_hashes():
  rows = table()
  mask = privacy.make_naming(config(pseudonym_salt="pepper"), b"k", {})
  got, order = mask(rows)
  for i in range(20):
    person = rows["participant"][i].removeprefix("clinic/")
    digits = hmac.new(b"pepper", person.encode(), hashlib.sha256).hexdigest()
    assert got["participant"][i] == f"clinic/{digits[:12]}"
  assert order.tolist() == list(range(20))
  np.testing.assert_array_equal(got["start_s"], rows["start_s"])
  # A session's name may hold a person's: equal ones of two people differ.
  pairs = set(zip(got["participant"], got["session"], strict=True))
  assert len(pairs) == 10 and len(set(got["session"])) == 10
  assert not any("anna" in x for pair in pairs for x in pair)
  other, _ = privacy.make_naming(config(pseudonym_salt="mint"), b"k", {})(rows)
  assert not set(other["participant"]) & set(got["participant"])
  only, _ = mask({"participant": rows["participant"]})
  assert set(only) == {"participant"}
  assert "pepper" not in mask.salt != ""


def test_numbers_say_who_belongs_together_and_nothing_else():
  rows, rest = table(), {**table(3), "participant": np.repeat(
      [f"clinic/otto{i}" for i in range(3)], 4)}
  mask = privacy.make_naming(
      config(redact=True, pseudonym_salt="x"), b"k",
      {"train": rest, "test": rows},
  )
  got, order = mask(rows)
  assert set(got) == {"participant", "window"}
  assert sorted(order) == list(range(20))
  before = rows["participant"][order]
  pairs = set(zip(before, got["participant"], strict=True))
  assert len(pairs) == len(set(before)) == len(set(got["participant"])) == 5
  assert set(got["participant"]) <= {str(n) for n in range(1, 9)}
  numbers = got["participant"].astype(int)
  assert (np.diff(numbers) >= 0).all()
  for number in set(numbers):
    assert got["window"][numbers == number].tolist() == [1, 2, 3, 4]
  # The same row has the same number wherever it comes.
  some = {name: x[[3, 17, 5]] for name, x in rows.items()}
  part, places = mask(some)
  whole = {int(o): (p, w) for o, p, w in zip(
      order, got["participant"], got["window"], strict=True)}
  for place, p, w in zip(
      places, part["participant"], part["window"], strict=True
  ):
    assert whole[[3, 17, 5][place]] == (p, w)


def orders(key):
  rows = table(people=12, each=6)
  mask = privacy.make_naming(config(redact=True), key, {"test": rows})
  got, order = mask(rows)
  return mask.token, rows["participant"][order].tolist(), order.tolist()


def test_the_order_is_random_and_of_one_command():
  assert orders(b"one") == orders(b"one")
  token, people, order = orders(b"two")
  assert token != orders(b"one")[0] and people != orders(b"one")[1]
  assert people != sorted(people)
  first = [order[i] - min(order[i:i + 6]) for i in range(0, 72, 6)]
  assert any(first)  # nor do a person's windows stay in time order
  assert privacy.draw_key() != privacy.draw_key()


@pytest.mark.parametrize("fields", [
    {}, {"pseudonym_salt": "pepper"}, {"redact": True},
])
def test_predictions_keep_their_rows_together(fields):
  rows = table()
  value = np.arange(20.0)
  hr = Predictions("hr", "bpm", rows, value, {TESTED: value + 0.5})
  age = Predictions(
      "age", "years", {"participant": np.unique(rows["participant"])},
      np.arange(5.0), {TESTED: np.arange(5.0) * 2},
  )
  mask = privacy.make_naming(config(**fields), b"k", {"test": rows})
  got, persons = mask.predictions([hr, age])
  np.testing.assert_array_equal(got.predicted[TESTED][0], got.true + 0.5)
  np.testing.assert_array_equal(persons.predicted[TESTED][0], persons.true * 2)
  named = dict(zip(persons.rows["participant"], persons.true, strict=True))
  for person, true in zip(got.rows["participant"], got.true, strict=True):
    assert named[person] == true // 4
  assert sorted(got.true) == value.tolist()


def test_a_config_is_shown_without_its_salt():
  plain = {"pseudonym_salt": "pepper", "seed": 1}
  shown = privacy.public(plain)
  assert "pepper" not in str(shown) and shown["seed"] == 1
  assert shown == privacy.public(plain) != privacy.public(
      {"pseudonym_salt": "mint", "seed": 1})
  assert privacy.public({"pseudonym_salt": ""}) == {"pseudonym_salt": ""}
  assert privacy.public({"seed": 1}) == {"seed": 1}
