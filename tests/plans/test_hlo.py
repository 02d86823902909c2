"""Collectives of saved texts, as XLA writes them for TPUs and CPUs."""

import pytest

from accfm.plans import hlo

GROUPS = "replica_groups={{0,1,2,3}}, use_global_device_ids=true"
# Shortened from a compiled step: an all-gather that runs beside other work
# is there in each fusion that it passes; another has the same channel; the
# transposed gathers are one all-reduce, the gradients another.
TPU = f"""
HloModule jit_update, is_scheduled=true

%fused_computation.2164 (param_0.5431: f32[1,2,128]) -> (f32[1,2,128]) {{
  %all-gather.11 = f32[4,2,128]{{2,1,0:T(2,128)}} all-gather(%param_0.5431), \
channel_id=1, {GROUPS}, dimensions={{0}}, frontend_attributes={{chain_id="0"}}
  ROOT %custom-call.3 = (f32[1,2,128], f32[4,2,128]{{2,1,0}}) custom-call(\
%all-gather.11), custom_call_target="AsyncCollectiveStart"
}}

%async_collective_fusion.1661 (param_0.5435: f32[1,2,128]) -> f32[4,2,128] {{
  %all-gather.13 = f32[4,2,128]{{2,1,0:T(2,128)S(1)}} all-gather(\
%param_0.5435), channel_id=1, {GROUPS}, frontend_attributes={{chain_id="0"}}
}}

ENTRY %main.168_spmd (param.1: f32[8,128]) -> f32[8,128] {{
  %all-gather.34 = f32[4,2,128]{{2,1,0:T(2,128)S(1)}} all-gather(\
%get-tuple-element.1162), channel_id=1, {GROUPS}, dimensions={{0}}
  %bitcast.1109 = f32[8,128]{{1,0:T(8,128)S(1)}} bitcast(%all-gather.34)
  %all-reduce.39 = (f32[8,128]{{1,0:T(8,128)S(1)}}, f32[8,128]{{1,0}}) \
all-reduce(%add_any.133, %add_any.162), channel_id=2, {GROUPS}, to_apply=%sum
  %all-reduce.38 = (f32[16]{{0:T(128)S(1)}}, bf16[16,16]{{1,0}}, \
/*index=2*/f32[]{{:T(128)}}) all-reduce(%a, %b, %c), channel_id=1, {GROUPS}
}}
"""


def test_collectives_of_a_tpu_step():
  found = hlo.collectives(TPU)
  assert found == [
      hlo.Collective("all-gather", {"f32": 4096}, 4),
      hlo.Collective("all-gather", {"f32": 4096}, 4),
      hlo.Collective("all-reduce", {"f32": 2 * 4096}, 4),
      hlo.Collective("all-reduce", {"f32": 64 + 4, "bf16": 512}, 4),
  ]
  assert hlo.by_kind(found) == {
      "all-gather": {
          "count": 2, "bytes": 8192, "bytes_by_type": {"f32": 8192},
      },
      "all-reduce": {
          "count": 2, "bytes": 8192 + 580,
          "bytes_by_type": {"f32": 8192 + 68, "bf16": 512},
      },
  }


@pytest.mark.parametrize("line, want", [
    # Started and finished apart, operands beside results, groups as a grid.
    ("%s = (f32[2,8]{1,0}, f32[4,8]{1,0}) all-gather-start(%x), channel_id=3, "
     "replica_groups=[4,2]<=[8], dimensions={0}",
     hlo.Collective("all-gather", {"f32": 128}, 2)),
    ("%d = f32[4,8]{1,0} all-gather-done(%s)", None),
    ("%s = f32[8]{0} all-reduce-start(%x), channel_id=3, "
     "replica_groups={{0,1},{2,3}}",
     hlo.Collective("all-reduce", {"f32": 32}, 2)),
    ("%s = (bf16[8]{0}, bf16[8]{0}, u32[]{:S(2)}, u32[]{:S(2)}) "
     "collective-permute-start(%x), channel_id=3, "
     "source_target_pairs={{0,1},{1,0}}",
     hlo.Collective("collective-permute", {"bf16": 16}, 1)),
    ("%s = f32[2,8]{1,0} reduce-scatter(%x), channel_id=3, "
     "replica_groups={{0,1}}, dimensions={0}",
     hlo.Collective("reduce-scatter", {"f32": 64}, 2)),
    ("%f = f32[8]{0} fusion(%all-reduce.1), calls=%all-reduce-scatter", None),
])
def test_forms(line, want):
  assert hlo.collectives(line) == ([want] if want else [])


def ring(kind, shards):
  """Bytes that one device receives when it is done by neighbours, by hand.

  `shards`: bytes of what each device holds of a gather's result, or of each
  part that is summed.
  """
  n = len(shards)
  once = sum(shards) - shards[0]  # all parts but the own one pass by
  return 2 * once if kind == "all-reduce" else once if n > 1 else 0


@pytest.mark.parametrize("kind", ["all-reduce", "all-gather"])
@pytest.mark.parametrize("n", [1, 2, 8])
def test_what_a_device_receives(kind, n):
  one = hlo.Collective(kind, {"f32": 160 * n}, n)
  assert one.received == ring(kind, [160] * n)


def test_what_a_device_receives_of_a_part():
  assert hlo.Collective("reduce-scatter", {"f32": 160}, 4).received == 480
  assert hlo.Collective("collective-permute", {"f32": 160}, 1).received == 160


# One chip: %x and %y lie in HBM, %a to %d on the chip. What is counted:
# x read (400) as a; y's half read (200) into c; the fusion's x read (400) and
# its second result (40) written; the copy of d to HBM (40).
TRAFFIC = """
%inside (p: f32[100]) -> f32[100] {
  %p = f32[100]{0} parameter(0)
  ROOT %neg = f32[100]{0} negate(%p)
}

ENTRY %main (x: f32[100], y: f32[2,50]) -> (f32[10]) {
  %x = f32[100]{0:T(128)} parameter(0)
  %y = f32[2,50]{1,0:T(8,128)} parameter(1)
  %copy-start = (f32[100]{0:T(128)S(1)}, f32[100]{0:T(128)}, u32[]{:S(2)}) \
copy-start(%x)
  %a = f32[100]{0:T(128)S(1)} copy-done(%copy-start)
  %slice-start = ((f32[2,50]{1,0}), f32[1,50]{1,0:S(1)}, s32[]{:S(2)}) \
slice-start(%y), slice={[0:1], [0:50]}
  %c = f32[1,50]{1,0:T(8,128)S(1)} slice-done(%slice-start)
  %f = (f32[10]{0:T(128)S(1)}, f32[10]{0:T(128)}) fusion(%a, %x, %c), \
kind=kLoop, calls=%inside
  %d = f32[10]{0:T(128)S(1)} get-tuple-element(%f), index=0
  %e = f32[10]{0:T(128)} copy(%d)
  ROOT %t = (f32[10]{0:T(128)}) tuple(%e)
}
""".replace("\\\n", "")


def test_traffic():
  found = hlo.traffic(TRAFFIC)
  assert found.hbm == 400 + 200 + (400 + 40) + 40
  # The two copies' other ends; the fusion's a, c and first result; d.
  on_chip = 400 + 200 + (400 + 200 + 40) + 40
  assert found.all == found.once == found.hbm + on_chip


# A loop of five with a sum over devices and a choice of two; a gather's loop.
LOOPS = """
%limit (s: (s32[], f32[10])) -> pred[] {
  %n = s32[]{:T(128)} constant(5)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %n), direction=LT
}

%rows (s: (s32[], f32[10])) -> pred[] {
  %n = s32[]{:T(128)} constant(7)
  ROOT %lt = pred[]{:T(512)} compare(%i, %n), direction=LT
}

%one (z: f32[10]) -> f32[10] {
  %z = f32[10]{0} parameter(0)
  ROOT %neg = f32[10]{0} negate(%z)
}

%other (z: f32[10]) -> f32[10] {
  ROOT %z = f32[10]{0} parameter(0)
}

%gathered (s: (s32[], f32[10])) -> (s32[], f32[10]) {
  %g = f32[2]{0} broadcast(%k), dimensions={}
}

%body (s: (s32[], f32[10])) -> (s32[], f32[10]) {
  %x = f32[10]{0} get-tuple-element(%s), index=1
  %sum = f32[10]{0} all-reduce(%x), channel_id=1, replica_groups={{0,1}}
  %c = f32[10]{0} conditional(%p, %sum, %sum), branch_computations={%one, \
%other}
}

ENTRY %main (x: f32[10]) -> f32[10] {
  %w = (s32[], f32[10]{0}) while(%t), condition=%limit, body=%body, \
metadata={op_name="jit(f)/while"}
  %v = (s32[], f32[10]{0}) while(%w), condition=%rows, body=%gathered, \
metadata={op_name="jit(f)/while/body/gather"}
}
""".replace("\\\n", "")


def test_loops_count_as_often_as_they_run():
  assert hlo.collectives(LOOPS) == [
      hlo.Collective("all-reduce", {"f32": 40}, 2, times=5)
  ]
  assert hlo.by_kind(hlo.collectives(LOOPS))["all-reduce"] == {
      "count": 5, "bytes": 200, "bytes_by_type": {"f32": 200},
  }
  # Each time: the sum reads and writes 40, and half the times so does %neg.
  # Once: what the gather's body writes.
  found = hlo.traffic(LOOPS)
  assert found.all == found.hbm == 5 * (80 + 0.5 * 80) + 8
  assert found.once == 80 + 0.5 * 80 + 8


@pytest.mark.parametrize("text, want", [
    ("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 21.14G "
     "of 15.75G hbm. Exceeded hbm capacity by 5.39G.", (21.14, 15.75)),
    ("RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required "
     "for HLO temporaries (17.77G) exceeds available HBM (15.75G).",
     (17.77, 15.75)),
])
def test_out_of_memory(text, want):
  assert hlo.memory_needed(text) == tuple(int(g * 1024**3) for g in want)


def test_another_error_is_none():
  assert hlo.memory_needed("INVALID_ARGUMENT: 3G of 4G") is None
