//! Powers and logarithms of positive values, as precise near zero as they are far from it.
//!
//! The exact integer `a` of a value is normalized: `a = m 2^(g e) + r`. A table maps the mantissa `m`; the exponent `e` moves the scale, by a
//! product with a proved power: `a^(-1/g)` is `m^(-1/g) 2^-e`, and `ln a` is `ln m + e ln 2`. The result has the relative precision of its
//! table over all that `a` can be. What is zero or negative, or so small that no column holds the result, cannot be proved; nor can a sum of squares
//! of values of so few steps that their rounding counts, unless it is zero and something is added.

use std::f64::consts::LN_2;

use zkiln_runtime::model::{ColumnId, Powers, Structure, TableId, Term as ModelTerm};
use zkiln_runtime::relations::{Normalize, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::boundary::{limbs, mapped_value};
use crate::lower::columns::{KeyRange, Output};
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{Goal, Quantized, ceil_log2, is_exact};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, View};

/// Bits to which a value is rounded that is not exact.
const ROUNDED_BITS: u8 = 26;
/// Widest integers whose exponents are found.
const MOST_BITS: u32 = 61;
/// Bits of integers that are so few that one of them may be a whole value, as of a norm of flags.
const FEW_BITS: u32 = 40;
/// What is added to zero counts as so many bits less than the least integer, at least.
const BESIDE_BITS: u32 = 9;
/// What is such a part of the least integer changes no result by more than rounding it did.
const LITTLE: f64 = 1.0 / 8.0;
/// What is squared and summed has so many steps at least, as log2, in the mean: of fewer, rounding is too great a part.
const LEAST_STEPS_LOG2: u32 = 4;
/// Greatest power of two in a column.
const MOST_POWER_LOG2: u32 = 30;
/// Most summands and most columns in a product that is normalized as it is.
const MOST_TERMS: usize = 3;
/// Most columns in a product that is normalized as it is, so that the power fits in twice.
const MOST_FACTORS: usize = 2;
/// As it is, a value may cost this many times its size to prove.
const MOST_BLOWUP: usize = 4;
/// Most exponents of an inverse root, so that a product with it fits.
const MOST_ROOT_SPAN: u32 = 22;
/// Most bits of an inverse root.
const MOST_ROOT_BITS: u32 = 35;
/// Fewest bits of a result's mantissa.
const LEAST_BITS: u32 = 9;
/// Bits of a mantissa for which smaller values are refused than were seen.
const PRECISE_BITS: u32 = 12;
/// By how many bits values may leave what was seen.
const BEYOND_BITS: u32 = 4;
/// Bits of an exponent's power that is not one of two.
const FACTOR_BITS: f64 = 13.0;

/// A value before it is normalized.
struct Operand {
    /// Its integers, which have a mantissa if they are positive, or at least as great as they can be.
    quantized: Quantized,
    axes: Vec<Axis>,
    octaves: u8,
    /// Bits of a mantissa.
    bits: u8,
    /// How often the power is a factor.
    times: u8,
    /// Least exponent.
    low: u32,
    /// Greatest exponent less the least.
    span: u32,
}

/// What normalization makes of an operand.
struct Tables<'a> {
    label: &'a str,
    /// The integer for a mantissa.
    mantissa: &'a dyn Fn(f64) -> f64,
    /// The integer for an exponent, counted from the least, if it is not the power itself.
    factor: Option<&'a dyn Fn(u32) -> f64>,
}

/// A normalized value: columns over `axes`.
struct Normalized {
    axes: Vec<Axis>,
    /// Counted from the least.
    exponent: ColumnId,
    factor: ColumnId,
    mapped: ColumnId,
}

/// Octaves between the least and the greatest that was seen of a positive value; 0 if some was not positive.
fn seen_span(value: &Value, offset: f64) -> u32 {
    let (low, high) = (value.range.0 + offset, value.range.1 + offset);
    match low > 0.0 {
        true => ceil_log2(high / low).clamp(0, MOST_BITS as i32) as u32,
        false => 0,
    }
}

/// Bits of an integer that is not negative.
fn width(integer: i128) -> u32 {
    128 - integer.max(1).leading_zeros()
}

/// The same in units so fine that the least integer has more than `mantissa` bits, and that what is added to zero has, or is little, if there is
/// room.
fn with_room(
    quantized: Quantized,
    offset: f64,
    mantissa: u32,
    most_span: u32,
) -> Result<Quantized, Diagnostic> {
    let (low, high) = quantized.bounds;
    let units = offset / quantized.unit;
    let wanted = (mantissa + 1).saturating_sub(width(low + units.round() as i128));
    let room = MOST_BITS.saturating_sub(width(high + units.ceil() as i128));
    let beside = units.max((-f64::from(BESIDE_BITS)).exp2()).log2().floor() as i32;
    let apart = match offset > 0.0 && low <= 0 {
        true => (mantissa as i32 - beside).max(0) as u32,
        false => 0,
    };
    // As many as there are exponents for: under a root what is added is less little than it is itself.
    let few = FEW_BITS.max(mantissa + most_span);
    let few = few.saturating_sub(width(high));
    let finer = wanted.max(apart.min(few)).min(room);
    quantized.refined_within(finer as i32)
}

/// The least sum of squares of values of enough steps; 0 for what has no squares.
fn fewest_squares(quantized: &Quantized) -> i128 {
    let squares = |term: &ModelTerm| match &*term.operands {
        [a, b] if a.column == b.column => {
            let count: i128 = term.summed.iter().map(|&len| i128::from(len)).product();
            i128::from(term.coefficient.unsigned_abs()) * count
        }
        _ => 0,
    };
    let ones: i128 = quantized.accumulator.terms.iter().map(squares).sum();
    ones << (2 * LEAST_STEPS_LOG2)
}

impl Operand {
    /// Least mantissa.
    fn least(&self) -> i64 {
        1 << (self.bits - self.octaves)
    }

    /// The powers that go with exponents: `times` of each shift.
    fn powers(&self) -> Structure {
        Structure::Powers(Powers {
            step: self.octaves / self.times,
            last: self.span as u8,
        })
    }

    /// What is dropped of all integers multiplied by their powers.
    fn shift(&self) -> u32 {
        u32::from(self.octaves) * (self.low + self.span)
    }
}

impl Lowering<'_> {
    /// `(value + offset)^(-1/octaves)`, for `octaves` 1 or 2, as a product of two columns; for 1 the product fits a column.
    pub fn inverse_root(
        &mut self,
        value: &Value,
        offset: f64,
        octaves: u8,
        label: &str,
    ) -> Result<Value, Diagnostic> {
        let most_span = match octaves {
            1 => (MOST_POWER_LOG2 - PRECISE_BITS)
                .max(seen_span(value, offset) + BEYOND_BITS)
                .min(MOST_POWER_LOG2 - LEAST_BITS),
            _ => MOST_ROOT_SPAN,
        };
        let operand = self.operand(value, offset, octaves, most_span, true)?;
        let all = u32::from(self.bits.activation_bits);
        let bits = match octaves {
            1 => all.min(MOST_POWER_LOG2 - operand.span).max(LEAST_BITS),
            _ => all.min(MOST_ROOT_BITS - operand.span),
        };
        let power = -1.0 / f64::from(octaves);
        // The greatest mantissa gives 2^(bits - 1).
        let scale = (f64::from(bits) - 1.0 - power * f64::from(operand.bits)).exp2();
        let mantissa = |m: f64| scale * m.powf(power);
        let span = operand.span;
        let factor = |exponent: u32| f64::from(span.saturating_sub(exponent)).exp2();
        let is_power = operand.octaves == operand.times;
        let tables = Tables {
            label,
            mantissa: &mantissa,
            factor: (!is_power).then_some(&factor),
        };
        let unit = operand.quantized.unit.powf(power) / scale;
        let unit = unit / f64::from(operand.low + span).exp2();
        let made = self.normalize(operand, tables)?;
        Ok(product(value, &made, unit))
    }

    /// `ln(value + offset)`.
    pub fn logarithm(&mut self, value: &Value, offset: f64) -> Result<Value, Diagnostic> {
        let operand = self.operand(value, offset, 1, MOST_POWER_LOG2, true)?;
        let step = (-f64::from(self.bits.activation_bits)).exp2();
        let mantissa = |m: f64| libm::log(m.max(1.0)) / step;
        let tables = Tables {
            label: "ln",
            mantissa: &mantissa,
            factor: None,
        };
        let offset = libm::log(operand.quantized.unit) + f64::from(operand.low) * LN_2;
        let made = self.normalize(operand, tables)?;
        let term = |column, real| Term::view(View::whole(column, &made.axes), real);
        let mut sum = mapped_value(value, made.mapped, &made.axes, step);
        sum.terms.extend([
            term(made.exponent, LN_2),
            Term::constant(Weight::new(vec![], vec![offset])),
        ]);
        Ok(sum)
    }

    /// `(value + offset)^power`, for any power that is not 0, as a product of two columns; `offset` is not negative where the power is positive.
    pub fn power(
        &mut self,
        value: &Value,
        offset: f64,
        power: f64,
        label: &str,
    ) -> Result<Value, Diagnostic> {
        // What is nearly zero has nearly the root of zero.
        let offset = match power > 0.0 {
            true => offset.max(f64::MIN_POSITIVE),
            false => offset,
        };
        // The root of what is quiet is quiet as well: that counts where it is wanted relative to itself, as a divisor is.
        let quiet_counts = power < 0.0 || self.is_relative(self.current());
        let operand = self.operand(value, offset, 1, MOST_POWER_LOG2, quiet_counts)?;
        let ends = [operand.bits - 1, operand.bits].map(|bits| power * f64::from(bits));
        // The least result has all bits.
        let bits = f64::from(self.bits.activation_bits);
        let scale = (bits - ends[0].min(ends[1])).exp2();
        let mantissa = |m: f64| scale * m.powf(power);
        let growth = power * f64::from(operand.span);
        let factor_bits = (FACTOR_BITS + growth.abs()).min(MOST_POWER_LOG2.into());
        let factor_scale = (factor_bits - growth.max(0.0)).exp2();
        let factor = |exponent: u32| factor_scale * (power * f64::from(exponent)).exp2();
        let tables = Tables {
            label,
            mantissa: &mantissa,
            factor: Some(&factor),
        };
        let least = f64::from(operand.low).exp2() * operand.quantized.unit;
        let unit = least.powf(power) / scale / factor_scale;
        let made = self.normalize(operand, tables)?;
        Ok(product(value, &made, unit))
    }

    /// The exact integers of `value + offset`, with at most `most_span` exponents above the least. Where what is quiet counts, it is as it is, or has no
    /// mantissa; else the least mantissa may be added to all.
    fn operand(
        &mut self,
        value: &Value,
        offset: f64,
        octaves: u8,
        most_span: u32,
        quiet_counts: bool,
    ) -> Result<Operand, Diagnostic> {
        let committed = self.prepared(value)?;
        let axes = committed.mentioned();
        let mut quantized = self.accumulate(&committed, &axes, Goal::Exact)?;
        if value.proven.is_some_and(|(lo, _)| lo >= 0.0) {
            quantized.bounds.0 = quantized.bounds.0.max(0);
        }
        let units = offset / quantized.unit;
        if units.abs() > f64::from(MOST_BITS).exp2() {
            return Err(refuse(
                format!("{offset} is far greater than all that it is added to"),
                "leave the operator out, or give sample inputs of the size that is meant",
            ));
        }
        let bits = self.bits.activation_bits + octaves - 1;
        let mantissa = u32::from(bits - octaves);
        // Integers of few bits are not rounded.
        let counts = quiet_counts && width(quantized.bounds.1) > FEW_BITS;
        let integer = quantized.unit;
        quantized = with_room(quantized, offset, mantissa, most_span)?;
        let units = (offset / quantized.unit).round() as i64;
        let exponent = |integer: i128| width(integer).saturating_sub(bits.into());
        let exponent = |integer: i128| exponent(integer).div_ceil(octaves.into());
        let fewest = if counts {
            fewest_squares(&quantized)
        } else {
            0
        };
        let measured = ceil_log2(fewest as f64).max(0) as u32;
        let measured = measured.saturating_sub(mantissa).div_ceil(octaves.into());
        let high = exponent(quantized.bounds.1 + i128::from(units)).max(1);
        let low = exponent(quantized.bounds.0 + i128::from(units)).max(measured);
        let span = (high - low.min(high)).min(most_span);
        // What is added to zero has a mantissa, however little it is.
        let least = 1i64 << (mantissa + u32::from(octaves) * (high - span));
        let is_little = least as f64 * quantized.unit <= integer * LITTLE;
        let zeros_alone = fewest > 0 || (quiet_counts && quantized.bounds.0 >= 0 && !is_little);
        if offset > 0.0 && units < least && zeros_alone {
            self.add_to_zeros(&committed, &axes, &mut quantized, least - units)?;
            quantized.add_units(units);
        } else {
            quantized.add_units(match offset > 0.0 {
                true => units.max(least),
                false => units,
            });
        }
        let twice = u32::from(octaves) * span > MOST_POWER_LOG2;
        Ok(Operand {
            quantized,
            axes,
            octaves,
            bits,
            times: 1 + u8::from(twice),
            low: high - span,
            span,
        })
    }

    /// Adds `units` to the integers of a value that is not negative where it is zero.
    fn add_to_zeros(
        &mut self,
        value: &Value,
        axes: &[Axis],
        integers: &mut Quantized,
        units: i64,
    ) -> Result<(), Diagnostic> {
        let mut zero = self.part("zero", |cx| cx.positive(value))?.scaled(-1.0);
        let one = Term::constant(Weight::new(vec![], vec![1.0]));
        zero.terms.push(one);
        let zero = self.accumulate(&zero.normalize(), axes, Goal::Exact)?;
        for term in zero.accumulator.terms.iter() {
            integers.accumulator.terms.to_mut().push(ModelTerm {
                coefficient: term.coefficient * units,
                ..term.clone()
            });
        }
        for (factor, column) in zero.accumulator.columns.iter() {
            let columns = integers.accumulator.columns.to_mut();
            columns.push((factor * units, *column));
        }
        integers.magnitude += i128::from(units);
        Ok(())
    }

    /// The value as it is if its integers are exact and a product with it is cheap, else in columns.
    fn prepared(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let volume = |axes: &[Axis]| axes.iter().map(|axis| axis.len).product::<usize>();
        let size = volume(&value.mentioned());
        let cheap = |term: &Term| {
            let views = term.factors.iter();
            let largest = views
                .map(|view| volume(&view.axes().collect::<Vec<_>>()))
                .max();
            let cube = size * volume(&term.summed);
            term.weight.is_none()
                && term.factors.len() <= MOST_FACTORS
                && cube <= MOST_BLOWUP * size.max(largest.unwrap_or(1))
        };
        let varying = || value.terms.iter().filter(|term| !term.is_constant());
        let is_cheap = varying().count() <= MOST_TERMS && varying().all(cheap);
        if is_cheap && is_exact(value, self.bits.weight_bits) {
            return Ok(value.clone());
        }
        match self.in_columns(value)? {
            Some(committed) => Ok(committed),
            None => self.small(value, ROUNDED_BITS),
        }
    }

    /// Emits the normalization.
    fn normalize(&mut self, operand: Operand, made: Tables) -> Result<Normalized, Diagnostic> {
        let here = self.here();
        let shape = operand.quantized.accumulator.shape.to_vec();
        let (exponents, most_factor) = self.exponent_table(&operand, made.factor);
        let (table, range, bounds) = self.mantissa_tables(&operand, &made);
        let (columns, tables) = (&mut self.columns, &mut self.tables);
        let (shift, remainder) = limbs(columns, tables, &here, &shape, operand.shift(), 0);
        let mut witness = |part: &str, bounds| {
            let name = format!("{here}/{part}");
            self.columns.witness(&name, shape.clone(), bounds)
        };
        let exponent = witness("exponent", (0, operand.span.into()));
        let power = witness("power", (0, operand.powers().at(0)));
        let factors: Vec<ColumnId> = (made.factor.iter())
            .map(|_| witness("factor", (0, most_factor)))
            .collect();
        let half = 1i64 << (operand.bits - 1);
        let mantissa = witness("mantissa", (-half, half - 1));
        let mapped = witness(made.label, bounds);
        let factor = factors.first().copied().unwrap_or(power);
        let relation = Relation::Normalize(Normalize {
            accumulator: operand.quantized.accumulator.clone(),
            octaves: operand.octaves,
            exponent,
            exponents,
            power,
            times: operand.times,
            factors: factors.into(),
            shift: shift as u8,
            remainder,
            mantissa,
            table,
            mapped: vec![mapped].into(),
            range,
        });
        let name = format!("{here}/{}", made.label);
        self.emit(&name, &operand.quantized, operand.bits.into(), relation);
        Ok(Normalized {
            axes: operand.axes,
            exponent,
            factor,
            mapped,
        })
    }

    /// The table of powers and factors, and the greatest factor. Exponents that cannot be have no power.
    fn exponent_table(
        &mut self,
        operand: &Operand,
        factor: Option<&dyn Fn(u32) -> f64>,
    ) -> (TableId, i64) {
        let keys = KeyRange::covering(0, operand.span.into());
        let each = |function: &dyn Fn(u32) -> f64| -> Vec<i32> {
            let within = |key: i64| (key as u32).min(operand.span);
            keys.iter()
                .map(|key| function(within(key)).round() as i32)
                .collect()
        };
        let powers = operand.powers();
        let factors = factor.map(each);
        let most = match &factors {
            Some(factors) => factors.iter().max().map_or(0, |most| i64::from(*most)),
            None => powers.at(0),
        };
        let powers = std::iter::once(Output::Structural(powers));
        let outputs = powers.chain(factors.map(Output::Values)).collect();
        let (columns, place) = (&mut self.columns, (keys.first(), keys.bits));
        let table = (self.tables).partial_table(columns, "exponents", place, outputs, &[]);
        (table, most)
    }

    /// The table of mantissas, a range for their lengths, and the least and greatest of what they are mapped to.
    fn mantissa_tables(
        &mut self,
        operand: &Operand,
        made: &Tables,
    ) -> (TableId, TableId, (i64, i64)) {
        let keys = KeyRange {
            bits: operand.bits,
            signed: true,
        };
        let output = |m: i64| match m < operand.least() {
            true => 0,
            // Halfway to the next, since bits were dropped.
            false => (made.mantissa)(m as f64 + 0.5).round() as i32,
        };
        let data: Vec<i32> = (0..1 << operand.bits).map(output).collect();
        let bounds = data.iter().fold((0, 0), |(lo, hi): (i64, i64), &y| {
            (lo.min(y.into()), hi.max(y.into()))
        });
        let table = (self.tables).table(&mut self.columns, made.label, keys, &[data]);
        let lengths = KeyRange {
            bits: operand.bits,
            signed: false,
        };
        let range = self.tables.range_covering(&mut self.columns, lengths);
        (table, range, bounds)
    }
}

/// `unit mapped factor`, a function of `value`.
fn product(value: &Value, made: &Normalized, unit: f64) -> Value {
    let mut product = mapped_value(value, made.mapped, &made.axes, unit);
    let factor = View::whole(made.factor, &made.axes);
    product.terms[0].factors.push(factor);
    product
}

#[cfg(test)]
mod tests {
    use zkiln_runtime::trace::{self, Constants};

    use crate::graph::Op;
    use crate::lower::testing::Net;

    /// What becomes of rows beside a loud one: of the multiples of `1, -1, 1 ..` that these sizes are.
    fn normalized(epsilon: f64, sizes: [f64; 3]) -> Option<Vec<f64>> {
        let mut net = Net::new();
        let x = net.input(&[4, 8]);
        let y = net.push(Op::RmsNorm { axis: 1, epsilon }, &[x], &[4, 8]);
        net.output(y);
        let lowered = net.run().lowered;
        let sign = |at: i32| f64::from(1 - at % 2 * 2);
        let rows = [1.0].iter().chain(&sizes);
        let data: Vec<f64> = rows
            .flat_map(|size| (0..8).map(move |at| size * sign(at)))
            .collect();
        let constants = Constants::new(&lowered.model, lowered.constants.clone()).unwrap();
        let inputs = vec![lowered.inputs[0].to_integers(&data).unwrap()];
        let trace = trace::evaluate(&lowered.model, &constants, &inputs).ok()?;
        let outputs = trace.outputs(&lowered.model).unwrap();
        Some(lowered.outputs[0].to_reals(&outputs[0]))
    }

    #[test]
    fn rows_of_few_steps_are_refused_and_never_wrong() {
        for epsilon in [1e-12, 1e-5] {
            let mut refused = 0;
            // Down to a step or two of the input.
            for log2 in 0..20 {
                let size = f64::from(-log2).exp2() * 0.77;
                let Some(got) = normalized(epsilon, [size, 0.5, 0.0]) else {
                    refused += 1;
                    continue;
                };
                let right = size / (size * size + epsilon).sqrt();
                assert!(
                    (got[8] - right).abs() < 0.01,
                    "{size}: {} for {right}",
                    got[8]
                );
                assert!((got[16] - 1.0).abs() < 0.01);
                assert!(got[24].abs() < 1e-9, "rows of zeros are zeros");
            }
            assert_eq!(refused > 0, epsilon < 1e-6, "{refused} refused");
            assert!(refused < 8, "{refused} refused");
        }
        assert!(normalized(1e-12, [1e-4, 1e-3, 0.0]).is_some());
    }

    #[test]
    fn a_row_below_half_a_step_is_a_row_of_zeros() {
        let got = normalized(1e-12, [1e-9, 0.5, 0.0]).unwrap();
        assert!((got[16] - 1.0).abs() < 0.01);
        assert!(got[8..16].iter().all(|y| y.abs() < 1e-9), "{got:?}");
    }
}
