//! What ONNX forbids is refused by name, and what a file says of its values is true.

use tract_onnx::pb::tensor_proto::DataType;

use crate::frozen::Frozen;
use crate::options::Options;
use crate::prepare::tests::{Attribute, Int, Onnx, one};
use crate::testing::ramp;

#[track_caller]
fn refused(model: Onnx, words: &str) {
    let message = model.refusal();
    assert!(message.contains(words), "{message}");
}

#[test]
fn operands_have_types_that_their_operator_takes() {
    let model = |operator: &str, dtype: DataType| {
        Onnx::new()
            .typed_input("x", dtype, "2,2")
            .node(operator, "x", "y", &[])
            .output("y")
    };
    refused(
        model("Sqrt", DataType::Int32),
        "node `y` (Sqrt): its operand `x` has elements of int32, which it does not take",
    );
    refused(
        model("Not", DataType::Float),
        "has elements of float, which it does not take",
    );
    let mixed = Onnx::new()
        .input("x", "2")
        .typed_input("i", DataType::Int64, "2")
        .node("Add", "x,i", "y", &[])
        .output("y");
    refused(
        mixed,
        "its operand `i` has elements of int64, and another has float",
    );
    // Before opset 13, ReduceMax takes no integers of 8 bits.
    refused(
        model("ReduceMax", DataType::Int8).opset(11),
        "has elements of int8",
    );
    model("ReduceMax", DataType::Int8).agrees();
}

#[test]
fn types_inside_a_graph_are_checked() {
    let branch = |operator: &str| {
        let graph = Onnx::new().node(operator, "x", "a", &[]);
        Attribute::Graph(graph.output("a"))
    };
    let model = Onnx::new()
        .typed_input("x", DataType::Int32, "2")
        .typed_input("c", DataType::Bool, "")
        .node(
            "If",
            "c",
            "y",
            &[
                ("then_branch", branch("Sqrt")),
                ("else_branch", branch("Neg")),
            ],
        );
    refused(
        model.output("y"),
        "(Sqrt): its operand `x` has elements of int32",
    );
}

#[test]
fn declared_types_are_those_of_the_values() {
    let model = |dtype: DataType, shape: &str| {
        Onnx::new()
            .input("x", "2,3")
            .node("Relu", "x", "a", &[])
            .node("Exp", "a", "y", &[])
            .declared("a", dtype, shape)
            .output("y")
    };
    refused(
        model(DataType::Float16, "2,3"),
        "its result `a` is declared with elements of float16, and has elements of float",
    );
    refused(
        model(DataType::Float, "2,4"),
        "node `a` (Relu): its result `a` is declared with shape [2, 4], and has shape [2, 3]",
    );
    refused(model(DataType::Float, "6"), "is declared with shape [6]");
    model(DataType::Float, "n,3").agrees();
    model(DataType::Float, "n").agrees();
}

#[test]
fn a_loops_body_takes_what_the_loop_carries() {
    let body = Onnx::new()
        .untyped_input("sum")
        .untyped_input("next")
        .node("Add", "sum,next", "out", &[])
        .output("out");
    let model = |operands: &str| {
        let attributes = [
            ("body", Attribute::Graph(body.clone())),
            ("num_scan_inputs", Int(1)),
        ];
        Onnx::new()
            .input("s", "2")
            .input("x", "3,2")
            .node("Scan", operands, "y", &attributes)
            .output("y")
    };
    model("s,x").agrees();
    refused(
        model("s,x,s"),
        "its body takes or gives another number of values",
    );
}

#[test]
fn what_a_loop_carries_keeps_its_type() {
    let body = |dtype: DataType| {
        let graph = Onnx::new()
            .typed_input("i", DataType::Int64, "")
            .typed_input("c", DataType::Bool, "")
            .typed_input("s", dtype, "2");
        let graph = graph
            .node("Identity", "c", "d", &[])
            .node("Neg", "s", "t", &[]);
        Attribute::Graph(graph.output("d").output("t"))
    };
    let model = |dtype: DataType| {
        Onnx::new()
            .input("x", "2")
            .ints("n", &[], &[3])
            .node("Loop", "n,,x", "y", &[("body", body(dtype))])
            .output("y")
    };
    model(DataType::Float).agrees();
    refused(
        model(DataType::Int32),
        "node `y` (Loop): its body takes or gives values of other types",
    );
}

#[test]
fn an_operator_of_another_domain_is_none_of_onnx() {
    let model = Onnx::new()
        .input("x", "2,32")
        .small("w", DataType::Uint8, &[1, 1, 16], vec![17; 16])
        .floats("s", &[1], vec![0.5]);
    let sizes = [
        ("K", Int(32)),
        ("N", Int(1)),
        ("bits", Int(4)),
        ("block_size", Int(32)),
    ];
    let model = |domain: &str| {
        let operator = format!("{domain}.MatMulNBits");
        let model = model.clone().node(&operator, "x,w,s", "y", &sizes);
        model.output("y")
    };
    model("com.microsoft").agrees();
    refused(
        model(""),
        "`y` (MatMulNBits): this operator is not supported",
    );
}

#[test]
fn a_result_that_must_be_there() {
    let model = Onnx::new()
        .input("x", "2")
        .node("Relu", "x", "y", &[])
        .output("y");
    refused(
        model.node("Relu", "x", "", &[]),
        "(Relu): its result 0 has no name",
    );
}

#[test]
fn an_axis_that_does_not_exist() {
    let model = Onnx::new()
        .input("x", "2,3")
        .ints("i", &[1, 1], &[0])
        .floats("u", &[1, 1], vec![1.0])
        .node("ScatterElements", "x,i,u", "y", &[("axis", Int(7))]);
    refused(model.output("y"), "node `y` (ScatterElements)");
    let model = one("4", "Slice", "x,z,e,z,z", &[]).ints("z", &[1], &[0]);
    refused(
        model.ints("e", &[1], &[3]),
        "node `y` (Slice): one of its steps is 0",
    );
}

#[test]
fn a_frozen_input_is_a_constant() {
    let model = Onnx::new()
        .input("x", "1,n")
        .typed_input("shape", DataType::Int64, "2")
        .input("m", "1,n")
        .node("Mul", "x,m", "a", &[])
        .node("Reshape", "a,shape", "y", &[])
        .output("y");
    let frozen = |shape: &str, mask: &str| Options {
        frozen: [("shape", shape), ("m", mask)]
            .map(|(name, value)| (name.to_string(), value.parse().expect("a value")))
            .to_vec(),
        ..Options::default()
    };
    let import = |options| model.clone().import_with(&options);
    // What is frozen says how long the axes are that have a name.
    let graph = import(frozen("[2, 2]", "[[1, 0, 1, 0]]"))
        .expect("imports")
        .graph;
    assert_eq!(
        (graph.inputs.len(), &*graph.nodes[graph.inputs[0]].shape),
        (1, &[1, 4][..])
    );
    let made =
        crate::graph::interpret::run(&graph, &[crate::graph::Tensor::new(vec![1, 4], ramp(4, 0))]);
    let x = ramp(4, 0);
    assert_eq!(
        (&made[0].shape[..], &made[0].data[..]),
        (&[2, 2][..], &[x[0], 0.0, x[2], 0.0][..])
    );
    let filled = Options {
        dimensions: vec![("n".into(), 4)],
        ..frozen("[4, 1]", "1")
    };
    assert!(import(filled).is_ok());
    let message = |options| {
        import(options)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    assert!(
        message(frozen("[1]", "1"))
            .contains("its input `shape`: it has shape [2], and is given 1 numbers")
    );
    assert!(message(frozen("[1.5, 2]", "1")).contains("is not an integer"));
    let other = Options {
        frozen: vec![("z".into(), Frozen::from(1.0))],
        ..Options::default()
    };
    assert!(message(other).contains("it has no input `z` that could be frozen"));
}
