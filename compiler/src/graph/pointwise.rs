//! Functions of one real variable: evaluation, simplification, affine forms, printing.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt;

use crate::graph::{BinaryFn, Pointwise, Rounding, UnaryFn};

/// How far from a half, relative to itself and one, a number is still one.
const NEAR_HALF: f64 = 1.0 / (1u64 << 42) as f64;
/// The same of what scales are multiplied into, relative to itself.
const NEAR_HALF_SCALED: f64 = 1.0 / (1u64 << 22) as f64;
/// The greatest such distance.
const MOST_NEAR_HALF: f64 = 1.0 / (1u64 << 16) as f64;

impl UnaryFn {
    /// The function's value at `x`: to the last bit the same on every machine, since tables are made of it and keys of tables.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            UnaryFn::Abs => x.abs(),
            UnaryFn::Neg => -x,
            UnaryFn::Exp => libm::exp(x),
            UnaryFn::Ln => libm::log(x),
            UnaryFn::Sqrt => x.sqrt(),
            UnaryFn::Rsqrt => x.sqrt().recip(),
            UnaryFn::Recip => x.recip(),
            UnaryFn::Square => x * x,
            UnaryFn::Tanh => libm::tanh(x),
            UnaryFn::Sigmoid => sigmoid(x),
            UnaryFn::Erf => libm::erf(x),
            UnaryFn::Sin => libm::sin(x),
            UnaryFn::Cos => libm::cos(x),
            UnaryFn::Tan => libm::tan(x),
            UnaryFn::Asin => libm::asin(x),
            UnaryFn::Acos => libm::acos(x),
            UnaryFn::Atan => libm::atan(x),
            UnaryFn::Sinh => libm::sinh(x),
            UnaryFn::Cosh => libm::cosh(x),
            UnaryFn::Asinh => libm::asinh(x),
            UnaryFn::Acosh => libm::acosh(x),
            UnaryFn::Atanh => libm::atanh(x),
            UnaryFn::Floor => x.floor(),
            UnaryFn::Ceil => x.ceil(),
            UnaryFn::Round => Rounding::Even.eval(x),
            UnaryFn::Sign if x == 0.0 => 0.0,
            UnaryFn::Sign => x.signum(),
            UnaryFn::Relu => x.max(0.0),
            UnaryFn::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            UnaryFn::Softplus => x.max(0.0) + libm::log1p(libm::exp(-x.abs())),
            UnaryFn::Gelu => 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2)),
            UnaryFn::Silu => x * sigmoid(x),
        }
    }
}

/// `1 / (1 + exp(-x))` without overflow.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

impl Rounding {
    /// The integer for `x`, the result of some operations in double precision: what is as near to a half as these make it is one.
    pub fn eval(self, x: f64) -> f64 {
        self.eval_near(x, NEAR_HALF * (1.0 + x.abs()))
    }

    /// The integer for `x`, a number times scales of single precision: what is as near to a half as their rounding makes it is one.
    pub fn eval_scaled(self, x: f64) -> f64 {
        self.eval_near(x, (NEAR_HALF_SCALED * x.abs()).min(MOST_NEAR_HALF))
    }

    fn eval_near(self, x: f64, near: f64) -> f64 {
        let halves = (2.0 * x).round();
        match self {
            Rounding::Even if (2.0 * x - halves).abs() <= near => (0.5 * halves).round_ties_even(),
            Rounding::Even => x.round_ties_even(),
            Rounding::Down => x.floor(),
        }
    }
}

/// Quotient and remainder of integers, the divisor positive.
fn euclid(a: f64, b: f64) -> Option<(f64, f64)> {
    let integer = |x: f64| (x.fract() == 0.0 && x.abs() < 1e30).then_some(x as i128);
    let (a, b) = (integer(a)?, integer(b).filter(|b| *b > 0)?);
    Some((a.div_euclid(b) as f64, a.rem_euclid(b) as f64))
}

impl From<Rounding> for UnaryFn {
    fn from(rounding: Rounding) -> UnaryFn {
        match rounding {
            Rounding::Even => UnaryFn::Round,
            Rounding::Down => UnaryFn::Floor,
        }
    }
}

impl BinaryFn {
    /// The function's value at `(a, b)`.
    pub fn eval(self, a: f64, b: f64) -> f64 {
        match self {
            BinaryFn::Add => a + b,
            BinaryFn::Sub => a - b,
            BinaryFn::Mul => a * b,
            BinaryFn::Div => a / b,
            BinaryFn::Max => a.max(b),
            BinaryFn::Min => a.min(b),
            BinaryFn::Pow => libm::pow(a, b),
            BinaryFn::FloorDiv => euclid(a, b).map_or(f64::NAN, |(quotient, _)| quotient),
            BinaryFn::FloorMod => euclid(a, b).map_or(f64::NAN, |(_, rest)| rest),
        }
    }
}

impl Pointwise {
    /// `function(argument)`.
    pub fn unary(function: UnaryFn, argument: Pointwise) -> Pointwise {
        Pointwise::Unary(function, Box::new(argument))
    }

    /// `function(a, b)`.
    pub fn binary(function: BinaryFn, a: Pointwise, b: Pointwise) -> Pointwise {
        Pointwise::Binary(function, Box::new(a), Box::new(b))
    }

    /// `if condition != 0 { yes } else { no }`.
    pub fn select(condition: Pointwise, yes: Pointwise, no: Pointwise) -> Pointwise {
        Pointwise::Select(Box::new(condition), Box::new(yes), Box::new(no))
    }

    /// `function(x)`.
    pub fn of(function: UnaryFn) -> Pointwise {
        Pointwise::unary(function, Pointwise::Variable)
    }

    /// 1 where `argument > 0`, else 0.
    pub fn step(argument: Pointwise) -> Pointwise {
        Pointwise::unary(UnaryFn::Relu, Pointwise::unary(UnaryFn::Sign, argument))
    }

    /// Towards zero: what a cast to an integer does.
    pub fn truncate(argument: Pointwise) -> Pointwise {
        if argument.is_whole(false) {
            return argument;
        }
        let zero = || Pointwise::Constant(0.0);
        let up = Pointwise::binary(BinaryFn::Max, argument.clone(), zero());
        let down = Pointwise::binary(BinaryFn::Min, argument, zero());
        Pointwise::binary(
            BinaryFn::Add,
            Pointwise::unary(UnaryFn::Floor, up),
            Pointwise::unary(UnaryFn::Ceil, down),
        )
    }

    /// `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^power)))`; the usual power is 3.
    pub fn gelu_tanh(power: f64) -> Pointwise {
        let x = || Pointwise::Variable;
        let c = Pointwise::Constant;
        let cube = Pointwise::binary(BinaryFn::Pow, x(), c(power));
        let inner = Pointwise::binary(
            BinaryFn::Add,
            x(),
            Pointwise::binary(BinaryFn::Mul, c(0.044715), cube),
        );
        let scaled = Pointwise::binary(BinaryFn::Mul, c((2.0 / PI).sqrt()), inner);
        let gate = Pointwise::binary(
            BinaryFn::Add,
            c(1.0),
            Pointwise::unary(UnaryFn::Tanh, scaled),
        );
        Pointwise::binary(
            BinaryFn::Mul,
            Pointwise::binary(BinaryFn::Mul, c(0.5), x()),
            gate,
        )
    }

    /// The function's value at `x`.
    pub fn eval(&self, x: f64) -> f64 {
        match self {
            Pointwise::Variable => x,
            Pointwise::Constant(c) => *c,
            Pointwise::Unary(f, a) => f.eval(a.eval(x)),
            Pointwise::Binary(f, a, b) => f.eval(a.eval(x), b.eval(x)),
            Pointwise::Select(c, a, b) => {
                if c.eval(x) != 0.0 {
                    a.eval(x)
                } else {
                    b.eval(x)
                }
            }
        }
    }

    /// `(a, b)` where the function is `a x + b` by its form.
    pub fn is_affine(&self) -> Option<(f64, f64)> {
        let (slope, offset) = match self {
            Pointwise::Variable => (1.0, 0.0),
            Pointwise::Constant(c) => (0.0, *c),
            Pointwise::Unary(UnaryFn::Neg, a) => a.is_affine().map(|(a, b)| (-a, -b))?,
            Pointwise::Unary(f, a) => (0.0, f.eval(a.constant()?)),
            Pointwise::Binary(f, a, b) => affine_binary(*f, a.is_affine()?, b.is_affine()?)?,
            Pointwise::Select(c, a, b) => (if c.constant()? != 0.0 { a } else { b }).is_affine()?,
        };
        (slope.is_finite() && offset.is_finite()).then_some((slope, offset))
    }

    /// `([a, b], [n, z, p])` where the function is `n`, `z` or `p` as `a x + b` is negative, zero or positive.
    pub fn by_sign(&self) -> Option<([f64; 2], [f64; 3])> {
        let (slope, offset) = self.compared()??;
        let root = -offset / slope;
        let at = |sign: f64| self.eval_by_sign(sign);
        root.is_finite()
            .then(|| ([slope, offset], [at(-1.0), at(0.0), at(1.0)]))
    }

    /// The affine function of which nothing but the sign is used; `Some(None)` where the variable does not occur.
    fn compared(&self) -> Option<Option<(f64, f64)>> {
        let join = |parts: &[&Pointwise]| {
            let mut all = None;
            for part in parts {
                match (part.compared()?, all) {
                    (Some(one), Some(other)) if one != other => return None,
                    (Some(one), _) => all = Some(one),
                    (None, _) => (),
                }
            }
            Some(all)
        };
        match self {
            Pointwise::Variable => None,
            Pointwise::Constant(_) => Some(None),
            Pointwise::Unary(UnaryFn::Sign, a) if a.is_affine().is_some_and(|a| a.0 != 0.0) => {
                Some(a.is_affine())
            }
            Pointwise::Unary(_, a) => join(&[a]),
            Pointwise::Binary(_, a, b) => join(&[a, b]),
            Pointwise::Select(c, a, b) => join(&[c, a, b]),
        }
    }

    /// The value where every affine function under a sign has this one.
    fn eval_by_sign(&self, sign: f64) -> f64 {
        match self {
            Pointwise::Variable => sign,
            Pointwise::Constant(c) => *c,
            Pointwise::Unary(UnaryFn::Sign, a) if a.is_affine().is_some_and(|a| a.0 != 0.0) => sign,
            Pointwise::Unary(f, a) => f.eval(a.eval_by_sign(sign)),
            Pointwise::Binary(f, a, b) => f.eval(a.eval_by_sign(sign), b.eval_by_sign(sign)),
            Pointwise::Select(c, a, b) => {
                let chosen = if c.eval_by_sign(sign) != 0.0 { a } else { b };
                chosen.eval_by_sign(sign)
            }
        }
    }

    /// The range that the variable is kept in, where that is all that the function does by its form.
    pub fn clamps(&self) -> Option<(f64, f64)> {
        match self {
            Pointwise::Variable => Some((f64::NEG_INFINITY, f64::INFINITY)),
            Pointwise::Unary(UnaryFn::Relu, a) => kept_by(BinaryFn::Max, a, 0.0),
            Pointwise::Binary(f, a, b) => match (&**a, &**b) {
                (Pointwise::Constant(end), a) | (a, Pointwise::Constant(end)) => {
                    kept_by(*f, a, *end)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the function may jump, by its form.
    pub fn may_jump(&self) -> bool {
        match self {
            Pointwise::Variable | Pointwise::Constant(_) => false,
            Pointwise::Unary(f, a) => {
                let jumps = [UnaryFn::Floor, UnaryFn::Ceil, UnaryFn::Round, UnaryFn::Sign];
                jumps.contains(f) || a.may_jump()
            }
            Pointwise::Binary(_, a, b) => a.may_jump() || b.may_jump(),
            Pointwise::Select(..) => true,
        }
    }

    /// The value of a function that is constant by its form.
    pub fn constant(&self) -> Option<f64> {
        match self {
            Pointwise::Constant(c) => Some(*c),
            _ => self
                .is_affine()
                .filter(|(slope, _)| *slope == 0.0)
                .map(|(_, offset)| offset),
        }
    }

    /// Number of operations, constants and variables.
    pub fn size(&self) -> usize {
        match self {
            Pointwise::Variable | Pointwise::Constant(_) => 1,
            Pointwise::Unary(_, a) => 1 + a.size(),
            Pointwise::Binary(_, a, b) => 1 + a.size() + b.size(),
            Pointwise::Select(c, a, b) => 1 + c.size() + a.size() + b.size(),
        }
    }

    /// `self(inner(x))`.
    pub fn compose(&self, inner: &Pointwise) -> Pointwise {
        match self {
            Pointwise::Variable => inner.clone(),
            Pointwise::Constant(c) => Pointwise::Constant(*c),
            Pointwise::Unary(f, a) => Pointwise::unary(*f, a.compose(inner)),
            Pointwise::Binary(f, a, b) => Pointwise::binary(*f, a.compose(inner), b.compose(inner)),
            Pointwise::Select(c, a, b) => {
                Pointwise::select(c.compose(inner), a.compose(inner), b.compose(inner))
            }
        }
    }

    /// The same function with fewer operations, and known functions called by name.
    pub fn simplify(&self) -> Pointwise {
        let folded = match self {
            Pointwise::Variable | Pointwise::Constant(_) => return self.clone(),
            Pointwise::Unary(f, a) => simplify_unary(*f, a.simplify()),
            Pointwise::Binary(f, a, b) => simplify_binary(*f, a.simplify(), b.simplify()),
            Pointwise::Select(c, a, b) => {
                Pointwise::select(c.simplify(), a.simplify(), b.simplify())
            }
        };
        match folded.is_affine() {
            Some((0.0, c)) => Pointwise::Constant(c),
            Some((1.0, 0.0)) => Pointwise::Variable,
            _ => folded,
        }
    }
}

fn kept_by(f: BinaryFn, argument: &Pointwise, end: f64) -> Option<(f64, f64)> {
    let (low, high) = argument.clamps()?;
    match f {
        BinaryFn::Max => Some((low.max(end), high.max(end))),
        BinaryFn::Min => Some((low.min(end), high.min(end))),
        _ => None,
    }
}

fn affine_binary(f: BinaryFn, (a, b): (f64, f64), (c, d): (f64, f64)) -> Option<(f64, f64)> {
    match f {
        BinaryFn::Add => Some((a + c, b + d)),
        BinaryFn::Sub => Some((a - c, b - d)),
        BinaryFn::Mul if a == 0.0 => Some((b * c, b * d)),
        BinaryFn::Mul if c == 0.0 => Some((a * d, b * d)),
        BinaryFn::Div if c == 0.0 => Some((a / d, b / d)),
        _ if a == 0.0 && c == 0.0 => Some((0.0, f.eval(b, d))),
        _ => None,
    }
}

fn simplify_unary(f: UnaryFn, argument: Pointwise) -> Pointwise {
    match (f, argument) {
        (UnaryFn::Neg, Pointwise::Unary(UnaryFn::Neg, a)) => *a,
        (UnaryFn::Ln, Pointwise::Binary(BinaryFn::Add, a, b)) => match (*a, *b) {
            (Pointwise::Unary(UnaryFn::Exp, a), Pointwise::Constant(1.0))
            | (Pointwise::Constant(1.0), Pointwise::Unary(UnaryFn::Exp, a)) => {
                Pointwise::Unary(UnaryFn::Softplus, a)
            }
            (a, b) => Pointwise::unary(f, Pointwise::binary(BinaryFn::Add, a, b)),
        },
        (_, argument) => Pointwise::unary(f, argument),
    }
}

fn simplify_binary(f: BinaryFn, a: Pointwise, b: Pointwise) -> Pointwise {
    use Pointwise::Constant;
    match (f, a, b) {
        (BinaryFn::Add, Constant(0.0), e) | (BinaryFn::Add | BinaryFn::Sub, e, Constant(0.0)) => e,
        (BinaryFn::Mul, Constant(1.0), e)
        | (BinaryFn::Mul | BinaryFn::Div | BinaryFn::Pow, e, Constant(1.0)) => e,
        (BinaryFn::Mul, Constant(0.0), _) | (BinaryFn::Mul, _, Constant(0.0)) => Constant(0.0),
        (BinaryFn::Max, Constant(f64::NEG_INFINITY), e)
        | (BinaryFn::Max, e, Constant(f64::NEG_INFINITY))
        | (BinaryFn::Min, Constant(f64::INFINITY), e)
        | (BinaryFn::Min, e, Constant(f64::INFINITY)) => e,
        (BinaryFn::Max, Constant(0.0), e) | (BinaryFn::Max, e, Constant(0.0)) => {
            Pointwise::unary(UnaryFn::Relu, e)
        }
        (BinaryFn::Pow, e, Constant(2.0)) => Pointwise::unary(UnaryFn::Square, e),
        (BinaryFn::Pow, e, Constant(0.5)) => Pointwise::unary(UnaryFn::Sqrt, e),
        (BinaryFn::Pow, e, Constant(-0.5)) => Pointwise::unary(UnaryFn::Rsqrt, e),
        (BinaryFn::Pow, e, Constant(-1.0)) | (BinaryFn::Div, Constant(1.0), e) => {
            Pointwise::unary(UnaryFn::Recip, e)
        }
        (BinaryFn::Mul, a, b) if a == b => Pointwise::unary(UnaryFn::Square, a),
        (BinaryFn::Mul, a, Pointwise::Unary(UnaryFn::Sigmoid, b)) if a == *b => {
            Pointwise::Unary(UnaryFn::Silu, b)
        }
        (BinaryFn::Mul, Pointwise::Unary(UnaryFn::Sigmoid, a), b) if *a == b => {
            Pointwise::Unary(UnaryFn::Silu, a)
        }
        (f, a, b) => Pointwise::binary(f, a, b),
    }
}

/// In Rust's notation, with `x` for the variable: `0.5 * x * (1 + tanh(x))`.
impl fmt::Display for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pointwise::Variable => f.write_str("x"),
            Pointwise::Constant(c) => write!(f, "{c}"),
            Pointwise::Unary(g, a) => write!(f, "{}({a})", format!("{g:?}").to_lowercase()),
            Pointwise::Binary(g, a, b) => {
                let symbol = match g {
                    BinaryFn::Add => "+",
                    BinaryFn::Sub => "-",
                    BinaryFn::Mul => "*",
                    BinaryFn::Div => "/",
                    _ => return write!(f, "{}({a}, {b})", format!("{g:?}").to_lowercase()),
                };
                operand(f, a)?;
                write!(f, " {symbol} ")?;
                operand(f, b)
            }
            Pointwise::Select(c, a, b) => write!(f, "select({c}, {a}, {b})"),
        }
    }
}

fn operand(f: &mut fmt::Formatter<'_>, e: &Pointwise) -> fmt::Result {
    match e {
        Pointwise::Binary(BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul | BinaryFn::Div, ..) => {
            write!(f, "({e})")
        }
        _ => write!(f, "{e}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::pointwise::*;

    fn x() -> Pointwise {
        Pointwise::Variable
    }

    fn c(value: f64) -> Pointwise {
        Pointwise::Constant(value)
    }

    #[test]
    fn affine_forms() {
        let scaled = Pointwise::binary(BinaryFn::Div, Pointwise::unary(UnaryFn::Neg, x()), c(4.0));
        let e = Pointwise::binary(BinaryFn::Sub, c(1.0), scaled);
        assert_eq!(e.is_affine(), Some((0.25, 1.0)));
        assert_eq!(
            Pointwise::unary(UnaryFn::Exp, c(0.0)).is_affine(),
            Some((0.0, 1.0))
        );
        assert_eq!(Pointwise::of(UnaryFn::Tanh).is_affine(), None);
        assert_eq!(Pointwise::binary(BinaryFn::Mul, x(), x()).is_affine(), None);
        assert_eq!(
            Pointwise::binary(BinaryFn::Div, c(1.0), x()).is_affine(),
            None
        );
    }

    #[test]
    fn known_functions_get_their_names() {
        let softplus = Pointwise::unary(
            UnaryFn::Ln,
            Pointwise::binary(BinaryFn::Add, c(1.0), Pointwise::of(UnaryFn::Exp)),
        );
        assert_eq!(softplus.simplify(), Pointwise::of(UnaryFn::Softplus));
        let silu = Pointwise::binary(BinaryFn::Mul, x(), Pointwise::of(UnaryFn::Sigmoid));
        assert_eq!(silu.simplify(), Pointwise::of(UnaryFn::Silu));
        let relu = Pointwise::binary(
            BinaryFn::Max,
            Pointwise::binary(BinaryFn::Mul, x(), c(1.0)),
            c(0.0),
        );
        assert_eq!(relu.simplify(), Pointwise::of(UnaryFn::Relu));
        assert_eq!(
            Pointwise::binary(BinaryFn::Pow, x(), c(2.0)).simplify(),
            Pointwise::of(UnaryFn::Square)
        );
    }

    #[test]
    fn simplification_keeps_values() {
        for e in [
            Pointwise::gelu_tanh(3.0),
            Pointwise::truncate(x()),
            Pointwise::step(x()),
        ] {
            let s = e.simplify();
            for i in -40..=40 {
                let at = i as f64 * 0.17;
                assert!((e.eval(at) - s.eval(at)).abs() < 1e-12, "{e} at {at}");
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(UnaryFn::Sigmoid.eval(-1e4), 0.0);
        assert_eq!(UnaryFn::Silu.eval(-1e4), 0.0);
        assert_eq!(UnaryFn::Softplus.eval(1e4), 1e4);
        assert_eq!(UnaryFn::Sign.eval(-0.0), 0.0);
        assert_eq!(UnaryFn::Round.eval(2.5), 2.0);
    }

    #[test]
    fn integers_divide_exactly() {
        let (a, b) = (9_007_199_254_740_991.0, 10.0);
        assert_eq!(BinaryFn::FloorDiv.eval(a, b), 900_719_925_474_099.0);
        assert_eq!(BinaryFn::FloorMod.eval(a, b), 1.0);
        assert_eq!(BinaryFn::FloorDiv.eval(-7.0, 2.0), -4.0);
        assert_eq!(BinaryFn::FloorMod.eval(-7.0, 2.0), 1.0);
        assert!(BinaryFn::FloorDiv.eval(1.0, 0.0).is_nan());
    }

    #[test]
    fn halves_go_to_even_however_they_were_computed() {
        let even = |x: f64| Rounding::Even.eval(x);
        assert_eq!([0.5, 1.5, -0.5, -2.5].map(even), [0.0, 2.0, 0.0, -2.0]);
        assert_eq!(even(25.0 * 0.1 * (1.0 / 0.2)), 12.0);
        assert_eq!(even(2.5 + 1e-14), 2.0);
        assert_eq!(even(77.4999973), 77.0);
        assert_eq!(even(77.5000027), 78.0);
        assert_eq!(even(3.0 - 1e-14), 3.0);
    }

    #[test]
    fn clamps_are_known_by_their_form() {
        let six = Pointwise::binary(BinaryFn::Min, Pointwise::of(UnaryFn::Relu), c(6.0));
        assert_eq!(six.clamps(), Some((0.0, 6.0)));
        assert_eq!(
            Pointwise::binary(BinaryFn::Max, c(-1.0), x()).clamps(),
            Some((-1.0, f64::INFINITY))
        );
        assert_eq!(Pointwise::binary(BinaryFn::Mul, c(2.0), x()).clamps(), None);
        assert_eq!(Pointwise::of(UnaryFn::Tanh).clamps(), None);
    }

    #[test]
    fn truncation_is_towards_zero() {
        let t = Pointwise::truncate(x());
        assert_eq!(
            [-2.7, -0.5, 0.0, 0.5, 2.7].map(|v| t.eval(v)),
            [-2.0, 0.0, 0.0, 0.0, 2.0]
        );
    }

    #[test]
    fn printing() {
        let e = Pointwise::binary(
            BinaryFn::Mul,
            c(0.5),
            Pointwise::binary(BinaryFn::Add, x(), c(1.0)),
        );
        assert_eq!(e.to_string(), "0.5 * (x + 1)");
        assert_eq!(Pointwise::of(UnaryFn::Tanh).to_string(), "tanh(x)");
    }
}
