"""A core that runs programs a number at a time: Python's floats and Fractions, ml_dtypes, and loops over elements.

It shares no code with the executor. Bytes that nobody wrote are None, and reading one raises. It keeps the bytes that
each instruction reads and writes, as (space, lane, byte).
"""

import itertools
import math
import struct
from functools import cache

import ml_dtypes
import numpy as np

from arch.formats import FORMATS
from golden.numerics import functions, scalar

NAN = 0x7FC00000
SIZES = {"e4m3": 1, "e5m2": 1, "bf16": 2, "fp32": 4, "u32": 4}
DTYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16}


def number(code):
    """The value of an fp32 code."""
    return struct.unpack("<f", struct.pack("<I", code))[0]


def code_of(value):
    """The fp32 code nearest to a float. Sums and products of fp32 numbers, rounded to float64, lose nothing by that."""
    if math.isnan(value):
        return NAN
    try:
        return struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:
        return 0xFF800000 if value < 0 else 0x7F800000


def canonical(code):
    return NAN if code & 0x7FFFFFFF > 0x7F800000 else code


@cache
def widen(code, kind):
    """The fp32 code of an element."""
    if kind == "fp32":
        return canonical(code)
    dtype = np.dtype(DTYPES[kind])
    value = np.array([code], f"u{dtype.itemsize}").view(dtype).astype(np.float32)
    return canonical(int(value.view(np.uint32)[0]))


def narrow(code, kind):
    """The element of an fp32 code: to nearest even, saturating."""
    if kind in ("fp32", "u32"):
        return code
    if code == NAN:
        return FORMATS[kind].nan
    most = float(ml_dtypes.finfo(DTYPES[kind]).max)
    value = np.array([max(-most, min(most, number(code)))], np.float32).astype(DTYPES[kind])
    return int(value.view(f"u{value.dtype.itemsize}")[0])


def pick(a, b, sign):
    """The larger number for sign 1, the smaller for -1."""
    if NAN in (a, b):
        return NAN
    x, y = sign * number(a), sign * number(b)
    if x == y:
        # Zeros of both signs.
        return min(a, b) if sign > 0 else max(a, b)
    return a if x > y else b


def operate(name, a, b):
    x, y = number(a), number(b)
    return {
        "bypass": lambda: a,
        "add": lambda: code_of(x + y),
        "subtract": lambda: code_of(x - y),
        "rsubtract": lambda: code_of(y - x),
        "multiply": lambda: code_of(x * y),
        "max": lambda: pick(a, b, 1),
        "min": lambda: pick(a, b, -1),
        "equal": lambda: code_of(float(x == y)),
        "less": lambda: code_of(float(x < y)),
        "less_equal": lambda: code_of(float(x <= y)),
    }[name]()


def reduced(name, values):
    if name == "add":
        sums = [0] * 8
        for f, value in enumerate(values):
            sums[f % 8] = operate("add", sums[f % 8], value)
        while len(sums) > 1:
            sums = [operate("add", sums[i], sums[i + 1]) for i in range(0, len(sums), 2)]
        return sums[0]
    if name == "argmax":
        best = 0
        for f, value in enumerate(values):
            if values[best] != NAN and (value == NAN or number(value) > number(values[best])):
                best = f
        return best
    if name == "absmax":
        values = [value & 0x7FFFFFFF for value in values]
    result = values[0]
    for value in values:
        result = pick(result, value, 1)
    return result


def bytes_of(access):
    """(space, lane, byte) of every byte of an access."""
    offsets = [access.address + byte for byte in range(access.size)]
    for count, stride in access.dims:
        offsets = [offset + i * stride for offset in offsets for i in range(count)]
    lanes = range(access.lane, access.lane + access.lanes) if access.space == "sbuf" else [0]
    return {(access.space, lane, offset) for lane in lanes for offset in offsets}


class Reference:
    """The state of a core: ``sbuf[lane][byte]``, ``memory[address]``, rows of PSUM."""

    def __init__(self, config, data, written, base):
        self.config = config
        self.sbuf = [[None] * config.lane_bytes for _ in range(config.lanes)]
        pairs = zip(data.tolist(), written.tolist(), strict=True)
        self.memory = {base + i: byte if given else None for i, (byte, given) in enumerate(pairs)}
        self.psum = []
        self.reads, self.writes = set(), set()

    def run(self, instruction):
        self.reads, self.writes = set(), set()
        getattr(self, instruction.name)(instruction, instruction.fields)

    def load(self, space, lane, byte, size):
        """The bits of an element."""
        place = self.memory if space == "memory" else self.sbuf[lane]
        assert byte % size == 0 and (space == "memory" or byte >= 0)
        self.reads |= {(space, lane, byte + i) for i in range(size)}
        return int.from_bytes(bytes([place[byte + i] for i in range(size)]), "little")

    def store(self, space, lane, byte, size, bits):
        place = self.memory if space == "memory" else self.sbuf[lane]
        assert byte % size == 0 and (space == "memory" or byte >= 0)
        for i, value in enumerate(bits.to_bytes(size, "little")):
            place[byte + i]  # it is there
            assert (space, lane, byte + i) not in self.writes
            place[byte + i] = value
            self.writes.add((space, lane, byte + i))

    def dma(self, i, fields):
        size, moved = int(i.named("size")), []
        for p in range(fields["lanes"]):
            index = None
            if i.named("indirect") != "none":
                index = self.load("sbuf", p, fields["index_address"], 4)
                if index >= fields["index_limit"]:
                    assert i.named("out_of_range") == "skip"
                    continue
            for i1, i0 in itertools.product(range(fields["count1"]), range(fields["count0"])):
                places = []
                for side in ("source", "sink"):
                    row = index if i.named("indirect") == side else p
                    base = fields[f"{side}_address"] + i1 * fields[f"{side}_stride"]
                    if i.named(f"{side}_space") == "sbuf":
                        places.append(("sbuf", fields[f"{side}_lane"] + p, base + i0 * size))
                    elif i.named(f"{side}_transposed") == "yes":
                        places.append(("memory", 0, base + p * size + i0 * fields[f"{side}_pitch"]))
                    else:
                        places.append(("memory", 0, base + row * fields[f"{side}_pitch"] + i0 * size))
                moved.append((places[1], self.load(*places[0], size)))
        for place, bits in moved:
            self.store(*place, size, bits)

    def matmul(self, i, fields):
        lanes, engine = self.config.lanes, self.config.engine
        w_type, x_type = i.named("w_type"), i.named("x_type")
        for m1, m0 in itertools.product(range(fields["count1"]), range(fields["count0"])):
            row = [0] * lanes
            for n in range(fields["lanes"]):
                w, x = [], []
                for k in range(fields["depth"]):
                    tile, kk = divmod(k, lanes)
                    byte = fields["w_address"] + tile * fields["w_tile_stride"] + kk * fields["w_stride"]
                    w.append(self.load("sbuf", n, byte, SIZES[w_type]))
                    byte = fields["x_address"] + tile * fields["x_tile_stride"]
                    byte += m1 * fields["x_stride1"] + m0 * fields["x_stride0"]
                    x.append(self.load("sbuf", kk, byte, SIZES[x_type]))
                formats = FORMATS[x_type], FORMATS[w_type]
                if engine.exact:
                    row[n] = scalar.dot(x, w, *formats)
                else:
                    for a, b in zip(x, w, strict=True):
                        row[n] = scalar.fma(a, b, row[n], *formats)
            self.psum.append(row)

    def elements(self, fields):
        counts = [range(fields[f"count{dim}"]) for dim in (2, 1, 0)]
        return list(enumerate(itertools.product(*counts)))

    def byte(self, fields, name, index):
        return fields[f"{name}_address"] + sum(i * fields[f"{name}_stride{2 - d}"] for d, i in enumerate(index))

    def source(self, i, fields):
        """x of each lane as fp32 codes; bits as they are for u32."""
        elements = self.elements(fields)
        if i.named("x_source") == "psum":
            rows = [self.psum.pop(0) for _ in elements]
            return [[row[p] for row in rows] for p in range(fields["lanes"])]
        return [[self.element(i, fields, "x", p, index) for _, index in elements] for p in range(fields["lanes"])]

    def element(self, i, fields, name, p, index):
        kind = i.named(f"{name}_type")
        bits = self.load("sbuf", p, self.byte(fields, name, index), SIZES[kind])
        return bits if kind == "u32" else widen(bits, kind)

    def operand(self, i, fields, name, p, index):
        kind = i.named(f"{name}_kind")
        if kind == "tensor":
            return self.element(i, fields, "t", p, index)
        return canonical(fields[name] if kind == "immediate" else self.load("sbuf", p, fields[name], 4))

    def finish(self, i, fields, ys, reduce):
        kind = i.named("y_type")
        if i.named("write") == "yes":
            for p, f_index in itertools.product(range(fields["lanes"]), self.elements(fields)):
                f, index = f_index
                self.store("sbuf", p, self.byte(fields, "y", index), SIZES[kind], narrow(ys[p][f], kind))
        if reduce != "none":
            for p, values in enumerate(ys):
                self.store("sbuf", p, fields["r_address"], 4, reduced(reduce, values))

    def vector(self, i, fields):
        xs, ys = self.source(i, fields), []
        for p in range(fields["lanes"]):
            ys.append([])
            limit = fields["mask_base"] + fields["mask_lane"] * p
            for f, index in self.elements(fields):
                y = xs[p][f] & (0x7FFFFFFF if i.named("absolute") == "yes" else 0xFFFFFFFF)
                for name, operation in (("a", "op0"), ("b", "op1")):
                    if i.named(operation) != "bypass":
                        y = operate(i.named(operation), y, self.operand(i, fields, name, p, index))
                i0 = index[2]
                keep = {"none": True, "at_most": i0 <= limit, "at_least": i0 >= limit, "equal": i0 == limit}
                ys[p].append(y if keep[i.named("mask")] else fields["fill"])
        self.finish(i, fields, ys, i.named("reduce"))

    def scalar(self, i, fields):
        xs, ys = self.source(i, fields), []
        function = {"identity": lambda x: x} | {
            name: getattr(functions, name) for name in ("exp", "reciprocal", "rsqrt")
        }
        for p in range(fields["lanes"]):
            ys.append([])
            for f, index in self.elements(fields):
                t = operate("multiply", xs[p][f], self.operand(i, fields, "scale", p, index))
                t = operate("add", t, self.operand(i, fields, "bias", p, index))
                y = function[i.named("function")](np.array([t], np.uint32).view(np.float32))
                ys[p].append(int(y.view(np.uint32)[0]))
        self.finish(i, fields, ys, "add" if i.named("sum") == "yes" else "none")
