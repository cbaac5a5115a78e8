//! What a function that builds an operator works with: attributes, operands, and the graph it appends to.

use std::collections::HashMap;

use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use tract_onnx::prelude::*;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{Graph, NodeId, Op, Tensor};
use crate::onnx::decompose::body;
use crate::onnx::decompose::operator::bare;
use crate::onnx::decompose::subgraph::Subgraph;
use crate::onnx::tensors;

/// Greatest length in an attribute.
const MOST_LENGTH: i64 = 1 << 30;

/// A value of the graph that is built, and its element type in ONNX.
pub(crate) type TypedValue = (NodeId, DatumType);

/// Translates a graph inside an operator, written in this opset: its nodes, and the element types of its results.
pub(crate) type TranslateInside =
    fn(GraphProto, i64) -> Result<(Graph, Vec<DatumType>), Diagnostic>;

/// One operator that is being built.
pub(crate) struct Scope<'n> {
    /// Where nodes go.
    pub build: Builder,
    /// The model's version of ONNX's operator set.
    pub opset: i64,
    node: &'n NodeProto,
    operands: Vec<Option<TypedValue>>,
    /// What the operator's inner graphs capture, by name.
    captured: HashMap<String, TypedValue>,
    /// For each input of the graph, which operand of the operator it is, counted without those left out.
    sources: Vec<usize>,
    inside: Option<TranslateInside>,
}

impl<'n> Scope<'n> {
    /// The operands' facts are those of the names that are not empty, in order, and then of what is captured.
    pub fn new(
        node: &'n NodeProto,
        opset: i64,
        facts: &[&TypedFact],
        inside: Option<TranslateInside>,
    ) -> Result<Self, Diagnostic> {
        let mut scope = Scope {
            build: Builder::new(),
            opset,
            node,
            operands: Vec::new(),
            captured: HashMap::new(),
            sources: Vec::new(),
            inside,
        };
        scope.build.name = bare(&node.op_type).to_string();
        let mut given = facts.iter().enumerate();
        for name in &node.input {
            let fact = if name.is_empty() { None } else { given.next() };
            let operand = fact
                .map(|(index, fact)| scope.declare(index, fact))
                .transpose()?;
            scope.operands.push(operand);
        }
        for (name, (index, fact)) in body::captures(node).into_iter().zip(given) {
            let operand = scope.declare(index, fact)?;
            scope.captured.insert(name, operand);
        }
        Ok(scope)
    }

    fn declare(&mut self, index: usize, fact: &TypedFact) -> Result<TypedValue, Diagnostic> {
        // tract computes shapes in a type of its own.
        let dtype = match fact.datum_type {
            DatumType::TDim => DatumType::I64,
            dtype => dtype,
        };
        if let Some(value) = &fact.konst {
            let tensor = tensors::from_tract(value)
                .map_err(|e| refuse(e.to_string(), "only tensors of numbers can be compiled"))?;
            let id = self.build.constant(tensor);
            return Ok((id, dtype));
        }
        let (Some(shape), Some(port)) = (fact.shape.as_concrete(), tensors::port_dtype(dtype))
        else {
            return Err(refuse(
                format!("an operand has the shape {:?} of {dtype:?}", fact.shape),
                "export the model with fixed shapes and numbers",
            ));
        };
        let id = self.build.push(Op::Input(port), Vec::new(), shape.to_vec());
        self.build.graph.inputs.push(id);
        self.sources.push(index);
        Ok((id, dtype))
    }

    /// The operator with these results.
    pub fn finish(mut self, results: Vec<TypedValue>) -> Subgraph {
        let kept = (0..results.len())
            .filter(|index| self.wants(*index))
            .map(|index| results[index]);
        let kept: Vec<TypedValue> = kept.collect();
        for (id, dtype) in &kept {
            if let Some(dtype) = tensors::port_dtype(*dtype) {
                self.build.retype(0, *id, dtype);
            }
        }
        let mut graph = self.build.graph;
        graph.outputs = kept.iter().map(|(id, _)| (String::new(), *id)).collect();
        graph.prune();
        let dtypes = kept.iter().map(|(_, dtype)| *dtype).collect();
        Subgraph::new(bare(&self.node.op_type), graph, self.sources, dtypes)
    }

    /// The ONNX type of the operator.
    pub fn operator(&self) -> &str {
        bare(&self.node.op_type)
    }

    /// The operator's domain.
    pub fn domain(&self) -> &str {
        &self.node.domain
    }

    /// Number of operands, including those left out in between.
    pub fn count(&self) -> usize {
        self.operands.len()
    }

    /// Number of results.
    pub fn results(&self) -> usize {
        self.node.output.len()
    }

    /// Whether the result at a position has a name.
    pub fn wants(&self, index: usize) -> bool {
        self.node.output.get(index).is_some_and(|n| !n.is_empty())
    }

    /// The operand at a position, if it is given.
    pub fn optional(&self, index: usize) -> Option<NodeId> {
        self.operands
            .get(index)
            .copied()
            .flatten()
            .map(|(id, _)| id)
    }

    /// The operand at a position.
    pub fn operand(&self, index: usize) -> Result<NodeId, Diagnostic> {
        self.optional(index)
            .ok_or_else(|| refuse(format!("operand {index} is missing"), "correct the model"))
    }

    /// Element type of the operand at a position; `f32` where it is left out.
    pub fn dtype(&self, index: usize) -> DatumType {
        let operand = self.operands.get(index).copied().flatten();
        operand.map_or(DatumType::F32, |(_, dtype)| dtype)
    }

    /// The value of an operand that must be constant; `None` if it is left out.
    pub fn constant(&self, index: usize) -> Result<Option<&Tensor>, Diagnostic> {
        let Some(id) = self.optional(index) else {
            return Ok(None);
        };
        let value = self.build.tensor(id);
        value.map(Some).ok_or_else(|| {
            let name = self.node.input.get(index).map_or("", String::as_str);
            refuse(
                format!("its operand `{name}` must be known when the model is compiled"),
                "make it a constant (an initializer) of the model",
            )
        })
    }

    /// The integers of an operand that must be constant.
    pub fn constant_ints(&self, index: usize) -> Result<Option<Vec<i64>>, Diagnostic> {
        let ints = |tensor: &Tensor| tensor.data.iter().map(|v| *v as i64).collect();
        Ok(self.constant(index)?.map(ints))
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|a| a.i)
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| &*a.ints)
    }

    /// A number.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.attribute(name).map(|a| f64::from(a.f))
    }

    /// A list of numbers.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        self.attribute(name).map(|a| &*a.floats)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.attribute(name)?;
        std::str::from_utf8(&text.s).ok()
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.attribute(name)?;
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Some(list.strings.iter().map(text).collect())
    }

    /// A tensor and its element type.
    pub fn typed_tensor(&self, name: &str) -> Option<(Tensor, DatumType)> {
        let proto = self.attribute(name)?.t.as_ref()?;
        let tensor = tract_onnx::tensor::load_tensor(&MmapDataResolver, proto, None).ok()?;
        let dtype = tensor.datum_type();
        Some((tensors::from_tract(&tensor).ok()?, dtype))
    }

    /// A graph.
    pub fn graph(&self, name: &str) -> Option<&GraphProto> {
        self.attribute(name)?.g.as_ref()
    }

    /// A graph inside the operator, translated, and the element types of its results.
    pub fn translate_inside(
        &self,
        graph: GraphProto,
    ) -> Result<(Graph, Vec<DatumType>), Diagnostic> {
        let unknown = || refuse("graphs inside it are not known here", "report the model");
        self.inside.ok_or_else(unknown)?(graph, self.opset)
    }

    /// What a graph inside the operator reads from around it by this name.
    pub fn captured(&self, name: &str) -> Option<TypedValue> {
        self.captured.get(name).copied()
    }

    /// A position among `rank` axes; negative ones count from the end.
    pub fn position(axis: i64, rank: usize) -> Result<usize, Diagnostic> {
        let from_start = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(from_start)
            .ok()
            .filter(|axis| *axis < rank.max(1))
            .ok_or_else(|| {
                refuse(
                    format!("the axis {axis} does not exist"),
                    "correct the model",
                )
            })
    }

    /// The axes that an attribute lists, all of them if it is left out.
    pub fn axes(&self, name: &str, rank: usize) -> Result<Vec<usize>, Diagnostic> {
        let Some(listed) = self.ints(name) else {
            return Ok((0..rank).collect());
        };
        let axes = listed.iter().map(|axis| Self::position(*axis, rank));
        let axes: Vec<usize> = axes.collect::<Result<_, _>>()?;
        if (1..axes.len()).any(|i| axes[..i].contains(&axes[i])) {
            Err(refuse("it names an axis twice", "correct the model"))
        } else {
            Ok(axes)
        }
    }

    /// A list of lengths: one for each of `count` axes, or `default` for all.
    pub fn lengths(
        &self,
        name: &str,
        count: usize,
        default: usize,
    ) -> Result<Vec<usize>, Diagnostic> {
        let Some(listed) = self.ints(name).filter(|listed| !listed.is_empty()) else {
            return Ok(vec![default; count]);
        };
        let least = default.min(1) as i64;
        let length = |len: &i64| {
            let fits = (least..=MOST_LENGTH).contains(len);
            fits.then_some(*len as usize)
        };
        let lengths: Option<Vec<usize>> = listed.iter().map(length).collect();
        let lengths = lengths.filter(|lengths| lengths.len() == count);
        lengths.ok_or_else(|| {
            refuse(
                format!("its `{name}` does not fit its operands"),
                "correct the model",
            )
        })
    }

    /// The axis that an attribute names.
    pub fn axis(&self, name: &str, default: i64, x: NodeId) -> Result<usize, Diagnostic> {
        Self::position(self.int(name).unwrap_or(default), self.build.rank(x))
    }
}
