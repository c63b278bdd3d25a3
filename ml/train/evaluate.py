"""Score networks on the photographs they were not trained on, and tune the outlines step out of fold.

evaluate.py PHOTOGRAPHS CHECKPOINT...   each checkpoint is scored on its own held-out devices
"""

import argparse
import json

import cv2
import numpy as np
import torch
from scipy.optimize import minimize

import data
import outlines
import train

CLASSES = (("< 500", 0, 500), ("500-2000", 500, 2000), ("> 2000", 2000, 1e12))


def raster(polygon, shape):
    """(mask, x0, y0): the pixels whose middle is inside the outline, within its bounding box and the photograph."""
    h, w = shape
    x0, y0 = np.clip(np.floor(polygon.min(0)).astype(int), 0, (w - 1, h - 1))
    x1, y1 = np.clip(np.ceil(polygon.max(0)).astype(int), 0, (w - 1, h - 1))
    # OpenCV draws the border too: on a grid four times as fine that is an eighth of a pixel at most.
    mask = np.zeros((4 * (y1 - y0 + 1), 4 * (x1 - x0 + 1)), np.uint8)
    cv2.fillPoly(mask, [np.round((polygon - (x0, y0)) * 4).astype(np.int32)], 1)
    return mask[2::4, 2::4].astype(bool), int(x0), int(y0)


def overlap(a, b):
    (ma, ax, ay), (mb, bx, by) = a, b
    x0, y0 = max(ax, bx), max(ay, by)
    x1, y1 = min(ax + ma.shape[1], bx + mb.shape[1]), min(ay + ma.shape[0], by + mb.shape[0])
    if x1 <= x0 or y1 <= y0:
        return 0
    return np.count_nonzero(ma[y0 - ay : y1 - ay, x0 - ax : x1 - ax] & mb[y0 - by : y1 - by, x0 - bx : x1 - bx])


def overlaps(predicted, annotated):
    """IoU of every pair, [predicted, annotated]; both are lists of raster()."""
    result = np.zeros((len(predicted), len(annotated)), np.float32)
    boxes = np.array([(x, y, x + m.shape[1], y + m.shape[0]) for m, x, y in annotated]).reshape(-1, 4)
    areas = [np.count_nonzero(m) for m, _, _ in annotated]
    for i, p in enumerate(predicted):
        m, x, y = p
        near = (boxes[:, 0] < x + m.shape[1]) & (boxes[:, 2] > x) & (boxes[:, 1] < y + m.shape[0]) & (boxes[:, 3] > y)
        area = np.count_nonzero(m)
        for j in np.flatnonzero(near):
            shared = overlap(p, annotated[j])
            if shared:
                result[i, j] = shared / (area + areas[j] - shared)
    return result


def match(iou, threshold):
    """Pairs, one to one, highest IoU first."""
    pairs = np.argwhere(iou >= threshold)
    pairs = pairs[np.argsort(-iou[tuple(pairs.T)], kind="stable")]
    used_p, used_a, found = set(), set(), []
    for i, j in pairs.tolist():
        if i not in used_p and j not in used_a:
            used_p.add(i)
            used_a.add(j)
            found.append((i, j))
    return found


class Case:
    """One held-out photograph with its maps, ready to be scored under any parameters."""

    def __init__(self, photograph, maps, fold):
        self.name, self.fold = photograph.name, fold
        self.maps, self.half = maps, photograph.half
        self.shape = photograph.full.shape[:2]
        self.truth = [raster(p, self.shape) for p in photograph.polygons]
        self.truth_area = np.array([np.count_nonzero(m) for m, _, _ in self.truth])

    def candidates(self, params):
        """Candidates with their IoU to every annotation; the filter has not been applied."""
        found = outlines.outlines(*self.maps, self.half, params)
        masks = [raster(c["polygon"], self.shape) for c in found]
        for c, m, row in zip(found, masks, overlaps(masks, self.truth)):
            c["iou"], c["px"] = row, np.count_nonzero(m[0])
        return found

    def counts(self, chosen, threshold):
        """(matched, predicted, annotated)."""
        iou = np.array([c["iou"] for c in chosen]).reshape(len(chosen), len(self.truth))
        return len(match(iou, threshold)), len(chosen), len(self.truth)


def prf(matched, predicted, annotated):
    p = matched / predicted if predicted else 1.0
    r = matched / annotated if annotated else 1.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def line(title, counts):
    p, r, f = prf(*counts)
    return f"{title:<34} P {p:.3f}  R {r:.3f}  F1 {f:.3f}  ({counts[0]}/{counts[1]}/{counts[2]})"


def report(cases, chosen, out=print):
    for threshold in (0.33, 0.5):
        per = [c.counts(k, threshold) for c, k in zip(cases, chosen)]
        out(f"IoU {threshold}")
        if threshold == 0.33:
            for c, n in zip(cases, per):
                out(line("  " + c.name, n))
        for fold in sorted({c.fold for c in cases}):
            out(line(f"  fold {fold}", np.sum([n for c, n in zip(cases, per) if c.fold == fold], axis=0)))
        out(line("  all", np.sum(per, axis=0)))
        out("  least of an image: P %.3f  R %.3f" % (min(prf(*n)[0] for n in per), min(prf(*n)[1] for n in per)))
        for title, low, high in CLASSES:
            matched = predicted = annotated = 0
            for c, k in zip(cases, chosen):
                iou = np.array([x["iou"] for x in k]).reshape(len(k), len(c.truth))
                pairs = match(iou, threshold)
                annotated += int(((c.truth_area >= low) & (c.truth_area < high)).sum())
                matched += sum(1 for _, j in pairs if low <= c.truth_area[j] < high)
                # A wrong outline counts in the class of its own size, a right one in that of its insect.
                size = {i: c.truth_area[j] for i, j in pairs}
                predicted += sum(1 for i, x in enumerate(k) if low <= size.get(i, x["px"]) < high)
            out(line(f"  {title} px", (matched, predicted, annotated)))


def fit(features, wanted, names=outlines.FEATURES, ridge=1.0):
    """A logistic filter (threshold still 0.5) with a ridge on the standardised coefficients."""
    columns = [outlines.FEATURES.index(n) for n in names]
    x = np.asarray(features, np.float64)[:, columns]
    y = np.asarray(wanted, np.float64)
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
    z = (x - mean) / scale

    def objective(w):
        t = z @ w[:-1] + w[-1]
        p = 1 / (1 + np.exp(-np.clip(t, -50, 50)))
        value = np.logaddexp(0, t).sum() - (y * t).sum() + 0.5 * ridge * (w[:-1] ** 2).sum()
        return value, np.append(z.T @ (p - y) + ridge * w[:-1], (p - y).sum())

    w = minimize(objective, np.zeros(len(columns) + 1), jac=True, method="L-BFGS-B").x
    return {"features": list(names), "mean": mean.tolist(), "scale": scale.tolist(), "coef": w[:-1].tolist(), "intercept": float(w[-1]), "threshold": 0.5}


def goal(cases, chosen):
    """What is maximised: F1 over all outlines at both thresholds, and a little of the mean image's, so that a crowded card does not decide alone."""
    value = 0.0
    for threshold, weight in ((0.33, 0.6), (0.5, 0.4)):
        per = [c.counts(k, threshold) for c, k in zip(cases, chosen)]
        value += weight * (0.6 * prf(*np.sum(per, axis=0))[2] + 0.4 * float(np.mean([prf(*n)[2] for n in per])))
    return value


def training_rows(cases, candidates):
    """Features and answers for the filter: is this candidate the match of an insect at IoU 0.33?"""
    features, wanted = [], []
    for case, found in zip(cases, candidates):
        iou = np.array([c["iou"] for c in found]).reshape(len(found), len(case.truth))
        right = {i for i, _ in match(iou, 0.33)}
        features += [c["features"] for c in found]
        wanted += [i in right for i in range(len(found))]
    return features, wanted


THRESHOLDS = np.arange(0.2, 0.71, 0.025)


def probabilities(params, candidates):
    return [outlines.probability(params["filter"], [c["features"] for c in k]) if k else np.zeros(0) for k in candidates]


def fit_filter(cases, candidates, params):
    """(params with a filter, its goal out of fold): coefficients from all cases, the threshold from predictions that are
    out of fold within these cases."""
    folds = sorted({c.fold for c in cases})
    guesses = [None] * len(cases)
    for f in folds:
        inner = [i for i, c in enumerate(cases) if c.fold != f or len(folds) == 1]
        outer = [i for i, c in enumerate(cases) if c.fold == f]
        part = {"filter": fit(*training_rows([cases[i] for i in inner], [candidates[i] for i in inner]))}
        for i, p in zip(outer, probabilities(part, [candidates[i] for i in outer])):
            guesses[i] = p
    scores = [goal(cases, [[c for c, v in zip(k, q) if v >= t] for k, q in zip(candidates, guesses)]) for t in THRESHOLDS]
    # The middle of the plateau, rather than a lucky peak.
    smooth = np.convolve(np.pad(scores, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    best = int(np.argmax(smooth))
    fitted = dict(params, filter=fit(*training_rows(cases, candidates)))
    fitted["filter"]["threshold"] = float(round(THRESHOLDS[best], 3))
    return fitted, float(smooth[best])


def fit_score(cases, candidates, params):
    """(params with the best min_score and no filter, its goal on these cases)."""
    values = np.arange(0.3, 0.81, 0.05)
    scores = [goal(cases, [[c for c in k if c["score"] >= t] for k in candidates]) for t in values]
    smooth = np.convolve(np.pad(scores, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    best = int(np.argmax(smooth))
    return dict(params, min_score=float(round(values[best], 3)), filter=None), float(smooth[best])


def choose(cases, tables, kinds):
    """The best of several parameter sets on these cases; tables is a list of (params, candidates)."""
    fitted = [kind(cases, candidates, params) for params, candidates in tables for kind in kinds]
    return max(fitted, key=lambda f: f[1])


def settings():
    for fg in (0.5, 0.6):
        for core in (0.6, 0.7, 0.8):
            for dilate in (0, 1):
                for border in (0, 220):
                    yield dict(outlines.DEFAULTS, fg_threshold=fg, core_threshold=core, dilate_px=dilate, min_border_px=border)


def tune(cases, out=print):
    """The parameters that do best on all folds, with a filter or without, whichever does better on folds that it has not seen;
    reports both on such folds."""
    tables = [(params, [c.candidates(params) for c in cases]) for params in settings()]
    seen = {}
    for title, kind in (("without filter", fit_score), ("with filter", fit_filter)):
        chosen = [None] * len(cases)
        for fold in sorted({c.fold for c in cases}):
            inner = [i for i, c in enumerate(cases) if c.fold != fold]
            params, _ = choose([cases[i] for i in inner], [(p, [k[i] for i in inner]) for p, k in tables], (kind,))
            out(f"chosen without fold {fold}: {describe(params)}")
            candidates = next(k for p, k in tables if all(p[n] == params[n] for n in p if n not in ("filter", "min_score")))
            for i, c in enumerate(cases):
                if c.fold == fold:
                    chosen[i] = outlines.kept(candidates[i], params)
        seen[title] = goal(cases, chosen)
        out(f"{title}, all parameters chosen without the fold that is scored (goal {seen[title]:.3f}):")
        report(cases, chosen, out)
    kind = fit_filter if seen["with filter"] > seen["without filter"] else fit_score
    params, _ = choose(cases, tables, (kind,))
    out(f"chosen on all folds: {describe(params)}")
    return params


def describe(params):
    shape = ", ".join(f"{k} {params[k]}" for k in ("fg_threshold", "core_threshold", "dilate_px", "min_border_px"))
    return shape + (f", filter's threshold {params['filter']['threshold']}" if params["filter"] else f", min_score {params['min_score']}")


def load_cases(photographs, checkpoints):
    cases = []
    by_name = {data.name(p): p for p in data.files(photographs)}
    for fold, path in enumerate(checkpoints, 1):
        model, notes = train.load_average(path)
        for name in notes["held_out"]:
            photograph = data.Photograph(by_name[name])
            cases.append(Case(photograph, outlines.maps(model, photograph.full), fold))
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs")
    parser.add_argument("checkpoints", nargs="+", help="A+B: the mean of two")
    parser.add_argument("--postprocess", help="JSON file of parameters, instead of the defaults")
    parser.add_argument("--tune", metavar="FILE", help="choose parameters and fit the filter, score them out of fold, write them to this file")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    params = dict(outlines.DEFAULTS)
    if args.postprocess:
        with open(args.postprocess) as f:
            params.update(json.load(f))
    cases = load_cases(args.photographs, args.checkpoints)
    if args.tune:
        params = tune(cases)
        with open(args.tune, "w") as f:
            json.dump(params, f, indent=1)
        return
    report(cases, [outlines.kept(c.candidates(params), params) for c in cases])


if __name__ == "__main__":
    main()
