//! What a key tells of hidden weights: models that differ in nothing else have one statement.

use zkiln_runtime::model::Model;

use crate::graph::{Op, Pointwise, Tensor, UnaryFn, Window};
use crate::lower::testing::Net;

/// Weights of magnitude at most one, and one of that: all others are `other(index)`.
fn weights(shape: &[usize], other: impl Fn(usize) -> f64) -> Tensor {
    let mut data: Vec<f64> = (0..shape.iter().product()).map(other).collect();
    data[0] = 1.0;
    Tensor::new(shape.to_vec(), data)
}

fn varied(index: usize) -> f64 {
    (index as f64 * 1.7).sin() * 0.9
}

/// Weights of about the same norms: how finely what they read is rounded follows from these.
fn alike(shape: &[usize]) -> Vec<Tensor> {
    vec![
        weights(shape, varied),
        weights(shape, |index| varied(index).abs()),
    ]
}

/// Others with their greatest magnitude: tiny ones, rows of zeros, nothing but zeros.
fn of_any_norm(shape: &[usize]) -> Vec<Tensor> {
    let n = shape.last().copied().unwrap_or(1);
    vec![
        weights(shape, |index| varied(index) * 1e-4),
        weights(shape, |index| {
            if index / n % 2 == 0 {
                varied(index)
            } else {
                0.0
            }
        }),
        weights(shape, |_| 0.0),
    ]
}

fn product(net: &mut Net, x: usize, w: Tensor) -> usize {
    let (rows, columns) = (net.shape(x)[0], w.shape[1]);
    let w = net.constant(w);
    let op = Op::Einsum {
        inputs: vec![vec![0, 10], vec![10, 11]],
        output: vec![0, 11],
    };
    net.push(op, &[x, w], &[rows, columns])
}

fn model(build: impl FnOnce(&mut Net)) -> Model {
    let mut net = Net::new();
    build(&mut net);
    net.run().lowered.model
}

/// That all of these weights give one statement.
fn assert_hidden(weights: Vec<Tensor>, build: impl Fn(&mut Net, Tensor)) {
    let mut models = weights.into_iter().map(|w| model(|net| build(net, w)));
    let first = models.next().expect("a model");
    for (number, other) in models.enumerate() {
        assert_eq!(first, other, "pair {number}");
    }
}

#[test]
fn the_weights_of_a_product() {
    assert_hidden(alike(&[8, 4]), |net, w| {
        let x = net.input(&[3, 8]);
        let y = product(net, x, w);
        net.output(y);
    });
}

#[test]
fn the_weights_after_a_table() {
    assert_hidden(alike(&[8, 4]), |net, w| {
        let x = net.input(&[3, 8]);
        let x = net.push(Op::Pointwise(Pointwise::of(UnaryFn::Tanh)), &[x], &[3, 8]);
        let y = product(net, x, w);
        net.output(y);
    });
}

#[test]
fn the_weights_after_a_norm() {
    assert_hidden([alike(&[8, 4]), of_any_norm(&[8, 4])].concat(), |net, w| {
        let x = net.input(&[3, 8]);
        let norm = Op::RmsNorm {
            axis: 1,
            epsilon: 1e-5,
        };
        let x = net.push(norm, &[x], &[3, 8]);
        let y = product(net, x, w);
        net.output(y);
    });
}

#[test]
fn the_weights_of_a_convolution() {
    assert_hidden(alike(&[2, 3, 3, 3]), |net, w| {
        let x = net.input(&[1, 3, 6, 6]);
        let w = net.constant(w);
        let window = Window {
            kernel: vec![3, 3],
            stride: vec![1, 1],
            dilation: vec![1, 1],
            pad_before: vec![0, 0],
        };
        let op = Op::Convolution { window, groups: 1 };
        let bias = net.constant(Tensor::new(vec![2], vec![0.5, -0.25]));
        let y = net.push(op, &[x, w, bias], &[1, 2, 4, 4]);
        net.output(y);
    });
}

#[test]
fn whether_two_tensors_are_equal() {
    let two = |a: Tensor, b: Tensor| {
        model(|net| {
            let x = net.input(&[3, 8]);
            for w in [a, b] {
                let y = product(net, x, w);
                net.output(y);
            }
        })
    };
    let [a, b] = &alike(&[8, 4])[..] else {
        unreachable!("two");
    };
    assert_eq!(two(a.clone(), a.clone()), two(a.clone(), b.clone()));
}

/// Steps of a recurrence that read parts of the tensors in turns.
fn recurrence(net: &mut Net, tensors: Vec<Tensor>) {
    let tensors: Vec<usize> = tensors.into_iter().map(|w| net.constant(w)).collect();
    let mut x = net.input(&[3, 8]);
    for step in 0..6 {
        let part = Op::Slice {
            axis: 0,
            start: 4,
            step: 1,
        };
        let part = net.push(part, &[tensors[step % tensors.len()]], &[8, 8]);
        let product = Op::Einsum {
            inputs: vec![vec![0, 10], vec![10, 11]],
            output: vec![0, 11],
        };
        x = net.push(product, &[x, part], &[3, 8]);
        let norm = Op::RmsNorm {
            axis: 1,
            epsilon: 1e-5,
        };
        x = net.push(norm, &[x], &[3, 8]);
    }
    net.output(x);
}

#[test]
fn whether_two_tensors_of_a_recurrence_are_equal() {
    let a = weights(&[16, 8], varied);
    let mut b = a.clone();
    b.data[45] += 0.01;
    let of =
        |tensors: [&Tensor; 2]| model(|net| recurrence(net, tensors.map(Tensor::clone).into()));
    assert_eq!(of([&a, &a]), of([&a, &b]));
}

#[test]
fn steps_that_read_parts_of_one_tensor_share_its_columns() {
    let model = model(|net| recurrence(net, vec![weights(&[16, 8], varied)]));
    let columns = model.columns.iter();
    let parts = columns.filter(|column| column.shape[..] == [8, 8]);
    assert!(
        parts.count() <= 2,
        "the first step's may be rounded to other bits"
    );
}
