"""Golden values of the block codecs: blocks.py [REPOSITORY]

Writes Tests/GGUFTests/Goldens/<TYPE>.blocks (twelve random blocks, their scales finite, some subnormal or zero) and <TYPE>.f32 (the
values gguf-py gives for them, little-endian FP32); weights.f32 (numbers to quantise) and <TYPE>.quantised (the blocks gguf-py makes of them).
Needs: numpy, gguf (0.19.0 made the committed ones).
"""
import pathlib, sys
import gguf, numpy as np

out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "Tests/GGUFTests/Goldens"
out.mkdir(parents=True, exist_ok=True)
scales_at = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
             "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0]}
random = np.random.default_rng(20260801)
for name, offsets in scales_at.items():
    kind = gguf.GGMLQuantizationType[name]
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (12, size), dtype=np.uint8)
    for offset in offsets:
        scale = (random.standard_normal(12) * 0.01).astype(np.float16)
        scale[:4] = [0.0, -0.0, 6e-8, 65504.0]  # zero of both signs, the smallest subnormal, the largest number
        blocks[:, offset:offset + 2] = scale.view(np.uint8).reshape(12, 2)
    values = gguf.dequantize(blocks, kind)
    assert np.isfinite(values).all()
    (out / f"{name}.blocks").write_bytes(blocks.tobytes())
    (out / f"{name}.f32").write_bytes(values.astype("<f4").tobytes())

# Weights as they come: normal ones, with outliers, all negative, with an offset, all the same, zeros, very small and very large ones.
random = np.random.default_rng(20261123)
rows = [random.standard_normal(256) * 0.02, random.standard_t(3, 256) * 0.05, -np.abs(random.standard_normal(256)), 3 + random.standard_normal(256) * 0.1,
        np.full(256, 0.7), np.zeros(256), random.standard_normal(256) * 1e-6, random.standard_normal(256) * 1000]
weights = np.array(rows, "<f4")
(out / "weights.f32").write_bytes(weights.tobytes())
for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]:
    (out / f"{name}.quantised").write_bytes(gguf.quantize(weights, gguf.GGMLQuantizationType[name]).tobytes())
