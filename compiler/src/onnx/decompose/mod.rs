//! Operators that tract's front end lacks, or has with restrictions: each is a function that builds our graph.
//!
//! tract calls them *expansions*: an operator of the ONNX file that is replaced when the shapes of its operands are known. Ours is
//! replaced by a [`Subgraph`], which tract evaluates (with [`interpret`]) like any other operator and the importer splices in. So an
//! operator is written once, and shapes, float reference and proof follow from it.

mod control;
mod ml;
pub(crate) mod nn;
mod quantized;
pub(crate) mod scope;
mod spatial;
pub(crate) mod subgraph;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tract_hir::infer::*;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::diagnostic::{Diagnostic, refuse};
use crate::onnx::decompose::control::{body, constants, flow, optional};
use crate::onnx::decompose::ml::{features, linear_models, ngrams, svm, trees};
use crate::onnx::decompose::nn::{
    activations, attention, losses, one_hot, pooling, ranking, recurrent, reductions, stateful,
    training,
};
use crate::onnx::decompose::quantized::{bits, qlinear};
use crate::onnx::decompose::scope::{Made, Scope};
use crate::onnx::decompose::spatial::{
    conv_transpose, deform, depth, determinant, grid_sample, movement, regions, resize, spectra,
};
use crate::onnx::decompose::subgraph::Subgraph;
use crate::onnx::{tensors, unsupported};
use tract_onnx::model::{Onnx, ParsingContext};

/// Builds an operator from its operands: its results and their element types.
pub(crate) type Build = fn(&mut Scope) -> Result<Vec<Made>, Diagnostic>;

/// ONNX operator types and what builds them.
const OPERATORS: &[(&str, Build)] = &[
    ("Adagrad", training::adagrad),
    ("Adam", training::adam),
    ("AffineGrid", grid_sample::affine),
    ("ArgMax", ranking::arg_max),
    ("ArgMin", ranking::arg_min),
    ("ArrayFeatureExtractor", features::extractor),
    ("Attention", attention::attention),
    ("BatchNormalization", training::batch_normalisation),
    ("Binarizer", features::binarizer),
    ("BitCast", bits::cast),
    ("BitShift", bits::shift),
    ("BitwiseAnd", bits::bitwise),
    ("BitwiseNot", bits::not),
    ("BitwiseOr", bits::bitwise),
    ("BitwiseXor", bits::bitwise),
    ("BlackmanWindow", spectra::blackman),
    ("CausalConvWithState", stateful::causal_convolution),
    ("Celu", activations::celu),
    ("CenterCropPad", movement::center_crop_pad),
    ("Col2Im", pooling::col2im),
    ("Compress", constants::compress),
    ("ConstantOfShape", constants::of_shape),
    ("ConvInteger", qlinear::conv_integer),
    ("ConvTranspose", conv_transpose::build),
    ("CumProd", stateful::cumulative_product),
    ("DFT", spectra::dft),
    ("DeformConv", deform::build),
    ("DequantizeLinear", qlinear::dequantise),
    ("Det", determinant::build),
    ("Dropout", training::dropout),
    ("DynamicQuantizeLinear", qlinear::dynamic),
    ("FeatureVectorizer", features::vectorizer),
    ("FlexAttention", attention::flexible),
    ("GRU", recurrent::gru),
    ("GlobalLpPool", pooling::global_lp_pool),
    ("GridSample", grid_sample::build),
    ("HammingWindow", spectra::hamming),
    ("HannWindow", spectra::hann),
    ("Hardmax", ranking::hardmax),
    ("If", flow::branch),
    ("Imputer", features::imputer),
    ("LRN", pooling::lrn),
    ("LSTM", recurrent::lstm),
    ("LabelEncoder", features::label_encoder),
    ("LinearAttention", stateful::linear_attention),
    ("LinearClassifier", linear_models::classifier),
    ("LinearRegressor", linear_models::regressor),
    ("Loop", flow::repeat),
    ("LpPool", pooling::lp_pool),
    ("MatMulInteger", qlinear::matmul_integer),
    ("MaxPool", pooling::max_pool),
    ("MaxUnpool", pooling::max_unpool),
    ("MelWeightMatrix", spectra::mel_weights),
    ("Momentum", training::momentum),
    ("NegativeLogLikelihoodLoss", losses::likelihood),
    ("NonZero", constants::non_zero),
    ("Normalizer", features::normalizer),
    ("OneHot", one_hot::build),
    ("OneHotEncoder", features::one_hot),
    ("OptionalGetElement", optional::get_element),
    ("OptionalHasElement", optional::has_element),
    ("Pad", movement::build_pad),
    ("QGemm", qlinear::qgemm),
    ("QLinearAdd", qlinear::qlinear_binary),
    ("QLinearConv", qlinear::qlinear_conv),
    ("QLinearGlobalAveragePool", qlinear::qlinear_average),
    ("QLinearLeakyRelu", qlinear::qlinear_function),
    ("QLinearMatMul", qlinear::qlinear_matmul),
    ("QLinearMul", qlinear::qlinear_binary),
    ("QLinearSigmoid", qlinear::qlinear_function),
    ("QuantizeLinear", qlinear::quantise),
    ("RNN", recurrent::rnn),
    ("Range", constants::range),
    ("ReduceLogSumExp", reductions::log_sum_exp),
    ("ReduceMax", reductions::maximum),
    ("ReduceMin", reductions::minimum),
    ("Resize", resize::resize),
    ("ReverseSequence", movement::reverse_sequence),
    ("RoiAlign", regions::roi_align),
    ("STFT", spectra::stft),
    ("SVMClassifier", svm::classifier),
    ("SVMRegressor", svm::regressor),
    ("Scaler", features::scaler),
    ("Scan", flow::scan),
    ("SoftmaxCrossEntropyLoss", losses::cross_entropy),
    ("SpaceToDepth", depth::from_space),
    ("SwiGLU", activations::swiglu),
    ("Swish", activations::swish),
    ("TensorScatter", stateful::tensor_scatter),
    ("TfIdfVectorizer", ngrams::count),
    ("TopK", ranking::top_k),
    ("TreeEnsemble", trees::ensemble),
    ("TreeEnsembleClassifier", trees::classifier),
    ("TreeEnsembleRegressor", trees::regressor),
    ("Unique", constants::unique),
    ("Upsample", resize::upsample),
    ("ZipMap", features::zip_map),
];

/// tract's front end, with the operators of this module, and with those of the graph that are refused, so that its analysis goes on
/// after them.
pub(crate) fn front_end(graph: &GraphProto) -> Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    for (name, _) in OPERATORS {
        onnx.op_register.insert(name, parse);
    }
    for name in unsupported::types(graph) {
        let known = onnx.op_register.0.contains_key(name);
        if !known || unsupported::reason(name).is_some() {
            onnx.op_register.0.insert(name.to_string(), parse);
        }
    }
    onnx
}

/// Why an operator is refused that no other function builds.
fn unknown(scope: &mut Scope) -> Result<Vec<Made>, Diagnostic> {
    Err(
        match (unsupported::reason(scope.operator()), scope.domain()) {
            (Some((reason, help)), _) => refuse(reason, help),
            (None, "" | "ai.onnx") => refuse(
                "this operator is not known",
                "express it with standard operators",
            ),
            (None, domain) => refuse(
                format!("this operator of domain `{domain}` is not known"),
                "express it with standard operators",
            ),
        },
    )
}

/// What is refused while tract analyses a model: tract itself can only say that an analysis failed.
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

/// Has the operators of this module in a parsed model say there why they are refused.
pub(crate) fn report_to(model: &mut InferenceModel, diagnostics: &Diagnostics) {
    for node in &mut model.nodes {
        if let Some(composite) = node.op_as_mut::<Composite>() {
            composite.diagnostics = diagnostics.clone();
        }
    }
}

fn parse(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let found = OPERATORS.iter().find(|(name, _)| *name == node.op_type);
    let composite = Composite {
        node: Arc::new(node.clone()),
        opset: context.onnx_operator_set_version,
        build: found.map(|(_, build)| *build),
        diagnostics: Diagnostics::default(),
    };
    Ok((Box::new(composite), body::captures(node)))
}

/// An operator before the shapes of its operands are known.
#[derive(Clone, Debug)]
struct Composite {
    node: Arc<NodeProto>,
    opset: i64,
    /// None for what is refused by its type alone.
    build: Option<Build>,
    diagnostics: Diagnostics,
}

impl PartialEq for Composite {
    fn eq(&self, _: &Composite) -> bool {
        false
    }
}

impl Eq for Composite {}

impl Composite {
    /// Builds the operator for these operands.
    fn expand(&self, operands: &[&TypedFact]) -> Result<Subgraph, Diagnostic> {
        let mut scope = Scope::new(&self.node, self.opset, operands)?;
        let results = self.build.unwrap_or(unknown)(&mut scope)?;
        Ok(scope.finish(results))
    }

    /// Number of results that have a name.
    fn results(&self) -> usize {
        let named = |name: &&String| !name.is_empty();
        self.node.output.iter().filter(named).count()
    }
}

impl Op for Composite {
    fn name(&self) -> StaticName {
        self.node.op_type.clone().into()
    }

    not_a_typed_op!();
}

impl EvalOp for Composite {
    not_out_of_plan!();
}

impl InferenceOp for Composite {
    /// What the operands' facts say of the results, once they say all of shapes and types.
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
        let made = match self.expand(&facts.iter().collect::<Vec<_>>()) {
            Ok(made) => made,
            Err(diagnostic) => {
                let said = diagnostic.reason.clone();
                // What follows a stand-in may be refused for the stand-in's sake.
                if self.build.is_none() || !follows_stand_in(target, &inputs) {
                    let node = unsupported::name(0, &self.node);
                    self.diagnostics
                        .push(diagnostic.at(node, &self.node.op_type));
                }
                // The analysis goes on as if the result had the first operand's shape, to find what else is wrong.
                let Some(first) = facts.first() else {
                    bail!("{said}")
                };
                Subgraph::stand_in(&self.node.op_type, first, self.results())?
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
