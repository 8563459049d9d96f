"""Solves one SMT-LIB file with Bitwuzla and prints its answers: a process of its own can be given up on."""

import os
import sys


def main() -> None:
    import bitwuzla

    # Proofs take minutes of both cores: other work goes first.
    os.nice(10)
    bitwuzla.Parser(bitwuzla.TermManager(), bitwuzla.Options(), base=16).parse(sys.argv[1])


if __name__ == "__main__":
    main()
