"""Django's `runtests.py` with our wrapping: `python tests/suites/rota_django.py FOLDER LABEL…`."""

import os
import runpy
import sys

import rota_wrapping  # this folder is the first of the path

if __name__ == "__main__":
    folder, labels = sys.argv[1], sys.argv[2:]
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = ["runtests.py", "--parallel=1", "--verbosity=1", *labels]
    rota_wrapping.patch_django()
    runpy.run_path("runtests.py", run_name="__main__")
