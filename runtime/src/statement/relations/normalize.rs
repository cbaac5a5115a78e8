//! `m = floor(a / 2^(g e))` for the exponent `e` that leaves the mantissa `m` exactly as many bits as its table has, or up to `g - 1`
//! fewer, and `out = T(m)`: the floating point of an exact integer `a >= 1`, so that a function is as precise of small integers as it is of
//! large ones.
//!
//! A table gives the power of two that goes with an exponent, so that a shift which depends on data is a product: `power^k = 2^(g (E - e))`,
//! and `m` is what rounding down `a power^k / 2^s` leaves. `(m, out)` is a row of the table of `2^p` mantissas, and `m >= 2^(p-g)`.
//!
//! **Unique**: `m` is, given `e`, since its remainder is in limbs. An `e` too small leaves an `m` beyond the table, an `e` too large one below
//! `2^(p-g)`. Without the last range any larger `e` would do, and drop bits that count.
//!
//! The mantissa is committed plus the first key of its table, so that the key 0, which padding looks up, is one that has a value.

use serde::{Deserialize, Serialize};

use super::{
    Columns, Constraints, Entry, Limbs, Provable, column, out_of_range, table, table_keys,
};
use crate::error::{ProveError, VerifyError, check};
use crate::statement::layout::true_offsets;
use crate::statement::model::{Accumulator, ColumnId, List, Model, Powers, Structure, TableId};

/// `mapped = table(m)` with `m = floor(a power^times / 2^shift)` and `2^(p-octaves) <= m < 2^p`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalize {
    /// `a`: exact integers, each term with operands to spare for `times` more.
    pub accumulator: Accumulator,
    /// Bits by which the mantissa grows shorter where the exponent grows by one: 1 or 2.
    pub octaves: u8,
    /// `e`, of the accumulator's shape.
    pub exponent: ColumnId,
    /// Keys from 0. First output, structural: `2^(octaves (E - e) / times)` for exponents up to `E` that can be, 0 for others.
    pub exponents: TableId,
    /// First output of `exponents`.
    pub power: ColumnId,
    /// How often the power is a factor: 1 or 2.
    pub times: u8,
    /// Other outputs of `exponents`.
    pub factors: List<ColumnId>,
    /// Bits dropped, at least 1; the limbs' widths sum to it.
    pub shift: u8,
    /// `a power^times - 2^shift m`.
    pub remainder: Limbs,
    /// `m` plus the table's first key.
    pub mantissa: ColumnId,
    /// Of mantissas, with one output column for each of `mapped`.
    pub table: TableId,
    /// `table(m)`: as many as the table has outputs.
    pub mapped: List<ColumnId>,
    /// A range from 0, at least as long as the table of mantissas.
    pub range: TableId,
}

impl Normalize {
    // verify-path: begin
    /// That each exponent has the power of two that makes the mantissa its own.
    fn check_powers(&self, model: &Model) -> Result<(), VerifyError> {
        const MISFIT: VerifyError = VerifyError::Key("a mantissa does not fit its tables");
        let power = table(model, self.exponents)?.outputs.first();
        let column = column(model, *power.ok_or(MISFIT)?)?;
        let Some(Structure::Powers(Powers { step, .. })) = column.structure() else {
            return Err(VerifyError::Key(
                "a column that a relation relies on is of another kind",
            ));
        };
        check(
            step.checked_mul(self.times) == Some(self.octaves),
            "a mantissa does not fit its tables",
        )
    }
    // verify-path: end

    /// `m - 2^(p-g)`; in the padding what is committed of the mantissa.
    fn length(&self, first_key: i64, least: i64) -> Accumulator {
        let mantissa = Accumulator::of_column(self.accumulator.shape.clone(), self.mantissa);
        mantissa.plus_constant(first_key.saturating_add(least).wrapping_neg())
    }

    /// The exponents of integers, and `a power^times` in place of the integers.
    fn shifted(
        &self,
        node: &str,
        model: &Model,
        columns: &dyn Columns,
        values: &mut [i64],
    ) -> Result<Vec<i64>, ProveError> {
        let bits = u32::from(model.tables[self.table.0 as usize].len_log2);
        let exponents = &model.tables[self.exponents.0 as usize];
        let powers = columns.column(exponents.outputs[0]);
        let mut found = vec![0; values.len()];
        for at in true_offsets(&self.accumulator.shape) {
            let value = values[at];
            let mantissa = |power: i32| {
                let power = i64::from(power);
                let product = (0..self.times).try_fold(value, |a, _| a.checked_mul(power))?;
                let width = 64 - (product >> self.shift).max(0).leading_zeros();
                (width <= bits && width + u32::from(self.octaves) > bits).then_some(product)
            };
            let fitting = (powers.iter().enumerate())
                .find_map(|(exponent, &power)| Some((exponent, mantissa(power)?)));
            let Some((exponent, product)) = fitting.filter(|_| value > 0) else {
                return Err(out_of_range(node, value, self.range_of(bits, powers)));
            };
            (found[at], values[at]) = (exponent as i64, product);
        }
        Ok(found)
    }

    /// Least and greatest integer that has a mantissa.
    fn range_of(&self, bits: u32, powers: &[i32]) -> (i64, i64) {
        let powers = || powers.iter().filter(|power| **power > 0);
        let divided = |integer: i128, power: Option<&i32>| {
            let power = i128::from(power.copied().unwrap_or(1)).pow(self.times.into());
            i64::try_from((integer << self.shift) / power).unwrap_or(i64::MAX)
        };
        let least = 1 << bits.saturating_sub(self.octaves.into());
        let least = divided(least, powers().max());
        let greatest = divided(1 << bits, powers().min());
        (least.max(1), greatest.saturating_sub(1))
    }
}

impl Provable for Normalize {
    /// Fills the exponent, the mantissa, what they map to and the limbs.
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError> {
        let mut values = columns.evaluate(&self.accumulator);
        let exponents = self.shifted(node, model, columns, &mut values)?;
        let mantissas = &model.tables[self.table.0 as usize];
        let (mut keys, mut remainders) = (vec![0; values.len()], vec![0; values.len()]);
        let mask = (1i64 << self.shift) - 1;
        // In the padding all terms are zero.
        for at in true_offsets(&self.accumulator.shape) {
            keys[at] = (values[at] >> self.shift) + mantissas.first_key;
            remainders[at] = values[at] & mask;
        }
        let of_exponents = &model.tables[self.exponents.0 as usize];
        let exponents = table_keys(node, of_exponents, &exponents, |exponent| exponent)?;
        columns.set(self.exponent, exponents.clone());
        let outputs = [&[self.power], &*self.factors].concat();
        columns.look_up(node, model, self.exponents, exponents, &outputs)?;
        self.remainder.fill(node, model, columns, &remainders)?;
        let keys = table_keys(node, mantissas, &keys, |key| key)?;
        columns.set(self.mantissa, keys.clone());
        columns.look_up(node, model, self.table, keys, &self.mapped)?;
        let least = 1i64 << (mantissas.len_log2 - self.octaves);
        let lengths = columns.evaluate(&self.length(mantissas.first_key, least));
        let range = &model.tables[self.range.0 as usize];
        let lengths = table_keys(node, range, &lengths, |length| length)?;
        columns.record(self.range, vec![lengths]);
        Ok(())
    }

    // verify-path: begin
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError> {
        let mantissas = table(model, self.table)?;
        let range = table(model, self.range)?;
        let fits = range.first_key == 0
            && range.outputs.is_empty()
            && table(model, self.exponents)?.first_key == 0;
        let counts = (1..=2).contains(&self.octaves) && (1..=2).contains(&self.times);
        if !fits || !counts {
            return Err(VerifyError::Key("a mantissa does not fit its tables"));
        }
        self.check_powers(model)?;
        if self.shift == 0 || self.remainder.bits(model)? != self.shift {
            return Err(VerifyError::Key("limbs do not cover a remainder"));
        }
        let step = 1i64.checked_shl(u32::from(self.shift));
        let least = mantissas.len_log2.checked_sub(self.octaves);
        let least = least.and_then(|log2| 1i64.checked_shl(u32::from(log2)));
        let (Some(step), Some(least)) = (step, least) else {
            return Err(VerifyError::Key("a mantissa is too short"));
        };
        let shape = &self.accumulator.shape;
        let outputs = [self.exponent, self.power];
        let entries = Entry::columns(shape, outputs.iter().chain(self.factors.iter()));
        constraints.look_up(model, self.exponents, entries)?;
        let mut shifted = self.accumulator.clone();
        for _ in 0..self.times {
            shifted = shifted.times_column(self.power)?;
        }
        let offset = step.checked_mul(mantissas.first_key);
        let offset = offset.ok_or(VerifyError::Key("a shift is too large"))?;
        let remainder = shifted
            .plus_column(step.wrapping_neg(), self.mantissa)
            .plus_constant(offset);
        self.remainder.constrain(model, remainder, constraints)?;
        let entries = [self.mantissa];
        let entries = Entry::columns(shape, entries.iter().chain(self.mapped.iter()));
        constraints.look_up(model, self.table, entries)?;
        let length = Entry::exact(self.length(mantissas.first_key, least));
        constraints.look_up(model, self.range, vec![length])
    }

    fn reads(&self) -> Vec<&Accumulator> {
        vec![&self.accumulator]
    }

    fn writes(&self) -> Vec<ColumnId> {
        let own = [self.exponent, self.power, self.mantissa];
        let others = self.factors.iter().chain(self.mapped.iter());
        let others = others.chain(self.remainder.columns.iter());
        own.iter().chain(others).copied().collect()
    }

    /// The product with the power is an integer. What is read may still be a fraction.
    fn bounds(&self) -> bool {
        false
    }
    // verify-path: end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::model::{View, Visibility};
    use crate::statement::relations::Relation;
    use crate::statement::relations::testing::Draft;

    /// Mantissas of 5 bits of `16 (x^2 + x)`, and exponents up to 6 octaves.
    fn draft(octaves: u8, times: u8) -> (Draft, Normalize) {
        let mut draft = Draft::new();
        let (x, _) = draft.input("x", &[5]);
        let square = vec![View::identity(x, 1).unwrap(); 2];
        let accumulator = Accumulator::zero(vec![5].into())
            .plus_product(16, vec![], square)
            .plus_product(16, vec![], vec![View::identity(x, 1).unwrap()]);
        let power = Structure::Powers(Powers {
            step: octaves / times,
            last: 6,
        });
        let exponents = draft.table_with("exponents", (0, 3), &[|e| 7 - e as i32], power, 0);
        let table = draft.table("reciprocal", -16, 5, &[|m| 1024 / (m as i32 + 16).max(1)]);
        let range = draft.table("range", 0, 5, &[]);
        let limb = draft.table("limb", 0, 3 * octaves, &[]);
        let remainder = Limbs {
            tables: vec![limb, limb].into(),
            columns: vec![draft.witness("low", &[5])].into(),
        };
        let normalize = Normalize {
            accumulator,
            octaves,
            exponent: draft.witness("e", &[5]),
            exponents,
            power: draft.witness("power", &[5]),
            times,
            factors: vec![draft.witness("factor", &[5])].into(),
            shift: 6 * octaves,
            remainder,
            mantissa: draft.witness("m", &[5]),
            table,
            mapped: vec![draft.witness("y", &[5])].into(),
            range,
        };
        draft.node("normalize", Relation::Normalize(normalize.clone()));
        (draft, normalize)
    }

    const GIVEN: [i64; 5] = [1, 2, 3, 5, 8];

    #[test]
    fn mantissas_have_all_bits() {
        // 32, 96, 192, 480, 1152.
        let expected = [
            ((1, 1), [1, 2, 3, 4, 6], [16, 24, 24, 30, 18]),
            ((2, 1), [1, 1, 2, 2, 3], [8, 24, 12, 30, 18]),
            ((2, 2), [1, 1, 2, 2, 3], [8, 24, 12, 30, 18]),
        ];
        for ((octaves, times), exponents, mantissas) in expected {
            let (draft, it) = draft(octaves, times);
            let trace = draft.run(&[GIVEN.to_vec()]);
            assert_eq!(trace.column(it.exponent)[..5], exponents);
            assert_eq!(trace.column(it.factors[0])[..5], exponents.map(|e| 7 - e));
            assert_eq!(trace.column(it.mantissa)[..5], mantissas.map(|m| m - 16));
            let mapped = mantissas.map(|m| 1024 / m);
            assert_eq!(trace.column(it.mapped[0])[..5], mapped);
        }
    }

    /// That nothing but the truth passes, though all that follows from a wrong exponent follows.
    #[test]
    fn other_exponents_are_caught() {
        for (octaves, times) in [(1, 1), (2, 1), (2, 2)] {
            let (draft, it) = draft(octaves, times);
            let mut trace = draft.run(&[GIVEN.to_vec()]);
            for (at, x) in GIVEN.into_iter().enumerate() {
                for exponent in 0..8i64 {
                    if exponent == i64::from(trace.column(it.exponent)[at]) {
                        continue;
                    }
                    let divisor = octaves / times;
                    let power = if exponent <= 6 {
                        64i64.pow(divisor.into()) >> (exponent * i64::from(divisor))
                    } else {
                        0
                    };
                    let shifted = 16 * (x * x + x) * power.pow(times.into());
                    let m = (shifted >> it.shift).clamp(0, 31);
                    let remainder = shifted - (m << it.shift);
                    let low = remainder & ((1 << (3 * octaves)) - 1);
                    let liked = [
                        (it.exponent, exponent),
                        (it.power, power),
                        (it.factors[0], 7 - exponent),
                        (it.mantissa, m - 16),
                        (it.mapped[0], 1024 / m.max(1)),
                        (it.remainder.columns[0], low),
                    ];
                    let change =
                        |(column, value)| (column, at, value as i32 - trace.column(column)[at]);
                    let changes = liked.map(change);
                    draft.assert_caught(&mut trace, &changes);
                }
            }
        }
    }

    /// A quarter has a mantissa, too: it takes another node to say that a hidden input is an integer.
    #[test]
    fn a_mantissa_does_not_bound_a_hidden_input() {
        let (mut draft, mut it) = draft(1, 1);
        let model = &mut draft.model;
        let x = model.inputs[0].column().expect("a column");
        it.accumulator = Accumulator::of_column(vec![5].into(), x);
        model.nodes.to_mut()[0].relation = Relation::Normalize(it);
        assert_eq!(model.validate(), Ok(()));
        model.inputs.to_mut()[0].visibility = Visibility::Private;
        let unbounded = Err(VerifyError::Key("no node bounds a hidden input"));
        assert_eq!(model.validate(), unbounded);
    }

    #[test]
    fn tampering_is_caught() {
        let (draft, it) = draft(1, 1);
        let mut trace = draft.run(&[GIVEN.to_vec()]);
        for column in Relation::Normalize(it).writes() {
            draft.assert_all_caught(&mut trace, column);
        }
    }

    #[test]
    fn what_has_no_mantissa_is_a_typed_error() {
        let (draft, _) = draft(1, 1);
        let run = |x: i64| {
            let inputs = [vec![1, x, 1, 1, 1]];
            crate::witness::trace::run(&draft.model, &draft.constants(), &inputs).err()
        };
        let error = |value| Some(out_of_range("normalize", value, (16, 2047)));
        assert_eq!(run(0), error(0));
        assert_eq!(run(-1), error(0));
        assert_eq!(run(10), None);
        assert_eq!(run(11), error(16 * 132));
    }

    #[test]
    fn tables_must_fit() {
        let (draft, it) = draft(1, 1);
        let error = |change: &dyn Fn(&mut Normalize)| {
            let mut changed = it.clone();
            change(&mut changed);
            Relation::Normalize(changed).constraints(&draft.model).err()
        };
        let misfit = Some(VerifyError::Key("a mantissa does not fit its tables"));
        assert_eq!(error(&|it| it.octaves = 0), misfit);
        assert_eq!(error(&|it| it.octaves = 3), misfit);
        assert_eq!(error(&|it| it.times = 0), misfit);
        assert_eq!(error(&|it| it.range = it.table), misfit);
        assert_eq!(error(&|it| it.exponents = it.table), misfit);
        let of_another_kind = Some(VerifyError::Key(
            "a column that a relation relies on is of another kind",
        ));
        let mut draft = draft;
        let powers: fn(i64) -> i32 = |e| if e <= 6 { 64 >> e } else { 0 };
        let chosen = draft.table("chosen", 0, 3, &[powers, |e| 7 - e as i32]);
        let steep = Structure::Powers(Powers { step: 2, last: 6 });
        let steep = draft.table_with("steep", (0, 3), &[|e| 7 - e as i32], steep, 0);
        let with = |exponents| {
            let changed = Normalize {
                exponents,
                ..it.clone()
            };
            Relation::Normalize(changed).constraints(&draft.model).err()
        };
        assert_eq!(with(chosen), of_another_kind);
        assert_eq!(with(steep), misfit);
        let error = |change: &dyn Fn(&mut Normalize)| {
            let mut changed = it.clone();
            change(&mut changed);
            Relation::Normalize(changed).constraints(&draft.model).err()
        };
        let uncovered = Some(VerifyError::Key("limbs do not cover a remainder"));
        assert_eq!(error(&|it| it.shift = 5), uncovered);
    }
}
