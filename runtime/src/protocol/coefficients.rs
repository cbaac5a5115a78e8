//! The one equation that ties lookups, zero checks and public values to columns: its factors, for both sides.

use ark_ff::{Field, One, Zero};

use super::statement::{Shown, Statement};
use crate::argument::schedule::{BlockKind, Challenges, Coefficient, Schedule, Source};
use crate::error::VerifyError;
use crate::field::{Fr, from_i64, half_power, less_than};
use crate::statement::model::{Accumulator, Model, axis_log2};
use crate::transcript::AffineForm;

/// Challenges of the fingerprints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint {
    /// Subtracted from.
    pub alpha: Fr,
    /// Base of the linear combination.
    pub beta: Fr,
}

// verify-path: begin
impl Fingerprint {
    /// `beta^3 * (table + 1)`: keeps tables apart.
    pub fn tag(&self, table: u32) -> Fr {
        self.beta.square() * self.beta * Fr::from(u64::from(table).saturating_add(1))
    }

    /// `beta^power`.
    pub fn power(&self, power: usize) -> Fr {
        self.beta.pow([power as u64])
    }
}

/// Factors of every source once `rho`, `tau` and `eta` are known.
pub(super) struct Coefficients<'a> {
    model: &'a Model,
    schedule: &'a Schedule,
    fingerprint: Fingerprint,
    /// `eq(rho's first coordinates, block)` for each block.
    blocks: Vec<Fr>,
    eta: Fr,
}

impl<'a> Coefficients<'a> {
    pub fn new(
        model: &'a Model,
        schedule: &'a Schedule,
        fingerprint: Fingerprint,
        challenges: &Challenges,
        eta: Fr,
    ) -> Result<Self, VerifyError> {
        let weigh = |block: &crate::argument::schedule::Block| {
            let high = schedule
                .leaves
                .len_log2
                .checked_sub(block.len_log2 as usize)?;
            let point = challenges.rho.get(..high)?;
            let number = block.first.checked_shr(block.len_log2)?;
            let bit = |index: usize| {
                number
                    .checked_shr(high.checked_sub(index)?.checked_sub(1)? as u32)
                    .map(|bits| bits & 1 == 1)
            };
            let factor =
                |(index, r): (usize, &Fr)| Some(if bit(index)? { *r } else { Fr::one() - r });
            point.iter().enumerate().map(factor).product::<Option<Fr>>()
        };
        let blocks = schedule
            .leaves
            .blocks
            .iter()
            .map(weigh)
            .collect::<Option<Vec<_>>>();
        let blocks = blocks.ok_or(VerifyError::Key("the leaf point is too short"))?;
        Ok(Self {
            model,
            schedule,
            fingerprint,
            blocks,
            eta,
        })
    }

    /// The equation's left side: what `linear part + contractions` must be.
    pub fn target(
        &self,
        (numerator, denominator): (&AffineForm, &AffineForm),
        challenges: &Challenges,
        statement: &Statement,
    ) -> Result<AffineForm, VerifyError> {
        let mut known_denominator = Fr::one();
        let mut known_numerator = Fr::zero();
        // len: one weight a block
        for (block, weight) in self.schedule.leaves.blocks.iter().zip(&self.blocks) {
            let constant = match block.kind {
                BlockKind::Lookup(index) => {
                    known_numerator += weight;
                    let lookup = self
                        .schedule
                        .lookups
                        .get(index)
                        .ok_or(VerifyError::Key("a block names no lookup"))?;
                    self.fingerprint.tag(lookup.table.0)
                }
                BlockKind::Table(id) => {
                    let table = self
                        .model
                        .tables
                        .get(id.0 as usize)
                        .ok_or(VerifyError::Key("a block names no table"))?;
                    let low = challenges
                        .rho
                        .len()
                        .checked_sub(usize::from(table.len_log2));
                    let point = low
                        .and_then(|low| challenges.rho.get(low..))
                        .ok_or(VerifyError::Key("the leaf point is too short"))?;
                    self.fingerprint.tag(id.0) + from_i64(table.first_key) + index_mle(point)
                }
            };
            known_denominator += *weight * (self.fingerprint.alpha - constant - Fr::one());
        }
        let mut public = Fr::zero();
        let mut power = self.eta.pow([self.schedule.zeros.len() as u64 + 2]);
        // len: statement checked
        for (port, shown) in self.model.ports().zip(statement.shown()) {
            if let Shown::Public(data) = shown {
                public += power * public_mle(&port.value, data, &challenges.tau)?;
            }
            power *= self.eta;
        }
        let known = public - known_denominator - self.eta * known_numerator;
        Ok(denominator
            .clone()
            .plus(self.eta, numerator)
            .plus_constant(known))
    }

    /// The factors of all contractions, and of all linear summands.
    pub fn factors(&self, challenges: &Challenges) -> Result<[Vec<Fr>; 2], VerifyError> {
        let contractions = self.schedule.contractions.iter();
        let products =
            contractions.map(|contraction| self.factor(&contraction.coefficient, challenges));
        let summands = self.schedule.linear.iter();
        let linear = summands.map(|linear| self.factor(&linear.coefficient, challenges));
        Ok([
            products.collect::<Result<_, _>>()?,
            linear.collect::<Result<_, _>>()?,
        ])
    }

    /// `factor(source) * integers * truncations`.
    fn factor(
        &self,
        coefficient: &Coefficient,
        challenges: &Challenges,
    ) -> Result<Fr, VerifyError> {
        let mut factor = self.source(coefficient.source)?;
        for &integer in &coefficient.integers {
            factor *= from_i64(integer);
        }
        for (point, len) in &coefficient.truncations {
            factor *= less_than(&challenges.point(point)?, *len as usize);
        }
        Ok(factor)
    }

    fn source(&self, source: Source) -> Result<Fr, VerifyError> {
        const MISSING: VerifyError = VerifyError::Key("a summand belongs to no equation");
        let block = |block: usize| self.blocks.get(block).copied().ok_or(MISSING);
        let from = |index: usize| self.eta.pow([index as u64]);
        let zeros = self.schedule.zeros.len().saturating_add(2);
        Ok(match source {
            Source::Entry { block: at, entry } => {
                let place = self.schedule.leaves.blocks.get(at).ok_or(MISSING)?;
                let BlockKind::Lookup(lookup) = place.kind else {
                    return Err(MISSING);
                };
                let entries = self
                    .schedule
                    .lookups
                    .get(lookup)
                    .map(|lookup| &lookup.entries)
                    .ok_or(MISSING)?;
                let shift = entries
                    .get(entry)
                    .map(|entry| entry.shift_log2)
                    .ok_or(MISSING)?;
                let unshift = half_power(shift.into());
                -(block(at)? * self.fingerprint.power(entry) * unshift)
            }
            Source::TableOutput { block: at, output } => {
                -(block(at)? * self.fingerprint.power(output.saturating_add(1)))
            }
            Source::Multiplicities { block: at } => -(block(at)? * self.eta),
            Source::Zero(index) => from(index.saturating_add(2)),
            Source::Port(index) => from(zeros.saturating_add(index)),
            Source::Rest(index) => {
                let ports = self.model.ports().count();
                from(zeros.saturating_add(ports).saturating_add(index))
            }
        })
    }
}

/// `sum_x x eq(point, x)`: the extension of the identity.
fn index_mle(point: &[Fr]) -> Fr {
    point.iter().fold(Fr::zero(), |acc, r| acc + acc + r)
}

/// A public tensor's extension at the last coordinates of `tau`.
fn public_mle(accumulator: &Accumulator, data: &[i64], tau: &[Fr]) -> Result<Fr, VerifyError> {
    const SHORT: VerifyError = VerifyError::Key("a port is longer than its point");
    let skip = tau
        .len()
        .checked_sub(accumulator.len_log2() as usize)
        .ok_or(SHORT)?;
    let mut rest = tau.get(skip..).ok_or(SHORT)?;
    let mut values: Vec<Fr> = data.iter().map(|&value| from_i64(value)).collect();
    // The first axis goes first: what is left is as long as the axes after it.
    for &len in accumulator.shape.iter() {
        let (point, tail) = rest
            .split_at_checked(axis_log2(len) as usize)
            .ok_or(SHORT)?;
        rest = tail;
        let inner = values
            .len()
            .checked_div(len as usize)
            .filter(|&inner| inner > 0)
            .ok_or(SHORT)?;
        let mut folded = vec![Fr::zero(); inner];
        // len: padded axis is no shorter
        for (chunk, weight) in values.chunks(inner).zip(&crate::field::eq_table(point)) {
            folded
                .iter_mut()
                // len: inner
                .zip(chunk)
                .for_each(|(sum, value)| *sum += *weight * value);
        }
        values = folded;
    }
    values.first().copied().ok_or(SHORT)
}
// verify-path: end
