//! Products and contractions of values, and when an operand has to be committed first.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, Op};
use crate::lower::boundary::EXACT_EXTRA_BITS;
use crate::lower::columns::KeyRange;
use crate::lower::intervals::product_bounds;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::{COEFFICIENT_BITS, ceil_log2, most_weight_bits, near_integer};
use crate::lower::value::{Axis, Fresh, Term, Value};

/// Most columns in a product.
const MAX_DEGREE: usize = 3;
/// Most products of a pair of sums.
const MAX_PRODUCTS: usize = 8;
/// A product may cost this many times the size of its columns to prove. Weights do not count: as long as nothing else has their output axes,
/// they cost next to nothing.
const MAX_BLOWUP: usize = 4;
/// Most bits of a product.
const MOST_WIDTH: u32 = 60;
/// Most bits of a factor that is committed because the product would have more.
const WIDE_BITS: u8 = 24;
/// Widest sum that is committed in the steps of what it is added to.
const MOST_SUM_BITS: u8 = 28;
/// A sum of fewer bits, in the steps of what it is added to, is too coarse.
const COARSE_BITS: u8 = 8;
/// Sizes that are too small to matter.
const NEGLIGIBLE: usize = 1024;

fn volume<'a>(axes: impl IntoIterator<Item = &'a Axis>) -> usize {
    axes.into_iter().map(|axis| axis.len).product()
}

/// Bits that a sum of so many adds.
fn bits_of(count: usize) -> u32 {
    ceil_log2(count as f64).max(0) as u32
}

fn distinct(mut axes: Vec<Axis>) -> Vec<Axis> {
    axes.sort();
    axes.dedup();
    axes
}

impl Term {
    /// Axes of each operand: columns, then the weight tensor.
    fn operand_axes(&self) -> Vec<Vec<Axis>> {
        let views = self
            .factors
            .iter()
            .map(|view| distinct(view.axes().collect()));
        views
            .chain(self.weight.iter().map(|weight| weight.axes.clone()))
            .collect()
    }

    /// Whether the term is a column times constants, without sums.
    fn is_simple(&self) -> bool {
        self.factors.len() <= 1 && self.summed.is_empty()
    }

    /// `sum over summed of self * other`, constants contracted at once where no column is read.
    fn times(&self, other: &Self, summed: &[Axis], fresh: &Fresh) -> Self {
        let (mut left, mut right) = (self.clone(), other.clone());
        left.freshen(fresh);
        right.freshen(fresh);
        let mut product = Self {
            factors: [left.factors, right.factors].concat(),
            weight: None,
            scalar: left.scalar * right.scalar,
            summed: [&left.summed, &right.summed, summed].concat(),
        };
        product.weight = match (left.weight, right.weight) {
            (Some(a), Some(b)) => {
                let inner: Vec<Axis> = product
                    .summed
                    .iter()
                    .copied()
                    .filter(|axis| {
                        !product.reads(axis.id) && (a.mentions(axis.id) || b.mentions(axis.id))
                    })
                    .collect();
                product.summed.retain(|axis| !inner.contains(axis));
                Some(a.contract(&b, &inner))
            }
            (a, b) => a.or(b),
        };
        product
    }

    /// Whether the product costs much more to prove than its operands are large.
    fn blows_up(&self, other: &Self, summed: &[Axis]) -> bool {
        if self.is_constant() && other.is_constant() {
            return false;
        }
        let read = |axis: &Axis| self.reads(axis.id) || other.reads(axis.id);
        let (mut operands, theirs) = (self.operand_axes(), other.operand_axes());
        if let (Some(a), Some(b)) = (&self.weight, &other.weight) {
            let joint: Vec<Axis> = a
                .union(b)
                .into_iter()
                .filter(|axis| read(axis) || !summed.contains(axis))
                .collect();
            if volume(&joint) > MAX_BLOWUP * a.data.len().max(b.data.len()).max(NEGLIGIBLE) {
                return true;
            }
            operands.pop();
            operands.extend(theirs[..theirs.len() - 1].iter().cloned());
            operands.push(joint);
        } else {
            operands.extend(theirs);
        }
        let summed = || {
            self.summed
                .iter()
                .chain(&other.summed)
                .chain(summed.iter().filter(|axis| read(axis)))
        };
        let mut shared = distinct(operands.concat());
        shared.retain(|axis| {
            !summed().any(|s| s == axis)
                && operands.iter().filter(|axes| axes.contains(axis)).count() > 1
        });
        // A sum inside a product cannot be shared by the reference: it costs the whole cube.
        let nested = !self.summed.is_empty() || !other.summed.is_empty();
        let outer: Vec<Axis> = operands
            .concat()
            .into_iter()
            .filter(|axis| !summed().any(|s| s == axis))
            .collect();
        let outer = if nested && !self.is_constant() && !other.is_constant() {
            distinct(outer)
        } else {
            shared
        };
        let cube = volume(&outer) * volume(summed());
        let views = self.factors.iter().chain(&other.factors);
        let columns = views.map(|view| volume(&distinct(view.axes().collect())));
        cube > MAX_BLOWUP * columns.sum::<usize>().max(NEGLIGIBLE)
    }
}

impl Value {
    /// Summands in which a column occurs.
    pub fn column_terms(&self) -> usize {
        self.terms.iter().filter(|term| !term.is_constant()).count()
    }

    /// Whether the value is as cheap to use as a column: one column times constants, plus constants.
    pub fn is_simple(&self) -> bool {
        self.column_terms() <= 1 && self.terms.iter().all(Term::is_simple)
    }

    /// Whether the value is a product of two columns and a number, which sums of few positions keep exact.
    pub fn is_plain_product(&self) -> bool {
        let plain = |term: &Term| {
            term.factors.len() == 2 && term.weight.is_none() && term.summed.is_empty()
        };
        self.terms.len() == 1 && self.terms.iter().all(plain)
    }

    /// Whether the value is made of sums of products of two columns, and of numbers.
    pub fn is_sum_of_products(&self) -> bool {
        let product = |term: &Term| term.factors.len() == 2 && term.weight.is_none();
        self.column_terms() > 0 && self.terms.iter().all(|t| t.is_constant() || product(t))
    }

    /// Whether the value is a sum of few plain columns, so that its square is cheap and exact.
    pub fn is_short_sum(&self) -> bool {
        let plain = |term: &Term| {
            term.factors.len() == 1 && term.weight.is_none() && term.summed.is_empty()
        };
        self.terms.len() <= 2 && self.terms.iter().all(plain)
    }

    /// Whether some term is a sum.
    fn has_sums(&self) -> bool {
        self.terms.iter().any(|term| !term.summed.is_empty())
    }

    /// Reluctance to use the value in a product as it is: sums before long products before weights.
    fn complexity(&self) -> (bool, usize, bool) {
        let weighted = self
            .terms
            .iter()
            .any(|term| !term.is_constant() && term.weight.is_some());
        let length = if self.is_simple() {
            0
        } else {
            self.terms
                .iter()
                .map(|term| term.factors.len())
                .sum::<usize>()
        };
        (self.has_sums(), length, weighted)
    }

    fn degree(&self) -> usize {
        self.terms
            .iter()
            .map(|term| term.factors.len())
            .max()
            .unwrap_or(0)
    }
}

/// Whether the product of the values is out of proportion.
fn too_complex(a: &Value, b: &Value, summed: &[Axis]) -> bool {
    let contracted = !summed.is_empty() && (a.is_constant() || b.is_constant());
    a.degree() + b.degree() > MAX_DEGREE
        || a.column_terms() * b.column_terms() > MAX_PRODUCTS
        || (contracted && !(a.is_simple() && b.is_simple()))
        || (!summed.is_empty() && (a.has_sums() || b.has_sums()))
        || a.terms
            .iter()
            .any(|x| b.terms.iter().any(|y| x.blows_up(y, summed)))
}

impl Lowering<'_> {
    /// `sum over summed of a * b` with dimensions `dims`; operands that are too complex are committed first.
    pub fn contract(
        &mut self,
        mut a: Value,
        mut b: Value,
        summed: &[Axis],
        dims: Vec<Vec<Axis>>,
    ) -> Result<Value, Diagnostic> {
        let bits = self.operand_bits();
        while too_complex(&a, &b, summed) {
            let (left, right) = (a.complexity(), b.complexity());
            let operand = if left >= right { &mut a } else { &mut b };
            let before = operand.complexity();
            if !operand.is_closed() {
                break;
            }
            *operand = self.compact(operand, bits)?;
            if operand.complexity() >= before {
                break;
            }
        }
        self.narrow(&mut a, &mut b, volume(summed))?;
        if a.degree() + b.degree() > MAX_DEGREE {
            return Err(refuse(
                "it multiplies more than three numbers that are too wide to be committed",
                "use smaller integers",
            ));
        }
        let integer = a.is_integer() && b.is_integer();
        let products = a
            .terms
            .iter()
            .flat_map(|x| b.terms.iter().map(|y| x.times(y, summed, &self.fresh)));
        let product = Value::new(dims, products.collect()).normalize();
        Ok(Value { integer, ..product })
    }

    /// Bits of an operand that is committed: those of its product where that is elementwise, since rows of it may be quiet in both; and what
    /// is wanted relative to itself is committed so.
    fn operand_bits(&self) -> u8 {
        let Some(node) = self.graph.nodes.get(self.current()) else {
            return self.bits.activation_bits;
        };
        match &node.op {
            Op::Binary(BinaryFn::Div) => self.law_bits(),
            _ if node.inputs.iter().any(|id| self.is_precise(*id)) => self.law_bits(),
            Op::Binary(BinaryFn::Mul) => self.wanted_bits(self.current()),
            _ => self.bits.activation_bits,
        }
    }

    /// Commits operands of which the sum of so many products would have more bits than are safe.
    pub fn narrow(
        &mut self,
        a: &mut Value,
        b: &mut Value,
        products: usize,
    ) -> Result<(), Diagnostic> {
        loop {
            let width = self.product_width(a, b, products);
            if width <= MOST_WIDTH {
                return Ok(());
            }
            let wider = match self.width(a) >= self.width(b) {
                true => &mut *a,
                false => &mut *b,
            };
            let before = self.width(wider);
            if !wider.is_closed() {
                return Ok(());
            }
            let room = (before + MOST_WIDTH).saturating_sub(width) as u8;
            *wider = self.small(wider, room.clamp(self.bits.activation_bits, WIDE_BITS))?;
            if self.width(wider) >= before {
                return Ok(());
            }
        }
    }

    /// Bits of the greatest sum of so many products of two values.
    fn product_width(&self, a: &Value, b: &Value, products: usize) -> u32 {
        let width = self.width(a) + self.width(b) + bits_of(products);
        // Constants become one.
        let merged = |constant: &Value, other: &Value| match constant.is_constant() {
            true => self.width(constant).min(self.weight_width(other)),
            false => 0,
        };
        width - merged(a, b).max(merged(b, a))
    }

    /// Bits of a term's constants.
    fn weight_bits(&self, term: &Term) -> u32 {
        let len = term.weight.as_ref().map(|weight| weight.data.len());
        len.map_or(0, |len| most_weight_bits(len, self.bits.weight_bits).into())
    }

    /// Least bits of the constants of a term in which a column occurs.
    fn weight_width(&self, value: &Value) -> u32 {
        let varying = value.terms.iter().filter(|term| !term.is_constant());
        varying
            .map(|term| self.weight_bits(term))
            .min()
            .unwrap_or(0)
    }

    /// Bits of the greatest sum of products, as far as the columns' bounds tell.
    pub fn width(&self, value: &Value) -> u32 {
        let term = |term: &Term| {
            let (low, high) = product_bounds(&term.factors, &self.columns);
            let most = low.unsigned_abs().max(high.unsigned_abs());
            128 - most.leading_zeros() + self.weight_bits(term) + bits_of(volume(&term.summed))
        };
        let varying = value.terms.iter().filter(|term| !term.is_constant());
        // In the unit that terms of different ones have in common.
        let plain = varying
            .clone()
            .filter(|term| term.weight.is_none() && term.scalar != 0.0);
        let least = plain.fold(f64::INFINITY, |least, term| least.min(term.scalar.abs()));
        let coefficient = |term: &Term| {
            let ratio = term.scalar.abs() / least;
            match term.weight.is_none() && ratio > 1.0 {
                true if near_integer(ratio) => ceil_log2(ratio) as u32,
                true => ceil_log2(ratio) as u32 + COEFFICIENT_BITS as u32,
                false => 0,
            }
        };
        varying
            .map(|line| term(line) + coefficient(line))
            .max()
            .unwrap_or(match value.terms.is_empty() {
                true => 0,
                false => self.bits.weight_bits.into(),
            })
    }

    /// The value as a simple expression: its one column term committed exactly without its weights if it is a small sum, else the
    /// whole value.
    pub fn compact(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        let at = value.terms.iter().position(|term| !term.is_constant());
        if let (1, Some(at), false) = (value.column_terms(), at, value.is_simple()) {
            let mut bare = Value {
                terms: vec![value.terms[at].clone()],
                proven: None,
                ..value.clone()
            };
            let weight = bare.terms[0].weight.take();
            let outside = weight.iter().all(|weight| {
                bare.terms[0]
                    .summed
                    .iter()
                    .all(|axis| !weight.mentions(axis.id))
            });
            if outside && let Some(mut exact) = self.exact(&bare, bits + EXACT_EXTRA_BITS)? {
                exact.terms[0].weight = weight;
                exact.terms.extend(
                    value
                        .terms
                        .iter()
                        .filter(|term| term.is_constant())
                        .cloned(),
                );
                return Ok(Value {
                    proven: value.proven,
                    ..exact
                });
            }
        }
        self.small(value, bits)
    }

    /// Elementwise product over the same axes; where one value has no axis in a dimension, it is repeated.
    pub fn multiply(&mut self, a: Value, b: Value) -> Result<Value, Diagnostic> {
        let dims = a
            .dims
            .iter()
            .zip(&b.dims)
            .map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() })
            .collect();
        self.contract(a, b, &[], dims)
    }

    /// `sum over summed of value^2`, with dimensions `dims`; never negative.
    pub fn sum_of_squares(
        &mut self,
        value: &Value,
        summed: &[Axis],
        dims: Vec<Vec<Axis>>,
    ) -> Result<Value, Diagnostic> {
        let squares = self.contract(value.clone(), value.clone(), summed, dims)?;
        Ok(Value {
            proven: Some((0.0, f64::INFINITY)),
            ..squares
        })
    }

    /// The value as a sum of few plain columns ([`Value::is_short_sum`]), of `bits` bits if it has to be committed.
    pub fn short_sum(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        let value = self.hoist_sums(value, bits)?;
        if value.is_short_sum() {
            Ok(value)
        } else {
            self.small(&value, bits)
        }
    }

    /// Commits every sum of the value on its own, so that products of it stay cheap: a mean is one column entry a row.
    fn hoist_sums(&mut self, value: &Value, bits: u8) -> Result<Value, Diagnostic> {
        let plain =
            |term: &&Term| !term.is_constant() && term.summed.is_empty() && term.weight.is_none();
        let step = value
            .terms
            .iter()
            .filter(plain)
            .fold(f64::INFINITY, |step, term| step.min(term.scalar.abs()));
        let mut hoisted = Value {
            terms: vec![],
            ..value.clone()
        };
        for term in &value.terms {
            let sign = term.scalar.signum();
            let alone = Value {
                terms: vec![term.clone()],
                proven: None,
                name: format!("{}/sum", value.name).into(),
                ..value.clone()
            }
            .scaled(sign);
            let is_sum =
                !term.summed.is_empty() && alone.mentioned().len() < value.mentioned().len();
            hoisted.terms.extend(if is_sum {
                self.commit_sum(&alone, step, bits)?.scaled(sign).terms
            } else {
                vec![term.clone()]
            });
        }
        Ok(hoisted.normalize())
    }

    /// Commits a sum that is to be added to multiples of `step`: in such multiples, if it is certain to be small.
    fn commit_sum(&mut self, sum: &Value, step: f64, bits: u8) -> Result<Value, Diagnostic> {
        if sum.integer {
            return self.small(sum, bits);
        }
        let (lo, hi) = self.certain_range(sum)?;
        let keys = KeyRange::covering((lo / step).floor() as i128, (hi / step).ceil() as i128);
        // Few steps are none that a mean of flags is a multiple of.
        let bits = bits.max(keys.bits.min(MOST_SUM_BITS));
        if step.is_finite() && (COARSE_BITS..=bits).contains(&keys.bits) {
            return self.in_steps(sum, step, KeyRange { bits, signed: true });
        }
        match self.exact(sum, 30)? {
            Some(exact) => Ok(exact),
            None => self.small(sum, bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::builder::Builder;
    use crate::lower::lowering::Lowering;
    use crate::lower::value::weight::Weight;
    use crate::lower::value::{Term, Value, View};
    use crate::options::Options;

    /// What is read through a window has axes that are no dimension's: nothing can be committed of it, however wide the product is.
    #[test]
    fn windows_are_left_alone() {
        let (graph, options) = (Builder::new().graph, Options::default());
        let mut cx = Lowering::new(&graph, &options);
        let [column, out, tap] = [18, 16, 3].map(|len| cx.fresh.axis(len));
        let wide = cx.columns.witness("x", vec![18], (-(1 << 40), 1 << 40));
        let scales = Weight::new(vec![out], vec![0.5; 16]);
        let mut data = Value::new(
            vec![vec![column]],
            vec![Term::view(View::whole(wide, &[column]), 1.0)],
        );
        assert!(data.is_closed());
        data.substitute(column, 0, &[(out, 1), (tap, 1)]);
        data.terms[0].weight = Some(scales);
        data.dims = vec![vec![out]];
        assert!(!data.is_closed());
        let kernel = Weight::new(vec![tap], vec![0.1, 0.2, 0.3]);
        let kernel = Value::new(vec![vec![tap]], vec![Term::constant(kernel)]);
        assert!(cx.width(&data) + cx.width(&kernel) > super::MOST_WIDTH);
        let product = cx
            .contract(data, kernel, &[tap], vec![vec![out]])
            .expect("a product");
        assert!(product.is_closed());
    }
}
