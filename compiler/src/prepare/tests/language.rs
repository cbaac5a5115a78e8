//! Language networks: attention, masks, losses, states, recurrent layers.

use tract_onnx::pb::tensor_proto::DataType;

use crate::graph::interpret;
use crate::graph::{Graph, Op, Tensor};
use crate::options::Options;
use crate::prepare::tests::{Float, Int, Ints, Onnx, Text};
use crate::testing::Attribute::{Floats, Texts};
use crate::testing::assert_close;

pub(super) fn import(model: Onnx) -> Graph {
    let imported = model.import_with(&Options::default());
    imported.unwrap_or_else(|e| panic!("{e}")).graph
}

pub(super) fn tensor(shape: &[usize], data: &[f64]) -> Tensor {
    Tensor::new(shape.to_vec(), data.to_vec())
}

/// Runs the imported graph.
pub(super) fn gives(model: Onnx, inputs: &[Tensor], expected: &[Tensor]) {
    assert_close(&interpret::run(&import(model), inputs), expected);
}

fn masked_softmaxes(graph: &Graph) -> usize {
    let masked = |op: &Op, inputs: usize| matches!(op, Op::Softmax { .. }) && inputs == 2;
    let nodes = graph.nodes.iter();
    nodes.filter(|n| masked(&n.op, n.inputs.len())).count()
}

#[test]
fn attention_of_shared_heads_with_a_computed_mask() {
    let model = Onnx::new()
        .opset(23)
        .input("q", "1,2,1,1")
        .input("k", "1,1,3,1")
        .input("v", "1,1,3,1")
        .typed_input("m", DataType::Bool, "1,3")
        .node("Attention", "q,k,v,m", "y", &[("scale", Float(1.0))])
        .output("y");
    let inputs = |mask: [f64; 3]| {
        [
            tensor(&[1, 2, 1, 1], &[1.0, 2.0]),
            tensor(&[1, 1, 3, 1], &[1.0, 2.0, 9.0]),
            tensor(&[1, 1, 3, 1], &[10.0, 20.0, 30.0]),
            tensor(&[1, 3], &mask),
        ]
    };
    let mixed = |q: f64| {
        let (a, b) = (q.exp(), (2.0 * q).exp());
        (10.0 * a + 20.0 * b) / (a + b)
    };
    let expected = tensor(&[1, 2, 1, 1], &[mixed(1.0), mixed(2.0)]);
    gives(model.clone(), &inputs([1.0, 1.0, 0.0]), &[expected]);
    gives(
        model,
        &inputs([0.0; 3]),
        &[tensor(&[1, 2, 1, 1], &[0.0, 0.0])],
    );
}

#[test]
fn attention_shows_no_infinities() {
    let model = Onnx::new().opset(23).input("x", "1,1,2,1").node(
        "Attention",
        "x,x,x",
        "y,k,v,s",
        &[("is_causal", Int(1)), ("qk_matmul_output_mode", Int(2))],
    );
    let said = model.output("y").output("s").refusal();
    assert!(said.contains("infinite at masked positions"), "{said}");
}

/// Scores `[1, 3]` masked in a way that exporters write it.
fn masked(low: f32, sum: bool) -> Onnx {
    let model = Onnx::new()
        .input("s", "1,3")
        .typed_input("m", DataType::Int64, "1,3")
        .floats("one", &[], vec![1.0])
        .floats("zero", &[], vec![0.0])
        .floats("low", &[], vec![low]);
    let model = if sum {
        model
            .node("Cast", "m", "f", &[("to", Int(1))])
            .node("Sub", "one,f", "u", &[])
            .node("Mul", "u,low", "b", &[])
    } else {
        model
            .node("Cast", "m", "f", &[("to", Int(9))])
            .node("Where", "f,zero,low", "b", &[])
    };
    let model = model.node("Add", "s,b", "t", &[]);
    model
        .node("Softmax", "t", "y", &[("axis", Int(-1))])
        .output("y")
}

#[test]
fn masks_of_scores_are_found() {
    let scores = tensor(&[1, 3], &[1.0, 30.0, 2.0]);
    let (a, b) = (1f64.exp(), 2f64.exp());
    let two = tensor(&[1, 3], &[a / (a + b), 0.0, b / (a + b)]);
    for (low, sum) in [
        (-1e4, true),
        (f32::MIN, true),
        (f32::NEG_INFINITY, false),
        (-1e4, false),
    ] {
        let graph = import(masked(low, sum));
        assert_eq!(masked_softmaxes(&graph), 1, "{low}");
        let mask = tensor(&[1, 3], &[1.0, 0.0, 1.0]);
        let made = interpret::run(&graph, &[scores.clone(), mask]);
        assert_close(&made, std::slice::from_ref(&two));
    }
    // Where everything is masked, single precision leaves of the scores what the number is small enough for.
    let nothing = [scores, tensor(&[1, 3], &[0.0; 3])];
    let third = tensor(&[1, 3], &[1.0 / 3.0; 3]);
    for (low, sum) in [
        (f32::MIN, true),
        (-1e9, true),
        (-1e9, false),
        (f32::MIN, false),
    ] {
        gives(masked(low, sum), &nothing, std::slice::from_ref(&third));
    }
    for (low, sum) in [(-1e4, true), (-1e4, false), (-65504.0, true)] {
        let graph = import(masked(low, sum));
        assert!(interpret::run(&graph, &nothing)[0].data[1] > 0.99, "{low}");
    }
    let graph = import(masked(f32::NEG_INFINITY, false));
    assert!(interpret::run(&graph, &nothing)[0].data[1].is_nan());
}

/// Softmax of `s` masked in the way of a node `t` of `s`, `m` (0 or 1) and `low`; and what it is taken of, for `s`, a mask and `low`.
type Way = (fn(Onnx) -> Onnx, fn(f32, f32, f32) -> f32);

#[test]
fn masks_in_every_way_are_those_of_single_precision() {
    let ways: &[Way] = &[
        (
            |model| {
                let model = model
                    .node("Sub", "one,m", "u", &[])
                    .node("Mul", "u,low", "b", &[]);
                model.node("Add", "b,s", "t", &[])
            },
            |s, m, low| (1.0 - m) * low + s,
        ),
        (
            |model| {
                let model = model
                    .node("Sub", "m,one", "u", &[])
                    .node("Mul", "u,low", "b", &[]);
                model.node("Sub", "s,b", "t", &[])
            },
            |s, m, low| s - (m - 1.0) * low,
        ),
        (
            |model| {
                let model = model
                    .node("Mul", "s,m", "k", &[])
                    .node("Sub", "one,m", "u", &[]);
                let model = model.node("Mul", "u,low", "b", &[]);
                model.node("Add", "k,b", "t", &[])
            },
            |s, m, low| s * m + (1.0 - m) * low,
        ),
        (
            |model| {
                let model = model.node("Cast", "m", "c", &[("to", Int(9))]);
                model.node("Where", "c,s,low", "t", &[])
            },
            |s, m, low| if m != 0.0 { s } else { low },
        ),
        (
            // Twice: what is hidden by both is lower.
            |model| {
                let model = model.node("Cast", "m", "c", &[("to", Int(9))]);
                let model = model.node("Where", "c,s,low", "w", &[]);
                let model = model.node("Mul", "first,low", "b", &[]);
                model.node("Add", "w,b", "t", &[])
            },
            |s, m, low| if m != 0.0 { s } else { low },
        ),
    ];
    let model = |way: fn(Onnx) -> Onnx, low: f32| {
        let model = Onnx::new().input("s", "1,3").input("m", "1,3");
        let model = model
            .floats("one", &[], vec![1.0])
            .floats("low", &[], vec![low]);
        let model = way(model.floats("first", &[1, 3], vec![1.0, 0.0, 0.0]));
        model
            .node("Softmax", "t", "y", &[("axis", Int(-1))])
            .output("y")
    };
    for (number, (way, score)) in ways.iter().enumerate() {
        for low in [-1e4, -65504.0, -1e6, -1e9, f32::MIN] {
            let graph = import(model(*way, low));
            assert_eq!(masked_softmaxes(&graph), 1, "{number} {low}");
            for mask in [
                [1.0, 1.0, 1.0],
                [0.0, 1.0, 1.0],
                [0.0, 0.0, 1.0],
                [0.0, 0.0, 0.0],
            ] {
                let scores = [0.25f32, -1.5, 2.0];
                let taken: Vec<f32> = (0..3)
                    .map(|i| {
                        let first = if number == 4 && i == 0 { low } else { 0.0 };
                        score(scores[i], mask[i], low) + first
                    })
                    .collect();
                let greatest = taken.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let powers = taken.iter().map(|t| f64::from(t - greatest).exp());
                let powers: Vec<f64> = powers.collect();
                let sum: f64 = powers.iter().sum();
                let expected: Vec<f64> = powers.iter().map(|p| p / sum).collect();
                let scores = tensor(&[1, 3], &scores.map(f64::from));
                let inputs = [scores, tensor(&[1, 3], &mask.map(f64::from))];
                let made = interpret::run(&graph, &inputs);
                assert_close(&made, &[tensor(&[1, 3], &expected)]);
            }
        }
    }
}

#[test]
fn constant_masks_stay_sums() {
    let model = Onnx::new()
        .input("s", "1,3")
        .floats("b", &[1, 3], vec![0.0, f32::MIN, 0.0])
        .node("Add", "s,b", "t", &[])
        .node("Softmax", "t", "y", &[("axis", Int(-1))]);
    assert_eq!(masked_softmaxes(&model.output("y").agrees()), 0);
}

#[test]
fn a_score_times_a_large_number_is_no_mask() {
    let model = Onnx::new()
        .input("s", "1,3")
        .floats("low", &[], vec![-1e4])
        .node("Mul", "s,low", "t", &[])
        .node("Softmax", "t", "y", &[("axis", Int(-1))]);
    assert_eq!(masked_softmaxes(&import(model.output("y"))), 0);
}

fn likelihood(attributes: &[(&str, crate::prepare::tests::Attribute)]) -> Onnx {
    Onnx::new()
        .input("x", "2,3")
        .typed_input("t", DataType::Int64, "2")
        .floats("w", &[3], vec![0.5, 2.0, 1.0])
        .node("NegativeLogLikelihoodLoss", "x,t,w", "y", attributes)
        .output("y")
}

#[test]
fn losses_pick_the_score_of_the_target() {
    let x = tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let inputs = [x, tensor(&[2], &[1.0, 0.0])];
    let expect = |attributes: &[(&str, crate::prepare::tests::Attribute)], expected: Tensor| {
        gives(likelihood(attributes), &inputs, &[expected]);
    };
    expect(&[("reduction", Text("none"))], tensor(&[2], &[-4.0, -2.0]));
    expect(&[("reduction", Text("sum"))], tensor(&[], &[-6.0]));
    expect(&[], tensor(&[], &[-6.0 / 2.5]));
    expect(&[("ignore_index", Int(1))], tensor(&[], &[-4.0]));
    let entropy = Onnx::new()
        .input("x", "1,2")
        .typed_input("t", DataType::Int64, "1")
        .node("SoftmaxCrossEntropyLoss", "x,t", "y,l", &[])
        .output("y")
        .output("l");
    let (a, b) = (-(1.0 + 1f64.exp()).ln(), 1.0 - (1.0 + 1f64.exp()).ln());
    let inputs = [tensor(&[1, 2], &[0.0, 1.0]), tensor(&[1], &[1.0])];
    gives(
        entropy,
        &inputs,
        &[tensor(&[], &[-b]), tensor(&[1, 2], &[a, b])],
    );
}

#[test]
fn states_are_carried() {
    let x = tensor(&[1, 2, 1], &[2.0, 3.0]);
    let rule = [
        ("q_num_heads", Int(1)),
        ("kv_num_heads", Int(1)),
        ("update_rule", Text("delta")),
    ];
    let model = Onnx::new()
        .opset(27)
        .input("x", "1,2,1")
        .floats("beta", &[1, 2, 1], vec![1.0, 0.5])
        .node("LinearAttention", "x,x,x,,,beta", "y,s", &rule);
    // S = 2 * 2; then S = 4 + 3 * 0.5 (3 - 4 * 3).
    let expected = [
        tensor(&[1, 2, 1], &[8.0, -28.5]),
        tensor(&[1, 1, 1, 1], &[-9.5]),
    ];
    gives(model.output("y").output("s"), &[x], &expected);
    let model = Onnx::new()
        .opset(27)
        .input("x", "1,1,3")
        .input("w", "1,1,2")
        .node("CausalConvWithState", "x,w", "y,s", &[]);
    let inputs = [
        tensor(&[1, 1, 3], &[1.0, 2.0, 3.0]),
        tensor(&[1, 1, 2], &[10.0, 1.0]),
    ];
    let expected = [
        tensor(&[1, 1, 3], &[1.0, 12.0, 23.0]),
        tensor(&[1, 1, 1], &[3.0]),
    ];
    gives(model.output("y").output("s"), &inputs, &expected);
    let model = crate::prepare::tests::one(
        "4",
        "CumProd",
        "x,a",
        &[("exclusive", Int(1)), ("reverse", Int(1))],
    );
    let inputs = [tensor(&[4], &[1.0, 2.0, 3.0, 4.0])];
    let expected = tensor(&[4], &[24.0, 12.0, 4.0, 1.0]);
    gives(model.opset(26).ints("a", &[], &[0]), &inputs, &[expected]);
    let model = Onnx::new()
        .opset(27)
        .input("c", "1,3,1")
        .input("u", "1,2,1")
        .typed_input("i", DataType::Int64, "1")
        .node("TensorScatter", "c,u,i", "y", &[("mode", Text("circular"))]);
    let inputs = [
        tensor(&[1, 3, 1], &[1.0, 2.0, 3.0]),
        tensor(&[1, 2, 1], &[7.0, 8.0]),
        tensor(&[1], &[2.0]),
    ];
    gives(
        model.output("y"),
        &inputs,
        &[tensor(&[1, 3, 1], &[8.0, 2.0, 7.0])],
    );
}

#[test]
fn optimizers_step() {
    let model = Onnx::new()
        .input("r", "")
        .typed_input("t", DataType::Int64, "")
        .input("x", "1")
        .input("g", "1")
        .input("v", "1");
    let numbers = [
        ("alpha", Float(0.5)),
        ("beta", Float(0.25)),
        ("norm_coefficient", Float(0.0)),
        ("mode", Text("nesterov")),
    ];
    let inputs = |t: f64| {
        let [r, x, g, v] = [[0.1], [1.0], [2.0], [4.0]];
        [
            tensor(&[], &r),
            tensor(&[], &[t]),
            tensor(&[1], &x),
            tensor(&[1], &g),
            tensor(&[1], &v),
        ]
    };
    let momentum = model.clone().node("Momentum", "r,t,x,g,v", "y,w", &numbers);
    let momentum = momentum.output("y").output("w");
    let first = [tensor(&[1], &[0.6]), tensor(&[1], &[4.0])];
    gives(momentum.clone(), &inputs(0.0), &first);
    let later = [tensor(&[1], &[0.675]), tensor(&[1], &[2.5])];
    gives(momentum, &inputs(3.0), &later);
    let adagrad = model.node(
        "Adagrad",
        "r,t,x,g,v",
        "y,w",
        &[("decay_factor", Float(1.0))],
    );
    let expected = [
        tensor(&[1], &[1.0 - 0.05 * 2.0 / 8f64.sqrt()]),
        tensor(&[1], &[8.0]),
    ];
    gives(adagrad.output("y").output("w"), &inputs(1.0), &expected);
}

#[test]
fn batches_are_normalized_by_themselves() {
    let model = Onnx::new()
        .opset(15)
        .input("x", "2,1")
        .floats("s", &[1], vec![2.0])
        .floats("b", &[1], vec![1.0])
        .floats("m", &[1], vec![10.0])
        .floats("v", &[1], vec![20.0]);
    let training = [
        ("training_mode", Int(1)),
        ("epsilon", Float(0.0)),
        ("momentum", Float(0.5)),
    ];
    let model = model.node("BatchNormalization", "x,s,b,m,v", "y,n,w", &training);
    let expected = [
        tensor(&[2, 1], &[-1.0, 3.0]),
        tensor(&[1], &[7.0]),
        tensor(&[1], &[10.5]),
    ];
    let inputs = [tensor(&[2, 1], &[3.0, 5.0])];
    gives(
        model.output("y").output("n").output("w"),
        &inputs,
        &expected,
    );
}

#[test]
fn short_sequences_end_early() {
    let model = Onnx::new()
        .input("x", "2,2,1")
        .floats("w", &[1, 1, 1], vec![1.0])
        .floats("r", &[1, 1, 1], vec![1.0])
        .typed_input("l", DataType::Int32, "2");
    let attributes = [
        ("hidden_size", Int(1)),
        ("activations", Texts(vec!["Affine"])),
        ("activation_alpha", Floats(vec![2.0])),
        ("activation_beta", Floats(vec![1.0])),
        ("clip", Float(5.0)),
    ];
    let model = model.node("RNN", "x,w,r,,l", "y,h", &attributes);
    let inputs = [
        tensor(&[2, 2, 1], &[1.0, 2.0, 3.0, 4.0]),
        tensor(&[2], &[2.0, 1.0]),
    ];
    // 2 * 1 + 1, then 2 min(3 + 3, 5) + 1; 2 * 2 + 1, and no more.
    let expected = [
        tensor(&[2, 1, 2, 1], &[3.0, 5.0, 11.0, 0.0]),
        tensor(&[1, 2, 1], &[11.0, 5.0]),
    ];
    gives(model.output("y").output("h"), &inputs, &expected);
}

#[test]
fn n_grams_are_counted() {
    let attributes = [
        ("mode", Text("TF")),
        ("min_gram_length", Int(1)),
        ("max_gram_length", Int(2)),
        ("max_skip_count", Int(1)),
        ("ngram_counts", Ints(vec![0, 2])),
        ("ngram_indexes", Ints(vec![0, 1, 2, 3])),
        ("pool_int64s", Ints(vec![2, 3, 5, 4, 5, 6])),
    ];
    let model = Onnx::new().typed_input("x", DataType::Int64, "5").node(
        "TfIdfVectorizer",
        "x",
        "y",
        &attributes,
    );
    let inputs = [tensor(&[5], &[5.0, 4.0, 6.0, 3.0, 3.0])];
    gives(
        model.output("y"),
        &inputs,
        &[tensor(&[4], &[0.0, 2.0, 1.0, 1.0])],
    );
}
