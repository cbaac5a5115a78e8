//! Functions of one variable as lookup tables.
//!
//! Every key that an accepted input can reach has the function's value, to the table's error, or is barred: nothing is clamped, and what
//! has no value, or one that no integer holds, cannot be proved.

use zkiln_runtime::model::TableId;
use zkiln_runtime::relations::{Map, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::boundary::mapped_value;
use crate::lower::columns::{KeyRange, Output};
use crate::lower::intervals::nonnegative;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{Goal, Quantized, ceil_log2, too_wide};
use crate::lower::value::Value;

/// The greatest calibrated output of a table is this fraction of the greatest integer of its bits, at most.
const TABLE_MARGIN: f64 = 1.25;
/// A key that is rounded may change a table's output by this fraction of its calibrated range.
const TABLE_ERROR: f64 = 1.0 / 256.0;
/// And no key that is rounded may change it by more than this fraction, if bits help.
const TABLE_STEP: f64 = 1.0 / 100.0;
/// A key whose rounding changes the output by more than this fraction of it, and of the calibrated range, is barred.
const MOST_ERROR: f64 = 1.0 / 64.0;
/// A function that changes so many times less than it may, at a few places within half a step of a key, is not looked at more closely.
const QUIET: f64 = 8.0;
/// The unit of an output is at most this fraction of the least one that is to have a relative precision.
const RELATIVE_ERROR: f64 = 1.0 / 512.0;
/// Part of a table's results that may be all that its readers take.
const LEAST_PART: f64 = 1.0 / 16.0;
/// Widest keys of a table that is made more precise.
const MAX_KEY_BITS: u8 = 18;
/// Bits of the greatest outputs: beyond, keys are barred.
const MOST_OUTPUT_BITS: u32 = 26;

/// A function of one value that is to be a table.
#[derive(Clone, Copy)]
pub struct Tabulated<'a> {
    /// Name of the table.
    pub label: &'a str,
    /// Bits of results up to `greatest`.
    pub bits: u8,
    /// Greatest magnitude of a calibrated result.
    pub greatest: f64,
    /// Least magnitude of a result that is to have a relative precision; 0 if none is.
    pub least: f64,
    /// On reals.
    pub function: &'a dyn Fn(f64) -> f64,
}

/// A table of a real function: what its integers mean.
struct FunctionTable {
    id: TableId,
    /// Real value of an output's unit.
    step: f64,
    bounds: (i64, i64),
    /// What is looked up is a key less this one, which has a value.
    origin: i64,
}

/// The reals that round to a key.
#[derive(Clone, Copy)]
enum Cell {
    /// Nothing is rounded.
    Point,
    /// All within half a step.
    Interval,
}

impl Lowering<'_> {
    /// The function of `value`, if the value's integers have at most `exact_bits` bits and need no rounding.
    pub fn through_exact_table(
        &mut self,
        value: &Value,
        function: Tabulated,
        exact_bits: u8,
    ) -> Result<Option<Value>, Diagnostic> {
        let axes = value.mentioned();
        let Some(mut quantized) = self.exact_integers(value, &axes)? else {
            return Ok(None);
        };
        let keys = KeyRange::covering(quantized.bounds.0, quantized.bounds.1);
        if keys.bits > exact_bits {
            return Ok(None);
        }
        let keys = KeyRange {
            bits: if keys.signed {
                keys.bits.max(function.bits)
            } else {
                keys.bits
            },
            ..keys
        };
        let table = self.function_table(keys, quantized.unit, Cell::Point, function)?;
        quantized.add_units(-table.origin);
        let shape = quantized.accumulator.shape.to_vec();
        let mapped = self.columns.witness(&self.here(), shape, table.bounds);
        let relation = Relation::Map(Map {
            accumulator: quantized.accumulator.clone(),
            table: table.id,
            mapped: vec![mapped].into(),
        });
        self.emit(&self.here(), &quantized, u32::from(keys.bits), relation);
        Ok(Some(mapped_value(value, mapped, &axes, table.step)))
    }

    /// The function of `value` through a table, rounded to as many bits as the function says if its integers are not small already.
    pub fn through_table(
        &mut self,
        value: &Value,
        tabulated: Tabulated,
    ) -> Result<Value, Diagnostic> {
        if let Some(exact) = self.through_exact_table(value, tabulated, tabulated.bits + 1)? {
            return Ok(exact);
        }
        let axes = value.mentioned();
        let mut keys = KeyRange {
            bits: tabulated.bits,
            signed: !nonnegative(value, &self.columns),
        };
        let mut quantized = self.accumulate(value, &axes, Goal::rounded(value, keys))?;
        // What reads the results may take a small part of them for all.
        let read = self.tolerance().all.max(tabulated.greatest * LEAST_PART);
        let as_read = Tabulated {
            greatest: tabulated.greatest.min(read),
            ..tabulated
        };
        while keys.bits < MAX_KEY_BITS && is_coarse(&quantized, value.range, as_read) {
            keys.bits += 1;
            quantized = self.accumulate(value, &axes, Goal::rounded(value, keys))?;
        }
        let step = quantized.step();
        let wide = self.reach(&quantized, keys);
        let table = match self.saturates() {
            // What leaves the range is clamped, and said to be.
            true => {
                let (low, high) = keys.bounds();
                let (low, high) = (low as f64 * step, high as f64 * step);
                let clamped = |x: f64| (tabulated.function)(x.clamp(low, high));
                let function = &clamped;
                let clamped = Tabulated {
                    function,
                    ..tabulated
                };
                self.function_table(wide, step, Cell::Interval, clamped)?
            }
            false => self.function_table(wide, step, Cell::Interval, tabulated)?,
        };
        if quantized.step_log2 < 0 {
            let finer = quantized.step_log2.unsigned_abs();
            quantized = quantized.refined(finer);
        }
        let origin = i128::from(table.origin) << quantized.step_log2.min(60);
        let units = i64::try_from(-origin).map_err(|_| too_wide(origin.abs()))?;
        quantized.add_units(units);
        let shape = quantized.accumulator.shape.to_vec();
        let mapped = self.columns.witness(&self.here(), shape, table.bounds);
        let name = value.name.clone();
        self.requant(&name, quantized, wide, table.id, &[mapped])?;
        Ok(mapped_value(value, mapped, &axes, table.step))
    }

    /// The table of a function on `keys` in units of `step`.
    fn function_table(
        &mut self,
        keys: KeyRange,
        step: f64,
        cell: Cell,
        tabulated: Tabulated,
    ) -> Result<FunctionTable, Diagnostic> {
        let Tabulated {
            label, function, ..
        } = tabulated;
        let reals: Vec<f64> = keys.iter().map(|key| function(key as f64 * step)).collect();
        let out_step = out_step(&reals, step, tabulated);
        let most = f64::from(1u32 << MOST_OUTPUT_BITS);
        let tolerated = |y: f64| MOST_ERROR * tabulated.greatest.max(y.abs());
        let barred: Vec<bool> = keys
            .iter()
            .zip(&reals)
            .map(|(key, &y)| {
                let held = (y / out_step).abs() <= most;
                let settled = match cell {
                    Cell::Point => true,
                    Cell::Interval => {
                        // What is never negative is not, within half a step of zero.
                        let within = |x: f64| match keys.signed {
                            true => function(x),
                            false => function(x.max(0.0)),
                        };
                        settles(&within, key as f64, step, tolerated(y))
                    }
                };
                !(held && settled)
            })
            .collect();
        let data: Vec<i32> = (reals.iter().zip(&barred))
            .map(|(y, barred)| match barred {
                true => 0,
                false => (y / out_step).round() as i32,
            })
            .collect();
        let bounds = data.iter().fold((0, 0), |(lo, hi): (i64, i64), &y| {
            (lo.min(y.into()), hi.max(y.into()))
        });
        let Some(origin) = origin(keys, &barred) else {
            return Err(refuse(
                format!("`{label}` has no value that integers hold, wherever its operand may be"),
                "keep the operand where the function has one, and give sample inputs that show it",
            ));
        };
        let place = (keys.first() - origin, keys.bits);
        let (columns, data) = (&mut self.columns, vec![Output::Values(data)]);
        Ok(FunctionTable {
            id: (self.tables).partial_table(columns, label, place, data, &barred),
            step: out_step,
            bounds,
            origin,
        })
    }
}

/// The key that has a value and is nearest to 0, so that what padding looks up is there.
fn origin(keys: KeyRange, barred: &[bool]) -> Option<i64> {
    let allowed = keys.iter().zip(barred).filter(|(_, barred)| !**barred);
    allowed.map(|(key, _)| key).min_by_key(|key| key.abs())
}

/// Real value of an output's unit: that of the key's if no output is between its multiples, else the least power of two of which the
/// calibrated outputs need no more than the table's bits.
fn out_step(reals: &[f64], step: f64, tabulated: Tabulated) -> f64 {
    let finite = || reals.iter().filter(|y| y.is_finite());
    let signed = finite().any(|&y| y < 0.0);
    let limit = f64::from(1u32 << (tabulated.bits - u8::from(signed))) - 1.0;
    let most = f64::from(1u32 << MOST_OUTPUT_BITS);
    let multiples = |step: f64| {
        finite().all(|&y| (y / step - (y / step).round()).abs() < 1e-6 && y.abs() / step <= most)
    };
    let greatest = tabulated.greatest * TABLE_MARGIN;
    match greatest {
        _ if finite().all(|&y| y.abs() / step <= 2.0 * limit) && multiples(step) => step,
        _ if finite().all(|y| y.fract() == 0.0 && y.abs() <= most) => 1.0,
        0.0 => 1.0,
        greatest => {
            let relative = match tabulated.least > 0.0 {
                true => (tabulated.least * RELATIVE_ERROR).max(greatest / most),
                false => f64::INFINITY,
            };
            f64::from(ceil_log2(relative.min(greatest / limit))).exp2()
        }
    }
}

/// The least magnitude of results up to `greatest` that has its relative precision where a table's outputs have so many bits.
pub fn least_in_bits(greatest: f64, bits: u8) -> f64 {
    greatest / f64::from(bits - 1).exp2() / RELATIVE_ERROR
}

/// Whether the function has a value within half a step of the key, and is not steep there. No step is small enough for a jump, but the key
/// is to be on one side of it.
fn settles(function: &dyn Fn(f64) -> f64, key: f64, step: f64, tolerated: f64) -> bool {
    let at = |eighths: i32| function((key + f64::from(eighths) / 16.0) * step);
    let here = at(0);
    // Most keys of most functions: a few places tell.
    let changes = [-8, -4, 4, 8].map(|eighths| (at(eighths) - here).abs());
    if changes.iter().all(|change| QUIET * change <= tolerated) {
        return here.is_finite();
    }
    let values: Vec<f64> = (-8..=8).map(at).collect();
    let changes = values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    let steepest = changes.fold(0.0, f64::max);
    let farthest = (values.iter()).map(|y| (y - values[8]).abs());
    let farthest = farthest.fold(0.0, f64::max);
    let defined = values.iter().all(|y| y.is_finite());
    let beside = |at: usize| (values[at] - values[8]).abs() <= tolerated;
    let jumps = steepest > 0.9 * farthest && (beside(7) || beside(9));
    defined && (farthest <= tolerated || jumps)
}

/// Whether rounding to the step loses too much of a function whose results reach `greatest`: it is steep, or only interesting in a small
/// part of its range.
fn is_coarse(quantized: &Quantized, range: (f64, f64), tabulated: Tabulated) -> bool {
    let Tabulated {
        greatest, function, ..
    } = tabulated;
    let step = quantized.step();
    let squares = |key: i64| {
        let at = |eighths: i32| {
            function((key as f64 + f64::from(eighths) / 16.0) * step).clamp(-greatest, greatest)
        };
        let change = (at(8) - at(0)).abs();
        let steepest = (0..8)
            .map(|i| (at(i + 1) - at(i)).abs())
            .fold(0.0, f64::max);
        // No step is small enough for a jump.
        let jumps = steepest > 0.9 * change;
        if jumps || !change.is_finite() {
            0.0
        } else {
            change * change
        }
    };
    let squares: Vec<f64> = ((range.0 / step).ceil() as i64..=(range.1 / step) as i64)
        .map(squares)
        .filter(|x| *x > 0.0)
        .collect();
    let mean_is_coarse =
        squares.iter().sum::<f64>() > (greatest * TABLE_ERROR).powi(2) * squares.len() as f64;
    let steepest = squares.iter().copied().fold(0.0, f64::max);
    mean_is_coarse || steepest > (greatest * TABLE_STEP).powi(2)
}
