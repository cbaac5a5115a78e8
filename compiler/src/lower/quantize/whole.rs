//! Accumulators of integers: the unit is 1, and no number is rounded, however wide it is.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::is_whole;
use crate::lower::columns::Columns;
use crate::lower::quantize::{Builder, Goal, Quantized, ceil_log2};
use crate::lower::value::{Axis, Term, Value};

/// Bits of the lower of two columns that hold a wide constant.
const LOWER_BITS: u32 = 24;

/// Quantizes a value of integers over `axes`.
pub(super) fn accumulate(
    columns: &mut Columns,
    name: &str,
    value: &Value,
    axes: &[Axis],
    goal: Goal,
) -> Result<Quantized, Diagnostic> {
    let mut builder = Builder::new(columns, name, axes, 1.0);
    for term in &value.terms {
        builder.push_integers(term)?;
    }
    builder.finish(match goal {
        Goal::Rounded { magnitude, levels } => ceil_log2(magnitude / levels),
        _ => 0,
    })
}

/// The integer that `x` is.
fn integer(x: f64) -> Result<i64, Diagnostic> {
    match is_whole(x) {
        true => Ok(x as i64),
        false => Err(refuse(
            format!("its value is an integer by its type, and is made with {x}"),
            "use integers of up to 53 bits",
        )),
    }
}

/// Numbers as sums of powers of two times columns: one column, or two where numbers are wide.
fn digits(numbers: &[i64]) -> Result<Vec<(i128, Vec<i32>)>, Diagnostic> {
    let column = |number: &dyn Fn(i64) -> i64| -> Option<Vec<i32>> {
        let digits = numbers.iter().map(|x| i32::try_from(number(*x)).ok());
        digits.collect()
    };
    if let Some(all) = column(&|x| x) {
        return Ok(vec![(1, all)]);
    }
    let half = 1i64 << (LOWER_BITS - 1);
    let upper = |x: i64| (x + half) >> LOWER_BITS;
    let lower = |x: i64| x - (upper(x) << LOWER_BITS);
    match (column(&upper), column(&lower)) {
        (Some(upper), Some(lower)) => Ok(vec![(1 << LOWER_BITS, upper), (1, lower)]),
        _ => Err(refuse(
            "its constants are too wide",
            "use integers of up to 53 bits",
        )),
    }
}

impl Builder<'_> {
    fn push_integers(&mut self, term: &Term) -> Result<(), Diagnostic> {
        let Some(weight) = &term.weight else {
            let scalar = integer(term.scalar)?.into();
            return match term.is_constant() {
                true => self.add(scalar, (1, 1), &[], vec![]),
                false => self.product(term, scalar, None),
            };
        };
        let numbers = weight.data.iter().map(|x| integer(x * term.scalar));
        for (power, digits) in digits(&numbers.collect::<Result<Vec<_>, _>>()?)? {
            self.product(term, power, Some((weight, digits)))?;
        }
        Ok(())
    }
}
