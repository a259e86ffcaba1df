"""``chaosnet validate``: find mistakes in experiment, topology and manifest files before a run does.

Files to sentences and an exit status; the work is :mod:`chaosnet.validate`.
"""

import json
import sys

import click


@click.command(short_help="Find mistakes in experiment and topology files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--lab", default="", metavar="FILE", help="A topology file to hold the experiments against, in place of their own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(files: tuple[str, ...], lab: str, as_json: bool) -> None:
    """Check experiments (and topologies and manifests) for everything that chaostoolkit would let pass.

    Misspelt keys and arguments, wrong units, edges that do not exist, a fuse that goes off too soon, and the words on, off,
    yes and no that YAML reads as booleans.  One line for each mistake: file, line, field, value, what to do.

    \b
    Exit: 0 nothing found · 2 something found
    """
    from chaosnet.validate import problems

    found = {file: problems(file, lab) for file in files}
    for file, wrong in found.items():
        for problem in wrong:
            click.echo("".join(c if c.isprintable() else "�" for c in str(problem)), err=True)
        if not wrong and not as_json:
            click.echo(f"{file}: valid", err=True)
    code = 2 if any(found.values()) else 0
    if as_json:
        document = {
            "exit": code,
            "files": [
                {
                    "file": file,
                    "valid": not wrong,
                    "problems": [
                        {"line": p.line, "path": p.path, "problem": p.problem, "remedy": p.remedy, "sentence": str(p)}
                        for p in wrong
                    ],
                }
                for file, wrong in found.items()
            ],
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    sys.exit(code)
