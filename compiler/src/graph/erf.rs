//! The error function, to about one unit in the last place of the result's scale.
//!
//! For `|x| < 2.5` the series `erf(x) = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!`, whose terms all have one sign
//! (Abramowitz and Stegun 7.1.6); beyond, the continued fraction of `erfc` (7.1.14), evaluated backwards.

use std::f64::consts::PI;

/// `2/sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`.
pub fn erf(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude.is_nan() {
        x
    } else if magnitude < 2.5 {
        series(x)
    } else {
        (1.0 - complement(magnitude)).copysign(x)
    }
}

fn series(x: f64) -> f64 {
    let square = x * x;
    let mut term = x;
    let mut sum = x;
    for n in 1..80 {
        term *= 2.0 * square / (2 * n + 1) as f64;
        sum += term;
    }
    2.0 / PI.sqrt() * libm::exp(-square) * sum
}

/// `erfc(x)` for `x >= 2.5`.
fn complement(x: f64) -> f64 {
    if x > 27.0 {
        return 0.0;
    }
    let mut fraction = x;
    for k in (1..=60).rev() {
        fraction = x + k as f64 / 2.0 / fraction;
    }
    libm::exp(-x * x) / (PI.sqrt() * fraction)
}

#[cfg(test)]
mod tests {
    use crate::graph::erf::*;

    /// Values of Mathematica's `Erf`.
    #[test]
    fn known_values() {
        let known = [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_89),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (2.4, 0.999_311_486_103_355),
            (2.6, 0.999_763_965_583_470_7),
            (3.0, 0.999_977_909_503_001_4),
            (4.0, 0.999_999_984_582_742_1),
        ];
        for (x, expected) in known {
            assert!((erf(x) - expected).abs() < 1e-15, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + expected).abs() < 1e-15);
        }
        assert_eq!(erf(40.0), 1.0);
        assert_eq!(erf(f64::NEG_INFINITY), -1.0);
        assert!(erf(f64::NAN).is_nan());
    }

    #[test]
    fn the_two_branches_meet() {
        assert!((series(2.5) - (1.0 - complement(2.5))).abs() < 1e-15);
    }
}
