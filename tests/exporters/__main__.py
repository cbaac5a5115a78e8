"""python tests/exporters --zkiln BIN [--only TEXT...] [--table FILE]: real architectures as exporters write them. See README.md."""

import argparse
import shutil
import sys
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "differential")]
warnings.simplefilter("ignore")

import architectures  # noqa: E402
import cases  # noqa: E402
import exporters  # noqa: E402
import table  # noqa: E402
from catalogue import ARCHITECTURES  # noqa: E402
from verdicts import FAULTS, Verdict, judged  # noqa: E402

# Of how many architectures files may be refused.
MOST_REFUSED = 4


def attempt(index, options):
    """An architecture by all of its exporters: the verdict of each."""
    architecture = ARCHITECTURES[index]
    try:
        exports, inputs = exporters.exported(architecture)
    except Exception:  # A fault of ours must not end the run of the others.
        return {"converter": Verdict("broken", traceback.format_exc())}
    return {exporter: tried(architecture, exporter, export, inputs, options) for exporter, export in exports.items()}


def tried(architecture, exporter, export, inputs, options):
    """Exports the architecture, and judges the file."""
    case = folder(options, architecture, exporter)
    if not (options.keep and case.is_dir()):
        shutil.rmtree(case, ignore_errors=True)
        try:
            cases.write(case, export(), inputs, architecture.seed)
        except Exception:  # A fault of the exporter's must not end the run of the others.
            return Verdict("not exported", traceback.format_exc())
    return judged(options.zkiln, case, options.seconds)


def folder(options, architecture, exporter):
    return options.cases / f"{architecture.slug}.{exporter}"


def say(architecture, verdicts):
    for exporter, verdict in verdicts.items():
        error = "" if verdict.error is None else f"{100 * verdict.error:.2f} %"
        reason = table.reason(verdict)
        print(f"{architecture.slug:44} {exporter:12} {verdict.word:12} {verdict.seconds:6.1f} s {error:>8}  {reason}", flush=True)


def take_smallest(results, options):
    """Copies the smallest right case of each family and exporter; of these, the smallest ones."""
    smallest = {}
    for architecture, verdicts in results.items():
        for exporter, verdict in verdicts.items():
            if verdict.word == "right":
                place = folder(options, architecture, exporter)
                found = (cases.size(place), place)
                smallest[architecture.family, exporter] = min(smallest.get((architecture.family, exporter), found), found)
    shutil.rmtree(options.smallest, ignore_errors=True)
    for _, place in sorted(smallest.values())[: options.count]:
        shutil.copytree(place, options.smallest / place.name)


def main():
    parser = argparse.ArgumentParser(prog="exporters", description=__doc__)
    parser.add_argument("--zkiln", type=Path, required=True, help="the command line under test")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="only architectures with one of these in their names or families")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=600, help="a file that takes longer hangs")
    parser.add_argument("--cases", type=Path, default=Path("target/exporters/cases"), help="where the cases go")
    parser.add_argument("--keep", action="store_true", help="do not export again what is there")
    parser.add_argument("--table", type=Path, help="where the table goes: docs/models.md")
    parser.add_argument("--smallest", type=Path, help="where the smallest cases go: tests/exporters/cases")
    parser.add_argument("--count", type=int, default=15, help="how many smallest cases")
    options = parser.parse_args()
    architectures.load()
    indices = [i for i, a in enumerate(ARCHITECTURES) if any(text in a.slug or text in a.family for text in options.only)]
    results = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for index, verdicts in zip(indices, pool.map(attempt, indices, [options] * len(indices))):
            results[ARCHITECTURES[index]] = verdicts
            say(ARCHITECTURES[index], verdicts)
    sys.exit(finish(results, options))


def finish(results, options):
    """Writes what is asked for; the exit code."""
    if options.table:
        options.table.write_text(table.text(results, sizes(results, options), cases.SAMPLES, cases.TESTS))
    if options.smallest:
        take_smallest(results, options)
    words = [verdict.word for verdicts in results.values() for verdict in verdicts.values()]
    refused = sum(any(verdict.word == "refused" for verdict in verdicts.values()) for verdicts in results.values())
    print(f"{len(results)} architectures, {sum(map(table.right, results.values()))} right and proved by all exporters, {refused} refused")
    return int(refused > MOST_REFUSED or any(word in FAULTS for word in words))


def sizes(results, options):
    """Bytes of each architecture's greatest file."""

    def models(architecture):
        return (folder(options, architecture, exporter) / "model.onnx" for exporter in results[architecture])

    return {a: max((model.stat().st_size for model in models(a) if model.is_file()), default=0) for a in results}


if __name__ == "__main__":
    main()
