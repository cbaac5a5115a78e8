//! How many bits a value needs after the point so that rounding it gives what rounding the real number would.
//!
//! Factors and constants are rounded to multiples of `2^-bits`, which moves a sum by some error. Sums that are nearer to a half than that
//! would be rounded the wrong way: [`Line`] tells whether there are any, and the fewest bits are taken with which there are none. Halves
//! themselves, which are those of the model's integers to a few units of double precision, are told from all else by a slack.

use crate::diagnostic::Diagnostic;
use crate::lower::intervals::ACCUMULATOR_BITS;
use crate::lower::lowering::Lowering;
use crate::lower::ops::rescale::halves::Line;
use crate::lower::ops::rescale::linear::Linear;
use crate::lower::quantize::{ceil_log2, too_wide};

/// Bits that are left free: limbs may be a little wider than what they hold, and what is cut off is taken away.
const SPARE_BITS: i32 = 5;
/// Most bits after the point.
const MOST_BITS: i32 = 54;
/// Sums that cannot be examined are rounded right unless they are nearer to a half than this power of two.
const EXAMINED_LOG2: i32 = -30;
/// The same where weights are floats, and fit one column.
const FLOAT_LOG2: i32 = -12;
/// Bits of float weights that fit one column.
const WEIGHT_BITS: i32 = 30;

/// How a value is rounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Precision {
    /// Bits after the point.
    pub bits: u32,
    /// Units by which the value may be off, so that what is this near to a half is one.
    pub slack: i64,
    /// Whether sums occur that are halves, to be rounded to the even integer.
    pub halves: bool,
}

/// What a value of `range` is rounded to: integers that matter in `window`, with `more` bits to be cut off together with those after the
/// point.
pub(super) struct Wanted {
    pub range: (f64, f64),
    pub window: (f64, f64),
    pub more: u32,
    /// Whether halves go to the even integer; else up.
    pub even: bool,
}

impl Precision {
    pub fn of(cx: &Lowering, linear: &Linear, wanted: &Wanted) -> Result<Precision, Diagnostic> {
        let greatest = wanted.range.0.abs().max(wanted.range.1.abs()) + 1.0;
        let most = (ACCUMULATOR_BITS as i32 - SPARE_BITS - ceil_log2(greatest))
            .min(MOST_BITS - wanted.more as i32);
        if most < 1 {
            return Err(too_wide(greatest.min(1e36) as i128));
        }
        let most = most as u32;
        let Some(lines) = linear.lines() else {
            return Ok(Precision::unexamined(cx, linear, most, wanted.even));
        };
        let lines: Vec<Line> = lines
            .into_iter()
            .map(|line| line.within(wanted.window))
            .collect();
        let sure = |line: &Line| line.near_halves(line.uncertainty());
        let halves = lines
            .iter()
            .any(|line| sure(line).is_some_and(|count| count > 0));
        let slack = |bits: u32| {
            let units = |line: &Line| (line.error(bits) * f64::from(bits).exp2()).ceil() as i64;
            lines.iter().map(units).max().unwrap_or(0)
        };
        let separates = |bits: u32| {
            let slack = slack(bits);
            let reach = 2.0 * slack as f64 / f64::from(bits).exp2();
            let near = |line: &Line| match halves || !wanted.even {
                _ if slack == 0 => true,
                true => line.near_halves(reach) == sure(line),
                false => line.near_halves(line.error(bits)).unwrap_or(0) == 0,
            };
            let examined = |line: &Line| sure(line).is_some() || reach <= power(EXAMINED_LOG2);
            lines.iter().all(|line| near(line) && examined(line))
        };
        let bits = (1..=most).find(|bits| separates(*bits)).unwrap_or(most);
        Ok(Precision {
            bits,
            slack: if halves || !wanted.even {
                slack(bits)
            } else {
                0
            },
            halves: halves && wanted.even,
        })
    }

    /// Enough for all but what is very near to a half.
    fn unexamined(cx: &Lowering, linear: &Linear, most: u32, even: bool) -> Precision {
        let spread = ceil_log2(linear.spread(&cx.columns).max(1.0));
        let least = |log2: i32| (spread - log2).clamp(1, most as i32) as u32;
        let bits = match linear.greatest_float_weight() {
            Some(weight) if linear.parts.is_empty() => {
                let one_column = WEIGHT_BITS - ceil_log2(weight.max(f64::MIN_POSITIVE));
                (one_column.clamp(1, most as i32) as u32).max(least(FLOAT_LOG2))
            }
            _ => least(EXAMINED_LOG2),
        };
        Precision {
            bits,
            slack: if even {
                0
            } else {
                (0.5 * linear.spread(&cx.columns)).ceil() as i64
            },
            halves: false,
        }
    }
}

fn power(log2: i32) -> f64 {
    f64::from(log2).exp2()
}
