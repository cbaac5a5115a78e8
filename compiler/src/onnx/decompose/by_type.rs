//! Where tract's front end has operators for floats that we need otherwise for integers: it divides them by itself, sums them in 32 bits, and
//! takes 64-bit integers that are cast for lengths of axes. And where it has some only for floats of single
//! precision, or not for vectors.

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
use crate::graph::{BinaryFn, NodeId, Reducer};
use crate::onnx::decompose::expansion::Expansion;
use crate::onnx::decompose::nn::ranking::is_zero;
use crate::onnx::decompose::nn::reductions::reduced;
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
    operators.insert("Equal", |context, node| {
        let ours = |operands: &[Operand]| first_is(operands, |dtype| dtype == bool::datum_type());
        of_operands(context, node, ours, equal)
    });
    operators.insert("Gemm", |context, node| {
        let doubles = |operands: &[Operand]| first_is(operands, |dtype| dtype == f64::datum_type());
        of_operands(context, node, doubles, gemm)
    });
    operators.insert("MatMul", |context, node| {
        let ours = |operands: &[Operand]| {
            let vectors = operands.iter().all(|(_, rank)| *rank == Some(1));
            first_is(operands, is_integer) || vectors
        };
        of_operands(context, node, ours, matmul)
    });
    operators.insert("Mod", |context, node| by_type(context, node, remainder));
    operators.insert("Mul", |context, node| by_type(context, node, multiply));
    operators.insert("Pow", |context, node| by_type(context, node, power));
    operators.insert("ReduceSum", |context, node| by_type(context, node, sum));
}

fn of_tract(context: &ParsingContext, node: &NodeProto) -> Parsed {
    match TRACT.0.get(&node.op_type) {
        Some(parse) => parse(context, node),
        None => bail!("tract has no `{}`", node.op_type),
    }
}

fn by_type(context: &ParsingContext, node: &NodeProto, build: Build) -> Parsed {
    let integers = |operands: &[Operand]| first_is(operands, is_integer);
    of_operands(context, node, integers, build)
}

/// Type and rank of an operand, as far as they are known.
type Operand = (Option<DatumType>, Option<usize>);

/// Whether the first operand has such a type.
fn first_is(operands: &[Operand], is: fn(DatumType) -> bool) -> bool {
    let first = operands.first().and_then(|(dtype, _)| *dtype);
    first.is_some_and(is)
}

fn of_operands(
    context: &ParsingContext,
    node: &NodeProto,
    is_ours: fn(&[Operand]) -> bool,
    build: Build,
) -> Parsed {
    let (tract, captured) = of_tract(context, node)?;
    let ours = Expansion::new(context, node, Some(build));
    let by_type = ByType {
        ours,
        is_ours,
        tract,
    };
    Ok((Box::new(by_type), captured))
}

/// An operator that is ours for some types and ranks of its operands and tract's for the others.
#[derive(Clone, Debug)]
pub(super) struct ByType {
    pub ours: Expansion,
    is_ours: fn(&[Operand]) -> bool,
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
        let known = |fact: &&InferenceFact| {
            let rank = fact.shape.rank().concretize();
            (fact.datum_type.concretize(), rank.map(|rank| rank as usize))
        };
        let operands: Vec<Operand> = inputs.iter().map(known).collect();
        match (self.is_ours)(&operands) {
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
        let mut operands: Vec<Operand> = Vec::new();
        for input in &node.inputs {
            let fact = target.outlet_fact(mapping[input])?;
            operands.push((Some(fact.datum_type), Some(fact.rank())));
        }
        let operator: &dyn InferenceOp = match (self.is_ours)(&operands) {
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

/// `Equal` of booleans.
fn equal(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let [a, b] = operands(scope)?;
    let distance = scope.build.binary(BinaryFn::Sub, a, b);
    let same = scope.build.pointwise(is_zero(), distance);
    Ok(vec![(same, bool::datum_type())])
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

/// `Gemm`: `alpha a b + beta c`.
fn gemm(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (mut a, mut b) = (scope.operand(0)?, scope.operand(1)?);
    for (name, x) in [("transA", &mut a), ("transB", &mut b)] {
        if scope.int(name).unwrap_or(0) != 0 {
            *x = scope.build.transpose(*x, &[1, 0]);
        }
    }
    let (alpha, beta) = ["alpha", "beta"]
        .map(|name| scope.float(name).unwrap_or(1.0))
        .into();
    let product = matrix_product(&mut scope.build, a, b)?;
    let mut made = scope.build.multiply_scalar(product, alpha);
    if let Some(c) = scope.optional(2) {
        let c = scope.build.unsqueeze_to_rank(c, 2);
        let c = scope.build.multiply_scalar(c, beta);
        made = scope.build.add(made, c);
    }
    Ok(vec![(made, scope.dtype(0))])
}

/// `MatMul`.
fn matmul(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (a, b) = (scope.operand(0)?, scope.operand(1)?);
    let product = matrix_product(&mut scope.build, a, b)?;
    Ok(wrapped(scope, product))
}

/// `ReduceSum`.
fn sum(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    reduced(scope, Reducer::Sum)
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
