"""Writes .cwa files of any length, sound or not, block by block."""

import struct

import numpy as np

SAMPLES = 120  # of a packed block
START = (2021, 3, 14, 20, 0, 0)  # of the first sample, on the device's clock
TOGETHER = 4096  # blocks that are made at once


def movement(first, count, rate):
  """[count, 3] in g: gravity that turns slowly, and some trembling."""
  t = (first + np.arange(count)) / rate
  angle = 0.3 * np.sin(2 * np.pi * t / 1800.0)
  x = np.stack([np.sin(angle), np.zeros(count), np.cos(angle)], 1)
  shake = 0.03 * np.sin(2 * np.pi * 7.3 * t) * (np.sin(t / 41.0) > 0.6)
  return x + shake[:, None] * np.array([0.5, 1.0, 0.2])


def header(rate_code, axes_hardware=0xFF):
  """The 1,024 bytes at the beginning."""
  out = bytearray(1024)
  out[:4] = b"MD" + struct.pack("<H", 1020)
  out[4] = axes_hardware
  out[5:7] = struct.pack("<H", 12345)
  out[7:11] = struct.pack("<I", 77)
  out[36] = rate_code
  out[41] = 45
  return bytes(out)


def stamp(seconds):
  """Packed times of whole seconds [K] after START, uint32."""
  year, month, day, hour, minute, second = START
  total = hour * 3600 + minute * 60 + second + seconds
  days, rest = np.divmod(total, 86_400)
  days = days + day  # the files of tests stay within a month or the next
  month = np.where(days > 31, month + 1, month)
  days = np.where(days > 31, days - 31, days)
  return ((year - 2000) << 26 | month << 22 | days << 17
          | (rest // 3600) << 12 | (rest // 60 % 60) << 6 | rest % 60
          ).astype(np.uint32)


def write(path, seconds, rate=100, gaps=(), bad=(), true_rate=None):
  """Writes a file.

  Args:
    path: where to.
    seconds: of samples, rounded to whole blocks.
    rate: 12.5 to 3,200 as the device states it.
    gaps: (block, s): the clock jumps by so much before a block.
    bad: numbers of blocks whose checksum is wrong.
    true_rate: as the clock has it; None for `rate`.

  Returns:
    Blocks written.
  """
  code = 15 - int(round(np.log2(3200 / rate))) | 0x40  # +-8 g
  blocks = round(seconds * rate / SAMPLES)
  true_rate = true_rate or rate
  jump = np.zeros(blocks)
  for block, by in gaps:
    jump[block:] += by
  with open(path, "wb") as f:
    f.write(header(code))
    for low in range(0, blocks, TOGETHER):
      high = min(low + TOGETHER, blocks)
      f.write(_blocks(np.arange(low, high), jump[low:high], rate, true_rate,
                      code, set(bad)).tobytes())
  return blocks


def _blocks(number, jump, rate, true_rate, code, bad):
  n = len(number)
  x = movement(int(number[0]) * SAMPLES, n * SAMPLES, rate)
  x = np.clip(np.rint(x * 64), -512, 511).astype(np.int64)  # 15.6 mg steps
  packed = (2 << 30 | (x[:, 2] & 1023) << 20 | (x[:, 1] & 1023) << 10
            | x[:, 0] & 1023).astype("<u4").reshape(n, SAMPLES)
  out = np.zeros((n, 512), np.uint8)
  out[:, 0], out[:, 1] = ord("A"), ord("X")
  time = number * SAMPLES / true_rate + jump
  whole = np.floor(time).astype(np.int64)
  part = np.floor((time - whole) * 65_536).astype(np.int64)

  def put(at, values, kind):
    size = np.dtype(kind).itemsize
    raw = np.asarray(values).astype(kind).reshape(-1, 1).view(np.uint8)
    out[:, at:at + size] = raw

  put(2, np.full(n, 508), "<u2")
  put(4, part >> 1 | 0x8000, "<u2")
  put(6, np.full(n, 77), "<u4")
  put(10, number, "<u4")
  put(14, stamp(whole), "<u4")
  out[:, 24], out[:, 25] = code, 0x30
  put(26, -((part >> 1 << 1) * int(rate) >> 16), "<i2")
  put(28, np.full(n, SAMPLES), "<u2")
  out[:, 30:510] = packed.view(np.uint8).reshape(n, 480)
  total = out.view("<u2").sum(1, dtype=np.uint32)
  put(510, -total.astype(np.int64) & 0xFFFF, "<u2")
  for k, one in enumerate(number):
    if int(one) in bad:
      out[k, 100] ^= 0x55
  return out
