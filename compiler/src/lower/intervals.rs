//! Interval analysis: what an accumulator can be, for certain.

use crate::lower::columns::Columns;
use crate::lower::value::weight::{Weight, strides_along, walk};
use crate::lower::value::{Axis, Term, Value, View};

/// Accumulators stay below `2^ACCUMULATOR_BITS` in magnitude, partial sums included.
pub const ACCUMULATOR_BITS: u32 = 62;

/// Least and greatest integer.
pub type Bounds = (i128, i128);

/// Bounds of a product of column elements; zero is always among them, since views may read outside.
pub fn product_bounds(factors: &[View], columns: &Columns) -> Bounds {
    if let [a, b] = factors
        && a == b
    {
        let (lo, hi) = columns.get(a.column).bounds;
        let most = i128::from(lo.abs().max(hi.abs()));
        return (0, most.saturating_mul(most));
    }
    factors.iter().fold((1, 1), |(lo, hi), view| {
        let (a, b) = columns.get(view.column).bounds;
        let (a, b) = (i128::from(a.min(0)), i128::from(b.max(0)));
        let ends = [lo * a, lo * b, hi * a, hi * b];
        (
            ends.iter().copied().fold(0, i128::min),
            ends.iter().copied().fold(0, i128::max),
        )
    })
}

/// Bounds of a term's sum before its coefficient: `product` bounds one product of columns.
pub fn sum_bounds(product: Bounds, weight: Option<(&[Axis], &[i32])>, summed: &[Axis]) -> Bounds {
    let count =
        |axes: &mut dyn Iterator<Item = &Axis>| axes.map(|axis| axis.len as i128).product::<i128>();
    let Some((axes, data)) = weight else {
        let count = count(&mut summed.iter());
        return (product.0 * count, product.1 * count);
    };
    let (inside, outside): (Vec<Axis>, Vec<Axis>) =
        axes.iter().partition(|axis| summed.contains(axis));
    let lens: Vec<usize> = outside.iter().chain(&inside).map(|axis| axis.len).collect();
    let order: Vec<Axis> = outside.iter().chain(&inside).copied().collect();
    let mut sums = vec![(0i64, 0i64); outside.iter().map(|axis| axis.len).product()];
    walk(
        &lens,
        [
            &strides_along(axes, &order),
            &strides_along(&outside, &order),
        ],
        |[from, to]| {
            let (positive, negative) = &mut sums[to as usize];
            let x = i64::from(data[from as usize]);
            *positive += x.max(0);
            *negative += (-x).max(0);
        },
    );
    let row = |&(positive, negative): &(i64, i64)| {
        let (positive, negative) = (i128::from(positive), i128::from(negative));
        (
            positive * product.0 - negative * product.1,
            positive * product.1 - negative * product.0,
        )
    };
    let (lo, hi) = sums
        .iter()
        .map(row)
        .fold((0, 0), |(lo, hi): Bounds, (a, b)| (lo.min(a), hi.max(b)));
    let repeats = count(&mut summed.iter().filter(|axis| !axes.contains(axis)));
    (lo * repeats, hi * repeats)
}

/// Bounds times a coefficient.
pub fn scaled(bounds: Bounds, coefficient: i128) -> Bounds {
    let ends = (
        bounds.0.saturating_mul(coefficient),
        bounds.1.saturating_mul(coefficient),
    );
    (ends.0.min(ends.1), ends.0.max(ends.1))
}

/// Whether no summand can be negative.
pub fn nonnegative(value: &Value, columns: &Columns) -> bool {
    let term_is = |term: &Term| {
        let positive = term.scalar >= 0.0
            && term
                .weight
                .as_ref()
                .is_none_or(|weight| weight.data.iter().all(|&x| x >= 0.0));
        positive && product_bounds(&term.factors, columns).0 >= 0
    };
    value.proven.is_some_and(|(lo, _)| lo >= 0.0) || value.terms.iter().all(term_is)
}

/// Least and greatest real value of the columns' part at every position, if no term sums.
pub fn elementwise(value: &Value, columns: &Columns) -> Option<(Weight, Weight)> {
    let zero = || Weight::new(vec![], vec![0.0]);
    let mut ends = (zero(), zero());
    for term in value.terms.iter().filter(|term| !term.is_constant()) {
        if !term.summed.is_empty() {
            return None;
        }
        let (lo, hi) = product_bounds(&term.factors, columns);
        let weight = term
            .weight
            .clone()
            .unwrap_or_else(|| Weight::new(vec![], vec![1.0]))
            .map(|x| x * term.scalar);
        let end = |positive: f64, negative: f64| {
            weight.map(|x| if x >= 0.0 { x * positive } else { x * negative })
        };
        ends = (
            ends.0.sum(1.0, &end(lo as f64, hi as f64), 1.0),
            ends.1.sum(1.0, &end(hi as f64, lo as f64), 1.0),
        );
    }
    Some(ends)
}

/// Real range for certain, of a value without sums.
pub fn certain_range(value: &Value, columns: &Columns) -> Option<(f64, f64)> {
    let (lo, hi) = elementwise(value, columns)?;
    let constant = value.constant_part();
    let (lo, hi) = (lo.sum(1.0, &constant, 1.0), hi.sum(1.0, &constant, 1.0));
    let ends = (
        lo.data.iter().copied().fold(f64::INFINITY, f64::min),
        hi.data.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    let proven = value.proven.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    Some((ends.0.max(proven.0), ends.1.min(proven.1)))
}
