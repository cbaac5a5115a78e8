//! Recurrent layers, unrolled: `RNN`, `GRU`, `LSTM` with all their attributes.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::{MOST_NODES, MOST_STEPS, too_many_steps};
use crate::graph::{BinaryFn, NodeId, Pointwise, Tensor, UnaryFn};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("GRU", 1, gru).restricted("static sequence lengths"),
    op("LSTM", 1, lstm).restricted("static sequence lengths"),
    op("RNN", 1, rnn).restricted("static sequence lengths"),
];

/// What the three layers have in common.
struct Layer {
    /// `[steps, batch, size]`.
    x: NodeId,
    hidden: usize,
    /// For each step, 1 for the samples that last that long, `[batch, 1]`; `None` if all do.
    lasts: Option<Vec<NodeId>>,
    /// For each direction, whether backwards.
    directions: Vec<bool>,
    /// For each direction, the functions of its gates.
    functions: Vec<Vec<Pointwise>>,
    /// Whether the batch is the first axis of operands and results.
    batch_first: bool,
}

/// One direction of a layer: weights of the input `[gates * hidden, size]`, of the state `[gates * hidden, hidden]`, their biases.
struct Direction {
    input: NodeId,
    state: NodeId,
    input_bias: NodeId,
    state_bias: NodeId,
    functions: Vec<Pointwise>,
}

/// The states after a step, from the input's part of the gates and the states before it. The first state is the layer's output.
type Cell<'c> = dyn Fn(&mut Builder, &Direction, NodeId, &[NodeId]) -> Vec<NodeId> + 'c;

/// `RNN`: `H' = f(x W + H R + b)`.
fn rnn(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let layer = Layer::new(scope, &["Tanh"])?;
    let cell = |build: &mut Builder, of: &Direction, x: NodeId, states: &[NodeId]| {
        let sums = of.sums(build, states[0]);
        let sums = build.add(x, sums);
        vec![build.pointwise(of.functions[0].clone(), sums)]
    };
    layer.run(scope, 1, &[5], &|_, _| Ok(()), &cell)
}

/// `GRU`: update gate z, reset gate r, candidate h; `H' = h + z (H - h)`.
fn gru(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let layer = Layer::new(scope, &["Sigmoid", "Tanh"])?;
    let hidden = layer.hidden;
    let linear = scope.int("linear_before_reset").unwrap_or(0) != 0;
    let cell = |build: &mut Builder, of: &Direction, x: NodeId, states: &[NodeId]| {
        let before = states[0];
        let part = |build: &mut Builder, sums, gate| build.slice(sums, 1, gate * hidden, hidden, 1);
        let (gates, candidate) = (0..2 * hidden, 2 * hidden..3 * hidden);
        let sums = of.rows(build, before, gates.start, gates.len());
        let [z, r] = [0, 1].map(|gate| {
            let (from_input, from_state) = (part(build, x, gate), part(build, sums, gate));
            let sum = build.add(from_input, from_state);
            build.pointwise(of.functions[0].clone(), sum)
        });
        let from_state = if linear {
            let sums = of.rows(build, before, candidate.start, hidden);
            build.multiply(r, sums)
        } else {
            let kept = build.multiply(r, before);
            of.rows(build, kept, candidate.start, hidden)
        };
        let from_input = part(build, x, 2);
        let sum = build.add(from_input, from_state);
        let h = build.pointwise(of.functions[1].clone(), sum);
        let difference = build.subtract(before, h);
        let kept = build.multiply(z, difference);
        vec![build.add(h, kept)]
    };
    layer.run(scope, 3, &[5], &|_, _| Ok(()), &cell)
}

/// `LSTM`: gates i, o, f, candidate c; `C' = f C + i c`, `H' = o h(C')`, with peepholes from the cell's state to the gates.
fn lstm(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let layer = Layer::new(scope, &["Sigmoid", "Tanh", "Tanh"])?;
    let hidden = layer.hidden;
    let coupled = scope.int("input_forget").unwrap_or(0) != 0;
    let peepholes = scope.optional(7);
    if let Some(peepholes) = peepholes
        && scope.build.shape(peepholes) != [layer.directions.len(), 3 * hidden]
    {
        return Err(refuse(
            "its peepholes do not fit its gates",
            "correct the model",
        ));
    }
    let holes = std::cell::Cell::new(None);
    let enter = |build: &mut Builder, direction: usize| {
        let row = |peepholes| {
            let row = build.select_index(peepholes, 0, direction);
            build.reshape(row, &[1, 3 * hidden])
        };
        holes.set(peepholes.map(row));
        Ok(())
    };
    let cell = |build: &mut Builder, of: &Direction, x: NodeId, states: &[NodeId]| {
        let cell = states[1];
        let sums = of.sums(build, states[0]);
        let sums = build.add(x, sums);
        let gate = |build: &mut Builder, gate: usize, hole: Option<(usize, NodeId)>, f: usize| {
            let mut sum = build.slice(sums, 1, gate * hidden, hidden, 1);
            if let (Some(all), Some((hole, state))) = (holes.get(), hole) {
                let weights = build.slice(all, 1, hole * hidden, hidden, 1);
                let seen = build.multiply(weights, state);
                sum = build.add(sum, seen);
            }
            build.pointwise(of.functions[f].clone(), sum)
        };
        let input = gate(build, 0, Some((0, cell)), 0);
        let forget = if coupled {
            let negative = build.multiply_scalar(input, -1.0);
            build.add_scalar(negative, 1.0)
        } else {
            gate(build, 2, Some((2, cell)), 0)
        };
        let candidate = gate(build, 3, None, 1);
        let (kept, added) = (
            build.multiply(forget, cell),
            build.multiply(input, candidate),
        );
        let next = build.add(kept, added);
        let output = gate(build, 1, Some((1, next)), 0);
        let bent = build.pointwise(of.functions[2].clone(), next);
        vec![build.multiply(output, bent), next]
    };
    layer.run(scope, 4, &[5, 6], &enter, &cell)
}

impl Direction {
    /// The state's part of all gates.
    fn sums(&self, build: &mut Builder, state: NodeId) -> NodeId {
        let all = build.shape(self.state)[0];
        self.rows(build, state, 0, all)
    }

    /// The state's part of some rows of the gates.
    fn rows(&self, build: &mut Builder, state: NodeId, start: usize, length: usize) -> NodeId {
        let weights = build.slice(self.state, 0, start, length, 1);
        let bias = build.slice(self.state_bias, 0, start, length, 1);
        let sums = build.einsum("bh,gh->bg", &[state, weights]);
        build.add(sums, bias)
    }
}

impl Layer {
    /// From operands `X, W, R, B, sequence_lens, ...`; `defaults` are the names of the functions of one direction.
    fn new(scope: &mut Scope, defaults: &[&str]) -> Result<Layer, Diagnostic> {
        let mut x = scope.operand(0)?;
        let batch_first = scope.int("layout").unwrap_or(0) != 0;
        if scope.build.rank(x) != 3 || scope.build.rank(scope.operand(2)?) != 3 {
            return Err(refuse(
                "its operands do not have three axes",
                "correct the model",
            ));
        }
        if batch_first {
            x = scope.build.transpose(x, &[1, 0, 2]);
        }
        let hidden = scope.build.shape(scope.operand(2)?)[2];
        if let Some(said) = scope
            .int("hidden_size")
            .filter(|said| *said != hidden as i64)
        {
            return Err(refuse(
                format!("its `hidden_size` is {said}, and its weights are for {hidden}"),
                "correct the model",
            ));
        }
        let directions = match scope.text("direction").unwrap_or("forward") {
            "forward" => vec![false],
            "reverse" => vec![true],
            "bidirectional" => vec![false, true],
            other => {
                let reason = format!("its direction `{other}` is not supported");
                return Err(refuse(
                    reason,
                    "use `forward`, `reverse` or `bidirectional`",
                ));
            }
        };
        let functions = functions(scope, defaults, directions.len())?;
        let (steps, batch) = (scope.build.shape(x)[0], scope.build.shape(x)[1]);
        if steps > MOST_STEPS {
            return Err(too_many_steps());
        }
        let lasts = match scope.optional(4) {
            Some(lengths) if scope.build.shape(lengths) == [batch] => {
                let build = &mut scope.build;
                let lengths = build.reshape(lengths, &[batch, 1]);
                let lasts = |step: usize| build.within(lengths, Some(step as f64 + 1.0), None);
                Some((0..steps).map(lasts).collect())
            }
            Some(_) => {
                return Err(refuse(
                    "it does not have one length for each sample",
                    "correct the model",
                ));
            }
            None => None,
        };
        Ok(Layer {
            x,
            hidden,
            lasts,
            directions,
            functions,
            batch_first,
        })
    }

    /// Results `Y, Y_h, Y_c`: `initial` are the operands with the states at the start, `enter` is called before each direction.
    fn run(
        &self,
        scope: &mut Scope,
        gates: usize,
        initial: &[usize],
        enter: &dyn Fn(&mut Builder, usize) -> Result<(), Diagnostic>,
        cell: &Cell,
    ) -> Result<Vec<TypedValue>, Diagnostic> {
        let dtype = scope.dtype(0);
        let (mut outputs, mut finals) = (Vec::new(), vec![Vec::new(); initial.len()]);
        for (direction, &backwards) in self.directions.iter().enumerate() {
            let of = self.direction(scope, direction, gates)?;
            let mut states = Vec::new();
            for &index in initial {
                states.push(self.start(scope, index, direction)?);
            }
            enter(&mut scope.build, direction)?;
            let (made, last) = self.pass(&mut scope.build, &of, backwards, states, cell)?;
            if made.is_empty() {
                return Err(refuse("it has no steps", "correct the model"));
            }
            outputs.push(scope.build.stack(made, 0));
            finals
                .iter_mut()
                .zip(last)
                .for_each(|(all, last)| all.push(last));
        }
        let build = &mut scope.build;
        let mut results = vec![build.stack(outputs, 1)];
        results.extend(finals.into_iter().map(|last| build.stack(last, 0)));
        if self.batch_first {
            results[0] = build.transpose(results[0], &[2, 0, 1, 3]);
            for last in &mut results[1..] {
                *last = build.transpose(*last, &[1, 0, 2]);
            }
        }
        Ok(results.into_iter().map(|id| (id, dtype)).collect())
    }

    fn direction(
        &self,
        scope: &mut Scope,
        direction: usize,
        gates: usize,
    ) -> Result<Direction, Diagnostic> {
        let (input, state) = (scope.operand(1)?, scope.operand(2)?);
        let (count, rows) = (self.directions.len(), gates * self.hidden);
        let size = scope.build.shape(self.x)[2];
        let bias = scope.optional(3);
        let build = &mut scope.build;
        let bias =
            bias.unwrap_or_else(|| build.constant(Tensor::filled(vec![count, 2 * rows], 0.0)));
        if build.shape(input) != [count, rows, size]
            || build.shape(state) != [count, rows, self.hidden]
            || build.shape(bias) != [count, 2 * rows]
        {
            return Err(refuse(
                "its weights do not fit its input",
                "correct the model",
            ));
        }
        let bias = build.select_index(bias, 0, direction);
        Ok(Direction {
            input: build.select_index(input, 0, direction),
            state: build.select_index(state, 0, direction),
            input_bias: build.slice(bias, 0, 0, rows, 1),
            state_bias: build.slice(bias, 0, rows, rows, 1),
            functions: self.functions[direction].clone(),
        })
    }

    /// `[batch, hidden]` at the start.
    fn start(
        &self,
        scope: &mut Scope,
        index: usize,
        direction: usize,
    ) -> Result<NodeId, Diagnostic> {
        let batch = scope.build.shape(self.x)[1];
        let Some(given) = scope.optional(index) else {
            let zeros = Tensor::filled(vec![batch, self.hidden], 0.0);
            return Ok(scope.build.constant(zeros));
        };
        let axis = usize::from(self.batch_first);
        let mut shape = vec![batch, self.hidden];
        shape.insert(axis, self.directions.len());
        if scope.build.shape(given) != shape {
            return Err(refuse(
                "its state does not fit its input",
                "correct the model",
            ));
        }
        Ok(scope.build.select_index(given, axis, direction))
    }

    /// Outputs of all steps, in the order of the input, and the states at the end.
    fn pass(
        &self,
        build: &mut Builder,
        of: &Direction,
        backwards: bool,
        mut states: Vec<NodeId>,
        cell: &Cell,
    ) -> Result<(Vec<NodeId>, Vec<NodeId>), Diagnostic> {
        let from_input = build.einsum("tbi,gi->tbg", &[self.x, of.input]);
        let from_input = build.add(from_input, of.input_bias);
        let steps = build.shape(self.x)[0];
        let mut outputs = Vec::new();
        for step in 0..steps {
            if build.graph.nodes.len() > MOST_NODES {
                return Err(too_many_steps());
            }
            let step = if backwards { steps - 1 - step } else { step };
            let x = build.select_index(from_input, 0, step);
            let mut next = cell(build, of, x, &states);
            let mut output = next[0];
            if let Some(lasts) = self.lasts.as_ref().map(|lasts| lasts[step]) {
                let keep = |build: &mut Builder, new, old| match build.graph.uniform(lasts) {
                    Some(1.0) => new,
                    Some(_) => old,
                    None => build.select(lasts, new, old),
                };
                for (new, old) in next.iter_mut().zip(&states) {
                    *new = keep(build, *new, *old);
                }
                let nothing = build.shape(output);
                let nothing = build.constant(Tensor::filled(nothing, 0.0));
                output = keep(build, output, nothing);
            }
            outputs.push(output);
            states = next;
        }
        if backwards {
            outputs.reverse();
        }
        Ok((outputs, states))
    }
}

/// The functions of each direction, with their inputs clipped.
fn functions(
    scope: &Scope,
    defaults: &[&str],
    directions: usize,
) -> Result<Vec<Vec<Pointwise>>, Diagnostic> {
    let names = match scope.texts("activations") {
        Some(names) if names.len() == directions * defaults.len() => names,
        Some(_) => {
            return Err(refuse(
                "it has the wrong number of activations",
                "correct the model",
            ));
        }
        None => defaults
            .repeat(directions)
            .into_iter()
            .map(String::from)
            .collect(),
    };
    let mut alphas = scope.floats("activation_alpha").unwrap_or_default().iter();
    let mut betas = scope.floats("activation_beta").unwrap_or_default().iter();
    let clip = scope.float("clip").filter(|clip| *clip > 0.0).map(|clip| {
        let c = Pointwise::Constant;
        let below = Pointwise::binary(BinaryFn::Min, Pointwise::Variable, c(clip));
        Pointwise::binary(BinaryFn::Max, below, c(-clip))
    });
    let mut all = Vec::new();
    for name in names {
        let function = activation(
            &name,
            &mut || alphas.next().copied().map(f64::from),
            &mut || betas.next().copied().map(f64::from),
        )?;
        all.push(match &clip {
            Some(clip) => function.compose(clip),
            None => function,
        });
    }
    Ok(all.chunks(defaults.len()).map(<[_]>::to_vec).collect())
}

/// A function by its name; `alpha` and `beta` give its parameters, if it has them.
fn activation(
    name: &str,
    alpha: &mut dyn FnMut() -> Option<f64>,
    beta: &mut dyn FnMut() -> Option<f64>,
) -> Result<Pointwise, Diagnostic> {
    let x = || Pointwise::Variable;
    let c = Pointwise::Constant;
    let of = Pointwise::of;
    let join = Pointwise::binary;
    let line =
        |a: f64, b: f64, x: Pointwise| join(BinaryFn::Add, join(BinaryFn::Mul, c(a), x), c(b));
    let positive = || Pointwise::step(x());
    let lacks = || {
        refuse(
            format!("its activation `{name}` has no `activation_alpha` or `activation_beta`"),
            "add them to the node",
        )
    };
    Ok(match name.to_ascii_lowercase().as_str() {
        "relu" => of(UnaryFn::Relu),
        "tanh" => of(UnaryFn::Tanh),
        "sigmoid" => of(UnaryFn::Sigmoid),
        "softplus" => of(UnaryFn::Softplus),
        "softsign" => {
            let size = line(1.0, 1.0, of(UnaryFn::Abs));
            join(BinaryFn::Div, x(), size)
        }
        "affine" => line(alpha().ok_or_else(lacks)?, beta().ok_or_else(lacks)?, x()),
        "scaledtanh" => {
            let (alpha, beta) = (alpha().ok_or_else(lacks)?, beta().ok_or_else(lacks)?);
            let inner = join(BinaryFn::Mul, c(beta), x());
            join(
                BinaryFn::Mul,
                c(alpha),
                Pointwise::unary(UnaryFn::Tanh, inner),
            )
        }
        "leakyrelu" => {
            let slope = alpha().unwrap_or(0.01);
            Pointwise::select(positive(), x(), line(slope, 0.0, x()))
        }
        "thresholdedrelu" => {
            let threshold = alpha().unwrap_or(1.0);
            let below = Pointwise::step(line(-1.0, threshold, x()));
            Pointwise::select(below, c(0.0), x())
        }
        "hardsigmoid" => {
            let line = line(alpha().unwrap_or(0.2), beta().unwrap_or(0.5), x());
            join(BinaryFn::Max, join(BinaryFn::Min, line, c(1.0)), c(0.0))
        }
        "elu" => {
            let size = alpha().unwrap_or(1.0);
            Pointwise::select(positive(), x(), line(size, -size, of(UnaryFn::Exp)))
        }
        _ => {
            return Err(refuse(
                format!("its activation `{name}` is not supported"),
                "use one of ONNX's activations",
            ));
        }
    })
}
