//! `floor(a / b)` of integers, exact: by constants and by computed integers. Divisors are positive: what is zero or negative has no proof.

use zkiln_runtime::relations::{Division, Limbs, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::boundary::{column_value, limbs};
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::Goal;
use crate::lower::value::{Axis, Value};

/// Greatest constant that divides integers of two columns.
const MOST_DIVISOR: f64 = (1 << 20) as f64;

/// Least and greatest quotient of integers in these ranges.
fn bounds((low, high): (f64, f64), (least, greatest): (f64, f64)) -> (i128, i128) {
    let quotient = |a: f64, b: f64| (a as i128).div_euclid(b as i128);
    let ends = [least, greatest].map(|b| [quotient(low, b), quotient(high, b)]);
    let ends = ends.as_flattened();
    let least = ends.iter().copied().fold(i128::MAX, i128::min);
    (least, ends.iter().copied().fold(i128::MIN, i128::max))
}

/// Bits of integers from 0 to `most`.
fn bits(most: i128) -> u32 {
    KeyRange::covering(0, most).bits.into()
}

/// The axes that one of the values varies along.
fn mentioned(a: &Value, b: &Value) -> Vec<Axis> {
    let (first, second) = (a.mentioned(), b.mentioned());
    let axes = a.repeated_like(b).axes().into_iter();
    axes.filter(|axis| first.contains(axis) || second.contains(axis))
        .collect()
}

impl Lowering<'_> {
    /// `floor(a / b)` of integers over dimensions that agree.
    pub fn floor_quotient(&mut self, a: &Value, b: &Value) -> Result<Value, Diagnostic> {
        let divisors = self.certain_range(b)?;
        if divisors.1 < 1.0 {
            return Err(refuse("its divisor is never positive", "correct the model"));
        }
        let positive = (divisors.0.max(1.0), divisors.1);
        let (least, greatest) = bounds(self.certain_range(a)?, positive);
        let over = a.repeated_like(b);
        if least == greatest && divisors.0 >= 1.0 {
            return Ok(over.number_like(least as f64));
        }
        if i32::try_from(least).is_err() || i32::try_from(greatest).is_err() {
            if let Some(made) = self.quotient_in_two(a, b)? {
                return Ok(made);
            }
            return Err(refuse(
                format!("its quotients reach from {least} to {greatest}"),
                "keep quotients within 32 bits, or give samples of the numbers that occur",
            ));
        }
        let axes = mentioned(a, b);
        let numerator = self.accumulate(a, &axes, Goal::Exact)?;
        let divisor = self.accumulate(b, &axes, Goal::Exact)?;
        let name = format!("{}/quotient", self.here());
        let shape = numerator.accumulator.shape.to_vec();
        let below = positive.1 as i128 - 1;
        let quotient_limbs = self.cut(&format!("{name}/above"), &shape, greatest - least);
        let remainder = self.cut(&format!("{name}/rest"), &shape, below);
        let slack = self.cut(&format!("{name}/slack"), &shape, below);
        let least = least as i64;
        let quotient = self.columns.witness(&name, shape, (least, greatest as i64));
        let relation = Relation::Division(Division {
            numerator: numerator.accumulator.clone(),
            divisor: divisor.accumulator,
            quotient,
            least,
            quotient_limbs,
            remainder,
            slack,
        });
        self.emit(&name, &numerator, bits(greatest), relation);
        let made = column_value(&over, quotient, &axes, 1.0);
        Ok(Value {
            proven: Some((least as f64, greatest as f64)),
            integer: true,
            ..made
        })
    }

    /// `floor(a / d)` by a small constant, of integers too wide for one column: of `2^k h + l` it is
    /// `h floor(2^k / d) + floor((h (2^k mod d) + l) / d)`.
    fn quotient_in_two(&mut self, a: &Value, b: &Value) -> Result<Option<Value>, Diagnostic> {
        let uniform = b.is_constant().then(|| b.constant_part().uniform());
        let Some(divisor) = uniform.flatten().filter(|divisor| *divisor <= MOST_DIVISOR) else {
            return Ok(None);
        };
        let quantized = self.accumulate(a, &a.mentioned(), Goal::Exact)?;
        let Some((high, low, power)) = self.in_two_columns(a, quantized)? else {
            return Ok(None);
        };
        let divisor = divisor as i64;
        let counts = high.scaled((power as f64).recip()).of_integers();
        let rest = counts.clone().scaled((power % divisor) as f64).plus(low);
        let of_rest = self.floor_quotient(&rest, b)?;
        let whole = counts.scaled((power / divisor) as f64);
        Ok(Some(of_rest.plus(whole)))
    }

    /// Limbs of integers from 0 to `most`.
    fn cut(&mut self, name: &str, shape: &[u32], most: i128) -> Limbs {
        let (columns, tables) = (&mut self.columns, &mut self.tables);
        limbs(columns, tables, name, shape, bits(most), 0).1
    }
}
