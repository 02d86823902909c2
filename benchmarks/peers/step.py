"""PyTorch's training steps, of the sizes that benchmarks/step.py gives.

  python -m benchmarks.peers.step --program=timm --task=distill --sizes=JSON

Needs benchmarks/requirements.txt, and neither JAX nor the packages that accfm
needs. The Transformers' blocks are timm's or vit-pytorch's, the contrastive
loss is open_clip's. The rest (patches, fixed positions, heads, masking,
clipping, AdamW) is written here as accfm does it, so that both train the same
function with the same parameters.
"""

import argparse
import functools
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import flop_counter

from benchmarks import interleave


def positions(length, width):
  """Sines, then cosines, of geometric frequencies: [L, W]."""
  rate = torch.exp(-torch.log(torch.tensor(10_000.0))
                   * torch.arange(width // 2) / (width // 2))
  angle = torch.arange(length)[:, None] * rate
  return torch.cat([angle.sin(), angle.cos()], 1)


def zscore(x):
  """Zero mean and unit SD over time: [B, T, C]."""
  x = x - x.mean(1, keepdim=True)
  return x * torch.rsqrt(x.square().mean(1, keepdim=True))


def feed(values, scale):
  """int16 [B, T, C] and scale [B, C] to what an encoder is fed."""
  return zscore(values.float() * scale[:, None])


def timm_blocks(width, heads, mlp_width, depth):
  """timm's pre-norm blocks, with the GELU that accfm has."""
  from timm.models import vision_transformer
  return nn.Sequential(*[
      vision_transformer.Block(
          width, heads, mlp_width / width, qkv_bias=True,
          act_layer=functools.partial(nn.GELU, approximate="tanh"),
      ) for _ in range(depth)
  ])


class Encoder(nn.Module):
  """A 1-D ViT of timm's blocks: [B, T, C] -> [B, W]."""

  def __init__(self, sizes, channels):
    super().__init__()
    self.patch, width = sizes["patch"], sizes["width"]
    self.embed = nn.Linear(self.patch * channels, width)
    self.register_buffer(
        "positions", positions(sizes["samples"] // self.patch, width)
    )
    self.blocks = timm_blocks(
        width, sizes["heads"], sizes["mlp_width"], sizes["depth"]
    )
    self.norm = nn.LayerNorm(width, eps=1e-6)

  def tokens(self, x):
    b, t, c = x.shape
    return self.embed(x.reshape(b, t // self.patch, -1)) + self.positions

  def forward(self, x):
    return self.norm(self.blocks(self.tokens(x))).mean(1)


def make_head(sizes):
  """An embedding [B, W] to [B, P], not yet of unit length."""
  return nn.Sequential(
      nn.LayerNorm(sizes["width"], eps=1e-6),
      nn.Linear(sizes["width"], sizes["head_hidden"]),
      nn.GELU(approximate="tanh"),
      nn.Linear(sizes["head_hidden"], sizes["head_out"]),
  )


class Distill(nn.Module):
  """A student, both heads and a frozen teacher; the loss of a batch."""

  def __init__(self, sizes):
    super().__init__()
    from open_clip.loss import ClipLoss
    self.student = Encoder(sizes, sizes["channels"]["acc"])
    self.teacher = Encoder(sizes, sizes["channels"]["ppg"])
    self.teacher.requires_grad_(False)
    self.heads = nn.ModuleList([make_head(sizes), make_head(sizes)])
    self.loss = ClipLoss(cache_labels=True)
    self.scale = 1 / sizes["temperature"]

  def forward(self, batch):
    with torch.no_grad():
      theirs = self.teacher(feed(batch["ppg"], batch["ppg_scale"]))
    mine = self.student(feed(batch["acc"], batch["acc_scale"]))
    mine, theirs = (
        functional.normalize(head(x), dim=-1)
        for head, x in zip(self.heads, (mine, theirs), strict=True)
    )
    return self.loss(mine, theirs, self.scale)


class MAE(nn.Module):
  """Masked autoencoding with timm's blocks; hidden patches are dropped."""

  def __init__(self, sizes):
    super().__init__()
    self.encoder = Encoder(sizes, sizes["channels"]["ppg"])
    of = sizes["decoder"]
    self.length = sizes["samples"] // sizes["patch"]
    self.visible = round(self.length * (1 - sizes["mask_ratio"]))
    self.into = nn.Linear(sizes["width"], of["width"])
    self.mask_token = nn.Parameter(0.02 * torch.randn(of["width"]))
    self.register_buffer("positions", positions(self.length, of["width"]))
    self.blocks = timm_blocks(
        of["width"], of["heads"], of["mlp_width"], of["depth"]
    )
    self.norm = nn.LayerNorm(of["width"], eps=1e-6)
    self.out = nn.Linear(
        of["width"], sizes["patch"] * sizes["channels"]["ppg"]
    )

  def forward(self, batch):
    x = feed(batch["ppg"], batch["ppg_scale"])
    b = len(x)
    order = torch.rand(b, self.length).argsort(1)
    keep, restore = order[:, :self.visible], order.argsort(1)
    tokens = self.encoder.tokens(x)
    tokens = tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[2]))
    tokens = self.encoder.norm(self.encoder.blocks(tokens))
    y = self.into(tokens)
    hidden = self.mask_token.expand(b, self.length - self.visible, -1)
    y = torch.cat([y, hidden], 1)
    y = y.gather(1, restore[..., None].expand(-1, -1, y.shape[2]))
    y = self.out(self.norm(self.blocks(y + self.positions)))
    error = (y - x.reshape(b, self.length, -1)).square().mean(2)
    return error[restore >= self.visible].mean()


class LucidrainsMAE(nn.Module):
  """vit-pytorch's MAE round its 1-D ViT.

  Its MAE takes whatever has the parts of its ViT: its 1-D ViT has, but for
  the name of its pooling (positions are then taken without the class
  token's). Unlike ours its patches are normalised before and after the
  embedding, its q, k, v have no bias, its positions are learned, its decoder
  is as wide but has heads of `dim_head`, and only hidden patches are read
  out; the class token, the positions' first row and the classifier get no
  gradient and are not counted.
  """

  def __init__(self, sizes):
    super().__init__()
    from vit_pytorch import MAE as Masked
    from vit_pytorch.vit_1d import ViT
    of = sizes["decoder"]
    if of["mlp_width"] != 4 * of["width"]:
      raise ValueError("vit-pytorch's decoder has an MLP of 4 widths")
    encoder = ViT(
        seq_len=sizes["samples"], patch_size=sizes["patch"], num_classes=1,
        dim=sizes["width"], depth=sizes["depth"], heads=sizes["heads"],
        dim_head=sizes["width"] // sizes["heads"],
        mlp_dim=sizes["mlp_width"], channels=sizes["channels"]["ppg"],
    )
    length = sizes["samples"] // sizes["patch"]
    encoder.pool = "mean"
    encoder.pos_embedding = nn.Parameter(
        encoder.pos_embedding[:, :length].detach().clone()
    )
    del encoder.cls_token, encoder.mlp_head
    # int(ratio * length) patches are hidden: a ratio that gives ours.
    hidden = length - round(length * (1 - sizes["mask_ratio"]))
    self.masked = Masked(
        encoder=encoder, decoder_dim=of["width"], decoder_depth=of["depth"],
        decoder_heads=of["heads"],
        decoder_dim_head=of["width"] // of["heads"],
        masking_ratio=(hidden + 0.5) / length,
    )

  def forward(self, batch):
    x = feed(batch["ppg"], batch["ppg_scale"])
    return self.masked(x.transpose(1, 2))


PROGRAMS = {
    ("timm", "distill"): Distill, ("timm", "mae"): MAE,
    ("vit-pytorch", "mae"): LucidrainsMAE,
}


def make_batch(sizes):
  """Random values as accfm stores them."""
  generator = torch.Generator().manual_seed(0)
  batch = {}
  for name, channels in sizes["channels"].items():
    batch[name] = torch.randint(
        -20_000, 20_000, (sizes["batch"], sizes["samples"], channels),
        dtype=torch.int16, generator=generator,
    )
    batch[f"{name}_scale"] = torch.full((sizes["batch"], channels), 1e-4)
  return batch


def make_step(model, sizes, compiled):
  """`step(batch) -> loss`: one update."""
  trained = [p for p in model.parameters() if p.requires_grad]
  groups = [
      dict(params=[p for p in trained if p.ndim >= 2],
           weight_decay=sizes["weight_decay"]),
      dict(params=[p for p in trained if p.ndim < 2], weight_decay=0.0),
  ]
  optimizer = torch.optim.AdamW(groups, lr=sizes["lr"], fused=True)
  run = torch.compile(model) if compiled else model

  def step(batch):
    optimizer.zero_grad(set_to_none=True)
    loss = run(batch)
    loss.backward()
    nn.utils.clip_grad_norm_(trained, sizes["clip_norm"])
    optimizer.step()
    return loss.detach()

  return step


def main():
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--program", required=True)
  parser.add_argument("--task", required=True)
  parser.add_argument("--sizes", required=True, type=json.loads)
  parser.add_argument("--compile", action="store_true")
  parser.add_argument("--steps", type=int, default=5)
  parser.add_argument("--threads", type=int, default=2)
  args = parser.parse_args()
  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  model, batch = PROGRAMS[args.program, args.task](args.sizes), make_batch(
      args.sizes
  )
  # Attention by its formula: the fused one's backward computes scores again.
  with (sdpa_kernel(SDPBackend.MATH),
        flop_counter.FlopCounterMode(display=False) as counter):
    model(batch).backward()
  step = make_step(model, args.sizes, args.compile)
  start, seconds = time.perf_counter(), []
  losses = [float(step(batch))]
  first = time.perf_counter() - start
  losses.append(float(step(batch)))  # now everything is allocated
  for _ in range(args.steps):
    start = time.perf_counter()
    losses.append(float(step(batch)))
    seconds.append(time.perf_counter() - start)
  interleave.emit(
      statistics.median(seconds), torch=torch.__version__,
      threads=torch.get_num_threads(), first_step_s=round(first, 1),
      parameters=sum(p.numel() for p in model.parameters()
                     if p.requires_grad),
      gflop=round(counter.get_total_flops() / 1e9, 3),
      losses=[round(x, 4) for x in losses],
  )


if __name__ == "__main__":
  main()
