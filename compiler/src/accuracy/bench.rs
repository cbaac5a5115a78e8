//! What settings are tried on: samples, the float model's outputs, exact integer inference, and the figures that come of it.
//!
//! Ranges come from one half of the samples, errors from the other one, which is held out.

use rayon::prelude::*;
use serde::Serialize;
use zkiln_runtime::model::{ColumnKind, cube_log2};

use crate::accuracy::deviation::{Spans, Units};
use crate::accuracy::distance::{Distance, Figures, argmax};
use crate::accuracy::inference::Inference;
use crate::accuracy::trial::{Accuracy, Target, Trial, Wanted};
use crate::calibrate::ranges;
use crate::calibrate::ranges::synthetic_inputs;
use crate::error::CompileError;
use crate::graph::{NodeId, Tensor};
use crate::lower;
use crate::lower::lower_probed;
use crate::onnx::loaded::Loaded;
use crate::options::Options;
use crate::ports::Sample;
use crate::prepare::{Prepared, prepare};
use crate::program::Lowered;
use crate::settings::{Correction, Settings};
use crate::tensors::LabelledSample;

/// Samples that the search and the comparison of nodes look at.
pub const SEARCHED: usize = 32;
/// Samples that mean errors are taken from.
const FITTED: usize = 64;
/// Synthetic samples, where none are given.
const SYNTHETIC: usize = 32;
/// What a committed value costs, in lookup leaves.
const COMMIT_COST: f64 = 0.8;

/// Figures on the samples that were held out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether all that was asked for is met.
    pub met: bool,
    /// What was asked for.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// Least cosine similarity of an output, averaged over samples.
    pub reached: f64,
    /// Greatest error of an output in any sample, as [`Wanted::error`] has it; none where an integer is another one.
    pub greatest: Option<f64>,
    /// What the bits of a model that is not calibrated give on the same samples; none where nothing was searched.
    pub default: Option<Uniform>,
    /// Samples that gave the ranges.
    pub calibrated: usize,
    /// Samples that the figures are of.
    pub held_out: usize,
    /// Held-out samples that the program refuses, since a value leaves its range.
    pub refused: usize,
    /// Share of right answers, where there are labels.
    pub accuracy: Option<Accuracy>,
    /// Predicted cost in lookup leaves.
    pub cost: f64,
    /// The same bits for all nodes, cheapest first: as far as was tried.
    pub uniform: Vec<Uniform>,
    /// Every output.
    pub outputs: Vec<Line>,
    /// Every node that is compared.
    pub nodes: Vec<Line>,
}

/// The same bits for all nodes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Uniform {
    /// Bits of activations.
    pub activation_bits: u8,
    /// Bits of weights.
    pub weight_bits: u8,
    /// Predicted cost in lookup leaves.
    pub cost: f64,
    /// Least cosine similarity of an output, averaged over the samples it was tried on: fewer, where these are enough to tell.
    pub reached: f64,
    /// Greatest error of an output in any of them; none where an integer is another one.
    pub greatest: Option<f64>,
    /// Samples that the program refuses.
    pub refused: usize,
    /// Whether all that was asked for is met.
    pub met: bool,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Name.
    pub name: String,
    /// Bits of activations with which it is computed.
    pub activation_bits: u8,
    /// Its error.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One held-out sample and what the float model makes of it.
pub struct Case {
    pub inputs: Vec<Tensor>,
    pub expected: Vec<Tensor>,
    pub label: Option<Vec<usize>>,
    /// Which sample it is to [`Bench::units`].
    number: usize,
}

impl Case {
    pub fn new(
        imported: &Prepared,
        number: usize,
        sample: &LabelledSample,
    ) -> Result<Self, CompileError> {
        let inputs = tensors(&sample.inputs);
        Ok(Self {
            expected: imported.float.run(&inputs)?,
            inputs,
            label: sample.label.clone(),
            number,
        })
    }
}

/// The model and the samples to try settings on.
pub struct Bench {
    pub imported: Prepared,
    pub options: Options,
    pub calibrated: usize,
    pub cases: Vec<Case>,
    /// What the errors of every output are relative to, in every case.
    units: Vec<Units>,
    /// Some of the samples that gave the ranges.
    pub fitted: Vec<Case>,
}

fn tensors(sample: &[Sample]) -> Vec<Tensor> {
    let tensor = |t: &Sample| Tensor::new(t.shape.clone(), t.data.clone());
    sample.iter().map(tensor).collect()
}

fn sample(tensors: &[Tensor]) -> Vec<Sample> {
    let sample = |t: &Tensor| Sample {
        shape: t.shape.clone(),
        data: t.data.clone(),
    };
    tensors.iter().map(sample).collect()
}

/// How many lookup leaves a proof costs: lookups, rows of tables, committed values.
pub fn predicted_cost(lowered: &Lowered) -> f64 {
    let lookups: u64 = lowered.report.iter().map(|line| line.lookups).sum();
    let tables = lowered.model.tables.iter();
    let rows: f64 = tables.map(|table| f64::from(table.len_log2).exp2()).sum();
    let columns = lowered.model.columns.iter();
    let witness = columns.filter(|column| column.kind == ColumnKind::Witness);
    let values: f64 = witness
        .map(|column| f64::from(cube_log2(&column.shape)).exp2())
        .sum();
    lookups as f64 + rows + COMMIT_COST * values
}

impl Bench {
    pub fn new(
        source: &Loaded,
        options: &Options,
        samples: &[LabelledSample],
    ) -> Result<Self, CompileError> {
        let mut samples = samples.to_vec();
        if samples.is_empty() {
            let imported = prepare(source.clone(), options)?;
            let synthetic = synthetic_inputs(&imported.graph, SYNTHETIC);
            samples.extend(synthetic.iter().map(|inputs| LabelledSample {
                inputs: sample(inputs),
                label: None,
            }));
        }
        // By pairs, since synthetic samples are of two kinds by turns.
        let is_held_out = |number: usize| samples.len() == 1 || number % 4 >= 2;
        let is_calibrating = |number: usize| samples.len() == 1 || number % 4 < 2;
        let numbered = || samples.iter().enumerate();
        let mut options = Options {
            samples: numbered()
                .filter(|(number, _)| is_calibrating(*number) || samples.len() < 3)
                .map(|(_, sample)| sample.inputs.clone())
                .collect(),
            settings: None,
            ..options.clone()
        };
        let imported = prepare(source.clone(), &options)?;
        let cases = numbered()
            .filter(|(number, _)| is_held_out(*number) || samples.len() < 3)
            .enumerate()
            .map(|(place, (_, sample))| Case::new(&imported, place, sample))
            .collect::<Result<Vec<_>, CompileError>>()?;
        let fitted = samples
            .iter()
            .enumerate()
            .filter(|(number, _)| is_calibrating(*number))
            .take(FITTED)
            .map(|(number, sample)| Case::new(&imported, number, sample))
            .collect::<Result<_, _>>()?;
        let calibrated = std::mem::take(&mut options.samples).len();
        Ok(Self {
            fitted,
            calibrated,
            ..Self::of_cases(imported, options, cases)
        })
    }

    /// All samples are held out.
    pub fn of_cases(imported: Prepared, options: Options, cases: Vec<Case>) -> Self {
        let mut spans = Spans::of_outputs(&imported);
        for case in &cases {
            let outputs = spans.iter_mut().zip(&case.expected);
            outputs.for_each(|(span, expected)| span.add(expected));
        }
        Self {
            units: spans.iter().map(Spans::units_of_probabilities).collect(),
            fitted: Vec::new(),
            calibrated: 0,
            imported,
            options,
            cases,
        }
    }

    /// All figures of settings that gave `trial`.
    pub fn report(
        &mut self,
        settings: &Settings,
        errors: Vec<f64>,
        trial: &Trial,
        (default, uniform): (Option<Uniform>, Vec<Uniform>),
        progress: &dyn Fn(&str),
    ) -> Result<Report, CompileError> {
        progress("comparing nodes");
        let nodes = self.nodes(settings)?;
        let cost = self.cost(settings)?;
        let graph = &self.imported.graph;
        let outputs = (trial.outputs.iter().zip(&graph.outputs))
            .map(|(distance, (name, id))| Line {
                name: name.clone(),
                activation_bits: settings.bits_of(&graph.nodes[*id].name),
                figures: distance.figures(),
            })
            .collect();
        let wanted = Wanted {
            target: settings.target,
            agreement: settings.agreement,
            error: errors.iter().copied().reduce(f64::max),
        };
        let target = Target { wanted, errors };
        Ok(Report {
            met: trial.meets(&target),
            wanted,
            reached: trial.reached(),
            greatest: trial.greatest_error(),
            default,
            calibrated: self.calibrated,
            held_out: self.cases.len(),
            refused: trial.refused,
            accuracy: trial.accuracy(),
            cost,
            uniform,
            outputs,
            nodes,
        })
    }

    pub fn lower(&mut self, settings: &Settings) -> Result<Lowered, CompileError> {
        settings.apply(&mut self.imported.graph)?;
        self.options.settings = Some(settings.clone());
        lower(&self.imported.graph, &self.options, "calibrated")
    }

    pub fn cost(&mut self, settings: &Settings) -> Result<f64, CompileError> {
        Ok(predicted_cost(&self.lower(settings)?))
    }

    /// How the program does on the first `most` samples, or on fewer once that `is_enough`.
    pub fn run(
        &self,
        lowered: &Lowered,
        most: usize,
        is_enough: impl Fn(&Trial) -> bool,
    ) -> Result<Trial, CompileError> {
        let inference = Inference::new(lowered)?;
        let cases = &self.cases[..most.min(self.cases.len())];
        let mut all = Trial::default();
        for block in cases.chunks(rayon::current_num_threads().max(4)) {
            let trials: Vec<Trial> = (block.par_iter())
                .map(|case| self.judge(case, &inference))
                .collect();
            all = trials.into_iter().fold(all, Trial::and);
            if is_enough(&all) {
                break;
            }
        }
        Ok(all)
    }

    /// Puts those samples first that this program does worst on: the others are seldom looked at then.
    pub fn hardest_first(&mut self, lowered: &Lowered) -> Result<(), CompileError> {
        let inference = Inference::new(lowered)?;
        let error = |case: &Case| self.judge(case, &inference).greatest();
        let errors: Vec<f64> = self.cases.par_iter().map(error).collect();
        let mut cases: Vec<(f64, Case)> = errors.into_iter().zip(self.cases.drain(..)).collect();
        cases.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.cases = cases.into_iter().map(|(_, case)| case).collect();
        Ok(())
    }

    fn judge(&self, case: &Case, inference: &Inference) -> Trial {
        let Ok(got) = inference.run(&case.inputs) else {
            return Trial {
                refused: 1,
                ..Trial::default()
            };
        };
        let outputs = self.units.iter().zip(&got).zip(&case.expected);
        let share = |((units, got), expected): ((&Units, &Vec<f64>), &Tensor)| {
            units.deviation(case.number, got, &expected.data).share
        };
        Trial {
            errors: outputs.map(share).collect(),
            ..case.judge(&got)
        }
    }

    /// Minus every output's mean error along its last axis, on samples that gave the ranges.
    pub fn corrections(&mut self, settings: &Settings) -> Result<Vec<Correction>, CompileError> {
        let lowered = self.lower(settings)?;
        let inference = Inference::new(&lowered)?;
        let graph = &self.imported.graph;
        let mut sums: Vec<(Vec<f64>, usize)> = (graph.outputs.iter())
            .map(|(_, id)| graph.nodes[*id].shape.last().copied().unwrap_or(1))
            .map(|len| (vec![0.0; len], 0))
            .collect();
        for case in &self.fitted {
            let got = inference.run(&case.inputs).unwrap_or_default();
            for ((got, expected), (sum, rows)) in got.iter().zip(&case.expected).zip(&mut sums) {
                let len = sum.len().max(1);
                let expected = expected.data.chunks_exact(len);
                for (got, expected) in got.chunks_exact(len).zip(expected) {
                    *rows += 1;
                    for ((sum, got), expected) in sum.iter_mut().zip(got).zip(expected) {
                        *sum += expected - got;
                    }
                }
            }
        }
        let correction = |((name, _), (sum, rows)): (&(String, NodeId), (Vec<f64>, usize))| {
            let mean = |sum: &f64| (sum / rows.max(1) as f64) as f32;
            Correction {
                output: name.clone(),
                values: sum.iter().map(mean).collect(),
            }
        };
        Ok(graph.outputs.iter().zip(sums).map(correction).collect())
    }

    /// Every node's error, on at most [`SEARCHED`] samples.
    fn nodes(&mut self, settings: &Settings) -> Result<Vec<Line>, CompileError> {
        settings.apply(&mut self.imported.graph)?;
        self.options.settings = Some(settings.clone());
        let graph = &self.imported.graph;
        let (lowered, probed) = lower_probed(graph, &self.options, "calibrated")?;
        let inference = Inference::new(&lowered)?;
        let skipped = lowered.outputs.len() - probed.len();
        let measure = |case: &Case| -> Result<Vec<Distance>, CompileError> {
            let Ok(got) = inference.run(&case.inputs) else {
                return Ok(Vec::new());
            };
            let expected = {
                let Prepared {
                    graph,
                    origins,
                    float,
                    ..
                } = &self.imported;
                ranges::values(graph, origins, float, &case.inputs)?
            };
            let pairs = got[skipped..].iter().zip(&probed);
            Ok(pairs
                .map(|(got, &id)| {
                    let row = graph.nodes[id].shape.last().copied().unwrap_or(1);
                    expected[id]
                        .as_ref()
                        .map_or_else(Distance::default, |e| Distance::of(got, &e.data, row))
                })
                .collect())
        };
        let cases = &self.cases[..SEARCHED.min(self.cases.len())];
        let all: Vec<Vec<Distance>> = cases.par_iter().map(measure).collect::<Result<_, _>>()?;
        let mut sums = vec![Distance::default(); probed.len()];
        for distances in all {
            for (sum, distance) in sums.iter_mut().zip(distances) {
                *sum = sum.and(distance);
            }
        }
        let line = |(distance, &id): (&Distance, &NodeId)| Line {
            name: graph.nodes[id].name.clone(),
            activation_bits: settings.bits_of(&graph.nodes[id].name),
            figures: distance.figures(),
        };
        Ok(sums.iter().zip(&probed).map(line).collect())
    }
}

impl Case {
    fn judge(&self, got: &[Vec<f64>]) -> Trial {
        let row = |tensor: &Tensor| tensor.shape.last().copied().unwrap_or(1);
        let mut trial = Trial {
            outputs: (got.iter().zip(&self.expected))
                .map(|(got, expected)| Distance::of(got, &expected.data, row(expected)))
                .collect(),
            ..Trial::default()
        };
        if let (Some(label), Some(got), Some(expected)) =
            (&self.label, got.first(), self.expected.first())
        {
            let row = row(expected).max(1);
            let rows = got.chunks_exact(row).zip(expected.data.chunks_exact(row));
            for ((got, expected), &label) in rows.zip(label) {
                trial.right.0 += u64::from(argmax(expected) == label);
                trial.right.1 += u64::from(argmax(got) == label);
                trial.answers += 1;
            }
        }
        trial
    }
}
