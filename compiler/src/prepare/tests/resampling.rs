//! Resampling: on regular grids, at computed points, in regions.

use crate::graph::Tensor;
use crate::prepare::tests::language::gives;
use crate::prepare::tests::{Float, Int, Ints, Onnx, Text, one};

fn ints(name: &'static str, values: &[i64]) -> (&'static str, crate::prepare::tests::Attribute) {
    (name, Ints(values.to_vec()))
}

#[test]
fn resizing_by_all_kinds_of_kernels() {
    let model =
        Onnx::new()
            .opset(19)
            .input("x", "1,1,3,4")
            .floats("s", &[4], vec![1.0, 1.0, 0.7, 0.6]);
    let model = model
        .node(
            "Resize",
            "x,,s",
            "y",
            &[
                ("mode", Text("cubic")),
                ("antialias", Int(1)),
                ("cubic_coeff_a", Float(-0.5)),
            ],
        )
        .output("y");
    model.gives(&[&[-0.457192, 0.244731, -0.200775, 0.06665]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,3,4")
        .ints("z", &[4], &[1, 1, 5, 2]);
    let model = model
        .node(
            "Resize",
            "x,,,z",
            "y",
            &[
                ("mode", Text("linear")),
                ("antialias", Int(1)),
                (
                    "coordinate_transformation_mode",
                    Text("half_pixel_symmetric"),
                ),
            ],
        )
        .output("y");
    model.gives(&[&[
        -0.5, 0.5, -0.3125, 0.4125, -0.03125, 0.28125, -0.1625, -0.2625, -0.25, -0.625,
    ]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,3,4")
        .floats("s", &[2], vec![2.0, 1.5]);
    let model = model
        .node(
            "Resize",
            "x,,s",
            "y",
            &[
                ("mode", Text("cubic")),
                ("exclude_outside", Int(1)),
                ("coordinate_transformation_mode", Text("asymmetric")),
                ints("axes", &[3, 2]),
            ],
        )
        .output("y");
    model.gives(&[&[
        -1.25, -0.364286, 0.5, 0.0, -0.5, 0.364286, 1.25, 1.578125, -0.144737, -0.385213,
        -0.469298, 0.040844, 0.605263, 0.678321, 0.570176, 0.563597, -0.030702, -0.271178,
        -0.355263, 0.272478, 0.719298, 0.111403, -0.570176, -0.811952, -1.0, -0.114286, 0.75,
        0.507812, -0.25, -0.878571, -1.25, -1.4375,
    ]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,3,4")
        .ints("z", &[2], &[4, 9]);
    let model = model
        .node(
            "Resize",
            "x,,,z",
            "y",
            &[
                ("mode", Text("nearest")),
                ("nearest_mode", Text("round_prefer_ceil")),
                ints("axes", &[2, 3]),
                ("keep_aspect_ratio_policy", Text("not_larger")),
                ("coordinate_transformation_mode", Text("pytorch_half_pixel")),
            ],
        )
        .output("y");
    model.gives(&[&[
        -1.25, 0.5, 0.5, -0.5, 1.25, 0.25, -0.75, -0.75, 1.0, 0.0, 0.25, -0.75, -0.75, 1.0, 0.0,
        -1.0, 0.75, 0.75, -0.25, -1.25,
    ]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,3,4")
        .floats("r", &[4], vec![0.2, -0.1, 1.1, 0.8])
        .floats("s", &[2], vec![1.0, 0.75]);
    let model = model
        .node(
            "Resize",
            "x,r,s",
            "y",
            &[
                ("mode", Text("linear")),
                ints("axes", &[2, 3]),
                ("extrapolation_value", Float(2.0)),
                ("coordinate_transformation_mode", Text("tf_crop_and_resize")),
            ],
        )
        .output("y");
    model.gives(&[&[2.0, 0.005, 0.36, 2.0, -0.25375, 0.225, 2.0, 2.0, 2.0]]);
}

#[test]
fn upsampling_of_old_models() {
    let model =
        Onnx::new()
            .opset(9)
            .input("x", "1,1,2,2")
            .floats("s", &[4], vec![1.0, 1.0, 1.5, 2.0]);
    let model = model
        .node("Upsample", "x,s", "y", &[("mode", Text("nearest"))])
        .output("y");
    model.gives(&[&[
        -1.25, -1.25, 0.5, 0.5, -1.25, -1.25, 0.5, 0.5, -0.5, -0.5, 1.25, 1.25,
    ]]);
    let model =
        Onnx::new()
            .opset(9)
            .input("x", "1,1,2,2")
            .floats("s", &[4], vec![1.0, 1.0, 2.0, 1.0]);
    let model = model
        .node("Upsample", "x,s", "y", &[("mode", Text("linear"))])
        .output("y");
    model.gives(&[&[-1.25, 0.5, -0.875, 0.875, -0.5, 1.25, -0.5, 1.25]]);
    let model =
        Onnx::new()
            .opset(10)
            .input("x", "1,1,2,2")
            .floats("s", &[4], vec![1.0, 1.0, 1.5, 2.0]);
    let model = model
        .node("Resize", "x,s", "y", &[("mode", Text("nearest"))])
        .output("y");
    model.gives(&[&[
        -1.25, -1.25, 0.5, 0.5, -1.25, -1.25, 0.5, 0.5, -0.5, -0.5, 1.25, 1.25,
    ]]);
}

#[test]
fn sampling_at_computed_points() {
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,1,3,2")
        .input("g", "1,2,2,2");
    let model = model
        .node(
            "GridSample",
            "x,g",
            "y",
            &[
                ("mode", Text("linear")),
                ("padding_mode", Text("zeros")),
                ("align_corners", Int(0)),
            ],
        )
        .output("y");
    model.gives(&[&[0.03125, 0.054688, 0.625, 0.109375]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,1,3,2")
        .input("g", "1,2,2,2");
    let model = model
        .node(
            "GridSample",
            "x,g",
            "y",
            &[
                ("mode", Text("nearest")),
                ("padding_mode", Text("border")),
                ("align_corners", Int(1)),
            ],
        )
        .output("y");
    model.gives(&[&[0.25, 0.5, 1.25, 0.25]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,1,3,2")
        .input("g", "1,2,2,2");
    let model = model
        .node(
            "GridSample",
            "x,g",
            "y",
            &[
                ("mode", Text("linear")),
                ("padding_mode", Text("reflection")),
                ("align_corners", Int(1)),
            ],
        )
        .output("y");
    model.gives(&[&[-0.015625, 0.03125, 1.25, 0.0625]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,1,3,2")
        .input("g", "1,2,2,2");
    let model = model
        .node(
            "GridSample",
            "x,g",
            "y",
            &[
                ("mode", Text("cubic")),
                ("padding_mode", Text("zeros")),
                ("align_corners", Int(1)),
            ],
        )
        .output("y");
    model.gives(&[&[0.032444, 0.066498, 1.25, 0.132812]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,1,3,2")
        .input("g", "1,2,2,2");
    let model = model
        .node(
            "GridSample",
            "x,g",
            "y",
            &[
                ("mode", Text("cubic")),
                ("padding_mode", Text("border")),
                ("align_corners", Int(0)),
            ],
        )
        .output("y");
    model.gives(&[&[0.25, 0.049683, 1.414062, 0.416088]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,1,3,2")
        .input("g", "1,2,2,2");
    let model = model
        .node(
            "GridSample",
            "x,g",
            "y",
            &[
                ("mode", Text("cubic")),
                ("padding_mode", Text("reflection")),
                ("align_corners", Int(0)),
            ],
        )
        .output("y");
    model.gives(&[&[0.311523, 0.041992, 1.578125, 0.541321]]);
}

#[test]
fn grids_of_affine_maps() {
    let model = Onnx::new()
        .opset(20)
        .input("t", "1,2,3")
        .ints("s", &[4], &[1, 1, 2, 3]);
    let model = model
        .node("AffineGrid", "t,s", "y", &[("align_corners", Int(0))])
        .output("y");
    model.gives(&[&[
        0.083333, -1.708333, -0.75, -0.875, -1.583333, -0.041667, 0.583333, -1.458333, -0.25,
        -0.625, -1.083333, 0.208333,
    ]]);
    let model = Onnx::new()
        .opset(20)
        .input("t", "1,3,4")
        .ints("s", &[5], &[1, 1, 2, 2, 2]);
    let model = model
        .node("AffineGrid", "t,s", "y", &[("align_corners", Int(1))])
        .output("y");
    model.gives(&[&[
        2.5, -0.5, -0.75, 0.0, 0.0, -2.75, 3.5, -2.0, 0.75, 1.0, -1.5, -1.25, 1.5, 1.5, -1.25,
        -1.0, 2.0, -3.25, 2.5, 0.0, 0.25, 0.0, 0.5, -1.75,
    ]]);
}

#[test]
fn regions() {
    let model = Onnx::new()
        .opset(16)
        .input("x", "2,1,4,5")
        .floats("r", &[2, 4], vec![0.0, 0.5, 4.0, 2.7, -2.0, 1.0, 1.3, 1.9])
        .ints("b", &[2], &[1, 0]);
    let model = model
        .node(
            "RoiAlign",
            "x,r,b",
            "y",
            &[
                ("mode", Text("avg")),
                ("output_height", Int(2)),
                ("output_width", Int(1)),
                ("sampling_ratio", Int(2)),
                ("spatial_scale", Float(0.9)),
                ("coordinate_transformation_mode", Text("half_pixel")),
            ],
        )
        .output("y");
    model.gives(&[&[-0.0525, -0.036, -0.474375, -0.373125]]);
    let model = Onnx::new()
        .opset(16)
        .input("x", "2,1,4,5")
        .floats("r", &[2, 4], vec![0.0, 0.5, 4.0, 2.7, -2.0, 1.0, 1.3, 1.9])
        .ints("b", &[2], &[1, 0]);
    let model = model
        .node(
            "RoiAlign",
            "x,r,b",
            "y",
            &[
                ("mode", Text("max")),
                ("output_height", Int(2)),
                ("output_width", Int(1)),
                ("sampling_ratio", Int(2)),
                ("spatial_scale", Float(0.9)),
                ("coordinate_transformation_mode", Text("output_half_pixel")),
            ],
        )
        .output("y");
    model.gives(&[&[0.56525, 0.551812, 0.416813, 0.203063]]);
    let model = Onnx::new()
        .opset(16)
        .input("x", "2,1,4,5")
        .floats("r", &[2, 4], vec![0.0, 0.5, 4.0, 2.7, -2.0, 1.0, 1.3, 1.9])
        .ints("b", &[2], &[1, 0]);
    let model = model
        .node(
            "RoiAlign",
            "x,r,b",
            "y",
            &[
                ("mode", Text("avg")),
                ("output_height", Int(2)),
                ("output_width", Int(1)),
                ("sampling_ratio", Int(0)),
                ("spatial_scale", Float(0.9)),
                ("coordinate_transformation_mode", Text("output_half_pixel")),
            ],
        )
        .output("y");
    model.gives(&[&[0.281875, -0.283766, -0.149063, -0.291771]]);
}

#[test]
fn the_greatest_of_regions() {
    let attributes = [
        ("pooled_shape", Ints(vec![2, 3])),
        ("spatial_scale", Float(0.9)),
    ];
    // Regions within the data, in the second image, beyond the end, before the start: as ONNX Runtime has them.
    let regions = vec![
        0.0, 0.0, 0.5, 4.0, 2.7, 1.0, -2.0, 1.0, 1.3, 1.9, 1.0, 3.0, 2.0, 9.0, 9.0, 0.0, -5.0,
        -5.0, -3.0, -3.0, 0.0, 2.0, 3.0, 2.0, 3.0,
    ];
    let model = one("2,1,4,5", "MaxRoiPool", "x,r", &attributes);
    model.floats("r", &[5, 5], regions).gives(&[&[
        1.0, 1.25, 1.25, 1.0, 1.0, 1.25, 0.0, 1.25, 1.25, 0.0, -1.0, 0.75, 1.0, 0.0, 0.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
    ]]);
    let model = one("2,1,4,5", "MaxRoiPool", "x,r", &attributes).input("r", "5,5");
    let message = model.refusal();
    assert!(
        message.contains("its operand `r` must be known"),
        "{message}"
    );
    let model = one("2,1,4,5", "MaxRoiPool", "x,r", &attributes);
    let message = model.floats("r", &[1, 5], vec![2.0; 5]).refusal();
    assert!(message.contains("a region is in image 2 of 2"), "{message}");
}

#[test]
fn kernels_with_computed_places() {
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,2,3,3")
        .input("o", "1,8,2,2")
        .input("m", "1,4,2,2")
        .floats(
            "w",
            &[2, 2, 2, 2],
            vec![
                -1.0, 0.75, -0.25, -1.25, 0.5, -0.5, 1.25, 0.25, -0.75, 1.0, 0.0, -1.0, 0.75,
                -0.25, -1.25, 0.5,
            ],
        )
        .floats("b", &[2], vec![0.5, -1.0]);
    let model = model
        .node(
            "DeformConv",
            "x,w,o,b,m",
            "y",
            &[ints("kernel_shape", &[2, 2])],
        )
        .output("y");
    model.gives(&[&[
        1.3125, 1.457031, 0.361328, 1.230469, -0.238281, -0.984375, -1.259766, -0.749023,
    ]]);
}

#[test]
fn what_is_not_resampled() {
    let model = Onnx::new()
        .input("x", "1,1,4,4")
        .input("r", "2,4")
        .ints("b", &[2], &[0, 0]);
    let message = model
        .node("RoiAlign", "x,r,b", "y", &[])
        .output("y")
        .refusal();
    assert!(message.contains("set `sampling_ratio`"), "{message}");
    let mode = [("mode", Text("quintic"))];
    let message =
        one("1,1,4,4", "Resize", "x,,s", &mode).floats("s", &[4], vec![1.0, 1.0, 2.0, 2.0]);
    let message = message.refusal();
    assert!(message.contains("`quintic` is not supported"), "{message}");
    let model = one("1,1,4,4", "GridSample", "x,g", &[]).input("g", "1,3,3,3");
    let message = model.refusal();
    assert!(message.contains("does not fit its data"), "{message}");
    let corners = [("align_corners", Int(1))];
    let model = one("1,2,3", "AffineGrid", "x,s", &corners).ints("s", &[4], &[1, 1, 1, 3]);
    let message = model.opset(20).refusal();
    assert!(message.contains("use `align_corners = 0`"), "{message}");
}

#[test]
fn an_axis_of_one_reads_the_first() {
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,2,3")
        .floats("s", &[4], vec![1.0, 1.0, 2.0, 0.5])
        .node(
            "Resize",
            "x,,s",
            "y",
            &[
                ("mode", Text("linear")),
                ("coordinate_transformation_mode", Text("pytorch_half_pixel")),
            ],
        )
        .output("y");
    let x = Tensor::new(vec![1, 1, 2, 3], (0..6).map(f64::from).collect());
    // As onnxruntime 1.31 has it.
    let y = Tensor::new(vec![1, 1, 4, 1], vec![0.0, 0.75, 2.25, 3.0]);
    gives(model, &[x], &[y]);
}
