//! What the order of messages is for: a prover that lies, and makes everything after its lie fit as well as can be.
//!
//! The witness has a multiplicity that counts what is not looked up. In a proof that hides, the verifier's checks are equations in what was sent, and
//! the forger goes by them. A check that ends with a message is made to hold by that message: the lie moves on to what is checked later. Where a
//! challenge did not depend on the message before it, there would be an end of it: the forger solves for a message that makes the *next* check
//! hold as well, and is honest from there on.
//!
//! Both are played under the real hash, for every message that is followed by a challenge: with the order as it is, the verifier rejects; with that
//! message and that challenge exchanged, on both sides, it accepts. [`HARMLESS`] are the pairs for which it does not, and why.

use std::collections::BTreeSet;

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field, Zero};
use sha3::{Digest, Keccak256};

use super::proof::PROTOCOL;
use super::simulator::verdict;
use super::verifier::public_sponge;
use super::{Proof, ProveOptions, Prover, Statement, Verifier};
use crate::commitment::{blinding_generator, commit_row};
use crate::field::Fr;
use crate::protocol::key::ProverKey;
use crate::randomness::Randomness;
use crate::statement::model::Visibility;
use crate::statement::relations::testing::everything;
use crate::transcript::adversary::{Lies, Message};
use crate::transcript::{Claims, Equation, Sponge};
use crate::witness::trace;

mod at_the_end;

/// Messages that a challenge follows without having to: exchanged with it, they do not give the forger anything.
const HARMLESS: [(&str, &str); 3] = [
    // Pads are fixed before the first message that is under them; the rows come before.
    ("pads", "alpha"),
    // The folded equation leaves one value that fits, before and after.
    ("answer value", "answer value"),
    // It is a multiple of the blinding generator: it cannot make up for anything else.
    ("closing sum blinder", "closing batch"),
];

/// Hidden messages and the challenges that follow them, in order of their names.
const PAIRS: [(&str, &str); 8] = [
    ("contraction round", "contraction round"),
    ("lookup.children", "lookup.lambda"),
    ("lookup.children", "lookup.leaf"),
    ("lookup.first_round", "lookup.at"),
    ("lookup.round", "lookup.at"),
    ("opened values", "opened vector"),
    ("opening round", "opening round"),
    ("operand evaluations", "gamma"),
];

/// A prover's attempt, and what its forger knows of it.
struct Attempt {
    statement: Statement,
    proof: Proof,
    /// The transcript before the first message.
    public: Sponge,
    /// The transcript after the last.
    sponge: Sponge,
    messages: Vec<Message>,
    /// Of all hidden elements.
    values: Vec<Fr>,
    /// In all hidden elements.
    equations: Vec<Equation>,
    claims: Claims,
}

/// Proves a false witness of the model of all relations.
struct Forger {
    key: ProverKey,
    /// The label of messages that both sides' hash does not see.
    ignored: Option<&'static str>,
}

impl Forger {
    /// Rows of `2^row_log2`, whose answer is folded to `2^answer_log2`.
    fn new(row_log2: u8, answer_log2: u8) -> Self {
        let mut draft = everything();
        draft.model.inputs.to_mut()[0].visibility = Visibility::Private;
        (draft.model.row_log2, draft.model.answer_log2) = (row_log2, answer_log2);
        Self {
            key: draft.key(),
            ignored: None,
        }
    }

    /// A proof of the truth.
    fn honest(&self) -> Attempt {
        self.attempt_with(&Lies::default(), None, 0)
    }

    /// A proof with these lies, by the real hash; with the message at the place `exchange` of the log behind the challenge that follows it.
    fn attempt(&self, lies: &Lies, exchange: Option<usize>) -> Attempt {
        self.attempt_with(lies, exchange, 1)
    }

    /// With a multiplicity that is `too_many`.
    fn attempt_with(&self, lies: &Lies, exchange: Option<usize>, too_many: i32) -> Attempt {
        let inputs = [vec![4, 0, 2]];
        let key = self.key.verifier_key();
        let model = key.model();
        let mut trace = trace::run(model, self.key.constants(), &inputs).unwrap();
        let outputs = trace.outputs(model).unwrap();
        let table = &model.tables[0];
        let mut counts = trace.column(table.multiplicities).to_vec();
        counts[0] += too_many;
        trace.set(table.multiplicities, counts);
        let randomness = Randomness::from_seed("test", [3; 32]);
        let options = ProveOptions::default();
        let mut prover = Prover::of_trace(&self.key, trace, &inputs, outputs, &options, randomness);
        let statement = prover.statement().clone();
        let mut public = public_sponge(key, &statement);
        if let Some(at) = exchange {
            public = public.exchanged(at);
        }
        if let Some(label) = self.ignored {
            public = public.ignoring(label);
        }
        prover.set_sponge(public.clone());
        prover.transcript().lie(lies.clone());
        let mut prover = prover.steps();
        let claims = |sent: &[u8]| {
            let replay = Verifier::replay(key, &statement, public.clone(), sent);
            replay.and_then(Verifier::steps).unwrap().claims()
        };
        let transcript = prover.transcript();
        let claims = claims(transcript.sent());
        let equations = claims.equations.clone();
        let values = transcript.hidden_values().to_vec();
        prover.close();
        let messages = prover.transcript().messages().to_vec();
        let sponge = prover.transcript().sponge.clone();
        let proof = prover.finish().proof;
        Attempt {
            statement,
            proof,
            public,
            sponge,
            messages,
            values,
            equations,
            claims,
        }
    }

    /// Whether the verifier accepts an attempt, under the attempt's order.
    fn wins(&self, attempt: &Attempt) -> bool {
        let key = self.key.verifier_key();
        let sponge = attempt.public.clone();
        verdict(key, &attempt.statement, sponge, &attempt.proof).is_ok()
    }
}

/// What an equation's left side is.
fn residual(equation: &Equation, values: &[Fr]) -> Fr {
    let at = |form: &crate::transcript::AffineForm| {
        let terms = form.terms().iter();
        form.known() + terms.map(|(v, c)| *c * values[*v as usize]).sum::<Fr>()
    };
    let products = equation.products.iter().map(|(c, a, b)| *c * at(a) * at(b));
    products.sum::<Fr>() + at(&equation.linear)
}

/// How much of its left side a unit of `variable` is, for the other `values`.
fn slope(equation: &Equation, values: &[Fr], variable: usize) -> Fr {
    let mut more = values.to_vec();
    more[variable] += Fr::ONE;
    residual(equation, &more) - residual(equation, values)
}

/// Additions to variables.
type Shifts = Vec<(usize, Fr)>;

/// The first additions to one or two of the variables `of` that make all equations hold and that `accepts`.
fn solve(
    equations: &[Equation],
    values: &[Fr],
    of: &[usize],
    accepts: impl Fn(&Shifts) -> bool,
) -> Option<Shifts> {
    let residuals: Vec<Fr> = equations.iter().map(|e| residual(e, values)).collect();
    let slope = |e: usize, v: usize| slope(&equations[e], values, v);
    let broken = residuals.iter().position(|r| !r.is_zero())?;
    let fits = |shifts: &Shifts| {
        let mut values = values.to_vec();
        shifts.iter().for_each(|(v, shift)| values[*v] += shift);
        equations.iter().all(|e| residual(e, &values).is_zero()) && accepts(shifts)
    };
    let alone = of.iter().filter_map(|&v| {
        let inverse = slope(broken, v).inverse()?;
        Some(vec![(v, -residuals[broken] * inverse)])
    });
    let pairs = of.iter().enumerate().flat_map(|(at, v)| {
        let others = of[at + 1..].iter();
        others.map(move |w| (*v, *w))
    });
    let together = pairs.filter_map(|(v, w)| {
        let mut touched = (0..equations.len()).filter(|e| !slope(*e, v).is_zero());
        let other = touched.find(|e| *e != broken)?;
        // a x + b y = -r, c x + d y = -s
        let [a, b, c, d] =
            [(broken, v), (broken, w), (other, v), (other, w)].map(|(e, v)| slope(e, v));
        let [r, s] = [residuals[broken], residuals[other]];
        let inverse = (a * d - b * c).inverse()?;
        Some(vec![
            (v, (b * s - d * r) * inverse),
            (w, (c * r - a * s) * inverse),
        ])
    });
    alone.chain(together).find(fits)
}

/// The forger's progress through a proof.
struct Progress<'f> {
    forger: &'f Forger,
    lies: Lies,
    /// With these lies.
    attempt: Attempt,
    /// Checks that were made to hold so far.
    moved: usize,
    /// Pairs that were exchanged.
    exchanged: BTreeSet<(&'static str, &'static str)>,
}

impl Progress<'_> {
    fn variables(message: &Message) -> Vec<usize> {
        let first = message.first as usize;
        (first..first + message.len).collect()
    }

    /// Adds to elements of a message: what is added to its variables, or taken from its elements' pads.
    fn with(lies: &Lies, message: &Message, shifts: &[(usize, Fr)]) -> Lies {
        let mut lies = lies.clone();
        for (variable, shift) in shifts {
            let place = (message.place, variable - message.first as usize);
            let shift = if message.is_row { *shift } else { -*shift };
            *lies.elements.entry(place).or_default() += shift;
        }
        lies
    }

    /// Exchanges a message with the challenge after it, and lies in the message to have every later check hold.
    fn exchange(&mut self, message: &Message) {
        let place = Some(message.place);
        let before = self.forger.attempt(&self.lies, place);
        let log = before.sponge.log();
        // Exchanged, the challenge comes first.
        let pair = (log[message.place + 1].1, log[message.place].1);
        let wins = |shifts: &Shifts, exchange| {
            let lies = Self::with(&self.lies, message, shifts);
            self.forger.wins(&self.forger.attempt(&lies, exchange))
        };
        let variables = Self::variables(message);
        let shifts = solve(&before.equations, &before.values, &variables, |s| {
            wins(s, place)
        });
        let shifts = shifts.unwrap_or_else(|| panic!("{pair:?} at {}", message.place));
        // The same forger, with the order as it is.
        let Attempt {
            equations, values, ..
        } = &self.attempt;
        let variables: Vec<usize> = shifts.into_iter().map(|(variable, _)| variable).collect();
        let shifts = solve(equations, values, &variables, |_| true).expect("as before");
        assert!(!wins(&shifts, None), "{pair:?} at {}", message.place);
        self.exchanged.insert(pair);
    }

    /// Lies in a message that no challenge follows, for challenges that come all the same.
    fn guess(&self, message: &Message) {
        let Attempt {
            equations, values, ..
        } = &self.attempt;
        let broken = equations
            .iter()
            .position(|e| !residual(e, values).is_zero());
        let checks = &equations[..=broken.unwrap()];
        let shifts = solve(checks, values, &Self::variables(message), |_| true);
        let lies = Self::with(&self.lies, message, &shifts.unwrap());
        assert!(
            !self.forger.wins(&self.forger.attempt(&lies, None)),
            "at {}",
            message.place
        );
    }

    /// Makes the checks that end with a message hold.
    fn move_on(&mut self, message: &Message) {
        let messages = &self.attempt.messages;
        let ended = self.attempt.equations.iter();
        let ended = ended.filter(|e| last(e, messages) <= Some(message.place));
        let ended: Vec<Equation> = ended.cloned().collect();
        let values = &self.attempt.values;
        if ended.iter().all(|e| residual(e, values).is_zero()) {
            return;
        }
        let shifts = solve(&ended, values, &Self::variables(message), |_| true);
        let shifts = shifts.unwrap_or_else(|| panic!("at {}", message.place));
        self.lies = Self::with(&self.lies, message, &shifts);
        self.attempt = self.forger.attempt(&self.lies, None);
        assert!(!self.forger.wins(&self.attempt), "at {}", message.place);
        self.moved += 1;
    }
}

/// The place of the last message in an equation; beyond all places where the opened row is in it.
fn last(equation: &Equation, messages: &[Message]) -> Option<usize> {
    let factors = equation.products.iter().flat_map(|(_, a, b)| [a, b]);
    let forms = factors.chain([&equation.linear]);
    let variables = forms.flat_map(|form| form.terms()).map(|(v, _)| *v);
    let place = |variable: u32| {
        let mut of = messages
            .iter()
            .filter(|message| (message.first..).take(message.len).any(|v| v == variable));
        of.next_back().map_or(usize::MAX, |message| message.place)
    };
    variables.map(place).max()
}

/// Goes through all hidden messages of a proof; `exchanging` them with the challenges after them, or not.
fn forge(forger: &Forger, exchanging: bool) -> Progress<'_> {
    let lies = Lies::default();
    let attempt = forger.attempt(&lies, None);
    assert!(!forger.wins(&attempt));
    let (mut messages, log) = (attempt.messages.clone(), attempt.sponge.log().to_vec());
    let closing = places(&attempt, "challenge", "closing equations")[0];
    messages.retain(|message| message.place < closing && log[message.place].1 != "pads");
    let mut progress = Progress {
        forger,
        lies,
        attempt,
        moved: 0,
        exchanged: BTreeSet::new(),
    };
    for message in &messages {
        let challenged = log[message.place + 1].0 == "challenge";
        match challenged {
            true if exchanging => progress.exchange(message),
            true => {}
            false => progress.guess(message),
        }
        progress.move_on(message);
    }
    progress
}

#[test]
fn every_challenge_depends_on_the_message_before_it() {
    let forger = Forger::new(4, 2);
    let progress = forge(&forger, true);
    assert!(progress.moved > 5);
    assert!(progress.exchanged.into_iter().eq(PAIRS));
}

/// The places of messages with this label in a log, and of challenges.
fn places(attempt: &Attempt, kind: &str, label: &str) -> Vec<usize> {
    let log = attempt.sponge.log().iter().enumerate();
    let found = log.filter(|(_, (k, l, _))| *k == kind && *l == label);
    found.map(|(place, _)| place).collect()
}

/// The challenge at a place of the log.
fn drawn(attempt: &Attempt, place: usize) -> Fr {
    let mut drawn = attempt.sponge.drawn().iter();
    drawn.find(|(at, _)| *at == place).unwrap().1
}

/// The list of a transcript, each entry with what it absorbs.
fn list(attempt: &Attempt, key: &ProverKey) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let key = key.verifier_key();
    let (statement, proof) = (&attempt.statement, &attempt.proof);
    let opened = Verifier::start(key, statement, proof).and_then(Verifier::steps);
    let sponge = opened.and_then(Verifier::close).unwrap();
    let context = statement.context.as_bytes().to_vec();
    let public = [PROTOCOL.as_bytes().to_vec(), context, key.digest().to_vec()];
    let public = [&public.concat(), &*statement.port_bytes()].concat();
    let absorbed = [&public, proof.elements().unwrap()].concat();
    let mut rest = &*absorbed;
    let mut entry = |(kind, label, len): &(&'static str, &'static str, usize)| {
        let len = if *kind == "absorb" { *len } else { 0 };
        let (head, tail) = rest.split_at(len);
        rest = tail;
        (*kind, *label, head.to_vec())
    };
    let list: Vec<_> = sponge.log().iter().map(&mut entry).collect();
    assert!(rest.is_empty());
    assert_eq!(state(&list), *sponge.state(), "the list is the transcript");
    list
}

/// The state after a list, by the formula.
fn state(list: &[(&'static str, &'static str, Vec<u8>)]) -> [u8; 32] {
    let absorbed = |(state, label, bytes): (&[u8], &str, &[u8])| {
        let len = (bytes.len() as u64).to_le_bytes();
        [state, &[0], label.as_bytes(), &len, bytes].concat()
    };
    list.iter().fold([0; 32], |state, (kind, label, bytes)| {
        let input = match *kind {
            "absorb" => absorbed((&state, label, bytes)),
            _ => [&state, [1].as_slice(), label.as_bytes()].concat(),
        };
        Keccak256::digest(input).into()
    })
}

#[test]
fn every_exchange_in_the_list_is_another_transcript() {
    let mut draft = everything();
    draft.model.inputs.to_mut()[0].visibility = Visibility::Private;
    for answer_log2 in [4, 2] {
        draft.model.answer_log2 = answer_log2;
        let forger = Forger {
            key: draft.key(),
            ignored: None,
        };
        let honest = forger.honest();
        let list = list(&honest, &forger.key);
        let expected = state(&list);
        for at in 1..list.len() {
            let mut exchanged = list.clone();
            exchanged.swap(at - 1, at);
            let same = list[at - 1] == list[at];
            assert_eq!(state(&exchanged) == expected, same, "entry {at}");
        }
        // Nothing is exchanged with a challenge that nobody looked into.
        let forged = every_pair();
        for pair in list.windows(2) {
            if (pair[0].0, pair[1].0) == ("absorb", "challenge") {
                let labels = (pair[0].1, pair[1].1);
                assert!(forged.contains(&labels), "{labels:?}");
            }
        }
    }
}

/// Every message that a challenge follows, with that challenge: forged in a test here, or harmless.
fn every_pair() -> BTreeSet<(&'static str, &'static str)> {
    let closing = [
        ("product round", "product round"),
        ("product factors", "closing products"),
        ("segment sums", "closing rows"),
        ("closing mask", "closing"),
        ("answer round", "answer round"),
    ];
    PAIRS.into_iter().chain(closing).chain(HARMLESS).collect()
}
