//! Operators that tract's front end lacks, or has with restrictions: each is a function that builds our graph.
//!
//! tract calls them *expansions*: an operator of the ONNX file that is replaced when the shapes of its operands are known. Ours is
//! replaced by a [`Subgraph`], which tract evaluates (with [`interpret`]) like any other operator and the importer splices in. So an
//! operator is written once, and shapes, float reference and proof follow from it.

mod activations;
mod attention;
mod body;
mod constants;
mod control;
mod conv_transpose;
mod deform;
mod depth;
mod determinant;
pub(crate) mod extrema;
mod features;
mod forest;
mod grid_sample;
mod integers;
mod linear;
mod losses;
mod movement;
mod ngrams;
mod one_hot;
mod optional;
mod pools;
mod quantised;
mod recurrence;
mod recurrent;
mod reductions;
mod regions;
mod resize;
mod sampling;
mod scope;
mod scores;
mod spectra;
mod subgraph;
mod svm;
mod training;
mod trees;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_hir::infer::*;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::{Refusal, refusal, refused, tensors};
use crate::Complaint;
pub(crate) use scope::{Made, Scope};
pub(crate) use subgraph::{Subgraph, splice};
use tract_onnx::model::{Onnx, ParsingContext};

/// Builds an operator from its operands: its results and their element types.
pub(crate) type Build = fn(&mut Scope) -> Result<Vec<Made>, Refusal>;

/// ONNX operator types and what builds them.
const OPERATORS: &[(&str, Build)] = &[
    ("Adagrad", training::adagrad),
    ("Adam", training::adam),
    ("AffineGrid", grid_sample::affine),
    ("ArgMax", extrema::arg_max),
    ("ArgMin", extrema::arg_min),
    ("ArrayFeatureExtractor", features::extractor),
    ("Attention", attention::attention),
    ("BatchNormalization", training::batch_normalisation),
    ("Binarizer", features::binarizer),
    ("BitCast", integers::cast),
    ("BitShift", integers::shift),
    ("BitwiseAnd", integers::bitwise),
    ("BitwiseNot", integers::not),
    ("BitwiseOr", integers::bitwise),
    ("BitwiseXor", integers::bitwise),
    ("BlackmanWindow", spectra::blackman),
    ("CausalConvWithState", recurrence::causal_convolution),
    ("Celu", activations::celu),
    ("CenterCropPad", movement::center_crop_pad),
    ("Col2Im", pools::col2im),
    ("Compress", constants::compress),
    ("ConstantOfShape", constants::of_shape),
    ("ConvInteger", quantised::conv_integer),
    ("ConvTranspose", conv_transpose::build),
    ("CumProd", recurrence::cumulative_product),
    ("DFT", spectra::dft),
    ("DeformConv", deform::build),
    ("DequantizeLinear", quantised::dequantise),
    ("Det", determinant::build),
    ("Dropout", training::dropout),
    ("DynamicQuantizeLinear", quantised::dynamic),
    ("FeatureVectorizer", features::vectorizer),
    ("FlexAttention", attention::flexible),
    ("GRU", recurrent::gru),
    ("GlobalLpPool", pools::global_lp_pool),
    ("GridSample", grid_sample::build),
    ("HammingWindow", spectra::hamming),
    ("HannWindow", spectra::hann),
    ("Hardmax", extrema::hardmax),
    ("If", control::branch),
    ("Imputer", features::imputer),
    ("LRN", pools::lrn),
    ("LSTM", recurrent::lstm),
    ("LabelEncoder", features::label_encoder),
    ("LinearAttention", recurrence::linear_attention),
    ("LinearClassifier", linear::classifier),
    ("LinearRegressor", linear::regressor),
    ("Loop", control::repeat),
    ("LpPool", pools::lp_pool),
    ("MatMulInteger", quantised::matmul_integer),
    ("MaxPool", pools::max_pool),
    ("MaxUnpool", pools::max_unpool),
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
    ("QGemm", quantised::qgemm),
    ("QLinearAdd", quantised::qlinear_binary),
    ("QLinearConv", quantised::qlinear_conv),
    ("QLinearGlobalAveragePool", quantised::qlinear_average),
    ("QLinearLeakyRelu", quantised::qlinear_function),
    ("QLinearMatMul", quantised::qlinear_matmul),
    ("QLinearMul", quantised::qlinear_binary),
    ("QLinearSigmoid", quantised::qlinear_function),
    ("QuantizeLinear", quantised::quantise),
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
    ("Scan", control::scan),
    ("SoftmaxCrossEntropyLoss", losses::cross_entropy),
    ("SpaceToDepth", depth::from_space),
    ("SwiGLU", activations::swiglu),
    ("Swish", activations::swish),
    ("TensorScatter", recurrence::tensor_scatter),
    ("TfIdfVectorizer", ngrams::count),
    ("TopK", extrema::top_k),
    ("TreeEnsemble", trees::ensemble),
    ("TreeEnsembleClassifier", trees::classifier),
    ("TreeEnsembleRegressor", trees::regressor),
    ("Unique", constants::unique),
    ("Upsample", resize::upsample),
    ("ZipMap", features::zip_map),
];

thread_local! {
    /// Refusals since the last call of [`refusals`]: tract can only say that an analysis failed.
    static REFUSALS: RefCell<Vec<Complaint>> = const { RefCell::new(Vec::new()) };
}

/// tract's front end, with the operators of this module, and with those of the graph that are refused, so that its analysis goes on
/// after them.
pub(super) fn front_end(graph: &GraphProto) -> Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    for (name, _) in OPERATORS {
        onnx.op_register.insert(name, parse);
    }
    for name in refused::types(graph) {
        let known = onnx.op_register.0.contains_key(name);
        if !known || refused::reason(name).is_some() {
            onnx.op_register.0.insert(name.to_string(), parse);
        }
    }
    onnx
}

/// Why an operator is refused that no other function builds.
fn refuse(scope: &mut Scope) -> Result<Vec<Made>, Refusal> {
    Err(match (refused::reason(scope.operator()), scope.domain()) {
        (Some((reason, help)), _) => refusal(reason, help),
        (None, "" | "ai.onnx") => refusal(
            "this operator is not known",
            "express it with standard operators",
        ),
        (None, domain) => refusal(
            format!("this operator of domain `{domain}` is not known"),
            "express it with standard operators",
        ),
    })
}

/// Complaints about operators of this module on this thread since the last call.
pub(super) fn refusals() -> Vec<Complaint> {
    REFUSALS.take()
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
}

impl PartialEq for Composite {
    fn eq(&self, _: &Composite) -> bool {
        false
    }
}

impl Eq for Composite {}

impl Composite {
    /// Builds the operator for these operands.
    fn expand(&self, operands: &[&TypedFact]) -> Result<Subgraph, Refusal> {
        let mut scope = Scope::new(&self.node, self.opset, operands)?;
        let results = self.build.unwrap_or(refuse)(&mut scope)?;
        Ok(scope.finish(results))
    }

    /// Number of results that have a name.
    fn results(&self) -> usize {
        let named = |name: &&String| !name.is_empty();
        self.node.output.iter().filter(named).count()
    }

    fn complaint(&self, refusal: Refusal) -> Complaint {
        Complaint {
            node: refused::name(0, &self.node),
            op: self.node.op_type.clone(),
            reason: refusal.reason,
            help: refusal.help,
        }
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
            Err(refusal) => {
                let said = refusal.reason.clone();
                // What follows a stand-in may be refused for the stand-in's sake.
                if self.build.is_none() || !follows_stand_in(target, &inputs) {
                    REFUSALS.with_borrow_mut(|all| all.push(self.complaint(refusal)));
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
