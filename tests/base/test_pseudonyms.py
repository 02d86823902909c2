"""Pseudonyms: an HMAC that needs the salt, and that nobody shares."""

import hmac

from accfm.base.pseudonyms import known_salt, pseudonym, session_pseudonym


def test_pseudonym():
  assert pseudonym("e4/S01", "") == "e4/S01"
  want = hmac.new(b"pepper", b"S01", "sha256").hexdigest()[:12]
  assert pseudonym("e4/S01", "pepper") == f"e4/{want}"
  assert pseudonym("e4/S01", "salt") != pseudonym("e4/S01", "pepper")
  many = {pseudonym(f"e4/S{i:04d}", "pepper") for i in range(1000)}
  assert len(many) == 1000


def test_a_session_hides_its_participant():
  day = session_pseudonym("e4/S01", "S01_day", "pepper")
  assert "S01" not in day and "/" not in day
  assert day != session_pseudonym("e4/S02", "S01_day", "pepper")
  assert session_pseudonym("e4/S01", "day", "") == "day"


def test_equal_salts_are_known():
  assert known_salt("a") == known_salt("a") != known_salt("b")
  assert "a-long-secret" not in known_salt("a-long-secret")
