//! Elementwise operators, reductions, sums of products, normalizations.

use tract_onnx::pb::tensor_proto::DataType;

use crate::graph::{BinaryFn, Node, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::options::Options;
use crate::prepare::tests::{Attribute, Float, Int, Ints, Onnx, Text, computed, named, one};

/// `operator(f(x))` is one pointwise node.
fn fuses(model: Onnx) -> Pointwise {
    let graph = model.agrees();
    let nodes = computed(&graph);
    let [node] = nodes[..] else {
        panic!("{nodes:?}")
    };
    let Op::Pointwise(e) = &node.op else {
        panic!("{node:?}")
    };
    assert_eq!(node.name, "y");
    e.clone()
}

#[test]
fn functions_of_any_number() {
    for (operator, expected) in [
        ("Abs", UnaryFn::Abs),
        ("Exp", UnaryFn::Exp),
        ("Tanh", UnaryFn::Tanh),
        ("Sigmoid", UnaryFn::Sigmoid),
        ("Erf", UnaryFn::Erf),
        ("Sin", UnaryFn::Sin),
        ("Cos", UnaryFn::Cos),
        ("Tan", UnaryFn::Tan),
        ("Atan", UnaryFn::Atan),
        ("Sinh", UnaryFn::Sinh),
        ("Cosh", UnaryFn::Cosh),
        ("Asinh", UnaryFn::Asinh),
        ("Floor", UnaryFn::Floor),
        ("Ceil", UnaryFn::Ceil),
        ("Round", UnaryFn::Round),
        ("Sign", UnaryFn::Sign),
        ("Relu", UnaryFn::Relu),
        ("Softplus", UnaryFn::Softplus),
        ("HardSwish", UnaryFn::HardSwish),
    ] {
        assert_eq!(
            fuses(one("2,3", operator, "x", &[])),
            Pointwise::of(expected),
            "{operator}"
        );
    }
}

#[test]
fn functions_of_positive_numbers() {
    for operator in ["Sqrt", "Log", "Reciprocal"] {
        let model = Onnx::new()
            .input("x", "40")
            .node("Exp", "x", "e", &[])
            .node(operator, "e", "y", &[]);
        fuses(model.output("y"));
    }
}

#[test]
fn functions_of_numbers_in_an_interval() {
    for (operator, shift) in [("Asin", 0.0), ("Acos", 0.0), ("Atanh", 0.0), ("Acosh", 2.5)] {
        let model = Onnx::new().input("x", "40").floats("c", &[], vec![shift]);
        let model = model
            .node("Tanh", "x", "t", &[])
            .node("Add", "t,c", "s", &[])
            .node(operator, "s", "y", &[]);
        fuses(model.output("y"));
    }
}

#[test]
fn activations_with_parameters() {
    fuses(one("50", "LeakyRelu", "x", &[("alpha", Float(0.1))]));
    fuses(one("50", "Elu", "x", &[("alpha", Float(0.7))]));
    fuses(one("50", "Selu", "x", &[]));
    fuses(one("50", "Celu", "x", &[("alpha", Float(0.7))]));
    fuses(one("50", "ThresholdedRelu", "x", &[("alpha", Float(0.3))]));
    fuses(one("50", "HardSigmoid", "x", &[]));
    fuses(one("50", "Softsign", "x", &[]));
    fuses(one(
        "50",
        "Shrink",
        "x",
        &[("lambd", Float(0.3)), ("bias", Float(0.1))],
    ));
    fuses(one("50", "Mish", "x", &[]).opset(18));
    fuses(one("50", "Gelu", "x", &[]).opset(20));
    fuses(one("50", "Gelu", "x", &[("approximate", Text("tanh"))]).opset(20));
}

#[test]
fn clip_is_one_function() {
    let model = one("50", "Clip", "x,l,h", &[])
        .floats("l", &[], vec![-0.5])
        .floats("h", &[], vec![0.5]);
    assert_eq!(fuses(model).to_string(), "min(max(x, -0.5), 0.5)");
}

#[test]
fn parametric_relu_is_a_selection() {
    let graph = one("1,3,4", "PRelu", "x,s", &[])
        .weight("s", &[3, 1])
        .agrees();
    assert_eq!(named(&graph, "y").op, Op::Select);
}

#[test]
fn powers() {
    for exponent in [2.0, 3.0, 0.5, -1.0, 1.7] {
        let model = Onnx::new()
            .input("x", "20")
            .floats("p", &[], vec![exponent]);
        fuses(
            model
                .node("Exp", "x", "e", &[])
                .node("Pow", "e,p", "y", &[])
                .output("y"),
        );
    }
}

#[test]
fn arithmetic_of_two_values() {
    let operators = [
        ("Add", BinaryFn::Add),
        ("Sub", BinaryFn::Sub),
        ("Mul", BinaryFn::Mul),
        ("Max", BinaryFn::Max),
        ("Min", BinaryFn::Min),
    ];
    for (operator, f) in operators {
        let graph = one("2,1,3", operator, "x,z", &[])
            .input("z", "4,1")
            .agrees();
        assert_eq!(named(&graph, "y").op, Op::Binary(f));
        assert_eq!(named(&graph, "y").shape, [2, 4, 3]);
    }
}

#[test]
fn division_is_by_the_reciprocal() {
    let model = one("2,3", "Div", "x,e", &[]).input("z", "2,1");
    let graph = model.node("Exp", "z", "e", &[]).agrees();
    assert_eq!(named(&graph, "y").op, Op::Binary(BinaryFn::Mul));
}

#[test]
fn affine_functions_stay_linear() {
    let model = one("5", "Mul", "x,a", &[]).floats("a", &[], vec![0.25]);
    let graph = model.agrees();
    assert_eq!(named(&graph, "y").op, Op::Binary(BinaryFn::Mul));
    let graph = one("5", "Neg", "x", &[]).agrees();
    assert_eq!(named(&graph, "y").op, Op::Binary(BinaryFn::Mul));
    let graph = one("5", "Div", "x,a", &[])
        .floats("a", &[], vec![4.0])
        .agrees();
    assert_eq!(named(&graph, "y").op, Op::Binary(BinaryFn::Mul));
}

#[test]
fn division_by_a_vector_is_multiplication() {
    let graph = one("2,3", "Div", "x,a", &[])
        .floats("a", &[3], vec![4.0, -2.0, 0.5])
        .agrees();
    assert_eq!(named(&graph, "y").op, Op::Binary(BinaryFn::Mul));
}

#[test]
fn integers() {
    let model = || {
        Onnx::new()
            .typed_input("x", DataType::Int64, "3,4")
            .ints("c", &[], &[3])
            .output("y")
    };
    for operator in ["Add", "Sub", "Mul", "Div", "Max"] {
        model().node(operator, "x,c", "y", &[]).agrees();
    }
    model()
        .node("Mul", "x,c", "m", &[])
        .ints("d", &[], &[-2])
        .node("Div", "m,d", "y", &[])
        .agrees();
    model()
        .node("Cast", "x", "f", &[("to", Int(1))])
        .floats("h", &[], vec![0.5])
        .node("Mul", "f,h", "y", &[])
        .agrees();
}

#[test]
fn casts() {
    let model = one("30", "Cast", "s", &[("to", Int(7))])
        .floats("c", &[], vec![3.0])
        .node("Mul", "x,c", "s", &[]);
    model.agrees();
    let booleans = one("30", "Not", "b", &[]).node("Cast", "x", "b", &[("to", Int(9))]);
    booleans.agrees();
}

#[test]
fn comparisons_with_constants() {
    for operator in ["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"] {
        let model = Onnx::new()
            .input("x", "30")
            .floats("c", &[], vec![1.0])
            .node("Round", "x", "r", &[]);
        let model = model
            .node(operator, "r,c", "b", &[])
            .node("Where", "b,x,c", "y", &[])
            .output("y");
        let graph = model.agrees();
        assert!(computed(&graph).len() <= 2, "{operator}");
    }
}

#[test]
fn logic() {
    for operator in ["And", "Or", "Xor"] {
        let model = Onnx::new()
            .typed_input("a", DataType::Bool, "30")
            .typed_input("b", DataType::Bool, "30");
        model.node(operator, "a,b", "y", &[]).output("y").agrees();
    }
}

#[test]
fn reductions() {
    for operator in [
        "ReduceSum",
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
        "ReduceL1",
        "ReduceL2",
    ] {
        let axes = || {
            if operator == "ReduceSum" {
                vec![]
            } else {
                vec![("axes", Ints(vec![1]))]
            }
        };
        let operands = if operator == "ReduceSum" { "x,a" } else { "x" };
        one("2,5,3", operator, operands, &axes())
            .ints("a", &[1], &[1])
            .opset(13)
            .agrees();
    }
    let graph = one(
        "2,5,3",
        "ReduceMax",
        "x",
        &[("axes", Ints(vec![0, 2])), ("keepdims", Int(0))],
    )
    .agrees();
    assert!(graph.nodes.iter().any(|n| n.op
        == Op::Reduce {
            reducer: Reducer::Max,
            axes: vec![0, 2]
        }));
}

#[test]
fn matrix_products() {
    one("2,3,4", "MatMul", "x,w", &[])
        .weight("w", &[4, 5])
        .agrees();
    one("2,1,3,4", "MatMul", "x,z", &[])
        .input("z", "3,4,2")
        .agrees();
    let gemm = [
        ("transB", Int(1)),
        ("alpha", Float(0.5)),
        ("beta", Float(2.0)),
    ];
    one("3,4", "Gemm", "x,w,b", &gemm)
        .weight("w", &[5, 4])
        .weight("b", &[5])
        .agrees();
    one("4", "MatMul", "x,w", &[]).weight("w", &[4, 5]).agrees();
}

#[test]
fn sums_of_products() {
    for (equation, first, second) in [
        ("bhqd,bhkd->bhqk", "2,3,4,5", "2,3,6,5"),
        ("bij,bjk->ik", "2,3,4", "2,4,5"),
        ("i,j->ij", "3", "4"),
        ("ij,ij->", "3,4", "3,4"),
    ] {
        let model = one(first, "Einsum", "x,z", &[("equation", Text(equation))]).input("z", second);
        let graph = model.agrees();
        assert!(
            graph
                .nodes
                .iter()
                .any(|n| matches!(n.op, Op::Einsum { .. })),
            "{equation}"
        );
    }
}

#[test]
fn softmaxes() {
    let graph = one("2,3,4", "Softmax", "x", &[("axis", Int(1))]).agrees();
    let node = named(&graph, "y");
    assert!(matches!(node.op, Op::Softmax { axis: 1, .. }));
    let (least, greatest) = node.stats[0];
    assert!((1.0..=3.0).contains(&least) && (least..=3.0).contains(&greatest));
    one("2,3,4", "Softmax", "x", &[("axis", Int(1))])
        .opset(11)
        .agrees();
}

/// Values of onnxruntime 1.31.1.
#[test]
fn logarithms_of_softmaxes() {
    let log_softmax = |opset, attributes: &[(&str, Attribute)]| {
        one("2,2,2", "LogSoftmax", "x", attributes).opset(opset)
    };
    let together = [
        -3.047095, -1.297095, -2.297095, -0.547095, -1.450133, -2.450133, -0.700133, -1.700133,
    ];
    log_softmax(11, &[]).gives(&[&together]);
    log_softmax(11, &[("axis", Int(-2))]).gives(&[&together]);
    log_softmax(13, &[]).gives(&[&[
        -1.910224, -0.160224, -1.910224, -0.160224, -0.313262, -1.313262, -0.313262, -1.313262,
    ]]);
    log_softmax(13, &[("axis", Int(1))]).gives(&[&[
        -1.136871, -1.136871, -0.386871, -0.386871, -1.136871, -1.136871, -0.386871, -0.386871,
    ]]);
    let refusal = one("4", "LogSoftmax", "x", &[]).opset(11).refusal();
    assert!(refusal.contains("axis 1 does not exist"), "{refusal}");
}

/// The float model as well is right where a softmax is too small for single precision, or nearly: as onnxruntime, both as one operator and
/// as two.
#[test]
fn logarithms_of_confident_softmaxes() {
    let scores = Tensor::new(vec![1, 3], vec![100.0, 5.0, -100.0]);
    let float = |model: Onnx| {
        let prepared = model.import_with(&Options::default()).expect("imports");
        let made = prepared
            .float
            .run(std::slice::from_ref(&scores))
            .expect("runs");
        made[0].data.clone()
    };
    let close = |a: f64, b: f64| (a - b).abs() < 1e-3;
    let one = one("1,3", "LogSoftmax", "x", &[]);
    let made = float(one);
    assert!(close(made[1], -95.0) && close(made[2], -200.0), "{made:?}");
    let two = Onnx::new().input("x", "1,3");
    let two = two
        .node("Softmax", "x", "s", &[])
        .node("Log", "s", "y", &[]);
    let made = float(two.output("y"));
    assert!(
        close(made[1], -95.0) && made[2] == f64::NEG_INFINITY,
        "{made:?}"
    );
}

#[test]
fn normalizations() {
    let model = one("2,3,8", "LayerNormalization", "x,g,b", &[])
        .weight("g", &[8])
        .weight("b", &[8]);
    let graph = model.agrees();
    let norm = graph
        .nodes
        .iter()
        .find(|n| matches!(n.op, Op::RmsNorm { .. }))
        .expect("a norm");
    assert!(norm.stats[0].0 > 0.0);
    let channels = |m: Onnx| m.weight("g", &[3]).weight("b", &[3]);
    channels(one("2,3,4,4", "InstanceNormalization", "x,g,b", &[])).agrees();
    let batch = channels(one("2,3,4,4", "BatchNormalization", "x,g,b,m,v", &[]));
    batch
        .weight("m", &[3])
        .floats("v", &[3], vec![0.5, 1.0, 2.0])
        .agrees();
    let groups = [("num_groups", Int(3))];
    one("2,6,4,4", "GroupNormalization", "x,g,b", &groups)
        .opset(21)
        .weight("g", &[6])
        .weight("b", &[6])
        .agrees();
    one("2,8", "LpNormalization", "x", &[("axis", Int(1))]).agrees();
    channels(one(
        "2,3,4",
        "MeanVarianceNormalization",
        "x",
        &[("axes", Ints(vec![1, 2]))],
    ))
    .agrees();
}

#[test]
fn root_mean_square_norm_by_hand() {
    let model = Onnx::new()
        .input("x", "2,8")
        .floats("two", &[], vec![2.0])
        .floats("e", &[], vec![1e-5]);
    let model = model.node("Pow", "x,two", "s", &[]).node(
        "ReduceMean",
        "s",
        "m",
        &[("axes", Ints(vec![1]))],
    );
    let model = model
        .node("Add", "m,e", "me", &[])
        .node("Sqrt", "me", "r", &[])
        .node("Div", "x,r", "y", &[]);
    let graph = model.output("y").agrees();
    assert!(
        graph
            .nodes
            .iter()
            .any(|n| matches!(n.op, Op::RmsNorm { axis: 1, .. }))
    );
}

#[test]
fn cumulative_sums() {
    for (exclusive, reverse) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let attributes = [("exclusive", Int(exclusive)), ("reverse", Int(reverse))];
        one("2,5,3", "CumSum", "x,a", &attributes)
            .ints("a", &[], &[1])
            .agrees();
    }
}

#[test]
fn fake_quantization_keeps_its_integers() {
    for dtype in [DataType::Uint8, DataType::Int8] {
        let model = Onnx::new()
            .input("x", "40")
            .floats("s", &[], vec![0.05])
            .small("z", dtype, &[], vec![3]);
        let model = model.node("QuantizeLinear", "x,s,z", "q", &[]).node(
            "DequantizeLinear",
            "q,s,z",
            "y",
            &[],
        );
        let graph = model.output("y").agrees();
        let rounds = |node: &&Node| matches!(node.op, Op::Rescale { .. });
        assert_eq!(computed(&graph).into_iter().filter(rounds).count(), 1);
    }
}

#[test]
fn double_precision_where_tract_has_single() {
    let double =
        |model: Onnx, name: &str, shape: &str| model.typed_input(name, DataType::Double, shape);
    let model = double(
        double(double(Onnx::new(), "a", "2,2"), "b", "2,2"),
        "c",
        "2",
    );
    let attributes = [
        ("alpha", Float(2.0)),
        ("beta", Float(0.5)),
        ("transB", Int(1)),
    ];
    let gemm = model.node("Gemm", "a,b,c", "y", &attributes).output("y");
    gemm.gives(&[&[2.625, -1.75, 3.75, -2.5]]);
    let sigmoid = double(Onnx::new(), "a", "2").node("Sigmoid", "a", "y", &[]);
    sigmoid.output("y").gives(&[&[0.222_700_14, 0.622_459_33]]);
}
