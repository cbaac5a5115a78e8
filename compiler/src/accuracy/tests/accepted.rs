//! The integer program against the `f64` interpreter, over everything that the program's inputs accept: right, or a typed error.

use zkiln_runtime::trace::{self, Constants};

use crate::accuracy::lower_faithfully;
use crate::graph::{Dtype, NodeId, Op, Tensor, interpret};
use crate::options::Options;
use crate::ports::Sample;
use crate::prepare::Prepared;
use crate::program::{Lowered, PortInfo};
use crate::testing::Attribute::{self, Float, Int, Ints};
use crate::testing::Onnx;
use tract_onnx::pb::tensor_proto::DataType;

/// Greatest error that is right, relative to the output's reach.
const RIGHT: f64 = 0.01;
/// Samples, uniform in -1..1 or whole numbers below 5.
const SAMPLES: usize = 12;
/// Inputs of the program, over all that it accepts.
const INPUTS: usize = 40;

/// Seeded numbers (xorshift64*).
struct Random(u64);

impl Random {
    /// In `0..1`.
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Integers of a port: `share` of its range, and one in eight at an end, if there are to be some.
    fn accepted(&mut self, port: &PortInfo, share: f64, ends: bool) -> Vec<i64> {
        let (low, high) = port.range;
        let share = match port.dtype {
            Dtype::Float32 => share,
            _ => 1.0,
        };
        let element = |_| match (self.uniform() * 16.0) as u32 {
            0 if ends => low,
            1 if ends => high,
            _ => self
                .between(low as f64 * share, high as f64 * share)
                .round() as i64,
        };
        (0..port.shape.iter().product::<usize>())
            .map(element)
            .collect()
    }
}

/// Greatest less least element, or a fifth of the greatest magnitude, whichever is more.
fn reach(elements: &[f64]) -> f64 {
    let finite = || elements.iter().copied().filter(|e| e.is_finite());
    let (low, high) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    (high - low).max(0.2 * high.abs().max(low.abs()))
}

/// A model that is compiled on samples.
struct Case {
    prepared: Prepared,
    lowered: Lowered,
    constants: Constants,
    /// Reach of each output in the samples.
    typical: Vec<f64>,
}

impl Case {
    fn new(model: Onnx, random: &mut Random) -> Self {
        let graph = model
            .clone()
            .import_with(&Options::default())
            .expect("can be imported")
            .graph;
        let tensor = |random: &mut Random, id: NodeId| {
            let node = &graph.nodes[id];
            let element = |_| match node.op {
                Op::Input(Dtype::Float32) => random.between(-1.0, 1.0),
                Op::Input(Dtype::Bool) => random.between(0.0, 2.0).floor(),
                _ => random.between(0.0, 5.0).floor(),
            };
            Sample {
                shape: node.shape.clone(),
                data: (0..node.volume()).map(element).collect(),
            }
        };
        let samples: Vec<Vec<Sample>> = (0..SAMPLES)
            .map(|_| graph.inputs.iter().map(|id| tensor(random, *id)).collect())
            .collect();
        let options = Options {
            samples,
            ..Options::default()
        };
        let prepared = model.import_with(&options).expect("can be imported");
        let lowered = lower_faithfully(&prepared, &options, "test").expect("can be lowered");
        let constants = Constants::new(&lowered.model, &lowered.constants).expect("constants");
        let mut typical = vec![0.0; lowered.outputs.len()];
        for sample in &options.samples {
            let tensors = sample
                .iter()
                .map(|s| Tensor::new(s.shape.clone(), s.data.clone()));
            let outputs = interpret::run(&prepared.graph, &tensors.collect::<Vec<_>>());
            for (typical, output) in typical.iter_mut().zip(&outputs) {
                *typical = reach(&output.data).max(*typical);
            }
        }
        Self {
            prepared,
            lowered,
            constants,
            typical,
        }
    }

    /// What the program gives; `None` where it refuses.
    fn run(&self, inputs: &[Vec<i64>]) -> Option<Vec<Vec<f64>>> {
        let trace = trace::run(&self.lowered.model, &self.constants, inputs).ok()?;
        let outputs = trace.outputs(&self.lowered.model).ok()?;
        let ports = self.lowered.outputs.iter().zip(&outputs);
        Some(
            ports
                .map(|(port, integers)| port.to_reals(integers))
                .collect(),
        )
    }

    /// Compares with the interpreter; whether there was an answer.
    fn agrees(&self, what: &str, inputs: &[Vec<i64>]) -> bool {
        let Some(got) = self.run(inputs) else {
            return false;
        };
        let ports = self.lowered.inputs.iter().zip(inputs);
        let reals =
            ports.map(|(port, integers)| Tensor::new(port.shape.clone(), port.to_reals(integers)));
        let expected = interpret::run(&self.prepared.graph, &reals.collect::<Vec<_>>());
        let outputs = self.lowered.outputs.iter().zip(&self.typical);
        for ((port, typical), (got, right)) in outputs.zip(got.iter().zip(&expected)) {
            let slack = match port.dtype {
                Dtype::Float32 => RIGHT * reach(&right.data).max(*typical),
                _ => 0.0,
            };
            for (element, (got, right)) in got.iter().zip(&right.data).enumerate() {
                let name = &port.name;
                assert!(
                    (got - right).abs() <= slack,
                    "{what}: `{name}`[{element}] is {got}, right {right}, within {slack}"
                );
            }
        }
        true
    }
}

/// Tries a model on all that it accepts; some of it has an answer.
fn holds(what: &str, model: Onnx) {
    tries(what, model, true);
}

/// As [`holds`], without the ends of what it accepts.
fn holds_within(what: &str, model: Onnx) {
    tries(what, model, false);
}

fn tries(what: &str, model: Onnx, ends: bool) {
    let mut random = Random(0x5eed);
    let case = Case::new(model, &mut random);
    let shares = [1.0, 0.3, 0.1, 0.01].into_iter().cycle().take(INPUTS);
    let answered = shares.filter(|share| {
        let ports = case.lowered.inputs.iter();
        let inputs: Vec<Vec<i64>> = ports
            .map(|port| random.accepted(port, *share, ends))
            .collect();
        case.agrees(what, &inputs)
    });
    assert!(answered.count() > 0, "{what}: nothing has an answer");
}

/// One operator of a float input of `shape`.
fn one(shape: &str, operator: &str, operands: &str, attributes: &[(&str, Attribute)]) -> Onnx {
    Onnx::new()
        .input("x", shape)
        .node(operator, operands, "y", attributes)
        .output("y")
}

#[test]
fn functions_of_an_element() {
    for function in [
        "Exp",
        "Relu",
        "Sigmoid",
        "Tanh",
        "Erf",
        "Softplus",
        "HardSwish",
        "Elu",
        "Selu",
        "Abs",
        "Neg",
        "Sin",
        "Cos",
        "Atan",
    ] {
        holds(function, one("3,8", function, "x", &[]));
    }
    holds(
        "LeakyRelu",
        one("3,8", "LeakyRelu", "x", &[("alpha", Float(0.1))]),
    );
}

/// `y` of `function` of `x * x + 0.1`.
fn of_positive(function: &str) -> Onnx {
    Onnx::new()
        .input("x", "3,8")
        .floats("least", &[], vec![0.1])
        .node("Mul", "x,x", "square", &[])
        .node("Add", "square,least", "positive", &[])
        .node(function, "positive", "y", &[])
        .output("y")
}

#[test]
fn functions_of_what_is_positive() {
    for function in ["Log", "Sqrt", "Reciprocal"] {
        holds(function, of_positive(function));
    }
    for offset in [-1.0, 1.0] {
        let moved = Onnx::new()
            .input("x", "4,16")
            .floats("offset", &[], vec![offset])
            .node("ReduceSumSquare", "x", "sum", &[("axes", Ints(vec![1]))])
            .node("Add", "sum,offset", "moved", &[])
            .node("Sqrt", "moved", "y", &[])
            .output("y");
        holds("Sqrt beside an offset", moved);
    }
}

#[test]
fn norms() {
    let layer = one("4,16", "LayerNormalization", "x,gamma,beta", &[]);
    holds(
        "LayerNormalization",
        layer.weight("gamma", &[16]).weight("beta", &[16]),
    );
    holds(
        "LpNormalization",
        one("4,16", "LpNormalization", "x", &[("axis", Int(1))]),
    );
    holds(
        "ReduceL2",
        one("4,16", "ReduceL2", "x", &[("axes", Ints(vec![1]))]),
    );
    let flags = one("4,6", "Hardmax", "x", &[]).node("LayerNormalization", "y,gamma", "z", &[]);
    let flags = flags.weight("gamma", &[6]).output("z");
    holds("LayerNormalization of flags", flags);
    let instance = one("1,3,4,4", "InstanceNormalization", "x,gamma,beta", &[]);
    holds(
        "InstanceNormalization",
        instance.weight("gamma", &[3]).weight("beta", &[3]),
    );
}

#[test]
fn softmax_and_its_kin() {
    for operator in ["Softmax", "LogSoftmax"] {
        holds(operator, one("4,10", operator, "x", &[]));
    }
    holds(
        "Log of Softmax",
        Onnx::new()
            .input("x", "4,10")
            .node("Softmax", "x", "s", &[])
            .node("Log", "s", "y", &[])
            .output("y"),
    );
    holds(
        "ReduceLogSumExp",
        one("4,10", "ReduceLogSumExp", "x", &[("axes", Ints(vec![1]))]),
    );
}

#[test]
fn linear_layers() {
    let perceptron = Onnx::new()
        .input("x", "2,12")
        .weight("w", &[12, 16])
        .weight("b", &[16])
        .weight("v", &[16, 5])
        .node("Gemm", "x,w,b", "h", &[])
        .node("Relu", "h", "r", &[])
        .node("MatMul", "r,v", "y", &[])
        .output("y");
    holds("perceptron", perceptron);
    let image = Onnx::new()
        .input("x", "1,2,6,6")
        .weight("w", &[3, 2, 3, 3])
        .node("Conv", "x,w", "c", &[("pads", Ints(vec![1, 1, 1, 1]))])
        .node("Relu", "c", "r", &[])
        .node(
            "MaxPool",
            "r",
            "p",
            &[
                ("kernel_shape", Ints(vec![2, 2])),
                ("strides", Ints(vec![2, 2])),
            ],
        )
        .node("GlobalAveragePool", "p", "y", &[])
        .output("y");
    holds("convolution", image);
}

#[test]
fn quotients_and_products() {
    let quotient = Onnx::new()
        .input("x", "3,8")
        .input("z", "3,8")
        .floats("least", &[], vec![0.1])
        .node("Abs", "z", "size", &[])
        .node("Add", "size,least", "divisor", &[])
        .node("Div", "x,divisor", "y", &[])
        .output("y");
    holds("Div", quotient);
    let product = Onnx::new()
        .input("x", "3,8")
        .input("z", "3,8")
        .node("Mul", "x,z", "y", &[])
        .output("y");
    holds("Mul", product);
}

/// Rows less their least elements, over what these span.
#[test]
fn quotients_of_what_may_be_small() {
    let reduced = |model: Onnx, operator: &str, operand: &str, to: &str| {
        model.node(operator, operand, to, &[("axes", Ints(vec![1]))])
    };
    let x = || Onnx::new().opset(12).input("x", "6,5");
    let least = reduced(x(), "ReduceMin", "x", "least");
    let most = reduced(least, "ReduceMax", "x", "most");
    let spanned = most
        .node("Sub", "x,least", "above", &[])
        .node("Sub", "most,least", "span", &[])
        .floats("epsilon", &[], vec![1e-6])
        .node("Add", "span,epsilon", "divisor", &[])
        .node("Div", "above,divisor", "y", &[]);
    holds("a row's place in its span", spanned.output("y"));
    let sizes = reduced(
        x().node("Abs", "x", "size", &[]),
        "ReduceSum",
        "size",
        "sum",
    );
    let shares = sizes.node("Div", "x,sum", "y", &[]);
    holds("a row's share of its sizes", shares.output("y"));
    let norm = reduced(x(), "ReduceL2", "x", "norm").floats("least", &[], vec![1e-6]);
    let direction =
        norm.node("Clip", "norm,least", "divisor", &[])
            .node("Div", "x,divisor", "y", &[]);
    holds("a row's direction", direction.output("y"));
    let clipped = reduced(x(), "ReduceL2", "x", "norm").floats("least", &[], vec![0.4]);
    let clipped =
        clipped
            .node("Clip", "norm,least", "divisor", &[])
            .node("Div", "x,divisor", "y", &[]);
    holds("a row over its clipped norm", clipped.output("y"));
    // Squares of what is quiet are quieter still.
    let squares = x()
        .node("Mul", "x,x", "square", &[])
        .node("Mean", "square,square", "mean", &[])
        .node("Add", "mean,x", "moved", &[]);
    let norm = reduced(squares, "ReduceL2", "moved", "norm");
    holds(
        "a row of parabolas",
        norm.node("Div", "moved,norm", "y", &[]).output("y"),
    );
}

/// Rows of very different sizes over what is made of their squares, which others read as well.
#[test]
fn parts_of_norms_that_others_read() {
    let rows = || {
        let sizes = [-2.0f32, -1.5, -1.0, -0.5, 0.0, 0.7].map(|log| 10.0f32.powf(log));
        let x = Onnx::new().opset(12).input("x", "6,16");
        x.floats("sizes", &[6, 1], sizes.to_vec())
            .floats("epsilon", &[], vec![1e-12])
            .node("Mul", "x,sizes", "row", &[])
            .node("Mul", "row,row", "square", &[])
            .node("ReduceMean", "square", "mean", &[("axes", Ints(vec![1]))])
            .node("Add", "mean,epsilon", "more", &[])
            .node("Sqrt", "more", "root", &[])
            .node("Div", "row,root", "y", &[])
    };
    holds("a mean square", rows().output("mean").output("y"));
    holds("a root", rows().output("root").output("y"));
    let image = Onnx::new().opset(13).input("x", "3,2,2,1");
    let along = [("axes", Ints(vec![2, 3]))];
    let made = image.node("MeanVarianceNormalization", "x", "y", &along);
    holds("MeanVarianceNormalization", made.output("y"));
}

/// Quiet operands make results that are quiet, and normalized.
#[test]
fn norms_of_functions_through_zero() {
    let over_norm = |model: Onnx| {
        let norm = model.node("ReduceL2", "h", "norm", &[("axes", Ints(vec![1]))]);
        norm.node("Div", "h,norm", "y", &[]).output("y")
    };
    let x = || Onnx::new().opset(12).input("x", "4,12");
    for function in ["Tanh", "Softsign", "Sin"] {
        holds_within(function, over_norm(x().node(function, "x", "h", &[])));
    }
    let rectified = x().node("LeakyRelu", "x", "h", &[("alpha", Float(0.02))]);
    holds_within("LeakyRelu", over_norm(rectified));
    let gate = x().node("Sigmoid", "x", "gate", &[]);
    let opened = gate.node("Mul", "x,gate", "opened", &[]);
    let unit = opened.clone().node("Mul", "opened,x", "h", &[]);
    holds_within("a gated unit", over_norm(unit));
    let other = opened.input("z", "4,12").node("Mul", "opened,z", "h", &[]);
    holds_within("a gated unit of two", over_norm(other));
}

#[test]
fn what_equals_a_number_is_told_from_what_nearly_does() {
    let model = Onnx::new()
        .opset(12)
        .input("x", "3,5")
        .floats("zero", &[], vec![0.0])
        .floats("mean", &[5], vec![0.1, 0.2, 0.3, 0.4, 0.5])
        .node("Equal", "x,zero", "missing", &[])
        .node("Where", "missing,mean,x", "y", &[])
        .output("y");
    let case = Case::new(model, &mut Random(0x5eed));
    let (near, missing) = (2e-7, 7);
    let mut given = vec![near; 15];
    given[missing] = 0.0;
    let integers = case.lowered.inputs[0]
        .to_integers(&given)
        .expect("in range");
    let got = &case.run(&[integers]).expect("an answer")[0];
    for (at, got) in got.iter().enumerate() {
        let right = if at == missing { 0.3 } else { near };
        assert!((got - right).abs() < 1e-3, "{at}: {got} for {right}");
    }
}

/// The samples saturate the function, and quiet inputs do not.
#[test]
fn functions_that_saturate() {
    let weights = (0..48).map(|i| 40.0 * ((i * 29 % 48) as f32 / 24.0 - 1.0));
    let model = Onnx::new()
        .input("x", "2,8")
        .floats("w", &[8, 6], weights.collect())
        .node("MatMul", "x,w", "h", &[])
        .node("Tanh", "h", "y", &[])
        .output("y");
    holds("Tanh of a steep layer", model);
}

#[test]
fn choices() {
    let chosen = Onnx::new()
        .typed_input("c", DataType::Bool, "1,8")
        .input("x", "4,8")
        .floats("far", &[], vec![-10_000.0])
        .node("Where", "c,x,far", "y", &[]);
    holds("Where", chosen.output("y"));
}

#[test]
fn integers_of_floats() {
    for operator in ["Ceil", "Floor", "Round", "Sign"] {
        holds(operator, one("4,9", operator, "x", &[]));
    }
    let logarithm = of_positive("Log").node("Sin", "y", "z", &[]);
    holds("a function of a logarithm", logarithm.output("z"));
}

#[test]
fn integers() {
    let arithmetic = Onnx::new()
        .typed_input("i", DataType::Int64, "6")
        .ints("seven", &[], &[7])
        .ints("large", &[], &[10_007])
        .node("Mul", "i,large", "product", &[])
        .node("Add", "product,seven", "y", &[])
        .output("y");
    holds("integer arithmetic", arithmetic);
    let maximum = Onnx::new()
        .typed_input("i", DataType::Int64, "3,4")
        .node("ReduceMax", "i", "y", &[("axes", Ints(vec![1]))])
        .output("y");
    holds("integer maximum", maximum);
    // What is added to a few great steps is not rounded to them.
    let classes = Onnx::new()
        .typed_input("i", DataType::Int64, "7")
        .ints("depth", &[], &[5])
        .floats("values", &[2], vec![-0.5, 2.0])
        .weight("w", &[5, 3])
        .node("OneHot", "i,depth,values", "hot", &[])
        .node("MatMul", "hot,w", "y", &[])
        .output("y");
    holds("rows of a matrix less the others' halves", classes);
}
