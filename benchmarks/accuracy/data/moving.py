"""Video of moving digits, made as it is needed: few frames of very many values."""

from collections.abc import Iterator

import numpy as np

from .sets import Part

FRAMES, HEIGHT, WIDTH, COLORS = 6, 120, 160, 3
SHAPE = (FRAMES, HEIGHT * WIDTH * COLORS)  # 57,600 values a step
ZOOM = 2  # a digit of MNIST is 56 pixels wide
SPEED = 12  # pixels a frame at most, each way
NOISE = 0.05


def batches(digits: Part, size: int, seed: int = 0) -> Iterator[Part]:
    """Each digit of a part of MNIST once, in random order, as videos x [size, *SHAPE].

    A digit has a color, starts anywhere, moves straight and bounces at the borders; noise covers all.  The last batch
    may be smaller.  Values are in 0..1, or a little beyond; a batch of 32 takes 44 MB.  The same seed gives the same.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits.y))
    for chosen in np.split(order, range(size, len(order), size)):
        videos = np.stack([video(rng, digits.x[k]) for k in chosen])
        videos += NOISE * rng.standard_normal(videos.shape, np.float32)
        yield Part(videos.reshape(len(chosen), *SHAPE), digits.y[chosen])


def video(rng: np.random.Generator, digit: np.ndarray) -> np.ndarray:
    """A digit [28, 28] -> [FRAMES, HEIGHT, WIDTH, COLORS]."""
    color = rng.uniform(0.3, 1, COLORS)
    image = np.kron(digit, np.ones((ZOOM, ZOOM)))[..., None] * color
    room = np.array([HEIGHT, WIDTH]) - image.shape[:2]
    path = rng.uniform(0, room) + np.arange(FRAMES)[:, None] * rng.uniform(-SPEED, SPEED, 2)
    frames = np.zeros((FRAMES, HEIGHT, WIDTH, COLORS), np.float32)
    for frame, (top, left) in zip(frames, np.round(bounced(path, room)).astype(int), strict=True):
        frame[top : top + len(image), left : left + len(image)] = image
    return frames


def bounced(path: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Positions folded back into 0..room."""
    return room - np.abs(path % (2 * room) - room)
