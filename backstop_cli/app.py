"""`backstop`: all commands together, and what becomes of their errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from backstop_cli import acting, auditing, configuring, emulating, looking, watching
from backstop_cli.errors import CliError, Exit, did_you_mean, words


class Commands(click.Group):
    """The commands in the order of the day, and a suggestion for one that is misspelt."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, not in that of the alphabet."""
        del ctx
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds a command, or what comes closest."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.commands) or f"There are {', '.join(self.commands)}."
            raise CliError(f"There is no command {args[0]!r}.", hint)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="backstop")
def cli() -> None:
    """Start, stop and look after Cloud Spanner backups.

    Names may be short where project and instance are known: from flags, the environment, ~/.config/backstop.toml or
    gcloud's configuration, in this order; `backstop config` shows them. Exit codes are in docs/cli.md.
    """


for _command in (
    acting.start,
    acting.cancel,
    acting.follow,
    acting.sweep,
    looking.status,
    looking.describe,
    watching.watch,
    watching.why,
    auditing.audit,
    configuring.config,
    emulating.emulate,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; nothing that is expected leaves a traceback."""
    try:
        return int(cli.main(arguments, prog_name="backstop", standalone_mode=False) or Exit.AS_WISHED)
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit if isinstance(error, CliError) else Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # Who reads the output has seen enough.
        return Exit.AS_WISHED
    except Exception as error:
        if not type(error).__module__.startswith("google."):
            raise
        CliError(google_said(error)).show(sys.stderr)
        return Exit.GOOGLE


def google_said(error: Exception) -> str:
    """What an error of Google's clients says, and what helps against it."""
    name, text = words(error)
    hints = {
        "DefaultCredentialsError": "Log in with: gcloud auth application-default login",
        "RefreshError": "Log in again with: gcloud auth application-default login",
        "PermissionDenied": "`backstop config` with the same flags shows which permissions are missing.",
        "NotFound": "`backstop config` with the same flags shows which names are in force, and where each came from.",
        "ServiceUnavailable": "Is the network there? Emulators are looked for where *_EMULATOR_HOST says.",
    }
    return "\n".join(filter(None, (f"{name}: {text}", hints.get(name))))
