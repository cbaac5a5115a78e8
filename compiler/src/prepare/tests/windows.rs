//! Windows that slide, fold and unfold; padding; transforms; determinants.

use tract_onnx::pb::tensor_proto::DataType;

use crate::prepare::tests::{Float, Int, Ints, Onnx, Text, one};

fn ints(name: &'static str, values: &[i64]) -> (&'static str, crate::prepare::tests::Attribute) {
    (name, Ints(values.to_vec()))
}

#[test]
fn positions_of_maxima_are_those_of_the_first() {
    let model = Onnx::new().opset(19).input("x", "1,2,4,4");
    let model = model
        .node(
            "MaxPool",
            "x",
            "y,i",
            &[
                ints("kernel_shape", &[3, 3]),
                ints("strides", &[2, 2]),
                ints("pads", &[1, 1, 1, 1]),
            ],
        )
        .output("y")
        .output("i");
    model.gives(&[
        &[0.5, 1.25, 0.75, 1.25, 1.0, 1.0, 1.25, 1.25],
        &[1.0, 3.0, 9.0, 14.0, 17.0, 17.0, 25.0, 25.0],
    ]);
    let model = Onnx::new().opset(19).input("x", "1,2,4,4");
    let model = model
        .node(
            "MaxPool",
            "x",
            "y,i",
            &[
                ints("kernel_shape", &[2, 2]),
                ints("strides", &[3, 2]),
                ("ceil_mode", Int(1)),
                ("storage_order", Int(1)),
            ],
        )
        .output("y")
        .output("i");
    model.gives(&[
        &[0.5, 1.25, 0.5, 1.25, 1.0, 0.5, 1.0, 0.75],
        &[4.0, 12.0, 3.0, 11.0, 20.0, 29.0, 19.0, 31.0],
    ]);
    let model = Onnx::new().opset(19).input("x", "2,1,9");
    let model = model
        .node(
            "MaxPool",
            "x",
            "y,i",
            &[
                ints("kernel_shape", &[3]),
                ints("dilations", &[2]),
                ints("pads", &[2, 0]),
                ints("strides", &[2]),
            ],
        )
        .output("y")
        .output("i");
    model.gives(&[
        &[-0.5, 0.25, 1.0, 1.0, 0.75, 0.75, 0.25, 1.0],
        &[2.0, 4.0, 6.0, 6.0, 9.0, 9.0, 15.0, 17.0],
    ]);
}

#[test]
fn inverted_maxima() {
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,2,2")
        .ints("p", &[1, 1, 2, 2], &[4, 4, 2, 4]);
    let model = model
        .node("MaxUnpool", "x,p", "y", &[ints("kernel_shape", &[2, 2])])
        .output("y");
    model.gives(&[&[0.0, 0.0, -0.5, 0.0, 1.25, 0.0, 0.0, 0.0, 0.0]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "1,1,2,2")
        .ints("p", &[1, 1, 2, 2], &[0, 3, 9, 14])
        .ints("s", &[4], &[1, 1, 5, 4]);
    let model = model
        .node(
            "MaxUnpool",
            "x,p,s",
            "y",
            &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .output("y");
    model.gives(&[&[
        -1.25, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 0.0, 1.25, 0.0, 0.0,
        0.0, 0.0, 0.0,
    ]]);
}

#[test]
fn norms_of_windows() {
    let model = Onnx::new().opset(19).input("x", "1,1,3,4");
    let model = model
        .node(
            "LpPool",
            "x",
            "y",
            &[
                ints("kernel_shape", &[2, 2]),
                ("p", Int(1)),
                ints("pads", &[1, 0, 0, 1]),
                ints("strides", &[2, 2]),
            ],
        )
        .output("y");
    model.gives(&[&[1.75, 1.75, 2.75, 2.5]]);
    let model = Onnx::new().opset(19).input("x", "1,1,3,4");
    let model = model
        .node(
            "LpPool",
            "x",
            "y",
            &[
                ints("kernel_shape", &[2, 2]),
                ("p", Int(2)),
                ints("pads", &[1, 0, 0, 1]),
                ints("strides", &[2, 2]),
            ],
        )
        .output("y");
    model.gives(&[&[1.346291, 1.346291, 1.47902, 1.620185]]);
    let model = Onnx::new().opset(19).input("x", "1,1,3,4");
    let model = model
        .node(
            "LpPool",
            "x",
            "y",
            &[
                ints("kernel_shape", &[2, 2]),
                ("p", Int(3)),
                ints("pads", &[1, 0, 0, 1]),
                ints("strides", &[2, 2]),
            ],
        )
        .output("y");
    model.gives(&[&[1.276117, 1.276117, 1.229671, 1.437224]]);
    let model = Onnx::new().opset(19).input("x", "1,2,2,2");
    let model = model
        .node("GlobalLpPool", "x", "y", &[("p", Int(3))])
        .output("y");
    model.gives(&[&[1.607807, 1.128589]]);
    let model = Onnx::new().opset(19).input("x", "1,2,2,2");
    let model = model
        .node("GlobalLpPool", "x", "y", &[("p", Int(2))])
        .output("y");
    model.gives(&[&[1.903943, 1.274755]]);
}

#[test]
fn normalization_across_channels() {
    let model = Onnx::new().opset(13).input("x", "1,4,1,2");
    let model = model
        .node(
            "LRN",
            "x",
            "y",
            &[
                ("size", Int(3)),
                ("alpha", Float(0.5)),
                ("beta", Float(0.6)),
                ("bias", Float(1.5)),
            ],
        )
        .output("y");
    model.gives(&[&[
        -0.8779, 0.35116, -0.349948, 0.851589, 0.180639, -0.517812, 0.733276, 0.0,
    ]]);
}

#[test]
fn blocks_folded_to_images() {
    let model = Onnx::new()
        .opset(18)
        .input("x", "1,4,6")
        .ints("i", &[2], &[3, 4])
        .ints("b", &[2], &[2, 2]);
    let model = model.node("Col2Im", "x,i,b", "y", &[]).output("y");
    model.gives(&[&[
        -1.25, 1.5, -0.5, -1.0, 1.75, 0.5, -0.75, -0.5, 0.25, -1.0, -0.25, 0.5,
    ]]);
    let model = Onnx::new()
        .opset(18)
        .input("x", "1,4,4")
        .ints("i", &[2], &[4, 4])
        .ints("b", &[2], &[2, 2]);
    let model = model
        .node(
            "Col2Im",
            "x,i,b",
            "y",
            &[
                ints("strides", &[2, 2]),
                ints("dilations", &[1, 2]),
                ints("pads", &[0, 1, 0, 1]),
            ],
        )
        .output("y");
    model.gives(&[&[
        0.0, 0.75, 0.0, -0.75, 0.0, 1.25, 0.0, -0.5, 0.0, 2.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25,
    ]]);
}

#[test]
fn computed_kernels() {
    let model = Onnx::new()
        .opset(13)
        .input("x", "1,2,3,4")
        .input("w", "2,1,2,2");
    let model = model
        .node(
            "Conv",
            "x,w",
            "y",
            &[
                ("group", Int(2)),
                ints("pads", &[1, 0, 0, 1]),
                ints("strides", &[1, 2]),
            ],
        )
        .output("y");
    model.gives(&[&[
        -0.6875, -1.0625, 1.875, 2.0625, -1.875, 0.375, -0.875, -1.0625, 2.0, 0.5, -1.6875, 1.625,
    ]]);
    let model = Onnx::new()
        .opset(13)
        .input("x", "1,2,2,2")
        .input("w", "2,1,2,3");
    let model = model
        .node(
            "ConvTranspose",
            "x,w",
            "y",
            &[ints("strides", &[2, 1]), ints("pads", &[0, 1, 1, 0])],
        )
        .output("y");
    model.gives(&[&[
        -0.875, -0.3125, 0.3125, -0.5625, 0.0, 0.375, -0.5, 1.1875, 0.3125,
    ]]);
}

#[test]
fn lengths_of_transposed_convolutions() {
    let model = Onnx::new()
        .opset(13)
        .input("x", "1,1,2,2")
        .floats(
            "w",
            &[1, 1, 3, 3],
            vec![-0.5, 1.25, 0.25, -0.75, 1.0, 0.0, -1.0, 0.75, -0.25],
        )
        .floats("b", &[1], vec![0.5]);
    let model = model
        .node(
            "ConvTranspose",
            "x,w,b",
            "y",
            &[ints("strides", &[2, 2]), ints("output_shape", &[4, 4])],
        )
        .output("y");
    model.gives(&[&[
        -0.75, 0.125, 1.0, 0.5, -1.0625, -0.4375, 2.4375, 0.6875, 0.0, -0.4375, 1.75, 0.5, 0.125,
        -0.625, 1.4375, 0.1875,
    ]]);
    let model = Onnx::new()
        .opset(13)
        .input("x", "1,1,2,2")
        .floats(
            "w",
            &[1, 1, 3, 3],
            vec![-0.5, 1.25, 0.25, -0.75, 1.0, 0.0, -1.0, 0.75, -0.25],
        )
        .floats("b", &[1], vec![0.5]);
    let model = model
        .node(
            "ConvTranspose",
            "x,w,b",
            "y",
            &[ints("strides", &[2, 2]), ("auto_pad", Text("SAME_UPPER"))],
        )
        .output("y");
    model.gives(&[&[
        1.125, -1.0625, -0.0625, 1.125, 1.4375, -0.75, 0.125, 1.0, 2.0, -1.0625, -0.4375, 2.4375,
        0.875, 0.0, -0.4375, 1.75,
    ]]);
}

#[test]
fn padding_of_all_kinds() {
    let model = Onnx::new()
        .opset(19)
        .input("x", "2,3")
        .ints("p", &[4], &[1, 4, 0, 2]);
    let model = model
        .node("Pad", "x,p", "y", &[("mode", Text("wrap"))])
        .output("y");
    model.gives(&[&[
        -0.75, 1.25, 0.25, -0.75, 1.25, 0.25, -0.75, 1.25, 0.25, -0.5, -1.25, 0.5, -0.5, -1.25,
        0.5, -0.5, -1.25, 0.5, -0.75, 1.25, 0.25, -0.75, 1.25, 0.25, -0.75, 1.25, 0.25,
    ]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "2,3")
        .ints("p", &[4], &[0, 2, 1, -1]);
    let model = model
        .node("Pad", "x,p", "y", &[("mode", Text("wrap"))])
        .output("y");
    model.gives(&[&[
        -1.25, 0.5, -1.25, 0.5, 1.25, 0.25, 1.25, 0.25, -1.25, 0.5, -1.25, 0.5,
    ]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "2,3")
        .ints("p", &[4], &[1, 1, 0, -1]);
    let model = model
        .node("Pad", "x,p", "y", &[("mode", Text("reflect"))])
        .output("y");
    model.gives(&[&[0.25, 1.25, 0.25, 0.5, -1.25, 0.5, 0.25, 1.25, 0.25]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "2,3")
        .ints("p", &[4], &[-1, 1, 2, 0]);
    let model = model
        .node("Pad", "x,p", "y", &[("mode", Text("edge"))])
        .output("y");
    model.gives(&[&[
        1.25, 1.25, 0.25, -0.75, 1.25, 1.25, 0.25, -0.75, 1.25, 1.25, 0.25, -0.75,
    ]]);
    let model = Onnx::new()
        .opset(19)
        .input("x", "2,3")
        .input("v", "")
        .ints("p", &[2], &[1, 2])
        .ints("a", &[1], &[-1]);
    let model = model.node("Pad", "x,p,v,a", "y", &[]).output("y");
    model.gives(&[&[
        -0.5, -1.25, 0.5, -0.5, -0.5, -0.5, -0.5, 1.25, 0.25, -0.75, -0.5, -0.5,
    ]]);
    let model = Onnx::new()
        .opset(18)
        .input("x", "3,4")
        .ints("s", &[2], &[6, 1]);
    let model = model.node("CenterCropPad", "x,s", "y", &[]).output("y");
    model.gives(&[&[0.0, 0.5, -0.75, 0.75, 0.0, 0.0]]);
}

#[test]
fn sequences_backwards() {
    let model = Onnx::new()
        .opset(10)
        .input("x", "4,3")
        .ints("l", &[3], &[2, 1, 4]);
    let model = model.node("ReverseSequence", "x,l", "y", &[]).output("y");
    model.gives(&[&[
        1.25, 0.5, -1.25, -1.25, 0.25, -1.0, 1.0, 0.0, -0.75, 0.75, -0.25, -0.5,
    ]]);
}

#[test]
fn fourier_transforms() {
    let model = Onnx::new().opset(20).input("x", "1,4,1");
    let model = model
        .node("DFT", "x", "y", &[("onesided", Int(1))])
        .output("y");
    model.gives(&[&[0.0, 0.0, -0.75, 0.75, -3.5, 0.0]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,3,2")
        .ints("l", &[], &[4]);
    let model = model
        .node("DFT", "x,l", "y", &[("inverse", Int(1))])
        .output("y");
    model.gives(&[&[
        -0.375, 0.25, -0.6875, 0.1875, -0.125, -0.375, -0.0625, 0.4375,
    ]]);
    let model = Onnx::new()
        .opset(20)
        .input("x", "1,3,2")
        .ints("l", &[], &[5]);
    let model = model
        .node(
            "DFT",
            "x,l",
            "y",
            &[("inverse", Int(1)), ("onesided", Int(1))],
        )
        .output("y");
    model.gives(&[&[-0.35, -0.691898, -0.636505, 0.521915, -0.093512]]);
    let model = Onnx::new().opset(17).input("x", "2,3,1");
    let model = model.node("DFT", "x", "y", &[("axis", Int(0))]).output("y");
    model.gives(&[&[
        0.0, 0.0, 0.75, 0.0, -1.25, 0.0, -2.5, 0.0, 0.25, 0.0, 0.25, 0.0,
    ]]);
    let model = Onnx::new()
        .opset(17)
        .input("x", "1,6,1")
        .input("w", "3")
        .ints("s", &[], &[2]);
    let model = model
        .node("STFT", "x,s,w", "y", &[("onesided", Int(1))])
        .output("y");
    model.gives(&[&[
        1.125, 0.0, 0.375, -0.649519, 1.875, -1e-06, -0.562501, -1.299038,
    ]]);
    let model = Onnx::new()
        .opset(17)
        .input("x", "1,6,1")
        .ints("s", &[], &[2])
        .ints("l", &[], &[4]);
    let model = model
        .node("STFT", "x,s,,l", "y", &[("onesided", Int(0))])
        .output("y");
    model.gives(&[&[
        0.0, 0.0, -0.75, 0.75, -3.5, 0.0, -0.75, -0.75, 0.25, 0.0, -0.75, -2.0, -0.75, 0.0, -0.75,
        2.0,
    ]]);
}

#[test]
fn constants_of_signal_processing() {
    let model = Onnx::new().opset(17).input("x", "5").ints("n", &[], &[5]);
    let model = model
        .node("HannWindow", "n", "c", &[])
        .node("Add", "x,c", "y", &[])
        .output("y");
    model.gives(&[&[-1.25, 0.845492, 0.404509, 2.154509, 0.595491]]);
    let model = Onnx::new().opset(17).input("x", "5").ints("n", &[], &[5]);
    let model = model
        .node("HammingWindow", "n", "c", &[("periodic", Int(0))])
        .node("Add", "x,c", "y", &[])
        .output("y");
    model.gives(&[&[-1.163043, 1.043478, 0.5, 1.793478, 0.336957]]);
    let model = Onnx::new().opset(17).input("x", "5").ints("n", &[], &[5]);
    let model = model
        .node("BlackmanWindow", "n", "c", &[])
        .node("Add", "x,c", "y", &[])
        .output("y");
    model.gives(&[&[-1.25, 0.70077, 0.34923, 2.09923, 0.45077]]);
    let model = Onnx::new()
        .opset(17)
        .input("x", "5,3")
        .ints("b", &[], &[3])
        .ints("d", &[], &[8])
        .ints("r", &[], &[8000])
        .floats("l", &[], vec![0.0])
        .floats("u", &[], vec![3000.0]);
    let model = model
        .node("MelWeightMatrix", "b,d,r,l,u", "c", &[])
        .node("Add", "x,c", "y", &[])
        .output("y");
    model.gives(&[&[
        -0.25, 1.5, -0.5, 1.25, 0.25, 0.25, 1.0, 0.0, -1.0, 0.75, -0.25, -1.25, 0.5, -0.5, 1.25,
    ]]);
}

#[test]
fn determinants() {
    let model = Onnx::new().opset(11).input("x", "2,1,1");
    let model = model.node("Det", "x", "y", &[]).output("y");
    model.gives(&[&[-1.25, 0.5]]);
    let model = Onnx::new().opset(11).input("x", "1,2,2");
    let model = model.node("Det", "x", "y", &[]).output("y");
    model.gives(&[&[-1.3125]]);
    let model = Onnx::new().opset(11).input("x", "1,3,3");
    let model = model.node("Det", "x", "y", &[]).output("y");
    model.gives(&[&[0.6875]]);
    let model = Onnx::new().opset(11).input("x", "1,4,4");
    let model = model.node("Det", "x", "y", &[]).output("y");
    model.gives(&[&[1.417969]]);
}

#[test]
fn what_is_refused() {
    let message = one("5,5", "Det", "x", &[]).refusal();
    assert!(
        message.contains("its matrices have 5 rows; use at most 4"),
        "{message}"
    );
    let pads = [("mode", Text("wrap"))];
    let message = one("2,3", "Pad", "x,p", &pads).ints("p", &[4], &[-2, 0, 0, 0]);
    let message = message.refusal();
    assert!(message.contains("it crops an axis to nothing"), "{message}");
    let attributes = [ints("kernel_shape", &[2, 2]), ints("pads", &[3, 0, 0, 0])];
    let model = one("1,1,4,4", "MaxPool", "x", &attributes);
    let model = model.node("MaxPool", "x", "z,i", &attributes).output("i");
    let message = model.refusal();
    assert!(message.contains("nothing but padding"), "{message}");
    let model = one(
        "1,1,3,3",
        "ConvTranspose",
        "x,w",
        &[ints("output_shape", &[9, 9])],
    );
    let message = model.weight("w", &[1, 1, 3, 3]).refusal();
    assert!(message.contains("use `output_padding`"), "{message}");
    let window = Onnx::new()
        .input("x", "5")
        .typed_input("n", DataType::Int64, "");
    let window = window
        .node("HannWindow", "n", "c", &[])
        .node("Add", "x,c", "y", &[]);
    let message = window.output("y").refusal();
    assert!(message.contains("`n` must be known"), "{message}");
}
