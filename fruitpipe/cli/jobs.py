"""The jobs as commands: `fruitpipe ingest`, `refit` and `reconcile`.

A job's settings read its flags themselves, so that a flag, its help and its bounds stand in one place and the scripts for
spark-submit take the same ones. The command line only hands them over, and completes them in the shell. The job is imported once
its settings are right: `--help` and wrong flags are answered without Spark.
"""

from __future__ import annotations

import importlib.util
import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from fruitpipe.errors import MissingRequirement

if TYPE_CHECKING:
    from fruitpipe.settings import JobSettings

RUN = "Run"
commands = typer.Typer()


class JobCommand(TyperCommand):
    """A command that leaves its arguments, `--help` too, to the job; its own parameters are for the shell's completion."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes all arguments as they are."""
        ctx.args = args
        return args

    def get_params(self, ctx: Any) -> list[Any]:
        """The flags that the job's settings have."""
        from fruitpipe import settings

        types: dict[str, type[JobSettings]] = {
            "ingest": settings.IngestSettings,
            "reconcile": settings.ReconcileSettings,
            "refit": settings.RefitSettings,
        }
        return [*super().get_params(ctx), *_options(types[ctx.command.name])]


@commands.command(cls=JobCommand, rich_help_panel=RUN)
def ingest(context: typer.Context) -> None:
    """Compute the features of new images, once or as they come."""
    from fruitpipe.operations import job
    from fruitpipe.settings import IngestSettings

    def run(settings: IngestSettings) -> None:
        check_spark()
        from fruitpipe.jobs.ingest import ingest

        ingest(settings)

    raise typer.Exit(job.run(run, IngestSettings, context.args))


@commands.command(cls=JobCommand, rich_help_panel=RUN)
def refit(context: typer.Context) -> None:
    """Standardise and reduce the features, and publish them as the next version."""
    from fruitpipe.operations import job
    from fruitpipe.settings import RefitSettings

    def run(settings: RefitSettings) -> None:
        check_spark()
        from fruitpipe.jobs.refit import refit

        refit(settings)

    raise typer.Exit(job.run(run, RefitSettings, context.args))


@commands.command(cls=JobCommand, rich_help_panel=RUN)
def reconcile(context: typer.Context) -> None:
    """Compare images and table, and have the stream look at what differs."""
    from fruitpipe.operations import job
    from fruitpipe.settings import ReconcileSettings

    def run(settings: ReconcileSettings) -> None:
        check_spark()
        from fruitpipe.jobs.reconcile import reconcile

        reconcile(settings)

    raise typer.Exit(job.run(run, ReconcileSettings, context.args))


def check_spark() -> None:
    """Raises MissingRequirement where fruitpipe was installed to look and read only."""
    absent = [name for name in ("pyspark", "delta") if not importlib.util.find_spec(name)]
    if absent:
        raise MissingRequirement(f"this needs Spark, and {' and '.join(absent)} is missing; run: pip install 'fruitpipe[spark]'")


def _options(settings_type: type[JobSettings]) -> list[Any]:
    """The fields of the settings as typer makes options of a function's parameters."""

    def job() -> None: ...

    fields = settings_type.model_fields.items()
    job.__annotations__ = {name: Annotated[field.annotation, typer.Option(help=field.description)] for name, field in fields}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
        for name, annotation in job.__annotations__.items()
    ]
    job.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    alone = typer.Typer(add_completion=False)
    alone.command(add_help_option=False)(job)
    return typer.main.get_command(alone).params
