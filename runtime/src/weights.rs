//! The side file of a generated module: the data of all constant columns, each as narrow as its values.
//!
//! | bytes | meaning |
//! |---|---|
//! | 8 | magic `zkilnw2\0` |
//! | 32 | blinding of the weights' commitments |
//! | 4 | number of constant columns |
//! | 5 a column | bytes of one value (1, 2 or 4), number of values |
//! | rest | the values, column by column |
//!
//! Integers are little-endian. The file's digest stands in the generated module. The file is secret: it holds the weights, and what hides them.

use rayon::prelude::*;
use sha3::{Digest, Sha3_256};

use crate::error::ProveError;
use crate::protocol::key::WeightBlinding;
use crate::randomness::SEED_BYTES;

const MAGIC: &[u8; 8] = b"zkilnw2\0";
/// Bytes hashed at a time: leaves of a two-level tree, so that all cores share the work.
const CHUNK: usize = 1 << 20;

/// Digest of a file of any size: SHA3-256 of its length and the SHA3-256 digests of its chunks.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let chunks: Vec<[u8; 32]> = bytes
        .par_chunks(CHUNK)
        .map(|chunk| Sha3_256::digest(chunk).into())
        .collect();
    Sha3_256::new()
        .chain_update((bytes.len() as u64).to_le_bytes())
        .chain_update(chunks.concat())
        .finalize()
        .into()
}

/// The file of `columns` and what hides their commitments.
///
/// # Panics
///
/// If there are `2^32` columns or values in one of them.
pub fn encode(columns: &[Vec<i32>], blinding: &WeightBlinding) -> Vec<u8> {
    let count = |len: usize| u32::try_from(len).expect("fewer than 2^32").to_le_bytes();
    let mut file = MAGIC.to_vec();
    file.extend(blinding.to_bytes());
    file.extend(count(columns.len()));
    for column in columns {
        file.push(width(column));
        file.extend(count(column.len()));
    }
    for column in columns {
        match width(column) {
            1 => file.extend(column.iter().map(|&value| value as u8)),
            2 => file.extend(
                column
                    .iter()
                    .flat_map(|&value| (value as i16).to_le_bytes()),
            ),
            _ => file.extend(column.iter().flat_map(|&value| value.to_le_bytes())),
        }
    }
    file
}

/// Bytes that hold every value of `column`.
fn width(column: &[i32]) -> u8 {
    let (low, high) = column.iter().fold((0, 0), |(low, high), &value| {
        (value.min(low), value.max(high))
    });
    if i8::try_from(low).is_ok() && i8::try_from(high).is_ok() {
        1
    } else if i16::try_from(low).is_ok() && i16::try_from(high).is_ok() {
        2
    } else {
        4
    }
}

/// A column as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed<'a> {
    /// Bytes of a value: 1, 2 or 4.
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Packed<'a> {
    fn new(width: usize, bytes: &'a [u8]) -> Option<Self> {
        [1, 2, 4].contains(&width).then_some(Self { width, bytes })
    }

    /// The values.
    pub fn values(self) -> Vec<i32> {
        match self.width {
            1 => self
                .bytes
                .iter()
                .map(|&byte| i32::from(byte as i8))
                .collect(),
            2 => {
                let (values, _) = self.bytes.as_chunks();
                let value = |&bytes: &[u8; 2]| i32::from(i16::from_le_bytes(bytes));
                values.iter().map(value).collect()
            }
            _ => {
                let (values, _) = self.bytes.as_chunks();
                values.iter().map(|&v| i32::from_le_bytes(v)).collect()
            }
        }
    }
}

/// The columns of a file whose digest is `expected`, and their blinding. The file may be a part of the executable, or mapped into memory: nothing
/// of it is copied.
///
/// # Errors
///
/// [`ProveError::Weights`] if the file is another one, or malformed.
pub fn decode<'a>(
    file: &'a [u8],
    expected: &[u8; 32],
) -> Result<(Vec<Packed<'a>>, WeightBlinding), ProveError> {
    if digest(file) != *expected {
        return Err(ProveError::Weights("the file's digest differs".into()));
    }
    parse(file).ok_or_else(|| ProveError::Weights("the file is malformed".into()))
}

fn parse(mut file: &[u8]) -> Option<(Vec<Packed<'_>>, WeightBlinding)> {
    let file = &mut file;
    if take(file, MAGIC.len())? != MAGIC {
        return None;
    }
    let blinding = WeightBlinding::from_bytes(take(file, SEED_BYTES)?.try_into().ok()?);
    let count = length(file)?;
    let headers: Vec<(usize, usize)> = (0..count)
        .map(|_| Some((usize::from(take(file, 1)?[0]), length(file)?)))
        .collect::<Option<_>>()?;
    let columns = headers
        .into_iter()
        .map(|(width, len)| Packed::new(width, take(file, len.checked_mul(width)?)?))
        .collect::<Option<_>>()?;
    file.is_empty().then_some((columns, blinding))
}

fn take<'a>(file: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = file.split_at_checked(len)?;
    *file = tail;
    Some(head)
}

fn length(file: &mut &[u8]) -> Option<usize> {
    let bytes = take(file, 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blinding() -> WeightBlinding {
        WeightBlinding::from_bytes([4; 32])
    }

    fn columns() -> Vec<Vec<i32>> {
        vec![
            vec![],
            vec![-128, 127, 0],
            vec![-129, 5],
            vec![32767, -32768],
            vec![32768],
            vec![i32::MIN, i32::MAX],
        ]
    }

    #[test]
    fn files_roundtrip_and_are_narrow() {
        let file = encode(&columns(), &blinding());
        assert_eq!(file.len(), 44 + 6 * 5 + 3 + 4 + 4 + 4 + 8);
        let (packed, read) = decode(&file, &digest(&file)).unwrap();
        let values: Vec<Vec<i32>> = packed.into_iter().map(Packed::values).collect();
        assert_eq!((values, read), (columns(), blinding()));
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let file = encode(&columns(), &blinding());
        let expected = digest(&file);
        for i in 0..file.len() {
            let mut file = file.clone();
            file[i] ^= 1;
            assert!(matches!(
                decode(&file, &expected),
                Err(ProveError::Weights(_))
            ));
        }
    }

    #[test]
    fn malformed_files_are_errors() {
        let file = encode(&columns(), &blinding());
        for len in 0..file.len() {
            assert_eq!(parse(&file[..len]), None);
        }
        assert_eq!(parse(&[file.as_slice(), &[0]].concat()), None);
        let mut width = file;
        width[44] = 3;
        assert_eq!(parse(&width), None);
    }

    #[test]
    fn digests_bind_length_and_order_of_chunks() {
        let mut bytes = vec![0; 2 * CHUNK];
        bytes[0] = 1;
        let first = digest(&bytes);
        bytes.rotate_left(CHUNK);
        assert_ne!(first, digest(&bytes));
        assert_ne!(digest(&[]), digest(&[0]));
    }
}
