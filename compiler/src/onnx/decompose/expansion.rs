//! What tract calls an *expansion*: an operator of the ONNX file that is replaced when the shapes of its operands are known. Ours is
//! replaced by a [`Subgraph`], which tract evaluates (with [`interpret`](crate::graph::interpret)) like any other operator and the importer
//! splices in.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tract_hir::infer::*;
use tract_onnx::model::{Onnx, ParsingContext};
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::decompose::body;
use crate::onnx::decompose::by_type::{self, ByType};
use crate::onnx::decompose::nn::finite;
use crate::onnx::decompose::operator::{Build, bare};
use crate::onnx::decompose::registry;
use crate::onnx::decompose::scope::{Scope, TranslateInside, TypedValue};
use crate::onnx::decompose::subgraph::Subgraph;
use crate::onnx::{supported, unsupported};

/// tract's front end, with our operators, and with those of the graph that are refused, so that its analysis goes on
/// after them.
pub(crate) fn front_end(graph: &GraphProto) -> Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    by_type::register(&mut onnx.op_register);
    for name in registry::names() {
        onnx.op_register.0.insert(name, parse);
    }
    for name in unsupported::types(graph) {
        // tract has operators of other domains by their names alone.
        if !supported::is_of_tract(name) || unsupported::reason(name).is_some() {
            onnx.op_register.0.insert(name.to_string(), parse);
        }
    }
    onnx
}

/// Refuses an operator that no other function builds.
fn unknown(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    Err(
        match (unsupported::reason(scope.operator()), scope.domain()) {
            (Some((reason, help)), _) => refuse(reason, help),
            (None, "" | "ai.onnx") => refuse(
                "this operator is not supported",
                "express it with standard operators",
            ),
            (None, domain) => refuse(
                format!("this operator of the domain `{domain}` is not supported"),
                "express it with standard operators",
            ),
        },
    )
}

/// What is refused while tract analyzes a model: tract itself can only say that an analysis failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics(Arc<Mutex<Vec<Diagnostic>>>);

impl Diagnostics {
    fn push(&self, diagnostic: Diagnostic) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(diagnostic);
    }

    /// All of them, in the order of the nodes.
    pub fn take(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hands the operators of ours in a parsed model what they need of those above them: where to say why they are refused, and how graphs inside
/// them are translated.
pub(crate) fn connect(
    model: &mut InferenceModel,
    diagnostics: &Diagnostics,
    inside: TranslateInside,
) {
    for node in &mut model.nodes {
        let ours = match node.op_is::<ByType>() {
            true => node.op_as_mut::<ByType>().map(|op| &mut op.ours),
            false => node.op_as_mut::<Expansion>(),
        };
        if let Some(expansion) = ours {
            expansion.diagnostics = diagnostics.clone();
            expansion.inside = Some(inside);
        }
    }
}

fn parse(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let expansion = Expansion::new(
        context,
        node,
        registry::build(&node.domain, bare(&node.op_type)),
    );
    Ok((Box::new(expansion), body::captures(node)))
}

/// Operands, and the operator for them.
type Made = (Vec<TypedFact>, Result<Subgraph, Diagnostic>);

/// An operator before the shapes of its operands are known.
#[derive(Clone, Debug)]
pub(super) struct Expansion {
    node: Arc<NodeProto>,
    opset: i64,
    /// `None` for an operator that is refused by its type alone.
    build: Option<Build>,
    /// What it was expanded to last, and for which operands: tract asks several times, and graphs inside graphs would multiply that.
    made: Arc<Mutex<Option<Made>>>,
    diagnostics: Diagnostics,
    /// Set by [`connect`].
    inside: Option<TranslateInside>,
}

impl PartialEq for Expansion {
    fn eq(&self, _: &Expansion) -> bool {
        false
    }
}

impl Eq for Expansion {}

impl Expansion {
    /// The operator of this node, which the function builds.
    pub fn new(context: &ParsingContext, node: &NodeProto, build: Option<Build>) -> Self {
        Self {
            node: Arc::new(node.clone()),
            opset: context.onnx_operator_set_version,
            build,
            made: Arc::default(),
            diagnostics: Diagnostics::default(),
            inside: None,
        }
    }

    /// The operator for these operands.
    fn expand(&self, operands: &[&TypedFact]) -> Result<Subgraph, Diagnostic> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((known, made)) if known.iter().eq(operands.iter().copied()) => made.clone(),
            _ => {
                let known = operands.iter().map(|fact| (*fact).clone()).collect();
                let (_, made) = made.insert((known, self.build(operands)));
                made.clone()
            }
        }
    }

    fn build(&self, operands: &[&TypedFact]) -> Result<Subgraph, Diagnostic> {
        let mut scope = Scope::new(&self.node, self.opset, operands, self.inside)?;
        let results = self.build.unwrap_or(unknown)(&mut scope)?;
        Ok(scope.finish(results))
    }

    /// Number of results that have a name.
    fn results(&self) -> usize {
        let named = |name: &&String| !name.is_empty();
        self.node.output.iter().filter(named).count()
    }
}

impl Op for Expansion {
    fn name(&self) -> StaticName {
        self.node.op_type.clone().into()
    }

    not_a_typed_op!();
}

impl EvalOp for Expansion {
    not_out_of_plan!();
}

impl InferenceOp for Expansion {
    /// The facts of the results, once the shapes and types of all operands are known.
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
        let known: Option<TVec<TypedFact>> = inputs
            .iter()
            .map(|fact| TypedFact::try_from(*fact).ok())
            .collect();
        // A refusal may be for want of a value that another pass finds: only the last word counts, in `to_typed`.
        let made = known.and_then(|known| {
            let operands: Vec<&TypedFact> = known.iter().collect();
            self.expand(&operands).ok()
        });
        let results = match made {
            None => outputs.iter().map(|fact| (*fact).clone()).collect(),
            Some(made) if finite::is_test(bare(&self.node.op_type)) => {
                // That it is false is only known when what leads here is.
                let facts = made.facts();
                let shaped = |fact: &TypedFact| {
                    InferenceFact::dt_shape(fact.datum_type, fact.shape.iter().cloned())
                };
                facts.iter().map(shaped).collect()
            }
            Some(made) => made.facts().iter().map(InferenceFact::from).collect(),
        };
        let inputs = inputs.iter().map(|fact| (*fact).clone()).collect();
        let observed = observed.iter().map(|fact| (*fact).clone()).collect();
        Ok((inputs, results, observed))
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.results())
    }

    fn to_typed(
        &self,
        _: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let inputs: TVec<OutletId> = node.inputs.iter().map(|input| mapping[input]).collect();
        let facts = inputs
            .iter()
            .map(|input| target.outlet_fact(*input).cloned());
        let facts: Vec<TypedFact> = facts.collect::<TractResult<_>>()?;
        let expanded = finite::check(bare(&self.node.op_type), target, &inputs)
            .and_then(|()| self.expand(&facts.iter().collect::<Vec<_>>()));
        let made = match expanded {
            Ok(made) => made,
            Err(diagnostic) => {
                let said = diagnostic.reason.clone();
                // What follows a stand-in may be refused for the stand-in's sake.
                if self.build.is_none() || !follows_stand_in(target, &inputs) {
                    let node = unsupported::name(0, &self.node);
                    self.diagnostics
                        .push(diagnostic.at(node, bare(&self.node.op_type)));
                }
                // The analysis goes on as if the result had the first operand's shape, to find what else is wrong.
                let Some(first) = facts.first() else {
                    bail!("{said}")
                };
                Subgraph::stand_in(bare(&self.node.op_type), first, self.results())?
            }
        };
        target.wire_node(&node.name, made, &inputs)
    }

    fn as_op(&self) -> &dyn Op {
        self
    }

    fn as_op_mut(&mut self) -> &mut dyn Op {
        self
    }
}

/// Whether a value comes from a [`Subgraph::stand_in`].
fn follows_stand_in(model: &TypedModel, values: &[OutletId]) -> bool {
    let mut stack: Vec<usize> = values.iter().map(|value| value.node).collect();
    let mut seen = HashSet::new();
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = model.node(id);
        if node.op_as::<Subgraph>().is_some_and(Subgraph::is_stand_in) {
            return true;
        }
        stack.extend(node.inputs.iter().map(|input| input.node));
    }
    false
}
