//! Functions that are constant on both sides of a small part of what they are applied to. What is beyond is cut off before they are looked up, so
//! that all keys of a table are where something happens.

use crate::graph::Pointwise;
use crate::lower::levels::power_above;
use crate::lower::quantize::margin;

/// Where something happens is at most this part of what the keys of a table would cover, if the result is wanted relative to itself.
const PART: f64 = 1.0 / 4.0;
/// Else it has fewer than so many bits of keys.
const KEY_BITS: u8 = 9;
/// Places that a function is looked at, within the range.
const PLACES: usize = 4096;
/// Beyond the range it is looked at where that would be so many times doubled.
const DOUBLED: i32 = 10;
/// It is constant where it changes by no more than this part of its greatest result.
const FLAT: f64 = 1e-5;

/// At most what part of its keys a function is to be constant beside; `relative` if its result is wanted relative to itself.
pub fn most_part(bits: u8, relative: bool) -> f64 {
    match relative {
        true => PART,
        false => f64::from(i32::from(KEY_BITS) - i32::from(bits))
            .exp2()
            .min(PART),
    }
}

/// The part of a range on both sides of which the function is constant, if that is at most `most` of what keys cover. Nothing is below a range
/// that is `positive`.
pub fn window(
    function: &Pointwise,
    (low, high): (f64, f64),
    positive: bool,
    most: f64,
) -> Option<(f64, f64)> {
    let span = high - low;
    let apart = function.may_jump() || function.power_law().is_some();
    if apart || !span.is_finite() || span <= 0.0 {
        return None;
    }
    let place = |at: usize| low + span * at as f64 / PLACES as f64;
    let values: Vec<f64> = (0..=PLACES).map(|at| function.eval(place(at))).collect();
    let greatest = values.iter().fold(0.0, |most: f64, y| most.max(y.abs()));
    // What is no number changes.
    let changes = |y: f64, end: f64| {
        let flat = (y - end).abs() <= FLAT * greatest;
        !flat
    };
    let constant = |end: f64, out: f64| {
        let mut beyond = (0..DOUBLED).map(|power| span * f64::from(power).exp2());
        beyond.all(|far| !changes(function.eval(end + out * far), function.eval(end)))
    };
    let from = values.iter().position(|y| changes(*y, values[0]))?;
    let to = values.iter().rposition(|y| changes(*y, values[PLACES]))?;
    let below = positive || (from > 0 && constant(low, -1.0));
    if !below || to == PLACES || !constant(high, 1.0) {
        return None;
    }
    let part = (place(from.saturating_sub(1)), place(to + 1));
    // Keys reach to a power of two, on both sides.
    let keys = 2.0 * power_above(low.abs().max(high.abs()) * margin(usize::MAX));
    (part.1 - part.0 <= most * keys).then_some(part)
}

#[cfg(test)]
mod tests {
    use crate::graph::{BinaryFn, Pointwise, UnaryFn};
    use crate::lower::window::*;

    #[test]
    fn a_power_is_in_floating_point() {
        let floored = Pointwise::binary(
            BinaryFn::Max,
            Pointwise::Variable,
            Pointwise::Constant(1e-30),
        );
        let inverse = Pointwise::binary(BinaryFn::Div, Pointwise::Constant(255.0), floored);
        assert_eq!(window(&inverse, (0.0, 100.0), true, PART), None);
    }

    #[test]
    fn of_functions_that_saturate_and_of_others() {
        let part = |function, range| window(&Pointwise::of(function), range, false, PART);
        let (low, high) = part(UnaryFn::Tanh, (-100.0, 200.0)).unwrap();
        assert!((-7.0..-5.0).contains(&low) && (5.0..7.0).contains(&high));
        assert_eq!(part(UnaryFn::Tanh, (-10.0, 10.0)), None);
        let positive = window(&Pointwise::of(UnaryFn::Tanh), (0.0, 100.0), true, PART);
        assert!(matches!(positive, Some((0.0, high)) if high < 7.0));
        assert_eq!(part(UnaryFn::Tanh, (0.0, 100.0)), None);
        assert_eq!(part(UnaryFn::Relu, (-100.0, 100.0)), None);
        assert_eq!(part(UnaryFn::Exp, (-1000.0, 1.0)), None);
        assert_eq!(part(UnaryFn::Sign, (-100.0, 100.0)), None);
    }
}
