//! The prover's steps.

use ark_bn254::{Fr, G1Affine};
use ark_ff::{Field, Zero};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::commitment::{Blinding, Commitment, commit_padded};
use super::key::ProverKey;
use super::proof::Proof;
use super::scales::{Fingerprint, Scales};
use super::statement::{Shown, Statement};
use super::verifier::{Verifier, public_sponge};
use crate::argument::schedule::{BlockKind, Challenges, Schedule};
use crate::argument::{closing, contraction, logup, opening};
use crate::commitment::{Generators, add_all, commit_rows};
use crate::error::ProveError;
use crate::field::from_i64;
use crate::randomness::Randomness;
use crate::statement::model::{ColumnId, ColumnKind, Model, Port, Table, Visibility};
use crate::transcript::{ProverTranscript, Sponge};
use crate::witness::trace::{self, Trace};

/// A proof in the making.
pub struct Prover<'k> {
    key: &'k ProverKey,
    trace: Trace,
    outputs: Vec<Vec<i64>>,
    statement: Statement,
    openings: Vec<Opening>,
    /// Of the rows in the statement, by committed port.
    shown_blinders: Zeroizing<Vec<Vec<Fr>>>,
    /// Of the witness' rows.
    blinders: Zeroizing<Vec<Fr>>,
    /// The transcript before the first message.
    public: Sponge,
    transcript: ProverTranscript,
    challenges: Challenges,
    fingerprint: Fingerprint,
    scales: Vec<Fr>,
    /// The trace comes from the reference, so that every lookup is a row of its table.
    honest: bool,
}

/// What opens a committed port: keep it with the tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// ONNX name of the port.
    pub port: String,
    /// The tensor's integers, row-major.
    pub integers: Vec<i64>,
    /// The blinding of its commitment.
    pub blinding: Blinding,
}

/// A finished proof, and what the prover keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The integers of every output port, public or not.
    pub outputs: Vec<Vec<i64>>,
    /// What the verifier is told.
    pub statement: Statement,
    /// That it is true.
    pub proof: Proof,
    /// What opens the statement's commitments, in their order.
    pub openings: Vec<Opening>,
}

impl<'k> Prover<'k> {
    /// Runs the model on `inputs` and binds the transcript to the model and to what is public. Blindings are fresh.
    ///
    /// # Errors
    /// [`ProveError`] when the inputs do not fit the model or a value leaves its calibrated range.
    pub fn start(key: &'k ProverKey, inputs: &[Vec<i64>]) -> Result<Self, ProveError> {
        Self::start_with(key, inputs, &[])
    }

    /// As [`Self::start`], with the blinding of some committed ports, by name.
    ///
    /// # Errors
    /// Also [`ProveError::Blinding`] when a name is not that of a committed port.
    pub fn start_with(
        key: &'k ProverKey,
        inputs: &[Vec<i64>],
        blindings: &[(&str, Blinding)],
    ) -> Result<Self, ProveError> {
        Self::start_seeded(key, inputs, blindings, Randomness::from_system())
    }

    /// For tests: a proof hides nothing from whoever knows its randomness.
    #[doc(hidden)]
    pub fn start_seeded(
        key: &'k ProverKey,
        inputs: &[Vec<i64>],
        blindings: &[(&str, Blinding)],
        randomness: Randomness,
    ) -> Result<Self, ProveError> {
        let _span = tracing::info_span!(target: "zkiln", "witness").entered();
        let model = key.verifier_key().model();
        for (name, _) in blindings {
            let is_committed =
                |port: &Port| port.name == *name && port.visibility == Visibility::Committed;
            if !model.ports().any(is_committed) {
                return Err(ProveError::Blinding {
                    port: (*name).to_owned(),
                });
            }
        }
        let trace = trace::run(model, key.constants(), inputs)?;
        let outputs = trace.outputs(model)?;
        Ok(Self {
            honest: true,
            ..Self::from_trace(key, trace, inputs, outputs, blindings, randomness)
        })
    }

    /// Starts from any trace and any public values, however false, and argues for them as well as can be: what a lying prover does.
    /// Slower than [`Self::start`]; for a true trace the proof is the same.
    pub fn from_trace(
        key: &'k ProverKey,
        trace: Trace,
        inputs: &[Vec<i64>],
        outputs: Vec<Vec<i64>>,
        blindings: &[(&str, Blinding)],
        randomness: Randomness,
    ) -> Self {
        let model = key.verifier_key().model();
        let mut openings = Vec::new();
        let mut shown_blinders = Vec::new();
        let mut shown = |port: &Port, integers: &Vec<i64>| match port.visibility {
            Visibility::Public => Shown::Public(integers.clone()),
            Visibility::Private => Shown::Private,
            Visibility::Committed => {
                let given = blindings.iter().find(|(name, _)| port.name == *name);
                let blinding =
                    given.map_or_else(Blinding::random, |(_, blinding)| blinding.clone());
                let column = port.column().expect("a committed port is one column");
                let rows = commit_padded(trace.column(column));
                let factors = blinding.factors(&rows);
                openings.push(Opening {
                    port: port.name.to_string(),
                    integers: integers.clone(),
                    blinding,
                });
                let commitment = Commitment::blinded(&rows, &factors);
                shown_blinders.push(factors);
                Shown::Committed(commitment)
            }
        };
        let ports = |ports: &[Port],
                     values: &[Vec<i64>],
                     shown: &mut dyn FnMut(&Port, &Vec<i64>) -> Shown| {
            ports
                .iter()
                .zip(values)
                .map(|(port, v)| shown(port, v))
                .collect()
        };
        let statement = Statement {
            inputs: ports(&model.inputs, inputs, &mut shown),
            outputs: ports(&model.outputs, &outputs, &mut shown),
        };
        let zero = Fr::zero();
        let public = public_sponge(key.verifier_key(), &statement);
        Self {
            transcript: ProverTranscript::new(public.clone(), model.hides().then_some(randomness)),
            public,
            key,
            trace,
            outputs,
            statement,
            openings,
            shown_blinders: Zeroizing::new(shown_blinders),
            blinders: Zeroizing::default(),
            challenges: Challenges::default(),
            fingerprint: Fingerprint {
                alpha: zero,
                beta: zero,
            },
            scales: Vec::new(),
            honest: false,
        }
    }

    /// Commits to every witness column but those in the statement.
    pub fn commit(&mut self) {
        let _span = tracing::info_span!(target: "zkiln", "commit").entered();
        let (model, schedule) = self.model_and_schedule();
        let row = 1usize << model.row_log2;
        let generators = Generators::derive(row);
        let witness = (0u32..)
            .map(ColumnId)
            .zip(model.columns.iter())
            .filter(|(_, column)| column.kind == ColumnKind::Witness)
            .map(|(id, _)| id);
        let columns: Vec<ColumnId> = witness.collect();
        let rows: Vec<Vec<G1Affine>> = columns
            .par_iter()
            .filter(|id| !schedule.shown.contains(id))
            .map(|&id| commit_rows(&generators, self.trace.column(id), row))
            .collect();
        let mut rows = rows.concat();
        let mut fresh = Zeroizing::new(vec![Fr::zero(); rows.len()]);
        if let Some((blinders, blindings)) = self.transcript.blinds(rows.len()) {
            rows = add_all(&rows, &blindings);
            fresh = blinders;
        }
        self.transcript.send_points("witness rows", &rows);
        // In the order of the columns, with those of the statement among them.
        let mut fresh = fresh.iter().copied();
        let mut blinders = Vec::with_capacity(schedule.witness_rows);
        for id in columns {
            let len = schedule.rows[id.0 as usize].len;
            match schedule.shown.iter().position(|shown| *shown == id) {
                Some(place) => blinders.extend_from_slice(&self.shown_blinders[place]),
                None => blinders.extend(fresh.by_ref().take(len)),
            }
        }
        self.blinders = Zeroizing::new(blinders);
        self.fingerprint.alpha = self.transcript.sponge.challenge("alpha");
        self.fingerprint.beta = self.transcript.sponge.challenge("beta");
    }

    /// Proves that every lookup is a row of its table, up to a claim on the leaves.
    pub fn lookups(&mut self) {
        let _span = tracing::info_span!(target: "zkiln", "lookups").entered();
        let (numerators, denominators) = self.fractions();
        let layout = &self.key.verifier_key().schedule().leaves;
        let leaves = logup::Leaves {
            len_log2: layout.len_log2,
            unit: layout.unit,
            numerators: &numerators,
            denominators,
        };
        let claim = logup::prove(leaves, &mut self.transcript);
        self.challenges.rho = claim.point;
        self.challenges.tau = self
            .transcript
            .sponge
            .challenges("tau", self.key.verifier_key().schedule().tau_len);
    }

    /// Proves the products in the one equation, up to claims on their operands.
    pub fn contractions(&mut self) {
        let _span = tracing::info_span!(target: "zkiln", "contractions").entered();
        let (model, schedule) = (
            self.key.verifier_key().model(),
            self.key.verifier_key().schedule(),
        );
        let eta = self.transcript.sponge.challenge("eta");
        let scales = Scales::new(model, schedule, self.fingerprint, &self.challenges, eta)
            .expect("the key is well-formed");
        let factor = |scale| {
            scales
                .factor(scale, &self.challenges)
                .expect("the key is well-formed")
        };
        let products: Vec<Fr> = schedule
            .contractions
            .iter()
            .map(|contraction| factor(&contraction.scale))
            .collect();
        let mut linear: Vec<Fr> = schedule
            .linear
            .iter()
            .map(|linear| factor(&linear.scale))
            .collect();
        let part = self.linear_part(&linear);
        self.transcript.send("linear part", &[part]);
        contraction::prove(
            schedule,
            &self.trace,
            &products,
            &mut self.challenges,
            &mut self.transcript,
        );
        let gamma = self.transcript.sponge.challenge("gamma");
        let powers = std::iter::successors(Some(gamma), |power| Some(*power * gamma));
        linear.extend(powers.take(schedule.operand_count()));
        self.scales = linear;
    }

    /// Opens every claim that is left.
    pub fn opening(&mut self) {
        let _span = tracing::info_span!(target: "zkiln", "opening").entered();
        let (model, schedule) = (
            self.key.verifier_key().model(),
            self.key.verifier_key().schedule(),
        );
        opening::prove(
            model,
            schedule,
            &self.trace,
            [self.key.blinders(), &self.blinders],
            &self.scales,
            &self.challenges,
            &mut self.transcript,
        );
    }

    /// Proves what is left, and gives the proof.
    pub fn finish(mut self) -> Proven {
        self.close();
        Proven {
            outputs: self.outputs,
            statement: self.statement,
            proof: Proof::of_elements(&self.transcript.finish()),
            openings: self.openings,
        }
    }

    /// Proves the equations in what was not sent as it is.
    pub(super) fn close(&mut self) {
        let _span = tracing::info_span!(target: "zkiln", "closing").entered();
        let Some(mut secrets) = self.transcript.take_secrets() else {
            return;
        };
        let key = self.key.verifier_key();
        let Some(mut randomness) = secrets.randomness.take() else {
            let rounds = key.model().answer_rounds();
            return closing::prove_clear(secrets, rounds, &mut self.transcript);
        };
        let public = self.public.clone();
        let lens = std::mem::take(&mut secrets.rows);
        let (masks, claims) = rayon::join(
            || closing::Masks::new(&lens, &mut randomness),
            || {
                Verifier::replay(key, &self.statement, public, self.transcript.sent())
                    .and_then(Verifier::claims)
                    .expect("the verifier reads what was sent")
            },
        );
        closing::prove(
            &claims,
            &masks,
            secrets,
            &mut randomness,
            &mut self.transcript,
        );
    }

    /// What was absorbed and drawn so far: `(kind, label, bytes)`.
    pub fn transcript_log(&self) -> &[(&'static str, &'static str, usize)] {
        self.transcript.sponge.log()
    }

    /// Value of the scaled linear summands.
    fn linear_part(&self, scales: &[Fr]) -> Fr {
        opening::linear_value(
            self.key.verifier_key().schedule(),
            &self.trace,
            scales,
            &self.challenges,
            self.row(),
        )
    }

    fn model_and_schedule(&self) -> (&'k Model, &'k Schedule) {
        let key = self.key.verifier_key();
        (key.model(), key.schedule())
    }

    fn row(&self) -> usize {
        1 << self.key.verifier_key().model().row_log2
    }

    /// Numerators of the tables' zone and denominators of all leaves.
    fn fractions(&self) -> (Vec<i64>, Vec<Fr>) {
        let _span = tracing::info_span!(target: "zkiln", "lookups/leaves").entered();
        let (model, schedule) = (
            self.key.verifier_key().model(),
            self.key.verifier_key().schedule(),
        );
        let layout = &schedule.leaves;
        let tables: Vec<Vec<Fr>> = (0u32..)
            .zip(model.tables.iter())
            .map(|(id, table)| self.table_denominators(id, table))
            .collect();
        let mut denominators = Vec::with_capacity(layout.len);
        let mut numerators = vec![0i64; layout.len - layout.unit];
        for block in &layout.blocks {
            denominators.resize(block.first, Fr::from(1u64));
            match block.kind {
                BlockKind::Lookup(index) => {
                    if self.honest {
                        let id = schedule.lookups[index].table.0 as usize;
                        let first = model.tables[id].first_key;
                        let keys = self.trace.lookup_keys(index);
                        denominators.extend(
                            keys.iter()
                                .map(|&key| tables[id][(i64::from(key) - first) as usize]),
                        );
                    } else {
                        denominators.extend(self.evaluated_denominators(index));
                    }
                }
                BlockKind::Table(id) => {
                    denominators.extend_from_slice(&tables[id.0 as usize]);
                    let multiplicities = self
                        .trace
                        .column(model.tables[id.0 as usize].multiplicities);
                    let slots =
                        &mut numerators[block.first - layout.unit..][..multiplicities.len()];
                    slots
                        .iter_mut()
                        .zip(multiplicities)
                        .for_each(|(slot, &count)| *slot = -i64::from(count));
                }
            }
        }
        (numerators, denominators)
    }

    /// `alpha - fingerprint` of a lookup, from what the trace makes of its entries: the slow path that the fast one must equal.
    fn evaluated_denominators(&self, index: usize) -> Vec<Fr> {
        let lookup = &self.key.verifier_key().schedule().lookups[index];
        let base = self.fingerprint.alpha - self.fingerprint.tag(lookup.table.0);
        let mut denominators = vec![base; 1 << lookup.entries[0].accumulator.len_log2()];
        for (power, entry) in lookup.entries.iter().enumerate() {
            let unshift = Fr::from(1u64 << entry.shift_log2)
                .inverse()
                .expect("a power of two is not zero");
            let factor = self.fingerprint.power(power) * unshift;
            let values = entry.accumulator.evaluate(&self.trace);
            denominators
                .iter_mut()
                .zip(values)
                .for_each(|(d, value)| *d -= factor * from_i64(value));
        }
        denominators
    }

    /// `alpha - fingerprint` of every row of a table.
    fn table_denominators(&self, id: u32, table: &Table) -> Vec<Fr> {
        let outputs: Vec<&[i32]> = table
            .outputs
            .iter()
            .map(|&column| self.trace.column(column))
            .collect();
        let base = self.fingerprint.alpha - self.fingerprint.tag(id) - from_i64(table.first_key);
        let row = |index: usize| {
            let terms = outputs.iter().enumerate().map(|(o, column)| {
                self.fingerprint.power(o + 1) * from_i64(i64::from(column[index]))
            });
            base - Fr::from(index as u64) - terms.sum::<Fr>()
        };
        (0..1usize << table.len_log2)
            .into_par_iter()
            .map(row)
            .collect()
    }
}

#[cfg(test)]
impl Prover<'_> {
    /// Draws all challenges from a programmed oracle. To be called before the first step.
    pub(super) fn set_oracle(&mut self, oracle: Sponge) {
        self.transcript.sponge = oracle.clone();
        self.public = oracle;
    }
}
