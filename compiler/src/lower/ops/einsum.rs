//! Sums of products over labelled axes: matrix products, dot products, transposes, diagonals, outer products.

use crate::diagnostic::Diagnostic;
use crate::graph::Node;
use crate::lower::lowering::Lowering;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Axis, Term, Value};

/// A value whose dimensions have labels.
struct Labelled {
    value: Value,
    labels: Vec<u8>,
}

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    inputs: &[Vec<u8>],
    output: &[u8],
) -> Result<Value, Diagnostic> {
    let mut product: Option<Labelled> = None;
    for (index, labels) in inputs.iter().enumerate() {
        let operand = Labelled {
            value: cx.read(node, index)?,
            labels: labels.clone(),
        };
        let next = diagonal(cx, operand)?;
        let wanted = |label: &u8| {
            output.contains(label)
                || inputs[index + 1..]
                    .iter()
                    .any(|later| later.contains(label))
        };
        product = Some(match product {
            None => sum_unwanted(next, wanted),
            Some(product) => contract(cx, product, next, wanted)?,
        });
    }
    let Some(Labelled { value, labels }) = product else {
        return Ok(Value::new(vec![], vec![]));
    };
    let place = |label: &u8| {
        labels
            .iter()
            .position(|l| l == label)
            .map_or(vec![], |at| value.dims[at].clone())
    };
    Ok(Value {
        dims: output.iter().map(place).collect(),
        ..value
    })
}

/// Drops dimensions whose label nothing wants any more, by summing over them.
fn sum_unwanted(mut product: Labelled, wanted: impl Fn(&u8) -> bool) -> Labelled {
    let summed: Vec<Axis> = product
        .labels
        .iter()
        .zip(&product.value.dims)
        .filter(|(label, _)| !wanted(label))
        .flat_map(|(_, dim)| dim.clone())
        .collect();
    if summed.is_empty() && product.labels.iter().all(&wanted) {
        return product;
    }
    product.value = product.value.sum_over(&summed);
    let mut keep = product.labels.iter().map(&wanted);
    product.value.dims.retain(|_| keep.next().unwrap_or(true));
    product.labels.retain(|label| wanted(label));
    product
}

fn contract(
    cx: &mut Lowering,
    mut a: Labelled,
    mut b: Labelled,
    wanted: impl Fn(&u8) -> bool,
) -> Result<Labelled, Diagnostic> {
    for (da, label) in a.labels.iter().enumerate() {
        if let Some(db) = b.labels.iter().position(|l| l == label) {
            cx.unify(&mut a.value, da, &mut b.value, db)?;
        }
    }
    let only_b = b
        .labels
        .iter()
        .zip(&b.value.dims)
        .filter(|(label, _)| !a.labels.contains(label));
    let all: Vec<(u8, Vec<Axis>)> = a
        .labels
        .iter()
        .zip(&a.value.dims)
        .chain(only_b)
        .map(|(&label, dim)| (label, dim.clone()))
        .collect();
    let (kept, gone): (Vec<_>, Vec<_>) = all.into_iter().partition(|(label, _)| wanted(label));
    let summed: Vec<Axis> = gone.into_iter().flat_map(|(_, dim)| dim).collect();
    let (labels, dims) = kept.into_iter().unzip();
    Ok(Labelled {
        value: cx.contract(a.value, b.value, &summed, dims)?,
        labels,
    })
}

/// Makes the labels of one operand distinct: `x_ii` is `sum_j x_ij [i = j]`.
fn diagonal(cx: &mut Lowering, mut operand: Labelled) -> Result<Labelled, Diagnostic> {
    while let Some((first, second)) = repeated(&operand.labels) {
        let value = cx.single_axis(operand.value, first)?;
        let mut value = cx.single_axis(value, second)?;
        if let (&[kept], &[gone]) = (value.dims[first].as_slice(), value.dims[second].as_slice()) {
            let data = (0..kept.len * gone.len)
                .map(|i| f64::from(i / gone.len == i % gone.len))
                .collect();
            let same = Value::new(
                value.dims.clone(),
                vec![Term::constant(Weight::new(vec![kept, gone], data))],
            );
            let dims = value.dims.clone();
            value = cx.contract(value, same, &[gone], dims)?;
        }
        value.dims.remove(second);
        operand.labels.remove(second);
        operand.value = value;
    }
    Ok(operand)
}

fn repeated(labels: &[u8]) -> Option<(usize, usize)> {
    let second = (0..labels.len()).find(|&i| labels[..i].contains(&labels[i]))?;
    Some((
        labels.iter().position(|label| *label == labels[second])?,
        second,
    ))
}
