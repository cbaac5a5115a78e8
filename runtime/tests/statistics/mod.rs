//! Simple statistics that would tell two populations of proofs apart, or a population from noise.
//!
//! Each is given in standard deviations from what uniform and independent elements show. The greatest of many cells counts: with some
//! `10^5` cells of one statistic, noise reaches 4.5 to 5. [`SIGMAS`] is beyond: noise gets there once in some thousand sets of seeds, and the seeds are
//! fixed.

use std::collections::HashSet;

use ark_ff::PrimeField;
use zkiln_runtime::Fr;
use zkiln_runtime::transcript::encode_field;

/// Bytes of an element.
pub const ELEMENT: usize = 32;
/// Standard deviations that noise does not reach.
pub const SIGMAS: f64 = 6.0;
/// Bytes of an element that are uniform: points and field elements lie below primes of 254 bits, and only their high bytes show it.
const UNIFORM: std::ops::Range<usize> = 2..ELEMENT;

/// The elements of one proof.
pub type Elements = Vec<[u8; ELEMENT]>;

/// All statistics: name and standard deviations.
pub fn statistics(a: &[Elements], b: &[Elements]) -> Vec<(&'static str, f64)> {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()));
    let of_each = |statistic: fn(&[Elements]) -> f64| statistic(a).max(statistic(b));
    let together = [a, b].concat();
    vec![
        ("bits of an element", bits_of_an_element(a, b)),
        ("bits of all elements", bits_of_all_elements(a, b)),
        ("bits are fair", of_each(bits_are_fair)),
        ("bytes alike", bytes_alike(a, b)),
        ("bytes are uniform", of_each(bytes_are_uniform)),
        ("mean of an element", mean_of_an_element(a, b)),
        ("equal elements", equal(together.iter().flatten().copied())),
        ("equal differences", equal_differences(&together)),
        ("neighbors", of_each(neighbors)),
        ("correlation of neighbors", of_each(correlation)),
        ("runs", of_each(runs)),
        ("collisions of words", collisions(&together)),
    ]
}

fn greatest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

/// How often each of the 256 bits is set.
fn bit_counts<'a>(elements: impl Iterator<Item = &'a [u8; ELEMENT]>) -> [f64; 256] {
    let mut counts = [0u32; 256];
    for element in elements {
        for (bit, count) in counts.iter_mut().enumerate() {
            *count += u32::from(element[bit / 8] >> (bit % 8) & 1);
        }
    }
    counts.map(f64::from)
}

/// Two counts out of `len` each: how far apart, if their probabilities are the same.
fn two_counts(a: f64, b: f64, len: f64) -> f64 {
    let probability = (a + b) / (2.0 * len);
    let variance = 2.0 * len * probability * (1.0 - probability);
    if variance == 0.0 {
        return 0.0;
    }
    (a - b).abs() / variance.sqrt()
}

/// Each bit of each element, between populations.
fn bits_of_an_element(a: &[Elements], b: &[Elements]) -> f64 {
    let cells = (0..a[0].len()).map(|at| {
        let counts = |proofs: &[Elements]| bit_counts(proofs.iter().map(|proof| &proof[at]));
        let pairs = counts(a).into_iter().zip(counts(b));
        greatest(pairs.map(|(x, y)| two_counts(x, y, a.len() as f64)))
    });
    greatest(cells)
}

/// Each bit over all elements, between populations.
fn bits_of_all_elements(a: &[Elements], b: &[Elements]) -> f64 {
    let counts = |proofs: &[Elements]| bit_counts(proofs.iter().flatten());
    let len = (a.len() * a[0].len()) as f64;
    let pairs = counts(a).into_iter().zip(counts(b));
    greatest(pairs.map(|(x, y)| two_counts(x, y, len)))
}

/// Each bit over all elements: half of them are ones.
fn bits_are_fair(proofs: &[Elements]) -> f64 {
    let len = (proofs.len() * proofs[0].len()) as f64;
    let counts = bit_counts(proofs.iter().flatten());
    let cells = counts[8 * UNIFORM.start..].iter();
    greatest(cells.map(|count| (count - len / 2.0).abs() / (len / 4.0).sqrt()))
}

fn histogram(proofs: &[Elements], byte: usize) -> [f64; 256] {
    let mut histogram = [0.0; 256];
    for element in proofs.iter().flatten() {
        histogram[usize::from(element[byte])] += 1.0;
    }
    histogram
}

/// A chi-squared sum with so many degrees of freedom, as a normal variable.
fn chi_squared(sum: f64, freedom: f64) -> f64 {
    // Wilson and Hilferty's cube root: right in the tails as well.
    let spread = 2.0 / (9.0 * freedom);
    (((sum / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()).abs()
}

/// Histograms of each byte, between populations.
fn bytes_alike(a: &[Elements], b: &[Elements]) -> f64 {
    let cells = (0..ELEMENT).map(|byte| {
        let pairs = histogram(a, byte).into_iter().zip(histogram(b, byte));
        let terms = pairs.filter(|(x, y)| x + y > 0.0);
        let terms: Vec<f64> = terms.map(|(x, y)| (x - y) * (x - y) / (x + y)).collect();
        chi_squared(terms.iter().sum(), terms.len().max(2) as f64 - 1.0)
    });
    greatest(cells)
}

/// The histogram of each byte that should be uniform.
fn bytes_are_uniform(proofs: &[Elements]) -> f64 {
    let expected = (proofs.len() * proofs[0].len()) as f64 / 256.0;
    let cells = UNIFORM.map(|byte| {
        let terms = histogram(proofs, byte).map(|count| (count - expected).powi(2) / expected);
        chi_squared(terms.iter().sum(), 255.0)
    });
    greatest(cells)
}

/// An element as a fraction of the fields' orders, which are alike; a point by its coordinate.
fn fraction(element: &[u8; ELEMENT]) -> f64 {
    let high: [u8; 8] = element[..8].try_into().unwrap();
    let order = Fr::MODULUS.0[3] as f64;
    (u64::from_be_bytes(high) & (u64::MAX >> 2)) as f64 / order
}

/// The mean of each element, between populations.
fn mean_of_an_element(a: &[Elements], b: &[Elements]) -> f64 {
    let cells = (0..a[0].len()).map(|at| {
        let sum =
            |proofs: &[Elements]| -> f64 { proofs.iter().map(|proof| fraction(&proof[at])).sum() };
        // A fraction's variance is 1/12.
        (sum(a) - sum(b)).abs() / (a.len() as f64 / 6.0).sqrt()
    });
    greatest(cells)
}

/// Infinitely far if anything comes twice.
fn equal(values: impl Iterator<Item = [u8; ELEMENT]>) -> f64 {
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(value) {
            return f64::INFINITY;
        }
    }
    0.0
}

/// Whether neighbors differ by the same in two proofs, as residues: what is masked by the same mask.
fn equal_differences(proofs: &[Elements]) -> f64 {
    let residue = |element: &[u8; ELEMENT]| Fr::from_be_bytes_mod_order(element);
    let differences = proofs.iter().flat_map(|proof| {
        let residues: Vec<Fr> = proof.iter().map(residue).collect();
        let pairs = residues.windows(2);
        pairs
            .map(|pair| encode_field(&(pair[1] - pair[0])))
            .collect::<Vec<_>>()
    });
    equal(differences)
}

/// Bits in which neighbors differ: half of them.
fn neighbors(proofs: &[Elements]) -> f64 {
    let differing = |pair: &[[u8; ELEMENT]]| -> u32 {
        let bytes = pair[0].iter().zip(&pair[1]).skip(UNIFORM.start);
        bytes.map(|(x, y)| (x ^ y).count_ones()).sum()
    };
    let pairs = proofs.iter().flat_map(|proof| proof.windows(2));
    let counts: Vec<f64> = pairs.map(|pair| f64::from(differing(pair))).collect();
    let bits = (counts.len() * 8 * UNIFORM.len()) as f64;
    (counts.iter().sum::<f64>() - bits / 2.0).abs() / (bits / 4.0).sqrt()
}

/// Correlation of neighbors' sizes, over all and at each place: a proof is a sample.
fn correlation(proofs: &[Elements]) -> f64 {
    let product =
        |pair: &[[u8; ELEMENT]]| (fraction(&pair[0]) - 0.5) * (fraction(&pair[1]) - 0.5) * 12.0;
    let places = proofs[0].len() - 1;
    let sums: Vec<f64> = (0..places)
        .map(|at| {
            proofs
                .iter()
                .map(|proof| product(&proof[at..at + 2]))
                .sum::<f64>()
        })
        .collect();
    let len = proofs.len() as f64;
    let all = sums.iter().sum::<f64>().abs() / (len * places as f64).sqrt();
    greatest(sums.iter().map(|sum| sum.abs() / len.sqrt())).max(all)
}

/// Runs of equal bits *(Wald-Wolfowitz)*: a new one begins at half of the bits.
fn runs(proofs: &[Elements]) -> f64 {
    let (mut begun, mut bits) = (0u32, 0u32);
    let bytes = proofs
        .iter()
        .flatten()
        .flat_map(|element| &element[UNIFORM]);
    let mut last = None;
    for byte in bytes {
        for bit in (0..8).map(|bit| byte >> bit & 1) {
            if let Some(last) = last.replace(bit) {
                begun += u32::from(last != bit);
                bits += 1;
            }
        }
    }
    (f64::from(begun) - f64::from(bits) / 2.0).abs() / (f64::from(bits) / 4.0).sqrt()
}

/// Equal pairs among all words of 24 bits: what a compressor would live on.
fn collisions(proofs: &[Elements]) -> f64 {
    let words = proofs.iter().flatten().flat_map(|element| {
        let words = element[UNIFORM].as_chunks::<3>().0;
        words
            .iter()
            .map(|[a, b, c]| u32::from_le_bytes([*a, *b, *c, 0]))
    });
    let mut words: Vec<u32> = words.collect();
    words.sort_unstable();
    let pairs = words.chunk_by(|x, y| x == y);
    let pairs: f64 = pairs
        .map(|equal| (equal.len() * (equal.len() - 1) / 2) as f64)
        .sum();
    let expected = words.len() as f64 * (words.len() - 1) as f64 / 2.0 / f64::from(1 << 24);
    (pairs - expected).abs() / expected.sqrt()
}
