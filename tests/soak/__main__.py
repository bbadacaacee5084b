"""`python -m tests.soak`: mixed traffic on uvicorn for half an hour, with faults; status 1 if something is wrong.

Three equal parts of the same traffic; the first is the warm-up. Then memory must be flat, and no task, thread or file
may be left behind; no request may end otherwise than it must; every event that a page has named must have arrived.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.soak.run import soak


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800, help="how long; default: 1800")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="rota-soak-") as folder:
        result = soak(seconds, Path(folder))
    print(result.report())
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
