"""`make bench`: what a request costs with this middleware and with the SDK's own, over the bare app, in one run."""
