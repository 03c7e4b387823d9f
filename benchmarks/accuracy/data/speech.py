"""Spoken words from espeak-ng, as the twelve classes of Google's speech commands, and their MFCC.

No voice of one part speaks in another.  The same version of espeak-ng gives the same samples everywhere.
"""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hmdc.errors import HmdcError

from .kept import kept
from .mfcc import RATE, mfcc
from .sets import PARTS, Part, Splits

# In the order of the published networks of "Hello Edge" (arXiv 1711.07128).
CLASSES = ("silence", "unknown", "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN = (
    "bed bird cat dog eight five four happy house marvin nine one seven sheila six three tree two wow zero".split()
)

# Not "en-gb": espeak-ng 1.51 ignores the voice there, and "en" is the same accent.
ACCENTS = ("en", "en-us", "en-gb-x-rp")
# Left out are doubles of another voice and those that networks trained on people hardly understand.  Voices that are
# settings of one person (klatt, steph, ...) stay together.
VOICES = {
    "train": "Alex Andrea Andy Annie AnxiousAndy Diogo Gene Gene2 Henrique Hugo Mario Michael Nguyen RicishayMax2 "
    "RicishayMax3 Storm Tweaky UniRobot announcer aunty belinda benjamin croak david ed f2 f4 fast gustave iven iven2 "
    "iven3 iven4 john m1 m3 m5 m7 m8 max miguel paul pedro robert robosoft robosoft2 robosoft3 robosoft4 robosoft5 "
    "robosoft6 robosoft7 robosoft8 steph steph2 steph3 victor whisperf".split(),
    "validation": "Jacky anika anikaRobot edward edward2 f5 m4 pablo quincy rob".split(),
    "test": "Denis Mike adam antonio boris f1 f3 grandpa klatt klatt2 klatt3 klatt4 klatt5 linda m2 m6 michel "
    "sandro".split(),
}
SIZES = {"train": 3000, "validation": 600, "test": 1200}
SPEED, PITCH = (130, 190), (25, 75)  # words a minute; 0..99, and 50 is the voice's own
LEVEL = (0.2, 0.8)  # the peak of a word; 1 is full scale
NOISE, SILENCE = (0.002, 0.03), (0.002, 0.06)  # the deviation below a word and of silence
HEARD = 0.02  # of the peak: what is softer than this at both ends is cut off

OUT_RATE = 22050  # of espeak-ng, Hz
TICKS, OUT_TICKS = 320, 441  # RATE / OUT_RATE
HEADER = 44  # bytes of a WAV file before its samples


@kept
def keywords_lstm() -> Splits:
    """49 frames, one each 20 ms, of 10 coefficients."""
    return Splits(*(Part(*samples(SIZES[part], part)) for part in PARTS), CLASSES)


@kept
def keywords_gru() -> Splits:
    """The same clips with 25 frames, one each 40 ms."""
    data = keywords_lstm()
    return Splits(*(part._replace(x=part.x[:, ::2]) for part in data[:3]), data.classes)


def samples(count: int, part: str = "train", seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """MFCC [count, 49, 10] of clips of a second, each class in turn, and their classes [count].

    part: whose voices speak.  Without the classes: inputs to calibrate or compress a network with.
    Raises HmdcError where espeak-ng or one of its voices is missing.
    """
    check_voices()
    with ThreadPoolExecutor() as pool:  # each clip is a process of its own
        clips = list(pool.map(lambda index: clip(part, seed, index), range(count)))
    features = [mfcc(np.stack(clips[k : k + 100])) for k in range(0, count, 100)]  # spares memory
    return np.concatenate(features), np.arange(count, dtype=np.int64) % len(CLASSES)


def clip(part: str, seed: int, index: int) -> np.ndarray:
    """A second [RATE] of class index modulo 12; the same arguments give the same."""
    rng = np.random.default_rng([seed, PARTS.index(part), index])
    word = CLASSES[index % len(CLASSES)]
    if word == "silence":
        return noise(rng, SILENCE)
    spoken = speak(
        rng.choice(UNKNOWN) if word == "unknown" else word,
        f"{rng.choice(ACCENTS)}+{rng.choice(VOICES[part])}",
        speed=rng.integers(*SPEED),
        pitch=rng.integers(*PITCH),
    )[:RATE]
    start = round((RATE - len(spoken)) * rng.uniform(0.25, 0.75))
    sound = noise(rng, NOISE)
    sound[start : start + len(spoken)] += rng.uniform(*LEVEL) * spoken
    return sound


def noise(rng: np.random.Generator, deviations: tuple[float, float]) -> np.ndarray:
    """A second between white and pink."""
    frequencies = np.maximum(np.arange(RATE // 2 + 1), 20)  # Hz
    spectrum = np.fft.rfft(rng.normal(size=RATE)) / frequencies ** rng.uniform(0, 0.5)
    sound = np.fft.irfft(spectrum, RATE)
    return sound / sound.std() * np.exp(rng.uniform(*np.log(deviations)))


def speak(word: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    """The word alone at RATE, its peak at 1."""
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), word]
    wave = subprocess.run(command, check=True, capture_output=True).stdout
    sound = np.frombuffer(wave, "<i2", offset=HEADER).astype(float)
    heard = np.flatnonzero(np.abs(sound) > HEARD * np.abs(sound).max())
    sound = resampled(sound[heard[0] : heard[-1] + 1])
    return sound / np.abs(sound).max()


def resampled(sound: np.ndarray) -> np.ndarray:
    """From OUT_RATE to RATE; what no longer fits the band is cut off in the spectrum."""
    blocks = -(-len(sound) // OUT_TICKS)
    spectrum = np.fft.rfft(sound, blocks * OUT_TICKS)
    return np.fft.irfft(spectrum[: blocks * TICKS // 2 + 1], blocks * TICKS) * TICKS / OUT_TICKS


def check_voices() -> None:
    """espeak-ng says nothing where it does not know a voice, and takes another."""
    if not shutil.which("espeak-ng"):
        raise HmdcError("espeak-ng, which speaks the keywords, is not installed: apt-get install espeak-ng")

    listed = subprocess.run(["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True).stdout
    wanted = {voice for voices in VOICES.values() for voice in voices}
    if missing := sorted(wanted - {word.removeprefix("!v/") for word in listed.split()}):
        raise HmdcError(f"this espeak-ng has no voice {', '.join(missing)}; take version 1.51")
