//! Boundaries: where an expression becomes a committed column.

use zkiln_runtime::model::{Accumulator, ColumnId, TableId, Term as ModelTerm, cube_log2};
use zkiln_runtime::relations::{Exact, Limbs, Map, Relation, Requant};

use crate::diagnostic::Diagnostic;
use crate::lower::columns::{Columns, KeyRange, Tables};
use crate::lower::intervals::{certain_range, nonnegative};
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{Goal, Quantized, accumulate, too_wide};
use crate::lower::value::{Axis, Term, Value, View};

/// Integers of up to this many bits more than asked for are kept as they are rather than rounded.
pub const EXACT_EXTRA_BITS: u8 = 4;
/// Widest values that are looked up in one table.
const MOST_TABLE_BITS: u8 = 18;
/// How many times what a sum reaches one of its terms may, to be rounded by itself.
const MOST_BEYOND: f64 = 64.0;
/// Widest limb table.
const MAX_LIMB_BITS: u32 = 15;
/// Widest remainder, so that with some slack limbs hold it.
const MAX_STEP_LOG2: i32 = 56;
/// What a committed value costs, in lookup leaves.
const COMMIT_COST: f64 = 0.8;
/// What a row of a new table costs, in lookup leaves; less than one and a half, since later nodes may share it.
const ROW_COST: f64 = 0.4;

/// Chooses limb tables for `bits` bits of each element of `shape`, or of up to `slack` more bits: widths, least significant first.
fn limb_widths(tables: &Tables, shape: &[u32], bits: u32, slack: u32) -> Vec<u8> {
    let elements = f64::from(cube_log2(shape)).exp2();
    let mut best = (f64::INFINITY, vec![]);
    for total in bits..=bits + slack {
        for count in total.div_ceil(MAX_LIMB_BITS)..=total.min(6) {
            let widths: Vec<u8> = (0..count)
                .map(|i| (total / count + u32::from(i < total % count)) as u8)
                .collect();
            let mut fresh: Vec<u8> = widths.clone();
            fresh.dedup();
            fresh.retain(|&bits| {
                !tables.has_range(KeyRange {
                    bits,
                    signed: false,
                })
            });
            let rows: f64 = fresh
                .iter()
                .map(|&bits| f64::from(bits).exp2() * ROW_COST)
                .sum();
            let cost = elements * (f64::from(count) + f64::from(count - 1) * COMMIT_COST) + rows;
            if cost < best.0 {
                best = (cost, widths);
            }
        }
    }
    best.1
}

/// Tables and committed lower limbs for values of `bits` bits.
pub fn limbs(
    columns: &mut Columns,
    tables: &mut Tables,
    name: &str,
    shape: &[u32],
    bits: u32,
    slack: u32,
) -> (u32, Limbs) {
    let widths = limb_widths(tables, shape, bits, slack);
    let lower = widths.len() - 1;
    let columns_of = widths[..lower]
        .iter()
        .map(|&bits| columns.witness(&format!("{name}/low"), shape.to_vec(), (0, (1 << bits) - 1)));
    let limb_columns: Vec<ColumnId> = columns_of.collect();
    let limb_tables: Vec<TableId> = widths
        .iter()
        .map(|&bits| {
            tables.range(
                columns,
                KeyRange {
                    bits,
                    signed: false,
                },
            )
        })
        .collect();
    (
        widths.iter().map(|&bits| u32::from(bits)).sum(),
        Limbs {
            tables: limb_tables.into(),
            columns: limb_columns.into(),
        },
    )
}

/// A number that is added.
fn constant(coefficient: i64) -> ModelTerm {
    ModelTerm {
        coefficient,
        summed: vec![].into(),
        operands: vec![].into(),
    }
}

impl Lowering<'_> {
    /// The value as one committed column of about `bits` bits; itself if it is one already.
    pub fn small(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        if value.is_constant() || self.is_column(value, bits + EXACT_EXTRA_BITS) {
            return Ok(value.clone());
        }
        if value.integer {
            return self.column_of_integers(value);
        }
        let named = value.name.is_empty().then(|| Value {
            name: self.here().into(),
            ..value.clone()
        });
        let value = named.as_ref().unwrap_or(value);
        let made = self.column_of_sum(value, bits);
        match made.is_err() {
            true => match self.summed_apart(value, bits)? {
                Some(sum) => self.column_of_sum(&sum, bits),
                None => made,
            },
            false => made,
        }
    }

    fn column_of_sum(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        if let Some(exact) = self.exact(value, bits + EXACT_EXTRA_BITS)? {
            return Ok(exact);
        }
        // Finer channels make wider sums.
        if let Some(levels) = self.levels(value, bits)
            && let Ok(even) = self.rounded(&levels.even(value), bits)
        {
            return Ok(levels.restore(even, value.range));
        }
        self.rounded(value, bits)
    }

    /// Looks the value up in a range of integers of `unit`: in one table of at most `table_bits` bits, with what is below in limbs if that is not
    /// enough.
    pub fn bound(
        &mut self,
        name: &str,
        value: &Accumulator,
        range: (i64, i64),
        unit: f64,
        table_bits: u8,
    ) {
        let name = format!("{name}/range");
        let keys = KeyRange::covering(range.0.into(), range.1.into());
        let quantized = Quantized {
            accumulator: value.clone(),
            unit,
            offset: 0.0,
            step_log2: 0,
            bounds: (range.0.into(), range.1.into()),
            magnitude: i128::from(range.0.unsigned_abs().max(range.1.unsigned_abs())),
            cost: 0,
        };
        let relation = match keys.bits <= table_bits {
            true => self.within_table(&name, &quantized, keys, range.1),
            false => self.within_limbs(&name, value, keys, table_bits),
        };
        self.emit(&name, &quantized, keys.bits.into(), relation);
    }

    /// That the value is one of `keys`, and at most `greatest`.
    fn within_table(
        &mut self,
        name: &str,
        value: &Quantized,
        keys: KeyRange,
        greatest: i64,
    ) -> Relation {
        let table = self.tables.range(&mut self.columns, keys);
        let within = |accumulator| {
            Relation::Map(Map {
                accumulator,
                table,
                mapped: vec![].into(),
            })
        };
        let accumulator = value.accumulator.clone();
        if greatest < keys.bounds().1 {
            // Not all keys are allowed: `greatest - value` is none that is negative.
            let columns = accumulator.columns.iter().map(|(c, id)| (-c, *id));
            let below = Accumulator {
                shape: accumulator.shape.clone(),
                columns: columns.collect(),
                terms: vec![constant(greatest)].into(),
            };
            let bits = keys.bits.into();
            self.emit(&format!("{name}/high"), value, bits, within(below));
        }
        within(accumulator)
    }

    /// Cut into upper bits and a remainder in limbs: the two bound it together, to the range of `keys` and no further.
    fn within_limbs(
        &mut self,
        name: &str,
        value: &Accumulator,
        keys: KeyRange,
        table_bits: u8,
    ) -> Relation {
        let shape = value.shape.to_vec();
        let lower = u32::from(keys.bits - table_bits);
        let upper = KeyRange {
            bits: table_bits,
            ..keys
        };
        let (columns, tables) = (&mut self.columns, &mut self.tables);
        let (shift, remainder) = limbs(columns, tables, name, &shape, lower, 0);
        // Half a step down, since rounding adds it.
        let half = constant(-(1 << (shift - 1)));
        Relation::Requant(Requant {
            accumulator: Accumulator {
                terms: vec![half].into(),
                ..value.clone()
            },
            shift: shift as u8,
            remainder,
            output: columns.witness(name, shape, upper.bounds()),
            table: tables.range(columns, upper),
            mapped: vec![].into(),
        })
    }

    /// The value rounded to about `bits` bits, with one step for all its elements.
    fn rounded(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        if bits > MOST_TABLE_BITS && !self.saturates() {
            return self.wide(value, bits);
        }
        let bits = bits.min(MOST_TABLE_BITS);
        let keys = KeyRange {
            bits,
            signed: !nonnegative(value, &self.columns),
        };
        let axes = value.mentioned();
        let quantized = self.accumulate(value, &axes, Goal::rounded(value, keys))?;
        let name = value.name.clone();
        let wide = self.reach(&quantized, keys);
        if wide != keys {
            let (low, high) = keys.bounds();
            let clamp = wide.iter().map(|key| key.clamp(low, high) as i32);
            let data = [clamp.collect()];
            let table = self.tables.table(&mut self.columns, "clamp", wide, &data);
            let shape = quantized.accumulator.shape.to_vec();
            let clamped = self.columns.witness(&name, shape, (low, high));
            let unclamped = format!("{name}/unclamped");
            let (_, unit) = self.requant(&unclamped, quantized, wide, table, &[clamped])?;
            return Ok(column_value(value, clamped, &axes, unit));
        }
        let table = self.tables.range(&mut self.columns, keys);
        let (column, unit) = self.requant(&name, quantized, keys, table, &[])?;
        Ok(column_value(value, column, &axes, unit))
    }

    /// The value, of whose terms each is committed to `bits` bits: for sums that 64-bit integers do not hold.
    fn summed_apart(&mut self, value: &Value, bits: u8) -> Result<Option<Value>, Diagnostic> {
        let varying = || value.terms.iter().filter(|term| !term.is_constant());
        if varying().count() < 2 {
            return Ok(None);
        }
        let mut sum = Value {
            terms: value
                .terms
                .iter()
                .filter(|term| term.is_constant())
                .cloned()
                .collect(),
            ..value.clone()
        };
        for term in varying() {
            let alone = Value {
                terms: vec![term.clone()],
                proven: None,
                name: format!("{}/term", value.name).into(),
                ..value.clone()
            };
            let range = self.certain_range(&alone)?;
            let within = |range: (f64, f64)| range.0.abs().max(range.1.abs());
            if within(range) > MOST_BEYOND * within(value.range) {
                // So many bits of it are of numbers that do not occur.
                return Ok(None);
            }
            let alone = Value { range, ..alone };
            sum.terms.extend(self.small(&alone, bits)?.terms);
        }
        Ok(Some(sum))
    }

    /// Whether the value is a multiple of one column of at most `bits` bits, read without gaps.
    pub fn is_column(&self, value: &Value, bits: u8) -> bool {
        let [term] = value.terms.as_slice() else {
            return false;
        };
        let [view] = term.factors.as_slice() else {
            return false;
        };
        let (lo, hi) = self.columns.get(view.column).bounds;
        term.weight.is_none()
            && term.summed.is_empty()
            && KeyRange::covering(lo.into(), hi.into()).bits <= bits
    }

    /// The value as a column of exactly its integers, if they are certain to fit `bits` bits.
    pub fn exact(&mut self, value: &Value, bits: u8) -> Result<Option<Value>, Diagnostic> {
        let axes = value.mentioned();
        let Some(quantized) = self.exact_integers(value, &axes)? else {
            return Ok(None);
        };
        let (lo, hi) = quantized.bounds;
        if KeyRange::covering(lo, hi).bits > bits {
            return Ok(None);
        }
        let unit = quantized.unit;
        let output = self.commit(&value.name, quantized);
        Ok(Some(column_value(value, output, &axes, unit)))
    }

    /// A column of exactly these integers.
    pub fn commit(&mut self, name: &str, quantized: Quantized) -> ColumnId {
        let (lo, hi) = quantized.bounds;
        let shape = quantized.accumulator.shape.to_vec();
        let output = self.columns.witness(name, shape, (lo as i64, hi as i64));
        let accumulator = quantized.accumulator.clone();
        self.emit(
            name,
            &quantized,
            u32::from(KeyRange::covering(lo, hi).bits),
            Relation::Exact(Exact {
                accumulator,
                output,
            }),
        );
        output
    }

    /// The value's integers, unless a weight tensor would have to be rounded, or constants would to a few of them.
    pub fn exact_integers(
        &mut self,
        value: &Value,
        axes: &[Axis],
    ) -> Result<Option<Quantized>, Diagnostic> {
        if !crate::lower::quantize::is_exact(value, self.bits.weight_bits) {
            return Ok(None);
        }
        let mut quantized = self.accumulate(value, axes, Goal::Exact)?;
        if self.loses_constants(value, &quantized) {
            return Ok(None);
        }
        let certain = certain_range(value, &self.columns);
        if let Some((lo, hi)) = certain.or(value.proven) {
            let (lo, hi) = (
                (lo / quantized.unit).floor().max(-1e30) as i128,
                (hi / quantized.unit).ceil().min(1e30) as i128,
            );
            quantized.bounds = (quantized.bounds.0.max(lo), quantized.bounds.1.min(hi));
        }
        Ok(Some(quantized))
    }

    /// Whether constants are rounded to the unit of few integers, which is coarser than activations would be.
    fn loses_constants(&self, value: &Value, quantized: &Quantized) -> bool {
        let whole = |constant: &f64| {
            let multiple = constant / quantized.unit;
            (multiple - multiple.round()).abs() <= 1e-6 * (1.0 + multiple.abs())
        };
        let (lo, hi) = quantized.bounds;
        KeyRange::covering(lo, hi).bits < self.bits.activation_bits
            && !value.constant_part().data.iter().all(whole)
    }

    /// Width of the value's exact integers, unless a weight tensor would have to be rounded.
    pub fn exact_bits(&mut self, value: &Value) -> Result<Option<u8>, Diagnostic> {
        let integers = self.exact_integers(value, &value.mentioned())?;
        Ok(integers.map(|q| KeyRange::covering(q.bounds.0, q.bounds.1).bits))
    }

    /// Real range for certain.
    pub fn certain_range(&mut self, value: &Value) -> Result<(f64, f64), Diagnostic> {
        if let Some(range) = certain_range(value, &self.columns) {
            return Ok(range);
        }
        let sums = self.accumulate(value, &value.mentioned(), Goal::Exact)?;
        Ok((
            sums.bounds.0 as f64 * sums.unit,
            sums.bounds.1 as f64 * sums.unit,
        ))
    }

    /// [`accumulate`] with the options' weight bits, named after the value.
    pub fn accumulate(
        &mut self,
        value: &Value,
        axes: &[Axis],
        goal: Goal,
    ) -> Result<Quantized, Diagnostic> {
        accumulate(
            &mut self.columns,
            &value.name,
            value,
            axes,
            goal,
            self.bits.weight_bits,
        )
    }

    /// The value rounded to multiples of `step`; it is known to fit `keys` of them.
    pub fn in_steps(
        &mut self,
        value: &Value,
        step: f64,
        keys: KeyRange,
    ) -> Result<Value, Diagnostic> {
        let axes = value.mentioned();
        let quantized = self.accumulate(value, &axes, Goal::Step(step))?;
        if keys.bits > MOST_TABLE_BITS {
            return self.wide_in_steps(value, quantized, keys);
        }
        let table = self.tables.range(&mut self.columns, keys);
        let (column, unit) = self.requant(&value.name.clone(), quantized, keys, table, &[])?;
        Ok(column_value(value, column, &axes, unit))
    }

    /// Limbs for what rounding to the step drops, and the same integers in units of which limbs hold a whole step.
    pub fn remainder(
        &mut self,
        name: &str,
        quantized: Quantized,
    ) -> Result<(Quantized, Limbs), Diagnostic> {
        if quantized.step_log2 > MAX_STEP_LOG2 {
            return Err(too_wide(1 << quantized.step_log2.min(120)));
        }
        let wanted = quantized.step_log2.max(1) as u32;
        let shape = quantized.accumulator.shape.to_vec();
        let (columns, tables) = (&mut self.columns, &mut self.tables);
        let (shift, limbs) = limbs(columns, tables, name, &shape, wanted, 3);
        let finer = shift as i32 - quantized.step_log2;
        Ok((quantized.refined_within(finer)?, limbs))
    }

    /// Emits the rounding of `quantized` to its step: the column and the real value of its unit.
    pub fn requant(
        &mut self,
        name: &str,
        quantized: Quantized,
        keys: KeyRange,
        table: TableId,
        mapped: &[ColumnId],
    ) -> Result<(ColumnId, f64), Diagnostic> {
        let step = quantized.step();
        let shape = quantized.accumulator.shape.to_vec();
        let output = self.columns.witness(name, shape, keys.bounds());
        let (quantized, remainder) = self.remainder(name, quantized)?;
        let relation = Relation::Requant(Requant {
            accumulator: quantized.accumulator.clone(),
            shift: quantized.step_log2 as u8,
            remainder,
            output,
            table,
            mapped: mapped.to_vec().into(),
        });
        // What the column is mapped to gives the node its name.
        let named = mapped.last().copied().unwrap_or(output);
        let node = self.columns.get(named).name.clone();
        self.emit(&node, &quantized, u32::from(keys.bits), relation);
        Ok((output, step))
    }
}

/// `value`, known to be `unit` times `column` over `axes`.
pub fn column_value(value: &Value, column: ColumnId, axes: &[Axis], unit: f64) -> Value {
    Value {
        terms: vec![Term::view(View::whole(column, axes), unit)],
        ..value.clone()
    }
}

/// A function of `value`: `unit` times `column` over `axes`.
pub fn mapped_value(value: &Value, column: ColumnId, axes: &[Axis], unit: f64) -> Value {
    Value::new(
        value.dims.clone(),
        vec![Term::view(View::whole(column, axes), unit)],
    )
}
