//! Comparison with zero, exact on integers of any width.
//!
//! `[x > 0] = 1 + floor((x - 1) / 2^s)` for integers `-2^s < x <= 2^s`: a rounding whose result is -1 or 0, with the remainder in limbs.

use zkiln_runtime::model::Term as ModelTerm;
use zkiln_runtime::relations::{Relation, Requant};

use crate::diagnostic::Diagnostic;
use crate::lower::boundary::{column_value, limbs};
use crate::lower::columns::KeyRange;
use crate::lower::levels::power_above;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{Quantized, is_exact, too_wide};
use crate::lower::tabulate::Tabulated;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value, View};

/// Bits to which a value that is not an exact integer is rounded before its sign is taken apart.
const SIGNED_BITS: u8 = 24;
/// Widest integers that are looked up in a table of their signs.
const TABLE_BITS: u8 = 11;
/// Widest integers that are compared.
const MOST_BITS: u32 = 60;

impl Lowering<'_> {
    /// 1 where the value is positive, else 0.
    pub fn positive(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        if value.is_constant() {
            let sign = value.constant_part().map(|x| f64::from(x > 0.0));
            return Ok(indicator(value, vec![Term::constant(sign)]));
        }
        let value = self.comparable(value)?;
        let axes = value.mentioned();
        let Some(quantized) = self.exact_integers(&value, &axes)? else {
            return Err(too_wide(1 << MOST_BITS));
        };
        let (lo, hi) = quantized.bounds;
        if lo > 0 || hi <= 0 {
            let sign = Weight::new(vec![], vec![f64::from(u8::from(lo > 0))]);
            return Ok(indicator(&value, vec![Term::constant(sign)]));
        }
        let bits = KeyRange::covering(lo, hi).bits;
        if bits <= TABLE_BITS {
            let sign = |x: f64| f64::from(x > 0.0);
            let tabulated = Tabulated {
                label: "positive",
                bits,
                greatest: 1.0,
                least: 0.0,
                function: &sign,
            };
            let made = self.through_table(&value, tabulated)?;
            return Ok(indicator(&value, made.terms));
        }
        // -2^s < x <= 2^s.
        let reach = (hi - 1).max(-lo);
        let wanted = 128 - reach.leading_zeros();
        if wanted > MOST_BITS {
            return Err(too_wide(reach));
        }
        let column = self.floor_below(&value, &quantized, wanted);
        let mut made = column_value(&value, column, &axes, 1.0);
        made.terms
            .push(Term::constant(Weight::new(vec![], vec![1.0])));
        Ok(indicator(&value, made.terms))
    }

    /// The column of `floor((x - 1) / 2^s)` for some `s >= wanted`: -1 or 0.
    fn floor_below(
        &mut self,
        value: &Value,
        quantized: &Quantized,
        wanted: u32,
    ) -> zkiln_runtime::model::ColumnId {
        let name = value.name.clone();
        let shape = quantized.accumulator.shape.to_vec();
        let (shift, remainder) = limbs(
            &mut self.columns,
            &mut self.tables,
            &name,
            &shape,
            wanted,
            0,
        );
        let sign = KeyRange {
            bits: 1,
            signed: true,
        };
        let mut accumulator = quantized.accumulator.clone();
        // Half a step down, since rounding adds it.
        accumulator.terms.to_mut().push(ModelTerm {
            coefficient: -1 - (1 << (shift - 1)),
            summed: vec![].into(),
            operands: vec![].into(),
        });
        let output = self
            .columns
            .witness(&format!("{name}/sign"), shape, sign.bounds());
        let relation = Relation::Requant(Requant {
            accumulator,
            shift: shift as u8,
            remainder,
            output,
            table: self.tables.range(&mut self.columns, sign),
            mapped: vec![].into(),
        });
        self.emit(&format!("{name}/sign"), quantized, 1, relation);
        output
    }

    /// The magnitude of the value, and its sign: 1 or -1.
    pub fn magnitude_and_sign(&mut self, value: &Value) -> Result<(Value, Value), Diagnostic> {
        let committed = match self.exact(value, SIGNED_BITS)? {
            Some(committed) => committed,
            None => self.small(value, SIGNED_BITS)?,
        };
        let mut sign = self.positive(&committed)?.scaled(2.0);
        sign.terms
            .push(Term::constant(Weight::new(vec![], vec![-1.0])));
        let sign = Value {
            range: (-1.0, 1.0),
            proven: Some((-1.0, 1.0)),
            ..sign.normalize()
        };
        let most = committed.range.0.abs().max(committed.range.1.abs());
        let magnitude = Value {
            range: (0.0, most),
            proven: Some((0.0, f64::INFINITY)),
            name: format!("{}/magnitude", value.name).into(),
            ..self.multiply(committed, sign.clone())?
        };
        Ok((magnitude, sign))
    }

    /// Whether the value's constants are integers in the units of its columns.
    pub fn is_on_grid(&mut self, value: &Value) -> Result<bool, Diagnostic> {
        let mut computed = value.clone();
        computed.terms.retain(|term| !term.is_constant());
        let axes = computed.mentioned();
        let Some(quantized) = self.exact_integers(&computed, &axes)? else {
            return Ok(false);
        };
        let whole = |c: &f64| {
            let c = c / quantized.unit;
            (c - c.round()).abs() <= 1e-9 * (1.0 + c.abs())
        };
        Ok(value.constant_part().data.iter().all(whole))
    }

    /// The value as exact integers, with constants moved to where comparisons with zero stay the same: `k + c > 0` is `k + ceil(c) > 0`.
    fn comparable(&mut self, value: &Value) -> Result<Value, Diagnostic> {
        let weight_bits = self.bits.weight_bits;
        let even = match is_exact(value, weight_bits) {
            true => None,
            false => even(value).filter(|even| is_exact(even, weight_bits)),
        };
        let value = even.as_ref().unwrap_or(value);
        let (constants, varying): (Vec<Term>, Vec<Term>) =
            value.terms.iter().cloned().partition(Term::is_constant);
        let mut computed = Value {
            terms: varying,
            proven: None,
            ..value.clone()
        };
        let axes = computed.mentioned();
        let quantized = match self.exact_integers(&computed, &axes)? {
            Some(quantized) => quantized,
            None => {
                let rounded = self.small(value, self.bits.deciding_bits())?;
                return Ok(Value {
                    proven: None,
                    ..rounded
                });
            }
        };
        if !constants.is_empty() {
            let unit = quantized.unit;
            // Dividing by a power of two is exact.
            let slack = if unit.log2().fract() == 0.0 {
                0.0
            } else {
                1e-9
            };
            let as_inputs = computed.terms.iter().all(|term| {
                let compared = |view: &View| self.compared.contains(&view.column);
                term.factors.len() == 1 && term.factors.iter().all(compared)
            });
            let whole = |c: f64| match as_inputs {
                true => (c / unit).round() * unit,
                false => ((c / unit) - slack * (1.0 + (c / unit).abs())).ceil() * unit,
            };
            computed
                .terms
                .push(Term::constant(value.constant_part().map(whole)));
        }
        Ok(computed)
    }
}

/// The value divided by positive numbers, as features are that have steps of their own: it has the same sign.
fn even(value: &Value) -> Option<Value> {
    let mut varying = value.terms.iter().filter(|term| !term.is_constant());
    let (Some(term), None) = (varying.next(), varying.next()) else {
        return None;
    };
    let greatest = term.weight.as_ref()?.greatest_over(&term.summed);
    let inverse = greatest.map(|x| if x > 0.0 { 1.0 / power_above(x) } else { 1.0 });
    let most = inverse.max_abs();
    let range = (value.range.0 * most, value.range.1 * most);
    Some(value.clone().weighted(&inverse, range))
}

/// A 0/1 value with the dimensions of `value`.
fn indicator(value: &Value, terms: Vec<Term>) -> Value {
    Value {
        terms,
        range: (0.0, 1.0),
        proven: Some((0.0, 1.0)),
        integer: true,
        ..value.clone()
    }
}
