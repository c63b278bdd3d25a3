"""The network: a small U-Net from a half-resolution photograph to two maps, `fg` (insect) and `core` (middle of an insect).

The Go detector (ml/internal/detect/builtin) has the same topology and reads the widths from the tensors' shapes.
Tensor names and layouts are described in README.md; change the topology there and here together.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (24, 48, 72, 96)
BLOCKS = ("enc1", "enc2", "enc3", "enc4", "dec3", "dec2", "dec1")


class Block(nn.Module):
    """Two 3x3 convolutions, each with batch norm (a bias once folded) and ReLU."""

    def __init__(self, inputs, outputs, folded):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=folded)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=folded)
        if not folded:
            self.bn1 = nn.BatchNorm2d(outputs)
            self.bn2 = nn.BatchNorm2d(outputs)
        self.folded = folded

    def forward(self, x):
        x, y = self.conv1(x), None
        x = F.relu(x if self.folded else self.bn1(x))
        x = self.conv2(x)
        return F.relu(x if self.folded else self.bn2(x))


class UNet(nn.Module):
    """Input [n, 3, H, W], BGR / 255, H and W multiples of 16; output [n, 2, H, W], before the sigmoid."""

    def __init__(self, widths=WIDTHS, folded=False):
        super().__init__()
        a, b, c, d = widths
        self.widths = tuple(widths)
        self.enc1 = Block(12, a, folded)
        self.enc2 = Block(a, b, folded)
        self.enc3 = Block(b, c, folded)
        self.enc4 = Block(c, d, folded)
        self.dec3 = Block(d + c, c, folded)
        self.dec2 = Block(c + b, b, folded)
        self.dec1 = Block(b + a, a, folded)
        self.head = nn.Conv2d(a, 8, 1)
        # Most pixels are card: begin there, so that the first steps are not spent on it.
        nn.init.constant_(self.head.bias, -2.0)

    def forward(self, x):
        return self.after(F.pixel_unshuffle(x, 2))

    def after(self, x):
        """What follows space-to-depth (ONNX writes that step in its own way)."""
        s1 = self.enc1(x)
        s2 = self.enc2(F.max_pool2d(s1, 2))
        s3 = self.enc3(F.max_pool2d(s2, 2))
        x = self.enc4(F.max_pool2d(s3, 2))
        x = self.dec3(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), s3], 1))
        x = self.dec2(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), s2], 1))
        x = self.dec1(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), s1], 1))
        return F.pixel_shuffle(self.head(x), 2)


def fold(net):
    """The tensors of a trained network, batch norm folded into weight and bias: name -> float32 array (OIHW)."""
    tensors = {}
    for name in BLOCKS:
        block = getattr(net, name)
        for i in ("1", "2"):
            conv, bn = getattr(block, "conv" + i), getattr(block, "bn" + i)
            gain = bn.weight.detach().double() / torch.sqrt(bn.running_var.double() + bn.eps)
            weight = conv.weight.detach().double() * gain[:, None, None, None]
            bias = bn.bias.detach().double() - bn.running_mean.double() * gain
            tensors[f"{name}.conv{i}.weight"] = weight.float().numpy()
            tensors[f"{name}.conv{i}.bias"] = bias.float().numpy()
    tensors["head.weight"] = net.head.weight.detach().float().numpy()
    tensors["head.bias"] = net.head.bias.detach().float().numpy()
    return tensors


def unfold(tensors):
    """The folded network that these tensors describe, ready for inference."""
    widths = [tensors[f"enc{i}.conv1.weight"].shape[0] for i in (1, 2, 3, 4)]
    net = UNet(widths, folded=True)
    net.load_state_dict({k: torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in tensors.items()})
    return net.eval()
