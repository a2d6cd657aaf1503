#!/usr/bin/env python3
"""Reads a packed checkpoint without grpo-cli: unpack.py PACKED.safetensors PLAIN.safetensors

The layout is in docs/checkpoints.md. Needs: numpy, zstandard, safetensors; xxhash, if it is there, checks the checksums.
"""
import json, struct, sys
import numpy as np, zstandard

try:
    import xxhash
except ImportError:
    xxhash = None
CHUNK = 262144
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}


def unpack(blob: bytes, count: int, size: int) -> bytes:
    chunks, out, at = -(-count // CHUNK), [], 0
    table = len(blob) - 12 * chunks
    for i in range(chunks):
        frame, checksum = struct.unpack_from("<IQ", blob, table + 12 * i)
        n = min(CHUNK, count - i * CHUNK)
        x = np.empty((n, size), np.uint8)
        x[:, -1] = np.frombuffer(zstandard.ZstdDecompressor().decompress(blob[at:at + frame]), np.uint8)
        x[:, :-1] = np.frombuffer(blob, np.uint8, n * (size - 1), at + frame).reshape(n, size - 1)
        at += frame + n * (size - 1)
        x = x.reshape(-1).view(f"<u{size}")
        x = (x >> 1) | (x << (8 * size - 1))  # back by one bit
        assert xxhash is None or xxhash.xxh64_intdigest(x.tobytes()) == checksum, "damaged"
        out.append(x.tobytes())
    return b"".join(out)


def main(source: str, target: str) -> None:
    data = open(source, "rb").read()
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    packed = json.loads(header["__metadata__"].pop("packed"))["tensors"]
    body, new = [], {"__metadata__": header.pop("__metadata__")}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = (8 + length + offset for offset in entry["data_offsets"])
        blob, stored = data[first:last], packed.get(name)
        if stored:
            blob = unpack(blob, int(np.prod(stored["shape"], dtype=np.int64)), SIZES[stored["dtype"]])
        at = sum(map(len, body))
        new[name] = {**(stored or {k: entry[k] for k in ("dtype", "shape")}), "data_offsets": [at, at + len(blob)]}
        body.append(blob)
    text = json.dumps(new).encode()
    open(target, "wb").write(struct.pack("<Q", len(text)) + text + b"".join(body))


main(*sys.argv[1:])
