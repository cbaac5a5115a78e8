//! Steps channel by channel, where one step for a whole tensor is too coarse for what reads it.
//!
//! A value whose channels differ is divided by a power of two for each before it is rounded, and the column that holds it is multiplied by
//! these again. They are constant factors of a term like any others: what is linear takes them into its own weights.

use crate::graph::Node;
use crate::graph::extent::magnitude;
use crate::lower::lowering::{Bits, Lowering};
use crate::lower::quantize::{ceil_log2, margin};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Channels, Value};

/// Channels are divided by powers of two if the least of these is less than one to so many.
const ALIKE: f64 = 8.0;
/// A step is too coarse if it is so many times greater than the one that its readers ask for.
const COARSE: f64 = 4.0;

/// How far a channel may go beyond what calibration saw of it: twice as far as a tensor of as many elements, since one of many will.
pub fn channel_margin(elements: usize) -> f64 {
    2.0 * margin(elements)
}

/// What the channels of a value are divided by.
#[derive(Clone, Debug)]
pub struct Levels {
    /// Powers of two, at most 1.
    pub of: Weight,
    /// Greatest magnitude of the quotient.
    magnitude: f64,
}

/// The least power of two that is at least `x`.
pub fn power_above(x: f64) -> f64 {
    f64::from(ceil_log2(x)).exp2()
}

/// The greatest power of two that is at most `x`; zero and infinity stay.
pub fn power_below(x: f64) -> f64 {
    match x > 0.0 && x.is_finite() {
        true => 1.0 / power_above(1.0 / x),
        false => x,
    }
}

impl Bits {
    /// The fraction of a tolerance that is a step fine enough.
    pub fn precision(self) -> f64 {
        f64::from(2 - i32::from(self.activation_bits)).exp2()
    }
}

/// Whether a step is too coarse where one of `fine` is asked for.
pub fn is_coarse(step: f64, fine: f64) -> bool {
    step > COARSE * fine
}

impl Levels {
    /// Of channels of these magnitudes, for which these steps are fine enough, in a tensor of so many elements and a greatest magnitude,
    /// which is to be rounded to `bits` bits. `None` if one step does for all.
    fn new(channels: &Channels, greatest: f64, elements: usize, bits: u8) -> Option<Self> {
        let (magnitudes, steps) = (&channels.magnitude, &channels.step);
        let levels = f64::from(bits - 1).exp2();
        let whole = power_above(greatest * margin(elements) / levels);
        if greatest == 0.0 || !steps.data.iter().any(|fine| is_coarse(whole, *fine)) {
            return None;
        }
        let beyond = channel_margin(elements / magnitudes.data.len().max(1));
        let of = magnitudes.combine(steps, |magnitude, fine| {
            let own = match magnitude > 0.0 {
                true => power_above(magnitude * beyond / levels).min(whole),
                false => whole,
            };
            power_below(fine).clamp(own, whole) / whole
        });
        let magnitude = magnitudes.combine(&of, |magnitude, level| magnitude / level);
        let magnitude = magnitude.max_abs() * beyond / margin(elements);
        let least = of.data.iter().copied().fold(1.0, f64::min);
        (least * ALIKE < 1.0).then_some(Self {
            of,
            magnitude: magnitude.max(greatest),
        })
    }

    /// The value divided by them.
    pub fn even(&self, value: &Value) -> Value {
        let end = |reached: bool| if reached { self.magnitude } else { 0.0 };
        let range = (-end(value.range.0 < 0.0), end(value.range.1 > 0.0));
        value.clone().weighted(&self.of.map(f64::recip), range)
    }

    /// The same for a value whose axes `from` are now `to`.
    pub fn moved(&self, from: &[Axis], to: &[Axis]) -> Self {
        Self {
            of: Weight::new(to.to_vec(), self.of.over(from).data.to_vec()),
            magnitude: self.magnitude,
        }
    }

    /// Such a value multiplied by them, in the range of what it was made from.
    pub fn restore(&self, even: Value, range: (f64, f64)) -> Value {
        even.weighted(&self.of, range)
    }
}

impl Lowering<'_> {
    /// What differs from channel to channel of the current node's value, along the axis that gives it the finest steps; `None` if one step
    /// does, as for constants and for integers.
    pub fn channels(&self, node: &Node, value: &Value) -> Option<Channels> {
        if value.is_constant() || value.integer {
            return None;
        }
        let dims = &value.dims;
        let along = |axis: usize| -> Option<(f64, Channels)> {
            let over = |data: Vec<f64>| Weight::new(dims[axis].clone(), data);
            let ranges = node.seen.along(axis)?;
            let fine = self.tolerance().at(axis, ranges.len());
            let channels = Channels {
                magnitude: over(ranges.iter().map(|range| magnitude(*range)).collect()),
                step: over(fine.iter().map(|x| x * self.bits.precision()).collect()),
            };
            let greatest = magnitude(node.range);
            let bits = self.bits.activation_bits;
            let levels = Levels::new(&channels, greatest, node.volume(), bits)?;
            let steps: f64 = levels.of.data.iter().map(|level| level.log2()).sum();
            Some((steps / levels.of.data.len() as f64, channels))
        };
        let found = (0..dims.len()).filter_map(along);
        let finest = found.min_by(|a, b| a.0.total_cmp(&b.0));
        finest.map(|(_, channels)| channels)
    }

    /// What to divide the value by before it is rounded to `bits` bits.
    pub fn levels(&self, value: &Value, bits: u8) -> Option<Levels> {
        let channels = value.channels.as_ref().filter(|_| !value.masked)?;
        let elements = value.shape().iter().product();
        Levels::new(channels, magnitude(value.range), elements, bits)
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{BinaryFn, NodeId, Op, Pointwise, UnaryFn};
    use crate::lower::testing::{Net, Outcome};
    use crate::scale::Scale;

    const SIZES: [f64; 8] = [1e-2, 1.0, 1e2, 1e-3, 30.0, 3.0, 2e-2, 1e4];

    fn inverse() -> Vec<f64> {
        SIZES.iter().map(|size| size.recip()).collect()
    }

    fn relu(net: &mut Net, x: NodeId) -> NodeId {
        net.push(Op::Pointwise(Pointwise::of(UnaryFn::Relu)), &[x], &[4, 8])
    }

    fn run(build: impl Fn(&mut Net) -> NodeId) -> Outcome {
        let mut net = Net::new();
        let made = build(&mut net);
        net.output(made);
        net.run()
    }

    #[test]
    fn columns_of_an_input_are_as_fine_as_the_model_scales_them() {
        let outcome = run(|net| {
            let x = net.features(4, &SIZES);
            let z = net.times(x, &inverse());
            let h = net.linear(z, 8);
            let h = relu(net, h);
            net.linear(h, 3)
        });
        let Scale::Along { axis, steps } = &outcome.lowered.inputs[0].scale else {
            panic!("one step for all");
        };
        assert_eq!((*axis, steps.len()), (1, 8));
        for (step, size) in steps.iter().zip(SIZES) {
            assert!(step / size < 1e-2, "{steps:?}");
        }
        outcome.within(0.004);
    }

    #[test]
    fn one_step_does_where_columns_count_alike() {
        let outcome = run(|net| {
            let x = net.features(4, &SIZES);
            let h = net.linear(x, 8);
            let h = relu(net, h);
            net.linear(h, 3)
        });
        let scales = [&outcome.lowered.inputs[0], &outcome.lowered.outputs[0]];
        assert!(
            scales
                .iter()
                .all(|port| matches!(port.scale, Scale::Uniform(_)))
        );
        outcome.within(0.004);
    }

    #[test]
    fn channels_between_layers_keep_their_precision() {
        for committed in [false, true] {
            let outcome = run(|net| {
                let x = net.input(&[4, 8]);
                let h = net.linear(x, 8);
                let h = net.times(h, &SIZES);
                let h = match committed {
                    false => relu(net, h),
                    // Two readers: it is rounded as it is.
                    true => net.push(Op::Binary(BinaryFn::Add), &[h, h], &[4, 8]),
                };
                let h = net.times(h, &inverse());
                net.linear(h, 3)
            });
            outcome.within(0.004);
        }
    }

    #[test]
    fn outputs_that_differ_have_steps_of_their_own() {
        let mut net = Net::new();
        let x = net.input(&[4, 8]);
        let h = net.linear(x, 8);
        let h = relu(&mut net, h);
        let h = net.linear(h, 8);
        let y = net.times(h, &SIZES);
        net.output(y);
        let outcome = net.run();
        let Scale::Along { steps, .. } = &outcome.lowered.outputs[0].scale else {
            panic!("one step for all");
        };
        for (step, size) in steps.iter().zip(SIZES) {
            assert!(step / size < 1e-3, "{steps:?}");
        }
        outcome.within(0.004);
    }
}
