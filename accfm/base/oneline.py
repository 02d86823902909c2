"""Text that may come from anywhere, as one printable line of a screen."""

LONGEST = 1000  # characters of a line


def one_line(text: str, most: int = LONGEST) -> str:
  """A text as one printable line of at most so many characters."""
  if len(text) > most:
    head = most * 2 // 3
    text = f"{text[:head]} ... {text[len(text) - (most - head) + 5:]}"
  if text.isprintable():
    return text
  shown = "".join(
      sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text
  )
  return shown if len(shown) <= most else one_line(shown, most)
