"""Pieces of a self-contained page: its style, sections, cards, tables.

A page has no scripts and no links, so it can be mailed, archived and read
years later; it is light or dark as its reader's screen is.
"""

import html

CSS = """
:root { color-scheme:light dark; --ink:#16191f; --soft:#5c6573;
  --line:#e1e5ea; --page:#fbfbfa; --card:#ffffff; --mark:#2f7fd1;
  --tint:#eef5fc; --warn:#fff3e0; --warnline:#e0852f; --bad:#fdecea;
  --badline:#c6362c; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8eaee; --soft:#9aa3b2;
  --line:#2b313b; --page:#14171c; --card:#1a1e25; --mark:#6cabec;
  --tint:#1c2836; --warn:#33281a; --bad:#3a1f1d; --badline:#ec6a5e; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--page); color:var(--ink); font:15px/1.55
  system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:960px; margin:0 auto; padding:44px 28px 80px; }
h1 { font-size:27px; line-height:1.2; margin:0 0 6px; letter-spacing:-.015em; }
h2 { font-size:19px; margin:52px 0 4px; letter-spacing:-.01em; }
h3 { font-size:14.5px; margin:26px 0 2px; }
p { margin:6px 0 14px; max-width:72ch; }
.lede,figcaption,.note,small { color:var(--soft); }
.note,figcaption { font-size:13px; } figcaption { max-width:92ch; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(190px,1fr));
  gap:12px; margin:24px 0 8px; }
.card { background:var(--card); border:1px solid var(--line);
  border-radius:10px; padding:14px 16px; }
.card b { display:block; font-size:29px; line-height:1.2; font-weight:650;
  letter-spacing:-.02em; font-variant-numeric:tabular-nums; }
.card b small { font-size:15px; font-weight:500; letter-spacing:0; }
.card span { display:block; font-size:13px; color:var(--soft); }
.card .what { color:var(--ink); font-weight:600; margin-bottom:4px; }
.warn { background:var(--warn); border-left:4px solid var(--warnline);
  padding:10px 14px; border-radius:4px; margin:16px 0; }
.warn.loud { background:var(--bad); border-left:8px solid var(--badline);
  padding:14px 18px; font-size:16px; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:13.5px; margin:12px 0;
  font-variant-numeric:tabular-nums; }
th,td { padding:6px 0 6px 14px; text-align:right; vertical-align:baseline;
  border-bottom:1px solid var(--line); white-space:nowrap; }
th { font-weight:600; color:var(--soft); font-size:12.5px; white-space:normal;
  vertical-align:bottom; line-height:1.3; }
th:first-child,td:first-child { text-align:left; white-space:normal;
  padding-left:0; min-width:150px; }
tr.top th { border-bottom:0; padding-bottom:0; }
th.over { color:var(--ink); text-align:center; }
td.main { font-weight:650; padding-left:26px; }
td small { display:block; font-size:11.5px; font-weight:400; }
tr.group td { padding-top:18px; font-weight:600; }
tr.group small { display:inline; margin-left:8px; }
td:first-child:has(code) { overflow-wrap:anywhere; }
figure { margin:16px 0 6px; } figure svg { width:100%; height:auto;
  display:block; }
.pairs { display:grid; gap:10px 26px;
  grid-template-columns:repeat(auto-fit,minmax(340px,1fr)); }
details { margin:10px 0; } summary { cursor:pointer; color:var(--soft);
  font-size:13.5px; }
code,pre { font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace; }
pre { overflow-x:auto; background:var(--card); border:1px solid var(--line);
  border-radius:8px; padding:12px 14px; }
@media print { main { max-width:none; padding:0; } figure,tr,.card {
  break-inside:avoid; } }
"""

escape = html.escape


def document(title, parts):
  """The whole page: `parts` are HTML; `title` is text."""
  return (
      "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
      "<meta name=viewport content='width=device-width,initial-scale=1'>"
      f"<title>{escape(title)}</title><style>{CSS}</style></head>"
      "<body><main>\n" + "\n".join(parts) + "\n</main></body></html>\n"
  )


def number(value, digits=3):
  """A value with a true minus sign; a dash where there is none."""
  if value is None:
    return "\u2013"
  text = f"{value:,.{digits}f}"
  if float(text.replace(",", "")) == 0:  # no negative zero
    text = text.removeprefix("-")
  return text.replace("-", "\u2212")


def span(low, high, digits=3):
  """An interval as text, "" where it has no end."""
  if low is None or high is None:
    return ""
  return f"{number(low, digits)} to {number(high, digits)}"


def bounds(values, key):
  """(low, high) of a metric's interval, None where there is none."""
  return tuple(values.get(f"{key}_ci95_{end}") for end in ("low", "high"))


def interval(values, key, digits=3):
  """`span` of a metric."""
  return span(*bounds(values, key), digits)


def td(text, below="", main=False):
  """A cell of HTML, with smaller text under it."""
  css = " class=main" if main else ""
  small = f"<small>{below}</small>" if below else ""
  return f"<td{css}>{text}{small}</td>"


def cell(values, key, digits=3, main=False):
  """The cell of one metric: the number and, under it, its interval."""
  return td(
      number(values.get(key), digits), interval(values, key, digits), main
  )


def group(title, note, columns):
  """A row that heads the rows under it."""
  note = f"<small>{note}</small>" if note else ""
  return (
      f"<tr class=group><td colspan={columns}>{escape(title)}{note}</td></tr>"
  )


def row(cells):
  """A row of cells of HTML."""
  return f"<tr>{''.join(cells)}</tr>"


def table(heads, rows, over=()):
  """A table.

  Args:
    heads: text of the columns.
    rows: HTML.
    over: [(text, columns)] of a line above the heads.
  """
  top = "".join(
      f"<th colspan={n}{' class=over' if text else ''}>{escape(text)}</th>"
      for text, n in over)
  # Names of runs may be long: they break after an underscore.
  head = "".join(
      f"<th>{escape(h).replace('_', '_<wbr>')}</th>" for h in heads)
  return (
      f"<div class=scroll><table>{top and f'<tr class=top>{top}</tr>'}"
      f"<tr>{head}</tr>{''.join(rows)}</table></div>"
  )


def figure(svg, caption):
  """A drawing with its caption, which is text."""
  return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def details(summary, *parts):
  """What a reader opens if interested."""
  return (
      f"<details><summary>{escape(summary)}</summary>{''.join(parts)}"
      "</details>"
  )


def section(title, text, *parts):
  """A heading, what the section is about (text, may be ""), its parts."""
  text = f"<p>{escape(text)}</p>" if text else ""
  body = "\n".join(p for p in parts if p)
  return f"<section><h2>{escape(title)}</h2>{text}\n{body}</section>"


def card(what, value, *lines):
  """A number to see at once: text, HTML, lines of text."""
  spans = "".join(f"<span>{escape(x)}</span>" for x in lines if x)
  return (
      f"<div class=card><span class=what>{escape(what)}</span>"
      f"<b>{value}</b>{spans}</div>"
  )


def warning(title, text, loud=False):
  """What a reader must not miss; both are text."""
  return (
      f"<div class='warn{' loud' if loud else ''}'><b>{escape(title)}</b>"
      f"{escape(text)}</div>"
  )
