"""Mixed traffic with faults on uvicorn, and what is left behind of it; see `python -m tests.soak`."""
