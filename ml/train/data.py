"""Annotated photographs (SVG files) and the augmented crops that the network is trained on."""

import base64
import glob
import os
import re

import cv2
import numpy as np

CROP = 256  # pixels at half resolution
CORE_DEPTH = 6.0  # half-resolution pixels: a core need not lie deeper than this
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0}


def parse_path(d, curve_points=8):
    """Polygons (arrays [n, 2] of x, y) of an SVG path's `d`; a subpath that is not closed counts as closed."""
    polygons, points = [], []
    x = y = x0 = y0 = 0.0
    for letter, body in re.findall(r"([MmLlHhVvCcSsQqTtZz])([^MmLlHhVvCcSsQqTtZz]*)", d):
        kind, relative = letter.upper(), letter.islower()
        n = _ARGUMENTS[kind]
        values = [float(v) for v in _NUMBER.findall(body)]
        if kind == "Z":
            if points:
                polygons.append(points)
            points, x, y = [], x0, y0
            continue
        if len(values) % n or not values:
            raise ValueError(f"path command {letter!r} with {len(values)} numbers")
        for i in range(0, len(values), n):
            a = values[i : i + n]
            if kind == "H":
                x = a[0] + (x if relative else 0)
            elif kind == "V":
                y = a[0] + (y if relative else 0)
            else:
                ends = [(a[j] + (x if relative else 0), a[j + 1] + (y if relative else 0)) for j in range(0, n, 2)]
                if kind == "M" and i == 0:
                    if points:
                        polygons.append(points)
                    points = []
                    x0, y0 = ends[-1]
                elif kind == "C":
                    p0, p1, p2, p3 = np.array([(x, y)] + ends)
                    for t in np.linspace(0, 1, curve_points + 1)[1:-1]:
                        points.append(tuple((1 - t) ** 3 * p0 + 3 * t * (1 - t) ** 2 * p1 + 3 * t * t * (1 - t) * p2 + t**3 * p3))
                elif kind in "SQT":
                    raise ValueError(f"path command {letter!r} is not supported: `spi-uid plain` rewrites such files")
                x, y = ends[-1]
            if not points and kind != "M":
                points.append((x0, y0))  # drawing goes on after a Z: from the subpath's start
            points.append((x, y))
    if points:
        polygons.append(points)
    return [np.array(p, dtype=np.float64) for p in polygons if len(p) >= 3]


def read_svg(path):
    """(photograph as BGR uint8, list of polygons in its pixels); of a path with several subpaths, the largest counts."""
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    # An inserted transform or scaled view box would move the outlines off the photograph without anyone noticing.
    if re.search(r"<(?:g|path|image)\b[^>]*\stransform=", text):
        raise ValueError(f"{path}: transforms are not supported: `spi-uid plain` rewrites such files")
    match = re.search(r'href="data:image/jpe?g;base64,([^"]*)"', text)
    if not match:
        raise ValueError(f"{path}: no embedded JPEG")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(match.group(1)), np.uint8), cv2.IMREAD_COLOR)
    polygons = []
    for tag in re.findall(r"<path\b[^>]*>", text):
        d = re.search(r'\sd="([^"]*)"', tag)
        found = parse_path(d.group(1)) if d else []
        if found:
            polygons.append(max(found, key=lambda p: cv2.contourArea(p.astype(np.float32))))
    return image, polygons


def files(folder):
    return sorted(glob.glob(os.path.join(folder, "*.svg")))


def name(path):
    """DEVICE.DATETIME of an annotated photograph."""
    return os.path.splitext(os.path.basename(path))[0]


def device(path):
    return name(path).split(".")[0]


def halve(image):
    """Half resolution by area average: what the network sees."""
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)


DARKEST, MOST_CONTRAST = 0.3, 2.5  # as in ml/internal/detect/builtin/halve.go


def show(half):
    """What the network sees of a half-resolution photograph, float32 0..255: hazy ones with more contrast, others as they are."""
    grey = np.sort(half.astype(np.int32).sum(2), axis=None)
    card, dark = grey[len(grey) // 2], grey[len(grey) // 1000]
    contrast = 1.0
    if dark < card:
        contrast = np.clip((1 - DARKEST) / (1 - dark / card), 1, MOST_CONTRAST)
    middle = np.array([np.sort(half[..., c], axis=None)[half[..., c].size // 2] for c in range(3)], np.float32)
    return np.clip(middle + np.float32(contrast) * (half - middle), 0, 255).astype(np.float32)


def targets(shape, polygons):
    """uint8 maps [h, w] at half resolution, 0..255: fg, core, and extra weight where insects touch.

    The core of an insect is the part at least min(half its greatest depth, CORE_DEPTH) from its edge; where that would be
    several pieces (a narrow waist), the depth is lowered until it is one, because every piece would seed an insect.
    """
    h, w = shape
    fg = np.zeros((h, w), np.uint8)
    core = np.zeros((h, w), np.uint8)
    claimed = np.zeros((h, w), np.uint8)  # how many insects cover, or nearly cover, a pixel
    kernel = np.ones((5, 5), np.uint8)
    for polygon in polygons:
        p = polygon / 2 - 0.25  # pixel centres: (2x, 2x+1) average to x
        x0, y0 = np.maximum(np.floor(p.min(0)).astype(int) - 8, 0)
        x1, y1 = np.minimum(np.ceil(p.max(0)).astype(int) + 9, (w, h))
        if x1 - x0 < 3 or y1 - y0 < 3:
            continue
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [np.round((p - (x0, y0)) * 16).astype(np.int32)], 1, shift=4)
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        level = min(0.5 * depth.max(), CORE_DEPTH)
        while True:
            mine = (depth >= level).astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(mine, connectivity=4)
            if count <= 2 or level < 1.5:
                break
            level *= 0.9
        if count > 2:
            mine = (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
        box = np.s_[y0:y1, x0:x1]
        fg[box] |= mask
        core[box] |= mine
        claimed[box] += cv2.dilate(mask, kernel)
    touching = claimed >= 2
    core[touching] = 0
    near = cv2.dilate(touching.astype(np.uint8), kernel)
    return fg * 255, core * 255, near * 255


class Photograph:
    def __init__(self, path):
        self.path, self.name, self.device = path, name(path), device(path)
        full, self.polygons = read_svg(path)
        self.full = full
        self.half = halve(full)
        self.image = np.round(show(self.half)).astype(np.uint8)
        self.maps = np.dstack(targets(self.image.shape[:2], self.polygons))
        self.centres = np.array([(p.min(0) + p.max(0)) / 4 for p in self.polygons])
        self.insects, self.dirt = shadows(self.image, self.maps[..., 0])
        spots = cv2.GaussianBlur(self.dirt.min(2), (0, 0), 2)
        y, x = np.nonzero(spots < 0.8 * 128)  # dark, and not an insect
        self.spots = np.column_stack([x, y])[:: 1 + len(x) // 5000]


def shadows(image, fg):
    """What lies on the card, as the part of the light it lets through (uint8, 128 = all of it): insects alone, and all else alone.

    The card is lit from behind, hence a thing that is put on it multiplies the light of what was there: multiplied with
    another photograph, these maps put its insects or its dirt there, without seams.
    """
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32)
    card = 1 - cv2.resize(cv2.dilate(fg, np.ones((15, 15), np.uint8)), small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    light = cv2.GaussianBlur(small * card[..., None], (0, 0), 10) / (cv2.GaussianBlur(card, (0, 0), 10)[..., None] + 1e-3)
    light = cv2.resize(light, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    through = (image.astype(np.float32) + 8) / (light + 8)
    insect = cv2.GaussianBlur(cv2.dilate(fg, np.ones((5, 5), np.uint8)).astype(np.float32) / 255, (0, 0), 1.5)[..., None]
    wide = cv2.GaussianBlur(cv2.dilate(fg, np.ones((13, 13), np.uint8)).astype(np.float32) / 255, (0, 0), 2)[..., None]
    return tuple(np.clip((1 + (through - 1) * a) * 128, 0, 255).astype(np.uint8) for a in (insect, 1 - wide))


def placement(photograph, rng, size, on_insects=0.55):
    """A random 2 x 3 matrix from a crop's pixels to the photograph's, at half resolution."""
    h, w = photograph.image.shape[:2]
    chance, around = rng.random(), rng.uniform(-0.35, 0.35, 2) * size
    if chance < on_insects and len(photograph.centres):
        centre = photograph.centres[rng.integers(len(photograph.centres))] + around
    elif chance < on_insects + (1 - on_insects) * 0.6 and len(photograph.spots):
        centre = photograph.spots[rng.integers(len(photograph.spots))] + around
    else:
        centre = rng.uniform(0, 1, 2) * (w, h)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    exact = rng.random() < 0.3  # pixels as the network will see them: no interpolation, hence no blur
    if exact:
        angle, scale = np.pi / 2 * rng.integers(4), 1.0
    else:
        angle, scale = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.75), np.log(1.35)))
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.array([[c * flip, -s], [s * flip, c]])
    matrix = np.hstack([linear, (centre - linear @ ((size - 1) / 2, (size - 1) / 2))[:, None]])
    if exact:
        matrix = np.round(matrix)
    return matrix


def warp(image, matrix, size, interpolation):
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.WARP_INVERSE_MAP | interpolation, borderMode=cv2.BORDER_REFLECT_101)


def crop(photographs, index, rng, size=CROP, mix=0.35):
    """One augmented crop: image float32 [3, size, size] (BGR / 255) and maps float32 [3, size, size] (fg, core, touching)."""
    photograph = photographs[index]
    matrix = placement(photograph, rng, size)
    image = warp(photograph.image, matrix, size, cv2.INTER_CUBIC).astype(np.float32) / 255
    maps = warp(photograph.maps, matrix, size, cv2.INTER_LINEAR) > 127
    if rng.random() < mix:
        other = photographs[rng.integers(len(photographs))]
        image *= warp(other.dirt, placement(other, rng, size, 0), size, cv2.INTER_LINEAR).astype(np.float32) / 128
    if rng.random() < mix:
        image, maps = add_insects(image, maps, photographs[rng.integers(len(photographs))], rng, size)
    if rng.random() < 0.5:
        image = add_debris(image, maps[..., 0], photographs, rng)
    image = colour(image, rng)
    return np.ascontiguousarray(image.transpose(2, 0, 1)), np.ascontiguousarray(maps.transpose(2, 0, 1)).astype(np.float32)


def add_insects(image, maps, other, rng, size):
    """Put another photograph's insects on a crop: touching its own here and there, but not on top of them."""
    matrix = placement(other, rng, size, 1)
    more = warp(other.maps, matrix, size, cv2.INTER_LINEAR) > 127
    count, components = cv2.connectedComponents(more[..., 0].astype(np.uint8))
    covered = np.bincount(components[maps[..., 0]], minlength=count) / np.maximum(np.bincount(components.ravel(), minlength=count), 1)
    wanted = covered < 0.08
    wanted[0] = False
    keep = wanted[components]
    if not keep.any():
        return image, maps
    kernel = np.ones((5, 5), np.uint8)
    soft = cv2.GaussianBlur(cv2.dilate(keep.astype(np.uint8), kernel).astype(np.float32), (0, 0), 1)[..., None]
    through = warp(other.insects, matrix, size, cv2.INTER_LINEAR).astype(np.float32) / 128
    image = image * (1 + (through - 1) * soft)
    mine, theirs = maps[..., 0], more[..., 0] & keep
    grown = [cv2.dilate(m.astype(np.uint8), kernel).astype(bool) for m in (mine, theirs)]
    touching = grown[0] & grown[1]
    near = cv2.dilate(touching.astype(np.uint8), kernel).astype(bool)
    core = (maps[..., 1] | (more[..., 1] & keep)) & ~touching
    return image, np.dstack([mine | theirs, core, maps[..., 2] | (more[..., 2] & keep) | near])


def add_debris(image, insects, photographs, rng):
    """Put things that are no insects on a crop, beside its insects: shards, loose wings, dots, strokes, and pieces of insects."""
    size = image.shape[0]
    taken = cv2.dilate(insects.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    for _ in range(rng.integers(1, 7)):
        through = piece(photographs, rng) if rng.random() < 0.4 else debris(rng)
        h, w = through.shape[:2]
        if h >= size or w >= size:
            continue
        y, x = rng.integers(0, size - h), rng.integers(0, size - w)
        box = np.s_[y : y + h, x : x + w]
        seen = through.min(2) < 0.97
        if (taken[box] & seen).any():
            continue
        image[box] *= through
        taken[box] |= seen
    return image


# kind of debris: (how often, least and greatest length in half-resolution pixels)
DEBRIS = {"shard": (0.35, 8, 45), "wing": (0.25, 12, 45), "dot": (0.25, 4, 13), "stroke": (0.15, 15, 70)}


def debris(rng):
    """A made-up thing: the part of the light it lets through, float32 [n, n, 3], 1 around it."""
    kind = rng.choice(list(DEBRIS), p=[often for often, _, _ in DEBRIS.values()])
    length = rng.uniform(*DEBRIS[kind][1:])
    n = int(length) + 10
    mask, veins = np.zeros((n, n), np.uint8), np.zeros((n, n), np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def placed(x, y):
        """Points around the middle, turned, in the sixteenths of a pixel that OpenCV draws with."""
        return [np.round((np.column_stack([x, y]) @ turn + n / 2) * 16).astype(np.int32)]

    if kind == "shard":
        a = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        cv2.fillPoly(mask, placed(np.cos(a) * length / 2, np.sin(a) * length / 2 * rng.uniform(0.12, 0.9)), 255, cv2.LINE_AA, 4)
    elif kind == "wing":
        a = np.linspace(0, 2 * np.pi, 40)
        broad = length / 2 * rng.uniform(0.25, 0.5) * (1 + 0.3 * np.cos(a))
        cv2.fillPoly(mask, placed(np.cos(a) * length / 2, np.sin(a) * broad), 255, cv2.LINE_AA, 4)
        for _ in range(rng.integers(1, 6)):
            vein = placed([-length / 2, length / 2], [0, rng.uniform(-0.3, 0.3) * length])
            cv2.polylines(veins, vein, False, 255, 1, cv2.LINE_AA, 4)
    elif kind == "dot":
        broad = length / 2 * rng.uniform(0.5, 1)
        a, rough = np.linspace(0, 2 * np.pi, 20), 1 + 0.12 * rng.standard_normal(20)
        cv2.fillPoly(mask, placed(np.cos(a) * length / 2 * rough, np.sin(a) * broad * rough), 255, cv2.LINE_AA, 4)
    else:
        t = np.linspace(-0.5, 0.5, 12)
        bent = length * (rng.normal(0, 0.25) * (t * t - 0.1) + rng.normal(0, 0.1) * t**3)
        cv2.polylines(mask, placed(t * length, bent), False, 255, int(rng.choice([1, 1, 2, 3, 4, 6])), cv2.LINE_AA, 4)
    light = rng.uniform(0.55, 0.9) if kind == "wing" else rng.uniform(0.08, 0.8)
    tint = np.clip(light * np.exp(rng.normal(0, 0.12, 3)), 0.02, 1)
    grain = cv2.resize(rng.normal(0, 0.25, (4, 4)).astype(np.float32), (n, n), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 0.06, (n, n))
    texture = np.clip(tint * np.exp(grain)[..., None], 0.02, 1.2) * (1 - rng.uniform(0.1, 0.6) * veins[..., None] / 255)
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), rng.uniform(0.4, 1.2))[..., None]
    return (1 + (texture - 1) * soft).astype(np.float32)


def piece(photographs, rng):
    """A piece of an insect, a third of it at most: legs, wings, the end of an abdomen. As debris(), and that where there is none."""
    other = photographs[rng.integers(len(photographs))]
    if not other.polygons:
        return debris(rng)
    p = other.polygons[rng.integers(len(other.polygons))] / 2
    x0, y0 = np.maximum(np.floor(p.min(0)).astype(int) - 3, 0)
    x1, y1 = np.ceil(p.max(0)).astype(int) + 4
    through = other.insects[y0:y1, x0:x1].astype(np.float32) / 128
    mask = np.zeros(through.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round((p - (x0, y0)) * 16).astype(np.int32)], 1, shift=4)
    # A third of a small insect is a speck, and that of a huge one does not fit on a crop.
    if np.count_nonzero(mask) < 250 or max(mask.shape) > 200:
        return debris(rng)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * np.arange(mask.shape[1])[None, :] + np.sin(angle) * np.arange(mask.shape[0])[:, None]
    cut = np.quantile(along[mask > 0], rng.uniform(0.08, 0.33))
    soft = cv2.GaussianBlur(((along < cut) & (mask > 0)).astype(np.float32), (0, 0), 0.8)
    y, x = np.nonzero(soft > 0.01)
    result = (1 + (through - 1) * soft[..., None])[y.min() : y.max() + 1, x.min() : x.max() + 1]
    result = np.rot90(result, int(rng.integers(4)))
    return np.ascontiguousarray(result[:, ::-1] if rng.random() < 0.5 else result)


def colour(image, rng):
    """Other lamps, exposures, cards and sensors."""
    if rng.random() < 0.8:
        image = image * np.exp(rng.normal(0, 0.10, 3)).astype(np.float32)
    if rng.random() < 0.8:
        # Some haze, though not more than show() leaves: how dark a thing is tells insects from pale remains.
        mean = image.mean((0, 1))
        image = (image - mean) * np.float32(np.exp(rng.uniform(np.log(0.6), np.log(1.35)))) + mean + np.float32(rng.normal(0, 0.06))
    if rng.random() < 0.6:
        grey = image.mean(2, keepdims=True)
        image = grey + (image - grey) * np.float32(rng.uniform(0.5, 1.7))
    if rng.random() < 0.35:
        image[..., 0] *= np.float32(rng.uniform(0.1, 1.1))  # a saturated yellow card has next to no blue
    if rng.random() < 0.3:
        # A slope of brightness: dark corners, a lamp on one side.
        size = image.shape[0]
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
        slope = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
        image = image * (1 + np.float32(rng.uniform(0, 0.5)) * slope[..., None].astype(np.float32))
    if rng.random() < 0.35:
        image = image * shade(image.shape[0], rng)[..., None]
    if rng.random() < 0.5:
        image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.5:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + np.float32(abs(rng.normal(0, 0.02))) * noise
    return np.clip(image, 0, 1).astype(np.float32)


def shade(size, rng):
    """The light of a card that leaves, stems or the trap itself throw shadows on: patches without edges, or a band with soft ones."""
    if rng.random() < 0.6:
        n = rng.integers(2, 5)
        patches = rng.normal(0, 0.18, (n, n)).astype(np.float32)
        return np.clip(np.exp(cv2.resize(patches, (size, size), interpolation=cv2.INTER_CUBIC)), 0.5, 1.6)
    angle, soft = rng.uniform(0, 2 * np.pi), rng.uniform(3, 25)
    at = np.arange(size, dtype=np.float32) - size / 2
    across = np.float32(np.cos(angle)) * at[None, :] + np.float32(np.sin(angle)) * at[:, None] - np.float32(rng.uniform(-0.5, 0.5) * size)
    half = rng.uniform(0.05, 0.5) * size
    band = 1 / (1 + np.exp((np.abs(across) - half) / soft))
    return (1 - rng.uniform(0.1, 0.5) * band).astype(np.float32)


def batch(photographs, rng, size=8, crop_size=CROP, mix=0.35):
    # Square root of the number of insects: crowded cards teach more, yet must not drown the others.
    p = np.sqrt([1.0 + len(ph.polygons) for ph in photographs])
    chosen = rng.choice(len(photographs), size, p=p / p.sum())
    crops = [crop(photographs, i, rng, crop_size, mix) for i in chosen]
    return np.stack([c[0] for c in crops]), np.stack([c[1] for c in crops])
