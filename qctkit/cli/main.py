"""The command group, loaded command by command, and the one error boundary."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

import qctkit
from qctkit.cli.chosen import chosen_registry
from qctkit.errors import QctkitError

COMMANDS = {
    "simulate": "Simulate a cohort of femurs with known truth.",
    "calibrate": "Turn the rods of a phantom into a line to mg/cm3.",
    "ingest": "Turn scans (DICOM, NIfTI, NRRD, ...) into a cohort.",
    "info": "Show what a cohort file holds.",
    "verify": "Check a cohort file in full.",
    "train": "Train predictors of sex, age and weight.",
    "export": "Write the ONNX twins of predictors.",
    "predict": "Read sex, age and weight off every sample.",
    "adopt": "Add an ONNX predictor from elsewhere as a reader.",
    "augment": "Make new, labelled samples: the main job.",
    "validate": "Judge made samples against the real cohort.",
    "report": "Show made samples beside their sources, as a page.",
    "read-study": "Ask people, blinded, what is real and what was made.",
    "replay": "Make a stored sample again from its record.",
    "convert": "Write a cohort as NIfTI files and tables.",
    "plugins": "See, make and check plugins.",
}

INPUT_ERROR = 2
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a command's module only when it is called.

    Plugins are asked for commands where the built-in ones do not do: for help, or another name.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of work, those of plugins last."""
        return [*COMMANDS, *_of_plugins(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module."""
        if cmd_name not in COMMANDS:
            return _of_plugins(ctx).get(cmd_name)
        module = importlib.import_module(f"qctkit.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of the built-in ones."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        added = _of_plugins(ctx)
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [(name, one.get_short_help_str(limit=60)) for name, one in added.items()]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a plugin's command raises becomes an error that names the plugin."""
        try:
            return super().invoke(ctx)
        except (QctkitError, click.ClickException, click.exceptions.Exit, click.Abort, OSError):
            raise
        except Exception:
            name = ctx.invoked_subcommand
            if name is None or name in COMMANDS:
                raise
            with chosen_registry(ctx).guarding("commands", name, "called"):
                raise


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(qctkit.__version__, prog_name="qctkit")
@click.option(
    "--no-plugins",
    is_flag=True,
    is_eager=True,
    help="Load no plugin. The variable QCTKIT_PLUGINS holds the names of those to load, such as "
    "femur-density,other.",
)
def cli(no_plugins: bool) -> None:
    """Make new, labelled QCT scans of the proximal femur from real ones.

    \b
    Try it with no data:
        qctkit augment --plugin femur-density -o augmented.h5
    With your own scans:
        qctkit ingest --table subjects.csv -o real.h5
        qctkit augment real.h5 --plugin femur-density -n 16 -o augmented.h5

    Every command explains itself with --help.
    """


def _of_plugins(context: click.Context) -> dict[str, click.Command]:
    """Return the commands that plugins add; none can take a built-in one's place."""
    found = {one.name or "": one for one in chosen_registry(context).commands()}
    return {name: one for name, one in found.items() if name not in COMMANDS}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 finished but short, 2 bad input, 130 interrupted."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors become one message on stderr."""
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="qctkit",
            standalone_mode=False,
        )
    except QctkitError as error:
        click.echo(f"Error: {error}", err=True)
        return INPUT_ERROR
    except click.ClickException as error:
        error.show()
        return INPUT_ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except OSError as error:
        # A full disk, a folder without permission: the system's words and the path say it best.
        click.echo(f"Error: {error.strerror or error}: {error.filename or ''}", err=True)
        return INPUT_ERROR
    return code if isinstance(code, int) else 0
