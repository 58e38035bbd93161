"""`ceflow run`: runs a spec and reports the results."""

import os
import shlex
from pathlib import Path

import click

from ceflow._interrupts import ends_as_interrupts
from ceflow.cli.failures import explained, shown
from ceflow.cli.settings import modules, modules_of, settings
from ceflow.cli.specs import load_spec


@click.command("run")
@click.argument("spec")
@click.option("--out", metavar="DIR", help="Run directory; by default runs/NAME, numbered.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of the report.")
@click.option("--page", is_flag=True, help="Write the report as a page too, report.html.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first stage that fails.")
@settings
@modules
def command(
    spec: str,
    out: str | None,
    as_json: bool,
    page: bool,
    fail_fast: bool,
    settings: tuple[str, ...],
    modules: tuple[str, ...],
) -> None:
    """Check SPEC, run its stages, and report. SPEC is a file, or - for standard input.

    An unfinished run of the same spec in DIR is resumed. If a stage fails, only the stages that
    refer to it are skipped; the exit status is then 1, and the same command runs only what failed
    or is missing.
    """
    from ceflow.cli.console import results_console
    from ceflow.cli.progress import Watcher
    from ceflow.compiler import plan_of
    from ceflow.runs import RunError, prepare, run_prepared
    from ceflow.store import Damaged, RunDirectory, WriteError

    options = [
        *(part for each in settings for part in ("--set", each)),
        *(part for each in modules for part in ("--module", each)),
        *(["--json"] * as_json + ["--page"] * page + ["--fail-fast"] * fail_fast),
    ]

    def again(path: Path) -> str:
        """Write the command that goes on with the run in a directory."""
        return shlex.join(["ceflow", "run", spec, "--out", str(path), *options])

    with ends_as_interrupts(), explained("the run", again):
        prepared = prepare(plan_of(load_spec(spec, settings), modules=modules_of(modules)))
        from ceflow.report import plan_tree, run_report, write_figures, write_page

        console = results_console(quiet=as_json)
        needs = prepared.needs()
        console.print(plan_tree(prepared.plan, needs, prepared.total()))
        console.print()
        _keep_compilations()
        failed = None
        try:
            with Watcher({name: each.seconds for name, each in needs.items()}) as watcher:
                done = run_prepared(
                    prepared, out, observe=watcher, fail_fast=fail_fast, needs=needs
                )
        except RunError as error:
            failed, done = error, error.run
        directory = RunDirectory(done.path)
        try:
            write_figures(directory, prepared.plan)
        except WriteError as error:
            click.echo(shown(f"figures are missing: {error}"), err=True)
        if as_json:
            click.echo(directory.read_text("results.json"), nl=False)
        for part in run_report(directory, prepared.plan):
            console.print(part)
        if page:
            try:
                write_page(directory, prepared.plan)
            except (WriteError, Damaged) as error:
                click.echo(shown(f"the page is missing: {error}"), err=True)
        if failed:
            raise failed


def _keep_compilations() -> None:
    """Cache JAX's compilations on disk, unless the user configured a cache, so that later runs need
    not compile.
    """
    from ceflow.runs.rates import cache_folder

    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder() / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
