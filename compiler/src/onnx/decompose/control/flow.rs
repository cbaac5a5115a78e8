//! Branches and loops: their inner graphs, repeated as often as they run.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::limits::{MOST_ELEMENTS, MOST_NODES, MOST_STEPS, too_many_steps, volume};
use crate::graph::{NodeId, Tensor};
use crate::onnx::decompose::body::Body;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

/// Steps of a loop whose bodies are translated one by one.
const MOST_TRANSLATED: usize = 256;

pub(super) const OPERATORS: &[Operator] = &[
    op("If", 1, branch).restricted("constant condition, or branches of equal shapes"),
    op("Loop", 1, repeat).restricted("constant trip count"),
    op("Scan", 8, scan).restricted("static length"),
];

/// `If`: the branch that a constant chooses, or both and a selection.
fn branch(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let condition = scope.operand(0)?;
    match truth(scope, condition) {
        Some(true) => return scope.call("then_branch", &[]),
        Some(false) => return scope.call("else_branch", &[]),
        None => {}
    }
    let yes = scope.call("then_branch", &[])?;
    let no = scope.call("else_branch", &[])?;
    if yes.len() != no.len() {
        return Err(refuse(
            "its branches differ in their results",
            "correct the model",
        ));
    }
    yes.into_iter()
        .zip(no)
        .map(|(yes, no)| choose(scope, condition, yes, no))
        .collect()
}

/// The value of a condition that is constant.
fn truth(scope: &Scope, condition: NodeId) -> Option<bool> {
    scope.build.graph.uniform(condition).map(|v| v != 0.0)
}

fn choose(
    scope: &mut Scope,
    condition: NodeId,
    yes: TypedValue,
    no: TypedValue,
) -> Result<TypedValue, Diagnostic> {
    let build = &mut scope.build;
    let shape = build.shape(yes.0);
    if build.shape(no.0) != shape || build.shape(condition).iter().any(|len| *len != 1) {
        return Err(refuse(
            "its condition is computed, and its results have different shapes",
            "give both branches results of one shape",
        ));
    }
    let condition = build.reshape(condition, &vec![1; shape.len()]);
    Ok((build.select(condition, yes.0, no.0), yes.1))
}

/// `Loop`: its body once a step. Where the condition to go on is computed, later steps change nothing once it is false.
fn repeat(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let most = scope.constant_ints(0)?.and_then(|m| m.first().copied());
    let mut going = match scope.optional(1) {
        Some(condition) => condition,
        None => scope.build.scalar(1.0, 0),
    };
    let mut states: Vec<TypedValue> = Vec::new();
    for index in 2..scope.count() {
        states.push((scope.operand(index)?, scope.dtype(index)));
    }
    let (inputs, results) = body_ports(scope);
    if inputs != 2 + states.len() || results < 1 + states.len() {
        return Err(refuse(
            "its body takes or gives another number of values than it has",
            "correct the model",
        ));
    }
    let mut collected: Vec<Vec<TypedValue>> = Vec::new();
    let mut unrolled = Unrolled::default();
    let mut step = 0;
    while most.is_none_or(|most| step < most) {
        let runs = truth(scope, going);
        if runs == Some(false) {
            break;
        }
        if runs.is_none() && most.is_none() {
            return Err(refuse(
                "its number of steps depends on the data",
                "give it a constant number of steps",
            ));
        }
        let number = scope.build.constant(Tensor::filled(vec![], step as f64));
        let head = [(number, DatumType::I64), (going, DatumType::Bool)];
        let results = unrolled.step(scope, &[&head[..], &states].concat())?;
        let (next, made) = results[1..].split_at(states.len());
        if runs.is_none() {
            if !made.is_empty() {
                return Err(refuse(
                    "the length of its results depends on the data",
                    "give it a constant condition",
                ));
            }
            let chosen = next.iter().zip(&states);
            states = chosen
                .map(|(new, old)| choose(scope, going, *new, *old))
                .collect::<Result<_, _>>()?;
            let condition = scope
                .build
                .reshape(results[0].0, &scope.build.shape(going).clone());
            going = scope.build.multiply(going, condition);
        } else {
            states = next.to_vec();
            going = results[0].0;
        }
        collected.resize(made.len(), Vec::new());
        collected
            .iter_mut()
            .zip(made)
            .for_each(|(all, new)| all.push(*new));
        step += 1;
    }
    if scope.results() > states.len() + collected.len() {
        return Err(refuse("its result is empty", "leave the loop out"));
    }
    let joined = collected.into_iter().map(|all| join(scope, all, 0));
    let joined = joined.collect::<Result<Vec<_>, _>>()?;
    Ok(states.into_iter().chain(joined).collect())
}

/// How many values the body takes and gives.
fn body_ports(scope: &Scope) -> (usize, usize) {
    let body = scope.graph("body");
    body.map_or((0, 0), |body| (body.input.len(), body.output.len()))
}

/// The body of a loop, step after step.
#[derive(Default)]
struct Unrolled {
    steps: usize,
    /// For any values of these shapes and types.
    body: Option<(Body, Vec<Fact>)>,
}

/// Shape and type of a value.
type Fact = (Vec<usize>, DatumType);

impl Unrolled {
    /// The results of one step: of the first ones, of a body for the values that are constant in them; that takes long.
    fn step(
        &mut self,
        scope: &mut Scope,
        arguments: &[TypedValue],
    ) -> Result<Vec<TypedValue>, Diagnostic> {
        match self.steps < MOST_TRANSLATED {
            true => {
                self.steps += 1;
                scope.call("body", arguments)
            }
            false => self.shared(scope, arguments),
        }
    }

    /// The results of one step, of a body that is translated once.
    fn shared(
        &mut self,
        scope: &mut Scope,
        arguments: &[TypedValue],
    ) -> Result<Vec<TypedValue>, Diagnostic> {
        self.steps += 1;
        let like = |(id, dtype): &TypedValue| (scope.build.shape(*id), *dtype);
        let kinds: Vec<_> = arguments.iter().map(like).collect();
        let body = match self.body.take() {
            None => scope.body("body", arguments, &vec![false; arguments.len()])?,
            Some((body, known)) if known == kinds => body,
            Some(_) => return Err(too_many_steps()),
        };
        self.check(scope, &body)?;
        let results = scope.inline(&body, arguments);
        self.body = Some((body, kinds));
        Ok(results)
    }

    /// Refuses more steps, or larger ones, than can be unrolled.
    fn check(&self, scope: &Scope, body: &Body) -> Result<(), Diagnostic> {
        let elements = volume([self.steps, body.elements()].map(|n| n as u64).into_iter());
        let nodes = scope.build.graph.nodes.len();
        if self.steps > MOST_STEPS || nodes > MOST_NODES || elements > MOST_ELEMENTS {
            return Err(too_many_steps());
        }
        Ok(())
    }
}

/// Values of all steps along a new axis.
fn join(scope: &mut Scope, all: Vec<TypedValue>, axis: i64) -> Result<TypedValue, Diagnostic> {
    let [(first, dtype), ..] = all[..] else {
        return Err(refuse("its result is empty", "leave the loop out"));
    };
    let shape = scope.build.shape(first);
    if all.iter().any(|(id, _)| scope.build.shape(*id) != shape) {
        return Err(refuse(
            "its steps give different shapes",
            "correct the model",
        ));
    }
    let axis = Scope::position(axis, shape.len() + 1)?;
    let parts = all.into_iter().map(|(id, _)| id).collect();
    Ok((scope.build.stack(parts, axis), dtype))
}

/// How a `Scan` goes over its inputs and results.
struct Course {
    /// Axis and whether backwards, for each scanned input.
    inputs: Vec<(i64, bool)>,
    /// The same for each collected result.
    outputs: Vec<(i64, bool)>,
}

/// `Scan`: its body once for each slice of the scanned inputs. Up to opset 8, for each sample of a batch.
fn scan(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let scanned = usize::try_from(scope.int("num_scan_inputs").unwrap_or(0)).unwrap_or(0);
    let batched = scope.opset < 9;
    let first = usize::from(batched);
    let (count, states) = (scope.count(), scope.count().checked_sub(first + scanned));
    let (Some(states), true) = (states, scanned > 0) else {
        return Err(refuse("it scans no input", "use `Loop`"));
    };
    let mut operands = Vec::new();
    for index in first..count {
        operands.push((scope.operand(index)?, scope.dtype(index)));
    }
    let (inputs, results) = body_ports(scope);
    if inputs != states + scanned || results < states {
        return Err(refuse(
            "its body takes or gives another number of values than it has",
            "correct the model",
        ));
    }
    let collected = results.saturating_sub(states);
    let backwards = if batched {
        "directions"
    } else {
        "scan_input_directions"
    };
    let course = Course {
        inputs: course(scope, "scan_input_axes", backwards, scanned)?,
        outputs: course(
            scope,
            "scan_output_axes",
            "scan_output_directions",
            collected,
        )?,
    };
    let (states, inputs) = operands.split_at(states);
    if !batched {
        return pass(scope, &course, states.to_vec(), inputs);
    }
    if scope.optional(0).is_some() {
        return Err(refuse(
            "its sequences have lengths of their own",
            "pad them to one length",
        ));
    }
    let batch = scope
        .build
        .shape(operands[0].0)
        .first()
        .copied()
        .unwrap_or(0);
    let mut samples = vec![Vec::new(); results];
    for sample in 0..batch {
        let mut part = |all: &[TypedValue]| -> Vec<TypedValue> {
            let one = all
                .iter()
                .map(|(id, dtype)| (scope.build.select_index(*id, 0, sample), *dtype));
            one.collect()
        };
        let (states, inputs) = (part(states), part(inputs));
        let made = pass(scope, &course, states, &inputs)?;
        samples
            .iter_mut()
            .zip(made)
            .for_each(|(all, one)| all.push(one));
    }
    samples.into_iter().map(|all| join(scope, all, 0)).collect()
}

fn course(
    scope: &Scope,
    axes: &str,
    directions: &str,
    count: usize,
) -> Result<Vec<(i64, bool)>, Diagnostic> {
    let list = |name: &str| match scope.ints(name) {
        Some(list) if list.len() == count => Ok(list.to_vec()),
        Some(_) => Err(refuse(
            format!("its `{name}` has the wrong length"),
            "correct the model",
        )),
        None => Ok(vec![0; count]),
    };
    let (axes, directions) = (list(axes)?, list(directions)?);
    Ok(axes
        .into_iter()
        .zip(directions.into_iter().map(|d| d == 1))
        .collect())
}

/// All steps.
fn pass(
    scope: &mut Scope,
    course: &Course,
    mut states: Vec<TypedValue>,
    inputs: &[TypedValue],
) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut lines = Vec::new();
    for ((id, dtype), (axis, backwards)) in inputs.iter().zip(&course.inputs) {
        let axis = Scope::position(*axis, scope.build.rank(*id))?;
        let length = scope.build.shape(*id).get(axis).copied();
        let length = length.ok_or_else(|| refuse("it scans a number", "scan a vector"))?;
        lines.push((*id, *dtype, axis, *backwards, length));
    }
    let steps = lines[0].4;
    if lines.iter().any(|line| line.4 != steps) {
        return Err(refuse(
            "its inputs have different lengths",
            "correct the model",
        ));
    }
    let mut unrolled = Unrolled::default();
    let mut collected = vec![Vec::new(); course.outputs.len()];
    for step in 0..steps {
        let mut arguments = states.clone();
        for (id, dtype, axis, backwards, length) in &lines {
            let position = if *backwards { length - 1 - step } else { step };
            arguments.push((scope.build.select_index(*id, *axis, position), *dtype));
        }
        let results = unrolled.shared(scope, &arguments)?;
        let (next, made) = results.split_at(states.len());
        let same = |(new, old): (&TypedValue, &TypedValue)| {
            scope.build.shape(new.0) == scope.build.shape(old.0)
        };
        if !next.iter().zip(&states).all(same) {
            return Err(refuse(
                "the shape of its state changes from step to step",
                "correct the model",
            ));
        }
        states = next.to_vec();
        collected
            .iter_mut()
            .zip(made)
            .for_each(|(all, new)| all.push(*new));
    }
    for (mut all, (axis, backwards)) in collected.into_iter().zip(&course.outputs) {
        if *backwards {
            all.reverse();
        }
        states.push(join(scope, all, *axis)?);
    }
    Ok(states)
}
