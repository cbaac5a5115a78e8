//! Graphs inside an operator: tract analyzes them as models of their own, and they are translated like the model around them.
//!
//! The operators that have such graphs are handed [`translate_inside`]: they are below the importer, and know only that there is a way.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use tract_onnx::prelude::*;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{Graph, Op};
use crate::onnx::decompose::expansion::{self, Diagnostics};
use crate::onnx::sizes;
use crate::onnx::tensors::port_dtype;
use crate::onnx::translate::walk::Importer;

/// The graph in our operators, and the element types of its results.
///
/// # Errors
/// The first thing in it that is refused.
pub(crate) fn translate_inside(
    mut graph: GraphProto,
    opset: i64,
) -> Result<(Graph, Vec<DatumType>), Diagnostic> {
    for (at, output) in graph.output.iter_mut().enumerate() {
        let name = format!("{}.result.{at}", output.name);
        graph.node.push(NodeProto {
            op_type: "Identity".into(),
            name: name.clone(),
            input: vec![std::mem::replace(&mut output.name, name.clone())],
            output: vec![name],
            ..Default::default()
        });
    }
    let model = analyzed(graph, opset)?;
    let nothing = HashMap::new();
    let mut importer = Importer::new(HashSet::new(), &nothing, Vec::new());
    let mut values = HashMap::new();
    for outlet in &model.inputs {
        let fact = model.outlet_fact(*outlet).map_err(unknown)?;
        let (Some(shape), Some(dtype)) = (fact.shape.as_concrete(), port_dtype(fact.datum_type))
        else {
            return Err(unknown("an input without shape"));
        };
        let build = &mut importer.build;
        let id = build.push(Op::Input(dtype), Vec::new(), shape.to_vec());
        build.graph.inputs.push(id);
        values.insert(*outlet, id);
    }
    importer.walk(&model, &mut values, Some(("", 0)));
    let built = importer.into_first_refusal();
    let mut graph = built.map_err(inside)?.graph;
    let mut dtypes = Vec::new();
    for outlet in &model.outputs {
        graph.outputs.push((String::new(), values[outlet]));
        dtypes.push(model.outlet_fact(*outlet).map_err(unknown)?.datum_type);
    }
    graph.prune();
    Ok((graph, dtypes))
}

/// What tract makes of the graph as a model.
fn analyzed(graph: GraphProto, opset: i64) -> Result<TypedModel, Diagnostic> {
    let onnx = expansion::front_end(&graph);
    let proto = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: opset,
        }],
        graph: Some(graph),
        ..Default::default()
    };
    let diagnostics = Diagnostics::default();
    let model = onnx.parse(&proto, None).and_then(|mut parsed| {
        expansion::connect(&mut parsed.model, &diagnostics, translate_inside);
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(TractError::msg(format!("nothing computes `{name}`")));
        }
        let model = parsed.model.into_typed()?;
        sizes::check_tensors(&model)?;
        model.into_decluttered()
    });
    match diagnostics.take().into_iter().next() {
        Some(diagnostic) => Err(inside(diagnostic)),
        None => model.map_err(unknown),
    }
}

fn inside(diagnostic: Diagnostic) -> Diagnostic {
    let Diagnostic {
        op, reason, help, ..
    } = diagnostic;
    refuse(format!("`{op}` inside it: {reason}"), help)
}

fn unknown(error: impl std::fmt::Display) -> Diagnostic {
    refuse(
        format!("the graph inside it cannot be analyzed: {error:#}"),
        "export the model with fixed shapes",
    )
}
