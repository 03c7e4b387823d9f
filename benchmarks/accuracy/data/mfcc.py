"""MFCC as TensorFlow's audio_spectrogram and mfcc compute it, which small keyword spotters were trained on."""

import numpy as np

RATE = 16000  # Hz
WINDOW, STRIDE = 640, 320  # samples: 40 ms each 20 ms
FILTERS, COEFFICIENTS = 40, 10
LOWEST, HIGHEST = 20.0, 4000.0  # Hz
FLOOR = 1e-12  # below it an energy counts as this


def mfcc(clips: np.ndarray) -> np.ndarray:
    """Clips [clips, samples] in -1..1 at 16 kHz -> coefficients [clips, frames, 10]; a second gives 49 frames."""
    frames = np.lib.stride_tricks.sliding_window_view(clips, WINDOW, axis=1)[:, ::STRIDE]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    size = 1 << (WINDOW - 1).bit_length()
    energies = np.abs(np.fft.rfft(frames * hann, size)) @ filters(size)
    return (np.log(np.maximum(energies, FLOOR)) @ cosines()).astype(np.float32)


def filters(size: int) -> np.ndarray:
    """Weights [size / 2 + 1 frequencies, FILTERS]: triangles equally wide in mel, each from one center to the next."""
    hertz = np.arange(size // 2 + 1) * RATE / size
    edges = np.linspace(mel(LOWEST), mel(HIGHEST), FILTERS + 2)
    rising = (mel(hertz)[:, None] - edges[:-1]) / np.diff(edges)
    triangles = np.clip(np.minimum(rising[:, :-1], 1 - rising[:, 1:]), 0, None)
    # The first frequency in use is the one after that nearest to LOWEST, so never 0.
    used = (np.arange(len(hertz)) >= int(1.5 + LOWEST * size / RATE)) & (hertz <= HIGHEST)
    return triangles * used[:, None]


def mel(hertz: np.ndarray | float) -> np.ndarray | float:
    return 1127 * np.log1p(np.asarray(hertz) / 700)


def cosines() -> np.ndarray:
    """The discrete cosine transform [FILTERS, COEFFICIENTS]; the first column is not scaled down."""
    angles = np.pi / FILTERS * np.outer(np.arange(FILTERS) + 0.5, np.arange(COEFFICIENTS))
    return np.sqrt(2 / FILTERS) * np.cos(angles)
