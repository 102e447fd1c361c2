"""Makes the miniature from nothing: draws its world, trains its parts, assembles the package folder.

Parts that are finished are skipped, an interrupted one goes on from its checkpoint, so the same command always
brings the work to its end. To make a part anew, delete its folder in the build folder (and those after it).

Run: python -m tools.miniature [--threads T] [--device cuda] [--quick]
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tools.miniature.settings import BUILD_FOLDER, PACKAGE_FOLDER, PARTS
from tools.miniature.training import log

QUICK_STEPS = 20


def main() -> None:
    """Run what is not finished, each part in a process of its own, and print the seconds it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=BUILD_FOLDER)
    parser.add_argument("--world", type=Path, help="default: 'world' in the build folder")
    parser.add_argument("--output", type=Path, default=PACKAGE_FOLDER)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_STEPS} steps a part: tries the way, trains nothing"
    )
    args = parser.parse_args()
    world = args.world or args.build / "world"
    for part in PARTS:
        if is_finished(part, args.build, world):
            log(f"{part}: finished before, skipped")
            continue
        run_tool(*command(part, args, world), name=part)
    run_tool("assemble", "--build", str(args.build), "--output", str(args.output), name="assemble")


def is_finished(part: str, build: Path, world: Path) -> bool:
    """Whether a part's result is there."""
    if part == "world":
        return (world / "validation" / "captions.json").is_file() and (world / "captions.json").is_file()
    return (build / part / "finished.json").is_file()


def command(part: str, args: argparse.Namespace, world: Path) -> list[str]:
    """The module of a part and its flags."""
    if part == "world":
        return ["draw", "--output", str(world)]
    flags = [f"train_{part}", "--build", str(args.build), "--world", str(world)]
    if part == "tokenizer":
        return flags
    flags += ["--threads", str(args.threads), "--device", args.device]
    return [*flags, "--steps", str(QUICK_STEPS)] if args.quick else flags


def run_tool(module: str, *flags: str, name: str) -> None:
    """Run a module of this folder; stop where it stops."""
    began = time.monotonic()
    status = subprocess.run([sys.executable, "-m", f"tools.miniature.{module}", *flags], check=False).returncode
    if status:
        raise SystemExit(status)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
