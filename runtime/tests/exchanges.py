"""Exchanges neighbors of the closing's and the folding's transcript, in the sources of both sides at once, and shows that a test fails.

    python3 runtime/tests/exchanges.py [NAME ...]

Each exchange is made in a copy of the runtime, whose `binding` tests are built and run. Honest proofs still verify there, so both sides agree on the
other order; what fails is the written-down transcript. Neighbors that are not in the list cannot be exchanged by an honest prover, since the
later one is computed from the earlier: the closing's sums from the fold of equations, all answers from the closing's challenge, the first cross
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
FOLDING = "src/argument/folding.rs"
OPENING = "src/argument/opening.rs"
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


def sums_and_masks(text):
    text = moved(
        text,
        r'        let \[zero, one\] = transcript\.receive_points\("closing sums", 2\)\? else \{.*?\};\n',
        r'        let masks = transcript\.receive_points\("closing masks"[^;]*;\n',
    )
    return moved(
        text,
        r'    transcript\.send_points\("closing sums"[^;]*;\n',
        r'    transcript\.send_points\("closing masks"[^;]*;\n',
    )


def masks_and_challenge(text):
    text = text.replace(
        'challenge: transcript.sponge.challenge("closing"),', "challenge,"
    )
    receive = r'        let masks = transcript\.receive_points\("closing masks"[^;]*;\n'
    text = re.sub(
        receive,
        lambda found: '        let challenge = transcript.sponge.challenge("closing");\n'
        + found.group(),
        text,
    )
    return moved(
        text,
        r'    transcript\.send_points\("closing masks"[^;]*;\n',
        r'    let c = transcript\.sponge\.challenge\("closing"\);\n',
    )


def blinder_and_answer(text):
    text = moved(
        text,
        r"        if let Some\(announced\) = announced \{\n            mask = .*?\n        \}\n",
        r"        let answer = folding::verify\([^;]*;\n",
    )
    return moved(
        text,
        r'        transcript\.send_clear\("closing blinder"[^;]*;\n',
        r"        folding::prove\([^;]*;\n",
    )


def answers_and_sum_blinder(text):
    # The prover: a pass over the scalars alone, then the rows.
    text = re.sub(r'    transcript\.send_clear\("closing sum blinder", &\[z\]\);\n', "", text)
    rows = re.search(r"    let mut rows = masks\.rows\.iter\(\)\.zip.*?;\n", text)
    first = """    for (row, blinder) in claims.hidden.iter().zip(&secrets.blinders) {
        if let Committed::Scalar(_) = row.commitment {
            z += c.square() * folded.linear[range(row)][0] * blinder;
        }
    }
    transcript.send_clear("closing sum blinder", &[z]);
"""
    text = text[: rows.start()] + first + text[rows.start() :]
    # The verifier: received before the answers.
    receive = re.search(
        r'        let sent = transcript\.receive_clear\("closing sum blinder", 1\)\?;\n'
        r"        let z = sent\.iter\(\)\.sum\(\);\n",
        text,
    )
    text = text[: receive.start()] + text[receive.end() :]
    answers = text.index("    let (answers, value) = receive_answers(")
    early = """    let mut z = Fr::ZERO;
    if hides {
        z = transcript.receive_clear("closing sum blinder", 1)?.iter().sum();
    }
"""
    return text[:answers] + early + text[answers:]


def sum_blinder_and_batch(text):
    batch = '    let batch = transcript.sponge.challenge("closing batch");\n'
    text = text.replace(batch, "")
    check = text.index("    // The folded equation, in the exponent if it is hidden.")
    return text[:check] + batch + text[check:]


def opened_vector_and_equations(text):
    return text.replace('challenge("opened vector")', 'challenge("closing equations")')


def equations_and_opened_vector(text):
    return text.replace('challenge("closing equations")', 'challenge("opened vector")')


def value_and_challenge(text):
    text = moved(
        text,
        r'    let value: Fr = transcript\.receive_clear\("answer value"[^;]*;\n',
        r'    let xi = transcript\.sponge\.challenge\("answer value"\);\n',
    )
    return moved(
        text,
        r'        transcript\.send_clear\("answer value"[^;]*;\n',
        r'        let xi = transcript\.sponge\.challenge\("answer value"\);\n',
    )


def cross_terms_and_challenge(text):
    text = moved(
        text,
        r'        let \[left, right\] = transcript\.receive_points\("answer round", 2\)\? else \{.*?\};\n',
        r'        let x = transcript\.sponge\.challenge\("answer round"\);\n',
    )
    return moved(
        text,
        r'            transcript\.send_points\(\s*"answer round".*?\);\n',
        r'            let x = transcript\.sponge\.challenge\("answer round"\);\n',
    )


EXCHANGES = {
    "opened vector, closing equations": {
        OPENING: opened_vector_and_equations,
        CLOSING: equations_and_opened_vector,
    },
    "closing sums, closing masks": {CLOSING: sums_and_masks},
    "closing masks, closing": {CLOSING: masks_and_challenge},
    "closing blinder, answer": {CLOSING: blinder_and_answer},
    "answers, closing sum blinder": {CLOSING: answers_and_sum_blinder},
    "closing sum blinder, closing batch": {CLOSING: sum_blinder_and_batch},
    "answer value, its challenge": {FOLDING: value_and_challenge},
    "answer round, its challenge": {FOLDING: cross_terms_and_challenge},
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
