"""One PE's arithmetic and the conversions at the edges: decode, multiply, accumulate, round, narrow."""
