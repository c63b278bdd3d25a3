"""Train the network, on all photographs of a folder or leaving some devices out; `--self-test` needs no photograph."""

import argparse
import copy
import json
import math
import os
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F

import data
import net

# Device folds of the first thirteen annotated photographs: each of the three devices with three photographs, and the rest.
FOLDS = (("08038ade",), ("398948ee",), ("5595c586",), ("0a5bb6f4", "1b74105a", "5c173ff2", "e086a015"))


def loss_of(logits, maps):
    """Cross entropy (core 1.3 times, and 3 times more where insects touch) + 0.5 Dice."""
    target, touching = maps[:, :2], maps[:, 2:]
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * (1 + 3 * touching)
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * target).sum((0, 2, 3)) + 1) / ((p + target).sum((0, 2, 3)) + 1)
    return bce[:, 0].mean() + 1.3 * bce[:, 1].mean() + 0.5 * dice.mean()


def rate(step, progress, peak, warmup):
    """The learning rate: a short rise, then a cosine; progress is the part of the run that is done, 0..1."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(1, progress))))


class Trainer:
    """A run that can be stopped at any time and resumed from its last checkpoint."""

    def __init__(self, steps, peak=4e-3, seed=0, dtype=torch.bfloat16, ema=0.999):
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.model = net.UNet().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model)  # exponential moving average: what is exported
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=peak, weight_decay=0.01)
        self.steps, self.peak, self.dtype, self.ema = steps, peak, dtype, ema
        self.step, self.progress = 0, 0.0

    def one(self, image, maps):
        x = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)
        y = torch.from_numpy(maps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.progress, self.peak, min(200, self.steps // 10))
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cpu.amp.autocast(enabled=self.dtype != torch.float32, dtype=torch.bfloat16):
            logits = self.model(x)
        loss = loss_of(logits.float(), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        decay = min(self.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for a, b in zip(self.average.state_dict().values(), self.model.state_dict().values()):
                if a.dtype.is_floating_point:
                    a.lerp_(b, 1 - decay)
                else:
                    a.copy_(b)
        self.step += 1
        self.progress = max(self.progress, self.step / self.steps)
        return loss.item()

    def save(self, path, **notes):
        state = {
            "model": self.model.state_dict(), "average": self.average.state_dict(), "optimizer": self.optimizer.state_dict(),
            "step": self.step, "progress": self.progress, "steps": self.steps, "peak": self.peak, "rng": self.rng.bit_generator.state, **notes,
        }
        torch.save(state, path + ".part")
        os.replace(path + ".part", path)

    def load(self, path):
        state = torch.load(path, map_location="cpu")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.progress = state["step"], state["progress"]
        self.rng.bit_generator.state = state["rng"]


def load_average(path):
    """(averaged network in inference mode, the checkpoint's notes); of A+B, the mean of both checkpoints' weights.

    A mean is worth something of runs that went on from one another only: those of separate runs have nothing in common.
    """
    states = [torch.load(p, map_location="cpu") for p in path.split("+")]
    state = states[0]
    for name, value in state["average"].items():
        if value.dtype.is_floating_point:
            state["average"][name] = sum(s["average"][name] for s in states) / len(states)
    state["held_out"] = [name for name in state["held_out"] if all(name in s["held_out"] for s in states)]
    state["trained"] = max(s["trained"] for s in states)
    widths = [state["average"][f"enc{i}.conv1.weight"].shape[0] for i in (1, 2, 3, 4)]
    model = net.UNet(widths)
    model.load_state_dict(state["average"])
    return model.eval(), state


def run(args):
    paths = data.files(args.photographs)
    held = [d for d in args.hold_out.split(",") if d] if args.hold_out else list(FOLDS[args.fold - 1]) if args.fold else []
    held_out = [data.name(p) for p in paths if data.device(p) in held]
    photographs = [data.Photograph(p) for p in paths if data.device(p) not in held]
    if not photographs:
        raise SystemExit("no photograph to train on")
    os.makedirs(args.out, exist_ok=True)
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    trainer = Trainer(args.steps, args.rate, args.seed, torch.float32 if args.float32 else torch.bfloat16)
    if args.resume and os.path.exists(checkpoint):
        trainer.load(checkpoint)
    elif args.init:
        average, origin = load_average(args.init)
        # A fold must not begin from weights that have seen what it holds out.
        if not set(held_out) <= set(origin["held_out"]):
            raise SystemExit(f"{args.init} was trained on photographs that are to be held out")
        trainer.model.load_state_dict(average.state_dict())
        trainer.average.load_state_dict(average.state_dict())
    print(json.dumps({"train": [p.name for p in photographs], "held_out": held_out, "step": trainer.step}), flush=True)
    notes = {"held_out": held_out}
    losses, start, cpu = [], time.time(), time.process_time()
    begun, progress = time.time(), trainer.progress
    while trainer.progress < 1:
        if args.minutes:
            trainer.progress = max(trainer.progress, progress + (time.time() - begun) / 60 / args.minutes)
        losses.append(trainer.one(*data.batch(photographs, trainer.rng)))
        if trainer.step % 100 == 0:
            now, now_cpu = time.time(), time.process_time()
            print(f"step {trainer.step} loss {np.mean(losses):.4f} seconds {(now - start) / len(losses):.3f} cpu {(now_cpu - cpu) / len(losses):.3f}", flush=True)
            losses, start, cpu = [], now, now_cpu
        if trainer.step % args.save_every == 0 or trainer.progress >= 1:
            ended = time.strftime("%Y-%m-%d_%H-%M-%S", time.gmtime())
            trainer.save(checkpoint, trained=ended, **notes)
        if trainer.step in args.keep:
            trainer.save(os.path.join(args.out, f"step{trainer.step}.pt"), trained=time.strftime("%Y-%m-%d_%H-%M-%S", time.gmtime()), **notes)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", nargs="?", help="folder of annotated SVG files")
    parser.add_argument("--out", help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--minutes", type=float, help="end after this time at the latest; the learning rate falls accordingly (for a shared machine)")
    parser.add_argument("--rate", type=float, default=4e-3, help="greatest learning rate")
    parser.add_argument("--fold", type=int, choices=range(1, len(FOLDS) + 1), help="leave this fold's devices out")
    parser.add_argument("--hold-out", help="leave these devices out (comma separated)")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--init", help="checkpoint to begin from, with a new learning rate schedule")
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--keep", type=int, nargs="*", default=[], help="steps whose checkpoint is kept besides the last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32", action="store_true", help="no bfloat16 (older processors)")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    if args.self_test:
        import selftest

        return selftest.run()
    if not args.photographs or not args.out:
        parser.error("a folder of photographs and --out are needed")
    run(args)


if __name__ == "__main__":
    main()
