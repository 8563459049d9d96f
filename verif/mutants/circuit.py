"""A module as yosys gives it, its registers, memories and instances taken out: for proofs about one step of it."""

import re
from dataclasses import dataclass, field

from verif.simulation.simulator import SimulatorError

__all__ = ["Circuit", "NotHere", "UnknownCell"]


class UnknownCell(SimulatorError):
    """A module has what proofs cannot take out of it."""


class NotHere(SimulatorError):
    """A register is in an instance that was taken out."""


@dataclass
class Circuit:
    """A module whose registers and memories were taken out: ports in their place, so that all of it is a function.

    registers : list of int
        Widths. Register ``i`` has the ports ``q<i>`` (in), ``d<i>`` and ``c<i>`` (out: next value, clock).
    memories : list of dict of str to int
        Parameters. Memory ``i`` has the ports ``<port>_<i>`` of yosys' ``$mem_v2``.

    Instances of other modules are taken out too, each pin a port of the module: what an instance is told, the module
    gives, and what it says comes in. Instances that are told the same in every cycle say the same.
    """

    module: dict
    registers: list[int] = field(default_factory=list)
    memories: list[dict[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, module: dict) -> "Circuit":
        """From yosys' JSON."""
        circuit = cls(module)
        for name, cell in list(module["cells"].items()):
            bits = cell["connections"]
            if cell["type"] == "$dff":
                circuit.port(f"q{len(circuit.registers)}", "input", bits["Q"])
                circuit.port(f"d{len(circuit.registers)}", "output", bits["D"])
                circuit.port(f"c{len(circuit.registers)}", "output", bits["CLK"])
                circuit.registers.append(len(bits["Q"]))
            elif cell["type"] == "$mem_v2":
                numbers = {key: value for key, value in cell["parameters"].items() if set(value) <= {"0", "1"}}
                parameters = {key: int(value, 2) for key, value in numbers.items()}
                if parameters["RD_CLK_ENABLE"]:
                    raise UnknownCell(f"{name}: a memory must have asynchronous reads")
                written = ("WR_ADDR", "WR_DATA", "WR_EN", "WR_CLK") if parameters["WR_PORTS"] else ()
                for port in ("RD_ADDR", *written):
                    circuit.port(f"{port}_{len(circuit.memories)}", "output", bits[port])
                circuit.port(f"RD_DATA_{len(circuit.memories)}", "input", bits["RD_DATA"])
                circuit.memories.append(parameters)
            elif not cell["type"].startswith("$") or cell["type"].startswith("$paramod"):
                place = f"of_{re.sub(r'[^a-z0-9]', '_', name.lower())}"
                for port, direction in cell["port_directions"].items():
                    circuit.port(f"{place}_{port}", "input" if direction == "output" else "output", bits[port])
            elif "dff" in cell["type"] or "mem" in cell["type"] or "latch" in cell["type"]:
                raise UnknownCell(f"{name}: no proof knows {cell['type']}")
            else:
                continue
            del module["cells"][name]
        return circuit

    def show(self, names: set[str]) -> None:
        """Ports ``net_<name>`` for registers, and ``next_<name>`` for their values in the next cycle."""
        after = [bit for index in range(len(self.registers)) for bit in self.module["ports"][f"d{index}"]["bits"]]
        for name in names:
            self.port(f"net_{name}", "output", self.module["netnames"][name]["bits"])
            self.port(f"next_{name}", "output", [after[place] for place in self.places(name)])

    def places(self, name: str) -> list[int]:
        """Where the bits of a named register are among all registers' bits. Raises NotHere for one of an instance."""
        state = [bit for index in range(len(self.registers)) for bit in self.module["ports"][f"q{index}"]["bits"]]
        if not set(bits := self.module["netnames"][name]["bits"]) <= set(state):
            raise NotHere(f"{name} is no register of the module itself")
        return [state.index(bit) for bit in bits]

    def port(self, name: str, direction: str, bits: list) -> None:
        """Add one."""
        self.module["ports"][name] = {"direction": direction, "bits": bits}

    def ports(self, direction: str) -> dict[str, int]:
        """Widths by name."""
        return {n: len(p["bits"]) for n, p in self.module["ports"].items() if p["direction"] == direction}
