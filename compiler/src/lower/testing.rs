//! Small graphs made by hand, lowered, run in integers and compared with the float reference.

use zkiln_runtime::trace::{self, Constants};

use crate::error::CompileError;
use crate::graph::interpret;
use crate::graph::{BinaryFn, Dtype, Extent, Graph, Node, NodeId, Op, Tensor, range_of};
use crate::lower::lower;
use crate::options::Options;
use crate::program::Lowered;

/// How many random samples calibrate a graph; the last one is run.
const SAMPLES: usize = 4;

/// Seeded numbers, roughly normal.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    pub fn tensor(&mut self, shape: &[usize], scale: f64) -> Tensor {
        let data = (0..shape.iter().product())
            .map(|_| self.normal() * scale)
            .collect();
        Tensor::new(shape.to_vec(), data)
    }
}

/// A graph under construction.
pub struct Net {
    graph: Graph,
    noise: Noise,
    /// Inputs whose columns deviate by these from zero.
    columns: Vec<(NodeId, Vec<f64>)>,
}

/// A graph that was lowered and run.
#[derive(Debug)]
pub struct Outcome {
    pub lowered: Lowered,
    /// Greatest error of an output element, as a fraction of the output's range.
    pub error: f64,
}

impl Net {
    pub fn new() -> Self {
        Self {
            graph: Graph {
                nodes: vec![],
                inputs: vec![],
                outputs: vec![],
            },
            noise: Noise::new(7),
            columns: vec![],
        }
    }

    pub fn push(&mut self, op: Op, inputs: &[NodeId], shape: &[usize]) -> NodeId {
        let name = format!("{}{}", op.name().to_lowercase(), self.graph.nodes.len());
        let dtype = self.graph.dtype_of(&op, inputs);
        let node = Node {
            name,
            op,
            inputs: inputs.to_vec(),
            shape: shape.to_vec(),
            dtype,
            range: (0.0, 0.0),
            stats: vec![],
            seen: Default::default(),
        };
        self.graph.nodes.push(node);
        self.graph.nodes.len() - 1
    }

    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.graph.nodes[id].shape
    }

    pub fn input(&mut self, shape: &[usize]) -> NodeId {
        let id = self.push(Op::Input(Dtype::Float32), &[], shape);
        self.graph.inputs.push(id);
        id
    }

    /// Rows of features of which each has its own deviation.
    pub fn features(&mut self, rows: usize, deviations: &[f64]) -> NodeId {
        let id = self.input(&[rows, deviations.len()]);
        self.columns.push((id, deviations.to_vec()));
        id
    }

    /// The product with one constant for each index of the last axis.
    pub fn times(&mut self, x: NodeId, factors: &[f64]) -> NodeId {
        let shape = self.graph.nodes[x].shape.clone();
        let factors = Tensor::new(vec![1, factors.len()], factors.to_vec());
        let factors = self.constant(factors);
        self.push(Op::Binary(BinaryFn::Mul), &[x, factors], &shape)
    }

    pub fn tokens(&mut self, shape: &[usize]) -> NodeId {
        let id = self.push(Op::Input(Dtype::Int64), &[], shape);
        self.graph.inputs.push(id);
        id
    }

    pub fn constant(&mut self, tensor: Tensor) -> NodeId {
        let shape = tensor.shape.clone();
        self.push(Op::Constant(tensor), &[], &shape)
    }

    /// A random constant.
    pub fn weight(&mut self, shape: &[usize], scale: f64) -> NodeId {
        let tensor = self.noise.tensor(shape, scale);
        self.constant(tensor)
    }

    /// `[.., k] x [k, n]`, with weights of unit gain.
    pub fn linear(&mut self, x: NodeId, n: usize) -> NodeId {
        let mut shape = self.graph.nodes[x].shape.clone();
        let k = shape.pop().unwrap();
        let w = self.weight(&[k, n], (k as f64).sqrt().recip());
        let rows: Vec<u8> = (0..shape.len() as u8).collect();
        shape.push(n);
        let op = Op::Einsum {
            inputs: vec![[rows.as_slice(), &[10]].concat(), vec![10, 11]],
            output: [rows.as_slice(), &[11]].concat(),
        };
        self.push(op, &[x, w], &shape)
    }

    pub fn output(&mut self, id: NodeId) {
        self.graph
            .outputs
            .push((format!("output{}", self.graph.outputs.len()), id));
    }

    /// Samples for all inputs: normal, or tokens below 5.
    fn sample(&mut self) -> Vec<Tensor> {
        let ports: Vec<(Op, Vec<usize>)> = self
            .graph
            .inputs
            .iter()
            .map(|&id| {
                (
                    self.graph.nodes[id].op.clone(),
                    self.graph.nodes[id].shape.clone(),
                )
            })
            .collect();
        let mut sample: Vec<Tensor> = ports
            .into_iter()
            .map(|(op, shape)| {
                let normal = self.noise.tensor(&shape, 1.0);
                match op {
                    Op::Input(Dtype::Int64) => Tensor::new(
                        shape,
                        normal
                            .data
                            .iter()
                            .map(|x| (x.abs() * 100.0).floor() % 5.0)
                            .collect(),
                    ),
                    _ => normal,
                }
            })
            .collect();
        for (id, deviations) in &self.columns {
            for (tensor, _) in sample
                .iter_mut()
                .zip(&self.graph.inputs)
                .filter(|(_, i)| *i == id)
            {
                let factors = deviations.iter().cycle();
                tensor
                    .data
                    .iter_mut()
                    .zip(factors)
                    .for_each(|(x, factor)| *x *= factor);
            }
        }
        sample
    }

    fn calibrate(&mut self, samples: &[Vec<Tensor>]) {
        for sample in samples {
            let values = interpret::evaluate(&self.graph, sample);
            for (id, node) in self.graph.nodes.iter_mut().enumerate() {
                let (lo, hi) = range_of(values[id].data.iter().copied());
                node.range = (node.range.0.min(lo), node.range.1.max(hi));
                node.seen.join(Extent::of(&node.shape, &values[id].data));
                if node.inputs.is_empty() {
                    continue;
                }
                let operands: Vec<&Tensor> = node.inputs.iter().map(|i| &values[*i]).collect();
                let seen = interpret::intermediate_values(&node.op, &operands);
                node.stats
                    .resize(seen.len(), (f64::INFINITY, f64::NEG_INFINITY));
                for (stat, values) in node.stats.iter_mut().zip(seen) {
                    *stat = values
                        .iter()
                        .fold(*stat, |(lo, hi), &x| (lo.min(x), hi.max(x)));
                }
            }
        }
        for node in &mut self.graph.nodes {
            let elements = samples.len() * node.volume();
            node.seen.keep_uneven(elements);
        }
    }

    /// Lowers and runs the graph.
    pub fn run(mut self) -> Outcome {
        let samples: Vec<Vec<Tensor>> = (0..SAMPLES).map(|_| self.sample()).collect();
        self.calibrate(&samples);
        let lowered = self.lower().unwrap_or_else(|error| panic!("{error}"));
        let sample = &samples[SAMPLES - 1];
        let expected = interpret::run(&self.graph, sample);
        let error = error(&lowered, sample, &expected);
        Outcome { lowered, error }
    }

    /// Lowers the graph, calibrated or not.
    pub fn lower(&self) -> Result<Lowered, CompileError> {
        lower(&self.graph, &Options::default(), "test")
    }
}

/// Runs the model on a sample: the greatest error as a fraction of the outputs' ranges.
fn error(lowered: &Lowered, sample: &[Tensor], expected: &[Tensor]) -> f64 {
    lowered.model.validate().expect("a valid model");
    let constants = Constants::new(&lowered.model, lowered.constants.clone()).expect("constants");
    let ports = sample.iter().zip(&lowered.inputs);
    let quantize = |(tensor, info): (&Tensor, &crate::program::PortInfo)| {
        info.to_integers(&tensor.data).expect("in range")
    };
    let inputs: Vec<Vec<i64>> = ports.map(quantize).collect();
    let trace = trace::run(&lowered.model, &constants, &inputs).expect("in range");
    let outputs = trace.outputs(&lowered.model).expect("in range");
    let mut worst = 0.0f64;
    for ((got, info), expected) in outputs.iter().zip(&lowered.outputs).zip(expected) {
        assert_eq!(got.len(), expected.data.len());
        let (lo, hi) = range_of(expected.data.iter().copied());
        for (got, expected) in info.to_reals(got).iter().zip(&expected.data) {
            worst = worst.max((got - expected).abs() / (hi - lo).max(1e-9));
        }
    }
    worst
}

impl Outcome {
    /// Asserts the error's bound.
    pub fn within(self, bound: f64) -> Self {
        let lines: Vec<String> = self
            .lowered
            .report
            .iter()
            .map(|line| format!("{line:?}"))
            .collect();
        assert!(
            self.error <= bound,
            "error {} of the range\n{}",
            self.error,
            lines.join("\n")
        );
        self
    }

    /// The relations' names in order.
    pub fn relations(&self) -> Vec<&str> {
        self.lowered
            .report
            .iter()
            .map(|line| line.relation.as_str())
            .collect()
    }
}
