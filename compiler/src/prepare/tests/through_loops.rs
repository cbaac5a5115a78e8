//! Sequences that go through branches and loops: against what onnxruntime gives.

use tract_onnx::pb::tensor_proto::DataType;

use crate::prepare::tests::{Attribute, Int, Onnx};
use crate::testing::ramp;

/// A loop of three steps that carries `s`, its body a graph of the step's number, a condition and `t`.
fn three_steps(model: Onnx, body: Onnx) -> Onnx {
    let model = model.ints("n", &[], &[3]);
    model.node("Loop", "n,,s", "u", &[("body", Attribute::Graph(body))])
}

fn body() -> Onnx {
    Onnx::new()
        .typed_input("i", DataType::Int64, "")
        .typed_input("c", DataType::Bool, "")
        .untyped_input("t")
        .node("Identity", "c", "d", &[])
}

#[test]
fn a_loop_that_appends_collects() {
    let body = body()
        .node("Gather", "x,i", "row", &[])
        .node("SequenceInsert", "t,row", "v", &[])
        .output("d")
        .output("v");
    let model = Onnx::new()
        .input("x", "3,2")
        .node("SequenceEmpty", "", "s", &[]);
    let model = three_steps(model, body);
    let stacked = model.clone().node(
        "ConcatFromSequence",
        "u",
        "y",
        &[("axis", Int(1)), ("new_axis", Int(1))],
    );
    let x = ramp(6, 0);
    stacked
        .output("y")
        .gives(&[&[x[0], x[2], x[4], x[1], x[3], x[5]]]);
    let joined = model
        .clone()
        .node("ConcatFromSequence", "u", "y", &[("axis", Int(0))]);
    joined.output("y").gives(&[&x]);
    let last = model
        .ints("at", &[], &[-1])
        .node("SequenceAt", "u,at", "y", &[]);
    last.output("y").gives(&[&x[4..]]);
}

#[test]
fn a_loop_that_keeps_the_length_carries_elements() {
    let body = body()
        .ints("zero", &[], &[0])
        .ints("one", &[], &[1])
        .node("SequenceAt", "t,zero", "a", &[])
        .node("SequenceAt", "t,one", "b", &[])
        .node("Add", "a,b", "e", &[])
        .node("SequenceConstruct", "b,e", "v", &[])
        .output("d")
        .output("v");
    let model =
        Onnx::new()
            .input("x", "2")
            .input("z", "2")
            .node("SequenceConstruct", "x,z", "s", &[]);
    let model = three_steps(model, body).node("ConcatFromSequence", "u", "y", &[("axis", Int(0))]);
    let (x, z) = (ramp(2, 0), ramp(2, 1));
    let two = [0, 1].map(|i| x[i] + 2.0 * z[i]);
    let three = [0, 1].map(|i| 2.0 * x[i] + 3.0 * z[i]);
    model.output("y").gives(&[&[two, three].concat()]);
}

#[test]
fn branches_give_as_many_elements() {
    let branch = |operator: &str| {
        let graph = Onnx::new().node(operator, "x", "a", &[]);
        let graph = graph.node("SequenceConstruct", "a,x", "l", &[]);
        Attribute::Graph(graph.output("l"))
    };
    let model = Onnx::new()
        .input("x", "2")
        .typed_input("c", DataType::Bool, "")
        .node(
            "If",
            "c",
            "s",
            &[
                ("then_branch", branch("Neg")),
                ("else_branch", branch("Abs")),
            ],
        )
        .node("ConcatFromSequence", "s", "y", &[("axis", Int(0))]);
    model.output("y").agrees();
}

#[test]
fn a_map_runs_for_each_element() {
    let body = Onnx::new()
        .untyped_input("e")
        .untyped_input("w")
        .node("Mul", "e,w", "p", &[])
        .output("p");
    let model = Onnx::new()
        .input("x", "2,2")
        .input("f", "1,2")
        .node("SplitToSequence", "x", "s", &[])
        .node(
            "SequenceMap",
            "s,f",
            "m",
            &[("body", Attribute::Graph(body))],
        )
        .node("ConcatFromSequence", "m", "y", &[("axis", Int(0))]);
    let (x, f) = (ramp(4, 0), ramp(2, 1));
    let expected: Vec<f64> = (0..4).map(|at| x[at] * f[at % 2]).collect();
    model.output("y").gives(&[&expected]);
}

#[test]
fn other_changes_are_refused() {
    let body = body()
        .node("SequenceErase", "t", "v", &[])
        .output("d")
        .output("v");
    let model = Onnx::new()
        .input("x", "2")
        .node("SequenceConstruct", "x,x,x", "s", &[]);
    let model = three_steps(model, body).node("ConcatFromSequence", "u", "y", &[("axis", Int(0))]);
    let message = model.output("y").refusal();
    assert!(message.contains("`u` (Loop)"), "{message}");
}
