//! What training adds to inference: steps of optimizers, batch statistics, dropout.

use tract_onnx::prelude::{Datum, DatumType};

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{BinaryFn, NodeId, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::operator::{Operator, TRAINING, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("Adagrad", 1, adagrad).domain(TRAINING),
    op("Adam", 1, adam).domain(TRAINING),
    op("BatchNormalization", 1, batch_normalization),
    op("Dropout", 1, dropout).restricted("inference, or ratio 0"),
    op("Momentum", 1, momentum).domain(TRAINING),
];

/// Learning rate and step number, as scalars, and the tensors of each parameter that is optimized.
struct Step {
    rate: NodeId,
    number: NodeId,
    parameters: Vec<Vec<(NodeId, DatumType)>>,
}

/// Operands `rate, number`, then `kinds` lists of equal length.
fn step(scope: &mut Scope, kinds: usize) -> Result<Step, Diagnostic> {
    let (rate, number) = (scope.operand(0)?, scope.operand(1)?);
    let single = |id: NodeId| scope.build.graph.nodes[id].volume() == 1;
    let tensors = scope.count() - 2;
    if !single(rate) || !single(number) || tensors == 0 || !tensors.is_multiple_of(kinds) {
        return Err(refuse(
            "its operands do not fit together",
            "correct the model",
        ));
    }
    let count = tensors / kinds;
    let mut parameters = Vec::new();
    for parameter in 0..count {
        let mut all = Vec::new();
        for kind in 0..kinds {
            let index = 2 + kind * count + parameter;
            all.push((scope.operand(index)?, scope.dtype(index)));
        }
        parameters.push(all);
    }
    Ok(Step {
        rate: scope.build.reshape(rate, &[]),
        number: scope.build.reshape(number, &[]),
        parameters,
    })
}

/// Results of each kind for all parameters, kind by kind.
fn by_kind(results: Vec<Vec<TypedValue>>) -> Vec<TypedValue> {
    let kinds = results.first().map_or(0, Vec::len);
    let kind = |kind: usize| results.iter().map(move |all| all[kind]);
    (0..kinds).flat_map(kind).collect()
}

/// `gradient + coefficient * x`.
fn regularized(scope: &mut Scope, x: NodeId, gradient: NodeId) -> NodeId {
    match scope.float("norm_coefficient").unwrap_or(0.0) {
        0.0 => gradient,
        coefficient => {
            let pull = scope.build.multiply_scalar(x, coefficient);
            scope.build.add(pull, gradient)
        }
    }
}

/// `first` at step 0, `later` after it, times `x`.
fn from_first(scope: &mut Scope, number: NodeId, first: f64, later: f64) -> NodeId {
    let after = Pointwise::step(Pointwise::Variable);
    let factor = Pointwise::select(
        after,
        Pointwise::Constant(later),
        Pointwise::Constant(first),
    );
    scope.build.pointwise(factor, number)
}

/// `Momentum`: `v' = alpha v + beta g`, `x' = x - rate v'` or, after Nesterov, `x - rate (g + alpha v')`.
fn momentum(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (alpha, beta) = (
        scope.float("alpha").unwrap_or(0.0),
        scope.float("beta").unwrap_or(0.0),
    );
    let nesterov = match scope.text("mode").unwrap_or("standard") {
        "standard" => false,
        "nesterov" => true,
        other => {
            let reason = format!("its mode `{other}` is not supported");
            return Err(refuse(reason, "use `standard` or `nesterov`"));
        }
    };
    let step = step(scope, 3)?;
    let weight = from_first(scope, step.number, 1.0, beta);
    let mut results = Vec::new();
    for all in step.parameters {
        let [(x, dtype), (gradient, _), (velocity, kept)] = all[..] else {
            continue;
        };
        let gradient = regularized(scope, x, gradient);
        let build = &mut scope.build;
        let (old, new) = (
            build.multiply_scalar(velocity, alpha),
            build.multiply(weight, gradient),
        );
        let velocity = build.add(old, new);
        let direction = if nesterov {
            let ahead = build.multiply_scalar(velocity, alpha);
            build.add(gradient, ahead)
        } else {
            velocity
        };
        let change = build.multiply(step.rate, direction);
        results.push(vec![(build.subtract(x, change), dtype), (velocity, kept)]);
    }
    Ok(by_kind(results))
}

/// `1 / (sqrt(x) + epsilon)`.
fn damped(epsilon: f64) -> Pointwise {
    let root = Pointwise::of(UnaryFn::Sqrt);
    let sum = Pointwise::binary(BinaryFn::Add, root, Pointwise::Constant(epsilon));
    Pointwise::unary(UnaryFn::Recip, sum)
}

/// `Adagrad`: `h' = h + g g`, `x' = x - rate / (1 + number decay) g / (sqrt(h') + epsilon)`.
fn adagrad(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let decay = scope.float("decay_factor").unwrap_or(0.0);
    let epsilon = scope.float("epsilon").unwrap_or(0.0);
    let step = step(scope, 3)?;
    let c = Pointwise::Constant;
    let growth = Pointwise::binary(BinaryFn::Mul, c(decay), Pointwise::Variable);
    let slower = Pointwise::unary(
        UnaryFn::Recip,
        Pointwise::binary(BinaryFn::Add, c(1.0), growth),
    );
    let slower = scope.build.pointwise(slower, step.number);
    let rate = scope.build.multiply(step.rate, slower);
    let mut results = Vec::new();
    for all in step.parameters {
        let [(x, dtype), (gradient, _), (squares, kept)] = all[..] else {
            continue;
        };
        let gradient = regularized(scope, x, gradient);
        let build = &mut scope.build;
        let square = build.multiply(gradient, gradient);
        let squares = build.add(squares, square);
        let inverse = build.pointwise(damped(epsilon), squares);
        let direction = build.multiply(gradient, inverse);
        let change = build.multiply(rate, direction);
        results.push(vec![(build.subtract(x, change), dtype), (squares, kept)]);
    }
    Ok(by_kind(results))
}

/// `Adam`: moving averages of gradients and of their squares.
fn adam(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let number = |name: &str, default: f64| scope.float(name).unwrap_or(default);
    let (alpha, beta) = (number("alpha", 0.9), number("beta", 0.999));
    let (epsilon, post) = (number("epsilon", 0.0), number("norm_coefficient_post", 0.0));
    let step = step(scope, 4)?;
    let rate = scope.build.pointwise(unbiased(alpha, beta), step.number);
    let rate = scope.build.multiply(step.rate, rate);
    let mut results = Vec::new();
    for all in step.parameters {
        let [(x, dtype), (gradient, _), (mean, of), (squares, kept)] = all[..] else {
            continue;
        };
        let gradient = regularized(scope, x, gradient);
        let build = &mut scope.build;
        let square = build.multiply(gradient, gradient);
        let mut average = |old: NodeId, new: NodeId, weight: f64| {
            let (old, new) = (
                build.multiply_scalar(old, weight),
                build.multiply_scalar(new, 1.0 - weight),
            );
            build.add(old, new)
        };
        let (mean, squares) = (
            average(mean, gradient, alpha),
            average(squares, square, beta),
        );
        let inverse = build.pointwise(damped(epsilon), squares);
        let direction = build.multiply(mean, inverse);
        let change = build.multiply(rate, direction);
        let moved = build.subtract(x, change);
        let moved = build.multiply_scalar(moved, 1.0 - post);
        results.push(vec![(moved, dtype), (mean, of), (squares, kept)]);
    }
    Ok(by_kind(results))
}

/// `sqrt(1 - beta^t) / (1 - alpha^t)` where `t > 0`, else 1.
fn unbiased(alpha: f64, beta: f64) -> Pointwise {
    let rest = |base: f64| {
        let power = Pointwise::binary(
            BinaryFn::Pow,
            Pointwise::Constant(base),
            Pointwise::Variable,
        );
        Pointwise::binary(BinaryFn::Sub, Pointwise::Constant(1.0), power)
    };
    let root = Pointwise::unary(UnaryFn::Sqrt, rest(beta));
    let ratio = Pointwise::binary(BinaryFn::Div, root, rest(alpha));
    let later = Pointwise::step(Pointwise::Variable);
    Pointwise::select(later, ratio, Pointwise::Constant(1.0))
}

/// `BatchNormalization`: `scale (x - mean) / sqrt(variance + epsilon) + bias` for each channel; in training, of the batch itself.
fn batch_normalization(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let shape = scope.build.shape(x);
    let rank = shape.len();
    let training = scope.opset >= 14 && scope.int("training_mode").unwrap_or(0) != 0;
    if !training && (1..scope.results()).any(|index| scope.wants(index)) {
        return Err(refuse(
            "it returns statistics outside training",
            "leave out these outputs",
        ));
    }
    let own = scope.build.shape(scope.operand(3)?);
    let [scale, bias, mut mean, mut variance] = channel_parameters(scope, &shape)?;
    let epsilon = scope.float("epsilon").unwrap_or(1e-5);
    let momentum = scope.float("momentum").unwrap_or(0.9);
    let build = &mut scope.build;
    let (old_mean, old_variance) = (mean, variance);
    let mut centered = None;
    if training {
        let axes: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
        mean = build.reduce(Reducer::Mean, &axes, x);
        let difference = build.subtract(x, mean);
        let count = shape.iter().product::<usize>() / shape[1].max(1);
        let squares = build.reduce(Reducer::SumSquare, &axes, difference);
        variance = build.multiply_scalar(squares, (count as f64).recip());
        centered = Some(difference);
    }
    let root = build.add_scalar(variance, epsilon);
    let inverse = build.unary(UnaryFn::Rsqrt, root);
    let slope = build.multiply(scale, inverse);
    let y = match centered {
        Some(centered) => {
            let scaled = build.multiply(centered, slope);
            build.add(scaled, bias)
        }
        None => {
            let scaled = build.multiply(x, slope);
            let moved = build.multiply(mean, slope);
            let offset = build.subtract(bias, moved);
            build.add(scaled, offset)
        }
    };
    let mut running = |old: NodeId, new: NodeId| {
        let (old, new) = (
            build.multiply_scalar(old, momentum),
            build.multiply_scalar(new, 1.0 - momentum),
        );
        let mixed = build.add(old, new);
        build.reshape(mixed, &own)
    };
    let (mean, variance) = (running(old_mean, mean), running(old_variance, variance));
    Ok(vec![
        (y, scope.dtype(0)),
        (mean, scope.dtype(3)),
        (variance, scope.dtype(4)),
    ])
}

/// Scale, bias, mean and variance of each channel, with as many axes as the data; of each position, if the operator is not `spatial`.
fn channel_parameters(scope: &mut Scope, shape: &[usize]) -> Result<[NodeId; 4], Diagnostic> {
    let [_, _, ..] = shape else {
        return Err(refuse("its operand has no channels", "correct the model"));
    };
    let mut wide = vec![1; shape.len()];
    let own = match scope.int("spatial") {
        Some(0) => &shape[1..],
        _ => &shape[1..2],
    };
    wide[1..=own.len()].copy_from_slice(own);
    let mut parameters = [0; 4];
    for (index, parameter) in (1..).zip(&mut parameters) {
        let given = scope.operand(index)?;
        if scope.build.shape(given) != own {
            let of = if own.len() > 1 { "position" } else { "channel" };
            return Err(refuse(
                format!("it does not have one parameter for each {of}"),
                "correct the model",
            ));
        }
        *parameter = scope.build.reshape(given, &wide);
    }
    Ok(parameters)
}

/// `Dropout` that drops nothing, and its mask.
fn dropout(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    if scope.opset >= 12 {
        let training = scope.constant(2)?.is_some_and(|t| t.uniform() != Some(0.0));
        let ratio = |scope: &Scope| Ok(scope.constant(1)?.map_or(Some(0.5), |r| r.uniform()));
        if training && ratio(scope)? != Some(0.0) {
            return Err(refuse(
                "its output is random",
                "export the model for inference",
            ));
        }
    }
    let shape = scope.build.shape(x);
    let mask = scope.build.constant(Tensor::filled(shape, 1.0));
    Ok(vec![(x, scope.dtype(0)), (mask, bool::datum_type())])
}
