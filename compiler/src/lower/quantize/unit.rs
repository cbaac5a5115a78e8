//! The unit that all terms of an accumulator share.

use crate::lower::quantize::{COEFFICIENT_BITS, Goal, ceil_log2, near_integer, power};
use crate::lower::value::{Term, Value};

/// Of less than this many bits the columns' unit is coarse for a constant that is added.
const COARSE_BITS: i32 = 11;

/// The unit of the whole accumulator, given the finest one of its terms.
pub fn common_unit(
    value: &Value,
    least: Option<i32>,
    base: f64,
    step_log2: Option<i32>,
    goal: Goal,
) -> i32 {
    let constants: Vec<&Term> = value
        .terms
        .iter()
        .filter(|term| term.is_constant())
        .collect();
    let greatest = constants
        .iter()
        .map(|term| term.weight.as_ref().map_or(1.0, |w| w.max_abs()) * term.scalar.abs())
        .fold(0.0, f64::max);
    if greatest == 0.0 {
        return least.or(step_log2).unwrap_or(0);
    }
    let fine = match (goal, step_log2) {
        (_, Some(step)) => step - 4,
        (_, None) => ceil_log2(greatest / base) - COEFFICIENT_BITS,
    };
    match (least, goal) {
        (Some(least), Goal::Exact) => least,
        (Some(least), _) => least.min(fine),
        (None, _) => fine,
    }
}

/// Of how many bits finer than `unit` a value's constants are multiples, where the columns' greatest magnitude is few units: as many as make
/// these enough, at most.
pub fn finer_for_constants(value: &Value, unit: f64, reach: f64) -> i32 {
    let most = COARSE_BITS - ceil_log2((reach / unit).max(1.0));
    if most <= 0 || value.terms.iter().all(|term| !term.is_constant()) {
        return 0;
    }
    let constants = value.constant_part();
    let whole = |bits: &i32| {
        let finer = unit / power(*bits);
        constants.data.iter().all(|x| near_integer(x / finer))
    };
    (0..most).find(whole).unwrap_or(most)
}

/// Greatest magnitude of a product in the terms, as a real number.
pub fn greatest_magnitude(terms: &[&Term], most: &[f64]) -> f64 {
    let magnitude = |(term, most): (&&Term, &f64)| {
        let weight = term.weight.as_ref().map_or(1.0, |weight| weight.max_abs());
        term.scalar.abs() * weight * most
    };
    terms.iter().zip(most).map(magnitude).fold(0.0, f64::max)
}
