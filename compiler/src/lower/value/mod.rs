//! Symbolic values: real multilinear polynomials in committed columns.
//!
//! A [`Value`] says what a float tensor of the graph *will be* once its columns are filled:
//!
//! ```text
//! value[o] = sum_terms scalar * sum_{summed} weight[o, summed] * prod_views column[index(o, summed)]
//! ```
//!
//! Columns hold integers; the real value of one unit is part of the scalar. Linear operators, constant factors and
//! data movement only rewrite this expression; nothing is quantized before a boundary ([`super::boundary`]).

mod axis;
mod channels;
mod term;
mod typed;
pub mod weight;

use std::rc::Rc;

use zkiln_runtime::model::ColumnId;

use crate::graph::{Tensor, is_whole};
pub use crate::lower::value::axis::{Axis, Fresh};
pub use crate::lower::value::channels::Channels;
use crate::lower::value::weight::{Derivation, Weight};

/// Names of summed axes in normal form start here, those of output axes below.
const SUMMED: u32 = 1 << 31;

/// Where along one column axis of length `len` a view reads: `offset + sum stride * axis`, zero outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index {
    /// Length of the column's axis.
    pub len: usize,
    /// Index at the origin.
    pub offset: i64,
    /// Axes and their strides, by axis.
    pub parts: Vec<(Axis, i64)>,
}

/// A column read through one affine map an axis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// What is read.
    pub column: ColumnId,
    /// One map for each axis of the column.
    pub index: Vec<Index>,
}

/// One product of a [`Value`].
#[derive(Clone, Debug)]
pub struct Term {
    /// Columns; none for a constant.
    pub factors: Vec<View>,
    /// Constant factor that varies.
    pub weight: Option<Weight>,
    /// Constant factor that does not.
    pub scalar: f64,
    /// Axes that are summed away.
    pub summed: Vec<Axis>,
}

/// A tensor of the graph as an expression in columns.
#[derive(Clone, Debug)]
pub struct Value {
    /// Each dimension is a product of axes, most significant first; none for length 1.
    pub dims: Vec<Vec<Axis>>,
    /// Summands.
    pub terms: Vec<Term>,
    /// Calibrated range.
    pub range: (f64, f64),
    /// Range known for certain, where it is narrower than what the terms alone tell.
    pub proven: Option<(f64, f64)>,
    /// Whether some elements are masked: far below all others, and outside the calibrated range.
    pub masked: bool,
    /// Whether the elements are integers by their type: they are never rounded.
    pub integer: bool,
    /// ONNX name: what columns that hold it are named after.
    pub name: Rc<str>,
    /// What differs from channel to channel, if that matters.
    pub channels: Option<Channels>,
}

impl Index {
    /// Least and greatest index over all axes but `except`.
    fn span(&self, except: u32) -> (i64, i64) {
        self.parts
            .iter()
            .filter(|(axis, _)| axis.id != except)
            .fold((self.offset, self.offset), |(lo, hi), &(axis, stride)| {
                let reach = stride * (axis.len as i64 - 1);
                (lo + reach.min(0), hi + reach.max(0))
            })
    }

    /// Whether the map leaves the column whenever `axis` is outside its length.
    fn leaves_with(&self, axis: Axis) -> bool {
        let Some(&(_, stride)) = self.parts.iter().find(|(part, _)| part.id == axis.id) else {
            return false;
        };
        let ((lo, hi), len, shape) = (self.span(axis.id), axis.len as i64, self.len as i64);
        if stride > 0 {
            lo + stride * len >= shape && hi - stride < 0
        } else {
            hi + stride * len < 0 && lo - stride >= shape
        }
    }

    fn substitute(&mut self, id: u32, offset: i64, parts: &[(Axis, i64)]) {
        let Some(at) = self.parts.iter().position(|(axis, _)| axis.id == id) else {
            return;
        };
        let (_, stride) = self.parts.remove(at);
        self.offset += stride * offset;
        for &(axis, step) in parts.iter().filter(|(axis, _)| axis.len != 1) {
            match self.parts.iter_mut().find(|(part, _)| part.id == axis.id) {
                Some((_, sum)) => *sum += stride * step,
                None => self.parts.push((axis, stride * step)),
            }
        }
        self.parts.retain(|&(_, stride)| stride != 0);
        self.parts.sort();
    }
}

impl View {
    /// A whole column, one axis for each of its axes.
    pub fn whole(column: ColumnId, axes: &[Axis]) -> Self {
        let index = axes
            .iter()
            .map(|&axis| Index {
                len: axis.len,
                offset: 0,
                parts: vec![(axis, 1)],
            })
            .collect();
        Self { column, index }
    }

    /// Whether the view reads along the axis `id`.
    pub fn mentions(&self, id: u32) -> bool {
        self.axes().any(|axis| axis.id == id)
    }

    /// Axes that the view reads along.
    pub fn axes(&self) -> impl Iterator<Item = Axis> {
        self.index
            .iter()
            .flat_map(|index| index.parts.iter().map(|&(axis, _)| axis))
    }

    fn rename(&mut self, name: &impl Fn(Axis) -> Axis) {
        for index in &mut self.index {
            for (axis, _) in &mut index.parts {
                *axis = name(*axis);
            }
            index.parts.sort();
        }
    }

    /// The column axis at which the adjacent `factors` are one axis in disguise, with that axis's stride.
    fn mergeable(&self, factors: &[Axis]) -> Option<Option<(usize, i64)>> {
        let used: Vec<usize> = (0..self.index.len())
            .filter(|&i| {
                self.index[i]
                    .parts
                    .iter()
                    .any(|(axis, _)| factors.contains(axis))
            })
            .collect();
        let &[at] = used.as_slice() else {
            return used.is_empty().then_some(None);
        };
        let stride_of = |axis: &Axis| {
            self.index[at]
                .parts
                .iter()
                .find(|(part, _)| part == axis)
                .map(|&(_, stride)| stride)
        };
        let last = stride_of(factors.last()?)?;
        let mut expected = last;
        for factor in factors.iter().rev() {
            if stride_of(factor)? != expected {
                return None;
            }
            expected *= factor.len as i64;
        }
        Some(Some((at, last)))
    }
}

impl Value {
    /// A model constant.
    pub fn constant(tensor: &Tensor, fresh: &Fresh) -> Self {
        let dims = fresh.dims(&tensor.shape);
        let derivation = Derivation::of_constant(fresh.number());
        let weight = Weight::derived(dims.concat(), tensor.data.clone(), derivation);
        let range = tensor
            .data
            .iter()
            .fold((0.0f64, 0.0f64), |(lo, hi), &x| (lo.min(x), hi.max(x)));
        Self {
            range,
            proven: Some(range),
            integer: tensor.is_whole(),
            ..Self::new(dims, vec![Term::constant(weight)])
        }
    }

    /// Without range or name yet.
    pub fn new(dims: Vec<Vec<Axis>>, terms: Vec<Term>) -> Self {
        Self {
            dims,
            terms,
            range: (0.0, 0.0),
            proven: None,
            masked: false,
            integer: false,
            name: "".into(),
            channels: None,
        }
    }

    /// The axes that terms vary along, in order: what a column of the value has.
    pub fn mentioned(&self) -> Vec<Axis> {
        self.axes()
            .into_iter()
            .filter(|axis| self.terms.iter().any(|term| term.mentions(axis.id)))
            .collect()
    }

    /// Whether terms vary along no axes but those of the dimensions, so that it can be committed.
    pub fn is_closed(&self) -> bool {
        let axes = self.axes();
        self.terms.iter().all(|term| {
            let read = term.factors.iter().flat_map(View::axes);
            let weighed = term.weight.iter().flat_map(|weight| weight.axes.clone());
            read.chain(weighed)
                .all(|axis| axes.contains(&axis) || term.summed.contains(&axis))
        })
    }

    /// Length of dimension `dim`.
    pub fn len(&self, dim: usize) -> usize {
        self.dims[dim].iter().map(|axis| axis.len).product()
    }

    /// Lengths of the dimensions.
    pub fn shape(&self) -> Vec<usize> {
        (0..self.dims.len()).map(|dim| self.len(dim)).collect()
    }

    /// All output axes, most significant first.
    pub fn axes(&self) -> Vec<Axis> {
        self.dims.concat()
    }

    /// Whether no column occurs in it.
    pub fn is_constant(&self) -> bool {
        self.terms.iter().all(Term::is_constant)
    }

    /// The constant terms as one weight over all axes.
    pub fn constant_part(&self) -> Weight {
        let zero = Weight::new(vec![], vec![0.0]);
        let sum = self
            .terms
            .iter()
            .filter(|term| term.is_constant())
            .fold(zero, |sum, term| match &term.weight {
                Some(weight) => sum.sum(1.0, weight, term.scalar),
                None => sum.map(|x| x + term.scalar),
            });
        sum.over(&self.axes())
    }

    /// Replaces an axis by another of the same length.
    pub fn rename(&mut self, from: Axis, to: Axis) {
        let name = |axis: Axis| if axis == from { to } else { axis };
        self.terms.iter_mut().for_each(|term| term.rename(&name));
        if let Some(channels) = &mut self.channels {
            channels.map(|weight| weight.rename(name));
        }
        self.dims
            .iter_mut()
            .flatten()
            .for_each(|axis| *axis = name(*axis));
    }

    /// Gives all output axes new names: for a second use of the value in one operator.
    pub fn freshen(&mut self, fresh: &Fresh) {
        for axis in self.axes() {
            self.rename(axis, fresh.axis(axis.len));
        }
    }

    /// Reads `axis` at `offset + sum stride * part`, zero outside its length. Dimensions are the caller's affair.
    pub fn substitute(&mut self, axis: Axis, offset: i64, parts: &[(Axis, i64)]) {
        self.terms
            .iter_mut()
            .for_each(|term| term.substitute(axis, offset, parts));
        if let Some(channels) = &mut self.channels {
            channels.map(|weight| weight.substitute(axis.id, offset, parts));
        }
    }

    /// Keeps the value only where the map `offset + sum stride * part` is within `len`.
    pub fn mask(&mut self, len: usize, offset: i64, parts: &[(Axis, i64)]) {
        let inside = Weight::inside(len, offset, parts);
        self.terms
            .iter_mut()
            .for_each(|term| term.multiply_weight(&inside));
    }

    /// Sums every term over `summed`. Dimensions are the caller's affair.
    pub fn sum_over(mut self, summed: &[Axis]) -> Self {
        self.terms
            .iter_mut()
            .for_each(|term| term.summed.extend(summed));
        self.proven = None;
        self.channels = None;
        self.normalize()
    }

    /// Splits `axis` into axes of lengths `lens`, most significant first.
    pub fn split(&mut self, axis: Axis, lens: &[usize], fresh: &Fresh) {
        let factors: Vec<Axis> = lens
            .iter()
            .filter(|&&len| len != 1)
            .map(|&len| fresh.axis(len))
            .collect();
        if factors.len() < 2 {
            return;
        }
        let stride = |i: usize| {
            factors[i + 1..]
                .iter()
                .map(|axis| axis.len as i64)
                .product()
        };
        let parts: Vec<(Axis, i64)> = factors
            .iter()
            .enumerate()
            .map(|(i, &axis)| (axis, stride(i)))
            .collect();
        self.substitute(axis, 0, &parts);
        for dim in &mut self.dims {
            if let Some(at) = dim.iter().position(|&a| a == axis) {
                dim.splice(at..=at, factors.iter().copied());
            }
        }
    }

    /// Splits the axes of dimension `dim` into lengths `lens`, of which its present lengths are products.
    pub fn refine(&mut self, dim: usize, lens: &[usize], fresh: &Fresh) {
        let mut rest = lens;
        for axis in self.dims[dim].clone() {
            let mut taken = 0;
            let mut product = 1;
            while product < axis.len && taken < rest.len() {
                product *= rest[taken];
                taken += 1;
            }
            self.split(axis, &rest[..taken], fresh);
            rest = &rest[taken..];
        }
    }

    /// Makes the axes of dimension `dim` one, if every term allows it.
    pub fn merge(&mut self, dim: usize, fresh: &Fresh) -> bool {
        let factors = self.dims[dim].clone();
        if factors.len() < 2 {
            return true;
        }
        if !self
            .terms
            .iter()
            .flat_map(|term| &term.factors)
            .all(|view| view.mergeable(&factors).is_some())
        {
            return false;
        }
        let merged = fresh.axis(self.len(dim));
        for term in &mut self.terms {
            for view in &mut term.factors {
                if let Some(Some((at, stride))) = view.mergeable(&factors) {
                    view.index[at]
                        .parts
                        .retain(|(axis, _)| !factors.contains(axis));
                    view.index[at].parts.push((merged, stride));
                }
            }
            term.weight = term
                .weight
                .take()
                .map(|weight| weight.merge(&factors, merged));
        }
        if let Some(channels) = &mut self.channels {
            channels.map(|weight| weight.merge(&factors, merged));
        }
        self.dims[dim] = vec![merged];
        true
    }

    /// Normal form: constants are summed, equal products merged, zeros dropped.
    pub fn normalize(mut self) -> Self {
        let mut terms: Vec<Term> = vec![];
        for term in std::mem::take(&mut self.terms)
            .into_iter()
            .filter_map(Term::normalize)
        {
            if !terms.iter_mut().any(|known| known.absorb(&term)) {
                terms.push(term);
            }
        }
        terms.retain(|term| {
            term.scalar != 0.0
                && term
                    .weight
                    .as_ref()
                    .is_none_or(|weight| weight.data.iter().any(|&x| x != 0.0))
        });
        self.terms = terms;
        self
    }

    /// Multiplied by a number.
    pub fn scaled(mut self, factor: f64) -> Self {
        let turn = |(lo, hi): (f64, f64)| {
            if factor < 0.0 {
                (hi * factor, lo * factor)
            } else {
                (lo * factor, hi * factor)
            }
        };
        self.terms.iter_mut().for_each(|term| term.scalar *= factor);
        self.integer &= is_whole(factor);
        if let Some(channels) = &mut self.channels {
            channels.map(|weight| weight.map(|x| x * factor.abs()));
        }
        self.range = turn(self.range);
        self.proven = self.proven.map(turn);
        self
    }

    /// Sum of values over the same axes. Ranges add.
    pub fn plus(mut self, other: Self) -> Self {
        self.integer = self.is_integer() && other.is_integer();
        self.terms.extend(other.terms);
        self.channels = None;
        for (dim, theirs) in self.dims.iter_mut().zip(other.dims) {
            if dim.is_empty() {
                *dim = theirs;
            }
        }
        self.range = (self.range.0 + other.range.0, self.range.1 + other.range.1);
        self.masked |= other.masked;
        self.proven = self
            .proven
            .zip(other.proven)
            .map(|(a, b)| (a.0 + b.0, a.1 + b.1));
        self.normalize()
    }
}

/// The common refinement of two factorisations of one length, most significant first.
pub fn common_refinement(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let (mut left, mut right) = (left.iter().copied(), right.iter().copied());
    let mut common = vec![];
    let (mut a, mut b) = (1, 1);
    loop {
        if a == 1 {
            a = left.find(|&len| len != 1).unwrap_or(1);
        }
        if b == 1 {
            b = right.find(|&len| len != 1).unwrap_or(1);
        }
        if a == 1 && b == 1 {
            return Some(common);
        }
        let step = a.min(b);
        if step == 1 || !a.is_multiple_of(step) || !b.is_multiple_of(step) {
            return None;
        }
        common.push(step);
        (a, b) = (a / step, b / step);
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::value::*;

    fn column(id: u32, axes: &[Axis]) -> Value {
        Value::new(
            axes.iter().map(|&axis| vec![axis]).collect(),
            vec![Term::view(View::whole(ColumnId(id), axes), 1.0)],
        )
    }

    #[test]
    fn equal_products_merge_whatever_their_summed_axes_are_called() {
        let fresh = Fresh::default();
        let (t, c, d) = (fresh.axis(4), fresh.axis(3), fresh.axis(3));
        let row = |axis: Axis| {
            Value {
                dims: vec![vec![t]],
                ..column(0, &[t, axis])
            }
            .sum_over(&[axis])
        };
        let sum = row(c).plus(row(d).scaled(2.0));
        assert_eq!(sum.terms.len(), 1);
        assert_eq!(sum.terms[0].scalar, 3.0);
        assert!(sum.plus(row(d).scaled(-3.0)).terms.is_empty());
    }

    #[test]
    fn padding_needs_no_mask_where_the_column_ends() {
        let fresh = Fresh::default();
        let (a, b, c) = (fresh.axis(4), fresh.axis(6), fresh.axis(8));
        let mut padded = column(0, &[a]);
        padded.substitute(a, -1, &[(b, 1)]);
        assert!(padded.terms[0].weight.is_none());
        assert_eq!(padded.terms[0].factors[0].index[0].offset, -1);
        // A slice does not end where its column does.
        let mut sliced = column(0, &[a]);
        let part = fresh.axis(2);
        sliced.substitute(a, 1, &[(part, 1)]);
        sliced.substitute(part, -3, &[(c, 1)]);
        let mask = sliced.terms[0].weight.as_ref().expect("a mask");
        assert_eq!(*mask.data, [0., 0., 0., 1., 1., 0., 0., 0.]);
    }

    #[test]
    fn split_and_merge_are_inverse() {
        let fresh = Fresh::default();
        let a = fresh.axis(12);
        let mut value = column(0, &[a]);
        value.split(a, &[2, 1, 6], &fresh);
        assert_eq!(
            value.dims[0]
                .iter()
                .map(|axis| axis.len)
                .collect::<Vec<_>>(),
            [2, 6]
        );
        assert!(value.merge(0, &fresh));
        assert_eq!(
            value.terms[0].factors[0].index[0].parts,
            [(value.dims[0][0], 1)]
        );
    }

    #[test]
    fn refinements() {
        assert_eq!(common_refinement(&[6, 4], &[3, 8]), Some(vec![3, 2, 4]));
        assert_eq!(common_refinement(&[12], &[2, 1, 6]), Some(vec![2, 6]));
        assert_eq!(common_refinement(&[6, 4], &[4, 6]), None);
        assert_eq!(common_refinement(&[], &[]), Some(vec![]));
    }
}
