"""What the inputs of a mutated module hold in the design: proofs assume it, and the engine's bench checks it."""

from collections.abc import Callable

from arch.formats import SELECT_BITS
from arch.layout import Layout
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, operand_layout, product_layout
from verif.mutants.known import NAMES, TRUE, Guard, Known
from verif.tensor.sums import canonical_sum, possible_sum

__all__ = ["known", "violations"]


def known(module: str, config: EngineConfig) -> Known:
    """What proofs about a module rest on."""
    return Known(
        assumption=_assumption(module, config),
        promise=_promise(module, config),
        invariant=_invariant(module, config),
        guards=_guards(module, config),
    )


def _fields(port: str, layout: Layout, first: str) -> dict[str, str]:
    """Verilog of every field of a layout, of which ``first`` is at bit 0 of a port."""
    lows = {name: layout.offset(name) - layout.offset(first) for name in layout.fields}
    return {name: f"{port}[{lows[name] + width - 1}:{lows[name]}]" for name, width in layout.fields.items()}


def _operand(config: EngineConfig, port: str) -> str:
    """What ``operand_layout`` says."""
    at = _fields(port, operand_layout(config), "significand")
    zero = f"({at['significand']} == 0)"
    rules = [f"(!{zero} || {at['exponent']} == 0)", f"(!{at['nan']} || ({zero} && !{at['sign']}))"]
    if config.has_inf:
        rules.append(f"(!{at['inf']} || ({zero} && !{at['nan']}))")
    if not config.exact:
        rules.append(f"({zero} || {port}[{config.significand_bits - 1}])")
    return " && ".join(rules)


def _product(config: EngineConfig, port: str) -> str:
    """What ``product_layout`` says."""
    at = _fields(port, product_layout(config), "magnitude")
    zero = f"({at['magnitude']} == 0)"
    if config.exact:
        nan = f"(&{at['special']})"
        return f"(!(|{at['special']}) || {zero}) && (!{nan} || !{at['sign']})"
    top = 2 * config.significand_bits - 1
    rules = [f"({zero} || |{port}[{top}:{top - 1}])", f"(!{at['nan']} || ({zero} && !{at['sign']}))"]
    if config.has_inf:
        rules.append(f"(!{at['inf']} || ({zero} && !{at['nan']}))")
    return " && ".join(rules)


def _assumption(module: str, config: EngineConfig) -> str:
    """What its inputs hold in the design."""
    # A lane that is not enabled has a product of zero.
    masked = "" if config.sums_in_range else " && (i_enable || i_product == 0)"
    rules = {
        "multiplier": lambda: f"{_operand(config, 'i_x')} && {_operand(config, 'i_w')}",
        "aligner": lambda: _product(config, "i_product"),
        "exact_adder": lambda: _product(config, "i_product"),
        "fused_adder": lambda: f"{_product(config, 'i_product')} && {possible_sum(config, 'i_psum')}{masked}",
        "narrower": lambda: canonical_sum("i_fp32"),
        # A row that is read was written before, with a column in use.
        "readout": lambda: f"(!(gold_o_advance && gold_net_row_waits) || {_columns_in_use(config, 'read_0')})",
        "sequencer": lambda: f"(!i_command__valid || ({_legal_command(config, 'i_command__payload')}))",
        "rounder": lambda: TRUE if config.exact else canonical_sum("i_psum"),
    }
    return rules[module]() if module in rules else TRUE


def _promise(module: str, config: EngineConfig) -> str:
    """What its outputs hold, on which assumptions about other modules rest."""
    rules = {
        "decoder": lambda: _operand(config, "o"),
        "multiplier": lambda: _product(config, "o"),
        "fused_adder": lambda: possible_sum(config, "o_psum"),
    }
    return rules[module]() if module in rules else TRUE


def _columns_in_use(config: EngineConfig, row: str) -> str:
    return f"{row}[{config.cols.bit_length() - 1}:0] != 0"


def _legal_command(config: EngineConfig, port: str) -> str:
    at = _fields(port, command_layout(config), "tile_m")
    largest = {
        "tile_m": config.psum_depth,
        "tile_k": config.rows,
        "tile_n": config.cols,
        "distance": config.store_latency,
    }
    return " && ".join(f"{at[name]} >= 1 && {at[name]} <= {top}" for name, top in largest.items())


def _invariant(module: str, config: EngineConfig) -> str:
    """What its registers hold in every reachable state."""
    if module == "readout":
        # A row on its way through the stages has a column in use.
        behind = config.readout_latency - 2 + config.cols - 1
        stages = ("rows__reads__0__data", *(f"row_{i}" for i in range(behind)))
        return " && ".join(f"(!stages[{i}] || {_columns_in_use(config, row)})" for i, row in enumerate(stages))
    if module == "sequencer":
        tile_m = _fields("running", command_layout(config), "tile_m")["tile_m"]
        tile_k = _fields("loading", command_layout(config), "tile_m")["tile_k"]
        beats = (
            f"loaded <= {tile_k} && full == (loaded == {tile_k}) && (full || beat_is_last == (loaded + 1 == {tile_k}))"
        )
        loader = f"(!loading_valid || ({_legal_command(config, 'loading')} && {beats}))"
        executor = f"{_legal_command(config, 'running')} && row < {tile_m} && row_is_last == (row + 1 == {tile_m})"
        return f"{loader} && (!running_valid || ({executor}))"
    return TRUE


_SIDES = (("input", "i"), ("output", "o"), ("register", "o"))


def _guards(module: str, config: EngineConfig) -> list[Guard]:
    """Addresses go with a valid bit; the format is no choice where there is one."""
    address = config.address_bits
    found = []
    if module == "decoder" and len(config.formats) == 1:
        found.append(Guard("input", "i_select", 0, SELECT_BITS, "1'b0"))
    if module == "sequencer":
        if len(config.formats) == 1:
            found += [Guard("output", f"o_{what}_format", 0, SELECT_BITS, "1'b0") for what in ("weight", "activation")]
        found += [
            Guard("output", "o_row_address", 0, address, "o_row_en"),
            Guard("register", "row", 0, config.psum_depth.bit_length(), "running_valid"),
        ]
        width = 1 + address + config.cols.bit_length()
        for stage in range(config.store_latency):
            valid = f"store_line[{stage * width}]"
            found.append(Guard("register", "store_line", stage * width + 1, address, valid))
    requests = {
        "sequencer": [("output", "o_seed"), ("output", "o_store"), ("register", "o_seed")],
        "psum_bank": [(kind, f"{side}_{what}") for kind, side in _SIDES for what in ("seed", "store")],
    }
    stores = 1 + address + config.cols.bit_length()
    for kind, name in requests.get(module, []):
        # Bit 0 is ``valid``; a seed has ``adds`` above it, which reads, and a store ``stores`` on top.
        if name.endswith("seed"):
            found.append(Guard(kind, name, 2, address, f"{name}[1]"))
        else:
            found.append(Guard(kind, name, 1, address, f"({name}[0] || {name}[{stores}])"))
    if module == "readout":
        found.append(Guard("input", "i_row_address", 0, address, "i_row_en"))
    return found


def _instances(config: EngineConfig) -> dict[str, list[str]]:
    """Where the modules with assumptions are in the engine."""
    pes = [f"grid.row_{row}.pe_{col}" for row in range(config.rows) for col in range(config.cols)]
    rounders = [f"readout.rounder_{col}" for col in range(config.cols)]
    adder = "exact_adder" if config.exact else "fused_adder"
    aligners = [f"{pe}.adder.aligner" for pe in pes] if config.exact and not config.integer_operands else []
    return {
        "multiplier": [f"{pe}.multiplier" for pe in pes],
        adder: [f"{pe}.adder" for pe in pes],
        "aligner": aligners,
        "pe": pes,
        "rounder": rounders,
        "narrower": [f"{rounder}.narrower" for rounder in rounders],
        "sequencer": ["sequencer"],
        "readout": ["readout"],
    }


def violations(facts: Callable[[str], Known], config: EngineConfig, engine: str) -> dict[str, str]:
    """By module, a Verilog expression that is true when an instance of it sees what its assumption rules out."""
    found = {}
    for module, places in _instances(config).items():
        # The words that a memory may hold show in the registers behind it.
        rules = [facts(module).assumption, facts(module).invariant]
        rules = [rule for rule in rules if rule != TRUE and "read_0" not in rule]
        if rules and places:
            placed = [NAMES.sub(lambda m, p=place: f"{engine}.{p}.{m[0]}", " && ".join(rules)) for place in places]
            found[module] = " || ".join(f"!({expression})" for expression in placed)
    return found
