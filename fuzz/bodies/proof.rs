//! Bytes as edits of a true proof and of its statement, and as either of them: only what is true is accepted, and nothing panics.

use std::sync::LazyLock;

use zkiln_runtime::key::ProverKey;
use zkiln_runtime::protocol::{
    Blinding, Proof, ProveOptions, Proven, Statement, prove_with, verify,
};
use zkiln_runtime::randomness::Randomness;

use crate::support::{self, Show};

/// A key and a true proof.
pub struct Known {
    /// Of the model of all relations.
    pub key: ProverKey,
    /// Always the same.
    pub proven: Proven,
}

/// Proves the model of all relations with fixed randomness.
pub fn known(show: Show) -> Known {
    let (key, inputs) = support::key(5, show);
    let ports = ["tokens", "gain"].map(|port| (port, Blinding::from_bytes([5; 32])));
    let options = ProveOptions {
        blindings: if show == Show::Some { &ports } else { &[] },
        ..ProveOptions::default()
    };
    let randomness = Randomness::from_seed("fuzz", [7; 32]);
    let proven = prove_with(&key, &inputs, &options, randomness).expect("proves");
    Known { key, proven }
}

static KNOWN: LazyLock<[Known; 2]> = LazyLock::new(|| [Show::Some, Show::Everything].map(known));

/// Applies edits of five bytes: what is done, where (two bytes), with what.
fn edit(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.as_chunks::<5>().0 {
        let [what, low, high, value, other] = *edit;
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
        let elements = bytes.len() / 32;
        match what % 8 {
            0 => bytes[at] ^= value,
            1 => bytes[at] = value,
            2 => bytes[at] = bytes[at].wrapping_add(value),
            // Whole elements after the header: swapped, copied, zeroed.
            what @ 3..6 if elements > 2 => {
                let place = |index: usize| 8 + 32 * (1 + index % (elements - 2));
                let (to, from) = (
                    place(at),
                    place(usize::from(value) + 256 * usize::from(other)),
                );
                match what {
                    3 => (0..32).for_each(|k| bytes.swap(to + k, from + k)),
                    4 => bytes.copy_within(from..from + 32, to),
                    _ => bytes[to..to + 32].fill(0),
                }
            }
            6 => bytes.truncate(at),
            _ => bytes.extend([value, other]),
        }
    }
}

/// Overwrites from a place on.
fn overwrite(bytes: &mut [u8], data: &[u8]) {
    if let Some(([low, high], data)) = data.split_first_chunk::<2>() {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
        let len = data.len().min(bytes.len() - at);
        bytes[at..at + len].copy_from_slice(&data[..len]);
    }
}

/// One input: how it is read, then what is.
pub fn run(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else {
        return;
    };
    let Known { key, proven } = &KNOWN[usize::from(how & 1)];
    let key = key.verifier_key();
    let (mut proof, mut statement) = (
        proven.proof.as_bytes().to_vec(),
        proven.statement.to_bytes(),
    );
    match (how >> 1) % 6 {
        0 => edit(&mut proof, data),
        1 => overwrite(&mut proof, data),
        2 => proof = data.to_vec(),
        3 => edit(&mut statement, data),
        4 => statement = data.to_vec(),
        _ => {
            let (first, second) = data.split_at(data.len() / 10 * 5);
            edit(&mut proof, first);
            edit(&mut statement, second);
        }
    }
    let Ok(decoded) = Statement::from_bytes(key.model(), &statement) else {
        return;
    };
    assert_eq!(decoded.to_bytes(), statement, "one encoding a statement");
    let is_true = proof == proven.proof.as_bytes() && statement == proven.statement.to_bytes();
    let verdict = verify(key, &decoded, &Proof::from_bytes(proof));
    assert_eq!(verdict.is_ok(), is_true, "{verdict:?}");
}
