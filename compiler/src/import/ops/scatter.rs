//! Writing at constant indices.

use tract_onnx::tract_core::ops::array::{ScatterElements, ScatterNd, ScatterReduction};

use super::indices::{self, constant, take};
use super::{Call, Importer, Translated, refusal};
use crate::graph::Tensor;

/// `ScatterElements` with constant indices.
pub fn elements(importer: &mut Importer, call: &Call, op: &ScatterElements) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    let offsets = indices::of_elements(constant(importer, call.inputs[1])?, &shape, op.axis)?;
    write(importer, call, op.reduction, &offsets)
}

/// `ScatterND` with constant indices.
pub fn tuples(importer: &mut Importer, call: &Call, op: &ScatterNd) -> Translated {
    let shape = importer.build.shape(call.inputs[0]);
    let offsets = indices::of_tuples(constant(importer, call.inputs[1])?, &shape, 0)?;
    write(importer, call, op.reduction, &offsets)
}

/// Element `i` of the updates replaces the data's at `offsets[i]`; the last one stays.
fn write(
    importer: &mut Importer,
    call: &Call,
    reduction: ScatterReduction,
    offsets: &[usize],
) -> Translated {
    if reduction != ScatterReduction::None {
        return Err(refusal(
            "it combines with what was there",
            "use `reduction = none`",
        ));
    }
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
