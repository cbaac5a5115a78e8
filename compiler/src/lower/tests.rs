use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn, Window};
use crate::lower::testing::Net;

fn relu(net: &mut Net, x: NodeId, shape: &[usize]) -> NodeId {
    net.push(Op::Pointwise(Pointwise::of(UnaryFn::Relu)), &[x], shape)
}

fn binary(net: &mut Net, function: BinaryFn, a: NodeId, b: NodeId, shape: &[usize]) -> NodeId {
    net.push(Op::Binary(function), &[a, b], shape)
}

/// Runs the part of a graph that `build` makes from one input, and its matrix product by random weights.
fn unary(shape: &[usize], build: impl Fn(&mut Net, NodeId) -> NodeId) -> super::testing::Outcome {
    let mut net = Net::new();
    let x = net.input(shape);
    let y = build(&mut net, x);
    net.output(y);
    net.run()
}

#[test]
fn perceptron() {
    let outcome = unary(&[1, 64], |net, x| {
        let h = net.linear(x, 96);
        let b = net.weight(&[1, 96], 0.5);
        let h = binary(net, BinaryFn::Add, h, b, &[1, 96]);
        let h = relu(net, h, &[1, 96]);
        let h = net.linear(h, 32);
        let h = relu(net, h, &[1, 32]);
        net.linear(h, 10)
    });
    let outcome = outcome.within(0.003);
    // The map is the range of the hidden input.
    assert_eq!(outcome.relations(), ["map", "requant", "requant"]);
    let relu_tables = outcome
        .lowered
        .model
        .tables
        .iter()
        .filter(|table| !table.outputs.is_empty())
        .count();
    assert_eq!(relu_tables, 1, "equal tables are one");
}

#[test]
fn constants_are_not_rounded_to_a_unit_of_few_integers() {
    let mut net = Net::new();
    let x = net.tokens(&[3]);
    let c = net.constant(Tensor::new(vec![3], vec![0.3, -0.45, 0.6]));
    let sum = binary(&mut net, BinaryFn::Add, x, c, &[3]);
    let tanh = Op::Pointwise(Pointwise::of(UnaryFn::Tanh));
    let y = net.push(tanh, &[sum], &[3]);
    net.output(y);
    // Keys of 12 bits reach to 32.
    net.run().within(0.005);
}

#[test]
fn an_axis_that_no_view_reads_is_committed_anew() {
    let outcome = unary(&[2, 46, 45], |net, x| {
        let r = net.push(Op::Reshape, &[x], &[2, 2070]);
        let (before, value) = (vec![0, 3], 0.0);
        net.push(Op::Pad { before, value }, &[r], &[2, 2075])
    });
    let outcome = outcome.within(0.001);
    assert_eq!(outcome.relations(), ["map", "reshape"]);
}

#[test]
fn movement_commits_nothing() {
    let outcome = unary(&[4, 6], |net, x| {
        let t = net.push(
            Op::Transpose {
                permutation: vec![1, 0],
            },
            &[x],
            &[6, 4],
        );
        let r = net.push(Op::Reshape, &[t], &[2, 12]);
        let s = net.push(
            Op::Slice {
                axis: 1,
                start: 3,
                step: 2,
            },
            &[r],
            &[2, 4],
        );
        let p = net.push(
            Op::Pad {
                before: vec![1, 0],
                value: 0.5,
            },
            &[s],
            &[4, 5],
        );
        let c = net.push(Op::Concat { axis: 0 }, &[p, p], &[8, 5]);
        let b = net.push(Op::Reshape, &[c], &[1, 8, 5]);
        net.push(Op::Broadcast, &[b], &[3, 8, 5])
    });
    outcome.within(0.001);
}

#[test]
fn negative_step_and_misaligned_reshape() {
    let outcome = unary(&[6, 4], |net, x| {
        let s = net.push(
            Op::Slice {
                axis: 0,
                start: 5,
                step: -1,
            },
            &[x],
            &[6, 4],
        );
        let r = net.push(Op::Reshape, &[s], &[8, 3]);
        let t = net.push(
            Op::Transpose {
                permutation: vec![1, 0],
            },
            &[r],
            &[3, 8],
        );
        net.push(Op::Reshape, &[t], &[4, 6])
    });
    outcome.within(0.001);
}

#[test]
fn sums_and_products() {
    let outcome = unary(&[4, 8], |net, x| {
        let row = net.push(
            Op::Reduce {
                reducer: Reducer::Mean,
                axes: vec![1],
            },
            &[x],
            &[4, 1],
        );
        let centred = binary(net, BinaryFn::Sub, x, row, &[4, 8]);
        let squares = binary(net, BinaryFn::Mul, centred, centred, &[4, 8]);
        let gain = net.weight(&[1, 8], 1.0);
        let scaled = binary(net, BinaryFn::Mul, squares, gain, &[4, 8]);
        let product = binary(net, BinaryFn::Mul, scaled, x, &[4, 8]);
        let sum = net.push(
            Op::Reduce {
                reducer: Reducer::SumSquare,
                axes: vec![0],
            },
            &[x],
            &[1, 8],
        );
        let shifted = net.constant(Tensor::new(vec![1, 1], vec![3.0]));
        let positive = binary(net, BinaryFn::Add, sum, shifted, &[1, 8]);
        binary(net, BinaryFn::Div, product, positive, &[4, 8])
    });
    outcome.within(0.01);
}

#[test]
fn einsum_diagonal_and_outer() {
    let outcome = unary(&[5, 5], |net, x| {
        let d = net.push(
            Op::Einsum {
                inputs: vec![vec![0, 0]],
                output: vec![0],
            },
            &[x],
            &[5],
        );
        let s = net.push(
            Op::Einsum {
                inputs: vec![vec![0, 1]],
                output: vec![1],
            },
            &[x],
            &[5],
        );
        net.push(
            Op::Einsum {
                inputs: vec![vec![0], vec![1], vec![0, 1]],
                output: vec![1, 0],
            },
            &[d, s, x],
            &[5, 5],
        )
    });
    outcome.within(0.005);
}

fn window(kernel: usize, stride: usize, pad: usize) -> Window {
    Window {
        kernel: vec![kernel; 2],
        stride: vec![stride; 2],
        dilation: vec![1; 2],
        pad_before: vec![pad; 2],
    }
}

#[test]
fn convolutions_and_pools() {
    let outcome = unary(&[1, 4, 9, 9], |net, x| {
        let (k, b) = (net.weight(&[6, 2, 3, 3], 0.2), net.weight(&[6], 0.2));
        let c = net.push(
            Op::Convolution {
                window: window(3, 1, 1),
                groups: 2,
            },
            &[x, k, b],
            &[1, 6, 9, 9],
        );
        let m = net.push(Op::MaxPool(window(3, 2, 1)), &[c], &[1, 6, 5, 5]);
        let a = net.push(
            Op::AveragePool {
                window: window(2, 1, 1),
                count_padding: false,
            },
            &[m],
            &[1, 6, 6, 6],
        );
        let r = relu(net, a, &[1, 6, 6, 6]);
        let gain = net.weight(&[1, 6, 1, 1], 1.0);
        let n = binary(net, BinaryFn::Mul, r, gain, &[1, 6, 6, 6]);
        let shift = net.weight(&[1, 6, 1, 1], 1.0);
        let n = binary(net, BinaryFn::Add, n, shift, &[1, 6, 6, 6]);
        let (k, b) = (net.weight(&[5, 6, 3, 3], 0.2), net.weight(&[5], 0.2));
        let c = net.push(
            Op::Convolution {
                window: window(3, 2, 1),
                groups: 1,
            },
            &[n, k, b],
            &[1, 5, 3, 3],
        );
        net.push(
            Op::Reduce {
                reducer: Reducer::Mean,
                axes: vec![2, 3],
            },
            &[c],
            &[1, 5, 1, 1],
        )
    });
    outcome.within(0.005);
}

#[test]
fn extrema() {
    let outcome = unary(&[3, 7], |net, x| {
        let h = net.linear(x, 7);
        let top = net.push(
            Op::Reduce {
                reducer: Reducer::Max,
                axes: vec![1],
            },
            &[h],
            &[3, 1],
        );
        let low = net.push(
            Op::Reduce {
                reducer: Reducer::Min,
                axes: vec![0],
            },
            &[h],
            &[1, 7],
        );
        let m = binary(net, BinaryFn::Min, x, top, &[3, 7]);
        binary(net, BinaryFn::Max, m, low, &[3, 7])
    });
    outcome.within(0.003);
}

#[test]
fn select_with_constant_and_computed_conditions() {
    let mut net = Net::new();
    let (x, y) = (net.input(&[3, 4]), net.input(&[3, 4]));
    let mask = net.constant(Tensor::new(vec![1, 4], vec![1., 0., 1., 0.]));
    let h = net.linear(x, 4);
    let s = net.push(Op::Select, &[mask, h, y], &[3, 4]);
    let positive = net.push(
        Op::Pointwise(Pointwise::step(Pointwise::Variable)),
        &[y],
        &[3, 4],
    );
    let t = net.push(Op::Select, &[positive, s, x], &[3, 4]);
    net.output(t);
    net.run().within(0.003);
}

#[test]
fn gathers() {
    let mut net = Net::new();
    let (tokens, x) = (net.tokens(&[1, 6]), net.input(&[4, 5]));
    let table = net.weight(&[5, 8], 1.0);
    let rows = net.push(Op::Gather { axis: 0 }, &[table, tokens], &[1, 6, 8]);
    let columns = net.push(Op::Gather { axis: 1 }, &[x, tokens], &[4, 1, 6]);
    let some = net.constant(Tensor::new(vec![3], vec![3., 0., 2.]));
    let picked = net.push(Op::Gather { axis: 0 }, &[x, some], &[3, 5]);
    let stepped = net.constant(Tensor::new(vec![2], vec![1., 3.]));
    let stepped = net.push(Op::Gather { axis: 1 }, &[x, stepped], &[4, 2]);
    [rows, columns, picked, stepped]
        .into_iter()
        .for_each(|id| net.output(id));
    let outcome = net.run().within(0.002);
    assert_eq!(
        outcome
            .relations()
            .iter()
            .filter(|name| **name == "one hot")
            .count(),
        1,
        "one-hot rows are shared"
    );
}

fn attention(net: &mut Net, x: NodeId, mask: impl Fn(&mut Net, NodeId) -> NodeId) -> NodeId {
    let heads = |net: &mut Net, x: NodeId| {
        let h = net.linear(x, 8);
        let h = net.push(Op::Reshape, &[h], &[6, 2, 4]);
        net.push(
            Op::Transpose {
                permutation: vec![1, 0, 2],
            },
            &[h],
            &[2, 6, 4],
        )
    };
    let (q, k, v) = (heads(net, x), heads(net, x), heads(net, x));
    let scores = net.push(
        Op::Einsum {
            inputs: vec![vec![0, 1, 2], vec![0, 3, 2]],
            output: vec![0, 1, 3],
        },
        &[q, k],
        &[2, 6, 6],
    );
    let half = net.constant(Tensor::new(vec![1, 1, 1], vec![0.5]));
    let scores = binary(net, BinaryFn::Mul, scores, half, &[2, 6, 6]);
    let scores = mask(net, scores);
    let p = net.push(
        Op::Softmax {
            axis: 2,
            hidden: vec![],
        },
        &[scores],
        &[2, 6, 6],
    );
    let y = net.push(
        Op::Einsum {
            inputs: vec![vec![0, 1, 2], vec![0, 2, 3]],
            output: vec![1, 0, 3],
        },
        &[p, v],
        &[6, 2, 4],
    );
    net.push(Op::Reshape, &[y], &[6, 8])
}

fn triangle() -> Vec<f64> {
    (0..36).map(|i| f64::from(i % 6 <= i / 6)).collect()
}

#[test]
fn attention_with_selected_mask() {
    for floor in [-10.0, f64::NEG_INFINITY] {
        let outcome = unary(&[6, 8], |net, x| {
            attention(net, x, |net, scores| {
                let condition = net.constant(Tensor::new(vec![1, 6, 6], triangle()));
                let floor = net.constant(Tensor::new(vec![1, 1, 1], vec![floor]));
                net.push(Op::Select, &[condition, scores, floor], &[2, 6, 6])
            })
        });
        outcome.within(0.006);
    }
}

#[test]
fn attention_with_added_mask() {
    let outcome = unary(&[6, 8], |net, x| {
        attention(net, x, |net, scores| {
            let mask = net.constant(Tensor::new(
                vec![1, 6, 6],
                triangle().iter().map(|x| (x - 1.0) * 1e9).collect(),
            ));
            binary(net, BinaryFn::Add, scores, mask, &[2, 6, 6])
        })
    });
    outcome.within(0.006);
}

#[test]
fn layer_norm_on_a_residual_stream() {
    let outcome = unary(&[6, 12], |net, x| {
        let mut x = x;
        for _ in 0..2 {
            let mean = net.push(
                Op::Reduce {
                    reducer: Reducer::Mean,
                    axes: vec![1],
                },
                &[x],
                &[6, 1],
            );
            let centred = binary(net, BinaryFn::Sub, x, mean, &[6, 12]);
            let norm = net.push(
                Op::RmsNorm {
                    axis: 1,
                    epsilon: 1e-5,
                },
                &[centred],
                &[6, 12],
            );
            let gain = net.weight(&[1, 12], 1.0);
            let scaled = binary(net, BinaryFn::Mul, norm, gain, &[6, 12]);
            let h = net.linear(scaled, 24);
            let h = net.push(Op::Pointwise(Pointwise::of(UnaryFn::Gelu)), &[h], &[6, 24]);
            let h = net.linear(h, 12);
            x = binary(net, BinaryFn::Add, x, h, &[6, 12]);
        }
        x
    });
    outcome.within(0.005);
}

#[test]
fn gated_unit() {
    let outcome = unary(&[6, 12], |net, x| {
        let (gate, up) = (net.linear(x, 16), net.linear(x, 16));
        let gate = net.push(
            Op::Pointwise(Pointwise::of(UnaryFn::Silu)),
            &[gate],
            &[6, 16],
        );
        let product = binary(net, BinaryFn::Mul, gate, up, &[6, 16]);
        net.linear(product, 12)
    });
    outcome.within(0.004);
}

#[test]
fn constant_factors_are_weights() {
    let mut net = Net::new();
    let x = net.input(&[4, 300]);
    // As wide as sums of few weights are.
    let h = net.linear(x, 12);
    let h = net.times(h, &[1.5; 12]);
    let y = net.push(Op::Pointwise(Pointwise::of(UnaryFn::Relu)), &[h], &[4, 12]);
    net.output(y);
    assert_eq!(net.run().relations(), ["map", "requant"]);
}
