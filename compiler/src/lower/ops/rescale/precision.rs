//! How many bits a value needs after the point so that rounding it gives what rounding the real number would.
//!
//! Factors and constants are rounded to multiples of `2^-bits`, which moves a sum by some error. Sums that are nearer to a half than that
//! would be rounded the wrong way: [`Line`] tells whether there are any, and the fewest bits are taken with which there are none. Halves
//! themselves, which are those of the model's integers to a few units of double precision, are told from all else by a slack.
//!
//! Where 64 bits do not hold the product of integers and a factor of so many bits, the integers are cut in two [`Words`].

use crate::diagnostic::Diagnostic;
use crate::lower::columns::KeyRange;
use crate::lower::intervals::{ACCUMULATOR_BITS, Bounds};
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
/// How near to a half a sum may be rounded the wrong way if its integers would have to be cut in two otherwise.
const ENOUGH_LOG2: i32 = -22;
/// The same of sums whose weights are floats and fit one column.
const FLOAT_LOG2: i32 = -12;
/// Bits of the upper word of wide integers, a sign included.
const HIGH_BITS: u32 = 16;
/// Most bits of the lower word.
const LOW_BITS: u32 = 28;
/// Bits that are kept of the product of the lower words of integers and factor.
const CARRY_BITS: u32 = 15;
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
    /// How the integers are cut, if they are too wide.
    pub words: Option<Words>,
}

/// Wide integers `2^low high + rest`, multiplied by a factor of `low` bits more than the result has after the point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub low: u32,
    /// Whether some integer is negative.
    signed: bool,
    /// Bits that are left out of the product of the lower words.
    pub dropped: u32,
}

impl Words {
    fn of((least, greatest): Bounds) -> Option<Words> {
        let keys = KeyRange::covering(least, greatest);
        let low = u32::from(keys.bits).checked_sub(HIGH_BITS)?;
        (1..=LOW_BITS).contains(&low).then(|| Words {
            low,
            signed: keys.signed,
            dropped: low.saturating_sub(CARRY_BITS),
        })
    }

    pub fn high(self) -> KeyRange {
        KeyRange {
            bits: HIGH_BITS as u8,
            signed: self.signed,
        }
    }

    pub fn carry(self) -> KeyRange {
        KeyRange {
            bits: (self.low - self.dropped) as u8,
            signed: false,
        }
    }
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

/// All that a value can be.
struct Lines {
    lines: Vec<Line>,
    even: bool,
    /// Whether some of it is a half.
    halves: bool,
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
        let lines = Lines::new(lines, wanted);
        let words = match &linear.parts[..] {
            [part] => Words::of(part.bounds),
            _ => None,
        };
        let separates = |words| {
            let bits = (1..=most).find(|bits| lines.separates(*bits, words));
            bits.map(|bits| (bits, words))
        };
        let enough = || {
            let bits = (1..=most).find(|bits| lines.reach(*bits, None) <= power(ENOUGH_LOG2));
            bits.map(|bits| (bits, None))
        };
        let in_words = || words.and_then(|words| separates(Some(words)));
        let found = separates(None).or_else(enough).or_else(in_words);
        let (bits, words) = found.unwrap_or((most, words));
        Ok(lines.precision(bits, words))
    }

    /// Enough for all but what is very near to a half.
    fn unexamined(cx: &Lowering, linear: &Linear, most: u32, even: bool) -> Precision {
        let spread = linear.spread(&cx.columns).max(1.0);
        let least = |log2: i32| (ceil_log2(spread) - log2).clamp(1, most as i32) as u32;
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
                (0.5 * spread).ceil() as i64
            },
            halves: false,
            words: None,
        }
    }
}

impl Lines {
    fn new(lines: Vec<Line>, wanted: &Wanted) -> Lines {
        let lines: Vec<Line> = lines
            .into_iter()
            .map(|line| line.within(wanted.window))
            .collect();
        let halves = lines
            .iter()
            .any(|line| exact_halves(line).is_some_and(|count| count > 0));
        Lines {
            lines,
            even: wanted.even,
            halves,
        }
    }

    /// Greatest error of a line with so many bits after the point.
    fn error(line: &Line, bits: u32, words: Option<Words>) -> f64 {
        let Some(words) = words else {
            return line.error(bits);
        };
        let product = Line {
            constant: 0.0,
            ..*line
        }
        .error(bits + words.low);
        let constant = Line {
            factor: 0.0,
            ..*line
        }
        .error(bits);
        let dropped = match words.dropped {
            0 => 0.0,
            dropped => power(dropped as i32 - bits as i32),
        };
        product + constant + dropped
    }

    fn slack(&self, bits: u32, words: Option<Words>) -> i64 {
        let units =
            |line: &Line| (Lines::error(line, bits, words) * power(bits as i32)).ceil() as i64;
        self.lines.iter().map(units).max().unwrap_or(0)
    }

    /// How near to a half sums may be told from it or not.
    fn reach(&self, bits: u32, words: Option<Words>) -> f64 {
        2.0 * self.slack(bits, words) as f64 / power(bits as i32)
    }

    /// Whether all is rounded right with so many bits after the point.
    fn separates(&self, bits: u32, words: Option<Words>) -> bool {
        let (slack, reach) = (self.slack(bits, words), self.reach(bits, words));
        let near = |line: &Line| match self.halves || !self.even {
            _ if slack == 0 => true,
            true => line.near_halves(reach) == exact_halves(line),
            false => {
                line.near_halves(Lines::error(line, bits, words))
                    .unwrap_or(0)
                    == 0
            }
        };
        let examined = |line: &Line| exact_halves(line).is_some() || reach <= power(EXAMINED_LOG2);
        self.lines.iter().all(|line| near(line) && examined(line))
    }

    /// Rounding with so many bits. Should these be too few, either halves or what is near to them is rounded like the other: what is less.
    fn precision(&self, bits: u32, words: Option<Words>) -> Precision {
        let (slack, reach) = (self.slack(bits, words), self.reach(bits, words));
        let exact: i128 = self.lines.iter().filter_map(exact_halves).sum();
        let near: i128 = self
            .lines
            .iter()
            .filter_map(|line| line.near_halves(reach))
            .sum();
        let told = slack == 0 || near - exact <= exact;
        Precision {
            bits,
            slack: if told && (self.halves || !self.even) {
                slack
            } else {
                0
            },
            halves: told && self.halves && self.even,
            words,
        }
    }
}

/// How often a line is a half.
fn exact_halves(line: &Line) -> Option<i128> {
    line.near_halves(line.uncertainty())
}

fn power(log2: i32) -> f64 {
    f64::from(log2).exp2()
}
