//! Models that cannot be compiled, and the messages about them.

use tract_onnx::pb::tensor_proto::DataType;

use crate::error::CompileError;
use crate::graph::Tensor;
use crate::options::Options;
use crate::ports::Sample;
use crate::prepare::tests::{Int, Onnx, one};

#[test]
fn an_operator_that_tract_does_not_know() {
    assert_eq!(
        one("3", "Frobnicate", "x", &[]).refusal(),
        "1 node(s) cannot be compiled:\n  \
         node `y` (Frobnicate): this operator is not supported; express it with standard operators"
    );
}

#[test]
fn all_unknown_and_refused_operators_at_once() {
    let model = Onnx::new()
        .input("x", "3")
        .node("Frobnicate", "x", "a", &[])
        .node("Tanh", "a", "b", &[]);
    let model = model
        .node("RandomNormalLike", "b", "c", &[])
        .node("Twiddle", "c", "y", &[])
        .output("y");
    let message = model.refusal();
    assert!(message.starts_with("3 node(s)"), "{message}");
    for part in [
        "`a` (Frobnicate)",
        "`c` (RandomNormalLike): its output is random",
        "`y` (Twiddle)",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn all_refused_nodes_of_an_analysable_model() {
    let model =
        Onnx::new()
            .input("x", "2,3")
            .input("z", "2,3")
            .typed_input("i", DataType::Int64, "2,3");
    let model = model
        .node("RandomNormalLike", "x", "a", &[])
        .node("TopK", "x,k", "b,j", &[("axis", Int(1))])
        .node("GatherElements", "x,i", "c", &[("axis", Int(1))])
        .node("Bernoulli", "c", "d", &[]);
    let model = model.typed_input("k", DataType::Int64, "1");
    let model = model.output("a").output("b").output("j").output("d");
    let message = model.refusal();
    assert!(message.starts_with("3 node(s)"), "{message}");
    for part in [
        "`a` (RandomNormalLike): its output is random",
        "`b` (TopK): its operand `k` must be known when the model is compiled",
        "`d` (Bernoulli): its output is random",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_lowering_says_comes_with_what_is_refused() {
    let model = Onnx::new()
        .input("x", "2,3")
        .typed_input("b", DataType::Int64, "2,3");
    let model = model
        .node("RandomNormalLike", "x", "a", &[])
        .node("Cast", "b", "f", &[("to", Int(1))])
        .node("Sub", "x,f", "d", &[])
        .node("Pow", "d,x", "p", &[]);
    let message = model.output("a").output("p").refusal();
    assert!(message.starts_with("2 node(s)"), "{message}");
    assert!(
        message.contains("`p` (Binary): its base may be negative"),
        "{message}"
    );
}

#[test]
fn bytes_that_are_no_model() {
    let error = crate::prepare::from_bytes(b"not a model", "bad.onnx", &Options::default())
        .expect_err("no model");
    assert!(matches!(error, CompileError::Load { .. }), "{error}");
    let error =
        crate::prepare::from_bytes(&[], "empty.onnx", &Options::default()).expect_err("no model");
    assert_eq!(
        error.to_string(),
        "cannot load `empty.onnx`: it has no graph"
    );
}

#[test]
fn a_file_that_is_not_there() {
    let error = crate::compile::Request::new("/nowhere/model.onnx")
        .read()
        .map(|_| ())
        .expect_err("no file");
    assert!(matches!(error, CompileError::Read { .. }), "{error}");
}

#[test]
fn a_value_that_nothing_computes() {
    let message = one("3", "Add", "x,ghost", &[]).refusal();
    assert!(
        message.ends_with(
            "node `y` (Add): nothing computes `ghost`, which it reads; correct the model"
        ),
        "{message}"
    );
}

#[test]
fn shapes_that_do_not_fit() {
    let message = one("2,3", "MatMul", "x,w", &[])
        .weight("w", &[4, 5])
        .refusal();
    assert!(
        message.contains("node `y` (MatMul): its operands do not fit it"),
        "{message}"
    );
}

fn with_sample(samples: Vec<Sample>) -> String {
    let options = Options {
        samples: vec![samples],
        ..Options::default()
    };
    one("2,3", "Tanh", "x", &[])
        .import_with(&options)
        .expect_err("a bad sample")
        .to_string()
}

#[test]
fn samples_that_do_not_fit() {
    let sample = |shape: &[usize], length: usize| Sample {
        shape: shape.to_vec(),
        data: vec![0.0; length],
    };
    assert!(with_sample(vec![]).contains("the model has 1 input(s), the sample has 0"));
    assert!(
        with_sample(vec![sample(&[3, 2], 6)])
            .contains("input `x` has shape [2, 3], the sample has [3, 2]")
    );
    assert!(with_sample(vec![sample(&[2, 3], 5)]).contains("with 5 elements"));
}

#[test]
fn a_sample_that_picks_what_is_not_there() {
    let model = Onnx::new()
        .typed_input("i", DataType::Int64, "2")
        .weight("table", &[7, 4]);
    let model = model.node("Gather", "table,i", "y", &[]).output("y");
    let samples = vec![vec![Sample {
        shape: vec![2],
        data: vec![6.0, 7.0],
    }]];
    let error = model
        .clone()
        .import_with(&Options {
            samples,
            ..Options::default()
        })
        .expect_err("out of range");
    assert!(
        error.to_string().contains("input `i` selects row 7 of 7"),
        "{error}"
    );
    let imported = model.import_with(&Options::default()).expect("imports");
    let error = imported
        .float
        .run(&[Tensor::new(vec![2], vec![0.5, 1.0])])
        .expect_err("no integer");
    assert!(
        error.to_string().contains("0.5 is not an integer"),
        "{error}"
    );
}

#[test]
fn a_weight_that_is_not_a_number() {
    let weight = |low: f32| {
        Onnx::new()
            .input("x", "1,2")
            .floats("w", &[2, 2], vec![1.0, low, 2.0, 3.0])
            .node("MatMul", "x,w", "y", &[])
            .output("y")
            .refusal()
    };
    let said = weight(f32::NAN);
    assert!(
        said.contains("`w` (Constant): its element 1 is NaN"),
        "{said}"
    );
    let said = weight(f32::NEG_INFINITY);
    assert!(
        said.contains("`w` (Constant): it holds -inf, and `y` (Einsum)"),
        "{said}"
    );
}

#[test]
fn infinities_that_only_bound() {
    let model = Onnx::new()
        .input("x", "3")
        .floats("low", &[], vec![f32::NEG_INFINITY])
        .floats("high", &[], vec![f32::INFINITY])
        .node("Clip", "x,low,high", "y", &[]);
    model.output("y").agrees();
}

#[test]
fn constants_outside_the_domain_of_a_function() {
    let of_constant = |operator: &str| {
        Onnx::new()
            .input("x", "2")
            .floats("c", &[2], vec![1.0, -2.0])
            .node(operator, "c", "f", &[])
            .node("Add", "x,f", "y", &[])
            .output("y")
            .refusal()
    };
    for operator in ["Log", "Sqrt", "Asin", "Acosh", "Atanh"] {
        let said = of_constant(operator);
        assert!(said.contains("`f` (Constant): "), "{operator}: {said}");
    }
    for (operator, operands) in [("Div", "x,z"), ("Mod", "x,z"), ("Reciprocal", "z")] {
        let model = Onnx::new()
            .input("x", "2")
            .floats("z", &[2], vec![1.0, 0.0])
            .node(operator, operands, "f", &[("fmod", Int(1))])
            .node("Add", "x,f", "y", &[]);
        let said = model.output("y").refusal();
        assert!(said.contains("`f` ("), "{operator}: {said}");
    }
}

#[test]
fn integers_divided_by_a_constant_zero() {
    for operator in ["Div", "Mod"] {
        for (operands, other) in [("i,z", "z"), ("z,z", "z")] {
            let model = Onnx::new()
                .typed_input("i", DataType::Int64, "3")
                .ints("z", &[3], &[1, 2, 0])
                .node(operator, operands, "d", &[])
                .node("Add", "i,d", "y", &[]);
            let said = model.output("y").refusal();
            let expected = format!("`d` ({operator}): element 2 of its divisor `{other}` is 0");
            assert!(said.contains(&expected), "{said}");
        }
    }
}

#[test]
fn samples_outside_the_domain_of_a_function() {
    let model = Onnx::new().input("x", "1,2").weight("w", &[2, 2]);
    let model = model.node("Log", "x", "l", &[]);
    let model = model.node("MatMul", "l,w", "y", &[]).output("y");
    let sample = |x: f64| Options {
        samples: vec![vec![Sample {
            shape: vec![1, 2],
            data: vec![x, 1.0],
        }]],
        ..Options::default()
    };
    let refusal = |model: Onnx, x: f64| {
        let imported = model.import_with(&sample(x)).map(|_| ());
        imported.expect_err("undefined").to_string()
    };
    let said = refusal(model, -1.0);
    assert!(
        said.contains("`l` (Pointwise): it is NaN on a sample"),
        "{said}"
    );
    let said = refusal(one("1,2", "Reciprocal", "x", &[]), 0.0);
    assert!(said.contains("`y` (Pointwise): it is infinite"), "{said}");
}

#[test]
fn permutations_that_are_none() {
    for perm in [vec![0, 0], vec![-1, 0], vec![0, 1, 2], vec![1, 2], vec![1]] {
        let perm = [("perm", crate::prepare::tests::Ints(perm))];
        let said = one("2,3", "Transpose", "x", &perm).refusal();
        assert!(
            said.contains("permutation") || said.contains("`y` (Transpose)"),
            "{said}"
        );
    }
}

#[test]
fn shapes_that_no_tensor_has() {
    let operators = [("Expand", "c,s"), ("Tile", "c,s"), ("ConstantOfShape", "s")];
    for (operator, operands) in operators {
        let model = Onnx::new()
            .input("x", "1")
            .floats("c", &[1], vec![1.0])
            .ints("s", &[1], &[10_000_000_000])
            .node(operator, operands, "l", &[])
            .node("ReduceSum", "l", "r", &[("keepdims", Int(1))])
            .node("Add", "x,r", "y", &[]);
        let said = model.output("y").refusal();
        let expected = format!("`l` ({operator}): its result has at least 10000000000 elements");
        assert!(said.contains(&expected), "{said}");
    }
}
