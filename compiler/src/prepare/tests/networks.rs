//! Operators together: fusion of written-out functions, recurrent cells, attention.

use crate::graph::{BinaryFn, Op, UnaryFn};
use crate::onnx::load;
use crate::options::Options;
use crate::prepare::prepare;
use crate::prepare::tests::{Int, Ints, Onnx, Text, computed, named};

/// `0.5 x (1 + tanh(0.79788456 (x + 0.044715 x x x)))`, in nine nodes.
fn written_out_gelu(model: Onnx) -> Onnx {
    model
        .floats("half", &[], vec![0.5])
        .floats("cubic", &[], vec![0.044715])
        .floats("root", &[], vec![0.797_884_6])
        .floats("one", &[], vec![1.0])
        .node("Mul", "h,half", "hh", &[])
        .node("Mul", "h,cubic", "c1", &[])
        .node("Mul", "c1,h", "c2", &[])
        .node("Mul", "c2,h", "c3", &[])
        .node("Add", "h,c3", "s", &[])
        .node("Mul", "s,root", "r", &[])
        .node("Tanh", "r", "t", &[])
        .node("Add", "t,one", "o", &[])
        .node("Mul", "hh,o", "g", &[])
}

#[test]
fn nine_nodes_of_gelu_are_one() {
    let model = Onnx::new()
        .input("x", "2,4")
        .weight("w", &[4, 8])
        .weight("v", &[8, 4]);
    let model =
        written_out_gelu(model.node("MatMul", "x,w", "h", &[])).node("MatMul", "g,v", "y", &[]);
    let graph = model.output("y").agrees();
    let operators: Vec<&Op> = computed(&graph).iter().map(|n| &n.op).collect();
    assert_eq!(operators.len(), 3, "{operators:?}");
    assert!(matches!(named(&graph, "g").op, Op::Pointwise(_)));
}

#[test]
fn what_others_need_stays() {
    let model = written_out_gelu(Onnx::new().input("h", "5"))
        .output("g")
        .output("s");
    let graph = model.agrees();
    assert_eq!(computed(&graph).len(), 2);
    assert!(matches!(named(&graph, "s").op, Op::Pointwise(_)));
}

#[test]
fn an_affine_tail_of_a_shared_function_stays_linear() {
    let model = Onnx::new()
        .input("x", "5")
        .floats("a", &[], vec![0.5])
        .node("Relu", "x", "r", &[]);
    let model = model
        .node("Mul", "r,a", "m", &[])
        .node("Add", "m,a", "y", &[]);
    let graph = model.clone().output("y").output("r").agrees();
    assert!(matches!(named(&graph, "y").op, Op::Binary(BinaryFn::Add)));
    assert!(matches!(named(&graph, "m").op, Op::Binary(BinaryFn::Mul)));
    let graph = model.output("y").agrees();
    assert!(matches!(named(&graph, "y").op, Op::Pointwise(_)));
}

#[test]
fn functions_of_two_values_are_not_fused() {
    let model = Onnx::new()
        .input("x", "5")
        .input("z", "5")
        .node("Tanh", "x", "t", &[]);
    let graph = model.node("Mul", "t,z", "y", &[]).output("y").agrees();
    assert_eq!(named(&graph, "y").op, Op::Binary(BinaryFn::Mul));
}

#[test]
fn silu_by_hand() {
    let model = Onnx::new()
        .input("x", "5")
        .node("Sigmoid", "x", "s", &[])
        .node("Mul", "x,s", "y", &[]);
    let graph = model.output("y").agrees();
    assert_eq!(
        computed(&graph)[0].op,
        Op::Pointwise(crate::graph::Pointwise::of(UnaryFn::Silu))
    );
}

#[test]
fn a_doubling_chain_does_not_explode() {
    let mut model = Onnx::new().input("v0", "3");
    for i in 0..40 {
        let (from, square, to) = (format!("v{i}"), format!("q{i}"), format!("v{}", i + 1));
        model = model.node("Sin", &from, &square, &[]).node(
            "Mul",
            &format!("{square},{from}"),
            &to,
            &[],
        );
    }
    let graph = model.output("v40").agrees();
    assert!(computed(&graph).len() < 20);
}

#[test]
fn attention() {
    let heads = |name: &str| format!("{name}r");
    let mut model = Onnx::new()
        .input("x", "1,4,6")
        .ints("split", &[4], &[1, 4, 2, 3])
        .ints("join", &[3], &[1, 4, 6]);
    for name in ["q", "k", "v"] {
        let (product, apart) = (format!("{name}p"), heads(name));
        model = model
            .weight(name, &[6, 6])
            .node("MatMul", &format!("x,{name}"), &product, &[])
            .node("Reshape", &format!("{product},split"), &apart, &[])
            .node(
                "Transpose",
                &apart,
                &format!("{name}t"),
                &[("perm", Ints(vec![0, 2, 1, 3]))],
            );
    }
    let mask: Vec<bool> = (0..16).map(|i| i % 4 <= i / 4).collect();
    let graph = model
        .node(
            "Transpose",
            "kt",
            "ktt",
            &[("perm", Ints(vec![0, 1, 3, 2]))],
        )
        .node("MatMul", "qt,ktt", "scores", &[])
        .floats("root", &[], vec![1.732])
        .node("Div", "scores,root", "scaled", &[])
        .booleans("mask", &[1, 1, 4, 4], &mask)
        .floats("inf", &[], vec![f32::NEG_INFINITY])
        .node("Where", "mask,scaled,inf", "masked", &[])
        .node("Softmax", "masked", "probabilities", &[("axis", Int(-1))])
        .node("MatMul", "probabilities,vt", "mixed", &[])
        .node(
            "Transpose",
            "mixed",
            "back",
            &[("perm", Ints(vec![0, 2, 1, 3]))],
        )
        .node("Reshape", "back,join", "y", &[])
        .output("y")
        .agrees();
    assert!(
        graph
            .nodes
            .iter()
            .any(|n| matches!(n.op, Op::Softmax { axis: 3, .. }))
    );
}

fn recurrent(
    operator: &str,
    gates: usize,
    direction: &'static str,
    extra: &[(&str, crate::prepare::tests::Attribute)],
) -> Onnx {
    let directions = if direction == "bidirectional" { 2 } else { 1 };
    let hidden = 4;
    let mut model = Onnx::new()
        .input("x", "3,2,5")
        .weight("w", &[directions, gates * hidden, 5])
        .weight("r", &[directions, gates * hidden, hidden])
        .weight("b", &[directions, 2 * gates * hidden])
        .node(
            operator,
            "x,w,r,b",
            "y,h",
            &[("hidden_size", Int(4)), ("direction", Text(direction))],
        )
        .output("y")
        .output("h");
    model.extend_last(extra);
    model
}

#[test]
fn recurrent_networks_are_unrolled() {
    for direction in ["forward", "reverse", "bidirectional"] {
        recurrent("LSTM", 4, direction, &[]).agrees();
        recurrent("RNN", 1, direction, &[]).agrees();
        recurrent("GRU", 3, direction, &[]).agrees();
        recurrent("GRU", 3, direction, &[("linear_before_reset", Int(1))]).agrees();
    }
}

#[test]
fn steps_share_their_weights() {
    let graph = recurrent("LSTM", 4, "forward", &[]).agrees();
    let large = graph
        .nodes
        .iter()
        .filter(|n| n.constant().is_some_and(|t| t.data.len() >= 64))
        .count();
    assert_eq!(large, 2);
}

#[test]
fn weights_in_another_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights: Vec<f32> = (0..6).map(|i| i as f32 * 0.5).collect();
    let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    std::fs::write(folder.path().join("weights.bin"), bytes).expect("written");
    let model = Onnx::new()
        .input("x", "2,2")
        .external("w", &[2, 3], "weights.bin");
    let model = model.node("MatMul", "x,w", "y", &[]).output("y");
    let options = Options::default();
    let loaded = load::from_proto(model.proto(), folder.path().to_str(), "test.onnx", &options)
        .expect("loads");
    assert_eq!(loaded.parameters, 6);
    let imported = prepare(loaded, &options).expect("imports");
    let constant = imported
        .graph
        .nodes
        .iter()
        .find_map(|n| n.constant())
        .expect("a constant");
    let mut data: Vec<f32> = constant.data.iter().map(|v| *v as f32).collect();
    data.sort_by(f32::total_cmp);
    assert_eq!(data, weights);
}

#[test]
fn sequences_that_become_too_many_nodes_are_refused() {
    let model = Onnx::new()
        .input("x", "2000,1,2")
        .weight("w", &[1, 8, 2])
        .weight("r", &[1, 8, 2])
        .node("LSTM", "x,w,r", "y", &[("hidden_size", Int(2))]);
    let said = model.output("y").refusal();
    assert!(said.contains("`y` (LSTM): it has too many steps"), "{said}");
}
