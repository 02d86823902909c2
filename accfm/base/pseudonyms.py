"""Pseudonyms of participants and sessions under a secret salt."""

import hmac


def pseudonym(name: str, salt: str) -> str:
  """`source/participant` as `source/<12 hex digits>`; as it is without salt.

  The digits are an HMAC-SHA256 under `salt`: without the salt nobody can read
  the id or test a guess. Keep the salt out of the data folder.
  """
  if not salt:
    return name
  source, _, participant = name.partition("/")
  digits = hmac.new(salt.encode(), participant.encode(), "sha256").hexdigest()
  return f"{source}/{digits[:12]}"


def session_pseudonym(participant: str, session: str, salt: str) -> str:
  """A session's name; it may hold the participant's, so it is salted too."""
  return pseudonym(f"{participant}/{session}", salt).rpartition("/")[2]


def known_salt(salt: str) -> str:
  """A text by which equal salts are known, but not the salt itself."""
  return pseudonym("salt/known", salt)
