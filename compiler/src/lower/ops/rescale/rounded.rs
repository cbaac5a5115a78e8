//! The relations of rounding: `floor((x + h) / 2^s)`, once, or twice where halves go to the even integer; and what keeps the result in a
//! range.
//!
//! To the nearest even is `floor((x + 1/2) / 2) + floor((x + 3/2) / 2)`, of which the second goes down at the integers: at a half, one of the
//! two has a whole number, and whether it is the first or the second is whether the integer below is odd or even.
//!
//! Integers too wide for a table are cut as inputs are: `y = 2^m u + v` with `0 <= v < 2^m`, so that `y` is in its range if and only if `u`
//! is 0. A table has `inside(u)`, which is 1 there, and `end(u)`, the nearer end elsewhere: `clamp(y) = inside(u) v + end(u)`.

use zkiln_runtime::model::{ColumnId, View as IntegerView};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::boundary::{column_value, mapped_value};
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::ops::binary::add;
use crate::lower::ops::function::add_number;
use crate::lower::ops::rescale::Target;
use crate::lower::ops::rescale::precision::Precision;
use crate::lower::quantize::Quantized;
use crate::lower::quantize::sums::{IntegerPart, sum_of_integers};
use crate::lower::tabulate::Tabulated;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Value, View};

/// Widest rounded integers that are looked up in one table.
pub(super) const TABLE_BITS: u8 = 16;
/// Widest rounded integers that are looked up in one table with an offset of their own.
const MOST_BITS: u8 = 18;
/// Lower bits of integers that are too wide for a table and not cut.
const LOWER_BITS: u32 = 15;

/// `x * 2^bits` as an exact sum of integers, to be rounded.
pub(super) struct Sum<'a> {
    /// Dimensions and name of the result.
    pub about: &'a Value,
    pub axes: Vec<Axis>,
    pub quantized: Quantized,
    pub precision: Precision,
}

/// The integers that `x` may be rounded to.
pub(super) fn keys((low, high): (f64, f64)) -> KeyRange {
    KeyRange::covering((low - 1.0).floor() as i128, (high + 1.0).ceil() as i128)
}

/// The bits of the integers that stay when what is too wide for a table is kept in the target's range.
pub(super) fn kept_bits(target: &Target) -> u32 {
    match target.is_bounded() {
        true => KeyRange::covering(0, (target.greatest - target.least) as i128)
            .bits
            .into(),
        false => LOWER_BITS,
    }
}

impl Sum<'_> {
    /// What is added before what is rounded down: for the first half, and for the second. With an `odd` offset, halves go to the odd integer.
    fn raised(&self, odd: bool) -> [i64; 2] {
        let Precision {
            bits,
            slack,
            halves,
            words: _,
        } = self.precision;
        let half = 1i64 << (bits - 1);
        match (halves, odd) {
            (false, _) => [half + slack, 0],
            (true, false) => [half + slack, 3 * half - slack - 1],
            (true, true) => [half - slack - 1, 3 * half + slack],
        }
    }

    /// The rounded integers of `sum`, which has an offset that is `odd` or even, as an expression.
    fn rounded(
        &self,
        cx: &mut Lowering,
        sum: &Quantized,
        keys: KeyRange,
        odd: bool,
    ) -> Result<Value, Diagnostic> {
        let (bits, raised) = (self.precision.bits, self.raised(odd));
        if !self.precision.halves {
            let to = To::range(bits, keys);
            let column = floor(cx, "rounded", sum, raised[0], &to)?;
            return Ok(column_value(self.about, column, &self.axes, 1.0));
        }
        let half = KeyRange {
            bits: (keys.bits - 1).max(1),
            ..keys
        };
        let first = floor(cx, "first", sum, raised[0], &To::range(bits + 1, half))?;
        let rest = minus(sum, first, bits + 1)?;
        let one = KeyRange {
            bits: 1,
            signed: false,
        };
        let second = floor(cx, "second", &rest, raised[1], &To::range(bits + 1, one))?;
        let [first, second] = [(first, 2.0), (second, 1.0)]
            .map(|(column, unit)| column_value(self.about, column, &self.axes, unit));
        Ok(Value {
            proven: None,
            ..first.plus(second)
        })
    }

    /// The rounded integers plus an offset, kept in the target's range.
    pub fn kept_in(
        &self,
        cx: &mut Lowering,
        offset: &Value,
        target: &Target,
        range: (f64, f64),
    ) -> Result<Value, Diagnostic> {
        let keys = keys(range);
        let Some(offset) = offset.constant_part().uniform() else {
            if keys.bits > MOST_BITS {
                return Err(too_far(keys.bits.into()));
            }
            let rounded = self.rounded(cx, &self.quantized, keys, false)?;
            let rounded = Value {
                proven: None,
                ..rounded
            };
            let sum = add(cx, rounded, offset.clone())?;
            return target.clamp(cx, sum);
        };
        let inside = keys.bounds().0 as f64 + offset >= target.least
            && keys.bounds().1 as f64 + offset <= target.greatest;
        match (keys.bits <= TABLE_BITS, self.precision.halves) {
            (true, false) if !inside => self.through_table(cx, keys, offset, target),
            (true, _) => {
                let rounded = self.rounded(cx, &self.quantized, keys, false)?;
                target.clamp(cx, add_number(rounded, offset).normalize())
            }
            (false, _) => self.cut(cx, offset, target),
        }
    }

    /// Looks up the offset and the range together with the rounded integers.
    fn through_table(
        &self,
        cx: &mut Lowering,
        keys: KeyRange,
        offset: f64,
        target: &Target,
    ) -> Result<Value, Diagnostic> {
        let data: Vec<i32> = keys
            .iter()
            .map(|key| target.of(key as f64 + offset) as i32)
            .collect();
        let bounds = data.iter().fold((0, 0), |(low, high): (i64, i64), y| {
            (low.min((*y).into()), high.max((*y).into()))
        });
        let shape = self.quantized.accumulator.shape.to_vec();
        let mapped = cx.columns.witness(&cx.here(), shape, bounds);
        let to = To {
            outputs: Some((cx.label(), vec![data])),
            mapped: vec![mapped],
            ..To::range(self.precision.bits, keys)
        };
        floor(cx, "rounded", &self.quantized, self.raised(false)[0], &to)?;
        Ok(mapped_value(self.about, mapped, &self.axes, 1.0))
    }

    /// Integers too wide for a table, cut in two.
    fn cut(&self, cx: &mut Lowering, offset: f64, target: &Target) -> Result<Value, Diagnostic> {
        let (bits, lower) = (self.precision.bits, kept_bits(target));
        let moved = if target.is_bounded() {
            offset - target.least
        } else {
            0.0
        };
        let mut sum = self.quantized.clone();
        push(&mut sum, (moved as i64) << bits);
        let odd = moved.rem_euclid(2.0) == 1.0;
        let upper = |x: i128| x >> (bits + lower);
        let keys = KeyRange::covering(upper(sum.bounds.0) - 1, upper(sum.bounds.1) + 1);
        if keys.bits > MOST_BITS {
            return Err(too_far(u32::from(keys.bits) + lower));
        }
        let mut to = To::range(bits + lower, keys);
        let mut ends = None;
        if target.is_bounded() {
            let most = ((1i64 << lower) - 1) as i32;
            let [inside, end] = [("inside", 1), ("end", i64::from(most))].map(|(part, high)| {
                let name = format!("{}/{part}", cx.here());
                cx.columns
                    .witness(&name, sum.accumulator.shape.to_vec(), (0, high))
            });
            let end_of = |u: i64| if u > 0 { most } else { 0 };
            let data = vec![
                keys.iter().map(|u| i32::from(u == 0)).collect(),
                keys.iter().map(end_of).collect(),
            ];
            (to.outputs, to.mapped) = (Some(("clamp".into(), data)), vec![inside, end]);
            ends = Some((inside, end, most));
        }
        let cut = floor(cx, "upper", &sum, self.raised(odd)[0], &to)?;
        let rest = minus(&sum, cut, bits + lower)?;
        let kept = KeyRange {
            bits: lower as u8,
            signed: false,
        };
        let rounded = self.rounded(cx, &rest, kept, odd)?;
        let Some((inside, end, most)) = ends else {
            let upper = column_value(self.about, cut, &self.axes, f64::from(lower).exp2());
            let all = Value {
                proven: None,
                ..rounded.plus(upper)
            };
            return Ok(add_number(all, offset).normalize());
        };
        let clamped = self.inside(cx, &rounded, inside, end, most.into())?;
        let made = add_number(
            column_value(self.about, clamped, &self.axes, 1.0),
            target.least,
        );
        target.clamp(cx, made.normalize())
    }

    /// The column of `inside * rounded + end`, at most `most`.
    fn inside(
        &self,
        cx: &mut Lowering,
        rounded: &Value,
        inside: ColumnId,
        end: ColumnId,
        most: i64,
    ) -> Result<ColumnId, Diagnostic> {
        let part = |factors, coefficient| IntegerPart {
            factors,
            summed: vec![],
            weight: None,
            coefficient,
        };
        let inside = View::whole(inside, &self.axes);
        let mut parts = vec![part(vec![View::whole(end, &self.axes)], 1)];
        for term in &rounded.terms {
            let factors = [std::slice::from_ref(&inside), &term.factors[..]].concat();
            parts.push(part(factors, term.scalar as i64));
        }
        let name = format!("{}/clamped", cx.here());
        let mut sum = sum_of_integers(&mut cx.columns, &name, &self.axes, &parts)?;
        sum.bounds = (0, most.into());
        Ok(cx.commit(&name, sum))
    }
}

/// The column of `floor((sum + number) / 2^shift)`, a key of a table.
pub(super) fn floor(
    cx: &mut Lowering,
    part: &str,
    sum: &Quantized,
    number: i64,
    to: &To,
) -> Result<ColumnId, Diagnostic> {
    let mut sum = sum.clone();
    sum.step_log2 = to.shift as i32;
    sum.unit = f64::from(to.shift).exp2().recip();
    // Rounding adds half a step.
    push(&mut sum, number - (1 << (to.shift - 1)));
    let table = match &to.outputs {
        None => cx.tables.range(&mut cx.columns, to.keys),
        Some((label, data)) => cx.tables.table(&mut cx.columns, label, to.keys, data),
    };
    let name = match part {
        "" => cx.here(),
        part => format!("{}/{part}", cx.here()),
    };
    cx.requant(&name, sum, to.keys, table, &to.mapped)
        .map(|(column, _)| column)
}

/// Where rounded integers go.
pub(super) struct To {
    shift: u32,
    keys: KeyRange,
    /// Name and outputs of the table; a range if it has none.
    outputs: Option<(String, Vec<Vec<i32>>)>,
    mapped: Vec<ColumnId>,
}

impl To {
    pub fn range(shift: u32, keys: KeyRange) -> To {
        To {
            shift,
            keys,
            outputs: None,
            mapped: vec![],
        }
    }
}

/// Adds a number to a sum.
fn push(sum: &mut Quantized, number: i64) {
    sum.accumulator = sum.accumulator.clone().plus_constant(number);
    let number = i128::from(number);
    sum.bounds = (sum.bounds.0 + number, sum.bounds.1 + number);
    sum.magnitude += number.abs();
}

/// `sum - 2^shift column`, where the column holds the upper bits of the sum.
pub(super) fn minus(
    sum: &Quantized,
    column: ColumnId,
    shift: u32,
) -> Result<Quantized, Diagnostic> {
    let whole = IntegerView::identity(column, sum.accumulator.shape.len())
        .map_err(|_| refuse("its value has too many axes", "reshape it before"))?;
    let mut rest = sum.clone();
    rest.accumulator = rest
        .accumulator
        .plus_product(-(1 << shift), vec![], vec![whole]);
    rest.magnitude = 2 * rest.magnitude + (1 << shift);
    Ok(rest)
}

impl Target {
    /// What is left of the integers when they are kept in the range, through a table if it must be.
    fn clamp(&self, cx: &mut Lowering, integers: Value) -> Result<Value, Diagnostic> {
        let (low, high) = cx.certain_range(&integers)?;
        if low >= self.least && high <= self.greatest {
            return Ok(integers);
        }
        let tabulated = Tabulated {
            label: &cx.label(),
            bits: cx.bits.activation_bits,
            greatest: self.greatest.abs(),
            least: 0.0,
            function: &|x| self.of(x),
        };
        let clamped = cx.through_exact_table(&integers, tabulated, MOST_BITS + 1)?;
        clamped.ok_or_else(|| {
            refuse(
                "its integers are too wide to be kept in a range",
                "scale them first",
            )
        })
    }
}

/// Axes of a sum: those of `all` along which the value, or one of the constants, varies.
pub(super) fn varying(value: &Value, all: &[Axis], constants: &[&Weight]) -> Vec<Axis> {
    let varies = |axis: &&Axis| {
        let mentioned = |weight: &&Weight| weight.mentions(axis.id);
        value.terms.iter().any(|term| term.mentions(axis.id)) || constants.iter().any(mentioned)
    };
    all.iter().filter(varies).copied().collect()
}

fn too_far(bits: u32) -> Diagnostic {
    refuse(
        format!(
            "what it rounds may be an integer of {bits} bits, as far as can be told, and no table has so many"
        ),
        "bound the value before it, as with `Clip`, or divide by a number that does not come near zero",
    )
}
