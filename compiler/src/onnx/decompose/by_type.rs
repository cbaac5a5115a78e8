//! Where tract's front end has operators for floats that we need otherwise for integers: it divides them by itself, and takes 64-bit integers
//! that are cast for lengths of axes.

use std::collections::HashMap;
use std::sync::LazyLock;

use tract_hir::infer::*;
use tract_hir::internal::{Expansion as Wired, expand};
use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::cast;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, NodeId};
use crate::onnx::decompose::expansion::Expansion;
use crate::onnx::decompose::operator::Build;
use crate::onnx::decompose::quantized::qlinear::matrix_product;
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::tensors;

/// Greatest exponent of integers.
const MOST_EXPONENT: f64 = 63.0;

type Parsed = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// tract's own front end.
static TRACT: LazyLock<OnnxOpRegister> = LazyLock::new(|| tract_onnx::onnx().op_register);

/// What of tract's operators is replaced.
pub(super) fn register(operators: &mut OnnxOpRegister) {
    operators.insert("Cast", parse_cast);
    operators.insert("Div", |context, node| by_type(context, node, divide));
    operators.insert("MatMul", |context, node| by_type(context, node, matmul));
    operators.insert("Mod", |context, node| by_type(context, node, remainder));
    operators.insert("Mul", |context, node| by_type(context, node, multiply));
    operators.insert("Pow", |context, node| by_type(context, node, power));
}

fn of_tract(context: &ParsingContext, node: &NodeProto) -> Parsed {
    match TRACT.0.get(&node.op_type) {
        Some(parse) => parse(context, node),
        None => bail!("tract has no `{}`", node.op_type),
    }
}

fn by_type(context: &ParsingContext, node: &NodeProto, build: Build) -> Parsed {
    let (tract, captured) = of_tract(context, node)?;
    let ours = Expansion::new(context, node, Some(build));
    Ok((Box::new(ByType { ours, tract }), captured))
}

/// An operator that is ours for integers and tract's for floats.
#[derive(Clone, Debug)]
pub(super) struct ByType {
    pub ours: Expansion,
    tract: Box<dyn InferenceOp>,
}

impl PartialEq for ByType {
    fn eq(&self, _: &ByType) -> bool {
        false
    }
}

impl Eq for ByType {}

impl Op for ByType {
    fn name(&self) -> StaticName {
        self.ours.name()
    }

    not_a_typed_op!();
}

impl EvalOp for ByType {
    not_out_of_plan!();
}

impl InferenceOp for ByType {
    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(
        TVec<InferenceFact>,
        TVec<InferenceFact>,
        TVec<InferenceFact>,
    )> {
        let known = inputs.first().and_then(|fact| fact.datum_type.concretize());
        match known.is_some_and(is_integer) {
            true => self.ours.infer_facts(inputs, outputs, observed),
            false => self.tract.infer_facts(inputs, outputs, observed),
        }
    }

    fn to_typed(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let Some(first) = node.inputs.first() else {
            bail!("`{}` has no operands", node.name);
        };
        let dtype = target.outlet_fact(mapping[first])?.datum_type;
        let operator: &dyn InferenceOp = match is_integer(dtype) {
            true => &self.ours,
            false => &*self.tract,
        };
        operator.to_typed(source, node, target, mapping)
    }

    fn as_op(&self) -> &dyn Op {
        self
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self
    }
}

fn is_integer(dtype: DatumType) -> bool {
    dtype.is_integer() || dtype == DatumType::TDim
}

fn parse_cast(context: &ParsingContext, node: &NodeProto) -> Parsed {
    let to = node.attribute.iter().find(|a| a.name == "to");
    match to.is_some_and(|a| a.i == tract_onnx::pb::tensor_proto::DataType::Int64 as i64) {
        true => Ok((expand(ToInteger), vec![])),
        false => of_tract(context, node),
    }
}

/// A cast to 64-bit integers.
#[derive(Clone, Debug)]
struct ToInteger;

impl Wired for ToInteger {
    fn name(&self) -> StaticName {
        "Cast".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        solver.equals(&outputs[0].datum_type, i64::datum_type())?;
        solver.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(
        &self,
        name: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(name, cast(i64::datum_type()), inputs)
    }
}

/// Two operands of equal rank.
fn operands(scope: &mut Scope) -> Result<[NodeId; 2], Diagnostic> {
    let (a, b) = (scope.operand(0)?, scope.operand(1)?);
    let build = &mut scope.build;
    let rank = build.rank(a).max(build.rank(b));
    Ok([a, b].map(|x| build.unsqueeze_to_rank(x, rank)))
}

/// Dividend and divisor.
fn divided(scope: &mut Scope) -> Result<[NodeId; 2], Diagnostic> {
    let [a, b] = operands(scope)?;
    match scope.build.tensor(b) {
        Some(divisor) if divisor.data.contains(&0.0) => {
            Err(refuse("it divides integers by zero", "correct the model"))
        }
        _ => Ok([a, b]),
    }
}

/// The result in the operands' type.
fn wrapped(scope: &mut Scope, made: NodeId) -> Vec<TypedValue> {
    let dtype = scope.dtype(0);
    let made = match tensors::port_dtype(dtype) {
        Some(port) => scope.build.wrap(made, port),
        None => made,
    };
    vec![(made, dtype)]
}

/// `Div`: towards zero.
fn divide(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let [a, b] = divided(scope)?;
    let quotient = scope.build.truncated_quotient(a, b);
    Ok(wrapped(scope, quotient))
}

/// `Mod`: with the divisor's sign, or with the dividend's.
fn remainder(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let [a, b] = divided(scope)?;
    let rest = match scope.int("fmod") {
        Some(1) => scope.build.truncated_remainder(a, b),
        _ => scope.build.floored_remainder(a, b),
    };
    Ok(wrapped(scope, rest))
}

/// `Mul`.
fn multiply(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let [a, b] = operands(scope)?;
    let product = scope.build.binary(BinaryFn::Mul, a, b);
    Ok(wrapped(scope, product))
}

/// `MatMul`.
fn matmul(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (a, b) = (scope.operand(0)?, scope.operand(1)?);
    let product = matrix_product(&mut scope.build, a, b)?;
    Ok(wrapped(scope, product))
}

/// `Pow` with one constant exponent, which may be a float.
fn power(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let [x, exponent] = operands(scope)?;
    let exponent = scope
        .build
        .tensor(exponent)
        .and_then(|tensor| tensor.uniform());
    let exponent = exponent.filter(|e| e.fract() == 0.0 && (0.0..=MOST_EXPONENT).contains(e));
    let exponent = exponent.ok_or_else(|| {
        refuse(
            "it raises integers to powers that are not one small constant integer",
            "cast to floats before",
        )
    })?;
    let power = scope.build.power(x, exponent as u32);
    Ok(wrapped(scope, power))
}
