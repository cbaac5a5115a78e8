//! Zero-knowledge as a test: proofs by somebody who knows nothing.
//!
//! [`simulate`] has a verifier's key and a statement, and an oracle that it may program: all challenges are fixed before the first message. It sends
//! uniform points and elements for the commitments and what is under pads, and a simulated closing, which is how a prover's messages are distributed as well, and the verifier's own code
//! accepts them, for true statements and for false ones: so they carry nothing of the witness. Under the hash they are worth nothing.

use ark_ff::PrimeField;

use super::verifier::public_sponge;
use super::{
    Commitment, Context, Proof, ProveOptions, Prover, Shown, Statement, Verifier, prove, verify,
};
use crate::argument::closing;
use crate::argument::schedule::cost::product_elements;
use crate::commitment::{GroupElement, blind_all, decode_point, encode_point};
use crate::error::VerifyError;
use crate::field::Fr;
use crate::protocol::key::VerifierKey;
use crate::randomness::Randomness;
use crate::statement::model::{
    Accumulator, ColumnId, Model, Port, Powers, Structure, TableId, View, Visibility,
};
use crate::statement::relations::testing::{Draft, everything};
use crate::statement::relations::{
    Division, Exact, Limbs, Map, Normalize, OneHot, Quotient, Relation, Requant, Reshape, Round,
    RowMax,
};
use crate::transcript::{ELEMENT_BYTES, Sponge, encode_field};

/// More challenges than any proof here draws.
const CHALLENGES: usize = 800;

/// A proof without a witness, under an oracle that will answer with `challenges`.
fn simulate(
    key: &VerifierKey,
    statement: &Statement,
    challenges: &[Fr],
    randomness: &mut Randomness,
) -> Proof {
    let oracle = || Sponge::of_oracle(challenges.to_vec());
    let elements = key.proof_bytes() - Proof::HEADER_BYTES;
    let (model, schedule) = (key.model(), key.schedule());
    // What is sent before the closing, by a verifier that reads zeros.
    let zeros = vec![0; elements];
    let read = Verifier::replay(key, statement, oracle(), &zeros).and_then(Verifier::steps);
    let mut bytes = Vec::new();
    for (kind, label, len) in read.unwrap().log() {
        let scalars = randomness.scalars(len / ELEMENT_BYTES);
        match (*kind, *label) {
            ("challenge", _) | (_, "protocol") => {}
            (_, "witness rows" | "pads") => bytes.extend(of_points(&scalars)),
            (_, "operand evaluations") if schedule.has_late_row() => {
                bytes.extend(of_points(&scalars))
            }
            _ => bytes.extend(scalars.iter().flat_map(encode_field)),
        }
    }
    let sums = if schedule.has_late_row() { 2 } else { 1 };
    let products = randomness.scalars(product_elements(schedule.product_count()) + sums);
    bytes.extend(products.iter().flat_map(encode_field));

    let (claims, witness, mut transcript) = Verifier::replay(key, statement, oracle(), &bytes)
        .and_then(Verifier::steps)
        .and_then(Verifier::before_closing)
        .unwrap();
    let rows = closing::Rows {
        constants: key.commitments(),
        witness: &witness,
    };
    let closing = closing::simulator::simulate(
        &claims,
        rows,
        model.answer_log2,
        &mut transcript,
        randomness,
    );
    bytes.extend(closing);
    assert_eq!(bytes.len(), elements);
    Proof::of_elements(&bytes)
}

/// Uniform points, by their logarithms to `H`.
fn of_points(scalars: &[Fr]) -> Vec<u8> {
    blind_all(scalars).iter().flat_map(encode_point).collect()
}

/// The verifier's verdict if `sponge` gives the challenges: every step of [`verify`].
pub(super) fn verdict(
    key: &VerifierKey,
    statement: &Statement,
    sponge: Sponge,
    proof: &Proof,
) -> Result<(), VerifyError> {
    assert_eq!(proof.as_bytes().len(), key.proof_bytes());
    Verifier::replay(key, statement, sponge, proof.elements()?)?
        .steps()?
        .finish()
}

fn challenges(seed: u8) -> Vec<Fr> {
    Randomness::from_seed("oracle", [seed; 32]).scalars(CHALLENGES)
}

/// That a proof of `statement` can be simulated, and is one under the programmed oracle only.
fn assert_simulated(name: &str, key: &VerifierKey, statement: &Statement) {
    assert!(key.model().hides(), "{name}");
    for seed in 0..2 {
        let mut randomness = Randomness::from_seed("simulator", [seed; 32]);
        let challenges = challenges(seed);
        let proof = simulate(key, statement, &challenges, &mut randomness);
        let oracle = Sponge::of_oracle(challenges.clone());
        assert_eq!(verdict(key, statement, oracle, &proof), Ok(()), "{name}");
        // The same steps under the hash: what they lack is the oracle.
        let hash = public_sponge(key, statement);
        assert!(verdict(key, statement, hash, &proof).is_err(), "{name}");
        assert!(verify(key, statement, &proof).is_err(), "{name}");
        let other = Sponge::of_oracle(self::challenges(seed + 100));
        assert!(verdict(key, statement, other, &proof).is_err(), "{name}");
    }
}

/// Points by their coordinates: nobody knows a content of them.
fn points(seed: u8, len: usize) -> Vec<GroupElement> {
    let mut stream = Randomness::from_seed("points", [seed; 32]);
    std::iter::repeat_with(|| decode_point(&encode_field(&stream.scalar())))
        .flatten()
        .take(len)
        .collect()
}

/// Any values in the ports' ranges, and points that nobody can open: almost surely false.
fn any_statement(model: &Model, seed: u8) -> Statement {
    let mut stream = Randomness::from_seed("statement", [seed; 32]);
    let mut shown = |port: &Port| match port.visibility {
        Visibility::Private => Shown::Private,
        Visibility::Public => {
            let (low, high) = port.range;
            let len = (high - low) as u64 + 1;
            let any = |scalar: Fr| low + (scalar.into_bigint().0[0] % len) as i64;
            Shown::Public(stream.scalars(port.len()).into_iter().map(any).collect())
        }
        Visibility::Committed => {
            let rows = Commitment::rows_of(&port.value.shape).unwrap();
            let bytes: Vec<u8> = points(seed, rows).iter().flat_map(encode_point).collect();
            Shown::Committed(Commitment::from_bytes(&bytes).unwrap())
        }
    };
    Statement {
        context: Context::default(),
        inputs: model.inputs.iter().map(&mut shown).collect(),
        outputs: model.outputs.iter().map(&mut shown).collect(),
    }
}

/// A key for constants that nobody knows: as its commitments, points that nobody can open.
fn key_without_weights(model: &Model) -> VerifierKey {
    let rows = crate::argument::schedule::Schedule::new(model)
        .unwrap()
        .rows
        .constants;
    let points = points(255, rows);
    let points = points.iter().flat_map(encode_point);
    let bytes: Vec<u8> = [9; 32].into_iter().chain(points).collect();
    VerifierKey::from_parts(model.clone(), &bytes).unwrap()
}

fn show(draft: &mut Draft, inputs: Visibility, outputs: Visibility) {
    let ports = [
        (&mut draft.model.inputs, inputs),
        (&mut draft.model.outputs, outputs),
    ];
    for (ports, visibility) in ports {
        for port in ports.to_mut() {
            port.visibility = visibility;
        }
    }
}

/// Simulates proofs by the draft's model, weights hidden, with public and private ports: for an honest statement, for false ones, and for a key
/// without weights. Inputs may be private if the model bounds them, which `bounded` says.
fn assert_zero_knowledge(name: &str, mut draft: Draft, inputs: &[Vec<i64>], bounded: bool) {
    use Visibility::{Private, Public};
    draft.run(inputs);
    let settings = [
        (Public, Public),
        (Public, Private),
        (Private, Public),
        (Private, Private),
    ];
    for (input, output) in settings {
        if input == Private && !bounded {
            continue;
        }
        show(&mut draft, input, output);
        let name = format!("{name}, {input:?} in, {output:?} out");
        let key = draft.key();
        let proven = prove(&key, inputs).unwrap();
        let key = key.verifier_key();
        assert_eq!(
            verify(key, &proven.statement, &proven.proof),
            Ok(()),
            "{name}"
        );
        assert_simulated(&name, key, &proven.statement);
        for seed in 0..2 {
            assert_simulated(&name, key, &any_statement(key.model(), seed));
        }
        let statement = any_statement(&draft.model, 7);
        assert_simulated(&name, &key_without_weights(&draft.model), &statement);
    }
}

/// A range of `2^bits` keys from zero.
fn range(draft: &mut Draft, name: &str, bits: u8) -> TableId {
    draft.table(name, 0, bits, &[])
}

/// A column's true elements, without its padding.
fn read(column: ColumnId, shape: &[u32]) -> Accumulator {
    let whole = View::identity(column, shape.len()).unwrap();
    Accumulator::zero(shape.to_vec().into()).plus_product(1, Vec::new(), vec![whole])
}

fn limbs(tables: Vec<TableId>, columns: Vec<ColumnId>) -> Limbs {
    Limbs {
        tables: tables.into(),
        columns: columns.into(),
    }
}

#[test]
fn map() {
    let mut draft = Draft::new();
    let (_, accumulator) = draft.input("x", &[6]);
    let table = draft.table("cube", -8, 4, &[|x| (x * x * x) as i32]);
    let cube = draft.witness("cube", &[6]);
    let map = Map {
        accumulator,
        table,
        mapped: vec![cube].into(),
    };
    draft.node("map", Relation::Map(map));
    draft.output("y", read(cube, &[6]), (-600, 600));
    assert_zero_knowledge("map", draft, &[vec![-4, -1, 0, 1, 2, 3]], true);
}

#[test]
fn exact() {
    let mut draft = Draft::new();
    let (x, _) = draft.input("x", &[3]);
    let w = draft.constant("w", &[5, 3], (0..15).collect());
    let output = draft.witness("y", &[5]);
    let operands = vec![View::identity(w, 2).unwrap(), View::along(x, 1).unwrap()];
    let accumulator = Accumulator::zero(vec![5].into())
        .plus_product(1, vec![3], operands)
        .plus_constant(9);
    let exact = Exact {
        accumulator,
        output,
    };
    draft.node("linear", Relation::Exact(exact));
    let value = read(output, &[5]);
    draft.output("y", value, (-100_000, 100_000));
    assert_zero_knowledge("exact", draft, &[vec![1, 10, 100]], false);
}

#[test]
fn reshape() {
    let mut draft = Draft::new();
    let (_, accumulator) = draft.input("x", &[3, 2]);
    let output = draft.witness("y", &[6]);
    let reshape = Reshape {
        accumulator,
        output,
    };
    draft.node("reshape", Relation::Reshape(reshape));
    draft.output("y", read(output, &[6]), (-100_000, 100_000));
    assert_zero_knowledge("reshape", draft, &[vec![1, 10, 100, 2, 20, 200]], false);
}

#[test]
fn one_hot() {
    let mut draft = Draft::new();
    let (_, index) = draft.input("x", &[3]);
    draft.model.inputs.to_mut()[0].range = (0, 4);
    let hot = draft.witness("hot", &[3, 5]);
    let iota = draft.structural("iota", 5, Structure::Index);
    draft.node("gather", Relation::OneHot(OneHot { index, hot, iota }));
    let value = read(hot, &[3, 5]);
    draft.output("hot", value, (0, 1));
    assert_zero_knowledge("one-hot", draft, &[vec![4, 0, 2]], true);
}

/// `y = floor((x + 2^5) / 2^6)` and `out = y^2 + 5`, the remainder in limbs of `widths`.
fn requant_draft(widths: &[u8]) -> Draft {
    let mut draft = Draft::new();
    let (_, accumulator) = draft.input("x", &[3, 5]);
    let square = draft.table("square", -64, 7, &[|y| (y * y + 5) as i32]);
    let tables: Vec<TableId> = (widths.iter().enumerate())
        .map(|(k, &width)| range(&mut draft, &format!("limb {k}"), width))
        .collect();
    let columns = (1..widths.len()).map(|k| draft.witness(&format!("column {k}"), &[3, 5]));
    let columns = columns.collect();
    let (output, mapped) = (draft.witness("y", &[3, 5]), draft.witness("out", &[3, 5]));
    let requant = Requant {
        accumulator,
        shift: 6,
        remainder: limbs(tables, columns),
        output,
        table: square,
        mapped: vec![mapped].into(),
    };
    draft.node("requant", Relation::Requant(requant));
    let value = read(mapped, &[3, 5]);
    draft.output("y", value, (-1000, 5000));
    draft
}

#[test]
fn requant() {
    let input: Vec<i64> = (0..15).map(|i| 37 * i - 260).collect();
    assert_zero_knowledge("requant", requant_draft(&[6]), &[input], true);
}

#[test]
fn limbs_of_a_remainder() {
    let input: Vec<i64> = (0..15).map(|i| 37 * i - 260).collect();
    assert_zero_knowledge("limbs", requant_draft(&[1, 2, 3]), &[input], true);
}

#[test]
fn row_max() {
    let mut draft = Draft::new();
    let shape = [2, 3, 5];
    let (_, scores) = draft.input("x", &shape);
    let row_max = RowMax {
        scores,
        max: draft.witness("max", &shape[..2]),
        max_range: draft.table("max range", -64, 7, &[]),
        table: draft.table_with(
            "exp",
            (0, 8),
            &[|key| 256 >> (key / 16)],
            Structure::First,
            1,
        ),
        exp: draft.witness("exp", &shape),
        hit: draft.witness("hit", &shape),
        count_range: range(&mut draft, "count", 3),
    };
    let value = read(row_max.exp, &shape);
    draft.node("softmax", Relation::RowMax(row_max));
    draft.output("exp", value, (0, 256));
    let input: Vec<i64> = (0..30).map(|i| (i * 37) % 61 - 30).collect();
    assert_zero_knowledge("row maximum", draft, &[input], true);
}

#[test]
fn quotient() {
    let mut draft = Draft::new();
    let (_, denominator) = draft.input("x", &[3]);
    let five = range(&mut draft, "range", 5);
    let mut two = |name: &str| limbs(vec![five, five], vec![draft.witness(name, &[3])]);
    let (quotient_limbs, remainder, slack) = (two("q low"), two("r low"), two("s low"));
    let quotient = draft.witness("q", &[3]);
    let relation = Quotient {
        numerator: 1000,
        denominator,
        quotient,
        quotient_limbs,
        remainder,
        slack,
    };
    draft.node("quotient", Relation::Quotient(relation));
    let value = read(quotient, &[3]);
    draft.output("q", value, (0, 1000));
    assert_zero_knowledge("quotient", draft, &[vec![7, 33, 900]], true);
}

#[test]
fn division() {
    let mut draft = Draft::new();
    let bounded = draft.table("signed", -1024, 11, &[]);
    let mut input = |name: &str| {
        let (column, _) = draft.input(name, &[3]);
        let accumulator = read(column, &[3]);
        let range = Relation::Map(Map {
            accumulator: accumulator.clone(),
            table: bounded,
            mapped: Vec::new().into(),
        });
        draft.node(&format!("{name}/range"), range);
        accumulator
    };
    let (numerator, divisor) = (input("n"), input("d"));
    let five = range(&mut draft, "range", 5);
    let mut two = |name: &str| limbs(vec![five, five], vec![draft.witness(name, &[3])]);
    let (quotient_limbs, remainder, slack) = (two("q low"), two("r low"), two("s low"));
    let quotient = draft.witness("q", &[3]);
    let relation = Division {
        numerator,
        divisor,
        quotient,
        least: -500,
        quotient_limbs,
        remainder,
        slack,
    };
    draft.node("division", Relation::Division(relation));
    let value = read(quotient, &[3]);
    draft.output("q", value, (-500, 500));
    let inputs = [vec![-700, 33, 900], vec![2, 7, 1000]];
    assert_zero_knowledge("division", draft, &inputs, true);
}

#[test]
fn rounding_to_more_than_a_table() {
    let mut draft = Draft::new();
    let (column, accumulator) = draft.input("x", &[3]);
    let (nibble, byte) = (range(&mut draft, "nibble", 4), range(&mut draft, "byte", 8));
    let relation = Round {
        accumulator: Accumulator::zero(accumulator.shape).plus_column(100, column),
        shift: 4,
        remainder: limbs(vec![nibble], vec![]),
        output: draft.witness("y", &[3]),
        least: -8192,
        range: limbs(
            vec![nibble, byte, nibble],
            vec![draft.witness("low", &[3]), draft.witness("middle", &[3])],
        ),
    };
    let value = read(relation.output, &[3]);
    bound(&mut draft, column);
    draft.node("round", Relation::Round(relation));
    draft.output("y", value, (-8192, 8191));
    assert_zero_knowledge("round", draft, &[vec![-700, 33, 900]], true);
}

#[test]
fn normalization_with_a_barred_table() {
    let mut draft = Draft::new();
    let (column, _) = draft.input("x", &[3]);
    let power = Structure::Powers(Powers { step: 1, last: 6 });
    let exponents = draft.table_with("exponents", (0, 3), &[], power, 0);
    let table = draft.table("reciprocal", -16, 5, &[|m| 1024 / (m as i32 + 16).max(1)]);
    draft.bar(table, |m| m < 0);
    let (five, three) = (range(&mut draft, "length", 5), range(&mut draft, "limb", 3));
    let view = View::identity(column, 1).unwrap();
    let relation = Normalize {
        accumulator: Accumulator::zero(vec![3].into()).plus_product(16, vec![], vec![view]),
        octaves: 1,
        exponent: draft.witness("e", &[3]),
        exponents,
        power: draft.witness("power", &[3]),
        times: 1,
        factors: vec![].into(),
        shift: 6,
        remainder: limbs(vec![three, three], vec![draft.witness("low", &[3])]),
        mantissa: draft.witness("m", &[3]),
        table,
        mapped: vec![draft.witness("y", &[3])].into(),
        range: five,
    };
    let value = read(relation.mapped[0], &[3]);
    bound(&mut draft, column);
    draft.node("normalize", Relation::Normalize(relation));
    draft.output("y", value, (0, 64));
    assert_zero_knowledge("normalize", draft, &[vec![1, 100, 37]], true);
}

/// Looks a hidden input of three elements up.
fn bound(draft: &mut Draft, column: ColumnId) {
    let table = draft.table("signed", -1024, 11, &[]);
    let map = Map {
        accumulator: Accumulator::of_column(vec![3].into(), column),
        table,
        mapped: vec![].into(),
    };
    draft.node("bound", Relation::Map(map));
}

#[test]
fn a_whole_model() {
    assert_zero_knowledge("everything", everything(), &[vec![4, 0, 2]], true);
}

#[test]
fn public_weights_and_committed_ports() {
    let mut draft = everything();
    draft.model.weights = Visibility::Public;
    show(&mut draft, Visibility::Private, Visibility::Private);
    let key = draft.key();
    let statement = any_statement(&draft.model, 0);
    assert_simulated("public weights", key.verifier_key(), &statement);

    // The tokens are committed: to a point that nobody can open, to begin with.
    draft.model.weights = Visibility::Private;
    draft.model.inputs.to_mut()[0].visibility = Visibility::Committed;
    draft.model.outputs.to_mut()[0].visibility = Visibility::Public;
    let key = draft.key();
    let proven = prove(&key, &[vec![4, 0, 2]]).unwrap();
    assert_simulated("committed", key.verifier_key(), &proven.statement);
    for seed in 0..4 {
        let statement = any_statement(&draft.model, seed);
        assert_simulated("committed", key.verifier_key(), &statement);
    }
}

#[test]
fn every_challenge_counts() {
    let mut draft = everything();
    show(&mut draft, Visibility::Private, Visibility::Public);
    let key = key_without_weights(&draft.model);
    let statement = any_statement(&draft.model, 1);
    let mut challenges = challenges(1);
    let mut randomness = Randomness::from_seed("simulator", [1; 32]);
    let proof = simulate(&key, &statement, &challenges, &mut randomness);
    let oracle = Sponge::of_oracle(challenges.clone());
    let replay = Verifier::replay(&key, &statement, oracle, proof.elements().unwrap());
    let sponge = replay
        .and_then(Verifier::steps)
        .and_then(Verifier::close)
        .unwrap();
    // The last challenge, which batches the checks, may be any.
    let drawn = sponge.drawn().len() - 1;
    for at in 0..drawn {
        challenges[at] += Fr::from(1u64);
        let oracle = Sponge::of_oracle(challenges.clone());
        let rejected = verdict(&key, &statement, oracle, &proof).is_err();
        assert!(rejected, "challenge {at} does not count");
        challenges[at] -= Fr::from(1u64);
    }
    challenges[drawn..]
        .iter_mut()
        .for_each(|challenge| *challenge += Fr::from(1u64));
    let oracle = Sponge::of_oracle(challenges);
    assert_eq!(verdict(&key, &statement, oracle, &proof), Ok(()));
}

#[test]
fn an_honest_proof_does_not_depend_on_where_challenges_come_from() {
    let draft = everything();
    let key = draft.key();
    let randomness = Randomness::from_seed("test", [1; 32]);
    let mut prover =
        Prover::start_seeded(&key, &[vec![4, 0, 2]], &ProveOptions::default(), randomness).unwrap();
    let oracle = Sponge::of_oracle(challenges(1));
    prover.set_sponge(oracle.clone());
    let proven = prover.steps().finish();
    let key = key.verifier_key();
    assert_eq!(
        verdict(key, &proven.statement, oracle, &proven.proof),
        Ok(())
    );
    assert!(verify(key, &proven.statement, &proven.proof).is_err());
    // A false statement has no honest proof: an oracle that cannot be programmed after the fact does not help.
    let mut forged = proven.statement.clone();
    if let Shown::Public(integers) = &mut forged.outputs[0] {
        integers[0] += 1;
    }
    let oracle = Sponge::of_oracle(challenges(1));
    assert!(verdict(key, &forged, oracle, &proven.proof).is_err());
}
