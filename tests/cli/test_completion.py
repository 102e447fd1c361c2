"""The scripts that shells complete commands and flags by."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from synthset.cli.commands import NAMES
from synthset.cli.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_commands_and_flags(shell, own_folder, run):
    code, out, err = run("completion", shell)
    assert (code, err) == (0, "")
    assert [name for name in NAMES if name not in out] == []
    assert "images-per-class" in out


def test_bash_completes(own_folder, run):
    bash = shutil.which("bash")
    assert bash
    Path("synthset.bash").write_text(run("completion", "bash")[1])
    lines = "source ./synthset.bash; COMP_WORDS=(synthset tr); COMP_CWORD=1; COMP_LINE='synthset tr'; COMP_POINT=11; "
    lines += 'f=$(complete -p synthset | sed -E "s/.*-F ([^ ]+).*/\\1/"); $f; echo "${COMPREPLY[@]}"'
    ended = subprocess.run([bash, "--norc", "-c", lines], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["train", "transfer"]


def test_another_shell_is_refused(own_folder, run):
    code, out, err = run("completion", "tcsh")
    assert (code, out) == (2, "")
    assert "bash, zsh, fish, powershell" in err
    assert err.count("\n") == 1
