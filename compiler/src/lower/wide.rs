//! Values wider than any table: committed with all the bits that a sum of squares, a quotient or a logarithm needs of them.

use zkiln_runtime::model::{ColumnId, Term as ModelTerm};
use zkiln_runtime::relations::{Exact, Relation, Round};

use crate::diagnostic::Diagnostic;
use crate::lower::boundary::{column_value, limbs};
use crate::lower::columns::KeyRange;
use crate::lower::intervals::nonnegative;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{Goal, Quantized};
use crate::lower::value::Value;

/// Bits of a column, without its sign.
const COLUMN_BITS: u8 = 31;
/// Bits of the lower of two columns.
const LOW_BITS: u8 = 24;
/// Widest integers that two columns hold.
const TWO_COLUMNS_BITS: u8 = 60;

impl Lowering<'_> {
    /// The value rounded to one column of `bits` bits, which may be more than a table has.
    pub fn wide(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        let keys = KeyRange {
            bits,
            signed: !nonnegative(value, &self.columns),
        };
        let axes = value.mentioned();
        let quantized = self.accumulate(value, &axes, Goal::rounded(value, keys))?;
        self.wide_in_steps(value, quantized, keys)
    }

    /// The value rounded to the step of `quantized`; it is known to fit `keys`.
    pub fn wide_in_steps(
        &mut self,
        value: &Value,
        quantized: Quantized,
        keys: KeyRange,
    ) -> Result<Value, Diagnostic> {
        let axes = value.mentioned();
        let step = quantized.step();
        let column = self.round(&value.name.clone(), quantized, keys)?;
        Ok(column_value(value, column, &axes, step))
    }

    /// Emits the rounding of `quantized` to its step, of which `keys` are as many as the column may hold.
    fn round(
        &mut self,
        name: &str,
        quantized: Quantized,
        keys: KeyRange,
    ) -> Result<ColumnId, Diagnostic> {
        let shape = quantized.accumulator.shape.to_vec();
        let output = self.columns.witness(name, shape.clone(), keys.bounds());
        let (quantized, remainder) = self.remainder(name, quantized)?;
        let (columns, tables) = (&mut self.columns, &mut self.tables);
        let range_name = format!("{name}/range");
        let (_, range) = limbs(columns, tables, &range_name, &shape, keys.bits.into(), 0);
        let relation = Relation::Round(Round {
            accumulator: quantized.accumulator.clone(),
            shift: quantized.step_log2 as u8,
            remainder,
            output,
            least: keys.first(),
            range,
        });
        self.emit(name, &quantized, keys.bits.into(), relation);
        Ok(output)
    }

    /// The value's exact integers in one column, or in two: `2^k high + low`; `None` if its weights have to be rounded, or if they are
    /// too wide even for two.
    pub fn in_columns(&mut self, value: &Value) -> Result<Option<Value>, Diagnostic> {
        if value.is_constant() || value.is_short_sum() {
            return Ok(Some(value.clone()));
        }
        if let Some(exact) = self.exact(value, COLUMN_BITS)? {
            return Ok(Some(exact));
        }
        let axes = value.mentioned();
        let Some(quantized) = self.exact_integers(value, &axes)? else {
            return Ok(None);
        };
        let made = self.in_two_columns(value, quantized)?;
        Ok(made.map(|(high, low, _)| Value {
            terms: [high.terms, low.terms].concat(),
            ..value.clone()
        }))
    }

    /// The value's integers as the sum of two values of one column each, of which the first is a multiple of the last: that many units; `None`
    /// if they are too wide.
    pub fn in_two_columns(
        &mut self,
        value: &Value,
        quantized: Quantized,
    ) -> Result<Option<(Value, Value, i64)>, Diagnostic> {
        let keys = KeyRange::covering(quantized.bounds.0, quantized.bounds.1);
        if keys.bits > TWO_COLUMNS_BITS {
            return Ok(None);
        }
        let axes = value.mentioned();
        let unit = quantized.unit;
        let low_bits = LOW_BITS.max(keys.bits.saturating_sub(COLUMN_BITS - 1));
        let [high, low] = self.high_and_low(value, quantized, low_bits)?;
        let part = |column, unit: f64| Value {
            proven: None,
            ..column_value(value, column, &axes, unit)
        };
        let most = 1i64 << low_bits;
        let (high, low) = (part(high, unit * most as f64), part(low, unit));
        Ok(Some((high, low, most)))
    }

    /// Two columns that are `2^bits high + low` together.
    fn high_and_low(
        &mut self,
        value: &Value,
        quantized: Quantized,
        bits: u8,
    ) -> Result<[ColumnId; 2], Diagnostic> {
        let shape = quantized.accumulator.shape.to_vec();
        let (least, greatest) = quantized.bounds;
        let keys = KeyRange::covering(least >> bits, greatest >> bits);
        let mut halved = quantized.clone();
        halved.step_log2 = bits.into();
        // Half a step down, since rounding adds it.
        halved.accumulator.terms.to_mut().push(ModelTerm {
            coefficient: -(1 << (bits - 1)),
            summed: vec![].into(),
            operands: vec![].into(),
        });
        let name = format!("{}/high", value.name);
        let high = self.round(&name, halved, keys)?;
        let name = format!("{}/low", value.name);
        let bounds = (0, (1 << bits) - 1);
        let low = self.columns.witness(&name, shape, bounds);
        let accumulator = quantized.accumulator.clone();
        let relation = Relation::Exact(Exact {
            accumulator: accumulator.plus_column(-(1 << bits), high),
            output: low,
        });
        self.emit(&name, &quantized, bits.into(), relation);
        Ok([high, low])
    }
}
