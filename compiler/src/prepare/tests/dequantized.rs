//! Models of quantized tensors: their integers are the exact rounding of the exact sum, on inputs that are not the samples.
//!
//! Expected integers are computed here, in integers: single-precision scales are multiples of `2^-FRACTION`.

use tract_onnx::pb::tensor_proto::DataType;

use zkiln_runtime::trace::{self, Constants};

use crate::lower::lower;
use crate::options::Options;
use crate::ports::Sample;
use crate::prepare::tests::{Int, Ints};
use crate::testing::Onnx;

/// Bits after the point of scales, which are at least `2^-28`.
const FRACTION: u32 = 52;

/// Integers of an element type.
#[derive(Clone, Copy)]
struct Kind {
    dtype: DataType,
    least: i64,
    greatest: i64,
}

const U8: Kind = Kind::new(DataType::Uint8, 0, 255);
const I8: Kind = Kind::new(DataType::Int8, -128, 127);
const U16: Kind = Kind::new(DataType::Uint16, 0, 65535);
const I16: Kind = Kind::new(DataType::Int16, -32768, 32767);

impl Kind {
    const fn new(dtype: DataType, least: i64, greatest: i64) -> Kind {
        Kind {
            dtype,
            least,
            greatest,
        }
    }

    fn clamp(self, x: i128) -> i64 {
        x.clamp(self.least.into(), self.greatest.into()) as i64
    }

    /// Varied integers; the first two are the ends.
    fn varied(self, count: usize, seed: u64) -> Vec<i64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64
        };
        let mut data: Vec<i64> = (0..count)
            .map(|_| self.least + next() % (self.greatest - self.least + 1))
            .collect();
        (data[0], data[1]) = (self.least, self.greatest);
        data
    }
}

/// A scale in units of `2^-FRACTION`.
fn fixed(scale: f32) -> i128 {
    let scaled = f64::from(scale) * f64::from(FRACTION).exp2();
    assert_eq!(scaled.fract(), 0.0, "{scale} is too small");
    scaled as i128
}

/// `n / d`, to the nearest, halves to even.
fn nearest(n: i128, d: i128) -> i128 {
    let (floor, rest) = (n.div_euclid(d), n.rem_euclid(d));
    match (2 * rest).cmp(&d) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
    }
}

/// What a quantized tensor is: `scale * (integer - zero)`.
#[derive(Clone, Copy)]
struct Quantization {
    kind: Kind,
    scale: f32,
    zero: i64,
}

fn quantized(kind: Kind, scale: f32, zero: i64) -> Quantization {
    Quantization { kind, scale, zero }
}

impl Quantization {
    /// The integer for a number in units of `2^-fraction`.
    fn of(self, x: i128, fraction: u32) -> i64 {
        let scale = fixed(self.scale) << (fraction - FRACTION);
        self.kind.clamp(nearest(x, scale) + i128::from(self.zero))
    }

    /// The number in units of `2^-FRACTION`.
    fn real(self, q: i64) -> i128 {
        fixed(self.scale) * i128::from(q - self.zero)
    }
}

/// A model with quantized inputs and one quantized output.
struct Model {
    onnx: Onnx,
    inputs: Vec<(usize, Quantization)>,
}

impl Model {
    fn new(inputs: &[(&str, &str, Quantization)]) -> Model {
        let mut model = Model {
            onnx: Onnx::new().opset(21),
            inputs: vec![],
        };
        for (name, shape, quantization) in inputs {
            let count = shape
                .split(',')
                .map(|len| len.parse::<usize>().unwrap())
                .product();
            model.onnx = model.onnx.typed_input(name, quantization.kind.dtype, shape);
            model = model.scales(name, *quantization).node(
                "DequantizeLinear",
                &format!("{name},{name}_s,{name}_z"),
                &format!("{name}_f"),
                &[],
            );
            model.inputs.push((count, *quantization));
        }
        model
    }

    fn scales(mut self, name: &str, of: Quantization) -> Model {
        let zero = vec![of.zero as i32];
        self.onnx = self
            .onnx
            .floats(&format!("{name}_s"), &[], vec![of.scale])
            .small(&format!("{name}_z"), of.kind.dtype, &[], zero);
        self
    }

    fn node(
        mut self,
        operator: &str,
        operands: &str,
        result: &str,
        attributes: &[(&str, crate::testing::Attribute)],
    ) -> Model {
        self.onnx = self.onnx.node(operator, operands, result, attributes);
        self
    }

    /// Quantizes `x`, and checks the result of other inputs than the samples.
    fn gives(self, x: &str, output: Quantization, expected: impl Fn(&[Vec<i64>]) -> Vec<i64>) {
        let mut model =
            self.scales("y", output)
                .node("QuantizeLinear", &format!("{x},y_s,y_z"), "y", &[]);
        model.onnx = model.onnx.output("y");
        let data = |seed: u64| -> Vec<Vec<i64>> {
            let inputs = model.inputs.iter().enumerate();
            inputs
                .map(|(i, (count, of))| of.kind.varied(*count, seed + 100 * i as u64))
                .collect()
        };
        let sample = |seed: u64| -> Vec<Sample> {
            let sample = |data: Vec<i64>| Sample {
                shape: vec![],
                data: data.iter().map(|x| *x as f64).collect(),
            };
            data(seed).into_iter().map(sample).collect()
        };
        let imported = model
            .onnx
            .clone()
            .import_with(&Options::default())
            .unwrap_or_else(|e| panic!("{e}"));
        let shapes = imported
            .graph
            .inputs
            .iter()
            .map(|id| imported.graph.nodes[*id].shape.clone())
            .collect::<Vec<_>>();
        let samples = (1..4).map(|seed| {
            sample(seed)
                .into_iter()
                .zip(&shapes)
                .map(|(s, shape)| Sample {
                    shape: shape.clone(),
                    ..s
                })
                .collect()
        });
        let options = Options {
            samples: samples.collect(),
            ..Options::default()
        };
        let imported = model
            .onnx
            .clone()
            .import_with(&options)
            .unwrap_or_else(|e| panic!("{e}"));
        let lowered = lower(&imported.graph, &options, "test").unwrap_or_else(|e| panic!("{e}"));
        lowered.model.validate().expect("a valid model");
        let constants =
            Constants::new(&lowered.model, lowered.constants.clone()).expect("constants");
        for seed in 10..14 {
            let inputs = data(seed);
            let made = trace::run(&lowered.model, &constants, &inputs)
                .expect("in range")
                .outputs(&lowered.model)
                .expect("in range");
            let made = lowered.outputs[0].to_reals(&made[0]);
            let expected: Vec<f64> = expected(&inputs).iter().map(|y| *y as f64).collect();
            assert_eq!(made, expected);
        }
    }
}

/// A matrix product of `[2, 6]` and `[6, 3]` with one scale for each column.
fn gemm(x: Quantization, w: Quantization, y: Quantization) {
    let columns = [0.7f32, 1.0, 1.9].map(|times| w.scale * times);
    let weights = w.kind.varied(18, 77);
    let bias: [i64; 3] = [505, -1747, 12_633];
    let bias_scales = columns.map(|scale| scale * x.scale);
    let mut model = Model::new(&[("x", "2,6", x)]);
    model.onnx = model
        .onnx
        .small(
            "w",
            w.kind.dtype,
            &[3, 6],
            weights.iter().map(|x| *x as i32).collect(),
        )
        .floats("w_s", &[3], columns.to_vec())
        .small("w_z", w.kind.dtype, &[3], vec![w.zero as i32; 3])
        .small("b", DataType::Int32, &[3], bias.map(|x| x as i32).to_vec())
        .floats("b_s", &[3], bias_scales.to_vec());
    let model = model
        .node("DequantizeLinear", "w,w_s,w_z", "w_f", &[("axis", Int(0))])
        .node("DequantizeLinear", "b,b_s", "b_f", &[("axis", Int(0))])
        .node("Gemm", "x_f,w_f,b_f", "sums", &[("transB", Int(1))]);
    model.gives("sums", y, |inputs| {
        let sum = |i: usize| {
            let (row, column) = (i / 3, i % 3);
            let w = Quantization {
                scale: columns[column],
                ..w
            };
            let products =
                (0..6).map(|k| x.real(inputs[0][6 * row + k]) * w.real(weights[6 * column + k]));
            let bias = (fixed(bias_scales[column]) * i128::from(bias[column])) << FRACTION;
            y.of(products.sum::<i128>() + bias, 2 * FRACTION)
        };
        (0..6).map(sum).collect()
    });
}

#[test]
fn products_with_a_scale_for_each_column() {
    gemm(
        quantized(U8, 0.0254, 117),
        quantized(I8, 0.011, 0),
        quantized(U8, 0.17, 128),
    );
    gemm(
        quantized(I8, 0.0373, -5),
        quantized(U8, 0.0071, 131),
        quantized(I8, 0.0913, 3),
    );
    gemm(
        quantized(I8, 0.03125, 7),
        quantized(I8, 0.0078125, 0),
        quantized(I8, 0.25, -1),
    );
}

#[test]
fn products_of_16_bits() {
    gemm(
        quantized(I16, 0.000_173, 4200),
        quantized(I8, 0.011, 0),
        quantized(I16, 0.000_371, -32768),
    );
    gemm(
        quantized(U16, 0.000_173, 31_655),
        quantized(U8, 0.0071, 130),
        quantized(U16, 0.000_213, 30_001),
    );
    gemm(
        quantized(I16, 0.000_173, 0),
        quantized(I16, 0.000_111, 0),
        quantized(I16, 0.000_771, 11),
    );
    gemm(
        quantized(I16, 1.0 / 4096.0, 1),
        quantized(I8, 0.0078125, 0),
        quantized(I16, 1.0 / 8192.0, 1),
    );
}

/// `x` and `y` of ten elements each, one operator, one result.
fn pairs(
    operator: &str,
    a: Quantization,
    b: Quantization,
    y: Quantization,
    of: impl Fn(i128, i128) -> i128,
) {
    let model =
        Model::new(&[("a", "10", a), ("b", "10", b)]).node(operator, "a_f,b_f", "made", &[]);
    let fraction = if operator == "Mul" {
        2 * FRACTION
    } else {
        FRACTION
    };
    model.gives("made", y, |inputs| {
        let both = inputs[0].iter().zip(&inputs[1]);
        both.map(|(p, q)| y.of(of(a.real(*p), b.real(*q)), fraction))
            .collect()
    });
}

#[test]
fn sums_and_products_of_different_scales() {
    for (a, b, y) in [
        (
            quantized(U8, 0.0417, 120),
            quantized(U8, 0.0291, 3),
            quantized(U8, 0.0513, 130),
        ),
        (
            quantized(I8, 0.05, 0),
            quantized(I8, 0.05, 4),
            quantized(I8, 0.1, 1),
        ),
        (
            quantized(I8, 0.0625, 0),
            quantized(U8, 0.03125, 128),
            quantized(I8, 0.125, -3),
        ),
        (
            quantized(I16, 0.000_17, 100),
            quantized(I16, 0.000_23, 0),
            quantized(I16, 0.000_31, 7),
        ),
    ] {
        pairs("Add", a, b, y, |a, b| a + b);
        pairs("Sub", a, b, y, |a, b| a - b);
        pairs("Max", a, b, y, |a, b| a.max(b));
        let y = Quantization {
            scale: y.scale * 2.0,
            ..y
        };
        pairs("Mul", a, b, y, |a, b| a * b);
    }
}

#[test]
fn concatenations_and_movement_of_different_scales() {
    let (a, b, y) = (
        quantized(U8, 0.0417, 120),
        quantized(I8, 0.0291, 3),
        quantized(I8, 0.0513, -9),
    );
    let model = Model::new(&[("a", "2,3", a), ("b", "2,3", b)]);
    let model = model.node("Concat", "a_f,b_f", "both", &[("axis", Int(1))]);
    let model = model.node("Transpose", "both", "turned", &[("perm", Ints(vec![1, 0]))]);
    model.gives("turned", y, |inputs| {
        let of = |i: usize| {
            let (column, row) = (i / 2, i % 2);
            match column {
                0..3 => y.of(a.real(inputs[0][3 * row + column]), FRACTION),
                _ => y.of(b.real(inputs[1][3 * row + column - 3]), FRACTION),
            }
        };
        (0..12).map(of).collect()
    });
}

/// An average over all of 12 positions, then a sum of both halves of the channels.
#[test]
fn averages_round_halves_to_even() {
    for (x, y) in [
        (quantized(U8, 0.05, 3), quantized(U8, 0.05, 4)),
        (quantized(I8, 0.05, 3), quantized(I8, 0.025, 4)),
        (
            quantized(U16, 0.000_35, 31_655),
            quantized(U16, 0.000_35, 26_701),
        ),
    ] {
        let model =
            Model::new(&[("x", "1,2,3,4", x)]).node("GlobalAveragePool", "x_f", "mean", &[]);
        model.gives("mean", y, |inputs| {
            let sums = inputs[0]
                .chunks(12)
                .map(|row| row.iter().map(|q| x.real(*q)).sum::<i128>());
            let y = Quantization {
                scale: y.scale,
                ..y
            };
            sums.map(|sum| {
                y.kind
                    .clamp(nearest(sum, 12 * fixed(y.scale)) + i128::from(y.zero))
            })
            .collect()
        });
    }
}

#[test]
fn clamps_and_maxima_before_quantization() {
    let (x, y) = (quantized(I8, 0.0373, -5), quantized(U8, 0.0431, 17));
    let weights = [3i32, -2, 5, 1];
    let mut model = Model::new(&[("x", "1,1,4,4", x)]);
    model.onnx = model
        .onnx
        .small("w", DataType::Int8, &[1, 1, 2, 2], weights.to_vec())
        .floats("w_s", &[], vec![0.31])
        .floats("low", &[], vec![0.0])
        .floats("high", &[], vec![6.0]);
    let model = model
        .node("DequantizeLinear", "w,w_s", "w_f", &[])
        .node("Conv", "x_f,w_f", "sums", &[])
        .node("Clip", "sums,low,high", "kept", &[])
        .node(
            "MaxPool",
            "kept",
            "greatest",
            &[("kernel_shape", Ints(vec![2, 2]))],
        );
    model.gives("greatest", y, |inputs| {
        let sum = |row: usize, column: usize| {
            let at = |i: usize| x.real(inputs[0][4 * (row + i / 2) + column + i % 2]);
            let products = (0..4).map(|i| at(i) * fixed(0.31) * i128::from(weights[i]));
            products.sum::<i128>().clamp(0, 6 << (2 * FRACTION))
        };
        let greatest = |i: usize| {
            let (row, column) = (i / 2, i % 2);
            let all = (0..4).map(|k| sum(row + k / 2, column + k % 2));
            y.of(all.max().unwrap_or(0), 2 * FRACTION)
        };
        (0..4).map(greatest).collect()
    });
}

#[test]
fn maxima_of_16_bits_are_exact() {
    let (x, y) = (quantized(I16, 0.000_17, 100), quantized(I16, 0.000_17, 100));
    let model = Model::new(&[("x", "1,1,4,4", x)]).node(
        "MaxPool",
        "x_f",
        "greatest",
        &[("kernel_shape", Ints(vec![3, 3]))],
    );
    model.gives("greatest", y, |inputs| {
        let greatest = |i: usize| {
            (0..9)
                .map(|k| inputs[0][4 * (i / 2 + k / 3) + i % 2 + k % 3])
                .max()
                .unwrap_or(0)
        };
        (0..4).map(greatest).collect()
    });
}

#[test]
fn functions_of_quantized_numbers_are_tables_of_integers() {
    let (x, y) = (quantized(I8, 0.0373, -5), quantized(U8, 0.00390625, 0));
    let model = Model::new(&[("x", "256", x)]).node("Sigmoid", "x_f", "made", &[]);
    model.gives("made", y, |inputs| {
        let of = |q: &i64| {
            let real = f64::from(0.0373f32) * (q + 5) as f64;
            y.kind
                .clamp((256.0 / (1.0 + (-real).exp())).round_ties_even() as i128)
        };
        inputs[0].iter().map(of).collect()
    });
}

/// Constants that are no multiples of the scale are not rounded to one.
#[test]
fn functions_of_quantized_numbers_and_a_constant() {
    let (x, y) = (quantized(I8, 0.4, 3), quantized(I8, 0.0078125, 0));
    let mut model = Model::new(&[("x", "256", x)]);
    model.onnx = model.onnx.floats("c", &[], vec![0.17]);
    let model = model
        .node("Add", "x_f,c", "sum", &[])
        .node("Tanh", "sum", "made", &[]);
    model.gives("made", y, |inputs| {
        let of = |q: &i64| {
            let real = f64::from(0.4f32) * (q - 3) as f64 + f64::from(0.17f32);
            y.kind
                .clamp((128.0 * real.tanh()).round_ties_even() as i128)
        };
        inputs[0].iter().map(of).collect()
    });
}

#[test]
fn products_that_are_never_negative() {
    let [a, b] = [0.000_173, 0.000_111].map(|scale| quantized(U16, scale, 0));
    pairs("Mul", a, b, quantized(U16, 0.000_771, 11), |a, b| a * b);
}
