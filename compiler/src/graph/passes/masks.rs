//! Masks of scores: what makes the operand of a softmax hugely negative becomes the level of its elements.
//!
//! Models mask by adding `(1 - mask) * -10000`, or the lowest number there is, or an input of such numbers, or by choosing minus infinity. No
//! scale could hold such scores. Constant masks that leave something of every row stay as they are.

use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, Dtype, NodeId, Op, Pointwise, Reducer, Tensor};

/// Numbers below this are not scores.
const LOW: f64 = -5e3;
/// Chosen instead of scores, numbers below this are all the same: no scores are as low.
const LOST: f64 = -1e5;
/// How far back from a softmax to look for masks.
const MOST_DEPTH: usize = 12;
/// Most masks of one softmax.
const MOST_MASKS: usize = 4;

/// For the input at a position, the values other than 0 that it is known to have, if anything is known: two of them say that there are more.
pub type Seen<'a> = &'a dyn Fn(usize) -> Option<Vec<f64>>;

/// What hides some elements of a value.
#[derive(Clone, Copy)]
struct Hiding {
    /// 1 where it hides, else 0.
    mask: NodeId,
    /// What is added there.
    by: f64,
    /// Whether it stands there in place of the value.
    replaces: bool,
}

/// A value that is hidden in places.
struct Masked {
    rest: NodeId,
    hidings: Vec<Hiding>,
}

/// A value that is one of two numbers: by a 0/1 value.
#[derive(Clone, Copy)]
struct Flag {
    mask: NodeId,
    values: [f64; 2],
}

/// Gives softmaxes of masked scores the levels of their elements.
pub fn find(build: &mut Builder, seen: Seen) {
    for id in 0..build.graph.nodes.len() {
        let node = &build.graph.nodes[id];
        let (Op::Softmax { axis, .. }, &[x]) = (&node.op, &node.inputs[..]) else {
            continue;
        };
        let axis = *axis;
        build.name = node.name.clone();
        let (shape, flags) = (build.shape(x), Vec::new());
        let mut search = Search { build, seen, flags };
        let Some(masked) = search.masked(x, MOST_DEPTH) else {
            continue;
        };
        let flags = search.flags;
        let Some((rest, level, hidden)) = levels(build, masked) else {
            continue;
        };
        let level = build.unsqueeze_to_rank(level, shape.len());
        if build.graph.uniform(rest).is_some() || leaves_something(build, level, axis) {
            continue;
        }
        let rest = build.broadcast(rest, &shape);
        let node = &mut build.graph.nodes[id];
        node.op = Op::Softmax { axis, hidden };
        node.inputs = vec![rest, level];
        for (input, value) in flags {
            let ends = (value.recip().min(0.0), value.recip().max(0.0));
            build.graph.nodes[input].stats = vec![ends];
        }
    }
}

/// Whether the level is constant, and 0 somewhere in each row.
fn leaves_something(build: &mut Builder, level: NodeId, axis: usize) -> bool {
    if build.tensor(level).is_none() {
        return false;
    }
    let least = build.reduce(Reducer::Min, &[axis], level);
    build.graph.uniform(least) == Some(0.0)
}

/// The scores, their elements' levels, and what hides at each level from 1 on.
fn levels(build: &mut Builder, masked: Masked) -> Option<(NodeId, NodeId, Vec<f64>)> {
    if let [hiding] = masked.hidings[..]
        && (hiding.by < LOST || !hiding.replaces)
    {
        let by = match hiding.replaces && hiding.by.is_finite() {
            true => f64::from(f32::MIN),
            false => hiding.by,
        };
        return Some((masked.rest, hiding.mask, vec![by]));
    }
    let Masked { rest, hidings } = added(build, masked);
    if hidings.len() > MOST_MASKS {
        return None;
    }
    // Sums as single precision has them, by the set of masks that hide.
    let sum = |code: usize| {
        let hides = hidings
            .iter()
            .enumerate()
            .filter(|(at, _)| code >> at & 1 == 1);
        f64::from(hides.fold(0f32, |sum, (_, hiding)| sum + hiding.by as f32))
    };
    let sums: Vec<f64> = (0..1 << hidings.len()).map(sum).collect();
    let mut distinct = sums.clone();
    distinct.sort_by(|a, b| b.total_cmp(a));
    distinct.dedup();
    let rank = |code: usize| distinct.iter().position(|sum| *sum == sums[code]);
    let mut code = build.scalar(0.0, 0);
    for (at, hiding) in hidings.iter().enumerate() {
        let bit = build.multiply_scalar(hiding.mask, f64::from(1 << at));
        code = build.add(code, bit);
    }
    let mut level = Pointwise::Constant(0.0);
    for at in 1..sums.len() {
        let rise = rank(at)? as f64 - rank(at - 1)? as f64;
        let from = Pointwise::Constant(at as f64 - 0.5);
        let beyond = Pointwise::binary(BinaryFn::Sub, Pointwise::Variable, from);
        let step = Pointwise::step(beyond);
        let rise = Pointwise::binary(BinaryFn::Mul, Pointwise::Constant(rise), step);
        level = Pointwise::binary(BinaryFn::Add, level, rise);
    }
    let level = build.pointwise(level.simplify(), code);
    Some((rest, level, distinct.split_off(1)))
}

/// The same with what replaces the value added to 0.
fn added(build: &mut Builder, masked: Masked) -> Masked {
    let Masked { mut rest, hidings } = masked;
    for hiding in hidings.iter().filter(|h| h.replaces && h.by.is_finite()) {
        let shown = complement(build, hiding.mask);
        rest = build.multiply(rest, shown);
    }
    let add = |hiding| Hiding {
        replaces: false,
        ..hiding
    };
    Masked {
        rest,
        hidings: hidings.into_iter().map(add).collect(),
    }
}

/// `1 - x`.
fn complement(build: &mut Builder, x: NodeId) -> NodeId {
    let negative = build.multiply_scalar(x, -1.0);
    build.add_scalar(negative, 1.0)
}

/// A search for what hides the elements of one value.
struct Search<'a> {
    build: &'a mut Builder,
    seen: Seen<'a>,
    /// Inputs that are taken to be 0 or this.
    flags: Vec<(NodeId, f64)>,
}

impl Search<'_> {
    /// The parts of a node's value, if some of it is masked.
    fn masked(&mut self, id: NodeId, depth: usize) -> Option<Masked> {
        let depth = depth.checked_sub(1)?;
        let node = self.build.graph.nodes[id].clone();
        if let Op::Constant(tensor) = &node.op {
            return constant(self.build, tensor);
        }
        let taken = self.flags.len();
        if let Some(masked) = self.flag(id, depth).and_then(|flag| self.hides(flag, id)) {
            return Some(masked);
        }
        self.flags.truncate(taken);
        match (&node.op, &node.inputs[..]) {
            (Op::Binary(BinaryFn::Add), &[a, b]) => self.sum(a, b, depth),
            (Op::Binary(BinaryFn::Sub), &[a, b]) => {
                let b = self.build.multiply_scalar(b, -1.0);
                self.sum(a, b, depth)
            }
            (Op::Binary(BinaryFn::Mul), &[a, b]) => self.scaled(a, b, depth),
            (Op::Binary(BinaryFn::Max), &[a, b]) => self.bounded(a, b, depth),
            (Op::Select, &[condition, yes, no]) => self.choice([condition, yes, no], depth),
            (op, &[x]) if moves(op) => {
                let masked = self.masked(x, depth)?;
                let (from, to) = (self.build.shape(x), node.shape.clone());
                let mut moved = |part: NodeId| {
                    let part = self.build.broadcast(part, &from);
                    self.build.push(op.clone(), vec![part], to.clone())
                };
                let rest = moved(masked.rest);
                let move_mask = |hiding: Hiding| Hiding {
                    mask: moved(hiding.mask),
                    ..hiding
                };
                Some(Masked {
                    rest,
                    hidings: masked.hidings.into_iter().map(move_mask).collect(),
                })
            }
            _ => None,
        }
    }

    /// A flag of which one value hides.
    fn hides(&mut self, flag: Flag, id: NodeId) -> Option<Masked> {
        let [off, on] = flag.values;
        let (mask, shown, hidden) = match (off < LOW, on < LOW) {
            (false, true) => (flag.mask, off, on),
            (true, false) => (complement(self.build, flag.mask), on, off),
            _ => return None,
        };
        let rank = self.build.rank(id);
        Some(Masked {
            rest: self.build.scalar(shown, rank),
            hidings: vec![Hiding {
                mask,
                by: hidden - shown,
                replaces: false,
            }],
        })
    }

    /// A node's value as one of two numbers, if it is one by how it is made.
    fn flag(&mut self, id: NodeId, depth: usize) -> Option<Flag> {
        let depth = depth.checked_sub(1)?;
        let node = self.build.graph.nodes[id].clone();
        let own = Flag {
            mask: id,
            values: [0.0, 1.0],
        };
        match (&node.op, &node.inputs[..]) {
            (Op::Input(Dtype::Bool) | Op::MaximumMask { .. }, _) => Some(own),
            (Op::Input(dtype), _) => self.input(id, *dtype),
            (Op::Pointwise(e), &[x]) => {
                let by_sign = e.by_sign().map(|(_, values)| values);
                if by_sign.is_some_and(|v| v.iter().all(|v| own.values.contains(v))) {
                    return Some(own);
                }
                let flag = self.flag(x, depth)?;
                Some(flag.map(|v| e.eval(v)))
            }
            (Op::Binary(f), &[a, b]) => match (self.uniform(a), self.uniform(b)) {
                (None, Some(b)) => Some(self.flag(a, depth)?.map(|a| f.eval(a, b))),
                (Some(a), None) => Some(self.flag(b, depth)?.map(|b| f.eval(a, b))),
                (None, None) if *f == BinaryFn::Mul => {
                    let both = [self.flag(a, depth)?, self.flag(b, depth)?];
                    let plain = |flag: &Flag| flag.values == own.values;
                    both.iter().all(plain).then_some(own)
                }
                _ => None,
            },
            (Op::Select, &[condition, yes, no]) => {
                let (yes, no) = (self.uniform(yes)?, self.uniform(no)?);
                let flag = self.flag(condition, depth)?;
                Some(flag.map(|v| if v != 0.0 { yes } else { no }))
            }
            (op, &[x]) if moves(op) => {
                let flag = self.flag(x, depth)?;
                let from = self.build.shape(x);
                let mask = self.build.broadcast(flag.mask, &from);
                let mask = self.build.push(op.clone(), vec![mask], node.shape);
                Some(Flag { mask, ..flag })
            }
            _ => None,
        }
    }

    /// An input that is 0 or one other number, by what is known of it: if nothing is, 1.
    fn input(&mut self, id: NodeId, dtype: Dtype) -> Option<Flag> {
        let position = self.build.graph.inputs.iter().position(|i| *i == id)?;
        let value = match (self.seen)(position).as_deref() {
            None | Some([]) => 1.0,
            Some([value]) => *value,
            Some(_) => return None,
        };
        if value.is_nan() || dtype != Dtype::Float32 && value != 1.0 {
            return None;
        }
        self.flags.push((id, value));
        let mask = match value.is_finite() {
            true => self.build.multiply_scalar(id, value.recip()),
            false => {
                let x = Pointwise::Variable;
                let below = Pointwise::binary(BinaryFn::Sub, Pointwise::Constant(LOW), x);
                self.build.pointwise(Pointwise::step(below), id)
            }
        };
        Some(Flag {
            mask,
            values: [0.0, value],
        })
    }

    fn uniform(&self, id: NodeId) -> Option<f64> {
        self.build.graph.uniform(id)
    }

    /// A sum is masked where one of the summands is.
    fn sum(&mut self, a: NodeId, b: NodeId, depth: usize) -> Option<Masked> {
        let parts = [a, b].map(|id| (id, self.masked(id, depth)));
        if parts.iter().all(|(_, masked)| masked.is_none()) {
            return None;
        }
        let [a, b] = parts.map(|(id, masked)| match masked {
            Some(masked) => added(self.build, masked),
            None => Masked {
                rest: id,
                hidings: Vec::new(),
            },
        });
        Some(Masked {
            rest: self.build.add(a.rest, b.rest),
            hidings: [a.hidings, b.hidings].concat(),
        })
    }

    /// A masked value times a positive number.
    fn scaled(&mut self, a: NodeId, b: NodeId, depth: usize) -> Option<Masked> {
        let (x, factor) = match (self.uniform(a), self.uniform(b)) {
            (None, Some(factor)) => (a, factor),
            (Some(factor), None) => (b, factor),
            _ => return None,
        };
        if factor <= 0.0 || !factor.is_finite() {
            return None;
        }
        let Masked { rest, hidings } = self.masked(x, depth)?;
        let scale = |hiding: Hiding| Hiding {
            by: f64::from((hiding.by * factor) as f32),
            ..hiding
        };
        let hidings: Vec<Hiding> = hidings.into_iter().map(scale).collect();
        let rest = self.build.multiply_scalar(rest, factor);
        let low = hidings.iter().all(|hiding| hiding.by < LOW);
        low.then_some(Masked { rest, hidings })
    }

    /// A masked value that is kept from falling below a number which hides as well: all that hides is the same.
    fn bounded(&mut self, a: NodeId, b: NodeId, depth: usize) -> Option<Masked> {
        let bound = |x: NodeId| self.uniform(x).filter(|v| *v < LOST);
        let (x, least) = match (bound(a), bound(b)) {
            (None, Some(least)) => (a, least),
            (Some(least), None) => (b, least),
            _ => return None,
        };
        let Masked { rest, hidings } = self.masked(x, depth)?;
        if hidings.iter().any(|hiding| hiding.by > least) {
            return None;
        }
        let shown = hidings
            .iter()
            .map(|hiding| complement(self.build, hiding.mask));
        let shown: Vec<NodeId> = shown.collect();
        let shown = shown.into_iter().reduce(|a, b| self.build.multiply(a, b))?;
        let hiding = Hiding {
            mask: complement(self.build, shown),
            by: least,
            replaces: true,
        };
        Some(Masked {
            rest,
            hidings: vec![hiding],
        })
    }

    /// A value that gives way to a low number where a condition says so.
    fn choice(&mut self, [condition, yes, no]: [NodeId; 3], depth: usize) -> Option<Masked> {
        let low = |x: NodeId| self.uniform(x).filter(|v| *v < LOW);
        let (value, by, mask) = match (low(yes), low(no)) {
            (None, Some(by)) => (yes, by, complement(self.build, condition)),
            (Some(by), None) => (no, by, condition),
            _ => return None,
        };
        let inner = self.masked(value, depth).unwrap_or(Masked {
            rest: value,
            hidings: Vec::new(),
        });
        let shown = complement(self.build, mask);
        let keep = |hiding: Hiding| Hiding {
            mask: self.build.multiply(hiding.mask, shown),
            ..hiding
        };
        let mut hidings: Vec<Hiding> = inner.hidings.into_iter().map(keep).collect();
        hidings.push(Hiding {
            mask,
            by,
            replaces: true,
        });
        Some(Masked {
            rest: inner.rest,
            hidings,
        })
    }
}

impl Flag {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            values: self.values.map(f),
            ..self
        }
    }
}

/// Whether an operator only moves elements.
fn moves(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape | Op::Transpose { .. } | Op::Broadcast | Op::Slice { .. }
    )
}

/// A constant with low elements, of few values.
fn constant(build: &mut Builder, tensor: &Tensor) -> Option<Masked> {
    let mut low: Vec<f64> = tensor.data.iter().copied().filter(|v| *v < LOW).collect();
    low.sort_by(f64::total_cmp);
    low.dedup();
    if low.is_empty() || low.len() > MOST_MASKS {
        return None;
    }
    let mut each = |f: &dyn Fn(f64) -> f64| {
        let data = tensor.data.iter().map(|v| f(*v)).collect();
        build.constant(Tensor::new(tensor.shape.clone(), data))
    };
    let rest = each(&|v| if v < LOW { 0.0 } else { v });
    let hiding = |by: f64| Hiding {
        mask: each(&|v| f64::from(v == by)),
        by,
        replaces: false,
    };
    Some(Masked {
        rest,
        hidings: low.into_iter().map(hiding).collect(),
    })
}
