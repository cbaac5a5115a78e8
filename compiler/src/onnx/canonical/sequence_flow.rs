//! Sequences that go through branches and loops.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::canonical::functions::Renaming;
use crate::onnx::canonical::sequences::{Part, Resolver, Sequences, elements, unknown};
use crate::onnx::decompose::body::captures;

/// Operands and results of a `Loop`, and inputs and results of its body, before the values that it carries.
const LOOP_HEADS: [usize; 4] = [2, 0, 2, 1];

fn named(name: String) -> ValueInfoProto {
    ValueInfoProto {
        name,
        ..Default::default()
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{name}.{at}")).collect()
}

fn parts(names: &[String]) -> Vec<Part> {
    names.iter().cloned().map(Part::Element).collect()
}

fn graph_mut<'n>(node: &'n mut NodeProto, name: &str) -> Option<&'n mut GraphProto> {
    let attribute = node.attribute.iter_mut().find(|a| a.name == name)?;
    attribute.g.as_mut()
}

/// `If`: a result that is a sequence becomes its elements, as many in both branches.
pub(super) fn branches(resolver: &mut Resolver, mut node: NodeProto) -> Result<(), Diagnostic> {
    let mut inner: Vec<Sequences> = Vec::new();
    for attribute in node.attribute.iter_mut() {
        if let Some(graph) = attribute.g.as_mut() {
            inner.push(resolver.inside(graph)?);
        }
    }
    for (at, result) in std::mem::take(&mut node.output)
        .into_iter()
        .enumerate()
        .rev()
    {
        let graphs = node.attribute.iter_mut().filter_map(|a| a.g.as_mut());
        let mut counts = Vec::new();
        for (graph, sequences) in graphs.zip(&inner) {
            let Some(known) = graph.output.get(at).and_then(|o| sequences.get(&o.name)) else {
                continue;
            };
            let names = elements(known).ok_or_else(|| unknown("the number of its elements"))?;
            counts.push(names.len());
            graph.output.splice(at..=at, names.into_iter().map(named));
        }
        let made = match counts[..] {
            [] => vec![result],
            [yes, no] if yes == no => {
                let names = numbered(&result, yes);
                resolver.sequences.insert(result, parts(&names));
                names
            }
            _ => {
                return Err(refuse(
                    "its branches give sequences of different lengths",
                    "give both branches as many elements",
                ));
            }
        };
        node.output.splice(0..0, made);
    }
    resolver.made.push(node);
    Ok(())
}

/// `Loop`: a sequence that it carries becomes its elements, if there are as many after each step; one that each step appends an element to
/// becomes a result that the steps collect.
pub(super) fn repeated(resolver: &mut Resolver, node: NodeProto) -> Result<(), Diagnostic> {
    let [operands, _, inputs, results] = LOOP_HEADS;
    let carried: Vec<usize> = (operands..node.input.len())
        .filter(|at| resolver.sequences.contains_key(&node.input[*at]))
        .map(|at| at - operands)
        .collect();
    let before: Vec<Vec<Part>> = carried
        .iter()
        .map(|state| resolver.sequence(&node.input[operands + state]))
        .collect::<Result<_, _>>()?;
    let mut appends: Vec<bool> = before
        .iter()
        .map(|parts| elements(parts).is_none())
        .collect();
    // First as if all kept their lengths; which of them grow shows then.
    for _ in 0..2 {
        let mut node = node.clone();
        let Some(body) = graph_mut(&mut node, "body") else {
            return Err(refuse("it has no `body`", "correct the model"));
        };
        let mut scope = resolver.clone();
        for ((state, before), appends) in carried.iter().zip(&before).zip(&appends) {
            let Some(formal) = body.input.get(inputs + state) else {
                return Err(refuse("its body takes too few values", "correct the model"));
            };
            let within = match appends {
                true => vec![Part::Before],
                false => parts(&numbered(&formal.name, before.len())),
            };
            scope.sequences.insert(formal.name.clone(), within);
        }
        let inner = scope.inside(body);
        let result = |state: &usize| {
            let name = &body.output.get(results + state)?.name;
            inner.as_ref().ok()?.get(name).cloned()
        };
        let made: Vec<Option<Vec<Part>>> = carried.iter().map(result).collect();
        let same = |(before, made): (&Vec<Part>, &Option<Vec<Part>>)| {
            made.as_ref().map(Vec::len) == Some(before.len())
        };
        let same = before.iter().zip(&made).map(same);
        let grows: Vec<bool> = same
            .zip(&appends)
            .map(|(same, appends)| *appends || !same)
            .collect();
        if grows == appends {
            inner?;
            let made: Vec<Vec<Part>> = made.into_iter().flatten().collect();
            let carried = carried.iter().copied().zip(made).zip(grows);
            return rewrite(
                resolver,
                node,
                carried
                    .map(|((at, made), grows)| (at, made, grows))
                    .collect(),
            );
        }
        appends = grows;
    }
    Err(unknown(
        "how many elements the sequence has that it carries",
    ))
}

/// Puts tensors in place of the sequences that a loop carries: for each its place among the values carried, what the body makes of it, and
/// whether it appends to it.
fn rewrite(
    resolver: &mut Resolver,
    mut node: NodeProto,
    carried: Vec<(usize, Vec<Part>, bool)>,
) -> Result<(), Diagnostic> {
    let [operands, own, inputs, results] = LOOP_HEADS;
    let made = graph_mut(&mut node, "body").map_or(0, |body| body.output.len());
    node.output
        .resize((made + own).saturating_sub(results), String::new());
    // Backwards, so that places stay what they are.
    for (state, made, appends) in carried.into_iter().rev() {
        let before = resolver.sequence(&node.input[operands + state])?;
        let result = node.output.get(own + state).cloned().unwrap_or_default();
        let Some(body) = graph_mut(&mut node, "body") else {
            continue;
        };
        if appends {
            let [Part::Before, Part::Element(appended)] = &made[..] else {
                return Err(refuse(
                    "it changes a sequence in another way than by one more element at its end",
                    "export the model with tensors instead of sequences",
                ));
            };
            let appended = named(appended.clone());
            body.input.remove(inputs + state);
            body.output.remove(results + state);
            body.output.push(appended);
            node.input.remove(operands + state);
            let all = format!("{result}.all");
            let slices = [before, vec![Part::Slices(all.clone())]].concat();
            resolver.sequences.insert(result, slices);
            node.output.remove(own + state);
            node.output.push(all);
            continue;
        }
        let names = elements(&made).ok_or_else(|| unknown("the number of its elements"))?;
        let formal = numbered(&body.input[inputs + state].name, names.len());
        let formal = formal.into_iter().map(named);
        body.input.splice(inputs + state..=inputs + state, formal);
        let made = numbered(&result, names.len());
        let names = names.into_iter().map(named);
        body.output.splice(results + state..=results + state, names);
        let given = elements(&before).ok_or_else(|| unknown("the number of its elements"))?;
        node.input
            .splice(operands + state..=operands + state, given);
        node.output
            .splice(own + state..=own + state, made.iter().cloned());
        resolver.sequences.insert(result, parts(&made));
    }
    resolver.made.push(node);
    Ok(())
}

/// `SequenceMap`: its body for each element.
pub(super) fn mapped(resolver: &mut Resolver, node: &NodeProto) -> Result<(), Diagnostic> {
    let attribute = node.attribute.iter().find(|a| a.name == "body");
    let Some(body) = attribute.and_then(|a| a.g.as_ref()) else {
        return Err(refuse("it has no `body`", "correct the model"));
    };
    let count = resolver.elements(&node.input[0])?.len();
    let mut results = vec![Vec::new(); node.output.len()];
    for step in 0..count {
        let mut known: HashMap<String, String> = HashMap::new();
        known.extend(captures(node).into_iter().map(|name| (name.clone(), name)));
        for (formal, given) in body.input.iter().zip(&node.input) {
            let value = match resolver.sequences.contains_key(given) {
                true => resolver.elements(given)?.get(step).cloned(),
                false => Some(given.clone()),
            };
            let value = value.ok_or_else(|| {
                refuse("its sequences have different lengths", "correct the model")
            })?;
            known.insert(formal.name.clone(), value);
        }
        let first = node.output.first().map_or("", String::as_str);
        let renaming = Renaming {
            known,
            prefix: format!("{first}.{step}/"),
        };
        let stored = body.initializer.iter().cloned().map(stored);
        for mut inner in stored.chain(body.node.iter().cloned()) {
            renaming.node(&mut inner);
            resolver.node(inner)?;
        }
        for (all, output) in results.iter_mut().zip(&body.output) {
            let mut name = output.name.clone();
            renaming.name(&mut name);
            all.push(Part::Element(name));
        }
    }
    resolver
        .sequences
        .extend(node.output.iter().cloned().zip(results));
    Ok(())
}

/// An initializer as a node.
fn stored(tensor: TensorProto) -> NodeProto {
    NodeProto {
        op_type: "Constant".into(),
        name: tensor.name.clone(),
        output: vec![tensor.name.clone()],
        attribute: vec![AttributeProto {
            name: "value".into(),
            t: Some(TensorProto {
                name: String::new(),
                ..tensor
            }),
            r#type: AttributeType::Tensor as i32,
            ..Default::default()
        }],
        ..Default::default()
    }
}
