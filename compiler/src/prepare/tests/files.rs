//! What files may say, and what they may not: opsets, old operators, names, functions, sequences, element types.

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    FunctionProto, NodeProto, OperatorSetIdProto, SparseTensorProto, TensorProto,
};

use crate::graph::{Tensor, interpret};
use crate::onnx::load;
use crate::options::Options;
use crate::prepare::tests::{Float, Int, Ints, Onnx, Text, one};
use crate::prepare::{from_bytes, prepare};
use crate::testing::assert_close;

/// What `gives` feeds to an input of two rows.
const X: [f64; 6] = [-1.25, 0.5, -0.5, 1.25, 0.25, -0.75];

#[test]
fn operators_are_those_of_their_domain_and_opset() {
    let refusals = [
        (
            one("2,3", "vendor.x.Relu", "x", &[]),
            "does not import its operator set `vendor.x`",
        ),
        (
            one("2,3", "com.microsoft.Relu", "x", &[]),
            "of the domain `com.microsoft` is not supported",
        ),
        (
            one("2,3", "Gelu", "x", &[]).opset(11),
            "`ai.onnx` has it since version 20, and the model imports version 11",
        ),
        (
            one("2,3", "Relu", "x", &[("alpha", Float(0.5))]),
            "it has no attribute `alpha` in opset 17",
        ),
        (
            one("2,3", "Elu", "x", &[("alpha", Int(1))]),
            "its attribute `alpha` has another type",
        ),
        (
            one("2,3", "Concat", "x,x", &[]),
            "its attribute `axis` is missing",
        ),
        (
            one("2,3", "Relu", "x,x", &[]),
            "it has 2 operands, and takes at most 1",
        ),
        (one("2,3", "MatMul", "x", &[]), "its operand 1 is missing"),
        (
            one("2,3", "Relu", "x", &[]).opset(99),
            "version 99 of the operator set `ai.onnx`",
        ),
    ];
    for (model, expected) in refusals {
        let said = model.refusal();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn each_value_is_written_once_and_before_it_is_read() {
    let unsorted = Onnx::new().input("x", "2,3").node("Neg", "a", "y", &[]);
    let unsorted = unsorted.node("Abs", "x", "a", &[]).output("y");
    unsorted.gives(&[&X.map(|x| -x.abs())]);
    let twice = one("2,3", "Abs", "x", &[]).node("Neg", "x", "y", &[]);
    assert!(
        twice
            .refusal()
            .contains("`y` (Neg): it writes `y`, which is written elsewhere as well")
    );
    let circle = Onnx::new().input("x", "2,3").node("Add", "x,y", "a", &[]);
    let circle = circle.node("Neg", "a", "y", &[]).output("y").refusal();
    assert!(
        circle.contains("it needs a value that needs its own result"),
        "{circle}"
    );
    let missing = one("2,3", "Abs", "x", &[]).output("z").refusal();
    assert_eq!(
        missing,
        "cannot load `test.onnx`: nothing computes its output `z`"
    );
}

#[test]
fn operands_of_old_opsets_are_broadcast_by_their_axis() {
    let old = |operator: &str, operands: &str, axis: i64| {
        let attributes = [("broadcast", Int(1)), ("axis", Int(axis))];
        one("2,3", operator, operands, &attributes).opset(6)
    };
    let by_row = old("Add", "x,b", 0).floats("b", &[2], vec![10.0, 20.0]);
    by_row.gives(&[&[8.75, 10.5, 9.5, 21.25, 20.25, 19.25]]);
    let by_column = old("Mul", "x,b", 1).floats("b", &[3], vec![1.0, 2.0, 4.0]);
    by_column.gives(&[&[-1.25, 1.0, -2.0, 1.25, 0.5, -3.0]]);
    let unlike = one("2,3", "Add", "x,b", &[])
        .opset(6)
        .floats("b", &[3], vec![1.0; 3]);
    assert!(
        unlike
            .refusal()
            .contains("do not fit together before opset 7")
    );
    let slopes = one("1,2,3", "PRelu", "x,s", &[])
        .opset(6)
        .floats("s", &[2], vec![2.0, 4.0]);
    slopes.gives(&[&[-2.5, 0.5, -1.0, 1.25, 0.25, -3.0]]);
}

#[test]
fn operators_of_old_opsets() {
    let tiled = one("2,3", "Tile", "x,n,a", &[]).opset(1);
    let tiled = tiled
        .floats("n", &[1], vec![2.0])
        .floats("a", &[1], vec![1.0]);
    tiled.gives(&[&[
        -1.25, 0.5, -0.5, -1.25, 0.5, -0.5, 1.25, 0.25, -0.75, 1.25, 0.25, -0.75,
    ]]);
    let scales = [("height_scale", Float(1.0)), ("width_scale", Float(2.0))];
    let raised = one("1,1,1,2", "Upsample", "x", &scales).opset(1);
    raised.gives(&[&[-1.25, -1.25, 0.5, 0.5]]);
    let squeezed = one("1,2,1,3", "Squeeze", "x", &[]).opset(11).gives(&[&X]);
    assert_eq!(squeezed.nodes[squeezed.outputs[0].1].shape, [2, 3]);
    let shape = [("shape", Ints(vec![3, 2]))];
    one("2,3", "Reshape", "x", &shape).opset(1).gives(&[&X]);
    let cast = one("2,3", "Cast", "x", &[("to", Text("INT32"))]).opset(1);
    cast.gives(&[&X.map(f64::trunc)]);
    let joined = one("1,2", "Concat", "x,x", &[]).opset(1);
    joined.gives(&[&[-1.25, 0.5, -1.25, 0.5]]);
    let normal = one(
        "1,2,2",
        "BatchNormalization",
        "x,s,b,m,v",
        &[("spatial", Int(0)), ("epsilon", Float(0.0))],
    );
    let normal = normal
        .opset(7)
        .floats("s", &[2, 2], vec![1.0, 2.0, 3.0, 4.0])
        .floats("b", &[2, 2], vec![0.5; 4]);
    let normal = normal
        .floats("m", &[2, 2], vec![0.0, 1.0, 0.0, 1.0])
        .floats("v", &[2, 2], vec![4.0, 4.0, 1.0, 1.0]);
    normal.gives(&[&[-0.125, 0.0, -1.0, 1.5]]);
}

#[test]
fn operands_that_are_left_out_at_the_end() {
    let convolved = one("1,1,2,3", "Conv", "x,w,", &[]).floats("w", &[1, 1, 1, 1], vec![2.0]);
    convolved.gives(&[&X.map(|x| 2.0 * x)]);
    let summed = one("2,3", "ReduceSum", "x,", &[("keepdims", Int(0))]);
    summed.gives(&[&[X.iter().sum()]]);
}

#[test]
fn an_axis_of_one_element() {
    let summed = one("2,3", "CumSum", "x,a", &[]).ints("a", &[1], &[1]);
    summed.gives(&[&[-1.25, -0.75, -1.25, 1.25, 1.5, 0.75]]);
}

#[test]
fn products_of_vectors() {
    let squares = X.iter().map(|x| x * x).sum();
    one("6", "MatMul", "x,x", &[]).gives(&[&[squares]]);
}

#[test]
fn what_is_proved_is_a_number() {
    let tested = one("2,3", "IsNaN", "x", &[])
        .node("IsInf", "x", "z", &[])
        .output("z");
    tested.gives(&[&[0.0; 6], &[0.0; 6]]);
    let masked = Onnx::new()
        .input("x", "2,3")
        .booleans("m", &[1, 3], &[true, false, true])
        .floats("low", &[], vec![f32::NEG_INFINITY])
        .node("Where", "m,x,low", "a", &[]);
    let said = masked
        .clone()
        .node("IsInf", "a", "y", &[])
        .output("y")
        .refusal();
    assert!(
        said.contains("`y` (IsInf): a constant before it is infinite"),
        "{said}"
    );
    let attention = masked
        .node("Softmax", "a", "p", &[])
        .node("IsNaN", "p", "y", &[]);
    attention.output("y").output("p").agrees();
}

fn node(operator: &str, operands: &[&str], results: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    NodeProto {
        op_type: operator.into(),
        input: owned(operands),
        output: owned(results),
        ..Default::default()
    }
}

/// A function `my::Softmax (x) => (y)` of these nodes.
fn function(nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some("Softmax".into()),
        domain: Some("my".into()),
        input: vec!["x".into()],
        output: vec!["y".into()],
        node: nodes,
        opset_import: [("", 17), ("my", 1)]
            .map(|(domain, version)| OperatorSetIdProto {
                domain: domain.into(),
                version,
            })
            .to_vec(),
        ..Default::default()
    }
}

fn imported(model: Onnx, functions: Vec<FunctionProto>) -> Result<Tensor, String> {
    let mut proto = model.proto();
    proto.functions = functions;
    let bytes = proto.encode_to_vec();
    let prepared =
        from_bytes(&bytes, "test.onnx", &Options::default()).map_err(|e| e.to_string())?;
    let x = Tensor::new(vec![2, 3], X.to_vec());
    Ok(interpret::run(&prepared.graph, &[x]).remove(0))
}

#[test]
fn a_function_is_what_its_body_says() {
    let body = vec![node("Neg", &["x"], &["a"]), node("Abs", &["a"], &["y"])];
    let model = one("2,3", "my.Softmax", "x", &[])
        .node("Neg", "y", "a", &[])
        .output("a");
    let made = imported(model, vec![function(body)]).expect("imports");
    assert_close(
        &[made],
        &[Tensor::new(vec![2, 3], X.map(f64::abs).to_vec())],
    );
    let mut endless = node("Softmax", &["x"], &["y"]);
    endless.domain = "my".into();
    let said = imported(
        one("2,3", "my.Softmax", "x", &[]),
        vec![function(vec![endless])],
    );
    assert!(
        said.expect_err("endless")
            .contains("its function calls itself")
    );
}

#[test]
fn sequences_of_known_elements() {
    let made = Onnx::new()
        .opset(13)
        .input("x", "2,3")
        .ints("one", &[], &[1])
        .ints("last", &[], &[-1])
        .ints("lens", &[3], &[1, 1, 1])
        .node("SplitToSequence", "x,lens", "s", &[("axis", Int(1))])
        .node("SequenceAt", "s,one", "a", &[])
        .node("SequenceInsert", "s,a,one", "t", &[])
        .node("SequenceErase", "t,last", "u", &[])
        .node("ConcatFromSequence", "u", "y", &[("axis", Int(1))])
        .node("SequenceConstruct", "x,x", "z", &[]);
    let graph = made
        .output("y")
        .output("z")
        .gives(&[&[-1.25, 0.5, 0.5, 1.25, 0.25, 0.25], &[&X[..], &X].concat()]);
    assert_eq!(graph.nodes[graph.outputs[1].1].shape, [2, 2, 3]);
    let computed = Onnx::new()
        .typed_input("n", DataType::Int64, "")
        .input("x", "2,3");
    let computed = computed.node("SequenceConstruct", "x,x", "s", &[]);
    let said = computed
        .node("SequenceAt", "s,n", "y", &[])
        .output("y")
        .refusal();
    assert!(said.contains("the position `n` must be known"), "{said}");
}

#[test]
fn integers_of_four_bits() {
    let model = one("2,3", "DequantizeLinear", "w,s", &[]).floats("s", &[], vec![0.5]);
    let mut proto = model.proto();
    let graph = proto.graph.as_mut().expect("a graph");
    graph.initializer.push(TensorProto {
        name: "w".into(),
        dims: vec![3],
        data_type: DataType::Int4 as i32,
        raw_data: vec![0x7f, 0x08],
        ..Default::default()
    });
    graph.node.push(node("Mul", &["x", "y"], &["z"]));
    graph.output[0].name = "z".into();
    proto.opset_import[0].version = 21;
    let loaded = load::from_proto(proto, None, "test.onnx", &Options::default()).expect("loads");
    let graph = prepare(loaded, &Options::default()).expect("imports").graph;
    let made = interpret::run(&graph, &[Tensor::new(vec![2, 3], vec![1.0; 6])]);
    assert_eq!(made[0].data, [-0.5, 3.5, -4.0, -0.5, 3.5, -4.0]);
}

#[test]
fn sparse_initializers_are_full() {
    let mut proto = one("2,3", "Add", "x,w", &[]).proto();
    let graph = proto.graph.as_mut().expect("a graph");
    let tensor = |name: &str, dims: &[i64]| TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        ..Default::default()
    };
    graph.sparse_initializer.push(SparseTensorProto {
        values: Some(TensorProto {
            data_type: DataType::Float as i32,
            float_data: vec![10.0, 20.0],
            ..tensor("w", &[2])
        }),
        indices: Some(TensorProto {
            data_type: DataType::Int64 as i32,
            int64_data: vec![1, 5],
            ..tensor("", &[2])
        }),
        dims: vec![2, 3],
    });
    let loaded = load::from_proto(proto, None, "test.onnx", &Options::default()).expect("loads");
    let graph = prepare(loaded, &Options::default()).expect("imports").graph;
    let made = interpret::run(&graph, &[Tensor::new(vec![2, 3], vec![0.0; 6])]);
    assert_eq!(made[0].data, [0.0, 10.0, 0.0, 0.0, 0.0, 20.0]);
}

#[test]
fn dimensions_take_the_lengths_of_inputs_that_are_given() {
    let model = one("n,3", "Relu", "x", &[]);
    let shaped = |name: Option<&str>| Options {
        shapes: vec![(name.map(str::to_string), vec![4, 3])],
        ..Options::default()
    };
    for name in [Some("x"), None] {
        let imported = model.clone().import_with(&shaped(name)).expect("imports");
        assert_eq!(imported.graph.nodes[imported.graph.inputs[0]].shape, [4, 3]);
    }
    let chosen = Options {
        dimensions: vec![("n".into(), 2)],
        ..shaped(Some("x"))
    };
    let imported = model.import_with(&chosen).expect("imports");
    assert_eq!(imported.graph.nodes[imported.graph.inputs[0]].shape, [2, 3]);
}

/// Nothing is given for an input without elements, such as a cache that is still empty.
#[test]
fn inputs_without_elements_are_constants() {
    let model = Onnx::new()
        .input("past", "1,0,3")
        .input("x", "1,2,3")
        .node("Concat", "past,x", "y", &[("axis", Int(1))])
        .output("y");
    let graph = model.gives(&[&X]);
    assert_eq!(graph.inputs.len(), 1);
}
