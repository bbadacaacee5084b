"""What a type checker says of a program that uses the package: nothing."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent


def test_a_program_in_strict_types_has_no_fault(tmp_path: Path) -> None:
    """Applications of each framework and by hand, hooks, identities and settings, checked by mypy, strictly."""
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path}", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", *options, "tests/typed.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)
    assert done.stdout == "Success: no issues found in 1 source file\n"
