"""The command line over the rooms; each room's `command.py` brings its own commands."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from asgi_rota_sentry.feedback import command as feedback_command
from asgi_rota_sentry.outbox import OutboxError
from asgi_rota_sentry.outbox import command as outbox_command
from asgi_rota_sentry.scrubbing import command as scrubbing_command
from asgi_rota_sentry.settings import Settings, SettingsError

# Each has `add_parser(subparsers)`, which sets `run=function` as default; `function(args, settings)` returns the exit
# status: 0 well, 1 not found or not done, 2 used wrongly.
COMMANDS: tuple[ModuleType, ...] = (outbox_command, feedback_command, scrubbing_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. Settings come from the environment."""
    arguments = _parser().parse_args(argv)
    if sys.stdout is None:  # `>&-`
        return _cannot_write("it is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every encoding has every character
    try:
        settings = Settings.from_env()
        if "outbox" in arguments:
            settings = replace(settings, outbox_path=arguments.outbox)
        status = arguments.run(arguments, settings)
        sys.stdout.flush()
    except SettingsError as fault:
        print(*fault.faults, sep="\n", file=sys.stderr)
        return 2
    except OutboxError as fault:
        print(fault, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        _write_nowhere()
        return 0
    except OSError as fault:  # a full disk; of files each command tells itself
        _write_nowhere()
        return _cannot_write(fault.strerror or str(fault))
    except KeyboardInterrupt:
        return 130
    return int(status)


def _cannot_write(why: str) -> int:
    print(f"The output cannot be written: {why}.", file=sys.stderr)
    return 1


def _write_nowhere() -> None:
    """Let what is still to be written go, or the interpreter complains at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asgi-rota-sentry",
        description="What Sentry would have got, and what waits to be sent. Settings come from the environment.",
    )
    parser.add_argument("--outbox", metavar="PATH", default=argparse.SUPPRESS, help="the outbox's file")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser
