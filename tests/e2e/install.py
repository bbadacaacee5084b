"""Everything that the end-to-end tests install for themselves into `.e2e/`, before they run side by side.

python -m tests.e2e.install
"""

import tempfile
from pathlib import Path

from tests.e2e import browser, bugsink, spotlight

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        bugsink.Bugsink(Path(folder))  # its databases are made once
    spotlight.install()
    browser.axe()
