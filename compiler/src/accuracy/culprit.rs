//! Why a program is unfaithful: the first node whose value strays from the float model's while its operands do not, and the cause.
//!
//! The program is lowered once more with every node's value as an output, and run on the sample. From the output that strays, the walk goes
//! to whichever operand strays most, until none does.

use zkiln_runtime::error::ProveError;

use crate::accuracy::deviation::{Deviation, Span, Worst};
use crate::accuracy::gate::{Fault, Gate, LIMIT};
use crate::accuracy::inference::Inference;
use crate::calibrate::ranges;
use crate::diagnostic::{Diagnostic, refuse};
use crate::error::{Cause, CompileError, Unfaithful};
use crate::graph::{Graph, MASKED, NodeId, Op, Tensor};
use crate::lower::{Bits, lower_probed};
use crate::options::Options;
use crate::prepare::Prepared;
use crate::text::shown;

/// Below this a value is there to mask.
const MASK: f64 = -1e4;
/// How much more a mask is than what it is added to.
const MASK_SHARE: f64 = 256.0;

/// Greatest step of a scale, relative to what the value spans in a sample, that is fine enough.
const STEP: f64 = LIMIT.output / 4.0;
/// How many times what it spans in a sample a value's range is when it is called wide.
const WIDE: f64 = 4.0;

/// The float model gives no number in an output, on sample number `sample`.
pub fn undefined(
    prepared: &Prepared,
    inputs: &[Tensor],
    sample: usize,
    output: usize,
) -> CompileError {
    let (name, id) = &prepared.graph.outputs[output];
    let values = match Values::new(prepared, inputs) {
        Ok(values) => values,
        Err(error) => return error,
    };
    let born = values.undefined_from(*id);
    let (cause, diagnostic) = values.undefined_at(born);
    let of = |x: &f64| !x.is_finite();
    let element = values.floats[*id]
        .as_ref()
        .and_then(|t| t.data.iter().copied().find(of));
    unfaithful(Unfaithful {
        sample: format!("sample {}", sample + 1),
        symptom: format!(
            "the float model itself gives {} in the output `{name}`",
            element.unwrap_or(f64::NAN)
        ),
        cause,
        node: diagnostic,
    })
}

/// The refusal of a program with this fault.
pub fn find(gate: &Gate, options: &Options, fault: &Fault) -> CompileError {
    let (Fault::Refused { sample, .. } | Fault::Strays { sample, .. }) = fault;
    let values = match Values::new(gate.prepared, &gate.samples[*sample]) {
        Ok(values) => values,
        Err(error) => return error,
    };
    let (symptom, (cause, node)) = match fault {
        Fault::Refused { error, .. } => (
            "the program refuses the input".to_owned(),
            values.refused_at(error, options),
        ),
        Fault::Strays {
            output, deviation, ..
        } => {
            let (name, id) = &gate.prepared.graph.outputs[*output];
            let integers = values.integers(gate, options, *sample);
            let first = values.strays_from(*id, &integers);
            let more = gate.is_chosen();
            (
                symptom(name, deviation),
                values.cause_at(first, &integers, options, more),
            )
        }
    };
    let which = match options.samples.is_empty() {
        true => "random input",
        false => "sample",
    };
    unfaithful(Unfaithful {
        sample: format!("{which} {} of {}", sample + 1, gate.samples.len()),
        symptom,
        cause,
        node,
    })
}

fn unfaithful(unfaithful: Unfaithful) -> CompileError {
    CompileError::Unfaithful(Box::new(unfaithful))
}

/// What is wrong with an output, in its units.
fn symptom(name: &str, deviation: &Deviation) -> String {
    let value = |worst: &Worst| {
        format!(
            "element {} of the output `{name}` is {} where the float model gives {}",
            worst.index,
            shown(worst.got),
            shown(worst.expected)
        )
    };
    match deviation.channel {
        _ if deviation.share.is_infinite() => {
            format!(
                "{}, and integers are equal or wrong",
                value(&deviation.worst)
            )
        }
        Some((share, worst)) if deviation.share <= LIMIT.output => format!(
            "{}, off by {}, {:.0} % of what its channel spans and more than {:.0} %",
            value(&worst),
            shown(worst.error()),
            100.0 * share.min(1e4),
            100.0 * LIMIT.channel
        ),
        _ => format!(
            "{}, off by {}, more than {:.0} % of the {} that the output spans",
            value(&deviation.worst),
            shown(deviation.worst.error()),
            100.0 * LIMIT.output,
            shown(deviation.unit)
        ),
    }
}

/// Every node's value in floats, for one sample.
struct Values<'a> {
    prepared: &'a Prepared,
    graph: &'a Graph,
    floats: Vec<Option<Tensor>>,
}

/// Every node's greatest error, where its integers are known, and the error relative to the value's spread.
type Errors = Vec<Option<(Worst, f64)>>;

impl<'a> Values<'a> {
    fn new(prepared: &'a Prepared, sample: &[Tensor]) -> Result<Self, CompileError> {
        let Prepared {
            graph,
            origins,
            float,
            ..
        } = prepared;
        Ok(Self {
            prepared,
            graph,
            floats: ranges::values(graph, origins, float, sample)?,
        })
    }

    /// A node's value, also of a constant.
    fn float(&self, id: NodeId) -> Option<&Tensor> {
        self.graph.nodes[id].constant().or(self.floats[id].as_ref())
    }

    fn any(&self, id: NodeId, test: impl Fn(f64) -> bool) -> bool {
        self.float(id)
            .is_some_and(|value| value.data.iter().any(|x| test(*x)))
    }

    fn operands(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.graph.nodes[id].inputs.iter().copied()
    }

    fn at(&self, id: NodeId, cause: Cause, diagnostic: Diagnostic) -> (Cause, Diagnostic) {
        let node = &self.graph.nodes[id];
        (cause, diagnostic.at(&node.name, node.op.name()))
    }

    /// From which node a value that is no number comes.
    fn undefined_from(&self, mut id: NodeId) -> NodeId {
        loop {
            let test = match self.any(id, f64::is_nan) {
                true => f64::is_nan,
                false => f64::is_infinite,
            };
            match self.operands(id).find(|operand| self.any(*operand, test)) {
                Some(operand) => id = operand,
                None => return id,
            }
        }
    }

    fn undefined_at(&self, id: NodeId) -> (Cause, Diagnostic) {
        let masks = self
            .operands(id)
            .any(|operand| self.any(operand, |x| x <= -MASKED));
        match masks {
            true => self.at(id, Cause::Mask, refuse(
                "everything that it looks at is masked, so that its value is no number",
                "leave the sample out, or let the model give such rows a value",
            )),
            false => self.at(id, Cause::Undefined, refuse(
                "its value is no number, or is infinite, in the float model",
                "leave the sample out, or keep what it is computed from inside its domain, as with `Max(x, epsilon)`",
            )),
        }
    }

    /// Where a sample is refused, and why.
    fn refused_at(&self, error: &ProveError, options: &Options) -> (Cause, Diagnostic) {
        let name = match error {
            ProveError::InputRange { input, .. } => input,
            error => error.node().unwrap_or_default(),
        };
        // Relations are called by their node's name and what they are for.
        let of = |node: &str| {
            name == node
                || name
                    .strip_prefix(node)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let nodes = self.graph.nodes.iter();
        let found = nodes.enumerate().filter(|(_, node)| of(&node.name));
        let id = found
            .max_by_key(|(_, node)| node.name.len())
            .map(|(id, _)| id);
        if let Some(id) = id.filter(|id| self.any(*id, |x| !x.is_finite())) {
            return self.undefined_at(self.undefined_from(id));
        }
        let help = match options.settings.is_some() {
            true => "calibrate again, with samples like this one",
            false => "give more bits, or see which value leaves its range with `zkiln calibrate`",
        };
        let diagnostic = refuse(error.to_string(), help);
        match id {
            Some(id) => self.at(id, Cause::Range, diagnostic),
            None => (Cause::Range, diagnostic.at(name, "")),
        }
    }

    /// Every node's error; none are known where the program with more outputs cannot be made.
    fn integers(&self, gate: &Gate, options: &Options, sample: usize) -> Errors {
        let mut errors: Errors = vec![None; self.graph.nodes.len()];
        let Ok((lowered, probed)) = lower_probed(self.graph, options, gate.name) else {
            return errors;
        };
        let got = Inference::new(&lowered).map(|inference| inference.run(&gate.samples[sample]));
        let Ok(Ok(got)) = got else {
            return errors;
        };
        let own = got.len() - probed.len();
        for (got, id) in got[own..].iter().zip(probed) {
            errors[id] = self.floats[id].as_ref().map(|expected| {
                let worst = Worst::of(got, &expected.data);
                (worst, self.share(id, &worst, expected))
            });
        }
        errors
    }

    /// An error relative to what the node's value spans in the sample; infinite for an integer that is another one.
    fn share(&self, id: NodeId, worst: &Worst, expected: &Tensor) -> f64 {
        if worst.error() >= 0.5 && is_whole(expected) {
            return f64::INFINITY;
        }
        let span = span(expected);
        let (low, high) = self.graph.nodes[id].range;
        let units = [span.spread(), span.magnitude(), high - low, 1.0];
        let unit = units.into_iter().find(|unit| *unit > 0.0).unwrap_or(1.0);
        worst.error() / unit.max(span.magnitude() / 25.0)
    }

    /// The first node on the way to `id` that strays.
    fn strays_from(&self, mut id: NodeId, errors: &Errors) -> NodeId {
        loop {
            let strays = self.known_operands(id, errors).into_iter();
            let strays = strays.filter_map(|operand| Some((operand, errors[operand]?.1)));
            let worst = strays.max_by(|a, b| a.1.total_cmp(&b.1));
            match worst.filter(|(_, share)| *share > LIMIT.output) {
                Some((operand, _)) => id = operand,
                None => return id,
            }
        }
    }

    /// The nearest nodes before `id` whose errors are known.
    fn known_operands(&self, id: NodeId, errors: &Errors) -> Vec<NodeId> {
        let mut known = Vec::new();
        let mut stack: Vec<NodeId> = self.operands(id).collect();
        let mut seen = vec![false; self.graph.nodes.len()];
        while let Some(operand) = stack.pop() {
            match std::mem::replace(&mut seen[operand], true) {
                true => {}
                false if errors[operand].is_some() => known.push(operand),
                false => stack.extend(self.operands(operand)),
            }
        }
        known
    }

    /// Why this node strays and its operands do not; whether there can be `more` bits.
    fn cause_at(
        &self,
        id: NodeId,
        errors: &Errors,
        options: &Options,
        more: bool,
    ) -> (Cause, Diagnostic) {
        let node = &self.graph.nodes[id];
        let bits = Bits::at(options, &node.name);
        let value = errors[id].map_or(String::new(), |(worst, _)| {
            format!(
                "it is the first to stray, with {} where the float model has {}: ",
                shown(worst.got),
                shown(worst.expected)
            )
        });
        let of = |cause: Cause, reason: String, help: &str| {
            self.at(id, cause, refuse(format!("{value}{reason}"), help))
        };
        if self.prepared.is_integer(id) {
            return of(
                Cause::Type,
                "its integers are not kept exactly".into(),
                "keep what indexes and labels are computed from small, or compute them outside of the model",
            );
        }
        let farther = self.operands(id).flat_map(|id| self.operands(id));
        let mut near = std::iter::once(id).chain(self.operands(id)).chain(farther);
        if let Some((mask, spread)) = near.find_map(|id| self.mask(id)) {
            return of(
                Cause::Mask,
                format!(
                    "it is masked with {}, beside which the {} that its other values span are lost",
                    shown(mask),
                    shown(spread)
                ),
                "mask with a number of about the size of the values, or after the sum with `Where` and -inf",
            );
        }
        if let Some(reason) = self.too_wide(id, options) {
            let help = "leave out samples that are outliers, or normalise this value in the model";
            return of(Cause::Range, reason, help);
        }
        let help = match more && (bits.activation_bits < 16 || bits.weight_bits < 16) {
            true => "give more bits",
            false => {
                "see each node's error with `zkiln calibrate`, and narrow what is added up or multiplied before it"
            }
        };
        let decides = self.floats[id].as_ref().is_some_and(is_whole);
        let what = match decides {
            true => "two values that it compares are too close to be told apart",
            false => "the errors before it add up",
        };
        of(
            Cause::Bits,
            format!(
                "{what} with {} bits of activations and {} of weights",
                bits.activation_bits, bits.weight_bits
            ),
            help,
        )
    }

    /// That this node or one of its operands has a range that is too wide for what it spans in the sample, if one has.
    fn too_wide(&self, id: NodeId, options: &Options) -> Option<String> {
        let near = std::iter::once(id).chain(self.operands(id));
        let steps = near.filter_map(|id| Some((id, self.step(id, options)?)));
        let (wide, step) = steps.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let node = &self.graph.nodes[wide];
        let which = match wide == id {
            true => "it".to_owned(),
            false => format!("its operand `{}`", node.name),
        };
        let spread = span(self.float(wide)?).spread();
        let is_wide = node.range.1 - node.range.0 > WIDE * spread;
        (is_wide && step > STEP).then(|| {
            format!(
                "{which} reaches from {} to {} on the samples and spans {} in this one, which is too wide for one scale of {} bits",
                shown(node.range.0),
                shown(node.range.1),
                shown(spread),
                Bits::at(options, &node.name).activation_bits
            )
        })
    }

    /// The mask in a node's value, and what the rest spans, where that is little beside it.
    fn mask(&self, id: NodeId) -> Option<(f64, f64)> {
        let value = self.float(id)?;
        let masks = value.data.iter().copied().filter(|x| *x <= MASK);
        let mask = masks.reduce(f64::max)?;
        let rest = Span::of(value.data.iter().copied().filter(|x| *x > MASK / 2.0));
        (rest.spread() * MASK_SHARE < -mask).then(|| (mask, rest.spread()))
    }

    /// One step of the node's calibrated range relative to what it spans in the sample.
    fn step(&self, id: NodeId, options: &Options) -> Option<f64> {
        let node = &self.graph.nodes[id];
        if matches!(node.op, Op::Constant(_)) {
            return None;
        }
        let bits = Bits::at(options, &node.name).activation_bits;
        let (low, high) = node.range;
        let spread = span(self.float(id)?).spread();
        (spread > 0.0).then(|| (high - low) / f64::from(bits).exp2() / spread)
    }
}

fn is_whole(value: &Tensor) -> bool {
    value.data.iter().all(|x| x.fract() == 0.0)
}

/// What a value spans, without what masks it.
fn span(value: &Tensor) -> Span {
    Span::of(value.data.iter().copied().filter(|x| x.abs() < MASKED))
}
