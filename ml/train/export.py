"""Write a checkpoint as weights.safetensors and its golden pair, or as an ONNX model with its config.yaml."""

import argparse
import json
import os

import cv2
import numpy as np
import torch

import net
import outlines
import train
import weights


def synthetic(height=128, width=160, seed=1):
    """A generated card with dark blobs, legs and noise: BGR / 255, float32 [3, height, width]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = 0.8 + 0.2 * np.cos((x - width / 3) / width) * np.cos((y - height / 2) / height)
    image = np.dstack([0.25 * light, 0.75 * light, 0.72 * light]).astype(np.float32)
    for _ in range(9):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        r, angle, tint = rng.uniform(3, 12), rng.uniform(0, 360), rng.uniform(0.02, 0.3)
        colour = tuple(float(v) for v in tint * rng.uniform(0.7, 1.0, 3))
        cv2.ellipse(image, ((cx, cy), (2 * r, r), angle), colour, -1, cv2.LINE_AA)
        for _ in range(6):
            t = rng.uniform(0, 2 * np.pi)
            end = (int(cx + 1.8 * r * np.cos(t)), int(cy + 1.8 * r * np.sin(t)))
            cv2.line(image, (int(cx), int(cy)), end, colour, 1, cv2.LINE_AA)
    image = cv2.GaussianBlur(image, (0, 0), 0.7) + rng.normal(0, 0.015, image.shape).astype(np.float32)
    return np.ascontiguousarray(np.clip(image, 0, 1).transpose(2, 0, 1).astype(np.float32))


def golden(tensors, path):
    """An input and the output that these (rounded) tensors give for it, for the Go detector's tests."""
    image = synthetic()
    with torch.no_grad():
        output = torch.sigmoid(net.unfold(tensors)(torch.from_numpy(image)[None]))[0].numpy()
    weights.save(path, {"input": image, "output": output})
    return output


class Maps(torch.nn.Module):
    """The network as ONNX gets it: `image` in, `maps` out."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        # Torch exports pixel_unshuffle as a tangle of shapes that some runtimes refuse; this convolution is the same.
        gather = torch.zeros(12, 3, 2, 2)
        for out in range(12):
            gather[out, out // 4, out // 2 % 2, out % 2] = 1
        self.register_buffer("gather", gather)

    def forward(self, image):
        return torch.sigmoid(self.inner.after(torch.nn.functional.conv2d(image, self.gather, stride=2)))


CONFIG = """# How detect/onnx is to feed model.onnx and to read what it gives.
input: {{scale: 0.5, order: bgr, range: 1.0, layout: nchw, multiple: 64}}
output: {{kind: fg_core}}
postprocess: {postprocess}
"""


def export_onnx(model, folder, postprocess):
    os.makedirs(folder, exist_ok=True)
    example = torch.rand(1, 3, 128, 192)
    torch.onnx.export(
        Maps(model), example, os.path.join(folder, "model.onnx"), input_names=["image"], output_names=["maps"], opset_version=13,
        dynamic_axes={"image": {2: "height", 3: "width"}, "maps": {2: "height", 3: "width"}},
    )
    with open(os.path.join(folder, "config.yaml"), "w") as f:
        f.write(CONFIG.format(postprocess=json.dumps(postprocess)))  # JSON is YAML


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="A+B: the mean of two")
    parser.add_argument("--weights", help="write weights.safetensors here")
    parser.add_argument("--golden", help="write the golden pair here")
    parser.add_argument("--onnx", help="write model.onnx and config.yaml to this folder")
    parser.add_argument("--postprocess", help="JSON file of tuned parameters (evaluate.py --tune writes it)")
    args = parser.parse_args()
    model, notes = train.load_average(args.checkpoint)
    postprocess = dict(outlines.DEFAULTS)
    if args.postprocess:
        with open(args.postprocess) as f:
            postprocess.update(json.load(f))
    tensors = {k: v.astype(np.float16) for k, v in net.fold(model).items()}
    if args.weights:
        metadata = {"format": "sticky-pi-unet/1", "trained": notes["trained"], "postprocess": json.dumps(postprocess)}
        if notes["held_out"]:
            metadata["held_out"] = json.dumps(notes["held_out"])
        weights.save(args.weights, tensors, metadata)
    if args.golden:
        golden(tensors, args.golden)
    if args.onnx:
        # The same rounded weights: both detectors must give the same maps.
        export_onnx(net.unfold(tensors), args.onnx, postprocess)


if __name__ == "__main__":
    main()
