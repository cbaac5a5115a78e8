use super::*;
use crate::argument::schedule::cost::lookup_elements;
use crate::transcript::Sponge;
use ark_ff::{Field, PrimeField};

/// A field element from a splitmix64 stream.
pub fn random_field(seed: &mut u64) -> Fr {
    let mut bytes = [0; 64];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&random_u64(seed).to_le_bytes());
    }
    Fr::from_le_bytes_mod_order(&bytes)
}

fn random_u64(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `unit` looked up values and a table of `table` rows with negated multiplicities.
fn lookup(unit: usize, table: usize, seed: &mut u64) -> (Vec<i64>, Vec<Fr>) {
    let rows: Vec<Fr> = (0..table).map(|_| random_field(seed)).collect();
    let mut numerators = vec![0; table];
    let mut denominators = Vec::new();
    for _ in 0..unit {
        let row = random_u64(seed) as usize % table;
        numerators[row] -= 1;
        denominators.push(rows[row]);
    }
    denominators.extend(rows);
    (numerators, denominators)
}

/// `len` fractions without unit numerators that sum to zero.
fn without_units(len: usize, seed: &mut u64) -> (Vec<i64>, Vec<Fr>) {
    let mut numerators = vec![0; len];
    let mut denominators: Vec<Fr> = (0..len).map(|_| random_field(seed)).collect();
    for i in (1..len).step_by(2) {
        let n = random_u64(seed) as i64 >> (random_u64(seed) % 63);
        numerators[i - 1] = n;
        numerators[i] = n;
        denominators[i] = -denominators[i - 1];
    }
    (numerators, denominators)
}

fn sponge() -> Sponge {
    Sponge::new("logup test")
}

fn proof_with<L: Lanes>(
    len_log2: usize,
    numerators: &[i64],
    denominators: &[Fr],
) -> (LeafClaim<Fr>, Vec<u8>) {
    let mut transcript = ProverTranscript::new(sponge());
    let leaves = Leaves {
        len_log2,
        unit: denominators.len() - numerators.len(),
        numerators,
        denominators: denominators.to_vec(),
    };
    let claim = prove_with::<L>(leaves, &mut transcript);
    (claim, transcript.finish())
}

fn check(len_log2: usize, proof: &[u8]) -> Result<LeafClaim<Fr>, VerifyError> {
    let mut transcript = VerifierTranscript::new(sponge(), proof);
    let claim = verify(len_log2, &mut transcript)?;
    transcript.finish()?;
    Ok(LeafClaim {
        point: claim.point,
        numerator: claim.numerator.value().unwrap(),
        denominator: claim.denominator.value().unwrap(),
    })
}

fn dense_leaves(len_log2: usize, numerators: &[i64], denominators: &[Fr]) -> [Vec<Fr>; 2] {
    let unit = denominators.len() - numerators.len();
    let mut p = vec![Fr::ONE; unit];
    p.extend(numerators.iter().map(|n| Fr::from(*n)));
    p.resize(1 << len_log2, Fr::ZERO);
    let mut q = denominators.to_vec();
    q.resize(1 << len_log2, Fr::ONE);
    [p, q]
}

/// The multilinear extension, most significant variable first.
fn evaluate(values: &[Fr], point: &[Fr]) -> Fr {
    let mut values = values.to_vec();
    for z in point {
        let (low, high) = values.split_at(values.len() / 2);
        values = low
            .iter()
            .zip(high)
            .map(|(l, h)| *l + *z * (*h - l))
            .collect();
    }
    values[0]
}

/// The textbook prover: dense layers, whole tables of `eq`, polynomials by evaluation and interpolation.
fn reference(len_log2: usize, leaves: [Vec<Fr>; 2]) -> (LeafClaim<Fr>, Vec<u8>) {
    let mut transcript = ProverTranscript::new(sponge());
    let halves = |values: &[Fr], odd: usize| -> Vec<Fr> {
        values.iter().skip(odd).step_by(2).copied().collect()
    };
    let mut layers = vec![leaves];
    for _ in 0..len_log2 {
        let [p, q] = layers.last().unwrap();
        let parents = (0..p.len() / 2).map(|x| {
            let (i, j) = (2 * x, 2 * x + 1);
            (p[i] * q[j] + p[j] * q[i], q[i] * q[j])
        });
        let (p, q) = parents.unzip();
        layers.push([p, q]);
    }
    let root = layers.pop().unwrap();
    if len_log2 == 0 {
        transcript.send("lookup.root", &root[1]);
        let claim = LeafClaim {
            point: vec![],
            numerator: Fr::ZERO,
            denominator: root[1][0],
        };
        return (claim, transcript.finish());
    }
    let mut point: Vec<Fr> = Vec::new();
    let mut children = [Fr::ZERO; 4];
    for vars in 0..len_log2 {
        let [p, q] = layers.pop().unwrap();
        let mut tables = [halves(&p, 0), halves(&p, 1), halves(&q, 0), halves(&q, 1)];
        let mut next = Vec::new();
        if vars > 0 {
            let lambda = transcript.sponge.challenge("lookup.lambda");
            for round in 0..vars {
                // eq of the variables above the round's one.
                let point = &point[round..];
                let h = |t: Fr| -> Fr {
                    (0..1 << point.len())
                        .map(|x| {
                            let eq: Fr = point
                                .iter()
                                .enumerate()
                                .map(|(i, z)| if x >> i & 1 == 1 { *z } else { Fr::ONE - z })
                                .product();
                            let at =
                                |table: &[Fr]| table[2 * x] + t * (table[2 * x + 1] - table[2 * x]);
                            let [p0, p1, q0, q1] = [0, 1, 2, 3].map(|i| at(&tables[i]));
                            eq * (p0 * q1 + p1 * q0 + lambda * q0 * q1)
                        })
                        .sum()
                };
                let [h0, h1, h2] = [0u64, 1, 2].map(|t| h(Fr::from(t)));
                let c = (h2 - h1.double() + h0) / Fr::from(2u64);
                if round == 0 {
                    transcript.send("lookup.first_round", &[c]);
                } else {
                    transcript.send("lookup.round", &[h1 - h0 - c, c]);
                }
                let at = transcript.sponge.challenge("lookup.at");
                for table in &mut tables {
                    *table = table
                        .chunks(2)
                        .map(|pair| pair[0] + at * (pair[1] - pair[0]))
                        .collect();
                }
                next.push(at);
            }
        }
        children = [0, 1, 2, 3].map(|i| tables[i][0]);
        transcript.send("lookup.children", &children);
        point = next;
    }
    let bit = transcript.sponge.challenge("lookup.leaf");
    let [p0, p1, q0, q1] = children;
    let claim = LeafClaim {
        point: leaf_point(point, bit),
        numerator: p0 + bit * (p1 - p0),
        denominator: q0 + bit * (q1 - q0),
    };
    (claim, transcript.finish())
}

fn agree<L: Lanes>(len_log2: usize, numerators: &[i64], denominators: &[Fr]) {
    let (claim, proof) = proof_with::<L>(len_log2, numerators, denominators);
    let leaves = dense_leaves(len_log2, numerators, denominators);
    assert_eq!(claim.numerator, evaluate(&leaves[0], &claim.point));
    assert_eq!(claim.denominator, evaluate(&leaves[1], &claim.point));
    assert_eq!(proof.len(), 32 * lookup_elements(len_log2));
    assert_eq!(check(len_log2, &proof), Ok(claim.clone()));
    assert_eq!((claim, proof), reference(len_log2, leaves));
}

/// Lengths on all sides of the boundaries between zones, chunks and layers.
fn zones<L: Lanes>() {
    let mut seed = 7;
    for (unit, table) in [
        (1, 1),
        (2, 1),
        (3, 2),
        (5, 8),
        (13, 3),
        (64, 64),
        (100, 17),
        (255, 1),
        (300, 211),
        (512, 512),
        (513, 510),
        (1000, 1),
        (1, 1000),
        (1023, 1),
        (1025, 300),
        (1500, 548),
        (1777, 333),
        (2048, 1),
        (2047, 2049),
        (3001, 1001),
        (37, 3500),
    ] {
        let (numerators, denominators) = lookup(unit, table, &mut seed);
        let least = denominators.len().next_power_of_two().ilog2() as usize;
        for len_log2 in [least, least + 1] {
            agree::<L>(len_log2, &numerators, &denominators);
        }
    }
    for len in [0, 2, 6, 14, 510, 1024, 2046, 4096] {
        let (numerators, denominators) = without_units(len, &mut seed);
        let least = len.next_power_of_two().ilog2() as usize;
        agree::<L>(least, &numerators, &denominators);
        agree::<L>(least + 2, &numerators, &denominators);
    }
    // Zero numerators of any denominators, an odd length, one leaf.
    for len in [1, 3, 777, 2501] {
        let denominators: Vec<Fr> = (0..len).map(|_| random_field(&mut seed)).collect();
        let least = denominators.len().next_power_of_two().ilog2() as usize;
        agree::<L>(least, &vec![0; len], &denominators);
        agree::<L>(least + 1, &vec![0; len], &denominators);
    }
    // Unit fractions only, in pairs of opposite sign.
    for len in [2usize, 30, 1024, 1500, 4096] {
        let mut denominators: Vec<Fr> = (0..len / 2).map(|_| random_field(&mut seed)).collect();
        denominators.extend(denominators.clone().iter().map(|d| -*d));
        let least = denominators.len().next_power_of_two().ilog2() as usize;
        agree::<L>(least, &[], &denominators);
    }
}

#[test]
fn zones_scalar() {
    zones::<Fr>();
}

/// Deep chunks, against the claim at the leaves only.
fn large<L: Lanes>() -> Vec<u8> {
    let mut seed = 11;
    let (numerators, denominators) = lookup(100_000, 33_333, &mut seed);
    let (claim, proof) = proof_with::<L>(18, &numerators, &denominators);
    assert_eq!(check(18, &proof), Ok(claim.clone()));
    let [p, q] = dense_leaves(18, &numerators, &denominators);
    assert_eq!(claim.numerator, evaluate(&p, &claim.point));
    assert_eq!(claim.denominator, evaluate(&q, &claim.point));
    proof
}

#[test]
fn large_scalar() {
    large::<Fr>();
}

#[cfg(target_arch = "x86_64")]
#[test]
fn vectors_give_the_same_proofs() {
    use crate::argument::logup::avx512::Avx512Lanes;
    if crate::field::avx512::available() {
        zones::<Avx512Lanes>();
        assert!(large::<Avx512Lanes>() == large::<Fr>());
    }
}

#[test]
fn one_leaf() {
    let denominator = Fr::from(5u64);
    let (claim, proof) = proof_with::<Fr>(0, &[0], &[denominator]);
    assert_eq!(claim.denominator, denominator);
    assert_eq!(check(0, &proof), Ok(claim));
    // One fraction is zero only if its numerator is, which the claim says.
    let (claim, _) = proof_with::<Fr>(0, &[], &[denominator]);
    assert_eq!(claim.numerator, Fr::ZERO);
}

#[test]
fn a_wrong_sum_is_rejected() {
    let mut seed = 3;
    for (unit, table) in [(3, 2), (200, 55), (2000, 48)] {
        let (mut numerators, mut denominators) = lookup(unit, table, &mut seed);
        let len_log2 = denominators.len().next_power_of_two().ilog2() as usize;
        numerators[table - 1] += 1;
        let (_, proof) = proof_with::<Fr>(len_log2, &numerators, &denominators);
        assert_eq!(check(len_log2, &proof), Err(VerifyError::Lookup));
        numerators[table - 1] -= 1;
        denominators[unit / 2] += Fr::ONE;
        let (_, proof) = proof_with::<Fr>(len_log2, &numerators, &denominators);
        assert_eq!(check(len_log2, &proof), Err(VerifyError::Lookup));
    }
}

#[test]
fn any_altered_byte_is_rejected() {
    let mut seed = 5;
    let (numerators, denominators) = lookup(20, 9, &mut seed);
    let (claim, proof) = proof_with::<Fr>(5, &numerators, &denominators);
    let [p, q] = dense_leaves(5, &numerators, &denominators);
    for at in 0..proof.len() {
        for flip in [1, 0x80] {
            let mut proof = proof.clone();
            proof[at] ^= flip;
            // The last values are bound by the claim at the leaves only.
            if let Ok(forged) = check(5, &proof) {
                assert_ne!(forged, claim);
                assert!(
                    forged.numerator != evaluate(&p, &forged.point)
                        || forged.denominator != evaluate(&q, &forged.point)
                );
            }
        }
    }
}

#[test]
fn truncated_and_extended_proofs_are_rejected() {
    let mut seed = 6;
    let (numerators, denominators) = lookup(20, 9, &mut seed);
    let (_, mut proof) = proof_with::<Fr>(5, &numerators, &denominators);
    for len in 0..proof.len() {
        assert_eq!(check(5, &proof[..len]), Err(VerifyError::Truncated));
    }
    assert_eq!(check(6, &proof), Err(VerifyError::Truncated));
    assert_eq!(check(4, &proof), Err(VerifyError::TrailingBytes));
    proof.push(0);
    assert_eq!(check(5, &proof), Err(VerifyError::TrailingBytes));
}

#[test]
fn non_canonical_values_are_rejected() {
    let mut seed = 8;
    let (numerators, denominators) = lookup(20, 9, &mut seed);
    let (_, proof) = proof_with::<Fr>(5, &numerators, &denominators);
    for element in 0..lookup_elements(5) {
        let mut proof = proof.clone();
        proof[32 * element..][..32].fill(0xff);
        assert!(matches!(
            check(5, &proof),
            Err(VerifyError::NonCanonical { .. })
        ));
    }
}

#[test]
fn soundness_counts_every_challenge() {
    for len_log2 in 0..10 {
        let (_, proof) = proof_with::<Fr>(len_log2, &[], &[]);
        let mut transcript = VerifierTranscript::new(sponge(), &proof);
        verify(len_log2, &mut transcript).unwrap();
        let terms: u64 = transcript
            .sponge
            .log()
            .iter()
            .map(|entry| match entry {
                ("challenge", "lookup.at", _) => 2,
                ("challenge", _, _) => 1,
                _ => 0,
            })
            .sum();
        assert_eq!(terms, soundness_terms(len_log2));
    }
}
