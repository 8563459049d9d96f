"""What ``make mutants`` runs: mutants through the benches; what survives is proved equivalent, or reported."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from rich.table import Table

from scripts.ground.errors import InputError
from scripts.ground.progress import progress_bar
from scripts.ground.tables import plain_table
from scripts.ground.terminal import Terminal
from verif.mutants.campaign import Fate, judge_all, wrong_without_mutant
from verif.mutants.hook import Bench, MutantHook
from verif.mutants.mutation import Mutation
from verif.registry.units import MUTANT_HOOKS

__all__ = ["run_mutants"]

#: Mutants to a line of progress, where no bar shows.
STEP = 50


def run_mutants(
    config: str | None,
    *,
    count: int,
    seed: int,
    only: int | None = None,
    hooks: Iterable[MutantHook] = MUTANT_HOOKS,
) -> bool:
    """Judge the mutants of one configuration or of all, print what became of them; True if something is wrong."""
    by_config = {name: hook for hook in hooks for name in hook.configs}
    if config is not None and config not in by_config:
        raise InputError(f"--config: {config!r} is not one of {', '.join(by_config)}")
    if only is not None and config is None:
        raise InputError("--only: needs the --config that the mutant is of")
    terminal = Terminal()
    wrong = False
    for name in [config] if config else by_config:
        mutation = by_config[name].mutation(name, count=count, seed=seed)
        if only is not None and only > len(mutation.mutants):
            raise InputError(f"--only: {name} has the mutants 1 to {len(mutation.mutants)}, not {only}")
        wrong |= _run(terminal, mutation, only, by_config[name].benches(mutation))
    return wrong


def _run(terminal: Terminal, mutation: Mutation, only: int | None, benches: Sequence[Bench]) -> bool:
    chosen = [mutant for mutant in mutation.mutants if only in (None, mutant.number)]
    with progress_bar() as progress:
        task = progress.add_task(f"{mutation.name}: building", total=len(chosen))
        plain = not progress.console.is_terminal
        if plain:
            _print(terminal, [f"{mutation.name}: building, {len(chosen)} mutants"])
        # A bench that is red by itself kills everything.
        red = wrong_without_mutant(chosen, mutation, benches)
        if red:
            _print(terminal, [f"{mutation.name}, without a mutant: {line}" for line in red], "red")
            return True
        progress.update(task, description=f"{mutation.name}: mutants")

        fates = []
        for fate in judge_all(chosen, mutation, benches):
            fates.append(fate)
            progress.advance(task)
            if plain and len(fates) % STEP == 0:
                _print(terminal, [f"{mutation.name}: {len(fates)} of {len(chosen)}"])
    _report(terminal, mutation, fates, benches, only)
    return any(fate.survived for fate in fates)


def _report(
    terminal: Terminal, mutation: Mutation, fates: list[Fate], benches: Sequence[Bench], only: int | None
) -> None:
    """The table and the survivors, or all about one mutant; and the same as JSON."""
    record = {"config": mutation.name, "count": mutation.count, "seed": mutation.seed}
    name = "report.json" if only is None else f"report-{only}.json"
    (mutation.directory / name).write_text(
        json.dumps(record | {"mutants": [_record(fate) for fate in fates]}), encoding="utf-8"
    )
    if only is None:
        terminal.table(_table(mutation, fates, benches))
    again = f"systolith mutants --config {mutation.name} --count {mutation.count} --seed {mutation.seed} --only"
    for fate in fates:
        if fate.survived or only is not None:
            lines = [
                f"mutant {fate.mutant.number}, {fate.verdict}: {fate.reason}",
                f"  {fate.mutant.place}",
                f"  {fate.mutant.command}",
                f"  {again} {fate.mutant.number}",
            ]
            _print(terminal, lines, "red" if fate.survived else None)


def _record(fate: Fate) -> dict:
    return asdict(fate) | {"place": fate.mutant.place, "survived": fate.survived}


def _print(terminal: Terminal, lines: Iterable[str], style: str | None = None) -> None:
    for line in lines:
        terminal.line(line, style)


def _table(mutation: Mutation, fates: list[Fate], benches: Sequence[Bench]) -> Table:
    """A row per module, and their sum."""
    columns = ["mutants", *(f"killed by {bench.name}" for bench in benches), "equivalent", "survived"]
    table = plain_table(mutation.name, *columns, text=(mutation.name,))

    def row(title: str, chosen: Callable[[Fate], bool]) -> None:
        some = [fate for fate in fates if chosen(fate)]
        killed = Counter(fate.killed_by for fate in some)
        equivalent, survived = sum(fate.equivalent for fate in some), sum(fate.survived for fate in some)
        figures = [len(some), *(killed[bench.name] for bench in benches), equivalent, survived]
        style = "red" if survived else None
        table.add_row(title, *map(str, figures), style=style)

    for module in mutation.modules:
        row(module, lambda fate, module=module: fate.mutant.module == module)
    row("all", lambda fate: True)
    return table
