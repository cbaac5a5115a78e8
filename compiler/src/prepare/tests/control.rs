//! Operators with graphs inside: branches, loops and scans.

use tract_onnx::pb::tensor_proto::DataType;

use crate::prepare::tests::language::{gives, tensor};
use crate::prepare::tests::{Int, Ints, Onnx};
use crate::testing::Attribute::Graph as Inside;

/// `s + x`, as the state and as a result.
fn adding() -> Onnx {
    Onnx::new()
        .input("s", "2")
        .input("e", "2")
        .node("Add", "s,e", "n", &[])
        .node("Add", "s,e", "o", &[])
        .output("n")
        .output("o")
}

#[test]
fn scans_and_loops_are_unrolled() {
    let model = Onnx::new()
        .input("s0", "2")
        .input("x", "3,2")
        .node(
            "Scan",
            "s0,x",
            "s1,all",
            &[
                ("body", Inside(adding())),
                ("num_scan_inputs", Int(1)),
                ("scan_input_directions", Ints(vec![1])),
            ],
        )
        .output("s1")
        .output("all");
    let inputs = [
        tensor(&[2], &[0.0, 1.0]),
        tensor(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ];
    let all = tensor(&[3, 2], &[5.0, 7.0, 8.0, 11.0, 9.0, 13.0]);
    gives(model, &inputs, &[tensor(&[2], &[9.0, 13.0]), all]);
    // Adds x, which it captures, until the state exceeds 4.
    let body = Onnx::new()
        .typed_input("i", DataType::Int64, "")
        .typed_input("c", DataType::Bool, "")
        .input("s", "")
        .floats("four", &[], vec![4.0])
        .node("Add", "s,x", "n", &[])
        .node("Less", "n,four", "go", &[])
        .output("go")
        .output("n");
    let model = |count: &str| {
        let model = Onnx::new().input("x", "").ints("m", &[], &[5]);
        let model = model.typed_input("free", DataType::Int64, "");
        model
            .node(
                "Loop",
                &format!("{count},,x"),
                "y",
                &[("body", Inside(body.clone()))],
            )
            .output("y")
    };
    let inputs = |x: f64| [tensor(&[], &[x]), tensor(&[], &[5.0])];
    gives(model("m"), &inputs(1.5), &[tensor(&[], &[4.5])]);
    gives(model("m"), &inputs(0.5), &[tensor(&[], &[3.0])]);
    let said = model("free").refusal();
    assert!(said.contains("`free` must be known"), "{said}");
}

#[test]
fn branches_are_chosen() {
    let branch = |operator: &str| Onnx::new().node(operator, "x", "r", &[]).output("r");
    let model = |condition: &str| {
        let branches = [
            ("then_branch", Inside(branch("Neg"))),
            ("else_branch", Inside(branch("Exp"))),
        ];
        Onnx::new()
            .input("x", "2")
            .typed_input("c", DataType::Bool, "")
            .booleans("yes", &[], &[true])
            .node("If", condition, "y", &branches)
            .output("y")
    };
    let x = tensor(&[2], &[0.0, 1.0]);
    let inputs = |c: f64| [x.clone(), tensor(&[], &[c])];
    let (negative, power) = (tensor(&[2], &[0.0, -1.0]), tensor(&[2], &[1.0, 1f64.exp()]));
    gives(model("yes"), &inputs(0.0), std::slice::from_ref(&negative));
    gives(model("c"), &inputs(1.0), &[negative]);
    gives(model("c"), &inputs(0.0), &[power]);
}

#[test]
fn what_is_inside_is_refused_by_name() {
    let branch = |operator: &str| Onnx::new().node(operator, "x", "r", &[]).output("r");
    let branches = [
        ("then_branch", Inside(branch("RandomNormalLike"))),
        ("else_branch", Inside(branch("Exp"))),
    ];
    let model = Onnx::new()
        .input("x", "2")
        .typed_input("c", DataType::Bool, "");
    let said = model.node("If", "c", "y", &branches).output("y").refusal();
    assert!(said.contains("`RandomNormalLike` inside it"), "{said}");
}

#[test]
fn shapes_may_follow_from_constants() {
    let model = Onnx::new()
        .input("x", "3,2")
        .booleans("kept", &[3], &[true, false, true])
        .node("Compress", "x,kept", "y", &[("axis", Int(0))])
        .node("NonZero", "kept", "places", &[])
        .ints("list", &[4], &[3, 1, 3, 2])
        .node("Unique", "list", "distinct,first,which,counts", &[]);
    let outputs = ["y", "places", "distinct", "first", "which", "counts"];
    let model = outputs.iter().fold(model, |model, name| model.output(name));
    let x = tensor(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let expected = [
        tensor(&[2, 2], &[1.0, 2.0, 5.0, 6.0]),
        tensor(&[1, 2], &[0.0, 2.0]),
        tensor(&[3], &[1.0, 2.0, 3.0]),
        tensor(&[3], &[1.0, 3.0, 0.0]),
        tensor(&[4], &[2.0, 0.0, 2.0, 1.0]),
        tensor(&[3], &[1.0, 1.0, 2.0]),
    ];
    gives(model, &[x], &expected);
}

#[test]
fn dropout_that_drops_is_refused() {
    let model = Onnx::new()
        .input("x", "3")
        .floats("ratio", &[], vec![0.5])
        .booleans("training", &[], &[true])
        .node("Dropout", "x,ratio,training", "y", &[]);
    assert!(model.output("y").refusal().contains("its output is random"));
}

#[test]
fn branches_inside_branches_take_linear_time() {
    // Of names that differ at each depth.
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let leaf = |operator: &str, result: &'static str| {
        Onnx::new().node(operator, "x", result, &[]).output(result)
    };
    let branch = |then: Onnx, result: &'static str| {
        let otherwise = leaf("Neg", "other");
        let branches = [
            ("then_branch", Inside(then)),
            ("else_branch", Inside(otherwise)),
        ];
        Onnx::new()
            .node("If", "k", result, &branches)
            .output(result)
    };
    let mut model = leaf("Tanh", "leaf");
    for depth in 0..24 {
        model = branch(model, NAMES[depth % NAMES.len()]);
    }
    let model = model.input("x", "2").typed_input("k", DataType::Bool, "1");
    let x = tensor(&[2], &[0.5, -1.0]);
    let yes = [x.clone(), tensor(&[1], &[1.0])];
    let expected = tensor(&[2], &[0.5f64.tanh(), (-1f64).tanh()]);
    gives(model.clone(), &yes, &[expected]);
    gives(
        model,
        &[x, tensor(&[1], &[0.0])],
        &[tensor(&[2], &[-0.5, 1.0])],
    );
}

#[test]
fn loops_without_end_are_refused() {
    for steps in [10_000_000, 20_000] {
        let body = Onnx::new()
            .typed_input("i", DataType::Int64, "")
            .typed_input("c", DataType::Bool, "")
            .input("s", "2")
            .node("Identity", "c", "going", &[])
            .node("Tanh", "s", "next", &[])
            .output("going")
            .output("next");
        let model = Onnx::new()
            .input("x", "2")
            .ints("n", &[], &[steps])
            .booleans("t", &[], &[true])
            .node("Loop", "n,t,x", "y", &[("body", Inside(body))]);
        let said = model.output("y").refusal();
        assert!(said.contains("`y` (Loop): it has too many steps"), "{said}");
    }
}
