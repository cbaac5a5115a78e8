//! Writing at indices.
//!
//! With constant indices, each element of the result is one of the updates or of the data. Otherwise one-hot rows say where each update
//! goes: the data is cleared there and the updates are added. Updates that combine with what was there do so one after the other.

use tract_onnx::tract_core::ops::array::{ScatterElements, ScatterNd, ScatterReduction};

use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Tensor};
use crate::onnx::translate::indices;
use crate::onnx::translate::indices::take;
use crate::onnx::translate::{Call, Importer, Translated, refuse};

/// Most updates of an element that combine with it one after the other.
const MOST_UPDATES: usize = 64;

/// `ScatterElements`.
pub fn elements(importer: &mut Importer, call: &Call, op: &ScatterElements) -> Translated {
    let (data, places, updates) = (call.inputs[0], call.inputs[1], call.inputs[2]);
    let shape = importer.build.shape(data);
    if op.axis >= shape.len() {
        return Err(refuse("its axis does not exist", "correct the model"));
    }
    if let (ScatterReduction::None, Some(places)) = (op.reduction, importer.build.tensor(places)) {
        let offsets = indices::of_elements(places, &shape, op.axis)?;
        return write(importer, call, &offsets);
    }
    let build = &mut importer.build;
    let hot = build.one_hot(places, shape[op.axis])?;
    let rank = shape.len() as u8;
    let own: Vec<u8> = (0..rank).collect();
    let mut output = own.clone();
    output[op.axis] = rank;
    let scattered = Scattered {
        masks: vec![hot],
        mask_labels: vec![(0..=rank).collect()],
        update_labels: own,
        covered: output.clone(),
        output,
        step: op.axis,
    };
    combine(build, data, updates, op.reduction, &scattered)
}

/// `ScatterND`.
pub fn tuples(importer: &mut Importer, call: &Call, op: &ScatterNd) -> Translated {
    let (data, places, updates) = (call.inputs[0], call.inputs[1], call.inputs[2]);
    let shape = importer.build.shape(data);
    if let (ScatterReduction::None, Some(places)) = (op.reduction, importer.build.tensor(places)) {
        let offsets = indices::of_tuples(places, &shape, 0)?;
        return write(importer, call, &offsets);
    }
    let build = &mut importer.build;
    let tuples = build.shape(places);
    let depth = tuples[tuples.len() - 1];
    let count: usize = tuples[..tuples.len() - 1].iter().product();
    let places = build.reshape(places, &[count, depth]);
    let rest = &shape[depth..];
    let updates = build.reshape(updates, &[&[count], rest].concat());
    // Labels: 0 for the update, then the data's axes.
    let axes: Vec<u8> = (1..=shape.len() as u8).collect();
    let mut masks = Vec::new();
    for (k, &length) in shape[..depth].iter().enumerate() {
        masks.push(indices::component(build, places, k, length)?);
    }
    let scattered = Scattered {
        masks,
        mask_labels: axes[..depth].iter().map(|axis| vec![0, *axis]).collect(),
        update_labels: [&[0], &axes[depth..]].concat(),
        covered: axes[..depth].to_vec(),
        output: axes,
        step: 0,
    };
    combine(build, data, updates, op.reduction, &scattered)
}

/// Where updates go: one-hot rows and the labels of their axes, as an einsum has them.
struct Scattered {
    masks: Vec<NodeId>,
    mask_labels: Vec<Vec<u8>>,
    update_labels: Vec<u8>,
    /// Axes of the result that the masks tell apart.
    covered: Vec<u8>,
    /// Axes of the result.
    output: Vec<u8>,
    /// Axis of masks and updates that counts updates of one place.
    step: usize,
}

fn combine(
    build: &mut Builder,
    data: NodeId,
    updates: NodeId,
    reduction: ScatterReduction,
    scattered: &Scattered,
) -> Translated {
    let function = match reduction {
        ScatterReduction::None => None,
        ScatterReduction::Add => {
            let added = sum(build, scattered, &scattered.masks, Some(updates), data);
            return Ok(vec![build.binary(BinaryFn::Add, data, added)]);
        }
        ScatterReduction::Mul => Some(BinaryFn::Mul),
        ScatterReduction::Max => Some(BinaryFn::Max),
        ScatterReduction::Min => Some(BinaryFn::Min),
    };
    let Some(function) = function else {
        let last = last_only(build, scattered);
        let scattered = last.as_ref().unwrap_or(scattered);
        let added = sum(build, scattered, &scattered.masks, Some(updates), data);
        let covered = sum(build, scattered, &scattered.masks, None, data);
        let cleared = build.binary(BinaryFn::Mul, covered, data);
        let kept = build.binary(BinaryFn::Sub, data, cleared);
        return Ok(vec![build.binary(BinaryFn::Add, kept, added)]);
    };
    let count = build.shape(updates)[scattered.step];
    if count > MOST_UPDATES {
        return Err(refuse(
            format!("it combines {count} updates with the data, one after the other"),
            "use `reduction = none` or `add`, or fewer updates",
        ));
    }
    let mut result = data;
    for step in 0..count {
        let at = |build: &mut Builder, x| build.slice(x, scattered.step, step, 1, 1);
        let masks: Vec<NodeId> = scattered
            .masks
            .iter()
            .map(|mask| at(build, *mask))
            .collect();
        let update = at(build, updates);
        let spread = sum(build, scattered, &masks, Some(update), data);
        let covered = sum(build, scattered, &masks, None, data);
        let combined = build.binary(function, result, spread);
        result = build.select(covered, combined, result);
    }
    Ok(vec![result])
}

/// The same without updates that a later one of the same place replaces; `None` where there is but one.
fn last_only(build: &mut Builder, scattered: &Scattered) -> Option<Scattered> {
    let count = build.shape(scattered.masks[0])[scattered.step];
    if count < 2 {
        return None;
    }
    let (mut labels, mut mask) = (scattered.mask_labels[0].clone(), scattered.masks[0]);
    for (other, own) in scattered.masks.iter().zip(&scattered.mask_labels).skip(1) {
        let added: Vec<u8> = own
            .iter()
            .copied()
            .filter(|l| !labels.contains(l))
            .collect();
        let shapes = [build.shape(mask), build.shape(*other)];
        let both: Vec<u8> = labels.iter().chain(&added).copied().collect();
        let length = |label: &u8| match labels.iter().position(|l| l == label) {
            Some(axis) => shapes[0][axis],
            None => own
                .iter()
                .position(|l| l == label)
                .map_or(1, |axis| shapes[1][axis]),
        };
        let shape = both.iter().map(length).collect();
        let op = Op::Einsum {
            inputs: vec![labels.clone(), own.clone()],
            output: both.clone(),
        };
        (mask, labels) = (build.push(op, vec![mask, *other], shape), both);
    }
    let later = (0..count * count).map(|i| f64::from(i % count > i / count));
    let later = Tensor::new(vec![count, count], later.collect());
    let replaced = build.apply_matrix(mask, scattered.step, later);
    let replaced = build.pointwise(Pointwise::step(Pointwise::Variable), replaced);
    let dropped = build.binary(BinaryFn::Mul, mask, replaced);
    Some(Scattered {
        masks: vec![build.binary(BinaryFn::Sub, mask, dropped)],
        mask_labels: vec![labels],
        update_labels: scattered.update_labels.clone(),
        covered: scattered.covered.clone(),
        output: scattered.output.clone(),
        step: scattered.step,
    })
}

/// Sum over updates of their masks, times their values if given, in the shape of `data`.
fn sum(
    build: &mut Builder,
    scattered: &Scattered,
    masks: &[NodeId],
    updates: Option<NodeId>,
    data: NodeId,
) -> NodeId {
    let mut inputs = scattered.mask_labels.clone();
    let mut operands = masks.to_vec();
    let output = match updates {
        Some(updates) => {
            inputs.push(scattered.update_labels.clone());
            operands.push(updates);
            scattered.output.clone()
        }
        None => scattered.covered.clone(),
    };
    let length = |label: &u8| {
        let mut found = inputs.iter().zip(&operands);
        found.find_map(|(labels, operand)| {
            let axis = labels.iter().position(|l| l == label)?;
            Some(build.shape(*operand)[axis])
        })
    };
    let shape: Vec<usize> = output
        .iter()
        .map(|label| length(label).unwrap_or(1))
        .collect();
    let op = Op::Einsum {
        inputs: inputs.clone(),
        output,
    };
    let made = build.push(op, operands, shape.clone());
    let to = build.shape(data);
    if shape.len() < to.len() {
        let ones = vec![1; to.len() - shape.len()];
        return build.reshape(made, &[shape, ones].concat());
    }
    // Updates may be of fewer places than the data has along other axes.
    if shape == to {
        return made;
    }
    let op = Op::Pad {
        before: vec![0; to.len()],
        value: 0.0,
    };
    build.push(op, vec![made], to)
}

/// Element `i` of the updates replaces the data's at `offsets[i]`; the last one stays.
fn write(importer: &mut Importer, call: &Call, offsets: &[usize]) -> Translated {
    let (data, updates) = (call.inputs[0], call.inputs[2]);
    let shape = importer.build.shape(data);
    let mut sources: Vec<Option<usize>> = vec![None; shape.iter().product()];
    offsets
        .iter()
        .enumerate()
        .for_each(|(i, offset)| sources[*offset] = Some(i));
    let mask = sources.iter().map(|s| s.is_some() as u8 as f64).collect();
    let mask = importer.build.constant(Tensor::new(shape.clone(), mask));
    let picks: Vec<usize> = sources.iter().map(|s| s.unwrap_or(0)).collect();
    let written = take(importer, updates, &picks);
    let written = importer.build.reshape(written, &shape);
    Ok(vec![importer.build.select(mask, written, data)])
}
