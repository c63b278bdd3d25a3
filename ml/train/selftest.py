"""A test without photographs: on generated cards the loss falls, and every form of the network gives the same maps."""

import base64
import os
import tempfile

import cv2
import numpy as np
import torch

import data
import evaluate
import export
import net
import outlines
import train
import weights


def card(seed):
    """A generated photograph as an annotated SVG."""
    rng = np.random.default_rng(seed)
    image = np.full((512, 640, 3), (60, 190, 180), np.uint8)
    paths = []
    for _ in range(12):
        cx, cy, r, angle = rng.uniform(30, 610), rng.uniform(30, 480), rng.uniform(8, 24), rng.uniform(0, 180)
        cv2.ellipse(image, ((cx, cy), (2 * r, r), angle), (25, 40, 45), -1, cv2.LINE_AA)
        corners = cv2.ellipse2Poly((int(cx), int(cy)), (int(r) + 3, int(r / 2) + 3), int(angle), 0, 360, 30)
        paths.append("M" + " ".join(f"{x},{y}" for x, y in corners[:2]) + " L" + " ".join(f"{x},{y}" for x, y in corners[2:]) + " Z")
    image = np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    jpeg = base64.b64encode(cv2.imencode(".jpg", image)[1].tobytes()).decode()
    return f'<svg><image href="data:image/jpeg;base64,{jpeg}"/>' + "".join(f'<path name="insect" d="{p}"/>' for p in paths) + "</svg>"


def check_paths():
    square = np.array([(1, 1), (5, 1), (5, 4), (1, 4)], float)
    for d in ("M1,1 5,1 5,4 1,4 Z", "m 1,1 h 4 v 3 h-4z", "M1 1H5V4H1", "m1,1 4,0 0,3 L 1,4", "M1,1C2,1 4,1 5,1L5,4 1,4Z"):
        (p,) = data.parse_path(d)
        assert abs(abs(cv2.contourArea(p.astype(np.float32))) - 12) < 1e-4, d
        assert np.allclose(p.min(0), square.min(0)) and np.allclose(p.max(0), square.max(0)), d
    for bad in ("M1,1 L2", "M1,1 S 1,1 2,2", "M1,1 L 2,2 3"):
        try:
            data.parse_path(bad)
        except ValueError:
            continue
        raise AssertionError(bad)


def check_scores():
    iou = np.array([[0.9, 0.8], [0.85, 0.4]])
    # Highest first takes 0.9, then 0.4: not the 0.8 + 0.85 that would sum to more.
    assert evaluate.match(iou, 0.33) == [(0, 0), (1, 1)]
    assert evaluate.match(iou, 0.5) == [(0, 0)]
    box = np.array([(10, 10), (20, 10), (20, 20), (10, 20)])
    masks = [evaluate.raster(box, (100, 100)), evaluate.raster(box + (5, 0), (100, 100))]
    assert np.allclose(evaluate.overlaps(masks[:1], masks)[0], (1, 50 / 150))


def check_flood():
    fg, core = np.zeros((40, 60), np.float32), np.zeros((40, 60), np.float32)
    fg[10:30, 5:55], core[15:25, 10:25], core[15:25, 35:50] = 0.9, 0.9, 0.9
    fg[2:6, 2:6] = 0.9  # no core: nothing
    found = outlines.outlines(fg, core, np.zeros((40, 60, 3), np.uint8), outlines.DEFAULTS)
    assert len(found) == 2, len(found)


def check_debris(photographs):
    rng = np.random.default_rng(0)
    insects = np.zeros((data.CROP, data.CROP), bool)
    insects[60:200, 60:200] = True
    changed = 0
    for _ in range(50):
        before = np.full((data.CROP, data.CROP, 3), 0.5, np.float32)
        after = data.add_debris(before.copy(), insects, photographs, rng)
        assert np.isfinite(after).all() and after.min() >= 0
        # What lies on an insect would be taught as part of it.
        assert (after[insects] > 0.97 * 0.5).all()
        changed += (after < 0.4).any()
    assert changed > 25, changed


def run():
    check_paths()
    check_scores()
    check_flood()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(3):
            with open(os.path.join(folder, f"{i:08x}.2020-01-0{i + 1}_00-00-00.svg"), "w") as f:
                f.write(card(i))
        photographs = [data.Photograph(p) for p in data.files(folder)]
        assert [len(p.polygons) for p in photographs] == [12] * 3
        check_debris(photographs)
        # bfloat16 is for processors that have it; a test must pass on all.
        trainer = train.Trainer(60, peak=3e-3, dtype=torch.float32)
        losses = [trainer.one(*data.batch(photographs[:2], trainer.rng, 4, 128)) for _ in range(60)]
        first, last = np.mean(losses[:5]), np.mean(losses[-5:])
        print(f"loss {first:.2f} -> {last:.2f}")
        assert last < 0.6 * first
        # A run that is resumed goes on as if it had not been stopped.
        path = os.path.join(folder, "checkpoint.pt")
        trainer.save(path, trained="2020-01-01_00-00-00", held_out=[photographs[2].name])
        again = train.Trainer(60, peak=3e-3, dtype=torch.float32)
        again.load(path)
        a, b = (t.one(*data.batch(photographs[:2], t.rng, 2, 128)) for t in (trainer, again))
        assert abs(a - b) < 1e-4, (a, b)
        # The mean of two checkpoints has seen what either has.
        later = os.path.join(folder, "later.pt")
        trainer.save(later, trained="2020-01-02_00-00-00", held_out=[])
        mean, notes = train.load_average(path + "+" + later)
        assert notes["held_out"] == [] and notes["trained"] == "2020-01-02_00-00-00"
        parts = [train.load_average(p)[0].state_dict() for p in (path, later)]
        assert all(torch.allclose(v, (parts[0][n] + parts[1][n]) / 2) for n, v in mean.state_dict().items() if v.dtype.is_floating_point)
        assert not torch.equal(parts[0]["enc1.conv1.weight"], parts[1]["enc1.conv1.weight"])

        model, notes = train.load_average(path)
        tensors = {k: v.astype(np.float16) for k, v in net.fold(model).items()}
        weights.save(os.path.join(folder, "w.safetensors"), tensors, {"format": "sticky-pi-unet/1", "trained": notes["trained"]})
        read, metadata = weights.load(os.path.join(folder, "w.safetensors"))
        assert metadata["format"] == "sticky-pi-unet/1" and all(np.array_equal(read[k], tensors[k]) for k in tensors)
        output = export.golden(read, os.path.join(folder, "g.safetensors"))
        pair, _ = weights.load(os.path.join(folder, "g.safetensors"))
        assert np.array_equal(pair["output"], output) and pair["input"].shape == (3, 128, 160)
        with torch.no_grad():
            direct = torch.sigmoid(model(torch.from_numpy(np.array(pair["input"]))[None]))[0].numpy()
        difference = np.abs(direct - output).max()
        print(f"folding and rounding to float16 change the maps by at most {difference:.4f}")
        assert difference < 0.02
        cases = evaluate.load_cases(folder, [path])
        counts = cases[0].counts(outlines.kept(cases[0].candidates(outlines.DEFAULTS), dict(outlines.DEFAULTS, min_score=0.2)), 0.33)
        print(evaluate.line("a generated card, 60 steps", counts))
    print("ok")


if __name__ == "__main__":
    run()
