//! Loops over an axis (`LSTM`, `GRU`, `RNN`, `Scan`): unrolled.

use std::collections::HashMap;

use tract_onnx::tract_core::ops::scan::{InputMapping, Scan};

use super::{Call, Importer, Refusal, Translated, refusal};
use crate::graph::NodeId;
use crate::import::limits::{MOST_STEPS, too_many_steps};

/// The body once for each step, on slices of the scanned inputs and the states of the step before.
pub fn translate(importer: &mut Importer, call: &Call, op: &Scan) -> Translated {
    if op.skip != 0 {
        return Err(refusal(
            "it skips its first steps",
            "export the model without streaming",
        ));
    }
    let scanned = op
        .input_mapping
        .iter()
        .zip(&call.inputs)
        .find_map(|(m, x)| Some((m.as_scan()?, *x)));
    let Some((info, x)) = scanned else {
        return Err(refusal("it scans no input", "export the loop unrolled"));
    };
    let steps = importer.build.shape(x)[info.axis].div_ceil(info.chunk.unsigned_abs());
    if steps > MOST_STEPS {
        return Err(too_many_steps());
    }
    let name = importer.build.name.clone();
    let mut states: Vec<NodeId> = inputs_of(op, call, |m| m.is_state());
    let mut collected: Vec<Vec<NodeId>> = vec![Vec::new(); op.output_mapping.len()];
    for step in 0..steps {
        importer.build.name = format!("{name}/{step}");
        let mut values = HashMap::new();
        let mut state = states.iter();
        for ((outlet, mapping), &x) in op
            .body
            .inputs
            .iter()
            .zip(&op.input_mapping)
            .zip(&call.inputs)
        {
            let value = match mapping {
                InputMapping::Full => x,
                InputMapping::State => *state.next().expect("as many states as inputs say"),
                InputMapping::Scan(info) => {
                    let chunk = info.chunk.unsigned_abs();
                    let length = importer.build.shape(x)[info.axis];
                    if length != steps * chunk {
                        return Err(refusal("its steps do not divide the axis", "pad the input"));
                    }
                    let first = if info.chunk > 0 {
                        step * chunk
                    } else {
                        length - (step + 1) * chunk
                    };
                    importer.build.slice(x, info.axis, first, chunk, 1)
                }
            };
            values.insert(*outlet, value);
        }
        importer.walk(&op.body, &mut values, Some((&name, step)));
        let results: Option<Vec<NodeId>> = op
            .body
            .outputs
            .iter()
            .map(|o| values.get(o).copied())
            .collect();
        let Some(results) = results else {
            return Err(refusal(
                "its body has a shape that depends on values",
                "export the loop unrolled",
            ));
        };
        let next = results
            .iter()
            .zip(&op.output_mapping)
            .filter(|(_, m)| m.state)
            .map(|(r, _)| *r);
        states = next.collect();
        collected
            .iter_mut()
            .zip(results)
            .for_each(|(all, result)| all.push(result));
    }
    importer.build.name = name;
    gather_outputs(importer, call, op, collected)
}

fn inputs_of(op: &Scan, call: &Call, wanted: impl Fn(&InputMapping) -> bool) -> Vec<NodeId> {
    op.input_mapping
        .iter()
        .zip(&call.inputs)
        .filter(|(m, _)| wanted(m))
        .map(|(_, x)| *x)
        .collect()
}

fn gather_outputs(
    importer: &mut Importer,
    call: &Call,
    op: &Scan,
    collected: Vec<Vec<NodeId>>,
) -> Translated {
    let mut outputs: Vec<Option<NodeId>> = vec![None; call.shapes.len()];
    for (mapping, mut values) in op.output_mapping.iter().zip(collected) {
        if let Some(slot) = mapping.last_value_slot {
            outputs[slot] = values.last().copied();
        }
        if let Some((slot, info)) = mapping.scan {
            if info.chunk < 0 {
                values.reverse();
            }
            outputs[slot] = Some(importer.build.concat(values, info.axis));
        }
    }
    outputs
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| refusal("an output of it is never set", "correct the model"))
}
