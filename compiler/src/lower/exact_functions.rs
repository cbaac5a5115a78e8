//! Functions of integers, exact: narrow ones are looked up as they are, wide ones are made of sums, products and comparisons.

use zkiln_runtime::relations::{Map, Relation};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Pointwise, UnaryFn, is_whole};
use crate::lower::boundary::mapped_value;
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::ceil_log2;
use crate::lower::value::{Term, Value};

/// Widest integers that are looked up.
const TABLE_BITS: u8 = 16;
/// Bits of numbers that are rounded before they become integers.
const GRID_BITS: u8 = 24;
/// Widest integers of which a table of their positive parts is cheaper than a comparison and a product.
const SHORT_TABLE_BITS: u8 = 13;

impl Lowering<'_> {
    /// The integers as a column; as they are where they are too wide for one.
    pub fn column_of_integers(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let fits = match self.exact_integers(value, &value.mentioned())? {
            Some(exact) => {
                i32::try_from(exact.bounds.0).is_ok() && i32::try_from(exact.bounds.1).is_ok()
            }
            None => false,
        };
        let exact = match fits && !self.is_column(value, 32) {
            true => self.exact(value, 32)?,
            false => None,
        };
        Ok(exact.unwrap_or_else(|| value.clone()))
    }

    /// A function that makes integers, of integers or of numbers that are exact integers of some unit.
    pub fn integers_of(
        &mut self,
        value: &Value,
        function: &Pointwise,
    ) -> Result<Value, Diagnostic> {
        let label = self.label();
        let table = |x: f64| function.eval(x);
        if let Some(made) = self.through_integer_table(value, &label, TABLE_BITS, &table)? {
            return Ok(made);
        }
        match value.integer {
            true => self.expression(function, value),
            false => self.rounded_integers_of(value, function),
        }
    }

    /// The function of numbers that are not integers: of exact ones in powers of two as they are, of others rounded to such.
    fn rounded_integers_of(
        &mut self,
        value: &Value,
        function: &Pointwise,
    ) -> Result<Value, Diagnostic> {
        let exact = self.exact_integers(value, &value.mentioned())?;
        let is_whole = |unit: f64| unit <= 1.0 && unit.log2().fract() == 0.0;
        if exact.is_some_and(|exact| is_whole(exact.unit)) && is_computed(function) {
            return self.expression(function, value);
        }
        let bits = self.bits.deciding_bits();
        if bits > TABLE_BITS
            && is_computed(function)
            && let Some(value) = self.in_binary_steps(value, bits)?
        {
            return self.expression(function, &value);
        }
        let value = self.small(value, bits.min(TABLE_BITS))?;
        let label = self.label();
        let table = |x: f64| function.eval(x);
        match self.through_integer_table(&value, &label, TABLE_BITS, &table)? {
            Some(made) => Ok(made),
            None => self.expression(function, &value),
        }
    }

    /// The value rounded to multiples of a power of two, of so many bits; `None` if these are not parts of 1.
    fn in_binary_steps(&mut self, value: &Value, bits: u8) -> Result<Option<Value>, Diagnostic> {
        let (low, high) = self.certain_range(value)?;
        let most = low.abs().max(high.abs()).max(1.0);
        let step = f64::from(ceil_log2(most) + 1 - i32::from(bits)).exp2();
        let keys = KeyRange { bits, signed: true };
        match step <= 1.0 {
            true => Ok(Some(self.in_steps(value, step, keys)?)),
            false => Ok(None),
        }
    }

    /// The value as multiples of a part of 1: as it is, or rounded finely.
    fn on_binary_grid(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let exact = self.exact_integers(value, &value.mentioned())?;
        if exact.is_some_and(|exact| is_whole(exact.unit.recip())) {
            return Ok(value.clone());
        }
        let rounded = self.in_binary_steps(value, GRID_BITS)?;
        Ok(rounded.unwrap_or_else(|| value.clone()))
    }

    /// `floor(value)`: exact for multiples of a part of 1, and of others rounded to such.
    fn floor_of(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let (units, parts) = self.in_parts(value)?;
        self.floor_of_parts(&units, parts, value.range)
    }

    /// `floor(units / parts)`, in a calibrated range.
    fn floor_of_parts(
        &mut self,
        units: &Value,
        parts: f64,
        range: (f64, f64),
    ) -> Result<Value, Diagnostic> {
        let made = match parts == 1.0 {
            true => units.clone(),
            false => self.floor_quotient(units, &units.number_like(parts))?,
        };
        Ok(Value { range, ..made })
    }

    /// How many parts of 1 the value is, rounded to such and down, and how many these are.
    fn in_parts(&mut self, value: &Value) -> Result<(Value, f64), Diagnostic> {
        let value = &self.on_binary_grid(value)?;
        let unit = self.exact_integers(value, &value.mentioned())?;
        let unit = unit.map_or(0.0, |exact| exact.unit);
        let parts = unit.recip();
        if !is_whole(parts) {
            return Err(refuse(
                "it rounds numbers to integers that are not exact",
                "round the operands of what makes them",
            ));
        }
        let (constants, varying) = value.terms.iter().cloned().partition(Term::is_constant);
        let constants = Value {
            terms: constants,
            ..value.clone()
        };
        // Below the unit, a constant makes no difference.
        let constants = constants
            .constant_part()
            .map(|c| (c * parts + 1e-9).floor());
        let mut units = Value {
            terms: varying,
            ..value.clone()
        }
        .scaled(parts);
        units.terms.push(Term::constant(constants));
        let units = Value {
            proven: None,
            integer: true,
            ..units.normalize()
        };
        Ok((units, parts))
    }

    /// The nearest integer, of two the even one: `floor(value + 1/2)`, less one where nothing is left and that is odd.
    fn round_of(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let raised = value.clone().plus(value.number_like(0.5));
        let (raised, parts) = self.in_parts(&raised)?;
        let near = self.floor_of_parts(&raised, parts, value.range)?;
        if parts % 2.0 != 0.0 {
            // There are no halves.
            return Ok(near);
        }
        let rest = raised.plus(near.clone().scaled(-parts));
        let between = self.positive(&rest)?;
        let tie = between.number_like(1.0).plus(between.scaled(-1.0));
        let half = self.floor_quotient(&near, &near.number_like(2.0))?;
        let odd = near.clone().plus(half.scaled(-2.0));
        let above = self.multiply(tie, odd)?;
        Ok(Value {
            range: value.range,
            ..near.plus(above.scaled(-1.0))
        })
    }

    /// `function(value)` through a table of integers, if the value is exact integers of at most `bits` bits.
    pub fn through_integer_table(
        &mut self,
        value: &Value,
        label: &str,
        bits: u8,
        function: &dyn Fn(f64) -> f64,
    ) -> Result<Option<Value>, Diagnostic> {
        let axes = value.mentioned();
        let Some(exact) = self.exact_integers(value, &axes)? else {
            return Ok(None);
        };
        let (low, high) = exact.bounds;
        let keys = KeyRange::covering(low, high);
        if keys.bits > bits {
            return Ok(None);
        }
        let entry = |key: i64| {
            let made = function(i128::from(key).clamp(low, high) as f64 * exact.unit);
            (is_whole(made) && made.abs() <= f64::from(i32::MAX)).then_some(made as i32)
        };
        let Some(data) = keys.iter().map(entry).collect::<Option<Vec<i32>>>() else {
            return Ok(None);
        };
        let bounds = data.iter().fold((0, 0), |(lo, hi): (i64, i64), &y| {
            (lo.min(y.into()), hi.max(y.into()))
        });
        let table = self.tables.table(&mut self.columns, label, keys, &[data]);
        let shape = exact.accumulator.shape.to_vec();
        let mapped = self.columns.witness(&self.here(), shape, bounds);
        let relation = Relation::Map(Map {
            accumulator: exact.accumulator.clone(),
            table,
            mapped: vec![mapped].into(),
        });
        self.emit(&self.here(), &exact, u32::from(keys.bits), relation);
        let made = mapped_value(value, mapped, &axes, 1.0).of_integers();
        Ok(Some(made))
    }

    /// `max(value, 0)` of integers.
    pub fn positive_part(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let (low, high) = self.certain_range(value)?;
        if low >= 0.0 {
            return Ok(value.clone());
        }
        if high <= 0.0 {
            return Ok(value.number_like(0.0));
        }
        let relu = |x: f64| x.max(0.0);
        if let Some(made) = self.through_integer_table(value, "relu", SHORT_TABLE_BITS, &relu)? {
            return Ok(made);
        }
        let value = self.column_of_integers(value)?;
        let positive = self.positive(&value)?;
        let made = self.multiply(positive, value)?;
        Ok(Value {
            proven: Some((0.0, high)),
            ..made
        })
    }

    /// The integers of an expression, operation by operation.
    fn expression(&mut self, function: &Pointwise, x: &Value) -> Result<Value, Diagnostic> {
        let made = self.part_of_expression(function, x)?;
        match made.is_integer() {
            true => Ok(made),
            false => Err(too_wide_for(function)),
        }
    }

    fn part_of_expression(&mut self, function: &Pointwise, x: &Value) -> Result<Value, Diagnostic> {
        let mut made = match function {
            Pointwise::Variable => x.clone(),
            Pointwise::Constant(c) => x.number_like(*c),
            Pointwise::Unary(f, a) => {
                let a = self.part_of_expression(a, x)?;
                self.unary(*f, a)?
            }
            Pointwise::Binary(f, a, b) => {
                let (a, b) = (
                    self.part_of_expression(a, x)?,
                    self.part_of_expression(b, x)?,
                );
                self.binary(*f, a, b)?
            }
            Pointwise::Select(condition, yes, no) => {
                let condition = self.part_of_expression(condition, x)?;
                let (yes, no) = (
                    self.part_of_expression(yes, x)?,
                    self.part_of_expression(no, x)?,
                );
                let chosen = self.nonzero(&condition)?;
                let difference = yes.plus(no.clone().scaled(-1.0));
                self.multiply(chosen, difference)?.plus(no)
            }
        };
        made.name = self.here().into();
        Ok(made)
    }

    fn unary(&mut self, function: UnaryFn, a: Value) -> Result<Value, Diagnostic> {
        match function {
            UnaryFn::Neg => Ok(a.scaled(-1.0)),
            UnaryFn::Floor | UnaryFn::Ceil | UnaryFn::Round if a.is_integer() => Ok(a),
            UnaryFn::Floor => self.floor_of(&a),
            UnaryFn::Ceil => Ok(self.floor_of(&a.scaled(-1.0))?.scaled(-1.0)),
            UnaryFn::Round => self.round_of(&a),
            UnaryFn::Relu => self.positive_part(&a),
            UnaryFn::Abs => {
                let opposite = self.positive_part(&a.clone().scaled(-1.0))?;
                Ok(opposite.scaled(2.0).plus(a))
            }
            UnaryFn::Sign => {
                let below = self.positive(&a.clone().scaled(-1.0))?;
                Ok(self.positive(&a)?.plus(below.scaled(-1.0)))
            }
            UnaryFn::Square => {
                let a = self.column_of_integers(&a)?;
                let square = self.multiply(a.clone(), a)?;
                Ok(Value {
                    proven: Some((0.0, f64::INFINITY)),
                    ..square
                })
            }
            _ => Err(too_wide_for(&Pointwise::of(function))),
        }
    }

    fn binary(&mut self, function: BinaryFn, a: Value, b: Value) -> Result<Value, Diagnostic> {
        match function {
            BinaryFn::Add => Ok(a.plus(b)),
            BinaryFn::Sub => Ok(a.plus(b.scaled(-1.0))),
            BinaryFn::Mul => {
                match [&a, &b].map(|x| x.is_constant().then(|| x.constant_part().uniform())) {
                    [_, Some(Some(number))] => Ok(a.scaled(number)),
                    [Some(Some(number)), _] => Ok(b.scaled(number)),
                    _ => self.multiply(a, b),
                }
            }
            BinaryFn::Max => {
                let excess = self.positive_part(&a.plus(b.clone().scaled(-1.0)))?;
                Ok(excess.plus(b))
            }
            BinaryFn::Min => {
                let excess = self.positive_part(&a.clone().plus(b.scaled(-1.0)))?;
                Ok(a.plus(excess.scaled(-1.0)))
            }
            _ => Err(refuse(
                format!("its integers are too wide for `{function:?}`"),
                format!("use integers of up to {TABLE_BITS} bits"),
            )),
        }
    }

    /// 1 where the value is not zero, else 0.
    fn nonzero(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        if self.certain_range(value)? == (0.0, 1.0) {
            return Ok(value.clone());
        }
        let below = self.positive(&value.clone().scaled(-1.0))?;
        Ok(self.positive(value)?.plus(below))
    }
}

/// Whether sums, products and comparisons make the function of exact numbers.
pub fn is_computed(function: &Pointwise) -> bool {
    use {BinaryFn::*, UnaryFn::*};
    match function {
        Pointwise::Variable | Pointwise::Constant(_) => true,
        Pointwise::Unary(f, a) => {
            matches!(f, Neg | Floor | Ceil | Round | Relu | Abs | Sign | Square) && is_computed(a)
        }
        Pointwise::Binary(f, a, b) => {
            matches!(f, Add | Sub | Mul | Max | Min) && is_computed(a) && is_computed(b)
        }
        Pointwise::Select(condition, yes, no) => [condition, yes, no]
            .into_iter()
            .all(|part| is_computed(part)),
    }
}

fn too_wide_for(function: &Pointwise) -> Diagnostic {
    refuse(
        format!("its integers are too wide for a table of `{function}`"),
        format!("use integers of up to {TABLE_BITS} bits"),
    )
}
