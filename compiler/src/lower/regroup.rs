//! Factorisations of dimensions: making those of two values agree, merging axes, reinterpreting shapes.

use zkiln_runtime::relations::{Relation, Reshape};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::boundary::column_value;
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value, common_refinement};

/// Bits that a column holds.
const COLUMN_BITS: u8 = 31;
/// Largest selection tensor, in elements.
const MAX_SELECTION: usize = 1 << 22;

fn lens(axes: &[Axis]) -> Vec<usize> {
    axes.iter().map(|axis| axis.len).collect()
}

impl Lowering<'_> {
    /// Gives dimension `db` of `b` the axes of dimension `da` of `a`, both refined as needed.
    pub fn unify(
        &mut self,
        a: &mut Value,
        da: usize,
        b: &mut Value,
        db: usize,
    ) -> Result<(), Diagnostic> {
        if common_refinement(&lens(&a.dims[da]), &lens(&b.dims[db])).is_none() {
            *a = self.single_axis(a.clone(), da)?;
            *b = self.single_axis(b.clone(), db)?;
        }
        if let Some(common) = common_refinement(&lens(&a.dims[da]), &lens(&b.dims[db])) {
            a.refine(da, &common, &self.fresh);
            b.refine(db, &common, &self.fresh);
        }
        for (from, to) in b.dims[db].clone().into_iter().zip(a.dims[da].clone()) {
            b.rename(from, to);
        }
        Ok(())
    }

    /// Unifies all dimensions; where one value has length 1, it is repeated.
    pub fn align(&mut self, a: &mut Value, b: &mut Value) -> Result<(), Diagnostic> {
        for dim in 0..a.dims.len() {
            if a.len(dim) != 1 && b.len(dim) != 1 {
                self.unify(a, dim, b, dim)?;
            }
        }
        Ok(())
    }

    /// The value with dimension `dim` as at most one axis: merged, or else selected with a 0/1 tensor, or committed anew.
    pub fn single_axis(&mut self, mut value: Value, dim: usize) -> Result<Value, Diagnostic> {
        if value.merge(dim, &self.fresh) {
            return Ok(value);
        }
        let (factors, len) = (value.dims[dim].clone(), value.len(dim));
        if len * len > MAX_SELECTION {
            if let Some(reshaped) = self.reshaped(&value, dim)? {
                return Ok(reshaped);
            }
            return Err(refuse(
                format!(
                    "it needs an axis of length {len} that an earlier reshape made of axes that do not fit together"
                ),
                "reshape to lengths that divide each other",
            ));
        }
        let merged = self.fresh.axis(len);
        let data = (0..len * len)
            .map(|i| f64::from(i / len == i % len))
            .collect();
        let axes: Vec<Axis> = factors.iter().copied().chain([merged]).collect();
        let mut dims = value.dims.clone();
        dims[dim] = vec![merged];
        let selection = Value::new(dims.clone(), vec![Term::constant(Weight::new(axes, data))]);
        let about = (value.range, value.proven, value.name.clone());
        let selected = self.contract(value, selection, &factors, dims)?;
        Ok(Value {
            range: about.0,
            proven: about.1,
            name: about.2,
            ..selected
        })
    }

    /// The value as a column whose dimension `dim` is one axis; none if its integers are too large for one.
    fn reshaped(&mut self, value: &Value, dim: usize) -> Result<Option<Value>, Diagnostic> {
        let value = self.small(value, self.bits.activation_bits)?;
        let (factors, mentioned) = (value.dims[dim].clone(), value.mentioned());
        let mut axes = value.axes();
        axes.retain(|axis| mentioned.contains(axis) || factors.contains(axis));
        let Some(quantized) = self.exact_integers(&value, &axes)? else {
            return Ok(None);
        };
        let (lo, hi) = quantized.bounds;
        let bits = KeyRange::covering(lo, hi).bits;
        if bits > COLUMN_BITS {
            return Ok(None);
        }
        let merged = self.fresh.axis(value.len(dim));
        let first = axes.iter().position(|axis| factors.contains(axis));
        let first = first.unwrap_or(axes.len());
        axes.splice(first..first + factors.len(), [merged]);
        let shape = axes.iter().map(|axis| axis.len as u32).collect();
        let name = format!("{}/reshaped", self.here());
        let output = self.columns.witness(&name, shape, (lo as i64, hi as i64));
        let unit = quantized.unit;
        let relation = Relation::Reshape(Reshape {
            accumulator: quantized.accumulator.clone(),
            output,
        });
        self.emit(&name, &quantized, bits.into(), relation);
        let mut made = column_value(&value, output, &axes, unit);
        made.dims[dim] = vec![merged];
        made.channels = None;
        Ok(Some(made))
    }

    /// Row-major reinterpretation to `shape`.
    pub fn regroup(&mut self, mut value: Value, shape: &[usize]) -> Result<Value, Diagnostic> {
        let mut axes = value.axes().into_iter();
        let mut groups: Vec<(Vec<Axis>, Vec<usize>)> = vec![];
        let (mut have, mut want) = (1, 1);
        for &len in shape {
            if have == want && len != 1 || groups.is_empty() {
                groups.push((vec![], vec![]));
            }
            let (factors, lens) = groups.last_mut().expect("one was pushed");
            lens.push(len);
            want *= len;
            while have < want {
                let Some(axis) = axes.next() else { break };
                have *= axis.len;
                factors.push(axis);
            }
        }
        value.dims = groups.iter().map(|(factors, _)| factors.clone()).collect();
        let mut dims = vec![];
        for (group, (factors, wanted)) in groups.iter().enumerate() {
            match common_refinement(&lens(factors), wanted) {
                Some(common) => value.refine(group, &common, &self.fresh),
                None => {
                    value = self.single_axis(value, group)?;
                    value.refine(group, wanted, &self.fresh);
                }
            }
            let mut rest = value.dims[group].iter().copied();
            for &len in wanted {
                let mut dim: Vec<Axis> = vec![];
                while lens(&dim).iter().product::<usize>() < len {
                    let Some(axis) = rest.next() else { break };
                    dim.push(axis);
                }
                dims.push(dim);
            }
        }
        value.dims = dims;
        Ok(value)
    }
}
