"""Read and write the safetensors format (https://github.com/huggingface/safetensors), with numpy alone.

A file is: the header's length (little-endian u64), a JSON header (name -> dtype, shape, data_offsets, and
`__metadata__`, a map of strings), then the tensors' bytes, little-endian and in C order.
"""

import json
import os

import numpy as np

_DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_NAMES = {d: n for n, d in _DTYPES.items()}


def save(path, tensors, metadata=None):
    """Write a dict of name -> array (float16 or float32); the file appears whole or not at all."""
    header, blobs, at = {}, [], 0
    if metadata:
        header["__metadata__"] = {k: str(v) for k, v in metadata.items()}
    for name, array in tensors.items():
        array = np.ascontiguousarray(array)
        blob = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        dtype = _NAMES[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks that the data begin on a multiple of 8
    with open(path + ".part", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    os.replace(path + ".part", path)


def load(path):
    """Return (tensors, metadata)."""
    with open(path, "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, t in header.items():
        start, end = t["data_offsets"]
        flat = np.frombuffer(data, _DTYPES[t["dtype"]], offset=8 + size + start, count=(end - start) // _DTYPES[t["dtype"]].itemsize)
        tensors[name] = flat.reshape(t["shape"])
    return tensors, metadata
