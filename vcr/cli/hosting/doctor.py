"""`vcr doctor`: what this host has and lacks, and how to get it."""

from dataclasses import asdict

import click

import vcr.app
from vcr.cli.context import App, Command


@click.command(cls=Command)
@click.pass_obj
def doctor(app: App) -> None:
    """Check this host, and say how to get what is missing.

    The exit code is 5 when something essential is missing.
    """
    found = vcr.app.doctor(app.context)
    if app.ui.is_json:
        app.ui.json("doctor", {"findings": [asdict(finding) for finding in found.findings]})
    else:
        app.ui.table([(f.name, f.grade, f.found) for f in found.findings])
        for finding in found.findings:
            if finding.fix:
                app.ui.note(f"{finding.name}: {finding.fix}")
    found.check()
