"""The profiles of a transaction: started and stopped as the SDK does it in `with transaction`, where no request is."""

from typing import Any


def start(transaction: Any) -> None:
    """Start the profile of a transaction that has begun, if it is to have one; a continuous one runs by now."""
    profile = getattr(transaction, "_profile", None)
    if profile is not None and profile.sampled:
        profile.__enter__()


def stop(transaction: Any) -> None:
    """Stop what was started, so that it is sent with the transaction, and let go of it."""
    profile = getattr(transaction, "_profile", None)
    if profile is not None and hasattr(profile, "_context_manager_state"):
        profile.__exit__(None, None, None)
    continuous = getattr(transaction, "_continuous_profile", None)
    if continuous is not None:
        continuous.stop()
