"""`ceflow page`: a run as one HTML file."""

from pathlib import Path

import click

from ceflow.cli.failures import explained


@click.command("page")
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option(
    "--out", metavar="FILE", type=click.Path(), help="File to write, or - for standard output."
)
def command(runs: tuple[str, ...], out: str | None) -> None:
    """Write the report of a run or a sweep as one HTML file, which needs no network: by default
    RUN/report.html.

    Of two RUNS or more it compares them, as `ceflow compare` does, in comparison.html.
    """
    from ceflow.report import compared, comparison_page, run_page
    from ceflow.runs import reopen
    from ceflow.store import PAGE, RunDirectory

    if out == "":
        raise click.UsageError("--out needs the name of a file")
    with explained("the page"):
        run, *others = runs
        if others:
            path, page = out or "comparison.html", comparison_page(compared(runs))
        else:
            directory = RunDirectory(run)
            path = out or directory.path / PAGE
            page = run_page(directory, reopen(directory))
        if out == "-":
            click.echo(page, nl=False)
            return
        place = Path(path).resolve()
        if place.exists() and not place.is_file():  # a pipe or a device, which is not replaced
            place.write_text(page, encoding="utf-8")
        else:
            RunDirectory(place.parent).write_text(place.name, page)
        click.echo(f"wrote {path} ({len(page.encode()) / 1e3:.0f} kB)")
