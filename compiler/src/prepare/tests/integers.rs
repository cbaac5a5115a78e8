//! Trees, quantized numbers and the bits of integers: against numbers that onnxruntime gives.

use tract_onnx::pb::tensor_proto::DataType;

use crate::graph::Tensor;
use crate::graph::interpret;
use crate::options::Options;
use crate::prepare::tests::{Floats, Int, Ints, Onnx, Text, Texts};

/// The outputs of a model for one input of the given elements, which has the shape that the model says.
fn run(model: Onnx, x: &[f64]) -> Vec<Vec<f64>> {
    let imported = model
        .import_with(&Options::default())
        .unwrap_or_else(|e| panic!("{e}"));
    let shape = imported.graph.nodes[imported.graph.inputs[0]].shape.clone();
    let results = interpret::run(&imported.graph, &[Tensor::new(shape, x.to_vec())]);
    results.into_iter().map(|tensor| tensor.data).collect()
}

/// One tree with one test of the only feature.
fn stump(mode: &'static str, threshold: f32, weights: [f32; 2], operator: &str) -> Onnx {
    let mut attributes = vec![
        ("nodes_treeids", Ints(vec![0, 0, 0])),
        ("nodes_nodeids", Ints(vec![0, 1, 2])),
        ("nodes_featureids", Ints(vec![0, 0, 0])),
        ("nodes_modes", Texts(vec![mode, "LEAF", "LEAF"])),
        ("nodes_values", Floats(vec![threshold, 0.0, 0.0])),
        ("nodes_truenodeids", Ints(vec![1, 0, 0])),
        ("nodes_falsenodeids", Ints(vec![2, 0, 0])),
    ];
    let prefix = match operator {
        "TreeEnsembleRegressor" => [
            "target_treeids",
            "target_nodeids",
            "target_ids",
            "target_weights",
        ],
        _ => [
            "class_treeids",
            "class_nodeids",
            "class_ids",
            "class_weights",
        ],
    };
    attributes.extend([
        (prefix[0], Ints(vec![0, 0])),
        (prefix[1], Ints(vec![1, 2])),
        (prefix[2], Ints(vec![0, 0])),
        (prefix[3], Floats(weights.to_vec())),
    ]);
    if operator == "TreeEnsembleRegressor" {
        let model = Onnx::new().input("x", "3,1");
        return model.node(operator, "x", "y", &attributes).output("y");
    }
    attributes.push(("classlabels_int64s", Ints(vec![10, 20])));
    let model = Onnx::new().input("x", "3,1");
    let model = model.node(operator, "x", "label,scores", &attributes);
    model.output("label").output("scores")
}

#[test]
fn every_test_of_a_tree() {
    for (mode, expected) in [
        ("BRANCH_LEQ", [1.0, 1.0, 2.0]),
        ("BRANCH_LT", [1.0, 2.0, 2.0]),
        ("BRANCH_GTE", [2.0, 1.0, 1.0]),
        ("BRANCH_GT", [2.0, 2.0, 1.0]),
        ("BRANCH_EQ", [2.0, 1.0, 2.0]),
        ("BRANCH_NEQ", [1.0, 2.0, 1.0]),
    ] {
        let model = stump(mode, 0.3, [1.0, 2.0], "TreeEnsembleRegressor");
        let threshold = f64::from(0.3f32);
        let x = [threshold - 0.1, threshold, threshold + 0.1];
        assert_eq!(run(model, &x), [expected], "{mode}");
    }
}

#[test]
fn one_score_decides_between_two_classes() {
    let shares = stump("BRANCH_LEQ", 0.0, [0.25, 0.75], "TreeEnsembleClassifier");
    let made = run(shares, &[-1.0, 0.0, 1.0]);
    assert_eq!(made[0], [10.0, 10.0, 20.0]);
    assert_eq!(made[1], [0.75, 0.25, 0.75, 0.25, 0.25, 0.75]);
    let scores = stump("BRANCH_LEQ", 0.0, [-0.25, 0.75], "TreeEnsembleClassifier");
    let made = run(scores, &[-1.0, 0.0, 1.0]);
    assert_eq!(made[0], [10.0, 10.0, 20.0]);
    assert_eq!(made[1], [0.25, -0.25, 0.25, -0.25, -0.75, 0.75]);
}

#[test]
fn malformed_trees_are_refused() {
    let model = stump("BRANCH_ODD", 0.0, [1.0, 2.0], "TreeEnsembleRegressor");
    assert!(
        model
            .refusal()
            .contains("the mode `BRANCH_ODD` does not exist")
    );
    let model = stump("BRANCH_LEQ", f32::NAN, [1.0, 2.0], "TreeEnsembleRegressor");
    assert!(model.refusal().contains("not a finite number"));
}

#[test]
fn halves_are_rounded_to_even_and_saturate() {
    let model = Onnx::new()
        .input("x", "6")
        .floats("scale", &[], vec![2.0])
        .small("zero", DataType::Int8, &[], vec![1])
        .node("QuantizeLinear", "x,scale,zero", "y", &[])
        .output("y");
    let made = run(model, &[1.0, 3.0, 5.0, -1.0, 1000.0, -1000.0]);
    assert_eq!(made, [[1.0, 3.0, 3.0, 1.0, 127.0, -128.0]]);
}

#[test]
fn sums_of_integers_are_rounded_once() {
    let model = Onnx::new()
        .typed_input("x", DataType::Int8, "2,2")
        .floats("scale", &[], vec![0.5])
        .small("zero", DataType::Int8, &[], vec![1])
        .small("w", DataType::Int8, &[2, 2], vec![1, 2, 3, -4])
        .node(
            "QLinearMatMul",
            "x,scale,zero,w,scale,zero,scale,zero",
            "y",
            &[],
        )
        .output("y");
    // ([[1, 2], [-4, 99]] - 1) @ ([[1, 2], [3, -4]] - 1) = [[2, -5], [196, -495]], halved.
    let made = run(model, &[1.0, 2.0, -4.0, 99.0]);
    assert_eq!(made, [[2.0, -1.0, 99.0, -128.0]]);
}

#[test]
fn bits_of_two_integers() {
    let values: [i8; 5] = [0, -1, 77, -128, 127];
    let mask: [i8; 5] = [51, -77, 12, -1, -128];
    type Bits = fn(i8, i8) -> i8;
    let f: [(&str, Bits); 3] = [
        ("BitwiseAnd", |a, b| a & b),
        ("BitwiseOr", |a, b| a | b),
        ("BitwiseXor", |a, b| a ^ b),
    ];
    for (operator, expected) in f {
        let model = Onnx::new()
            .opset(18)
            .typed_input("x", DataType::Int8, "5")
            .small("mask", DataType::Int8, &[5], mask.map(i32::from).to_vec())
            .node(operator, "x,mask", "y", &[])
            .output("y");
        let expected: Vec<f64> = (values.iter().zip(mask))
            .map(|(a, b)| expected(*a, b).into())
            .collect();
        assert_eq!(run(model, &values.map(f64::from)), [expected], "{operator}");
    }
}

#[test]
fn shifts_fill_and_cut() {
    let shifted = |direction: &'static str| {
        let model = Onnx::new()
            .opset(28)
            .typed_input("x", DataType::Int8, "4")
            .small("by", DataType::Int8, &[4], vec![1, 7, 8, -1]);
        let attributes = [("direction", Text(direction))];
        let model = model.node("BitShift", "x,by", "y", &attributes).output("y");
        run(model, &[-64.0, 3.0, -8.0, -3.0])
    };
    assert_eq!(shifted("LEFT"), [[-128.0, -128.0, 0.0, 0.0]]);
    assert_eq!(shifted("RIGHT"), [[-32.0, 0.0, -1.0, -1.0]]);
}

#[test]
fn bits_of_wide_integers_and_a_constant() {
    let values: [i64; 4] = [1, -7, 12, 1000];
    type Bits = fn(i64, i64) -> i64;
    let f: [(&str, Bits); 3] = [
        ("BitwiseAnd", |a, b| a & b),
        ("BitwiseOr", |a, b| a | b),
        ("BitwiseXor", |a, b| a ^ b),
    ];
    for (operator, expected) in f {
        for mask in [0b110_1001, -8] {
            let model = Onnx::new()
                .opset(18)
                .typed_input("x", DataType::Int64, "4")
                .ints("mask", &[], &[mask])
                .node(operator, "x,mask", "y", &[])
                .output("y");
            let made = run(model, &values.map(|x| x as f64));
            assert_eq!(
                made,
                [values.map(|x| expected(x, mask) as f64)],
                "{operator}"
            );
        }
    }
    let shifted = Onnx::new()
        .typed_input("x", DataType::Uint64, "2")
        .node("Cast", "by", "b", &[("to", Int(13))])
        .ints("by", &[], &[3])
        .node("BitShift", "x,b", "y", &[("direction", Text("LEFT"))])
        .node("BitShift", "x,b", "z", &[("direction", Text("RIGHT"))]);
    let made = run(shifted.output("y").output("z"), &[5.0, 100.0]);
    assert_eq!(made, [[40.0, 800.0], [0.0, 12.0]]);
}

#[test]
fn bits_are_read_as_another_type() {
    let model = Onnx::new()
        .opset(26)
        .typed_input("x", DataType::Uint8, "3")
        .node("BitCast", "x", "y", &[("to", Int(3))])
        .output("y");
    assert_eq!(run(model, &[0.0, 127.0, 200.0]), [[0.0, 127.0, -56.0]]);
    let model = Onnx::new()
        .opset(26)
        .input("x", "3")
        .node("BitCast", "x", "y", &[("to", Int(6))]);
    assert!(model.output("y").refusal().contains("bits of a float"));
}
