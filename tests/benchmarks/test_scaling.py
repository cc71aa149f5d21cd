"""The table of FLOPs and bytes by mesh."""

import scaling


def test_scaling_of_a_toy():
    text = """
  %a = f32[4,8]{1,0} all-gather(f32[1,8] %x), dimensions={0}
  %b = (bf16[2]{0}, f32[3]{0}) all-reduce-start(%y, %z)
  %c = f32[100]{0} add(%all-gather, %d)
"""
    assert scaling.collected(text, ["all-gather"]) == 4 * 32
    assert scaling.collected(text, ["all-reduce", "reduce-scatter"]) == 2 * 2 + 4 * 3
    rows = {
        f"motion: {name}": {"stage": "motion", **dict.fromkeys(scaling.COLUMNS, value)}
        for name, value in (("one device", 8.0), ("data 8", 1.0))
    }
    report = {"config": "debug", "batch": {"face": 8, "motion": 8}, "rows": rows}
    assert "| data 8 | 1 (0.12) |" in scaling.markdown(report)
