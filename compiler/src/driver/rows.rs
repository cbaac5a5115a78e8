//! How long a model's committed rows are, and how short the answers for them: by what a proof costs.
//!
//! Longer rows are fewer points in a proof, and more work: the prover masks a row and folds the answer for it, the verifier adds as many generators.
//! A shorter answer is fewer elements, and a round of folding for each halving. [`Objective`] says what bytes are worth.

use std::ops::RangeInclusive;

use zkiln_runtime::model::{ColumnKind, Model, Visibility, shown_row_log2};
use zkiln_runtime::protocol::Proof;
use zkiln_runtime::schedule::Schedule;
use zkiln_runtime::schedule::cost::answer_rounds;
use zkiln_runtime::transcript::ELEMENT_BYTES;

use crate::options::Objective;

/// log2 of the lengths of rows; of the longest, generators and their multiples take 32 MiB.
const ROW_LOG2: RangeInclusive<u8> = 6..=14;
/// log2 of the lengths of answers: shorter ones save nothing.
const ANSWER_LOG2: RangeInclusive<u8> = 2..=10;
/// How far rows may be from those that the model has, shorter and longer, in log2.
const AROUND: (u8, u8) = (2, 3);
/// Microseconds of a core for a point in a sum with full-width scalars.
const POINT: f64 = 1.5;
/// Microseconds of a core to decompress a point.
const DECODE: f64 = 7.0;
/// Proofs that are verified for each time that a key is read.
const PROOFS_A_KEY: f64 = 4.0;
/// Microseconds of a core for a round of folding, and what its points are.
const ROUND: f64 = 2500.0;
/// Microseconds of a core for a proof, whatever its layout, and for each leaf and each value of its witness.
const PROOF: f64 = 17000.0;
const VALUE: f64 = 0.21;

/// What a layout of rows comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// log2 of a row's length.
    pub row_log2: u8,
    /// log2 of the length to which answers are folded.
    pub answer_log2: u8,
    /// Bytes of a proof.
    pub proof_bytes: usize,
    /// Microseconds of a core, of both sides.
    work: f64,
}

impl Layout {
    fn new(model: &Model, schedule: &Schedule) -> Self {
        let len = schedule.answer_len(model);
        let rounds = answer_rounds(len, model.answer_log2);
        let decoded = (schedule.committed_rows + 2 * rounds) as f64
            + schedule.rows.constants as f64 / PROOFS_A_KEY;
        // The prover: a mask, and in each round two sums that make one of the whole length. The verifier: all that it adds, once it has read
        // the key.
        let points = len * (2 + rounds) + schedule.rows.constants + schedule.rows.witness;
        let witness = model.columns.iter();
        let witness = witness.filter(|column| column.kind == ColumnKind::Witness);
        let values: f64 = witness
            .map(|column| f64::from(column.len_log2()).exp2())
            .sum();
        Self {
            row_log2: model.row_log2,
            answer_log2: model.answer_log2,
            proof_bytes: Proof::HEADER_BYTES + ELEMENT_BYTES * schedule.proof_elements(model),
            work: PROOF
                + VALUE * (values + schedule.leaves.len as f64)
                + ROUND * rounds as f64
                + POINT * points as f64
                + DECODE * decoded,
        }
    }

    /// To be small: a hundredth of the bytes is worth as many hundredths of the work as the objective says.
    fn cost(&self, objective: Objective) -> f64 {
        let worth = match objective {
            Objective::Time => 0.5,
            Objective::Size => 4.0,
        };
        self.work.ln() + worth * (self.proof_bytes as f64).ln()
    }
}

/// Layouts of a model's rows that are not much shorter or longer than they are. None of a malformed model, which is refused later.
fn layouts(model: &Model) -> Vec<Layout> {
    let committed = model
        .ports()
        .filter(|port| port.visibility == Visibility::Committed);
    let least = committed
        .map(|port| shown_row_log2(&port.value.shape))
        .max();
    let around = model.row_log2.saturating_sub(AROUND.0)..=model.row_log2.saturating_add(AROUND.1);
    let lengths = ROW_LOG2.filter(|row_log2| around.contains(row_log2) && Some(*row_log2) >= least);
    let mut layouts = Vec::new();
    let mut model = model.clone();
    for row_log2 in lengths {
        (model.row_log2, model.answer_log2) = (row_log2, row_log2);
        let Ok(schedule) = Schedule::new(&model) else {
            continue;
        };
        for answer_log2 in ANSWER_LOG2 {
            model.answer_log2 = answer_log2;
            layouts.push(Layout::new(&model, &schedule));
        }
    }
    layouts
}

/// The best layout of a model's rows; none for a malformed model.
pub fn best(model: &Model, objective: Objective) -> Option<Layout> {
    let layouts = layouts(model).into_iter();
    layouts.min_by(|a, b| a.cost(objective).total_cmp(&b.cost(objective)))
}

/// Lays a model's rows out as is best.
pub(super) fn choose(model: &mut Model, objective: Objective) {
    if let Some(layout) = best(model, objective) {
        (model.row_log2, model.answer_log2) = (layout.row_log2, layout.answer_log2);
    }
}
