//! `zkiln calibrate`: bits for every tensor, at the least predicted cost that still meets a target.
//!
//! The bits that a model gets without calibration come first: no output may stray further in any sample than with these, unless the target
//! says how far. Then bits for all nodes: the cheapest that meet the target, or somewhat fewer, with more for the nodes that need them. From
//! there single nodes get fewer bits, those first that cost the most for the fidelity they give. The search looks at the [`SEARCHED`] samples
//! that are hardest, one block after the other, and at no more of them than it takes to see that the target is missed; the result is measured
//! on all that were held out, and the last steps are taken back until it holds there. At last, outputs whose errors have a mean get it back as
//! a constant, which costs nothing.

use crate::accuracy::bench::{Bench, Case, Report, SEARCHED, Uniform, predicted_cost};
use crate::accuracy::gate::{LADDER, TARGET};
use crate::accuracy::trial::{Target, Trial, Wanted};
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
/// How many bits more single nodes get, to mend the closest of the failing choices of bits for all nodes.
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
    let first = Settings {
        saturate: options.saturate,
        ..Settings::of(&bench.imported.graph, source.digest()?)
    };
    let default = Uncalibrated::of(&mut bench, &first, progress)?;
    let outputs = bench.imported.float.outputs.len();
    let mut search = Search {
        bench: &mut bench,
        target: Target::of(wanted, &default.trial, outputs),
        progress,
        uniform: Vec::new(),
    };
    let mut steps = search.start(first)?;
    search.refine(&mut steps)?;
    let found = search.settle(steps)?;
    let (mut settings, trial) = search.correct(found)?;
    let (target, uniform) = (search.target, search.uniform);
    let mut trial = trial;
    if default.is_better(&trial, &target) {
        (settings, trial) = (default.settings, default.trial);
    }
    settings.target = wanted.target;
    settings.agreement = wanted.agreement;
    settings.reached = trial.reached();
    let figures = (Some(default.uniform), uniform);
    let report = bench.report(&settings, target.errors, &trial, figures, progress)?;
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
    let cases = samples.iter().enumerate();
    let cases = cases.map(|(number, sample)| Case::new(&imported, number, sample));
    let cases = cases.collect::<Result<_, _>>()?;
    let mut bench = Bench::of_cases(imported, options, cases);
    let lowered = bench.lower(settings)?;
    let trial = bench.run(&lowered, usize::MAX, |_| false)?;
    bench.report(settings, Vec::new(), &trial, (None, Vec::new()), progress)
}

/// What the bits of a model that is not calibrated give.
struct Uncalibrated {
    settings: Settings,
    trial: Trial,
    uniform: Uniform,
}

impl Uncalibrated {
    /// The first of the gate's ladder whose errors are good enough, or else those that stray the least; the samples that it does worst on come
    /// first from now on.
    fn of(
        bench: &mut Bench,
        first: &Settings,
        progress: &dyn Fn(&str),
    ) -> Result<Self, CompileError> {
        let mut best: Option<Self> = None;
        let mut refusal = None;
        for (activation_bits, weight_bits) in LADDER {
            progress(&format!("default bits: {activation_bits}"));
            let settings = Settings {
                activation_bits,
                weight_bits,
                ..first.clone()
            };
            let lowered = match bench.lower(&settings) {
                Ok(lowered) => lowered,
                Err(error) => {
                    refusal.get_or_insert(error);
                    continue;
                }
            };
            let trial = bench.run(&lowered, usize::MAX, |_| false)?;
            let worse = |best: &Self| {
                let known = (best.trial.refused, best.trial.greatest());
                (trial.refused, trial.greatest()) < known
            };
            if best.as_ref().is_none_or(worse) {
                let enough = trial.refused == 0 && trial.greatest() <= TARGET.output;
                best = Some(Self {
                    uniform: uniform(&settings, predicted_cost(&lowered), &trial, enough),
                    settings,
                    trial,
                });
                bench.hardest_first(&lowered)?;
                if enough {
                    break;
                }
            }
        }
        let none = || CompileError::Plan("no choice of bits was tried".into());
        best.ok_or_else(|| refusal.unwrap_or_else(none))
    }

    /// Whether it does better than what was found, where that is not as good as is wanted.
    fn is_better(&self, found: &Trial, target: &Target) -> bool {
        let right = |trial: &Trial| trial.accuracy().map_or(0.0, |accuracy| accuracy.integer);
        let allowed = self.trial.errors.iter().zip(&target.errors);
        let mut allowed = allowed.map(|(own, most)| own.max(*most)).zip(&found.errors);
        self.trial.refused < found.refused
            || allowed.any(|(most, error)| *error > most)
            || right(&self.trial) > right(found)
            || self.trial.shortfall(target) < found.shortfall(target)
    }
}

/// The figures of settings that are the same for all nodes.
fn uniform(settings: &Settings, cost: f64, trial: &Trial, met: bool) -> Uniform {
    Uniform {
        activation_bits: settings.activation_bits,
        weight_bits: settings.weight_bits,
        cost,
        reached: trial.reached(),
        greatest: trial.greatest_error(),
        refused: trial.refused,
        met,
    }
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
    target: Target,
    progress: &'a dyn Fn(&str),
    uniform: Vec<Uniform>,
}

impl Search<'_> {
    /// Says what is being done, and how much of it is.
    fn step(&self, what: &str, number: usize, count: usize) {
        (self.progress)(&format!("{what} ({number} of {count})"));
    }

    /// How settings do, unless they cost `limit` or more, or cannot be lowered; their cost.
    fn try_out(
        &mut self,
        settings: &Settings,
        limit: f64,
    ) -> Result<Option<(f64, Trial)>, CompileError> {
        let lowered = match self.bench.lower(settings) {
            Ok(lowered) => lowered,
            Err(CompileError::Nodes(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let cost = predicted_cost(&lowered);
        if cost >= limit {
            return Ok(None);
        }
        let (target, count) = (&self.target, SEARCHED.min(self.bench.cases.len()));
        let is_enough = |trial: &Trial| trial.is_hopeless(target, count);
        let trial = self.bench.run(&lowered, SEARCHED, is_enough)?;
        Ok(Some((cost, trial)))
    }

    /// All widths for all nodes, cheapest first; of those that cost the same, the most faithful one.
    fn candidates(&mut self, first: &Settings) -> Result<Vec<(f64, Settings)>, CompileError> {
        let mut candidates: Vec<(f64, Settings)> = Vec::new();
        let mut refusal = None;
        for activation_bits in ACTIVATION_BITS {
            self.step(
                "costs of bits",
                activation_bits.into(),
                (*ACTIVATION_BITS.end()).into(),
            );
            for weight_bits in WEIGHT_BITS {
                let settings = Settings {
                    activation_bits,
                    weight_bits,
                    ..first.clone()
                };
                match self.bench.cost(&settings) {
                    Ok(cost) => {
                        candidates.retain(|(other, _)| *other != cost);
                        candidates.push((cost, settings));
                    }
                    Err(error @ CompileError::Nodes(_)) => refusal = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0));
        match refusal {
            Some(refusal) if candidates.is_empty() => Err(refusal),
            _ => Ok(candidates),
        }
    }

    /// The cheapest settings that meet the target with the same bits for all nodes, or with more for some of them, last; before them, to
    /// fall back on, dearer ones. If none meet it, the most faithful ones.
    fn start(&mut self, first: Settings) -> Result<Vec<Settings>, CompileError> {
        let candidates = self.candidates(&first)?;
        let count = candidates.len();
        let mut failing: Vec<(f64, Settings)> = Vec::new();
        let mut candidates = candidates.into_iter().enumerate();
        while let Some((number, (cost, settings))) = candidates.next() {
            let bits = settings.activation_bits;
            self.step(
                &format!("trying {bits} bits for all nodes"),
                number + 1,
                count,
            );
            let Some((_, trial)) = self.try_out(&settings, f64::INFINITY)? else {
                continue;
            };
            let shortfall = trial.shortfall(&self.target);
            self.uniform
                .push(uniform(&settings, cost, &trial, shortfall == 0.0));
            if shortfall == 0.0 {
                let closest = failing.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
                let raised = match closest {
                    Some((shortfall, settings)) => self.raise(settings, shortfall, cost)?,
                    None => None,
                };
                let dearer = candidates.rev().map(|(_, (_, settings))| settings);
                return Ok(dearer.chain([settings]).chain(raised).collect());
            }
            failing.push((shortfall, settings));
        }
        let closest = failing.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let closest = closest.map(|(_, settings)| vec![settings]);
        closest.ok_or_else(|| CompileError::Plan("no choice of bits was tried".into()))
    }

    /// Gives bits to single nodes, those first that help the most, until the target is met; `None` if that costs `limit` or more.
    fn raise(
        &mut self,
        start: Settings,
        shortfall: f64,
        limit: f64,
    ) -> Result<Option<Settings>, CompileError> {
        let mut order = Vec::new();
        let changes = changes(&start, RAISE_BITS);
        for (number, &change) in changes.iter().enumerate() {
            let name = &start.nodes[change.node()].node;
            self.step(&format!("trying to help {name}"), number + 1, changes.len());
            if let Some(settings) = start.with(change)
                && let Some((_, trial)) = self.try_out(&settings, limit)?
            {
                let gained = shortfall - trial.shortfall(&self.target);
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
            // What costs as much as the limit is of no use, whatever it gains.
            let Some((_, trial)) = self.try_out(&more, limit)? else {
                continue;
            };
            let shortfall = trial.shortfall(&self.target);
            if shortfall < least {
                (settings, least) = (more, shortfall);
            }
            if shortfall == 0.0 {
                return Ok(Some(settings));
            }
        }
        Ok(None)
    }

    /// Takes bits from single nodes as long as the target is met; every accepted change is a step.
    fn refine(&mut self, steps: &mut Vec<Settings>) -> Result<(), CompileError> {
        let Some(start) = steps.last().cloned() else {
            return Ok(());
        };
        let Some((cost, trial)) = self.try_out(&start, f64::INFINITY)? else {
            return Ok(());
        };
        if !trial.meets(&self.target) {
            return Ok(());
        }
        let mut order = Vec::new();
        let changes = changes(&start, -1);
        for (number, &change) in changes.iter().enumerate() {
            let name = &start.nodes[change.node()].node;
            self.step(
                &format!("trying less for {name}"),
                number + 1,
                changes.len(),
            );
            if let Some(settings) = start.with(change)
                && let Some((less, tried)) = self.try_out(&settings, cost)?
                && tried.meets(&self.target)
            {
                let lost = (trial.reached() - tried.reached()).max(0.0);
                order.push((lost / (cost - less), change));
            }
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut order: Vec<Change> = order.into_iter().map(|(_, change)| change).collect();
        let mut least = cost;
        for pass in 1..=PASSES {
            // What is too much once is too much after further changes as well.
            let mut accepted = Vec::new();
            for (number, &change) in order.iter().enumerate() {
                let Some(settings) = steps.last().and_then(|s| s.with(change)) else {
                    continue;
                };
                let name = &start.nodes[change.node()].node;
                self.step(
                    &format!("pass {pass}: less for {name}"),
                    number + 1,
                    order.len(),
                );
                if let Some((cost, trial)) = self.try_out(&settings, least)?
                    && trial.meets(&self.target)
                {
                    least = cost;
                    steps.push(settings);
                    accepted.push(change);
                }
            }
            order = accepted;
        }
        Ok(())
    }

    /// The last step that meets the target on all held-out samples, else the one that comes closest.
    fn settle(&mut self, mut steps: Vec<Settings>) -> Result<(Settings, Trial), CompileError> {
        let mut closest: Option<(Settings, Trial)> = None;
        while let Some(settings) = steps.pop() {
            (self.progress)("measuring on all held-out samples");
            let lowered = self.bench.lower(&settings)?;
            let (target, count) = (&self.target, self.bench.cases.len());
            let is_enough = |trial: &Trial| trial.is_hopeless(target, count);
            let trial = self.bench.run(&lowered, usize::MAX, is_enough)?;
            let shortfall = trial.shortfall(&self.target);
            let closer = |(_, known): &(Settings, Trial)| shortfall < known.shortfall(&self.target);
            if closest.as_ref().is_none_or(closer) {
                closest = Some((settings, trial));
            }
            if shortfall == 0.0 {
                break;
            }
        }
        let (settings, trial) =
            closest.ok_or_else(|| CompileError::Plan("no settings were tried".into()))?;
        if trial.meets(&self.target) {
            return Ok((settings, trial));
        }
        // Figures are of all samples, also where some were enough to tell.
        let lowered = self.bench.lower(&settings)?;
        let trial = self.bench.run(&lowered, usize::MAX, |_| false)?;
        Ok((settings, trial))
    }

    /// Adds minus their mean errors to the outputs, each where that takes away a good part of its squared error.
    fn correct(
        &mut self,
        (settings, trial): (Settings, Trial),
    ) -> Result<(Settings, Trial), CompileError> {
        (self.progress)("correcting mean errors");
        let corrections = self.bench.corrections(&settings)?;
        let with = |corrections: Vec<Correction>| Settings {
            corrections,
            ..settings.clone()
        };
        let all = with(corrections.clone());
        let lowered = self.bench.lower(&all)?;
        let corrected = self.bench.run(&lowered, usize::MAX, |_| false)?;
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
        let corrected = self.bench.run(&lowered, usize::MAX, |_| false)?;
        match trial.meets(&self.target) && !corrected.meets(&self.target) {
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
