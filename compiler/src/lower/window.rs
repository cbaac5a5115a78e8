//! Functions that are constant on both sides of a small part of what they are applied to. What is beyond is cut off before they are looked up, so
//! that all keys of a table are where something happens.

use crate::graph::Pointwise;

/// Where something happens is at most this part of the range.
const PART: f64 = 1.0 / 8.0;
/// Places that a function is looked at, within the range.
const PLACES: usize = 4096;
/// Beyond the range it is looked at where that would be so many times doubled.
const DOUBLED: i32 = 10;
/// It is constant where it changes by no more than this part of its greatest result.
const FLAT: f64 = 1e-5;

/// The part of a range on both sides of which the function is constant, if that is small.
pub fn window(function: &Pointwise, (low, high): (f64, f64)) -> Option<(f64, f64)> {
    let span = high - low;
    if function.may_jump() || !span.is_finite() || span <= 0.0 {
        return None;
    }
    let place = |at: usize| low + span * at as f64 / PLACES as f64;
    let values: Vec<f64> = (0..=PLACES).map(|at| function.eval(place(at))).collect();
    let greatest = values.iter().fold(0.0, |most: f64, y| most.max(y.abs()));
    let ends = [values[0], values[PLACES]];
    let changes = |y: f64, end: f64| !((y - end).abs() <= FLAT * greatest);
    let from = values.iter().position(|y| changes(*y, ends[0]))?;
    let to = values.iter().rposition(|y| changes(*y, ends[1]))?;
    if from == 0 || to == PLACES || !greatest.is_finite() {
        return None;
    }
    let constant = (0..DOUBLED).all(|power| {
        let beyond = span * f64::from(power).exp2();
        let beside = [function.eval(low - beyond), function.eval(high + beyond)];
        !changes(beside[0], ends[0]) && !changes(beside[1], ends[1])
    });
    let part = (place(from - 1), place(to + 1));
    (constant && part.1 - part.0 <= PART * span).then_some(part)
}

#[cfg(test)]
mod tests {
    use crate::graph::{Pointwise, UnaryFn};
    use crate::lower::window::window;

    #[test]
    fn of_functions_that_saturate_and_of_others() {
        let part = |function, range| window(&Pointwise::of(function), range);
        let (low, high) = part(UnaryFn::Tanh, (-100.0, 200.0)).unwrap();
        assert!((-7.0..-5.0).contains(&low) && (5.0..7.0).contains(&high));
        assert_eq!(part(UnaryFn::Tanh, (-10.0, 10.0)), None);
        assert_eq!(part(UnaryFn::Relu, (-100.0, 100.0)), None);
        assert_eq!(part(UnaryFn::Exp, (-1000.0, 1.0)), None);
        assert_eq!(part(UnaryFn::Sign, (-100.0, 100.0)), None);
    }
}
