"""What ``make formal`` runs: every property, two at a time, and the table of how each ended."""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.text import Text

from scripts.ground.errors import InputError
from scripts.ground.progress import progress_bar
from scripts.ground.tables import plain_table
from scripts.ground.terminal import Terminal
from verif.proofs.prover import PROVED, Proof, Property, prove
from verif.registry.units import PROPERTIES

__all__ = ["run_formal", "select"]

FOLDER = Path("build") / "formal"
#: Proofs at a time.
JOBS = 2


def select(only: Sequence[str], quick: bool) -> list[Property]:
    """The properties whose names are or begin with those given, or all. InputError where a name fits none."""
    for name in only:
        if not any(known.startswith(name) for known in PROPERTIES):
            kinds = sorted({known.split("-")[0] for known in PROPERTIES})
            raise InputError(f"--only: no property {name}; takes the beginning of a name: {', '.join(kinds)} ...")
    chosen = [prop for name, prop in PROPERTIES.items() if not only or name.startswith(tuple(only))]
    return [prop for prop in chosen if prop.quick or not quick]


def run_formal(only: Sequence[str], *, quick: bool) -> bool:
    """Prove, print the table, write it as JSON, and say whether anything is not proved."""
    properties = select(only, quick)
    FOLDER.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    proofs = _prove_all(properties)
    records = [_record(prop, proofs[prop.name]) for prop in properties]
    report = FOLDER / "formal.json"
    report.write_text(
        json.dumps({"seconds": round(time.perf_counter() - start, 1), "properties": records}, indent=1),
        encoding="utf-8",
    )

    terminal = Terminal()
    table = plain_table("property", "engine", "depth", "time", "result", text=("property", "engine", "depth", "result"))
    for record in records:
        colour = "green" if record["result"] == PROVED else "red"
        table.add_row(
            *(record[name] for name in ("property", "engine", "depth")),
            f"{record['seconds']:.1f} s",
            Text(record["result"], colour),
        )
    terminal.table(table)
    bad = [record for record in records if record["result"] != PROVED]
    for record in bad:
        line = f"{record['property']}: {record.get('counterexample') or record['note']}"
        terminal.line(line, "red")
    good = len(records) - len(bad)
    terminal.line(f"{good} of {len(records)} properties proved in {time.perf_counter() - start:.0f} s")
    return bool(bad)


def _prove_all(properties: Sequence[Property]) -> dict[str, Proof]:
    """Proofs by name, with a bar for each proof that is running, or a line where it ends if there is no terminal."""
    proofs: dict[str, Proof] = {}
    with progress_bar() as progress, ThreadPoolExecutor(JOBS) as pool:

        def run(prop: Property) -> Proof:
            task = progress.add_task(prop.name, total=None)
            try:
                return prove(
                    prop,
                    FOLDER / prop.name,
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                )
            finally:
                progress.remove_task(task)

        futures = {pool.submit(run, prop): prop for prop in properties}
        try:
            for future in as_completed(futures):
                prop = futures[future]
                proofs[prop.name] = proof = future.result()
                line = f"{prop.name}: {proof.result} ({proof.seconds:.0f} s)"
                if not progress.console.is_terminal:
                    print(line, file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return proofs


def _record(prop: Property, proof: Proof) -> dict:
    """A row of the report."""
    record = {
        "property": prop.name,
        "claim": prop.claim,
        "engine": prop.engine,
        "depth": proof.depth,
        "seconds": round(proof.seconds, 1),
        "result": proof.result,
        "note": proof.note,
    }
    if proof.counterexample:
        record["counterexample"] = str(proof.counterexample)
        record["steps"] = [{name: hex(value) for name, value in step.items()} for step in proof.counterexample.steps]
    return record
