//! Convolutions, pools, resampling.

use crate::graph::{Op, Window};
use crate::prepare::tests::{Int, Ints, Onnx, Text, computed, named, one};

fn ints(name: &'static str, values: &[i64]) -> (&'static str, crate::prepare::tests::Attribute) {
    (name, Ints(values.to_vec()))
}

#[test]
fn convolutions() {
    let graph = one(
        "1,2,6,7",
        "Conv",
        "x,w,b",
        &[ints("strides", &[2, 1]), ints("pads", &[1, 0, 1, 2])],
    )
    .weight("w", &[4, 2, 3, 2])
    .weight("b", &[4])
    .agrees();
    let window = Window {
        kernel: vec![3, 2],
        stride: vec![2, 1],
        dilation: vec![1, 1],
        pad_before: vec![1, 0],
    };
    assert_eq!(named(&graph, "y").op, Op::Convolution { window, groups: 1 });
    one("2,4,6,6", "Conv", "x,w", &[("group", Int(2))])
        .weight("w", &[6, 2, 3, 3])
        .agrees();
    one("1,4,6,6", "Conv", "x,w", &[("group", Int(4))])
        .weight("w", &[4, 1, 3, 3])
        .agrees();
    one("1,2,9", "Conv", "x,w", &[ints("dilations", &[2])])
        .weight("w", &[3, 2, 3])
        .agrees();
    one("1,2,5,6,4", "Conv", "x,w", &[])
        .weight("w", &[2, 2, 2, 2, 2])
        .agrees();
    one("1,3,5,5", "Conv", "x,w", &[])
        .weight("w", &[2, 3, 1, 1])
        .agrees();
    for padding in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let attributes = [("auto_pad", Text(padding)), ints("strides", &[2, 2])];
        one("1,2,6,7", "Conv", "x,w", &attributes)
            .weight("w", &[3, 2, 3, 3])
            .agrees();
    }
}

#[test]
fn a_convolution_without_batch_is_one_all_the_same() {
    let model = Onnx::new()
        .input("x", "3,6,6")
        .ints("a", &[1], &[0])
        .weight("w", &[2, 3, 3, 3]);
    let model = model
        .node("Unsqueeze", "x,a", "u", &[])
        .node("Conv", "u,w", "c", &[]);
    let graph = model.node("Squeeze", "c,a", "y", &[]).output("y").agrees();
    assert!(
        graph
            .nodes
            .iter()
            .any(|n| matches!(n.op, Op::Convolution { .. }) && n.shape.len() == 4)
    );
}

#[test]
fn strides_before_a_convolution_by_slices() {
    one("1,2,8,8", "Conv", "x,w", &[ints("strides", &[2, 2])])
        .weight("w", &[3, 2, 1, 1])
        .agrees();
}

#[test]
fn transposed_convolutions() {
    for (stride, dilation, pads, extra) in [
        (1, 1, 0, 0),
        (2, 1, 1, 1),
        (3, 1, 0, 0),
        (2, 2, 1, 0),
        (2, 1, 1, 0),
        (4, 1, 0, 2),
    ] {
        let attributes = [
            ints("strides", &[stride, 1]),
            ints("dilations", &[dilation, 1]),
            ints("pads", &[pads, 0, pads, 1]),
            ints("output_padding", &[extra, 0]),
        ];
        let model =
            one("1,2,4,5", "ConvTranspose", "x,w,b", &attributes).weight("w", &[2, 3, 3, 2]);
        let graph = model.weight("b", &[3]).agrees();
        assert!(
            graph
                .nodes
                .iter()
                .any(|n| matches!(n.op, Op::Convolution { .. }))
        );
    }
    let grouped = [ints("strides", &[2, 2]), ("group", Int(2))];
    one("1,4,3,3", "ConvTranspose", "x,w", &grouped)
        .weight("w", &[4, 3, 2, 2])
        .agrees();
}

#[test]
fn maxima() {
    let attributes = [
        ints("kernel_shape", &[3, 2]),
        ints("strides", &[2, 2]),
        ints("pads", &[1, 1, 1, 0]),
    ];
    let graph = one("1,2,6,7", "MaxPool", "x", &attributes).agrees();
    assert!(matches!(named(&graph, "y").op, Op::MaxPool(_)));
    let ceil = [
        ints("kernel_shape", &[3, 3]),
        ints("strides", &[2, 2]),
        ("ceil_mode", Int(1)),
    ];
    one("1,2,6,6", "MaxPool", "x", &ceil).agrees();
    one("2,3,4,4", "GlobalMaxPool", "x", &[]).agrees();
}

#[test]
fn averages() {
    for counted in [0, 1] {
        let window = || {
            vec![
                ints("kernel_shape", &[3, 3]),
                ints("strides", &[2, 2]),
                ints("pads", &[1, 1, 1, 1]),
            ]
        };
        let attributes = [window(), vec![("count_include_pad", Int(counted))]]
            .into_iter()
            .flatten();
        one(
            "1,2,7,7",
            "AveragePool",
            "x",
            &attributes.collect::<Vec<_>>(),
        )
        .agrees();
        let ceil = [
            window(),
            vec![("count_include_pad", Int(counted)), ("ceil_mode", Int(1))],
        ]
        .into_iter()
        .flatten();
        one("1,2,6,6", "AveragePool", "x", &ceil.collect::<Vec<_>>()).agrees();
    }
    one("2,3,4,4", "GlobalAveragePool", "x", &[]).agrees();
}

#[test]
fn resampling() {
    let resize = |mode: &'static str, transform: &'static str, scales: [f32; 2]| {
        let attributes = [
            ("mode", Text(mode)),
            ("coordinate_transformation_mode", Text(transform)),
            ("nearest_mode", Text("floor")),
        ];
        let model = one("1,2,4,5", "Resize", "x,,s", &attributes);
        model.floats("s", &[4], vec![1.0, 1.0, scales[0], scales[1]])
    };
    let graph = resize("nearest", "asymmetric", [2.0, 3.0]).agrees();
    assert!(
        computed(&graph)
            .iter()
            .all(|n| matches!(n.op, Op::Reshape | Op::Broadcast))
    );
    resize("nearest", "half_pixel", [1.5, 2.0]).agrees();
    resize("linear", "half_pixel", [2.0, 2.0]).agrees();
    resize("linear", "align_corners", [2.0, 1.6]).agrees();
    resize("cubic", "half_pixel", [2.0, 2.0]).agrees();
}
