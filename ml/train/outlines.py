"""From maps to outlines, step by step as the Go detector does it (README.md has the rules), and the filter's features."""

import heapq
import math

import cv2
import numpy as np
import torch

import data

DEFAULTS = {
    "fg_threshold": 0.5, "core_threshold": 0.6, "min_core_px": 6, "min_area_px": 40, "min_border_px": 0, "dilate_px": 2,
    "min_side_px": 20, "simplify": 0.006, "min_score": 0.6, "filter": None,
}
FEATURES = ("fg_mean", "fg_p10", "core_max", "area", "side", "solidity", "aspect", "touches_border", "darkness")


def maps(model, photograph, pad=16, multiple=64):
    """fg and core, float32 [2, h, w] at half resolution, of a full-resolution BGR photograph."""
    half = data.halve(photograph)
    h, w = half.shape[:2]
    bottom, right = -(pad + h) % multiple, -(pad + w) % multiple
    padded = cv2.copyMakeBorder(data.show(half), pad, bottom, pad, right, cv2.BORDER_REFLECT_101)
    x = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1) / np.float32(255)))[None]
    with torch.no_grad():
        y = torch.sigmoid(model(x.contiguous(memory_format=torch.channels_last)))[0]
    return y[:, pad : pad + h, pad : pad + w].contiguous().numpy()


def flood(fg, core, params):
    """Labels (int32, 0 = none) at half resolution: watershed by priority flood from the cores."""
    inside = fg > params["fg_threshold"]
    seeds = (inside & (core > params["core_threshold"])).astype(np.uint8)
    count, components, stats, _ = cv2.connectedComponentsWithStats(seeds, connectivity=4)
    big = stats[:, cv2.CC_STAT_AREA] >= params["min_core_px"]
    big[0] = False
    number = np.zeros(count, np.int32)
    number[big] = np.arange(1, big.sum() + 1)
    # A frame of "outside" spares the bounds checks.
    h, w = fg.shape
    labels = np.pad(number[components], 1).ravel()
    open_ = np.pad(inside, 1).ravel()
    cost = np.pad(-(fg + core), 1).ravel()
    stride = w + 2
    # Only the seeds' rims can hand their label on.
    queue = [(cost[i], n, i) for n, i in enumerate(np.flatnonzero(labels).tolist())]
    heapq.heapify(queue)
    order = len(queue)
    labels, open_, cost = labels.tolist(), open_.tolist(), cost.tolist()
    while queue:
        _, _, i = heapq.heappop(queue)
        for j in (i - stride, i - 1, i + 1, i + stride):
            if open_[j] and not labels[j]:
                labels[j] = labels[i]
                heapq.heappush(queue, (cost[j], order, j))
                order += 1
    return np.array(labels, np.int32).reshape(h + 2, stride)[1:-1, 1:-1]


def disc(radius):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def outlines(fg, core, half, params):
    """Candidates of one photograph, before the score decides: dicts of polygon (full resolution), score, and features."""
    labels = flood(fg, core, params)
    h, w = fg.shape
    grey = half.astype(np.float32).mean(2) / 255
    background = fg <= params["fg_threshold"]
    n = labels.max()
    if n == 0:
        return []
    ys, xs = np.nonzero(labels)
    ids = labels[ys, xs]
    order = np.argsort(ids, kind="stable")
    ys, xs, ids = ys[order], xs[order], ids[order]
    ends = np.searchsorted(ids, np.arange(1, n + 2))
    kernel, d = disc(params["dilate_px"]), params["dilate_px"]
    found = []
    for k in range(n):
        y, x = ys[ends[k] : ends[k + 1]], xs[ends[k] : ends[k + 1]]
        area = len(y)
        y0, y1, x0, x1 = y.min(), y.max() + 1, x.min(), x.max() + 1
        border = y0 == 0 or x0 == 0 or y1 == h or x1 == w
        if area < params["min_area_px"] or border and area < params["min_border_px"]:
            continue
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        mask[y - y0, x - x0] = 1
        big = np.pad(mask.repeat(2, 0).repeat(2, 1), d)
        big = cv2.dilate(big, kernel)
        contours, _ = cv2.findContours(big, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contour = max(contours, key=len)
        contour = contour + np.array([2 * x0 - d, 2 * y0 - d], np.int32)
        contour = np.clip(contour, 0, [2 * w - 1, 2 * h - 1]).astype(np.int32)
        (_, sides, _) = cv2.minAreaRect(contour)
        longer, shorter = max(sides), min(sides)
        if longer < params["min_side_px"]:
            continue
        polygon = cv2.approxPolyDP(contour, params["simplify"] * cv2.arcLength(contour, True), True)[:, 0]
        if len(polygon) < 3:
            continue
        hull = cv2.contourArea(cv2.convexHull(contour))
        values = np.sort(fg[y, x])
        by0, by1, bx0, bx1 = max(y0 - 16, 0), min(y1 + 16, h), max(x0 - 16, 0), min(x1 + 16, w)
        around = grey[by0:by1, bx0:bx1][background[by0:by1, bx0:bx1]]
        bg = float(around.mean()) if around.size else 0.0
        top = float(core[y, x].max())
        found.append({
            "polygon": polygon,
            "score": float(values.mean()) * top,
            "features": [
                float(values.mean()), float(values[int(math.floor(0.1 * (area - 1)))]), top, math.log(area), math.log(longer),
                cv2.contourArea(contour) / hull if hull > 0 else 1.0, shorter / longer,
                float(border), (bg - float(grey[y, x].mean())) / bg if bg > 0 else 0.0,
            ],
        })
    return found


def probability(filter_, features):
    """The logistic filter's opinion that these are insects: features [n, len(FEATURES)] -> [n]."""
    x = np.asarray(features, np.float64).reshape(-1, len(FEATURES))
    x = x[:, [FEATURES.index(f) for f in filter_["features"]]]
    z = filter_["intercept"] + ((x - filter_["mean"]) / filter_["scale"]) @ np.asarray(filter_["coef"])
    return 1 / (1 + np.exp(-z))


def kept(candidates, params):
    if not candidates:
        return []
    if params["filter"] is None:
        return [c for c in candidates if c["score"] >= params["min_score"]]
    p = probability(params["filter"], [c["features"] for c in candidates])
    return [c for c, v in zip(candidates, p) if v >= params["filter"]["threshold"]]
