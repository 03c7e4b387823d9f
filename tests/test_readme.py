"""Every command and every program in the README and in docs/ works as printed."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLES = ("corpus.md",)  # pages without commands
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
         if path.name not in TABLES}  # fmt: skip
README = PAGES["README.md"]


def commands(page: str) -> list[str]:
    return [line.split("#")[0].strip() for line in page.splitlines() if re.match(r"    hmdc \w+ ", line)]


@pytest.mark.parametrize("name", PAGES)
def test_commands_run_in_the_order_of_the_page(name, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for text in re.findall(r"```toml\n(.*?)```", PAGES[name], re.DOTALL):
        (tmp_path / "recipe.toml").write_text(text)
    assert len(commands(PAGES[name])) >= 5
    for command in [*commands(PAGES[name]), "hmdc targets"]:
        words = [str(Path(sys.executable).parent / "hmdc"), *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


@pytest.mark.parametrize("compiler", ["gcc", "arm-none-eabi-gcc"])
def test_firmware_example_compiles(compiler, tmp_path):
    program = re.search(r"```c\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "firmware.c").write_text(program)
    compile_example(tmp_path)
    flags = "-std=c99 -Wall -Wextra -Wconversion -Wshadow -pedantic -Werror -c".split()
    for source in ("firmware.c", "build/vowels/vowels.c"):
        subprocess.run([compiler, *flags, "-Ibuild/vowels", source], cwd=tmp_path, check=True)


def compile_example(folder: Path) -> None:
    command = next(c for c in commands(README) if "--name vowels" in c)
    shutil.copytree(ROOT / "examples", folder / "examples")
    subprocess.run([str(Path(sys.executable).parent / "hmdc"), *shlex.split(command)[1:]], cwd=folder, check=True)


def test_python_example_runs(tmp_path):
    program = re.search(r"```python\nimport hmdc\n(.*?)```", README, re.DOTALL)[0].strip("`").removeprefix("python\n")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
