"""Everything that the end-to-end tests install for themselves into `.e2e/`, before they run side by side.

python -m tests.e2e.install
"""

from tests.e2e import browser, bugsink, spotlight

if __name__ == "__main__":
    bugsink.install()
    spotlight.install()
    browser.axe()
