//! From a real-valued expression to an exact integer accumulator.
//!
//! All terms of an accumulator share one unit `base * 2^k`. A term without a weight tensor has to be an integer multiple of it; weight
//! tensors are rounded to integers at a unit of their own, which is the common one times a power of two. The base is a power of two
//! unless a number like `1/49` or `1/sqrt(48)` is common to all terms: then it stays out of the integers, and costs nothing.

pub(crate) mod sums;
mod unit;
mod whole;

use zkiln_runtime::model::{Accumulator, AxisMap, Term as IntegerTerm, View as IntegerView};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::columns::{Columns, KeyRange, Origin};
use crate::lower::intervals::{self, ACCUMULATOR_BITS, Bounds, product_bounds, sum_bounds};
use crate::lower::quantize::unit::{common_unit, finer_for_constants, greatest_magnitude};
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, View};

/// Bits of a coefficient that can only approximate its real number.
pub const COEFFICIENT_BITS: i32 = 16;
/// Bits of a constant column, such as a bias.
const CONSTANT_BITS: i32 = 24;
/// Rounding weights may add this fraction of the step that the accumulator will be rounded to, in standard deviations. Rounding the
/// accumulator itself adds 0.29.
const WEIGHT_ERROR: f64 = 0.3;
/// How many more bits than usual weights have whose rounding would add more than that: a few are far greater than the others.
const WEIGHT_EXTRA_BITS: u8 = 4;
/// Bits of small weight tensors, of which each element counts.
const SMALL_WEIGHT_BITS: u8 = 22;
/// The least of weights that are integers, as a quantized model's are, is at most so many of their units.
const MOST_PARTS: u8 = 128;
/// Elements of a small weight tensor.
const SMALL_WEIGHT: usize = 4096;

/// What the accumulator is for.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Kept exactly; constants are rounded to the unit that the columns have, or to finer ones where that is coarse.
    Exact,
    /// Kept exactly, in units fine enough for the constants.
    Output,
    /// Rounded to the least step `base * 2^k` of which `levels` reach `magnitude`.
    Rounded {
        /// Greatest magnitude that has to fit.
        magnitude: f64,
        /// Steps.
        levels: f64,
    },
    /// Rounded to this step.
    Step(f64),
}

/// An exact integer accumulator and what its integers mean.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// Over the axes asked for.
    pub accumulator: Accumulator,
    /// Real value of one unit.
    pub unit: f64,
    /// Real number that zero stands for.
    pub offset: f64,
    /// log2 of [`Goal::Rounded`]'s step in units; may be negative. Zero if nothing is to be rounded.
    pub step_log2: i32,
    /// What the accumulator can be.
    pub bounds: Bounds,
    /// Sum of what the terms can be in magnitude: bounds partial sums too.
    pub magnitude: i128,
    /// Multiply-adds of the reference.
    pub cost: u64,
}

impl Quantized {
    /// The same real numbers in units `2^bits` times finer.
    pub fn refined(mut self, bits: u32) -> Self {
        for term in self.accumulator.terms.to_mut() {
            term.coefficient = term.coefficient.saturating_mul(1 << bits);
        }
        self.unit /= f64::from(bits).exp2();
        self.step_log2 += bits as i32;
        self.bounds = (self.bounds.0 << bits, self.bounds.1 << bits);
        self.magnitude <<= bits;
        self
    }

    /// Real value of a step.
    pub fn step(&self) -> f64 {
        self.unit * f64::from(self.step_log2).exp2()
    }

    /// As [`Self::refined`], for as many bits as 64-bit integers have room for.
    ///
    /// # Errors
    /// Where they have not.
    pub fn refined_within(self, bits: i32) -> Result<Self, Diagnostic> {
        let fits =
            (0..=60).contains(&bits) && self.magnitude >> (ACCUMULATOR_BITS as i32 - bits) == 0;
        match fits {
            true => Ok(self.refined(bits as u32)),
            false => Err(too_wide(
                (self.magnitude).saturating_mul(1 << bits.clamp(0, 60)),
            )),
        }
    }

    /// Adds a number of units, zero in the padding.
    pub fn add_units(&mut self, units: i64) {
        if units == 0 {
            return;
        }
        self.accumulator.terms.to_mut().push(IntegerTerm {
            coefficient: units,
            summed: vec![].into(),
            operands: vec![].into(),
        });
        self.offset -= units as f64 * self.unit;
        let by = i128::from(units);
        self.bounds = (self.bounds.0 + by, self.bounds.1 + by);
        self.magnitude += by.abs();
    }
}

/// How far beyond its calibrated range a value of so many elements may go: the fewer were seen, the less is known.
pub fn margin(elements: usize) -> f64 {
    let unseen = (12.0 - (elements.max(1) as f64).log2()) / 8.0;
    1.25 + 0.75 * unseen.clamp(0.0, 1.0)
}

impl Goal {
    /// To be rounded to integers among `keys` that cover the value's calibrated range with a margin.
    pub fn rounded(value: &Value, keys: KeyRange) -> Self {
        let magnitude =
            value.range.0.abs().max(value.range.1.abs()) * margin(value.shape().iter().product());
        let levels = power(i32::from(keys.bits) - i32::from(keys.signed));
        Self::Rounded {
            magnitude: if magnitude > 0.0 { magnitude } else { 1.0 },
            levels,
        }
    }
}

/// How a term's constants become integers: `scalar * weight = coefficient * integers * base * 2^log2`.
struct Plan {
    coefficient: i64,
    log2: i32,
}

/// `log2` of the least power of two that is at least `x`.
pub fn ceil_log2(x: f64) -> i32 {
    // Beyond the exponents of `f64` are zero and infinity.
    let exponent = x.log2().floor().clamp(-1100.0, 1100.0) as i32;
    if f64::from(exponent).exp2() >= x {
        exponent
    } else {
        exponent + 1
    }
}

pub fn power(log2: i32) -> f64 {
    f64::from(log2).exp2()
}

/// Whether `x` is an integer for all purposes.
pub fn near_integer(x: f64) -> bool {
    (x - x.round()).abs() <= 1e-9 * x.abs()
}

/// The real number of which all elements are integer multiples below `limit`, if there is one: the least of them, or a small part of it.
fn grid(data: &[f64], limit: f64) -> Option<f64> {
    let least = data
        .iter()
        .filter(|x| **x != 0.0)
        .fold(f64::INFINITY, |step, x| step.min(x.abs()));
    let fits = |step: f64| {
        // Of great ones, every number is near an integer.
        let apart = |x: f64| (x - x.round()).abs() < 1e-4;
        let fits = |x: &f64| {
            let x = x / step;
            near_integer(x) && apart(x) && x.abs() < limit
        };
        data.iter().all(fits)
    };
    let parts = (1..=MOST_PARTS).map(|part| least / f64::from(part));
    least
        .is_finite()
        .then(|| parts.into_iter().find(|step| fits(*step)))?
}

/// Quantizes the value over `axes`, which must be those it mentions.
pub fn accumulate(
    columns: &mut Columns,
    name: &str,
    value: &Value,
    axes: &[Axis],
    goal: Goal,
    weight_bits: u8,
) -> Result<Quantized, Diagnostic> {
    if value.integer && !matches!(goal, Goal::Step(_)) {
        return whole::accumulate(columns, name, value, axes, goal);
    }
    let limit = power(i32::from(weight_bits) - 1);
    let terms: Vec<&Term> = value
        .terms
        .iter()
        .filter(|term| !term.is_constant())
        .collect();
    let reals: Vec<Option<f64>> = terms.iter().map(|term| common_real(term, limit)).collect();
    let most: Vec<f64> = terms
        .iter()
        .map(|term| greatest_product(term, columns))
        .collect();
    let base = match goal {
        Goal::Step(step) => step,
        _ => base(&reals, &most),
    };
    let step_log2 = match goal {
        Goal::Exact | Goal::Output => None,
        Goal::Rounded { magnitude, levels } => Some(ceil_log2(magnitude / levels / base)),
        Goal::Step(_) => Some(0),
    };
    let plans: Vec<Plan> = (terms.iter().zip(&reals).zip(&most))
        .map(|((term, real), &most)| match real {
            Some(real) => plan_scalar(real / base, most, step_log2),
            None => plan_weight(term, base, most, step_log2, weight_bits),
        })
        .collect();
    let least = plans.iter().map(|plan| plan.log2).min();
    let unit_log2 = common_unit(value, least, base, step_log2, goal);
    let unit_log2 = match (goal, least) {
        (Goal::Exact, Some(_)) => {
            let reach = greatest_magnitude(&terms, &most);
            unit_log2 - finer_for_constants(value, base * power(unit_log2), reach)
        }
        _ => unit_log2,
    };
    let unit = base * power(unit_log2);
    let mut builder = Builder {
        exact: matches!(goal, Goal::Exact),
        ..Builder::new(columns, name, axes, unit)
    };
    for ((term, plan), real) in terms.iter().zip(&plans).zip(&reals) {
        let shift = plan.log2.saturating_sub(unit_log2);
        let coefficient = if shift < 63 {
            i128::from(plan.coefficient) << shift
        } else {
            i128::MAX
        };
        builder.push(
            term,
            coefficient,
            real.map_or(base * power(plan.log2), f64::abs),
        )?;
    }
    for term in value.terms.iter().filter(|term| term.is_constant()) {
        builder.push_constant(term)?;
    }
    builder.finish(step_log2.map_or(0, |step| step.saturating_sub(unit_log2)))
}

/// The real value of one integer unit of a term without weight, or with weights that are integers already.
fn common_real(term: &Term, limit: f64) -> Option<f64> {
    match &term.weight {
        None => Some(term.scalar.abs()),
        Some(weight) => grid(&weight.data, limit).map(|step| step * term.scalar.abs()),
    }
}

/// Greatest magnitude of a sum of products of column elements, had all weights magnitude 1.
fn greatest_product(term: &Term, columns: &Columns) -> f64 {
    let (lo, hi) = product_bounds(&term.factors, columns);
    lo.unsigned_abs().max(hi.unsigned_abs()) as f64
}

/// The base of the unit: of all `reals` if they are integer multiples of one; of the weightiest, to a power of two, if not.
fn base(reals: &[Option<f64>], most: &[f64]) -> f64 {
    let least = reals
        .iter()
        .flatten()
        .fold(f64::INFINITY, |least, &real| least.min(real));
    if !least.is_finite() {
        return 1.0;
    }
    let multiples = reals
        .iter()
        .flatten()
        .all(|&real| near_integer(real / least) && real / least < power(40));
    if multiples {
        return least;
    }
    let weighty = reals
        .iter()
        .zip(most)
        .filter_map(|(real, &most)| real.map(|real| (real, real * most)));
    weighty
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(1.0, |(real, _)| real)
}

fn plan_scalar(ratio: f64, most: f64, step_log2: Option<i32>) -> Plan {
    let first = 0.max(-ceil_log2(ratio));
    let good = |log2: i32| {
        let error = ((ratio * power(log2)).round() / power(log2) - ratio).abs();
        let tolerated = step_log2.map_or(0.0, |step| power(step - 4) / most.max(1.0));
        error <= ratio * power(-COEFFICIENT_BITS) || error <= tolerated
    };
    let log2 = if near_integer(ratio) {
        0
    } else {
        (first..first + COEFFICIENT_BITS)
            .find(|&log2| good(log2))
            .unwrap_or(first + COEFFICIENT_BITS)
    };
    Plan {
        coefficient: (ratio * power(log2)).round() as i64,
        log2: -log2,
    }
}

/// Most bits of a weight tensor of so many elements.
pub fn most_weight_bits(len: usize, weight_bits: u8) -> u8 {
    match len <= SMALL_WEIGHT {
        true => SMALL_WEIGHT_BITS.max(weight_bits),
        false => weight_bits + WEIGHT_EXTRA_BITS,
    }
}

fn plan_weight(term: &Term, base: f64, most: f64, step_log2: Option<i32>, weight_bits: u8) -> Plan {
    let (greatest, len) = term
        .weight
        .as_ref()
        .map_or((1.0, 1), |weight| (weight.max_abs(), weight.data.len()));
    let most_bits = most_weight_bits(len, weight_bits);
    let finest = |bits: u8| {
        ceil_log2(greatest * term.scalar.abs() / base / (power(i32::from(bits) - 1) - 1.0))
    };
    let summands: f64 = term.summed.iter().map(|axis| axis.len as f64).product();
    // Rounding errors are uniform with deviation 0.29; columns are taken to be normal with their bound at three deviations.
    let noise = 0.29 * (most / 3.0).max(1.0) * summands.sqrt();
    let log2 = match step_log2 {
        Some(step) => finest(most_bits).max(step - ceil_log2(noise / WEIGHT_ERROR)),
        None => finest(weight_bits),
    };
    Plan {
        coefficient: 1,
        log2,
    }
}

struct Builder<'a> {
    columns: &'a mut Columns,
    name: &'a str,
    axes: &'a [Axis],
    unit: f64,
    /// Constants keep all bits.
    exact: bool,
    terms: Vec<IntegerTerm>,
    bounds: Bounds,
    magnitude: i128,
    cost: u64,
}

impl<'a> Builder<'a> {
    /// Of a sum of nothing yet, whose constants keep all bits.
    fn new(columns: &'a mut Columns, name: &'a str, axes: &'a [Axis], unit: f64) -> Self {
        Self {
            columns,
            name,
            axes,
            unit,
            exact: true,
            terms: vec![],
            bounds: (0, 0),
            magnitude: 0,
            cost: 0,
        }
    }
}

impl Builder<'_> {
    /// A term whose weight tensor is in units of `real`.
    fn push(&mut self, term: &Term, coefficient: i128, real: f64) -> Result<(), Diagnostic> {
        let sign = if term.scalar < 0.0 { -1 } else { 1 };
        let Some(weight) = &term.weight else {
            return self.product(term, coefficient * sign, None);
        };
        let integer = |x: &f64| (x * term.scalar / real).round() as i32;
        let data = weight.data.iter().map(integer).collect();
        self.product(term, coefficient, Some((weight, data)))
    }

    /// `coefficient` times the sum of the term's columns and, if it has some, of these weights.
    fn product(
        &mut self,
        term: &Term,
        coefficient: i128,
        weight: Option<(&Weight, Vec<i32>)>,
    ) -> Result<(), Diagnostic> {
        let views = term.factors.iter();
        let mut operands: Vec<IntegerView> =
            views.map(|view| self.view(view, &term.summed)).collect();
        let product = product_bounds(&term.factors, self.columns);
        let known = weight
            .as_ref()
            .map(|(weight, data)| (&*weight.axes, &**data));
        let bounds = sum_bounds(product, known, &term.summed);
        if let Some((weight, data)) = weight {
            let shape = weight.axes.iter().map(|axis| axis.len as u32).collect();
            let name = format!("{}/weight", self.name);
            let column =
                (self.columns).constant(&name, shape, data, Origin::Tensor(weight.derivation));
            operands.push(self.view(&View::whole(column, &weight.axes), &term.summed));
        }
        self.cost += cube(term, self.axes);
        self.add(coefficient, bounds, &term.summed, operands)
    }

    fn push_constant(&mut self, term: &Term) -> Result<(), Diagnostic> {
        let Some(weight) = &term.weight else {
            let value = (term.scalar / self.unit).round() as i128;
            return self.add(value, (1, 1), &[], vec![]);
        };
        let greatest = weight.max_abs() * term.scalar.abs() / self.unit;
        let shift = (ceil_log2(greatest.max(1.0)) - CONSTANT_BITS).max(0);
        let whole = term.scalar / self.unit;
        let rounded = |shift: i32| {
            let factor = whole / power(shift);
            let round = move |x: &f64| (x * factor).round();
            weight.data.iter().map(round).collect::<Vec<f64>>()
        };
        let coefficient = if shift < 100 {
            1i128 << shift
        } else {
            i128::MAX
        };
        if shift == 0 || shift > CONSTANT_BITS || !self.exact {
            return self.push_column(weight, &rounded(shift), coefficient);
        }
        // Cut in two: the upper bits, and what is left.
        let upper = rounded(shift);
        let lower: Vec<f64> = (rounded(0).iter().zip(&upper))
            .map(|(all, upper)| all - upper * power(shift))
            .collect();
        self.push_column(weight, &upper, coefficient)?;
        self.push_column(weight, &lower, 1)
    }

    /// A constant column over the axes of `weight`.
    fn push_column(
        &mut self,
        weight: &Weight,
        integers: &[f64],
        coefficient: i128,
    ) -> Result<(), Diagnostic> {
        let data: Vec<i32> = integers.iter().map(|x| *x as i32).collect();
        let bounds = data.iter().fold((0, 0), |(lo, hi): Bounds, &x| {
            (lo.min(x.into()), hi.max(x.into()))
        });
        let shape = weight.axes.iter().map(|axis| axis.len as u32).collect();
        let name = format!("{}/constant", self.name);
        let column = (self.columns).constant(&name, shape, data, Origin::Tensor(weight.derivation));
        let view = self.view(&View::whole(column, &weight.axes), &[]);
        self.add(coefficient, bounds, &[], vec![view])
    }

    fn add(
        &mut self,
        coefficient: i128,
        bounds: Bounds,
        summed: &[Axis],
        operands: Vec<IntegerView>,
    ) -> Result<(), Diagnostic> {
        let scaled = intervals::scaled(bounds, coefficient);
        self.bounds = (
            self.bounds.0.saturating_add(scaled.0),
            self.bounds.1.saturating_add(scaled.1),
        );
        self.magnitude = self
            .magnitude
            .saturating_add(scaled.0.saturating_abs().max(scaled.1.saturating_abs()));
        let coefficient = match i64::try_from(coefficient) {
            Ok(coefficient) => coefficient,
            Err(_) => return Err(too_wide(i128::MAX)),
        };
        if coefficient != 0 {
            let summed = summed.iter().map(|axis| axis.len as u32).collect();
            self.terms.push(IntegerTerm {
                coefficient,
                summed,
                operands: operands.into(),
            });
        }
        Ok(())
    }

    fn view(&self, view: &View, summed: &[Axis]) -> IntegerView {
        let number = |axis: &Axis| {
            self.axes
                .iter()
                .chain(summed)
                .position(|a| a == axis)
                .expect("views read along known axes") as u8
        };
        let index = view.index.iter().map(|index| AxisMap {
            offset: index.offset as i32,
            strides: index
                .parts
                .iter()
                .map(|(axis, stride)| (number(axis), *stride as i32))
                .collect(),
        });
        IntegerView {
            column: view.column,
            index: index.collect(),
        }
    }

    fn finish(self, step_log2: i32) -> Result<Quantized, Diagnostic> {
        if self.magnitude >= 1 << ACCUMULATOR_BITS {
            return Err(too_wide(self.magnitude));
        }
        let shape = self.axes.iter().map(|axis| axis.len as u32).collect();
        Ok(Quantized {
            accumulator: Accumulator {
                shape,
                columns: vec![].into(),
                terms: self.terms.into(),
            },
            unit: self.unit,
            offset: 0.0,
            step_log2,
            bounds: self.bounds,
            magnitude: self.magnitude,
            cost: self.cost,
        })
    }
}

/// Multiply-adds of a term.
fn cube(term: &Term, axes: &[Axis]) -> u64 {
    let output = axes.iter().filter(|axis| term.mentions(axis.id));
    output
        .chain(&term.summed)
        .map(|axis| axis.len as u64)
        .product()
}

/// Refuses an accumulator that 64-bit integers cannot hold.
pub fn too_wide(magnitude: i128) -> Diagnostic {
    refuse(
        format!(
            "its exact sums need {} bits and only {ACCUMULATOR_BITS} are safe",
            129 - magnitude.leading_zeros()
        ),
        "use fewer activation or weight bits, or split the operator".to_string(),
    )
}

/// Whether no weight tensor of the value has to be rounded and all numbers are multiples of one.
pub fn is_exact(value: &Value, weight_bits: u8) -> bool {
    if value.integer {
        return true;
    }
    let limit = power(i32::from(weight_bits) - 1);
    let reals: Option<Vec<f64>> = value
        .terms
        .iter()
        .filter(|term| !term.is_constant())
        .map(|term| common_real(term, limit))
        .collect();
    let Some(reals) = reals else { return false };
    let least = reals
        .iter()
        .fold(f64::INFINITY, |least, &real| least.min(real));
    !reals.is_empty()
        && reals
            .iter()
            .all(|real| near_integer(real / least) && real / least < power(COEFFICIENT_BITS))
}

#[cfg(test)]
mod tests;
