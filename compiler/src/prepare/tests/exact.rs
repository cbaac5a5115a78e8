//! Integers in the program that is proved: what onnxruntime gives, to the last one.

use tract_onnx::pb::tensor_proto::DataType;
use zkiln_runtime::error::ProveError;
use zkiln_runtime::trace::{self, Constants};

use crate::graph::{Dtype, Op, Tensor};
use crate::lower::lower;
use crate::options::Options;
use crate::ports::Sample;
use crate::prepare::tests::{Attribute, Int, Ints, Onnx, Text, computed};
use crate::program::Lowered;
use crate::scale::Scale;

/// The model, calibrated on one sample with these elements for each input.
fn compiled(model: Onnx, sample: &[&[f64]]) -> Lowered {
    let tensor = |data: &&[f64]| Sample {
        shape: vec![data.len()],
        data: data.to_vec(),
    };
    let options = Options {
        samples: vec![sample.iter().map(tensor).collect()],
        ..Options::default()
    };
    let prepared = model
        .import_with(&options)
        .unwrap_or_else(|e| panic!("{e}"));
    let lowered = lower(&prepared.graph, &options, "exact").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(lowered.model.validate(), Ok(()));
    lowered
}

/// The first output of the program.
fn run(lowered: &Lowered, inputs: &[&[f64]]) -> Result<Vec<i64>, ProveError> {
    let constants = Constants::new(&lowered.model, lowered.constants.clone())?;
    let integers = inputs.iter().zip(&lowered.inputs);
    let integers = integers.map(|(data, port)| port.to_integers(data));
    let integers = integers.collect::<Result<Vec<_>, _>>()?;
    let trace = trace::run(&lowered.model, &constants, &integers)?;
    Ok(trace.outputs(&lowered.model)?.swap_remove(0))
}

/// `y = operator(a, b)` of two inputs of one type.
fn pair(operator: &str, dtype: DataType, shape: &str) -> Onnx {
    let model = Onnx::new().typed_input("a", dtype, shape);
    let model = model.typed_input("b", dtype, shape);
    model.node(operator, "a,b", "y", &[]).output("y")
}

#[test]
fn labels_are_not_rounded() {
    let labels = [10_007, 123_456_789, (1 << 53) - 1, -4_294_967_297];
    let model = Onnx::new()
        .typed_input("i", DataType::Int64, "4")
        .ints("labels", &[4], &labels)
        .node("Gather", "labels,i", "y", &[])
        .output("y");
    let lowered = compiled(model, &[&[0.0, 1.0, 2.0, 3.0]]);
    assert_eq!(lowered.outputs[0].dtype, Dtype::Int64);
    assert_eq!(lowered.outputs[0].scale, Scale::Uniform(1.0));
    let picked = run(&lowered, &[&[3.0, 2.0, 1.0, 0.0]]);
    let expected = labels.iter().rev().copied().collect();
    assert_eq!(picked, Ok(expected));
}

#[test]
fn products_and_sums_are_exact() {
    let model = pair("Mul", DataType::Int64, "3");
    let sample: &[&[f64]] = &[&[1e6, -1e6, 1.0], &[1e6, 1.0, -1e6]];
    let lowered = compiled(model, sample);
    let made = run(&lowered, &[&[999_983.0, -7.0, 0.0], &[999_979.0, 1e6, 5.0]]);
    assert_eq!(made, Ok(vec![999_983 * 999_979, -7_000_000, 0]));
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "3")
        .ints("w", &[3, 2], &[1_000_003, 5, -7, 99_999_999_999, 1, 0])
        .node("MatMul", "x,w", "y", &[])
        .output("y");
    let lowered = compiled(model, &[&[9.0, 9.0, 9.0]]);
    let made = run(&lowered, &[&[3.0, -2.0, 8.0]]);
    assert_eq!(made, Ok(vec![3_000_009 + 14 + 8, 15 - 199_999_999_998]));
}

#[test]
fn the_greatest_of_wide_integers_is_found() {
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "4")
        .node("ArgMax", "x", "y", &[("axis", Int(0))])
        .output("y");
    let lowered = compiled(model, &[&[2_000_003.0, -2_000_003.0, 0.0, 1.0]]);
    for (x, expected) in [
        ([100_003.0, 100_004.0, 99_999.0, 0.0], 1),
        ([-5.0, -2e6, -4.0, -4.0], 2),
    ] {
        assert_eq!(run(&lowered, &[&x]), Ok(vec![expected]));
    }
}

#[test]
fn the_greatest_of_a_softmax_is_that_of_its_scores() {
    for operator in ["Softmax", "LogSoftmax"] {
        let graph = Onnx::new()
            .input("x", "3,5")
            .node(operator, "x", "p", &[("axis", Int(1))])
            .node("ArgMax", "p", "y", &[("axis", Int(1))])
            .output("y")
            .agrees();
        let ops: Vec<&Op> = computed(&graph).iter().map(|node| &node.op).collect();
        let scores = |op: &&Op| matches!(op, Op::Softmax { .. } | Op::LogSumExp { .. });
        assert!(!ops.iter().any(scores), "{ops:?}");
    }
}

/// As onnxruntime, which refuses what is not listed where `zeros` is 0.
#[test]
fn a_category_is_listed_or_refused() {
    let encoder = |zeros: i64| {
        let attributes = [("cats_int64s", Ints(vec![3, 7, 9])), ("zeros", Int(zeros))];
        let model = Onnx::new().typed_input("x", DataType::Int64, "2").node(
            "OneHotEncoder",
            "x",
            "h",
            &attributes,
        );
        let model = model.node("Cast", "h", "y", &[("to", Int(7))]).output("y");
        compiled(model, &[&[3.0, 9.0]])
    };
    for zeros in [0, 1] {
        let listed = run(&encoder(zeros), &[&[7.0, 9.0]]);
        assert_eq!(listed, Ok(vec![0, 1, 0, 0, 0, 1]));
    }
    assert!(run(&encoder(0), &[&[7.0, 8.0]]).is_err());
    assert_eq!(run(&encoder(1), &[&[7.0, 8.0]]), Ok(vec![0, 1, 0, 0, 0, 0]));
}

/// As onnxruntime, which refuses targets that are no class.
#[test]
fn a_target_is_a_class_or_ignored() {
    let loss = |attributes: &[(&str, Attribute)]| {
        let model = Onnx::new()
            .typed_input("t", DataType::Int64, "2")
            .floats("x", &[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
            .node("NegativeLogLikelihoodLoss", "x,t", "l", attributes);
        let model = model.node("Cast", "l", "y", &[("to", Int(7))]).output("y");
        compiled(model, &[&[1.0, 0.0]])
    };
    let reduction = || ("reduction", Text("none"));
    let plain = loss(&[reduction()]);
    assert_eq!(run(&plain, &[&[2.0, 0.0]]), Ok(vec![-3, -4]));
    let ignoring = loss(&[reduction(), ("ignore_index", Int(-1))]);
    assert_eq!(run(&ignoring, &[&[-1.0, 1.0]]), Ok(vec![0, -5]));
    for lowered in [&plain, &ignoring] {
        for target in [3.0, -2.0] {
            assert!(run(lowered, &[&[target, 0.0]]).is_err(), "{target}");
        }
    }
}

#[test]
fn division_truncates_and_remainders_follow_their_flag() {
    let a = [7.0, -7.0, 7.0, -7.0, 1_000_003.0];
    let b = [3.0, 3.0, -3.0, -3.0, 1000.0];
    let of = |operator: &'static str, fmod: i64| {
        let mut model = pair(operator, DataType::Int64, "5");
        if operator == "Mod" {
            model.extend_last(&[("fmod", Int(fmod))]);
        }
        run(&compiled(model, &[&a, &b]), &[&a, &b])
    };
    assert_eq!(of("Div", 0), Ok(vec![2, -2, -2, 2, 1000]));
    assert_eq!(of("Mod", 0), Ok(vec![1, 2, -2, -1, 3]));
    assert_eq!(of("Mod", 1), Ok(vec![1, -1, 1, -1, 3]));
}

#[test]
fn division_by_zero_is_refused_or_has_no_proof() {
    let lowered = compiled(
        pair("Div", DataType::Uint8, "2"),
        &[&[9.0, 8.0], &[2.0, 3.0]],
    );
    let made = run(&lowered, &[&[255.0, 7.0], &[16.0, 255.0]]);
    assert_eq!(made, Ok(vec![15, 0]));
    let zero = run(&lowered, &[&[1.0, 1.0], &[1.0, 0.0]]);
    assert!(
        matches!(zero, Err(ProveError::OutOfRange { value: 0, .. })),
        "{zero:?}"
    );
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "2")
        .ints("d", &[2], &[1, 0])
        .node("Mod", "x,d", "y", &[])
        .output("y");
    let refusal = model.refusal();
    assert!(refusal.contains("of its divisor `d` is 0"), "{refusal}");
}

#[test]
fn what_overflows_its_type_wraps() {
    let small: &[&[f64]] = &[&[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0]];
    let lowered = compiled(pair("Add", DataType::Uint8, "3"), small);
    assert_eq!(lowered.inputs[0].range, (0, 255));
    assert_eq!(lowered.outputs[0].dtype, Dtype::Uint8);
    let made = run(&lowered, &[&[200.0, 255.0, 1.0], &[100.0, 1.0, 1.0]]);
    assert_eq!(made, Ok(vec![44, 0, 2]));
    let lowered = compiled(pair("Mul", DataType::Int8, "3"), small);
    assert_eq!(lowered.inputs[0].range, (-128, 127));
    let made = run(&lowered, &[&[-128.0, 100.0, 11.0], &[-128.0, 3.0, -11.0]]);
    assert_eq!(made, Ok(vec![0, 44, -121]));
    let lowered = compiled(pair("Sub", DataType::Uint16, "3"), small);
    let made = run(&lowered, &[&[0.0, 5.0, 65_535.0], &[1.0, 3.0, 65_535.0]]);
    assert_eq!(made, Ok(vec![65_535, 2, 0]));
    let wide: &[&[f64]] = &[&[1e6, -1e6, 0.0], &[1e6, 1e6, 0.0]];
    let lowered = compiled(pair("Mul", DataType::Int32, "3"), wide);
    let made = run(
        &lowered,
        &[&[1e6, -999_999.0, 46_341.0], &[1e6, 1e6, 46_341.0]],
    );
    let expected = [
        (1_000_000, 1_000_000),
        (-999_999, 1_000_000),
        (46_341, 46_341),
    ];
    let expected = expected.map(|(a, b): (i32, i32)| a.wrapping_mul(b).into());
    assert_eq!(made, Ok(expected.to_vec()));
}

#[test]
fn what_neither_wraps_nor_fits_is_refused() {
    let refusal = |model: Onnx, sample: &[f64]| {
        let sample = vec![Sample {
            shape: vec![sample.len()],
            data: sample.to_vec(),
        }];
        let options = Options {
            samples: vec![sample],
            ..Options::default()
        };
        let prepared = model
            .import_with(&options)
            .unwrap_or_else(|e| panic!("{e}"));
        match lower(&prepared.graph, &options, "exact") {
            Ok(_) => panic!("compiled"),
            Err(e) => e.to_string(),
        }
    };
    let sum = Onnx::new()
        .typed_input("x", DataType::Int32, "3")
        .node("ReduceSum", "x", "y", &[]);
    let refused = refusal(sum.output("y"), &[2e9, 1.0, 0.0]);
    assert!(refused.contains("which int32 does not hold"), "{refused}");
    let difference = Onnx::new()
        .typed_input("x", DataType::Uint64, "4")
        .node("Split", "x", "a,b", &[("axis", Int(0))])
        .node("Sub", "a,b", "y", &[]);
    let refused = refusal(difference.output("y"), &[5.0, 6.0, 1.0, 2.0]);
    assert!(refused.contains("which uint64 does not hold"), "{refused}");
}

#[test]
fn bits_of_wide_integers_that_are_computed() {
    let a = [0x1234_5678, -77, i64::from(i32::MIN), 6];
    let b = [-0x0f0f_0f10, 12, i64::from(i32::MAX), 3];
    type Bits = fn(i64, i64) -> i64;
    let operators: [(&str, Bits); 3] = [
        ("BitwiseAnd", |a, b| a & b),
        ("BitwiseOr", |a, b| a | b),
        ("BitwiseXor", |a, b| a ^ b),
    ];
    let real = |x: [i64; 4]| x.map(|x| x as f64);
    for (operator, of) in operators {
        let model = pair(operator, DataType::Int32, "4").opset(18);
        let lowered = compiled(model, &[&real(a), &real(b)]);
        let expected: Vec<i64> = a.iter().zip(b).map(|(a, b)| of(*a, b)).collect();
        let made = run(&lowered, &[&real(a), &real(b)]);
        assert_eq!(made, Ok(expected), "{operator}");
    }
}

#[test]
fn wide_integers_are_shifted_by_computed_numbers() {
    let x = [0x1234_5678, -77, i64::from(i32::MIN), 6].map(|x| x as f64);
    let by = [3.0, 1.0, 31.0, 40.0];
    let shifted = |direction: &'static str, dtype: DataType, x: [f64; 4], by: [f64; 4]| {
        let model = Onnx::new().opset(28).typed_input("x", dtype, "4");
        let model = model.typed_input("by", dtype, "4");
        let model = model.node("BitShift", "x,by", "y", &[("direction", Text(direction))]);
        let lowered = compiled(model.output("y"), &[&x, &by]);
        run(&lowered, &[&x, &by])
    };
    let right = Ok(vec![0x1234_5678 >> 3, -39, -1, 0]);
    assert_eq!(shifted("RIGHT", DataType::Int64, x, by), right);
    assert_eq!(shifted("RIGHT", DataType::Int32, x, by), right);
    let left = Ok(vec![4376 << 3, -154, i64::from(5_i32 << 30), 0]);
    let (x, by) = ([4376.0, -77.0, 5.0, 6.0], [3.0, 1.0, 30.0, 40.0]);
    assert_eq!(shifted("LEFT", DataType::Int32, x, by), left);
}

/// As torch shifts `int64`: in `uint64`, whose integers are the same modulo `2^64`.
#[test]
fn unsigned_integers_that_end_signed_may_be_negative() {
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "3")
        .ints("bit", &[], &[1])
        .node("Cast", "bit", "one", &[("to", Int(13))])
        .node("Cast", "x", "u", &[("to", Int(13))])
        .node("BitShift", "u,one", "s", &[("direction", Text("LEFT"))])
        .node("Cast", "s", "y", &[("to", Int(7))])
        .output("y");
    let lowered = compiled(model, &[&[-5.0, 4.0, 100.0]]);
    assert_eq!(run(&lowered, &[&[-3.0, 7.0, 0.0]]), Ok(vec![-6, 14, 0]));
}

#[test]
fn casts_truncate_and_wrap() {
    let cast = |from: DataType, to: i64| {
        let model = Onnx::new().typed_input("x", from, "4");
        model.node("Cast", "x", "y", &[("to", Int(to))]).output("y")
    };
    let lowered = compiled(cast(DataType::Int32, 2), &[&[0.0, 1.0, 300.0, -300.0]]);
    let made = run(&lowered, &[&[256.0, -1.0, 300.0, 255.0]]);
    assert_eq!(made, Ok(vec![0, 255, 44, 255]));
    let lowered = compiled(cast(DataType::Float, 7), &[&[4.0, -4.0, 0.5, 0.0]]);
    let made = run(&lowered, &[&[2.75, -2.75, -0.5, 3.0]]);
    assert_eq!(made, Ok(vec![2, -2, 0, 3]));
}

#[test]
fn functions_of_wide_integers_are_exact() {
    let x: &[&[f64]] = &[&[33_554_433.0, -33_554_433.0, 0.0, 9.0]];
    let of = |operator: &str| {
        let model = Onnx::new().typed_input("x", DataType::Int32, "4");
        run(
            &compiled(model.node(operator, "x", "y", &[]).output("y"), x),
            x,
        )
    };
    assert_eq!(of("Abs"), Ok(vec![33_554_433, 33_554_433, 0, 9]));
    assert_eq!(of("Relu"), Ok(vec![33_554_433, 0, 0, 9]));
    assert_eq!(of("Sign"), Ok(vec![1, -1, 0, 1]));
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "4")
        .ints("low", &[], &[-20_000_001])
        .ints("high", &[], &[30_000_001])
        .node("Clip", "x,low,high", "y", &[])
        .output("y");
    let made = run(&compiled(model, x), x);
    assert_eq!(made, Ok(vec![30_000_001, -20_000_001, 0, 9]));
}

#[test]
fn shapes_are_integers_like_others() {
    let model = Onnx::new()
        .input("x", "3")
        .typed_input("k", DataType::Int64, "3")
        .ints("two", &[1], &[2])
        .node("Shape", "x", "n", &[])
        .node("Add", "k,n", "m", &[])
        .node("Div", "m,two", "y", &[])
        .output("y");
    let lowered = compiled(model, &[&[0.0, 1.0, 2.0], &[9.0, -9.0, 0.0]]);
    let made = run(&lowered, &[&[0.0, 1.0, 2.0], &[4.0, -8.0, 1.0]]);
    assert_eq!(made, Ok(vec![3, -2, 2]));
}

#[test]
fn sums_beyond_32_bits_are_what_the_float_model_gives() {
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "3")
        .node("ReduceSum", "x", "y", &[("keepdims", Int(0))])
        .output("y");
    let great = [2e9, 1e9, 2e9 + 1.0];
    let prepared = model.clone().import_with(&Options::default());
    let float = prepared.unwrap_or_else(|e| panic!("{e}")).float;
    let input = Tensor::new(vec![3], great.to_vec());
    assert_eq!(
        float.run(&[input]).map(|y| y[0].data.clone()).ok(),
        Some(vec![5e9 + 1.0])
    );
    let lowered = compiled(model, &[&great]);
    assert_eq!(run(&lowered, &[&great]), Ok(vec![5_000_000_001]));
}

#[test]
fn quotients_beyond_32_bits_are_exact() {
    let products = |operator: &str| {
        Onnx::new()
            .typed_input("a", DataType::Int64, "3")
            .ints("great", &[], &[1_000_000_007])
            .ints("divisor", &[], &[13])
            .node("Mul", "a,great", "product", &[])
            .node(operator, "product,divisor", "y", &[])
            .output("y")
    };
    let numbers = [987_654.0, -999_999.0, 1.0];
    let exact = numbers.map(|x| x as i64 * 1_000_000_007);
    let lowered = compiled(products("Mod"), &[&numbers]);
    let expected = exact.map(|x| x.rem_euclid(13)).to_vec();
    assert_eq!(run(&lowered, &[&numbers]), Ok(expected));
    let lowered = compiled(products("Div"), &[&numbers]);
    assert_eq!(
        run(&lowered, &[&numbers]),
        Ok(exact.map(|x| x / 13).to_vec())
    );
}

#[test]
fn booleans_are_equal_or_not() {
    let model = pair("Equal", DataType::Bool, "4");
    let (a, b) = ([0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]);
    let lowered = compiled(model, &[&a, &b]);
    assert_eq!(run(&lowered, &[&a, &b]), Ok(vec![1, 0, 1, 0]));
}

#[test]
fn floats_are_rounded_to_the_nearest_integer() {
    let model = Onnx::new()
        .input("x", "8")
        .node("Round", "x", "f", &[])
        .node("Cast", "f", "y", &[("to", Int(7))])
        .output("y");
    let x = [-2.7, -1.2, 0.4, 1.5, 3.6, 4.9, 2.5, -5.5];
    let lowered = compiled(model, &[&x]);
    assert_eq!(run(&lowered, &[&x]), Ok(vec![-3, -1, 0, 2, 4, 5, 2, -6]));
}

#[test]
fn the_greatest_of_wide_integers_is_found_in_every_row() {
    let model = Onnx::new()
        .typed_input("x", DataType::Int64, "3,5")
        .node(
            "ArgMax",
            "x",
            "y",
            &[("axis", Int(-1)), ("keepdims", Int(0))],
        )
        .output("y");
    let sample = [
        1_887_306_749.0,
        -5.0,
        904_618_071.0,
        7.0,
        0.0,
        -1_253_346_290.0,
        -9.0,
        -1_473_083_027.0,
        3.0,
        2.0,
        645_551_718.0,
        645_551_719.0,
        645_551_717.0,
        -4.0,
        645_551_716.0,
    ];
    let options = Options {
        samples: vec![vec![Sample {
            shape: vec![3, 5],
            data: sample.to_vec(),
        }]],
        ..Options::default()
    };
    let prepared = model
        .import_with(&options)
        .unwrap_or_else(|e| panic!("{e}"));
    let lowered = lower(&prepared.graph, &options, "exact").unwrap_or_else(|e| panic!("{e}"));
    let other = [
        1.0, 2.0, 3.0, 1e9, 4.0, -7.0, -8.0, -6.0, -9.0, -1e9, 2.0, 1.0, 0.0, -1.0, 2.0,
    ];
    assert_eq!(run(&lowered, &[&sample]), Ok(vec![0, 3, 1]));
    assert_eq!(run(&lowered, &[&other]), Ok(vec![3, 2, 0]));
}
