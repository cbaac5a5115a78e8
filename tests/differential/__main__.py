"""python tests/differential --zkiln BIN [--seed A] [--count N] [--jobs J]: random graphs, compared with onnxruntime. See README.md."""

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate  # noqa: E402
import planted  # noqa: E402
from judge import BAD, Result, judge  # noqa: E402
from product import Product  # noqa: E402
from report import Report  # noqa: E402
from shrink import shrink, write  # noqa: E402


def attempt(seed, options):
    """One graph: the result, and the seconds it took."""
    started = time.time()
    try:
        case = generate.case(seed)
        result = tried(case, options)
    except Exception:  # A fault of ours must not end the run of the others.
        result = Result(seed, "broken", traceback.format_exc())
    return replace(result, failing=None, samples=[]), time.time() - started


def tried(case, options):
    """Judges a graph, and shrinks it if it fails."""
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    product = Product(options.zkiln, options.seconds, threads)
    prove = bool(options.prove_every) and case.seed % options.prove_every == 0
    result = judge(case, product, prove)
    if result.verdict in BAD and options.failures:
        small = shrink(case, result, Product(options.zkiln, min(options.seconds, 10), threads), options.shrink_seconds)
        result.signature = small.signature
        write(small, case.seed, options.failures)
    return result


def main():
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    under_test = parser.add_mutually_exclusive_group(required=True)
    under_test.add_argument("--zkiln", type=Path, help="the command line under test")
    under_test.add_argument("--planted", action="store_true", help="test the machine: does it find faults that are put in by hand?")
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
    if options.planted:
        sys.exit(planted.check(seeds))
    report = Report(options)
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(attempt, seeds, [options] * len(seeds)):
            report.add(*outcome)
    sys.exit(report.finish())


if __name__ == "__main__":
    main()
