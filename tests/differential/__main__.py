"""python tests/differential --zkiln BIN [--seed A] [--count N] [--jobs J]: random graphs, compared with onnxruntime. See README.md."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate  # noqa: E402
from builder import Broken  # noqa: E402
from judge import BAD, Result, judge, operators  # noqa: E402
from product import Product  # noqa: E402
from report import Report  # noqa: E402


def attempt(seed, options):
    """One graph."""
    started = time.time()
    try:
        case = generate.case(seed)
    except Broken as broken:
        return Result(seed, "broken", str(broken)), {}, time.time() - started
    prove = options.prove_every and seed % options.prove_every == 0
    result = judge(case, Product(options.zkiln, options.seconds), prove)
    if result.verdict in BAD and options.failures and result.failing:
        from shrink import shrink, write

        small = shrink(case, result, Product(options.zkiln, options.seconds), options.shrink_seconds)
        result.signature = small.signature
        write(small, options.failures / f"{result.verdict}_{seed}")
    result.failing, result.samples = None, []
    return result, operators(case.model), time.time() - started


def main():
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("--zkiln", type=Path, required=True, help="the command line under test")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=150, help="how many seeds")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--prove-every", type=int, default=10, help="seeds that are multiples of this are proved and verified as well; 0: none")
    parser.add_argument("--seconds", type=int, default=60, help="a command that takes longer hangs")
    parser.add_argument("--failures", type=Path, help="where failures go, shrunk")
    parser.add_argument("--shrink-seconds", type=int, default=60)
    parser.add_argument("--quiet", action="store_true", help="only the totals")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    report = Report(options)
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(attempt, seeds, [options] * len(seeds)):
            report.add(*outcome)
    sys.exit(report.finish())


if __name__ == "__main__":
    main()
