"""The data of benchmarks/accuracy, without what has to be fetched."""

import hashlib
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy.data import PARTS, SETS, __main__, fetch, kept, moving, samples, speech, words
from benchmarks.accuracy.data.digits import shrunk
from benchmarks.accuracy.data.mfcc import mfcc
from benchmarks.accuracy.data.sets import Part, Splits, shared_out

README = Path(__file__).parents[1] / "benchmarks" / "accuracy" / "README.md"
TENSORFLOW = [
    [-41.271, 23.472, 1.859, -3.698, -7.334, -6.437, -4.482, -1.437, 0.639, 1.925],
    [-48.730, -10.945, -10.376, 11.858, -5.004, -3.196, 5.666, -2.467, -2.332, 4.002],
    [-64.278, -19.867, 9.517, -5.906, 2.838, -0.918, -0.868, 2.022, -3.006, 3.473],
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HMDC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_mfcc_is_that_of_tensorflow():
    """Frames 0, 24 and 48 of a chirp, from tf.raw_ops.AudioSpectrogram and Mfcc of TensorFlow 2.16."""
    time = np.arange(16000) / 16000
    found = mfcc(0.5 * np.sin(2 * np.pi * (300 + 1500 * time) * time)[None])
    assert found.shape == (1, 49, 10) and found.dtype == np.float32
    assert np.allclose(found[0, [0, 24, 48]], TENSORFLOW, atol=2e-3)


def test_mfcc_of_silence_and_of_scaled_sound():
    """Silence has the floor in all filters; ten times as loud moves the first coefficient alone."""
    rng = np.random.default_rng(0)
    silence, noise, loud = mfcc(np.stack([np.zeros(1000), x := rng.normal(size=1000) / 100, 10 * x]))
    assert np.allclose(silence, np.log(1e-12) * np.sqrt(80) * (np.arange(10) == 0), atol=1e-3)
    assert np.allclose(loud - noise, np.log(10) * np.sqrt(80) * (np.arange(10) == 0), atol=1e-3)


def test_voices_of_the_parts_differ():
    voices = [voice for part in PARTS for voice in speech.VOICES[part]]
    assert len(set(voices)) == len(voices) == 85


@pytest.fixture
def spoken(monkeypatch) -> list[tuple[str, str]]:
    """The words and voices that somebody asked for; tones take their place."""
    heard = []

    def speak(word, voice, speed, pitch):
        heard.append((word, voice.split("+")[1]))
        return np.sin(np.arange(20000 if word == "go" else 8000) * len(word) / 10)

    monkeypatch.setattr(speech, "speak", speak)
    monkeypatch.setattr(speech, "check_voices", lambda: None)
    return heard


def test_words(tmp_path, spoken):
    """A file without labels."""
    out = tmp_path / "words.npz"
    done = CliRunner().invoke(words.main, ["12", str(out), "--part", "test", "--every", "2"], catch_exceptions=False)
    with np.load(out) as found:
        assert done.exit_code == 0 and found.files == ["x"]
        assert np.array_equal(found["x"], samples(12, "test", seed=1)[0][:, ::2])


def test_samples(spoken):
    """Spoken by the voices of the part, each class in turn; a clip does not depend on how many there are."""
    x, y = samples(120, "test", seed=3)
    assert x.shape == (120, 49, 10) and x.dtype == np.float32 and np.isfinite(x).all()
    assert y.dtype == np.int64 and np.array_equal(np.bincount(y), np.full(12, 10))
    said, voices = zip(*spoken, strict=True)
    assert set(voices) <= set(speech.VOICES["test"]) and "silence" not in said
    assert len([word for word in said if word in speech.UNKNOWN]) == 10 and not set(said) & {"unknown"}
    assert np.array_equal(samples(24, "test", seed=3)[0], x[:24])
    assert not np.array_equal(samples(24, "test", seed=4)[0], x[:24])
    assert not np.array_equal(samples(24, "train", seed=3)[0], x[:24])


def test_resampled():
    """A tone stays a tone of its frequency, and one above the new band is gone; a second is 50 blocks."""
    old, new = np.arange(22050) / 22050, np.arange(16000) / 16000
    assert np.allclose(speech.resampled(np.sin(2 * np.pi * 1000 * old)), np.sin(2 * np.pi * 1000 * new))
    assert np.allclose(speech.resampled(np.sin(2 * np.pi * 9000 * old)), 0)


def test_espeak_is_asked_for():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        done = CliRunner().invoke(__main__.main, ["keywords_gru"])
    assert done.exit_code == 1 and "apt-get install espeak-ng" in done.output


def test_espeak_without_a_voice(tmp_path, monkeypatch):
    """It would speak with another one."""
    listed = " ".join(f"!v/{voice}" for voices in speech.VOICES.values() for voice in voices)
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\necho '{listed.replace('!v/m3 ', '')}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    done = CliRunner().invoke(__main__.main, ["keywords_lstm"])
    assert done.exit_code == 1 and "no voice m3; take version 1.51" in done.output
    program.write_text(f"#!/bin/sh\necho '{listed}'\n")
    speech.check_voices()


def test_parts_share_no_sample():
    x, y = np.arange(1000.0).reshape(1000, 1, 1), np.arange(1000) % 7
    data, again = (shared_out(x, y, tuple("abcdefg")) for _ in range(2))
    assert [len(part.y) for part in data[:3]] == [700, 100, 200]
    assert np.array_equal(np.sort(np.concatenate([part.x.ravel() for part in data[:3]])), x.ravel())
    assert all(np.array_equal(part.x.ravel() % 7, part.y) for part in data[:3])
    assert all(np.array_equal(one.x, other.x) for one, other in zip(data[:3], again[:3], strict=True))
    assert not np.array_equal(data.train.x.ravel(), np.sort(data.train.x.ravel()))


def tiny() -> Splits:
    return shared_out(np.random.default_rng(0).normal(size=(20, 3, 2)), np.arange(20) % 2, ("a", "b"))


def test_sets_are_made_once(cache, monkeypatch):
    made = []

    def make() -> Splits:
        made.append("made")
        return tiny()

    first, second = kept.kept(make)(), kept.kept(make)()
    assert made == ["made"] and first.classes == second.classes == ("a", "b")
    for one, other in zip(first[:3], second[:3], strict=True):
        assert one.x.dtype == np.float32 and one.y.dtype == np.int64
        assert np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)
    (file,) = cache.iterdir()
    assert re.fullmatch(r"make-[0-9a-f]{8}\.npz", file.name)
    monkeypatch.setattr(kept, "digest", lambda make: "another")
    kept.kept(make)()
    assert made == ["made"] * 2


def test_digest_covers_what_is_used(monkeypatch):
    """All but constants that come from other files."""
    read = []
    monkeypatch.setattr(kept.inspect, "getsource", lambda module: read.append(module.__name__.split(".")[-1]) or "")
    kept.digest(SETS["keywords_lstm"])
    assert read == ["kept", "mfcc", "sets", "speech"]
    read.clear()
    kept.digest(SETS["exercises"])
    assert read == ["fetch", "kept", "sets", "watch", "prepare"]


def packed(path: Path, name: str, content: bytes) -> tuple[str, str]:
    """An npm package or wheel at path with one file; its name and checksum."""
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as archive:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_changed_download_is_refused(cache):
    npm = packed(cache / "toy-1.0.0.tgz", "package/a.txt", b"abc")
    wheel = packed(cache / "toy-1.0.0-py3-none-any.whl", "toy/a.txt", b"abc")
    assert fetch.from_npm(npm, ["a.txt"]) == [b"abc"] and fetch.from_wheel(wheel, "toy/a.txt") == b"abc"
    packed(cache / npm[0], "package/a.txt", b"abd")
    packed(cache / wheel[0], "toy/a.txt", b"abd")
    with pytest.raises(SystemExit, match=f"toy-1.0.0.tgz: its SHA-256 is not {npm[1]}; delete the file"):
        fetch.from_npm(npm, ["a.txt"])
    with pytest.raises(SystemExit, match=f"any.whl: its SHA-256 is not {wheel[1]}; delete the file"):
        fetch.from_wheel(wheel, "toy/a.txt")


def test_what_cannot_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="npm, which fetches toy-1.0.0.tgz, is not installed"):
        fetch.from_npm(("toy-1.0.0.tgz", ""), [])
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="could not be fetched; failed: npm pack .*toy@1.0.0"):
        fetch.from_npm(("toy-1.0.0.tgz", ""), [])


def test_shrunk():
    """The mean over areas: exact where they fit, and of a ramp everywhere."""
    image = np.random.default_rng(0).random((2, 32, 32), np.float32)
    assert np.allclose(shrunk(image, 16), image.reshape(2, 16, 2, 16, 2).mean((2, 4)), atol=1e-6)
    ramp = np.tile(np.arange(24, dtype=np.float32), (1, 24, 1))
    assert np.allclose(shrunk(ramp, 16)[0], (np.arange(16) + 0.5) * 1.5 - 0.5, atol=0.2)
    assert np.isclose(shrunk(ramp, 16).mean(), ramp.mean())


def test_moving():
    """Every digit once; it keeps its ink while it moves."""
    rng = np.random.default_rng(0)
    digits = Part(rng.random((7, 28, 28), np.float32), np.arange(7))
    found, again, other = (list(moving.batches(digits, 3, seed)) for seed in (0, 0, 1))
    assert [batch.x.shape for batch in found] == [(n, 6, 57600) for n in (3, 3, 1)]
    assert found[0].x.dtype == np.float32 and sorted(y for batch in found for y in batch.y) == list(range(7))
    assert all(np.array_equal(a.x, b.x) for a, b in zip(found, again, strict=True))
    assert not np.array_equal(found[0].x, other[0].x)
    for _ in range(50):
        video = moving.video(rng, digits.x[0])
        ink = video.sum((1, 2))
        assert video.shape == (6, 120, 160, 3) and np.allclose(ink, ink[0], rtol=1e-4)
    assert np.array_equal(moving.bounced(np.array([-3, 0, 5, 10, 12]), np.array(10)), [3, 0, 5, 10, 8])


def test_command_prints_json(monkeypatch):
    for name in SETS:
        monkeypatch.setitem(SETS, name, tiny)
    done = CliRunner().invoke(__main__.main, [])
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [line.pop("name") for line in lines] == [*SETS, "moving"]
    assert [line.pop("shape") for line in lines] == [[3, 2]] * len(SETS) + [[6, 57600]]
    expected = {"train": 14, "validation": 2, "test": 4, "classes": ["a", "b"], "sha256": __main__.content(tiny())}
    assert all(line == expected for line in lines)
    assert CliRunner().invoke(__main__.main, ["cifar"]).exit_code == 2


def test_page_has_every_set():
    assert re.findall(r"^\| `(\w+)` \|", README.read_text(), re.MULTILINE) == [*SETS, "moving"]
    sizes = " / ".join(str(speech.SIZES[part]) for part in PARTS)
    assert README.read_text().count(f"| {sizes} |") == 2
