//! What a statement shows of its ports.

use zkiln_runtime::protocol::{Commitment, Shown};

/// The integers of every port; none for those that are not public.
pub fn public(shown: &[Shown]) -> Vec<Vec<i64>> {
    let ports = 0..shown.len();
    ports.map(|port| integers(shown, port).to_vec()).collect()
}

/// The integers of a public port; none otherwise.
pub fn integers(shown: &[Shown], port: usize) -> &[i64] {
    shown.get(port).and_then(Shown::integers).unwrap_or(&[])
}

/// The commitment to a committed port.
pub fn commitment(shown: &[Shown], port: usize) -> Option<&Commitment> {
    shown.get(port).and_then(Shown::commitment)
}
