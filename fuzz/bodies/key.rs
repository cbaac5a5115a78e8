//! Bytes as a verifier key, as the model in one, and as edits of a good model: what decodes has one encoding, accepts no other key's
//! proof, and takes no more memory than its size and that of its proofs account for.

use std::borrow::Cow;
use std::sync::LazyLock;

use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::model::{Accumulator, Model, Visibility};
use zkiln_runtime::protocol::{Proof, Statement, protocol_digest, verify};
use zkiln_runtime::relations::{Exact, Relation};
use zkiln_runtime::schedule::Schedule;

use crate::proof::{Known, known};
use crate::support::{Builder, Show, accumulator, everything};

static KNOWN: LazyLock<[Known; 2]> = LazyLock::new(|| [Show::Some, Show::Everything].map(known));

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(models);

/// The fixture with each visibility, in rows of two lengths, the least model, and long rows.
pub fn models() -> Vec<Model> {
    let fixture = |(row_log2, show)| everything(row_log2, show).0;
    let rows = |show| [(5, show), (if show == Show::Some { 4 } else { 1 }, show)];
    let mut models: Vec<Model> = (Show::ALL.into_iter().flat_map(rows))
        .map(fixture)
        .collect();
    models.push(tiny());
    models.push(fixture((12, Show::Some)));
    models
}

/// One input, one exact sum.
pub fn tiny() -> Model {
    let mut b = Builder::default();
    let x = b.input("x", &[3], (-8, 7));
    let y = b.witness("y", &[3]);
    let twice = accumulator(&[3], &[(2, x)], &[]);
    b.node(
        "y",
        Relation::Exact(Exact {
            accumulator: twice,
            output: y,
        }),
    );
    b.output("y", accumulator(&[3], &[(1, y)], &[]));
    b.build(1).0
}

/// Both an element of the scalar field and a point.
const ONE: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};
/// Most rows of constants that are made up.
const MAX_ROWS: usize = 1 << 12;
/// Longest proof that is made up.
const MAX_PROOF: usize = 1 << 18;

/// One input: how it is read, then what is.
pub fn run(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else {
        return;
    };
    match how % 3 {
        0 => check(data),
        1 => check(&around(data)),
        _ => check(&around(
            &postcard::to_allocvec(&edited(data)).expect("encodes"),
        )),
    }
}

/// A key's bytes around those of a model.
pub fn around(model: &[u8]) -> Vec<u8> {
    let rows = postcard::from_bytes::<Model>(model).map_or(0, |model| constant_rows(&model));
    let mut bytes = b"zkiln-k2".to_vec();
    bytes.extend(protocol_digest());
    bytes.extend((model.len() as u64).to_le_bytes());
    bytes.extend((32 * (rows as u64 + 1)).to_le_bytes());
    bytes.extend(model);
    // The nonce.
    bytes.extend([0; 32]);
    bytes.extend(ONE.repeat(rows));
    bytes
}

fn constant_rows(model: &Model) -> usize {
    let rows = Schedule::new(model).map_or(0, |schedule| schedule.rows.constants);
    rows.min(MAX_ROWS)
}

/// What holds of every key.
fn check(bytes: &[u8]) {
    let Ok(key) = VerifierKey::from_bytes(bytes) else {
        return;
    };
    assert_eq!(key.to_bytes(), bytes, "one encoding a key");
    key.security();
    for Known { key: own, proven } in KNOWN.iter() {
        if own.verifier_key().digest() != key.digest() {
            let verdict = verify(&key, &proven.statement, &proven.proof);
            assert!(verdict.is_err(), "a proof for another key");
        }
    }
    let model = key.model();
    let integers: usize = model.ports().map(|port| port.len()).sum();
    let small = key.proof_bytes() <= MAX_PROOF && integers <= MAX_PROOF;
    if small && let Some(statement) = made_up(model) {
        let true_head = KNOWN[0].proven.proof.as_bytes();
        let head = &true_head[..Proof::HEADER_BYTES];
        let elements = (key.proof_bytes() - head.len()) / 32;
        let proof = Proof::from_bytes([head, &ONE.repeat(elements)].concat());
        assert!(verify(&key, &statement, &proof).is_err(), "all ones");
    }
}

/// A statement about `model`: zeros, or the nearest that ports allow.
fn made_up(model: &Model) -> Option<Statement> {
    // No context.
    let mut bytes = vec![0];
    for port in model.ports() {
        match port.visibility {
            Visibility::Private => {}
            Visibility::Public => {
                let value = 0i64.clamp(port.range.0, port.range.1);
                bytes.extend(value.to_le_bytes().repeat(port.len()));
            }
            Visibility::Committed => {
                let log2 = port.value.len_log2().saturating_sub(8);
                bytes.extend(ONE.repeat(1 << log2));
            }
        }
    }
    Statement::from_bytes(model, &bytes).ok()
}

/// A good model after edits of eight bytes: what is done, to which, to which part of it, how; and a number.
fn edited(data: &[u8]) -> Model {
    let (&which, data) = data.split_first().unwrap_or((&0, &[]));
    let mut model = MODELS[usize::from(which) % MODELS.len()].clone();
    for edit in data.as_chunks::<8>().0 {
        let [what, to, part, how, rest @ ..] = *edit;
        let number = u32::from_le_bytes(rest);
        change(&mut model, what, [to, part, how].map(usize::from), number);
    }
    model
}

/// The entry at a place, counted round.
fn pick<'a, T: Clone>(list: &'a mut Cow<'static, [T]>, at: usize) -> Option<&'a mut T> {
    let len = list.len();
    (len > 0).then(|| &mut list.to_mut()[at % len])
}

fn accumulator_of(relation: &mut Relation) -> Option<&mut Accumulator> {
    match relation {
        Relation::Requant(relation) => Some(&mut relation.accumulator),
        Relation::Map(relation) => Some(&mut relation.accumulator),
        Relation::Exact(relation) => Some(&mut relation.accumulator),
        Relation::Reshape(relation) => Some(&mut relation.accumulator),
        Relation::RowMax(relation) => Some(&mut relation.scores),
        Relation::Quotient(relation) => Some(&mut relation.denominator),
        Relation::OneHot(relation) => Some(&mut relation.index),
        Relation::Division(relation) => Some(&mut relation.numerator),
        _ => None,
    }
}

/// Every accumulator that a model is written with.
fn accumulators(model: &mut Model) -> Vec<&mut Accumulator> {
    let nodes = model.nodes.to_mut().iter_mut();
    let nodes = nodes.filter_map(|node| accumulator_of(&mut node.relation));
    let inputs = model.inputs.to_mut().iter_mut();
    let outputs = model.outputs.to_mut().iter_mut();
    nodes
        .chain(inputs.chain(outputs).map(|port| &mut port.value))
        .collect()
}

fn change(model: &mut Model, what: u8, [to, part, how]: [usize; 3], number: u32) {
    match what % 10 {
        0 => [model.row_log2, model.answer_log2, ..] = number.to_le_bytes(),
        // An axis of one length has another, everywhere.
        1 => rename_length(model, to as u32, number),
        2 => {
            let column = pick(&mut model.columns, to).map(|column| &mut column.shape);
            if let Some(len) = column.and_then(|shape| pick(shape, part)) {
                *len = number;
            }
        }
        3 => {
            if let Some(table) = pick(&mut model.tables, to) {
                table.len_log2 = how as u8;
                table.first_key = i64::from(number as i32);
            }
        }
        4..8 => {
            let mut all = accumulators(model);
            let len = all.len();
            let Some(accumulator) = all.get_mut(to % len.max(1)) else {
                return;
            };
            if what % 10 == 4 {
                if let Some(len) = pick(&mut accumulator.shape, part) {
                    *len = number;
                }
                return;
            }
            let Some(term) = pick(&mut accumulator.terms, part % 16) else {
                return;
            };
            if what % 10 == 5 {
                if how % 2 == 0 {
                    term.summed.to_mut().push(number);
                } else if let Some(len) = pick(&mut term.summed, how) {
                    *len = number;
                }
                return;
            }
            let Some(map) = pick(&mut term.operands, part / 16)
                .and_then(|view| pick(&mut view.index, how % 16))
            else {
                return;
            };
            if what % 10 == 6 {
                map.offset = number as i32;
            } else if number >> 31 == 0 {
                map.strides.to_mut().push(((how / 16) as u8, number as i32));
            } else if let Some((_, stride)) = pick(&mut map.strides, how / 16) {
                *stride = number as i32;
            }
        }
        8 => {
            let visibility = [
                Visibility::Public,
                Visibility::Private,
                Visibility::Committed,
            ][how % 3];
            let ports = match to % 3 {
                0 => return model.weights = visibility,
                1 => &mut model.inputs,
                _ => &mut model.outputs,
            };
            if let Some(port) = pick(ports, part) {
                port.visibility = visibility;
            }
        }
        _ => {
            let node = pick(&mut model.nodes, to).map(|node| &mut node.relation);
            match node {
                Some(Relation::Requant(relation)) => relation.shift = how as u8,
                Some(Relation::Quotient(relation)) => relation.numerator = number.into(),
                Some(Relation::Division(relation)) => relation.least = number.into(),
                _ => {}
            }
        }
    }
}

fn rename_length(model: &mut Model, from: u32, to: u32) {
    let rename = |lens: &mut Cow<'static, [u32]>| {
        (lens.to_mut().iter_mut())
            .filter(|len| **len == from)
            .for_each(|len| *len = to);
    };
    for column in model.columns.to_mut() {
        rename(&mut column.shape);
    }
    for accumulator in accumulators(model) {
        rename(&mut accumulator.shape);
        for term in accumulator.terms.to_mut() {
            rename(&mut term.summed);
        }
    }
}
