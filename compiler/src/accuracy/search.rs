//! `zkiln calibrate`: bits for every tensor, at the least predicted cost that still meets a target.
//!
//! First come bits for all nodes: the cheapest that meet the target, or somewhat fewer, with more for the nodes that need them. From
//! there single nodes get fewer bits, those first that cost the most for the fidelity they give. The search looks at [`SEARCHED`]
//! samples; the result is measured on all that were held out, and the last steps are taken back until it holds there. At last, outputs
//! whose errors have a mean get it back as a constant, which costs nothing.

use crate::accuracy::bench::{
    Bench, Case, Report, SEARCHED, Trial, Uniform, Wanted, predicted_cost,
};
use crate::error::CompileError;
use crate::onnx::loaded::Loaded;
use crate::options::Options;
use crate::prepare::prepare;
use crate::settings::Settings;
use crate::settings::{Change, Correction};
use crate::tensors::LabelledSample;

/// Widths of activations and of weights that are tried for all nodes.
const ACTIVATION_BITS: std::ops::RangeInclusive<u8> = 6..=16;
const WEIGHT_BITS: [u8; 2] = [12, 16];
/// How many failing choices of bits for all nodes are mended by giving single nodes more, and how many bits these get.
const RAISED: usize = 3;
const RAISE_BITS: i8 = 2;
/// A correction is kept if squared errors fall to less than this.
const CORRECTED: f64 = 0.95;
/// How often single nodes are gone through.
const PASSES: usize = 4;

/// The result of a calibration.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// To be kept.
    pub settings: Settings,
    /// How good they are.
    pub report: Report,
}

/// Calibrates a model; `samples` may be empty, and `progress` is told what is being done.
///
/// # Errors
/// Whatever is wrong with the model or the samples.
pub(crate) fn calibrate(
    source: &Loaded,
    options: &Options,
    samples: &[LabelledSample],
    wanted: Wanted,
    progress: &dyn Fn(&str),
) -> Result<Calibration, CompileError> {
    progress("finding ranges");
    let mut bench = Bench::new(source, options, samples)?;
    let mut search = Search {
        bench: &mut bench,
        wanted,
        progress,
        uniform: Vec::new(),
    };
    let found = Settings::of(&search.bench.imported.graph, source.digest()?);
    let mut steps = search.start(Settings {
        saturate: options.saturate,
        ..found
    })?;
    search.refine(&mut steps)?;
    let (settings, trial) = search.settle(steps)?;
    let (mut settings, trial) = search.correct(settings, trial)?;
    let uniform = search.uniform;
    settings.target = wanted.target;
    settings.agreement = wanted.agreement;
    settings.reached = trial.reached();
    let report = bench.report(&settings, &trial, uniform, progress)?;
    Ok(Calibration { settings, report })
}

/// How a model does with these settings: all samples are held out.
///
/// # Errors
/// Whatever is wrong with the model, the settings or the samples.
pub(crate) fn measure(
    source: &Loaded,
    options: &Options,
    settings: &Settings,
    samples: &[LabelledSample],
    progress: &dyn Fn(&str),
) -> Result<Report, CompileError> {
    progress("running the samples");
    let options = Options {
        settings: Some(settings.clone()),
        ..options.clone()
    };
    let imported = prepare(source.clone(), &options)?;
    let cases = samples.iter().map(|sample| Case::new(&imported, sample));
    let mut bench = Bench {
        cases: cases.collect::<Result<_, _>>()?,
        imported,
        options,
        calibrated: 0,
        fitted: Vec::new(),
    };
    let lowered = bench.lower(settings)?;
    let trial = bench.run(&lowered, usize::MAX)?;
    bench.report(settings, &trial, Vec::new(), progress)
}

/// All changes of single nodes: so many more bits, and narrower ranges if what leaves them is clamped.
fn changes(settings: &Settings, more: i8) -> Vec<Change> {
    let nodes = 0..settings.nodes.len();
    let bits = nodes.clone().map(|node| Change::Bits { node, more });
    let clips = nodes.filter(|_| settings.saturate);
    bits.chain(clips.map(|node| Change::Clip { node }))
        .collect()
}

/// A search under way.
struct Search<'a> {
    bench: &'a mut Bench,
    wanted: Wanted,
    progress: &'a dyn Fn(&str),
    uniform: Vec<Uniform>,
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

    /// The cheapest settings that meet the target with the same bits for all nodes, or with more for some of them, last; before them, to
    /// fall back on, dearer ones. If none meet it, the most faithful ones.
    fn start(&mut self, first: Settings) -> Result<Vec<Settings>, CompileError> {
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
        let mut failing: Vec<(f64, Settings)> = Vec::new();
        let mut candidates = candidates.into_iter();
        while let Some((cost, settings)) = candidates.next() {
            let (activation_bits, weight_bits) = (settings.activation_bits, settings.weight_bits);
            (self.progress)(&format!("trying {activation_bits} bits for all nodes"));
            let Some((_, trial)) = self.try_out(&settings)? else {
                continue;
            };
            let shortfall = trial.shortfall(self.wanted);
            self.uniform.push(Uniform {
                activation_bits,
                weight_bits,
                cost,
                reached: trial.reached(),
                refused: trial.refused,
                met: shortfall == 0.0,
            });
            if shortfall == 0.0 {
                let raised = self.raise_best(failing, cost)?;
                let dearer = candidates.rev().map(|(_, settings)| settings);
                return Ok(dearer.chain([settings]).chain(raised).collect());
            }
            failing.push((shortfall, settings));
        }
        failing.sort_by(|a, b| a.0.total_cmp(&b.0));
        match (failing.into_iter().next(), refusal) {
            (Some((_, settings)), _) => Ok(vec![settings]),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(CompileError::Plan("no choice of bits was tried".into())),
        }
    }

    /// The cheapest settings that come from those which fail by giving single nodes more bits; `None` if none costs less than `limit`.
    fn raise_best(
        &mut self,
        mut failing: Vec<(f64, Settings)>,
        limit: f64,
    ) -> Result<Option<Settings>, CompileError> {
        failing.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best: Option<(f64, Settings)> = None;
        for (shortfall, settings) in failing.into_iter().take(RAISED) {
            let limit = best.as_ref().map_or(limit, |(cost, _)| *cost);
            best = self.raise(settings, shortfall, limit)?.or(best);
        }
        Ok(best.map(|(_, settings)| settings))
    }

    /// Gives bits to single nodes, those first that help the most, until the target is met.
    fn raise(
        &mut self,
        start: Settings,
        shortfall: f64,
        limit: f64,
    ) -> Result<Option<(f64, Settings)>, CompileError> {
        let mut order = Vec::new();
        for change in changes(&start, RAISE_BITS) {
            let name = &start.nodes[change.node()].node;
            (self.progress)(&format!("trying to help {name}"));
            if let Some(settings) = start.with(change)
                && let Some((_, trial)) = self.try_out(&settings)?
            {
                let gained = shortfall - trial.shortfall(self.wanted);
                if gained > 0.0 {
                    order.push((gained, change));
                }
            }
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut settings, mut least) = (start, shortfall);
        for (_, change) in order {
            let Some(more) = settings.with(change) else {
                continue;
            };
            let Some((cost, trial)) = self.try_out(&more)? else {
                continue;
            };
            let shortfall = trial.shortfall(self.wanted);
            if shortfall < least {
                (settings, least) = (more, shortfall);
            }
            if shortfall == 0.0 {
                return Ok((cost < limit).then_some((cost, settings)));
            }
        }
        Ok(None)
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
        for change in changes(&start, -1) {
            let Some(settings) = start.with(change) else {
                continue;
            };
            let saved = match self.bench.cost(&settings) {
                Ok(less) => cost - less,
                Err(_) => continue,
            };
            if saved <= 0.0 {
                continue;
            }
            let name = &start.nodes[change.node()].node;
            (self.progress)(&format!("trying less for {name}"));
            if let Some((_, tried)) = self.try_out(&settings)? {
                let lost = (trial.reached() - tried.reached()).max(0.0);
                order.push((lost / saved, change));
            }
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut least = cost;
        for pass in 1..=PASSES {
            let before = steps.len();
            for &(_, change) in &order {
                let Some(settings) = steps.last().and_then(|s| s.with(change)) else {
                    continue;
                };
                let name = &start.nodes[change.node()].node;
                (self.progress)(&format!("pass {pass}: less for {name}"));
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

    /// The last step that meets the target on all held-out samples, else the one that comes closest.
    fn settle(&mut self, mut steps: Vec<Settings>) -> Result<(Settings, Trial), CompileError> {
        let mut closest: Option<(Settings, Trial)> = None;
        while let Some(settings) = steps.pop() {
            (self.progress)("measuring on all held-out samples");
            let lowered = self.bench.lower(&settings)?;
            let trial = self.bench.run(&lowered, usize::MAX)?;
            let shortfall = trial.shortfall(self.wanted);
            let closer = |(_, known): &(Settings, Trial)| shortfall < known.shortfall(self.wanted);
            if closest.as_ref().is_none_or(closer) {
                closest = Some((settings, trial));
            }
            if shortfall == 0.0 {
                break;
            }
        }
        closest.ok_or_else(|| CompileError::Plan("no settings were tried".into()))
    }

    /// Adds minus their mean errors to the outputs, each where that takes away a good part of its squared error.
    fn correct(
        &mut self,
        settings: Settings,
        trial: Trial,
    ) -> Result<(Settings, Trial), CompileError> {
        (self.progress)("correcting mean errors");
        let corrections = self.bench.corrections(&settings)?;
        let with = |corrections: Vec<Correction>| Settings {
            corrections,
            ..settings.clone()
        };
        let all = with(corrections.clone());
        let lowered = self.bench.lower(&all)?;
        let corrected = self.bench.run(&lowered, usize::MAX)?;
        let pairs = trial.outputs.iter().zip(&corrected.outputs);
        let pays = pairs.map(|(before, after)| after.squares() < CORRECTED * before.squares());
        let kept: Vec<Correction> = (corrections.into_iter().zip(pays))
            .filter_map(|(correction, pays)| pays.then_some(correction))
            .collect();
        if kept.is_empty() {
            return Ok((settings, trial));
        }
        let settings = with(kept);
        let lowered = self.bench.lower(&settings)?;
        let corrected = self.bench.run(&lowered, usize::MAX)?;
        match trial.meets(self.wanted) && !corrected.meets(self.wanted) {
            true => Ok((
                Settings {
                    corrections: Vec::new(),
                    ..settings
                },
                trial,
            )),
            false => Ok((settings, corrected)),
        }
    }
}
