//! Vision networks as exporters write them, small: nothing in them is refused, by the importer or by the lowering.

use crate::lower;
use crate::options::Options;
use crate::prepare::tests::{Float, Int, Ints, Onnx, Text};
use crate::testing::Attribute;

/// Imports and lowers.
fn compiles(model: Onnx) {
    let graph = model.output("y").agrees();
    let lowered = lower::lower(&graph, &Options::default(), "vision");
    assert!(lowered.is_ok(), "{:?}", lowered.err());
}

fn ints(name: &'static str, values: &[i64]) -> (&'static str, Attribute) {
    (name, Ints(values.to_vec()))
}

/// A convolution of `[o, i/groups, k, k]` with a bias, padded to keep lengths.
fn conv(model: Onnx, from: &str, to: &str, weight: [usize; 3], stride: i64, groups: i64) -> Onnx {
    let [outputs, inputs, kernel] = weight;
    let (w, b) = (format!("{to}_w"), format!("{to}_b"));
    let pad = kernel as i64 / 2;
    model
        .weight(&w, &[outputs, inputs, kernel, kernel])
        .weight(&b, &[outputs])
        .node(
            "Conv",
            &format!("{from},{w},{b}"),
            to,
            &[
                ints("strides", &[stride, stride]),
                ints("pads", &[pad; 4]),
                ("group", Int(groups)),
            ],
        )
}

/// Batch normalization as it is before folding.
fn norm(model: Onnx, from: &str, to: &str, channels: usize) -> Onnx {
    let names = ["s", "t", "m"].map(|part| format!("{to}{part}"));
    let variance = format!("{to}v");
    let mut model = model.floats(&variance, &[channels], vec![0.8; channels]);
    for name in &names {
        model = model.weight(name, &[channels]);
    }
    let operands = format!("{from},{},{variance}", names.join(","));
    model.node("BatchNormalization", &operands, to, &[])
}

#[test]
fn residual_network() {
    let mut model = Onnx::new().input("x", "1,3,16,16");
    model = conv(model, "x", "c1", [4, 3, 7], 2, 1);
    model = norm(model, "c1", "n1", 4).node("Relu", "n1", "r1", &[]);
    let pool = [
        ints("kernel_shape", &[3, 3]),
        ints("strides", &[2, 2]),
        ints("pads", &[1, 1, 1, 1]),
        ("ceil_mode", Int(0)),
        ints("dilations", &[1, 1]),
    ];
    model = model.node("MaxPool", "r1", "p1", &pool);
    model = conv(model, "p1", "c2", [8, 4, 3], 2, 1);
    model = norm(model, "c2", "n2", 8).node("Relu", "n2", "r2", &[]);
    model = conv(model, "r2", "c3", [8, 8, 3], 1, 1);
    model = norm(model, "c3", "n3", 8);
    model = conv(model, "p1", "d", [8, 4, 1], 2, 1);
    model = model
        .node("Add", "n3,d", "a", &[])
        .node("Relu", "a", "r3", &[]);
    model = model.node("GlobalAveragePool", "r3", "g", &[]).node(
        "Flatten",
        "g",
        "f",
        &[("axis", Int(1))],
    );
    let model = model.weight("w", &[5, 8]).weight("b", &[5]);
    compiles(model.node("Gemm", "f,w,b", "y", &[("transB", Int(1))]));
}

#[test]
fn mobile_network() {
    let mut model = Onnx::new().input("x", "1,4,8,8");
    model = conv(model, "x", "e", [8, 4, 1], 1, 1).node("HardSwish", "e", "h", &[]);
    model = conv(model, "h", "d", [8, 1, 5], 2, 8).node("HardSwish", "d", "i", &[]);
    // Squeeze and excitation.
    model = model.node("GlobalAveragePool", "i", "g", &[]);
    model = conv(model, "g", "q", [2, 8, 1], 1, 1).node("Relu", "q", "r", &[]);
    model = conv(model, "r", "u", [8, 2, 1], 1, 1);
    let slope = [("alpha", Float(1.0 / 6.0)), ("beta", Float(0.5))];
    model = model
        .node("HardSigmoid", "u", "s", &slope)
        .node("Mul", "s,i", "m", &[]);
    compiles(conv(model, "m", "y", [4, 8, 1], 1, 1));
}

#[test]
fn efficient_network() {
    let mut model = Onnx::new()
        .input("x", "1,4,6,6")
        .floats("zero", &[], vec![0.0]);
    model = model.floats("six", &[], vec![6.0]);
    model = conv(model, "x", "e", [8, 4, 1], 1, 1)
        .node("Sigmoid", "e", "es", &[])
        .node("Mul", "e,es", "em", &[]);
    model = conv(model, "em", "d", [8, 1, 3], 1, 8).node("Clip", "d,zero,six", "dc", &[]);
    model = model.node(
        "ReduceMean",
        "dc",
        "g",
        &[ints("axes", &[2, 3]), ("keepdims", Int(1))],
    );
    model = conv(model, "g", "q", [2, 8, 1], 1, 1)
        .node("Sigmoid", "q", "qs", &[])
        .node("Mul", "q,qs", "qm", &[]);
    model = conv(model, "qm", "u", [8, 2, 1], 1, 1)
        .node("Sigmoid", "u", "us", &[])
        .node("Mul", "us,dc", "m", &[]);
    model = conv(model, "m", "p", [4, 8, 1], 1, 1);
    compiles(model.node("Add", "p,x", "y", &[]));
}

#[test]
fn u_network() {
    let mut model = Onnx::new().input("x", "1,2,8,8");
    let half = || [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    model = conv(model, "x", "a", [4, 2, 3], 1, 1).node("Relu", "a", "ar", &[]);
    model = model.node("MaxPool", "ar", "p", &half());
    model = conv(model, "p", "b", [8, 4, 3], 1, 1).node(
        "LeakyRelu",
        "b",
        "br",
        &[("alpha", Float(0.1))],
    );
    model = model.node("AveragePool", "br", "q", &half());
    model =
        conv(model, "q", "c", [8, 8, 3], 1, 1).node("InstanceNormalization", "c,cs,ct", "cn", &[]);
    model = model
        .weight("cs", &[8])
        .weight("ct", &[8])
        .weight("uw", &[8, 4, 2, 2]);
    model = model.node("ConvTranspose", "cn,uw", "u", &[ints("strides", &[2, 2])]);
    model = model.node("Concat", "u,br", "j", &[("axis", Int(1))]);
    model = conv(model, "j", "k", [4, 12, 3], 1, 1).floats("s", &[4], vec![1.0, 1.0, 2.0, 2.0]);
    let bilinear = [
        ("mode", Text("linear")),
        ("coordinate_transformation_mode", Text("align_corners")),
    ];
    model = model.node("Resize", "k,,s", "l", &bilinear).node(
        "Concat",
        "l,ar",
        "m",
        &[("axis", Int(1))],
    );
    // As PyTorch pads what does not divide.
    model = model.ints("pads", &[8], &[0, 0, 0, 0, 0, 0, 1, 1]);
    model = model.node("Pad", "m,pads", "n", &[("mode", Text("reflect"))]);
    model = conv(model, "n", "o", [3, 8, 3], 1, 1);
    compiles(model.node("Softmax", "o", "y", &[("axis", Int(1))]));
}

/// Pyramid pooling, upsampling to a length that the graph computes, boxes decoded on a grid, the best class.
#[test]
fn detector() {
    let mut model = Onnx::new().input("x", "1,4,4,4");
    let pool = [
        ints("kernel_shape", &[5, 5]),
        ints("strides", &[1, 1]),
        ints("pads", &[2, 2, 2, 2]),
    ];
    model = model
        .node("MaxPool", "x", "p1", &pool)
        .node("MaxPool", "p1", "p2", &pool)
        .node("Concat", "x,p1,p2", "s", &[("axis", Int(1))]);
    model = conv(model, "s", "t", [6, 12, 1], 1, 1);
    // The size of the upsampled map, as exporters compute it.
    model = model
        .node("Shape", "t", "sh", &[])
        .ints("two", &[1], &[2])
        .ints("four", &[1], &[4])
        .ints("zero", &[1], &[0])
        .ints("twice", &[2], &[2, 2])
        .node("Slice", "sh,two,four,zero", "hw", &[])
        .node("Mul", "hw,twice", "big", &[])
        .node("Slice", "sh,zero,two,zero", "nc", &[])
        .node("Concat", "nc,big", "size", &[("axis", Int(0))]);
    let nearest = [
        ("mode", Text("nearest")),
        ("coordinate_transformation_mode", Text("asymmetric")),
        ("nearest_mode", Text("floor")),
    ];
    model = model.node("Resize", "t,,,size", "u", &nearest);
    model = conv(model, "u", "h", [14, 6, 1], 1, 1)
        .ints("boxes", &[5], &[1, 2, 7, 8, 8])
        .node("Reshape", "h,boxes", "b", &[])
        .node("Transpose", "b", "bt", &[ints("perm", &[0, 1, 3, 4, 2])])
        .node("Sigmoid", "bt", "bs", &[])
        .ints("parts", &[3], &[2, 2, 3])
        .node("Split", "bs,parts", "xy,wh,cls", &[("axis", Int(4))]);
    model = model
        .weight("grid", &[1, 2, 8, 8, 2])
        .weight("anchors", &[1, 2, 8, 8, 2])
        .floats("k2", &[], vec![2.0])
        .node("Mul", "xy,k2", "xy2", &[])
        .node("Add", "xy2,grid", "xyg", &[])
        .node("Mul", "wh,k2", "wh2", &[])
        .node("Pow", "wh2,k2", "whp", &[])
        .node("Mul", "whp,anchors", "wha", &[])
        .node(
            "ReduceMax",
            "cls",
            "best",
            &[ints("axes", &[4]), ("keepdims", Int(1))],
        )
        .node("Concat", "xyg,wha,best", "all", &[("axis", Int(4))])
        .ints("flat", &[3], &[1, -1, 5]);
    compiles(model.node("Reshape", "all,flat", "y", &[]));
}

#[test]
fn modern_convolutions() {
    let mut model = Onnx::new().input("x", "1,4,8,8");
    model = conv(model, "x", "d", [4, 1, 7], 1, 4)
        .node("Transpose", "d", "t", &[ints("perm", &[0, 2, 3, 1])])
        .weight("ls", &[4])
        .weight("lb", &[4])
        .node(
            "LayerNormalization",
            "t,ls,lb",
            "n",
            &[("axis", Int(-1)), ("epsilon", Float(1e-6))],
        )
        .weight("w1", &[4, 16])
        .weight("b1", &[16])
        .node("MatMul", "n,w1", "m", &[])
        .node("Add", "m,b1", "a", &[])
        .floats("r", &[], vec![std::f32::consts::SQRT_2])
        .floats("one", &[], vec![1.0])
        .floats("half", &[], vec![0.5])
        .node("Div", "a,r", "g1", &[])
        .node("Erf", "g1", "g2", &[])
        .node("Add", "g2,one", "g3", &[])
        .node("Mul", "a,g3", "g4", &[])
        .node("Mul", "g4,half", "g", &[])
        .weight("w2", &[16, 4])
        .node("MatMul", "g,w2", "o", &[])
        .weight("gamma", &[4])
        .node("Mul", "o,gamma", "s", &[])
        .node("Transpose", "s", "back", &[ints("perm", &[0, 3, 1, 2])]);
    compiles(model.node("Add", "x,back", "y", &[]));
}

#[test]
fn vision_transformer() {
    let patches = [ints("strides", &[4, 4]), ints("kernel_shape", &[4, 4])];
    let mut model = Onnx::new()
        .input("x", "1,3,8,8")
        .weight("pw", &[6, 3, 4, 4])
        .weight("pb", &[6])
        .node("Conv", "x,pw,pb", "p", &patches)
        .ints("flat", &[3], &[1, 6, -1])
        .node("Reshape", "p,flat", "f", &[])
        .node("Transpose", "f", "t", &[ints("perm", &[0, 2, 1])])
        .weight("cls", &[1, 1, 6])
        .ints("ones", &[3], &[1, 1, 1])
        .node("Expand", "cls,ones", "c", &[])
        .node("Concat", "c,t", "j", &[("axis", Int(1))])
        .weight("pos", &[1, 5, 6])
        .node("Add", "j,pos", "e", &[])
        .weight("ls", &[6])
        .weight("lb", &[6])
        .node("LayerNormalization", "e,ls,lb", "n", &[("axis", Int(-1))])
        .weight("qkv", &[6, 18])
        .node("MatMul", "n,qkv", "q3", &[])
        .ints("heads", &[5], &[1, 5, 3, 2, 3])
        .node("Reshape", "q3,heads", "h", &[])
        .node("Transpose", "h", "ht", &[ints("perm", &[2, 0, 3, 1, 4])]);
    for (i, name) in ["q", "k", "v"].into_iter().enumerate() {
        let index = format!("{name}i");
        model = model.ints(&index, &[], &[i as i64]);
        model = model.node("Gather", &format!("ht,{index}"), name, &[("axis", Int(0))]);
    }
    model = model
        .floats("scale", &[], vec![0.577])
        .node("Mul", "q,scale", "qs", &[])
        .node("Transpose", "k", "kt", &[ints("perm", &[0, 1, 3, 2])])
        .node("MatMul", "qs,kt", "s", &[])
        .node("Softmax", "s", "a", &[("axis", Int(-1))])
        .node("MatMul", "a,v", "o", &[])
        .node("Transpose", "o", "ot", &[ints("perm", &[0, 2, 1, 3])])
        .ints("join", &[3], &[1, 5, 6])
        .node("Reshape", "ot,join", "r", &[])
        .node("Add", "r,e", "z", &[])
        .ints("first", &[], &[0])
        .node("Gather", "z,first", "head", &[("axis", Int(1))])
        .weight("hw", &[6, 4]);
    compiles(model.node("Gemm", "head,hw", "y", &[]));
}

/// Channels become space, as in super-resolution, and are convolved again.
#[test]
fn shuffled_pixels() {
    let blocks = [("blocksize", Int(2)), ("mode", Text("CRD"))];
    let mut model = Onnx::new().input("x", "1,2,4,6");
    model = conv(model, "x", "c", [8, 2, 3], 1, 1).node("Relu", "c", "r", &[]);
    model = model.node("DepthToSpace", "r", "d", &blocks);
    model = conv(model, "d", "e", [2, 2, 3], 1, 1);
    let pool = [ints("kernel_shape", &[2, 2])];
    model = model.node("DepthToSpace", "r", "f", &blocks);
    model = model
        .node("AveragePool", "f", "a", &pool)
        .node("MaxPool", "f", "m", &pool);
    model = model.ints("p", &[8], &[0, 0, 0, 0, 0, 0, 1, 1]);
    model = model
        .node("Add", "a,m", "s", &[])
        .node("Pad", "s,p", "t", &[]);
    compiles(model.node("Add", "e,t", "y", &[]));
}
