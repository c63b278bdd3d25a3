"""Make the models of the tests, with Debian's python3-torch: /usr/bin/python3 make.py (a minute).

tiny/: the builtin network's topology with few channels, taught to find dark spots on a bright card, as weights.safetensors for
detect/builtin and as model.onnx with its config.yaml for detect/onnx. dark.onnx: a map of what is dark. boxes.onnx: two fixed
instances, as Mask R-CNN gives them.
"""

import json
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../../../train"))
import export  # noqa: E402
import net  # noqa: E402
import outlines  # noqa: E402
import weights  # noqa: E402


def spots(rng, n, size):
    """Pictures of dark ellipses and the two maps of each."""
    y, x = np.mgrid[:size, :size]
    pictures, maps = [], []
    for _ in range(n):
        picture = rng.uniform(0.5, 0.9, 3)[:, None, None] + rng.normal(0, 0.02, (3, size, size))
        fg, core = np.zeros((size, size)), np.zeros((size, size))
        for _ in range(rng.integers(1, 4)):
            cx, cy, a, b, turn = *rng.uniform(8, size - 8, 2), *rng.uniform(5, 14, 2), rng.uniform(0, np.pi)
            u, v = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn), (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
            d = (u / a) ** 2 + (v / b) ** 2
            picture[:, d < 1] *= 0.3
            fg[d < 1], core[d < 0.35] = 1, 1
        pictures.append(picture)
        maps.append([fg, core])
    return torch.tensor(np.array(pictures), dtype=torch.float32), torch.tensor(np.array(maps), dtype=torch.float32)


def tiny():
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    model = net.UNet((8, 8, 8, 8))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for step in range(400):
        pictures, maps = spots(rng, 8, 64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(pictures), maps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("loss", float(loss))
    tensors = {k: v.astype(np.float16) for k, v in net.fold(model.eval()).items()}
    folder = os.path.join(HERE, "tiny")
    os.makedirs(folder, exist_ok=True)
    postprocess = dict(outlines.DEFAULTS)
    metadata = {"format": "sticky-pi-unet/1", "trained": "2020-01-02_03-04-05", "postprocess": json.dumps(postprocess)}
    weights.save(os.path.join(folder, "weights.safetensors"), tensors, metadata)
    export.export_onnx(net.unfold(tensors), folder, postprocess)


class Dark(torch.nn.Module):
    """[1, H, W, 3], 0 to 255 -> logits [1, H, W, 2]: card, insect."""

    def forward(self, image):
        dark = (110 - image.mean(3, keepdim=True)) / 10
        return torch.cat([-dark, dark], 3)


class Boxes(torch.nn.Module):
    """[3, H, W] -> boxes, scores, masks of a disc, of a square and of something unsure."""

    def forward(self, image):
        nothing = 0 * image.mean()
        y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
        disc = ((x - 13.5) ** 2 + (y - 13.5) ** 2 < 13.5**2).float()
        masks = torch.stack([disc, torch.ones(28, 28), disc])[:, None]
        boxes = torch.tensor([[20.0, 30, 60, 70], [100, 40, 130, 60], [10, 10, 40, 40]])
        return boxes + nothing, torch.tensor([0.9, 0.8, 0.2]) + nothing, masks + nothing


tiny()
torch.onnx.export(Dark(), torch.rand(1, 48, 64, 3), os.path.join(HERE, "dark.onnx"), input_names=["picture"], output_names=["classes"],
                  opset_version=13, dynamic_axes={"picture": {1: "h", 2: "w"}, "classes": {1: "h", 2: "w"}})
torch.onnx.export(Boxes(), torch.rand(3, 48, 64), os.path.join(HERE, "boxes.onnx"), input_names=["image"], output_names=["boxes", "scores", "masks"],
                  opset_version=13, dynamic_axes={"image": {1: "h", 2: "w"}})
