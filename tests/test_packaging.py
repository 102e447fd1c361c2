import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_data_file_is_in_the_wheel():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packaged = {
        path
        for package, globs in patterns.items()
        for pattern in globs
        for path in (ROOT / "src" / package.replace(".", "/")).glob(pattern)
    }
    files = (path for path in (ROOT / "src" / "synthset").rglob("*") if path.is_file())
    data = {path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert data - packaged == set()
