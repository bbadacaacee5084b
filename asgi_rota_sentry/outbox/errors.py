"""What can go wrong with the outbox's file."""

from pathlib import Path


class OutboxError(Exception):
    """The outbox's file cannot be used now; `path` is the file, `reason` what the system said about it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The outbox {path} cannot be used: {reason}.")
        self.path = path
        self.reason = reason


class OutboxMissingError(OutboxError):
    """There is no outbox at this path."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "no such file")
        self.args = (f"There is no outbox at {path}; nothing was kept there yet.",)


class OutboxUnwantedError(OutboxError):
    """The settings ask for no outbox."""

    def __init__(self) -> None:
        super().__init__(Path(), "none is wanted")
        self.args = ("ROTA_SENTRY_OUTBOX is empty: there is no outbox.",)


class OutboxCorruptError(OutboxError):
    """The file is damaged or is no SQLite file; `file` is the device and inode of the damaged one."""

    def __init__(self, path: Path, reason: str, file: tuple[int, int] | None) -> None:
        super().__init__(path, reason)
        self.file = file
