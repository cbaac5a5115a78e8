//! Binding an operand: a column of small integers becomes a short table over the axes that the sumcheck keeps.
//!
//! One column axis after another is contracted with the weights of its bound term axes; the first such step is
//! small-integer times field, and leaves little behind for the rest.

use ark_ff::{One, Zero};

use crate::argument::schedule::{Challenges, Contraction, Operand};
use crate::field::Fr;
use crate::field::{combine_rows_small, dot_small, from_i64};
use crate::statement::model::AxisMap;
use crate::witness::trace::Trace;

/// What happens along one column axis: row `k` of the sparse matrix makes kept index `k`.
struct AxisKernel {
    /// Kept term axes inside this column axis, in the order of its map: `(position in the operand's axes, true length)`.
    kept: Vec<(usize, usize)>,
    rows: Vec<Vec<(usize, Fr)>>,
    /// Every row reads one element with weight one.
    selects: bool,
}

enum Data {
    Small(Vec<i32>),
    Field(Vec<Fr>),
}

/// The operand's table over its kept axes, each padded to a power of two, most significant first.
pub(super) fn bind_operand(
    operand: &Operand,
    contraction: &Contraction,
    trace: &Trace,
    challenges: &Challenges,
) -> Vec<Fr> {
    let shape = trace.shape(operand.view.column);
    let kernels: Vec<AxisKernel> = operand
        .view
        .index
        .iter()
        .zip(shape)
        .map(|(map, &len)| kernel(map, len, operand, contraction, challenges))
        .collect();
    let mut dims = trace.kept_lens(operand.view.column).to_vec();
    let mut data: Option<Data> = None;
    // Strongest reduction first; of equal ones, selections, which move integers and not field elements.
    let mut order: Vec<usize> = (0..kernels.len()).collect();
    order.sort_by_key(|&axis| {
        (
            (kernels[axis].rows.len() << 16) / dims[axis].max(1),
            !kernels[axis].selects,
        )
    });
    for axis in order {
        let kernel = &kernels[axis];
        let inner: usize = dims[axis + 1..].iter().product();
        let identity = kernel.selects
            && kernel.rows.len() == dims[axis]
            && kernel.rows.iter().enumerate().all(|(i, row)| row[0].0 == i);
        if !identity {
            data = Some(match &data {
                None => apply_small(kernel, trace.column(operand.view.column), dims[axis], inner),
                Some(Data::Small(values)) => apply_small(kernel, values, dims[axis], inner),
                Some(Data::Field(values)) => {
                    Data::Field(apply_field(kernel, values, dims[axis], inner))
                }
            });
        }
        dims[axis] = kernel.rows.len();
    }
    let values = match data {
        None => to_field(trace.column(operand.view.column)),
        Some(Data::Small(values)) => to_field(&values),
        Some(Data::Field(values)) => values,
    };
    arrange(&values, &kernels, operand.axes.len())
}

fn to_field(values: &[i32]) -> Vec<Fr> {
    values
        .iter()
        .map(|&value| from_i64(i64::from(value)))
        .collect()
}

fn kernel(
    map: &AxisMap,
    len: u32,
    operand: &Operand,
    contraction: &Contraction,
    challenges: &Challenges,
) -> AxisKernel {
    // Sparse rows: start from the offset, then every term axis either multiplies the rows (kept) or the entries of each row (bound).
    let mut kept = Vec::new();
    let mut rows: Vec<Vec<(i64, Fr)>> = vec![vec![(i64::from(map.offset), Fr::one())]];
    let mut selects = true;
    for &(axis, stride) in map.strides.iter() {
        let axis = usize::from(axis);
        let axis_len = contraction.lens[axis];
        let shifts = (0..i64::from(axis_len)).map(|index| index * i64::from(stride));
        match &operand.bound[axis] {
            None => {
                let place = |&position: &usize| contraction.kept[position].axis == axis;
                let position = operand
                    .axes
                    .iter()
                    .position(place)
                    .expect("a kept axis has a place");
                kept.push((position, axis_len as usize));
                let moved = |row: &Vec<(i64, Fr)>, shift: i64| {
                    row.iter().map(|&(at, w)| (at + shift, w)).collect()
                };
                rows = rows
                    .iter()
                    .flat_map(|row| shifts.clone().map(move |shift| moved(row, shift)))
                    .collect();
            }
            Some(weights) => {
                selects = false;
                let weights = weights
                    .vector(axis_len, challenges)
                    .expect("schedule and challenges agree");
                let spread = |row: &Vec<(i64, Fr)>| {
                    let each = |&(at, w): &(i64, Fr)| {
                        shifts
                            .clone()
                            .zip(&weights)
                            .map(move |(shift, weight)| (at + shift, w * weight))
                    };
                    row.iter().flat_map(each).collect()
                };
                rows = rows.iter().map(spread).collect();
            }
        }
    }
    let inside = |row: &Vec<(i64, Fr)>| -> Vec<(usize, Fr)> {
        row.iter()
            .filter(|&&(at, _)| (0..i64::from(len)).contains(&at))
            .map(|&(at, w)| (at as usize, w))
            .collect()
    };
    let rows: Vec<_> = rows.iter().map(inside).collect();
    let selects = selects && rows.iter().all(|row| row.len() == 1);
    AxisKernel {
        kept,
        rows,
        selects,
    }
}

fn apply_small(kernel: &AxisKernel, values: &[i32], dim: usize, inner: usize) -> Data {
    let blocks = values.chunks_exact(dim * inner);
    if kernel.selects {
        let mut out = Vec::with_capacity(values.len() / dim * kernel.rows.len());
        for block in blocks {
            for row in &kernel.rows {
                out.extend_from_slice(&block[row[0].0 * inner..][..inner]);
            }
        }
        return Data::Small(out);
    }
    let dense: Vec<Vec<Fr>> = kernel.rows.iter().map(|row| densify(row, dim)).collect();
    let mut out = Vec::with_capacity(values.len() / dim * kernel.rows.len());
    for block in blocks {
        for weights in &dense {
            if inner == 1 {
                out.push(dot_small(block, weights));
            } else {
                out.extend(combine_rows_small(block, inner, weights));
            }
        }
    }
    Data::Field(out)
}

fn densify(row: &[(usize, Fr)], dim: usize) -> Vec<Fr> {
    let mut weights = vec![Fr::zero(); dim];
    for &(at, weight) in row {
        weights[at] += weight;
    }
    weights
}

fn apply_field(kernel: &AxisKernel, values: &[Fr], dim: usize, inner: usize) -> Vec<Fr> {
    let mut out = vec![Fr::zero(); values.len() / dim * kernel.rows.len()];
    let outs = out.chunks_exact_mut(inner).enumerate();
    for (number, slot) in outs {
        let (block, row) = (number / kernel.rows.len(), number % kernel.rows.len());
        for &(at, weight) in &kernel.rows[row] {
            let from = &values[(block * dim + at) * inner..][..inner];
            slot.iter_mut()
                .zip(from)
                .for_each(|(slot, value)| *slot += weight * value);
        }
    }
    out
}

/// From the order of the column's axes, true lengths, to the order of the operand's kept axes, padded.
fn arrange(values: &[Fr], kernels: &[AxisKernel], axes: usize) -> Vec<Fr> {
    let source: Vec<(usize, usize)> = kernels
        .iter()
        .flat_map(|kernel| kernel.kept.iter().copied())
        .collect();
    let mut lens = vec![1usize; axes];
    for &(position, len) in &source {
        lens[position] = len.next_power_of_two();
    }
    let stride_of = |position: usize| lens[position + 1..].iter().product::<usize>();
    let mut out = vec![Fr::zero(); lens.iter().product()];
    for (number, value) in values.iter().enumerate() {
        let mut rest = number;
        let mut to = 0;
        for &(position, len) in source.iter().rev() {
            to += rest % len * stride_of(position);
            rest /= len;
        }
        out[to] = *value;
    }
    out
}
