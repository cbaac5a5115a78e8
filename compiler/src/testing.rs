//! Small ONNX models for tests, built in memory.

use std::collections::BTreeMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

use crate::calibrate::ranges;
use crate::error::CompileError;
use crate::graph::interpret;
use crate::graph::{Graph, Tensor};
use crate::onnx::load;
use crate::onnx::supported;
use crate::options::Options;
use crate::prepare::{Prepared, prepare};

/// A model under construction.
#[derive(Clone, Default)]
pub struct Onnx {
    graph: GraphProto,
    opset: i64,
}

/// An attribute's value.
pub enum Attribute {
    /// `i`
    Int(i64),
    /// `ints`
    Ints(Vec<i64>),
    /// `f`
    Float(f32),
    /// `s`
    Text(&'static str),
    /// `floats`
    Floats(Vec<f32>),
    /// `strings`
    Texts(Vec<&'static str>),
    /// `g`: the graph of a model
    Graph(Onnx),
}

impl Onnx {
    /// An empty model of opset 17.
    pub fn new() -> Onnx {
        Onnx {
            opset: 17,
            ..Onnx::default()
        }
    }

    /// Another opset.
    pub fn opset(mut self, opset: i64) -> Onnx {
        self.opset = opset;
        self
    }

    /// A float input; dimensions are numbers or names.
    pub fn input(self, name: &str, shape: &str) -> Onnx {
        self.typed_input(name, DataType::Float, shape)
    }

    /// An input; dimensions are numbers or names, separated by commas.
    pub fn typed_input(mut self, name: &str, dtype: DataType, shape: &str) -> Onnx {
        let dim = |text: &str| {
            let value = match text.parse() {
                Ok(number) => dimension::Value::DimValue(number),
                Err(_) => dimension::Value::DimParam(text.to_string()),
            };
            Dimension {
                value: Some(value),
                ..Default::default()
            }
        };
        let shape = TensorShapeProto {
            dim: shape
                .split(',')
                .filter(|t| !t.is_empty())
                .map(dim)
                .collect(),
        };
        let tensor = type_proto::Tensor {
            elem_type: dtype as i32,
            shape: Some(shape),
        };
        let of = TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        };
        self.graph.input.push(ValueInfoProto {
            name: name.into(),
            r#type: Some(of),
            ..Default::default()
        });
        self
    }

    /// An input of any type.
    pub fn untyped_input(mut self, name: &str) -> Onnx {
        self.graph.input.push(ValueInfoProto {
            name: name.into(),
            ..Default::default()
        });
        self
    }

    /// What the file says of a value that is no input.
    pub fn declared(self, name: &str, dtype: DataType, shape: &str) -> Onnx {
        let mut model = self.typed_input(name, dtype, shape);
        let port = model.graph.input.pop();
        model.graph.value_info.extend(port);
        model
    }

    /// A float initializer with varied values.
    pub fn weight(self, name: &str, shape: &[usize]) -> Onnx {
        let volume: usize = shape.iter().product();
        let seed = name.bytes().map(f32::from).sum::<f32>();
        self.floats(
            name,
            shape,
            (0..volume)
                .map(|i| (seed + 1.7 * i as f32).sin() * 0.7)
                .collect(),
        )
    }

    /// A float initializer.
    pub fn floats(mut self, name: &str, shape: &[usize], data: Vec<f32>) -> Onnx {
        self.graph.initializer.push(TensorProto {
            float_data: data,
            data_type: DataType::Float as i32,
            ..tensor(name, shape)
        });
        self
    }

    /// A 64-bit integer initializer.
    pub fn ints(mut self, name: &str, shape: &[usize], data: &[i64]) -> Onnx {
        self.graph.initializer.push(TensorProto {
            int64_data: data.to_vec(),
            data_type: DataType::Int64 as i32,
            ..tensor(name, shape)
        });
        self
    }

    /// A boolean initializer.
    pub fn booleans(self, name: &str, shape: &[usize], data: &[bool]) -> Onnx {
        self.small(
            name,
            DataType::Bool,
            shape,
            data.iter().map(|b| *b as i32).collect(),
        )
    }

    /// An initializer of small integers or booleans.
    pub fn small(mut self, name: &str, dtype: DataType, shape: &[usize], data: Vec<i32>) -> Onnx {
        self.graph.initializer.push(TensorProto {
            int32_data: data,
            data_type: dtype as i32,
            ..tensor(name, shape)
        });
        self
    }

    /// A float initializer in a file beside the model.
    pub fn external(mut self, name: &str, shape: &[usize], file: &str) -> Onnx {
        self.graph.initializer.push(TensorProto {
            data_type: DataType::Float as i32,
            data_location: Some(DataLocation::External as i32),
            external_data: vec![StringStringEntryProto {
                key: "location".into(),
                value: file.into(),
            }],
            ..tensor(name, shape)
        });
        self
    }

    /// A node: operands and results are names separated by commas; the node has the name of its first result. The operator's domain is before
    /// a point, or left out.
    pub fn node(
        mut self,
        operator: &str,
        operands: &str,
        results: &str,
        attributes: &[(&str, Attribute)],
    ) -> Onnx {
        let names = |text: &str| {
            if text.is_empty() {
                vec![]
            } else {
                text.split(',').map(String::from).collect()
            }
        };
        let (domain, operator) = operator
            .rsplit_once('.')
            .unwrap_or((domain_of(operator), operator));
        self.graph.node.push(NodeProto {
            op_type: operator.into(),
            domain: domain.into(),
            name: results.split(',').next().unwrap_or_default().into(),
            input: names(operands),
            output: names(results),
            attribute: attributes
                .iter()
                .map(|(name, value)| attribute(name, value))
                .collect(),
            ..Default::default()
        });
        self
    }

    /// More attributes for the last node.
    pub fn extend_last(&mut self, attributes: &[(&str, Attribute)]) {
        let node = self.graph.node.last_mut().expect("a node");
        node.attribute.extend(
            attributes
                .iter()
                .map(|(name, value)| attribute(name, value)),
        );
    }

    /// An output.
    pub fn output(mut self, name: &str) -> Onnx {
        self.graph.output.push(ValueInfoProto {
            name: name.into(),
            ..Default::default()
        });
        self
    }

    /// The model: it imports its opset, and the newest of each other domain.
    pub fn proto(self) -> ModelProto {
        let mut imports = BTreeMap::from([("", self.opset)]);
        imports.extend(OTHER_DOMAINS);
        let imports = imports.into_iter();
        ModelProto {
            ir_version: 8,
            opset_import: imports
                .map(|(domain, version)| OperatorSetIdProto {
                    domain: domain.into(),
                    version,
                })
                .collect(),
            graph: Some(self.graph),
            ..Default::default()
        }
    }

    /// Imports the model.
    pub fn import_with(self, options: &Options) -> Result<Prepared, CompileError> {
        let loaded = load::from_proto(self.proto(), None, "test.onnx", options)?;
        prepare(loaded, options)
    }

    /// Imports the model, and checks that the graph computes what tract does.
    pub fn agrees(self) -> Graph {
        let imported = self
            .import_with(&Options::default())
            .unwrap_or_else(|e| panic!("{e}"));
        for inputs in ranges::synthetic_inputs(&imported.graph, 3) {
            let expected = imported.float.run(&inputs).expect("tract runs it");
            assert_close(&interpret::run(&imported.graph, &inputs), &expected);
        }
        for node in &imported.graph.nodes {
            assert!(
                node.range.0 <= 0.0 && node.range.1 >= 0.0,
                "range of {}",
                node.name
            );
        }
        imported.graph
    }

    /// Imports the model, and checks what it computes from `ramp(count, k)` for the input of number `k`.
    pub fn gives(self, expected: &[&[f64]]) -> Graph {
        let imported = self
            .import_with(&Options::default())
            .unwrap_or_else(|e| panic!("{e}"));
        let graph = imported.graph;
        let shapes = graph.inputs.iter().map(|id| graph.nodes[*id].shape.clone());
        let inputs = shapes.enumerate().map(|(k, shape)| {
            let count = shape.iter().product();
            Tensor::new(shape, ramp(count, k))
        });
        let inputs: Vec<Tensor> = inputs.collect();
        let made = interpret::run(&graph, &inputs);
        let expected = made.iter().zip(expected).map(|(made, expected)| {
            assert_eq!(made.data.len(), expected.len(), "{made:?}");
            Tensor::new(made.shape.clone(), expected.to_vec())
        });
        assert_close(&made, &expected.collect::<Vec<_>>());
        graph
    }

    /// Imports a model that cannot be compiled; the message.
    pub fn refusal(self) -> String {
        match self.import_with(&Options::default()) {
            Ok(imported) => panic!("imported: {:?}", imported.graph),
            Err(e) => e.to_string(),
        }
    }
}

/// Varied multiples of a quarter from -1.25 to 1.25.
pub fn ramp(count: usize, k: usize) -> Vec<f64> {
    (0..count)
        .map(|i| ((7 * i + 3 * k) % 11) as f64 / 4.0 - 1.25)
        .collect()
}

/// Same shapes, and equal within 2e-5 of one plus the magnitude.
pub fn assert_close(got: &[Tensor], expected: &[Tensor]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got.shape, expected.shape);
        for (a, b) in got.data.iter().zip(&expected.data) {
            let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() < 2e-5 * (1.0 + b.abs());
            assert!(same, "{a} is not {b}, in {got:?} and {expected:?}");
        }
    }
}

/// Domains beside the standard one, with a version.
const OTHER_DOMAINS: [(&str, i64); 4] = [
    ("ai.onnx.ml", 3),
    ("ai.onnx.preview", 1),
    ("ai.onnx.preview.training", 1),
    ("com.microsoft", 1),
];

/// The standard domain, unless only another one has the operator.
fn domain_of(operator: &str) -> &'static str {
    let all = supported::operators();
    let named = all.iter().filter(|known| known.name == operator);
    let domains = named.map(|known| known.domain);
    domains.min().unwrap_or_default()
}

fn tensor(name: &str, shape: &[usize]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: shape.iter().map(|d| *d as i64).collect(),
        ..Default::default()
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto {
        name: name.into(),
        ..Default::default()
    };
    let kind = match value {
        Attribute::Int(i) => {
            proto.i = *i;
            AttributeType::Int
        }
        Attribute::Ints(ints) => {
            proto.ints = ints.clone();
            AttributeType::Ints
        }
        Attribute::Float(f) => {
            proto.f = *f;
            AttributeType::Float
        }
        Attribute::Floats(floats) => {
            proto.floats = floats.clone();
            AttributeType::Floats
        }
        Attribute::Texts(texts) => {
            proto.strings = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
            AttributeType::Strings
        }
        Attribute::Graph(model) => {
            proto.g = Some(model.graph.clone());
            AttributeType::Graph
        }
        Attribute::Text(s) => {
            proto.s = s.as_bytes().to_vec();
            AttributeType::String
        }
    };
    proto.r#type = kind as i32;
    proto
}
