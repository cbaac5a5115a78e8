//! `zkiln calibrate`: bits for every tensor, at the least predicted cost that still meets a target.
//!
//! Ranges come from one half of the samples, errors from the other one, by exact integer inference. First come bits for all nodes:
//! the cheapest that meet the target. From there single nodes get fewer bits, those first that cost the most for the fidelity they give.
//! The search looks at [`SEARCHED`] samples; the result is measured on all that were held out, and the last steps are taken
//! back until it holds there.

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use zkiln_runtime::model::{ColumnKind, cube_log2};
use zkiln_runtime::trace::{self, Constants};

use super::distance::{Distance, Figures, argmax};
use crate::calibrate::{self, synthetic_inputs};
use crate::graph::{NodeId, Tensor};
use crate::import::{self, Imported};
use crate::lower::lower_probed;
use crate::settings::model_digest;
use crate::{CompileError, Lowered, Options, PortInfo, Sample, Settings, lower};

/// Samples that the search measures on.
const SEARCHED: usize = 32;
/// Synthetic samples, where none are given.
const SYNTHETIC: usize = 32;
/// Widths of activations and of weights that are tried for all nodes.
const ACTIVATION_BITS: std::ops::RangeInclusive<u8> = 6..=16;
const WEIGHT_BITS: [u8; 2] = [12, 16];
/// How often single nodes are gone through.
const PASSES: usize = 4;
/// What a committed value costs, in lookup leaves.
const COMMIT_COST: f64 = 0.8;
/// By how much accuracy may fall below that of floats, where samples have labels.
const ACCURACY_LOSS: f64 = 0.002;

/// A sample, with the right answer if it is known.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// One tensor an input.
    pub inputs: Vec<Sample>,
    /// For each row of the first output, the index that should be greatest.
    pub label: Option<Vec<usize>>,
}

/// What is asked of a calibration.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Least cosine similarity with floats, averaged over samples, of every output.
    pub target: f64,
}

/// The result of [`calibrate`].
#[derive(Clone, Debug)]
pub struct Calibration {
    /// To be kept.
    pub settings: Settings,
    /// How good they are.
    pub report: Report,
}

/// Figures on the samples that were held out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether all that was asked for is met.
    pub met: bool,
    /// What was asked for.
    pub target: f64,
    /// Least cosine similarity of an output, averaged over samples.
    pub reached: f64,
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
    /// The same with the same bits for all nodes.
    pub uniform_cost: f64,
    /// Every output.
    pub outputs: Vec<Line>,
    /// Every node that is compared.
    pub nodes: Vec<Line>,
}

/// Share of right answers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Accuracy {
    /// Of the float model.
    pub float: f64,
    /// Of the integer program.
    pub integer: f64,
    /// Answers.
    pub answers: u64,
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

/// Calibrates the model at `path`; `samples` may be empty, and `progress` is told what is being done.
///
/// # Errors
/// Whatever is wrong with the model or the samples.
pub fn calibrate(
    path: &Path,
    options: &Options,
    samples: &[Labelled],
    wanted: Wanted,
    progress: &dyn Fn(&str),
) -> Result<Calibration, CompileError> {
    progress("finding ranges");
    let bytes = std::fs::read(path).map_err(|source| CompileError::Read {
        path: path.display().to_string(),
        source,
    })?;
    let model = model_digest(&bytes, path)?;
    let mut bench = Bench::new(path, options, samples)?;
    let first = Settings::of(&bench.imported.graph, model, (16, 16));
    let mut search = Search {
        bench: &mut bench,
        wanted,
        progress,
    };
    let (uniform, mut steps) = search.uniform(first)?;
    let uniform_cost = search.bench.cost(&uniform)?;
    search.refine(&mut steps)?;
    let (mut settings, mut trial) = search.settle(steps)?;
    settings.target = wanted.target;
    settings.reached = trial.reached();
    progress("comparing nodes");
    let nodes = bench.nodes(&settings)?;
    let outputs = (trial.outputs.iter().zip(&bench.imported.graph.outputs))
        .map(|(distance, (name, id))| Line {
            name: name.clone(),
            activation_bits: settings.bits_of(&bench.imported.graph.nodes[*id].name),
            figures: distance.figures(),
        })
        .collect();
    let report = Report {
        met: trial.meets(wanted),
        target: wanted.target,
        reached: trial.reached(),
        calibrated: bench.calibrated,
        held_out: bench.cases.len(),
        refused: trial.refused,
        accuracy: trial.accuracy(),
        cost: bench.cost(&settings)?,
        uniform_cost,
        outputs,
        nodes,
    };
    trial.outputs.clear();
    Ok(Calibration { settings, report })
}

/// One held-out sample and what the float model makes of it.
struct Case {
    inputs: Vec<Tensor>,
    expected: Vec<Tensor>,
    label: Option<Vec<usize>>,
}

/// The model and the samples to try settings on.
struct Bench {
    imported: Imported,
    options: Options,
    calibrated: usize,
    cases: Vec<Case>,
}

/// What some samples gave.
#[derive(Clone, Debug, Default)]
struct Trial {
    outputs: Vec<Distance>,
    refused: usize,
    right: (u64, u64),
    answers: u64,
}

impl Trial {
    fn and(mut self, other: Self) -> Self {
        self.refused += other.refused;
        self.right = (self.right.0 + other.right.0, self.right.1 + other.right.1);
        self.answers += other.answers;
        if self.outputs.is_empty() {
            self.outputs = other.outputs;
        } else {
            for (mine, other) in self.outputs.iter_mut().zip(other.outputs) {
                *mine = mine.and(other);
            }
        }
        self
    }

    /// Least cosine similarity of an output.
    fn reached(&self) -> f64 {
        let cosines = self.outputs.iter().map(|output| output.figures().cosine);
        match self.outputs.is_empty() {
            true => 0.0,
            false => cosines.fold(1.0, f64::min),
        }
    }

    fn accuracy(&self) -> Option<Accuracy> {
        let share = |right: u64| right as f64 / self.answers as f64;
        (self.answers > 0).then(|| Accuracy {
            float: share(self.right.0),
            integer: share(self.right.1),
            answers: self.answers,
        })
    }

    fn meets(&self, wanted: Wanted) -> bool {
        let accurate = |accuracy: Accuracy| accuracy.integer >= accuracy.float - ACCURACY_LOSS;
        self.refused == 0 && self.reached() >= wanted.target && self.accuracy().is_none_or(accurate)
    }
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
    fn new(path: &Path, options: &Options, samples: &[Labelled]) -> Result<Self, CompileError> {
        let mut samples = samples.to_vec();
        if samples.is_empty() {
            let imported = import::import_path(path, options)?;
            let synthetic = synthetic_inputs(&imported.graph, SYNTHETIC);
            samples.extend(synthetic.iter().map(|inputs| Labelled {
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
        let imported = import::import_path(path, &options)?;
        let cases = numbered()
            .filter(|(number, _)| is_held_out(*number) || samples.len() < 3)
            .map(|(_, sample)| {
                let inputs = tensors(&sample.inputs);
                Ok(Case {
                    expected: imported.float.run(&inputs)?,
                    inputs,
                    label: sample.label.clone(),
                })
            })
            .collect::<Result<Vec<_>, CompileError>>()?;
        let calibrated = std::mem::take(&mut options.samples).len();
        Ok(Self {
            imported,
            options,
            calibrated,
            cases,
        })
    }

    fn lower(&mut self, settings: &Settings) -> Result<Lowered, CompileError> {
        settings.apply(&mut self.imported.graph)?;
        self.options.settings = Some(settings.clone());
        lower(&self.imported.graph, &self.options, "calibrated")
    }

    fn cost(&mut self, settings: &Settings) -> Result<f64, CompileError> {
        Ok(predicted_cost(&self.lower(settings)?))
    }

    /// How the program does on the first `most` samples.
    fn run(&self, lowered: &Lowered, most: usize) -> Result<Trial, CompileError> {
        let plan = |error: zkiln_runtime::error::ProveError| CompileError::Plan(error.to_string());
        let constants = Constants::new(&lowered.model, lowered.constants.clone()).map_err(plan)?;
        let cases = &self.cases[..most.min(self.cases.len())];
        let trials = cases.par_iter().map(|case| {
            let got = outputs(lowered, &constants, &case.inputs);
            got.map_or_else(
                || Trial {
                    refused: 1,
                    ..Trial::default()
                },
                |got| case.judge(&got),
            )
        });
        Ok(trials.reduce(Trial::default, Trial::and))
    }

    /// Every node's error, on at most [`SEARCHED`] samples.
    fn nodes(&mut self, settings: &Settings) -> Result<Vec<Line>, CompileError> {
        settings.apply(&mut self.imported.graph)?;
        self.options.settings = Some(settings.clone());
        let graph = &self.imported.graph;
        let (lowered, probed) = lower_probed(graph, &self.options, "calibrated")?;
        let plan = |error: zkiln_runtime::error::ProveError| CompileError::Plan(error.to_string());
        let constants = Constants::new(&lowered.model, lowered.constants.clone()).map_err(plan)?;
        let skipped = lowered.outputs.len() - probed.len();
        let measure = |case: &Case| -> Result<Vec<Distance>, CompileError> {
            let Some(got) = outputs(&lowered, &constants, &case.inputs) else {
                return Ok(Vec::new());
            };
            let expected = calibrate::values(&self.imported, &case.inputs)?;
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

/// The program's outputs as real numbers; `None` where it refuses the inputs.
fn outputs(lowered: &Lowered, constants: &Constants, inputs: &[Tensor]) -> Option<Vec<Vec<f64>>> {
    let quantise = |(tensor, port): (&Tensor, &PortInfo)| -> Vec<i64> {
        let integer = |x: &f64| (x / port.scale).round() as i64;
        tensor.data.iter().map(integer).collect()
    };
    let integers: Vec<Vec<i64>> = inputs.iter().zip(&lowered.inputs).map(quantise).collect();
    let trace = trace::run(&lowered.model, constants, &integers).ok()?;
    let outputs = trace.outputs(&lowered.model).ok()?;
    let real = |(integers, port): (Vec<i64>, &PortInfo)| {
        let scaled = integers
            .into_iter()
            .map(|integer| integer as f64 * port.scale);
        scaled.collect()
    };
    Some(
        outputs
            .into_iter()
            .zip(&lowered.outputs)
            .map(real)
            .collect(),
    )
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

/// A search under way.
struct Search<'a> {
    bench: &'a mut Bench,
    wanted: Wanted,
    progress: &'a dyn Fn(&str),
}

impl Search<'_> {
    /// The settings' cost and how they do; `None` if they cannot be lowered.
    fn try_out(&mut self, settings: &Settings) -> Result<Option<(f64, Trial)>, CompileError> {
        match self.bench.lower(settings) {
            Ok(lowered) => Ok(Some((
                predicted_cost(&lowered),
                self.bench.run(&lowered, SEARCHED)?,
            ))),
            Err(CompileError::Nodes(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The cheapest bits for all nodes that meet the target, else the most faithful: alone, and as the first step of the way.
    fn uniform(&mut self, first: Settings) -> Result<(Settings, Vec<Settings>), CompileError> {
        let mut candidates = Vec::new();
        let mut refusal = None;
        for activation_bits in ACTIVATION_BITS {
            for weight_bits in WEIGHT_BITS {
                let settings = Settings {
                    activation_bits,
                    weight_bits,
                    ..first.clone()
                };
                match self.bench.cost(&settings) {
                    Ok(cost) => candidates.push((cost, settings)),
                    Err(error @ CompileError::Nodes(_)) => refusal = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best: Option<(f64, Settings)> = None;
        for (_, settings) in candidates {
            let (bits, weights) = (settings.activation_bits, settings.weight_bits);
            (self.progress)(&format!("trying {bits} bits, {weights} for weights"));
            let Some((_, trial)) = self.try_out(&settings)? else {
                continue;
            };
            tracing::debug!(bits, weights, reached = trial.reached(), "calibration");
            if trial.meets(self.wanted) {
                return Ok((settings.clone(), vec![settings]));
            }
            let rank = trial.reached() - trial.refused as f64;
            if best.as_ref().is_none_or(|(most, _)| rank > *most) {
                best = Some((rank, settings));
            }
        }
        match (best, refusal) {
            (Some((_, settings)), _) => Ok((settings.clone(), vec![settings])),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(CompileError::Plan("no choice of bits was tried".into())),
        }
    }

    /// Takes bits from single nodes as long as the target is met; every accepted change is a step.
    fn refine(&mut self, steps: &mut Vec<Settings>) -> Result<(), CompileError> {
        let Some(start) = steps.last().cloned() else {
            return Ok(());
        };
        let Some((cost, trial)) = self.try_out(&start)? else {
            return Ok(());
        };
        if !trial.meets(self.wanted) {
            return Ok(());
        }
        let mut order = Vec::new();
        for at in 0..start.nodes.len() {
            let Some(settings) = start.with_fewer_bits(at) else {
                continue;
            };
            let saved = match self.bench.cost(&settings) {
                Ok(less) => cost - less,
                Err(_) => continue,
            };
            if saved <= 0.0 {
                continue;
            }
            let name = &start.nodes[at].node;
            (self.progress)(&format!("trying fewer bits for {name}"));
            if let Some((_, tried)) = self.try_out(&settings)? {
                let lost = (trial.reached() - tried.reached()).max(0.0);
                order.push((lost / saved, at));
            }
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut least = cost;
        for pass in 1..=PASSES {
            let before = steps.len();
            for &(_, at) in &order {
                let Some(settings) = steps.last().and_then(|s| s.with_fewer_bits(at)) else {
                    continue;
                };
                (self.progress)(&format!(
                    "pass {pass}: fewer bits for {}",
                    start.nodes[at].node
                ));
                if let Some((cost, trial)) = self.try_out(&settings)?
                    && cost < least
                    && trial.meets(self.wanted)
                {
                    least = cost;
                    steps.push(settings);
                }
            }
            if steps.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// The last step that meets the target on all held-out samples, else the first.
    fn settle(&mut self, mut steps: Vec<Settings>) -> Result<(Settings, Trial), CompileError> {
        loop {
            let Some(settings) = steps.pop() else {
                return Err(CompileError::Plan("no settings were tried".into()));
            };
            (self.progress)("measuring on all held-out samples");
            let lowered = self.bench.lower(&settings)?;
            let trial = self.bench.run(&lowered, usize::MAX)?;
            if trial.meets(self.wanted) || steps.is_empty() {
                return Ok((settings, trial));
            }
        }
    }
}
