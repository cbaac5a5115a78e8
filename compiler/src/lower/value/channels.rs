//! What differs from channel to channel of a value, and factors that vary along its axes.

use crate::lower::value::Value;
use crate::lower::value::weight::Weight;

/// What is known of a value's channels, over the axes of one of its dimensions.
#[derive(Clone, Debug)]
pub struct Channels {
    /// Calibrated magnitudes; zero where nothing was seen.
    pub magnitude: Weight,
    /// Steps that are fine enough for what reads the value.
    pub step: Weight,
}

impl Channels {
    pub(super) fn map(&mut self, f: impl Fn(&Weight) -> Weight) {
        (self.magnitude, self.step) = (f(&self.magnitude), f(&self.step));
    }
}

impl Value {
    /// Multiplied by positive numbers that vary along its axes; `range` is that of the product.
    pub fn weighted(mut self, weight: &Weight, range: (f64, f64)) -> Self {
        self.terms
            .iter_mut()
            .for_each(|term| term.multiply_weight(weight));
        let signs = |(lo, hi): (f64, f64)| {
            let end = |bounded: bool, infinity: f64| if bounded { 0.0 } else { infinity };
            (
                end(lo >= 0.0, f64::NEG_INFINITY),
                end(hi <= 0.0, f64::INFINITY),
            )
        };
        Self {
            range,
            proven: self.proven.map(signs),
            channels: None,
            ..self
        }
        .normalize()
    }
}
