//! Operators that move data.

use tract_onnx::pb::tensor_proto::DataType;

use crate::graph::{Op, Tensor};
use crate::prepare::tests::{Int, Ints, Onnx, Text, named, one};

#[test]
fn axes() {
    one("2,3,4", "Transpose", "x", &[("perm", Ints(vec![2, 0, 1]))]).agrees();
    one("2,3,4", "Reshape", "x,s", &[])
        .ints("s", &[2], &[6, -1])
        .agrees();
    one("2,3,4", "Flatten", "x", &[("axis", Int(2))]).agrees();
    one("2,1,4", "Squeeze", "x,a", &[])
        .ints("a", &[1], &[1])
        .agrees();
    one("2,4", "Unsqueeze", "x,a", &[])
        .ints("a", &[2], &[0, 3])
        .agrees();
    one("1,12,2,3", "DepthToSpace", "x", &[("blocksize", Int(2))]).agrees();
    one("1,3,4,6", "SpaceToDepth", "x", &[("blocksize", Int(2))]).agrees();
}

#[test]
fn slices() {
    let slice = |start: i64, end: i64, axis: i64, step: i64| {
        let model = one("5,6", "Slice", "x,s,e,a,t", &[])
            .ints("s", &[1], &[start])
            .ints("e", &[1], &[end]);
        model.ints("a", &[1], &[axis]).ints("t", &[1], &[step])
    };
    slice(1, 4, 0, 1).agrees();
    slice(0, 6, 1, 2).agrees();
    slice(1, 6, 1, 2).agrees();
    slice(-1, -7, 1, -1).agrees();
    let model = Onnx::new().input("x", "2,6").ints("s", &[2], &[2, 4]);
    model
        .node("Split", "x,s", "a,b", &[("axis", Int(1))])
        .output("b")
        .output("a")
        .agrees();
}

#[test]
fn concatenation() {
    one("2,3", "Concat", "x,z,x", &[("axis", Int(1))])
        .input("z", "2,2")
        .agrees();
}

#[test]
fn padding() {
    for mode in ["constant", "reflect", "edge"] {
        one("3,4", "Pad", "x,p", &[("mode", Text(mode))])
            .ints("p", &[4], &[1, 2, 2, 0])
            .agrees();
    }
    let model = one("3,4", "Pad", "x,p,v", &[])
        .ints("p", &[4], &[0, 1, 0, 1])
        .floats("v", &[], vec![-1.5]);
    let graph = model.agrees();
    assert_eq!(
        named(&graph, "y").op,
        Op::Pad {
            before: vec![0, 1],
            value: -1.5
        }
    );
}

#[test]
fn repetition() {
    one("2,1,3", "Expand", "x,s", &[])
        .ints("s", &[3], &[2, 4, 3])
        .agrees();
    one("3", "Expand", "x,s", &[])
        .ints("s", &[2], &[2, 3])
        .agrees();
    one("2,3", "Tile", "x,r", &[])
        .ints("r", &[2], &[2, 3])
        .agrees();
}

#[test]
fn repetition_before_arithmetic_is_left_to_it() {
    let model = Onnx::new()
        .input("x", "1,3")
        .input("z", "4,3")
        .ints("s", &[2], &[4, 3]);
    let graph = model
        .node("Expand", "x,s", "e", &[])
        .node("Add", "e,z", "y", &[])
        .output("y")
        .agrees();
    assert!(!graph.nodes.iter().any(|n| n.op == Op::Broadcast));
}

#[test]
fn picking() {
    let graph = Onnx::new()
        .typed_input("i", DataType::Int64, "2,3")
        .weight("table", &[7, 4])
        .node("Gather", "table,i", "y", &[])
        .output("y")
        .agrees();
    assert_eq!(named(&graph, "y").op, Op::Gather { axis: 0 });
    assert_eq!(named(&graph, "i").range, (0.0, 6.0));
    one("2,5,3", "Gather", "x,i", &[("axis", Int(1))])
        .ints("i", &[2], &[-1, 2])
        .agrees();
    one("2,5,3", "Gather", "x,i", &[("axis", Int(1))])
        .ints("i", &[], &[2])
        .agrees();
    let indices: Vec<i64> = (0..12).map(|i| i * 7 % 5).collect();
    one("2,5,3", "GatherElements", "x,i", &[("axis", Int(1))])
        .ints("i", &[2, 2, 3], &indices)
        .agrees();
    one("2,5,3", "GatherND", "x,i", &[])
        .ints("i", &[3, 2], &[0, 1, 1, 4, 0, 3])
        .agrees();
    let batched = one("2,5,3", "GatherND", "x,i", &[("batch_dims", Int(1))]);
    batched.ints("i", &[2, 1], &[3, 1]).agrees();
}

#[test]
fn one_hot() {
    let model = Onnx::new()
        .typed_input("i", DataType::Int64, "2,3")
        .weight("table", &[5, 2]);
    let model = model
        .ints("depth", &[], &[5])
        .floats("values", &[2], vec![-1.0, 2.0]);
    let model =
        model
            .node("Gather", "table,i", "picked", &[])
            .node("OneHot", "i,depth,values", "y", &[]);
    model.output("y").output("picked").agrees();
}

#[test]
fn writing() {
    let model = one("2,5", "ScatterElements", "x,i,u", &[("axis", Int(1))]).input("u", "2,2");
    model.ints("i", &[2, 2], &[1, 3, 0, -1]).agrees();
    let model = one("4,3", "ScatterND", "x,i,u", &[]).input("u", "2,3");
    model.ints("i", &[2, 1], &[2, 0]).agrees();
}

#[test]
fn selection() {
    let mask: Vec<bool> = (0..12).map(|i| i % 3 == 0).collect();
    let model = one("2,3,4", "Where", "m,x,z", &[])
        .input("z", "1")
        .booleans("m", &[3, 4], &mask);
    assert_eq!(named(&model.agrees(), "y").op, Op::Select);
    for upper in [0, 1] {
        one("2,4,5", "Trilu", "x,k", &[("upper", Int(upper))])
            .ints("k", &[], &[1])
            .agrees();
    }
}

#[test]
fn a_mask_of_infinities_has_no_range() {
    let mask: Vec<bool> = (0..16).map(|i| i % 4 <= i / 4).collect();
    let model = Onnx::new()
        .input("x", "4,4")
        .booleans("m", &[4, 4], &mask)
        .floats("inf", &[], vec![f32::NEG_INFINITY]);
    let model =
        model
            .node("Where", "m,x,inf", "w", &[])
            .node("Softmax", "w", "y", &[("axis", Int(1))]);
    let graph = model.output("y").agrees();
    assert!(named(&graph, "w").range.0 > -10.0);
}

#[test]
fn constants_are_folded_and_shared() {
    let model = Onnx::new()
        .input("x", "2,3")
        .weight("w", &[2, 3])
        .ints("s", &[2], &[3, 2]);
    let model = model
        .node("Exp", "w", "e", &[])
        .node("Reshape", "e,s", "r", &[]);
    let model = model
        .node("Transpose", "r", "t", &[("perm", Ints(vec![1, 0]))])
        .node("Add", "x,t", "y", &[]);
    let graph = model.output("y").agrees();
    assert_eq!(graph.nodes.len(), 3);
}

#[test]
fn unused_nodes_go_and_unused_inputs_stay() {
    let model = Onnx::new()
        .input("x", "2")
        .input("unused", "3")
        .node("Exp", "unused", "dead", &[]);
    let graph = model.node("Tanh", "x", "y", &[]).output("y").agrees();
    assert_eq!(graph.inputs.len(), 2);
    assert_eq!(graph.nodes.len(), 3);
}

#[test]
fn an_input_may_be_an_output() {
    let graph = Onnx::new()
        .input("x", "2")
        .node("Identity", "x", "y", &[])
        .output("y")
        .output("x")
        .agrees();
    assert_eq!(
        graph
            .outputs
            .iter()
            .map(|o| o.0.as_str())
            .collect::<Vec<_>>(),
        ["y", "x"]
    );
}

#[test]
fn symbolic_dimensions_are_bound() {
    let model = Onnx::new()
        .input("x", "batch,length,4")
        .node("Tanh", "x", "y", &[])
        .output("y");
    let options = |dimensions: &[(&str, usize)]| crate::options::Options {
        dimensions: dimensions
            .iter()
            .map(|(n, v)| (n.to_string(), *v))
            .collect(),
        ..Default::default()
    };
    let imported = model
        .clone()
        .import_with(&options(&[("length", 3)]))
        .expect("imports");
    assert_eq!(imported.float.inputs[0].shape, [1, 3, 4]);
    let sum = Onnx::new()
        .input("x", "past + 2")
        .node("Tanh", "x", "y", &[])
        .output("y");
    let imported = sum.import_with(&options(&[("past", 5)])).expect("imports");
    assert_eq!(imported.float.outputs[0].shape, [7]);
    let wrong = model
        .import_with(&options(&[("lenght", 3)]))
        .expect_err("misspelt")
        .to_string();
    assert!(
        wrong.contains("no symbolic dimension named `lenght`, only `batch`, `length`"),
        "{wrong}"
    );
}

#[test]
fn names_come_from_onnx() {
    let model = Onnx::new()
        .input("x", "2,8")
        .weight("scale", &[8])
        .weight("offset", &[8]);
    let graph = model
        .node("LayerNormalization", "x,scale,offset", "ln", &[])
        .output("ln")
        .agrees();
    let names: std::collections::HashSet<&str> =
        graph.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names.len(), graph.nodes.len());
    assert!(
        names.contains("ln") && names.contains("ln.reduce"),
        "{names:?}"
    );
    assert!(!names.iter().any(|n| n.contains("fix-rank")), "{names:?}");
}

#[test]
fn samples_set_ranges() {
    let model = Onnx::new()
        .input("x", "2")
        .node("Tanh", "x", "y", &[])
        .output("y");
    let sample = |data: [f64; 2]| {
        vec![crate::ports::Sample {
            shape: vec![2],
            data: data.to_vec(),
        }]
    };
    let options = crate::options::Options {
        samples: vec![sample([1.0, 2.0]), sample([0.5, -3.0])],
        ..Default::default()
    };
    let imported = model.import_with(&options).expect("imports");
    assert_eq!(imported.graph.nodes[0].range, (-3.0, 2.0));
    let outputs = imported
        .float
        .run(&[Tensor::new(vec![2], vec![0.0, 0.0])])
        .expect("runs");
    assert_eq!(outputs[0].data, [0.0, 0.0]);
}
