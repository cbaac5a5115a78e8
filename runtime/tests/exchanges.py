"""Exchanges neighbors of the closing's and the folding's transcript, in the sources of both sides at once, and shows that a test fails.

    python3 runtime/tests/exchanges.py [NAME ...]

Each exchange is made in a copy of the runtime, whose `binding` tests are built and run. Honest proofs still verify there, so both sides agree on the
other order; what fails is the written-down transcript. Neighbors that are not in the list cannot be exchanged by an honest prover, since the
later one is computed from the earlier: the rounds of products from the fold of equations, their factors from the last round, the sums of segments
from their challenge, the closing's sums from that of rows, all answers from the closing's challenge, the first cross
terms from the value's challenge, the next ones and what is left of the answer from the last round's.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLOSING = "src/argument/closing/mod.rs"
PRODUCTS = "src/argument/closing/products.rs"
FOLDING = "src/argument/folding.rs"
OPENING = "src/argument/opening/mod.rs"
GOLDEN = "transcript_is_as_written_down"
HONEST = "a_proof_is_bound_to_its_context"


def moved(text, line, behind):
    """`text` with what `line` matches put behind what `behind` matches."""
    taken = re.search(line, text, re.S)
    assert taken, f"not found: {line}"
    rest = text[: taken.start()] + text[taken.end() :]
    after = re.search(behind, rest, re.S)
    assert after, f"not found: {behind}"
    return rest[: after.end()] + taken.group() + rest[after.end() :]


def both(*sides):
    """An edit that puts, on each side, a line behind another."""

    def edit(text):
        for line, behind in sides:
            text = moved(text, line, behind)
        return text

    return edit


def challenge(name, label):
    return rf" *let {name} = transcript\.sponge\.challenge\({label}\);\n"


def points(label):
    return rf' *let \[[a-z, ]+\] = transcript\.receive_points\("{label}", [12]\)\? else \{{.*?\}};\n'


def sent(label):
    return rf' *transcript\.send_(points|clear)\(\s*"{label}"[^;]*;\n'


ROUNDS = both(
    (r" *let message = transcript\.receive_array\(ROUND\)\?;\n", challenge("r", "ROUND")),
    (r" *let message = transcript\.send_array\(ROUND[^;]*;\n", r"(?s:.*)" + challenge("r", "ROUND")),
)
FACTORS = both(
    (r" *let factors = transcript\.receive_array\(FACTORS\)\?;\n", challenge("challenge", "LAST")),
    (r" *let factors = transcript\.send_array\(FACTORS[^;]*;\n", r"(?s:.*)" + challenge("challenge", "LAST")),
)
SEGMENTS = both(
    (r" *let sums = transcript\.receive\(SUMS[^;]*;\n", challenge("theta", "ROWS")),
    (r" *let sums = send_sums[^;]*;\n", r"(?s:.*)" + challenge("theta", "ROWS")),
)
SUMS_AND_MASK = both(
    (points("closing sums"), points("closing mask")),
    (sent("closing sums"), sent("closing mask")),
)
MASK_AND_CHALLENGE = both(
    (points("closing mask"), challenge("c", '"closing"')),
    (sent("closing mask"), r"(?s:.*)" + challenge("c", '"closing"')),
)
BLINDER_AND_ANSWER = both(
    (
        r' *let blinder = transcript\.receive_clear\("closing blinder", 1\)\?;\n',
        r" *let answer = folding::verify\(last[^;]*;\n",
    ),
    (sent("closing blinder"), r" *folding::prove\(answer, last[^;]*;\n"),
)
ANSWER_AND_SUM_BLINDER = both(
    (
        r" *let answer = folding::verify\(last\.asked\(answer_log2\), transcript\)\?;\n(?= *let sum_blinder)",
        r' *let sum_blinder = transcript\.receive_clear\("closing sum blinder", 1\)\?;\n',
    ),
    (r" *folding::prove\(answer, last[^;]*;\n", sent("closing sum blinder")),
)


def sum_blinder_and_batch(text):
    """The prover does not draw this challenge."""
    batch = '    let batch = transcript.sponge.challenge("closing batch");\n'
    assert batch in text
    text = text.replace(batch, "", 1)
    blinder = text.index('    let sum_blinder = transcript.receive_clear("closing sum blinder"')
    return text[:blinder] + batch + text[blinder:]


def opened_vector_and_equations(text):
    return text.replace('challenge("opened vector")', 'challenge("closing equations")')


def equations_and_opened_vector(text):
    return text.replace('challenge("closing equations")', 'challenge("opened vector")')


VALUE_AND_CHALLENGE = both(
    (r' *let claimed = transcript\.receive_clear\("answer value"[^;]*;\n', challenge("xi", '"answer value"')),
    (sent("answer value"), r"(?s:.*)" + challenge("xi", '"answer value"')),
)
CROSS_TERMS_AND_CHALLENGE = both(
    (points("answer round"), challenge("x", '"answer round"')),
    (sent("answer round"), r"(?s:.*)" + challenge("x", '"answer round"')),
)


EXCHANGES = {
    "opened vector, closing equations": {
        OPENING: opened_vector_and_equations,
        CLOSING: equations_and_opened_vector,
    },
    "product round, its challenge": {PRODUCTS: ROUNDS},
    "product factors, closing products": {PRODUCTS: FACTORS},
    "segment sums, closing rows": {CLOSING: SEGMENTS},
    "closing sums, closing mask": {CLOSING: SUMS_AND_MASK},
    "closing mask, closing": {CLOSING: MASK_AND_CHALLENGE},
    "closing blinder, answer": {CLOSING: BLINDER_AND_ANSWER},
    "answer, closing sum blinder": {CLOSING: ANSWER_AND_SUM_BLINDER},
    "closing sum blinder, closing batch": {CLOSING: sum_blinder_and_batch},
    "answer value, its challenge": {FOLDING: VALUE_AND_CHALLENGE},
    "answer round, its challenge": {FOLDING: CROSS_TERMS_AND_CHALLENGE},
}


def copy_of_the_runtime(folder):
    """The runtime as a workspace of its own."""
    ignored = shutil.ignore_patterns("target")
    shutil.copytree(ROOT / "runtime", folder / "runtime", ignore=ignored)
    shutil.copy(ROOT / "Cargo.lock", folder)
    manifest = (ROOT / "Cargo.toml").read_text()
    sections = re.split(r"(?m)^(?=\[)", manifest)
    kept = [section for section in sections if section.startswith("[workspace")]
    manifest = "".join(kept)
    manifest = re.sub(r"(?m)^members = .*$", 'members = ["runtime"]', manifest)
    manifest = re.sub(r"(?m)^exclude = .*$", "", manifest)
    manifest = re.sub(r"(?m)^zkiln-(compiler|macros) = .*$", "", manifest)
    (folder / "Cargo.toml").write_text(manifest)


def failing_tests(folder):
    """Names of the tests of `binding` that fail; of all, if they do not compile."""
    command = ["cargo", "test", "--release", "-p", "zkiln-runtime", "--test", "binding", "--", GOLDEN, HONEST]
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target" / "exchanges")} | os.environ
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    results = dict(re.findall(r"(?m)^test (\w+) \.\.\. (\w+)", done.stdout))
    if set(results) != {GOLDEN, HONEST}:
        sys.exit(f"the copy does not build:\n{done.stderr[-4000:]}")
    return [name for name, result in results.items() if result != "ok"]


def main():
    names = sys.argv[1:] or EXCHANGES
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy_of_the_runtime(folder)
        assert failing_tests(folder) == [], "a test fails before anything is exchanged"
        missed = 0
        for name in names:
            before = {}
            for path, edit in EXCHANGES[name].items():
                path = folder / "runtime" / path
                before[path] = path.read_text()
                path.write_text(edit(before[path]))
                assert path.read_text() != before[path], f"{name}: nothing is exchanged"
            failing = failing_tests(folder)
            found = failing == [GOLDEN]
            missed += not found
            print(f"{'found' if found else 'MISSED'}: {name}: failing {failing}", flush=True)
            for path, text in before.items():
                path.write_text(text)
    return missed


if __name__ == "__main__":
    sys.exit(main())
