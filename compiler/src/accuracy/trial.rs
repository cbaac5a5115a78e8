//! What settings gave on some samples, and what is wanted of them.

use serde::Serialize;

use crate::accuracy::distance::Distance;
use crate::accuracy::gate::TARGET;

/// By how much accuracy may fall below that of floats, where samples have labels.
const ACCURACY_LOSS: f64 = 0.002;

/// What is asked of a calibration.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Wanted {
    /// Least cosine similarity with floats, averaged over samples, of every output.
    pub target: f64,
    /// Least share of rows whose greatest element is that of floats, of every output that has rows; 0 for any.
    pub agreement: f64,
    /// Greatest error of an output in any sample, relative to its spread there, or absolute for outputs within 0..1; default: for each output
    /// that of the bits that a model gets without calibration, or 0.5 % if that is less.
    pub error: Option<f64>,
}

/// What is asked for, output by output.
#[derive(Clone, Debug)]
pub struct Target {
    pub wanted: Wanted,
    /// Greatest error of each output in any sample; none where any is fine.
    pub errors: Vec<f64>,
}

impl Target {
    /// None of so many outputs may stray further than is wanted, or else than by default.
    pub fn of(wanted: Wanted, default: &Trial, outputs: usize) -> Self {
        let known = default.errors.iter().copied();
        let errors = known.chain(std::iter::repeat(0.0)).take(outputs);
        let allowed = |error: f64| wanted.error.unwrap_or(error.max(TARGET.output));
        Self {
            wanted,
            errors: errors.map(allowed).collect(),
        }
    }
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

/// What some samples gave.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    pub outputs: Vec<Distance>,
    pub refused: usize,
    /// Greatest error of each output in any sample, as [`Wanted::error`] has it; none without samples.
    pub errors: Vec<f64>,
    pub right: (u64, u64),
    pub answers: u64,
}

impl Trial {
    pub fn and(mut self, other: Self) -> Self {
        self.refused += other.refused;
        self.errors
            .resize(other.errors.len().max(self.errors.len()), 0.0);
        for (mine, other) in self.errors.iter_mut().zip(other.errors) {
            *mine = mine.max(other);
        }
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
    pub fn reached(&self) -> f64 {
        let cosines = self.outputs.iter().map(|output| output.figures().cosine);
        match self.outputs.is_empty() {
            true => 0.0,
            false => cosines.fold(1.0, f64::min),
        }
    }

    pub fn accuracy(&self) -> Option<Accuracy> {
        let share = |right: u64| right as f64 / self.answers as f64;
        (self.answers > 0).then(|| Accuracy {
            float: share(self.right.0),
            integer: share(self.right.1),
            answers: self.answers,
        })
    }

    /// The greatest error of an output in any sample.
    pub fn greatest(&self) -> f64 {
        self.errors.iter().copied().fold(0.0, f64::max)
    }

    /// The greatest error, unless an integer is another one.
    pub fn greatest_error(&self) -> Option<f64> {
        Some(self.greatest()).filter(|error| error.is_finite())
    }

    /// Greatest error of an output relative to what is allowed for it.
    fn excess(&self, target: &Target) -> f64 {
        let pairs = self.errors.iter().zip(&target.errors);
        let share = |(error, most): (&f64, &f64)| match error > most {
            true => error / most.max(1e-12),
            false => 0.0,
        };
        pairs.map(share).fold(0.0, f64::max)
    }

    /// That what is wanted cannot be met any more, even if the further samples up to `count` are as in floats.
    pub fn is_hopeless(&self, target: &Target, count: usize) -> bool {
        let wanted = target.wanted;
        let misses = |output: &Distance| {
            let (cosine, agreement) = output.at_best(count as u64);
            cosine < wanted.target || agreement.is_some_and(|share| share < wanted.agreement)
        };
        self.refused > 0 || self.excess(target) > 1.0 || self.outputs.iter().any(misses)
    }

    /// How far it is from all that is wanted: zero where that is met.
    pub fn shortfall(&self, target: &Target) -> f64 {
        let wanted = target.wanted;
        let missing = |wanted: f64, got: f64| (wanted - got).max(0.0) / (1.0 - wanted).max(1e-12);
        let agreement = |output: &Distance| output.figures().argmax_agreement;
        let agreement = self.outputs.iter().filter_map(agreement);
        let loss = self.accuracy().map_or(0.0, |accuracy| {
            accuracy.float - ACCURACY_LOSS - accuracy.integer
        });
        self.refused as f64
            + (self.excess(target) - 1.0).max(0.0)
            + missing(wanted.target, self.reached())
            + missing(wanted.agreement, agreement.fold(1.0, f64::min))
            + loss.max(0.0) / ACCURACY_LOSS
    }

    pub fn meets(&self, target: &Target) -> bool {
        self.shortfall(target) == 0.0
    }
}

#[cfg(test)]
mod tests {
    use crate::accuracy::trial::*;

    #[test]
    fn every_output_is_held_to_its_own_error() {
        let trial = |errors: &[f64]| Trial {
            errors: errors.to_vec(),
            outputs: vec![Distance::of(&[1.0], &[1.0], 1)],
            ..Trial::default()
        };
        let wanted = Wanted {
            target: 0.9,
            agreement: 0.0,
            error: None,
        };
        let target = Target::of(wanted, &trial(&[0.2, 0.001]), 2);
        assert_eq!(target.errors, [0.2, TARGET.output]);
        assert!(trial(&[0.2, 0.004]).meets(&target));
        // As far off as the other output is by default.
        let astray = trial(&[0.1, 0.1]);
        assert!(!astray.meets(&target) && astray.is_hopeless(&target, 1));
        let wanted = Wanted {
            error: Some(0.1),
            ..wanted
        };
        let target = Target::of(wanted, &Trial::default(), 2);
        assert!(astray.meets(&target) && !trial(&[0.0, 0.11]).meets(&target));
    }

    #[test]
    fn the_greatest_errors_of_all_samples_count() {
        let trial = |errors: &[f64]| Trial {
            errors: errors.to_vec(),
            ..Trial::default()
        };
        let refused = Trial {
            refused: 1,
            ..Trial::default()
        };
        let both = refused.and(trial(&[0.1, 0.0])).and(trial(&[0.0, 0.3]));
        assert_eq!((both.refused, &both.errors[..]), (1, &[0.1, 0.3][..]));
    }
}
