//! The prover's steps. Each takes what the one before it gives: no step can be left out, or taken twice.

use ark_ff::Zero;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::coefficients::{Coefficients, Fingerprint};
use super::commitment::{Blinding, Commitment, OpeningSeed, commit_padded};
use super::fractions::Fractions;
use super::key::ProverKey;
use super::proof::Proof;
use super::statement::{Context, Shown, Statement};
use super::verifier::{Verifier, public_sponge};
use crate::argument::opening::gather;
use crate::argument::schedule::{Challenges, Schedule};
use crate::argument::{closing, contraction, logup, opening};
use crate::commitment::{Generators, GroupElement, add_all, commit_rows, encode_point};
use crate::error::ProveError;
use crate::field::Fr;
use crate::randomness::Randomness;
use crate::statement::model::{Model, Port, Visibility};
use crate::transcript::{ProverTranscript, Sponge};
use crate::witness::trace::{self, Trace};

/// A proof in the making, after the step `Step`.
pub struct Prover<'k, Step = Started> {
    session: Session<'k>,
    step: Step,
}

/// What all steps need.
struct Session<'k> {
    key: &'k ProverKey,
    trace: Trace,
    outputs: Vec<Vec<i64>>,
    statement: Statement,
    openings: Vec<CommitmentOpening>,
    /// The transcript before the first message.
    public: Sponge,
    /// Of the system, until it is mixed with what it is to hide; none if nothing is hidden.
    randomness: Option<Randomness>,
    transcript: ProverTranscript,
}

/// The model was run; nothing is sent.
pub struct Started {
    /// Of the rows in the statement, by committed port.
    shown_blinders: Zeroizing<Vec<Vec<Fr>>>,
}

/// The witness is committed to.
pub struct Committed {
    /// Of the witness' rows.
    blinders: Zeroizing<Vec<Fr>>,
    fingerprint: Fingerprint,
}

/// Lookups are reduced to a claim on their leaves.
pub struct Reduced {
    blinders: Zeroizing<Vec<Fr>>,
    fingerprint: Fingerprint,
    challenges: Challenges,
}

/// Products are reduced to claims on their operands: all claims that are left are linear.
pub struct Contracted {
    blinders: Zeroizing<Vec<Fr>>,
    challenges: Challenges,
    /// Factor of each claim.
    coefficients: Vec<Fr>,
}

/// All claims are reduced to one row, and to equations in what is hidden.
pub struct Opened {
    closed: bool,
}

/// What a prover may choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProveOptions<'a> {
    /// What the proof is made for.
    pub context: Context,
    /// Blindings of committed ports, by name. Those of the others are fresh.
    pub blindings: &'a [(&'a str, Blinding)],
}

/// What opens a committed port, and nothing else: keep it with the tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentOpening {
    /// ONNX name of the port.
    pub port: String,
    /// The tensor's shape.
    pub shape: Vec<u32>,
    /// Its integers, row-major.
    pub integers: Vec<i64>,
    /// What opens its commitment.
    pub seed: OpeningSeed,
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
    pub openings: Vec<CommitmentOpening>,
}

impl<'k> Prover<'k> {
    /// Runs the model on `inputs` and binds the transcript to the model and to what is public.
    ///
    /// # Errors
    /// [`ProveError`] when the inputs do not fit the model, a value leaves its calibrated range, or a blinding is not that of a committed port.
    pub fn start(
        key: &'k ProverKey,
        inputs: &[Vec<i64>],
        options: &ProveOptions,
    ) -> Result<Self, ProveError> {
        Self::start_seeded(key, inputs, options, Randomness::from_system())
    }

    /// As [`Self::start`], with this randomness.
    pub(super) fn start_seeded(
        key: &'k ProverKey,
        inputs: &[Vec<i64>],
        options: &ProveOptions,
        randomness: Randomness,
    ) -> Result<Self, ProveError> {
        let _span = tracing::info_span!(target: "zkiln", "witness").entered();
        let model = key.verifier_key().model();
        for (name, _) in options.blindings {
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
        Ok(Self::of_trace(
            key, trace, inputs, outputs, options, randomness,
        ))
    }

    /// Starts from a trace and its ports' values.
    pub(super) fn of_trace(
        key: &'k ProverKey,
        trace: Trace,
        inputs: &[Vec<i64>],
        outputs: Vec<Vec<i64>>,
        options: &ProveOptions,
        randomness: Randomness,
    ) -> Self {
        let model = key.verifier_key().model();
        let mut openings = Vec::new();
        let mut shown_blinders = Zeroizing::new(Vec::new());
        let mut show = |port: &Port, integers: &Vec<i64>| match port.visibility {
            Visibility::Public => Shown::Public(integers.clone()),
            Visibility::Private => Shown::Private,
            Visibility::Committed => {
                let given = options
                    .blindings
                    .iter()
                    .find(|(name, _)| port.name == *name);
                let blinding =
                    given.map_or_else(Blinding::random, |(_, blinding)| blinding.clone());
                let column = port.column().expect("a committed port is one column");
                let shape = &port.value.shape;
                let rows = commit_padded(shape, trace.column(column));
                let seed = blinding.opening_seed(shape, &rows);
                let factors = seed.factors(shape, rows.len());
                openings.push(CommitmentOpening {
                    port: port.name.to_string(),
                    shape: shape.to_vec(),
                    integers: integers.clone(),
                    seed,
                });
                let commitment = Commitment::blinded(&rows, &factors);
                shown_blinders.push(factors);
                Shown::Committed(commitment)
            }
        };
        let mut show_all = |ports: &[Port], values: &[Vec<i64>]| {
            let ports = ports.iter().zip(values);
            ports.map(|(port, v)| show(port, v)).collect()
        };
        let statement = Statement {
            context: options.context,
            inputs: show_all(&model.inputs, inputs),
            outputs: show_all(&model.outputs, &outputs),
        };
        let public = public_sponge(key.verifier_key(), &statement);
        let session = Session {
            transcript: ProverTranscript::new(public.clone()),
            public,
            randomness: model.hides().then_some(randomness),
            key,
            trace,
            outputs,
            statement,
            openings,
        };
        Self {
            session,
            step: Started { shown_blinders },
        }
    }

    /// All steps but the last.
    pub fn steps(self) -> Prover<'k, Opened> {
        self.steps_with(Prover::lookups)
    }

    /// All steps but the last, with another way to prove the lookups.
    pub(super) fn steps_with(
        self,
        lookups: impl FnOnce(Prover<'k, Committed>) -> Prover<'k, Reduced>,
    ) -> Prover<'k, Opened> {
        lookups(self.commit()).contractions().opening()
    }

    /// Commits to every witness column but those in the statement, and to the pads of what is to come.
    pub fn commit(self) -> Prover<'k, Committed> {
        let _span = tracing::info_span!(target: "zkiln", "commit").entered();
        let Self { mut session, step } = self;
        let (model, schedule) = session.model_and_schedule();
        let row = 1usize << model.row_log2;
        let generators = Generators::derive(row);
        let (layout, trace) = (&schedule.rows, &session.trace);
        let spans: Vec<_> = layout.witness_spans(&schedule.shown).collect();
        let rows: Vec<Vec<GroupElement>> = spans
            .par_iter()
            .filter(|(_, shown)| shown.is_none())
            .map(|(span, _)| {
                let values = gather::all(layout, span, row, trace);
                commit_rows(&generators, &values, row)
            })
            .collect();
        let mut rows = rows.concat();
        session.hide(&rows);
        let mut fresh = Zeroizing::new(vec![Fr::zero(); rows.len()]);
        if let Some((blinders, blindings)) = session.transcript.blinds(rows.len()) {
            rows = add_all(&rows, &blindings);
            fresh = blinders;
        }
        session.transcript.send_points("witness rows", &rows);
        session.transcript.send_pads(schedule.pads(model), row);
        // In the order of the rows, with those of the statement among them.
        let mut fresh = fresh.iter().copied();
        let mut blinders = Zeroizing::new(Vec::with_capacity(layout.witness));
        for (span, shown) in spans {
            match shown {
                Some(place) => blinders.extend_from_slice(&step.shown_blinders[place]),
                None => blinders.extend(fresh.by_ref().take(span.len)),
            }
        }
        let fingerprint = Fingerprint {
            alpha: session.transcript.sponge.challenge("alpha"),
            beta: session.transcript.sponge.challenge("beta"),
        };
        session.after(Committed {
            blinders,
            fingerprint,
        })
    }
}

impl<'k> Prover<'k, Committed> {
    /// Proves that every lookup is a row of its table, up to a claim on the leaves.
    pub fn lookups(self) -> Prover<'k, Reduced> {
        self.lookups_by(|fractions, index, out| fractions.of_keys(index, out))
    }

    /// Proves the lookups with the denominators that `lookup` appends for each.
    pub(super) fn lookups_by(
        self,
        lookup: impl Fn(&Fractions, usize, &mut Vec<Fr>),
    ) -> Prover<'k, Reduced> {
        let _span = tracing::info_span!(target: "zkiln", "lookups").entered();
        let Self { mut session, step } = self;
        let (model, schedule) = session.model_and_schedule();
        let (numerators, denominators) = {
            let _span = tracing::info_span!(target: "zkiln", "lookups/leaves").entered();
            Fractions::new(model, schedule, &session.trace, step.fingerprint).leaves(lookup)
        };
        let leaves = logup::Leaves {
            len_log2: schedule.leaves.len_log2,
            unit: schedule.leaves.unit,
            numerators: &numerators,
            denominators,
        };
        let claim = logup::prove(leaves, &mut session.transcript);
        let tau = session
            .transcript
            .sponge
            .challenges("tau", schedule.tau_len);
        session.after(Reduced {
            blinders: step.blinders,
            fingerprint: step.fingerprint,
            challenges: Challenges::new(claim.point, tau),
        })
    }
}

impl<'k> Prover<'k, Reduced> {
    /// Proves the products in the one equation, up to claims on their operands.
    pub fn contractions(self) -> Prover<'k, Contracted> {
        let _span = tracing::info_span!(target: "zkiln", "contractions").entered();
        let Self { mut session, step } = self;
        let (model, schedule) = session.model_and_schedule();
        let mut challenges = step.challenges;
        let eta = session.transcript.sponge.challenge("eta");
        let coefficients = Coefficients::new(model, schedule, step.fingerprint, &challenges, eta)
            .expect("the key is well-formed");
        let [products, mut linear] = coefficients
            .factors(&challenges)
            .expect("the key is well-formed");
        let part = opening::linear_value(model, schedule, &session.trace, &linear, &challenges);
        session.transcript.send("linear part", &[part]);
        contraction::prove(
            schedule,
            &session.trace,
            &products,
            &mut challenges,
            &mut session.transcript,
        );
        let gamma = session.transcript.sponge.challenge("gamma");
        let powers = std::iter::successors(Some(gamma), |power| Some(*power * gamma));
        linear.extend(powers.take(schedule.operand_count()));
        session.after(Contracted {
            blinders: step.blinders,
            challenges,
            coefficients: linear,
        })
    }
}

impl<'k> Prover<'k, Contracted> {
    /// Opens every claim that is left.
    pub fn opening(self) -> Prover<'k, Opened> {
        let _span = tracing::info_span!(target: "zkiln", "opening").entered();
        let Self { mut session, step } = self;
        let (model, schedule) = session.model_and_schedule();
        let claims = opening::BatchedClaims {
            model,
            schedule,
            coefficients: &step.coefficients,
            challenges: &step.challenges,
        };
        let blinders = [session.key.blinders(), &step.blinders];
        opening::prove(&claims, &session.trace, blinders, &mut session.transcript);
        session.after(Opened { closed: false })
    }
}

impl Prover<'_, Opened> {
    /// Proves what is left, and gives the proof.
    pub fn finish(mut self) -> Proven {
        self.close();
        let session = self.session;
        Proven {
            outputs: session.outputs,
            statement: session.statement,
            proof: Proof::of_elements(&session.transcript.finish()),
            openings: session.openings,
        }
    }

    /// Proves the equations in what was not sent as it is, once.
    pub(super) fn close(&mut self) {
        if std::mem::replace(&mut self.step.closed, true) {
            return;
        }
        let _span = tracing::info_span!(target: "zkiln", "closing").entered();
        let session = &mut self.session;
        let key = session.key.verifier_key();
        let answer_log2 = key.model().answer_log2;
        let Some(mut randomness) = session.transcript.take_randomness() else {
            return closing::prove_clear(answer_log2, &mut session.transcript);
        };
        let public = session.public.clone();
        let len = key.schedule().answer_len(key.model());
        let (mask, claims) = rayon::join(
            || closing::Mask::new(len, &mut randomness),
            || {
                Verifier::replay(key, &session.statement, public, session.transcript.sent())
                    .and_then(Verifier::steps)
                    .expect("the verifier reads what was sent")
                    .claims()
            },
        );
        closing::prove(
            &claims,
            &mask,
            answer_log2,
            &mut randomness,
            &mut session.transcript,
        );
    }
}

impl<'k> Session<'k> {
    /// The prover after `step`.
    fn after<Step>(self, step: Step) -> Prover<'k, Step> {
        Prover {
            session: self,
            step,
        }
    }

    /// Hides what is sent from here on, if anything is to be hidden. Randomness is that of the system, of the key's secret, of what is public, and of the
    /// witness, through its rows' commitments without blinding: where the system gives the same twice, no two proofs share a factor, unless they are
    /// the same.
    fn hide(&mut self, rows: &[GroupElement]) {
        let Some(randomness) = self.randomness.take() else {
            return;
        };
        let witness = Zeroizing::new(rows.iter().flat_map(encode_point).collect::<Vec<u8>>());
        let secret = Zeroizing::new(self.key.blinding().to_bytes());
        let public = self.transcript.sponge.state();
        let hedged = randomness.hedged(&[&*secret, public, &witness]);
        self.transcript.hide(hedged);
    }

    fn model_and_schedule(&self) -> (&'k Model, &'k Schedule) {
        let key = self.key.verifier_key();
        (key.model(), key.schedule())
    }
}

#[cfg(test)]
impl Prover<'_> {
    /// Draws all challenges from this sponge, such as a programmed oracle.
    pub(super) fn set_sponge(&mut self, sponge: Sponge) {
        self.session.transcript.sponge = sponge.clone();
        self.session.public = sponge;
    }
}

#[cfg(test)]
impl<Step> Prover<'_, Step> {
    pub(super) fn statement(&self) -> &Statement {
        &self.session.statement
    }

    pub(super) fn transcript(&mut self) -> &mut ProverTranscript {
        &mut self.session.transcript
    }
}
