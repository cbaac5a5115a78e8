//! Powers and logarithms among the functions of one variable: those that are steep near zero, and equally precise everywhere in floating
//! point.

use crate::graph::{BinaryFn, Pointwise, UnaryFn};

/// `outer[0] (slope x + offset)^power + outer[1]`, or the logarithm in place of the power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// Neither 0 nor a natural number; `None` for the natural logarithm.
    pub power: Option<f64>,
    /// Factor of the variable.
    pub slope: f64,
    /// What is added to it.
    pub offset: f64,
    /// Factor of the power, and what is added to that.
    pub outer: [f64; 2],
}

impl PowerLaw {
    /// What `slope x` reaches, widened to contain 0.
    pub fn inner_range(&self, (low, high): (f64, f64)) -> (f64, f64) {
        let ends = [self.slope * low, self.slope * high];
        (ends[0].min(ends[1]).min(0.0), ends[0].max(ends[1]).max(0.0))
    }

    fn then(self, factor: f64, offset: f64) -> Self {
        let outer = [self.outer[0] * factor, self.outer[1] * factor + offset];
        Self { outer, ..self }
    }

    /// The power of it, where nothing was added.
    fn raised(self, power: f64) -> Option<Self> {
        let [factor, 0.0] = self.outer else {
            return None;
        };
        let raised = self.power? * power;
        let outer = [libm::pow(factor, power), 0.0];
        (outer[0].is_finite() && is_law(raised)).then_some(Self {
            power: Some(raised),
            outer,
            ..self
        })
    }
}

/// Whether a power is no polynomial.
fn is_law(power: f64) -> bool {
    power.is_finite() && (power < 0.0 || power.fract() != 0.0)
}

impl Pointwise {
    /// `x^power`.
    pub fn power(power: f64) -> Pointwise {
        let pow = Pointwise::binary(
            BinaryFn::Pow,
            Pointwise::Variable,
            Pointwise::Constant(power),
        );
        pow.simplify()
    }

    /// Whether the function is the square.
    pub fn is_square(&self) -> bool {
        *self == Pointwise::of(UnaryFn::Square)
    }

    /// Whether the function is a multiple of an exponential of an affine function.
    pub fn is_exponential(&self) -> bool {
        match self {
            Pointwise::Unary(UnaryFn::Exp, a) => a.is_affine().is_some(),
            Pointwise::Unary(UnaryFn::Neg, a) => a.is_exponential(),
            Pointwise::Binary(BinaryFn::Mul, a, b) => {
                (a.is_exponential() && b.constant().is_some())
                    || (b.is_exponential() && a.constant().is_some())
            }
            Pointwise::Binary(BinaryFn::Div, a, b) => a.is_exponential() && b.constant().is_some(),
            _ => false,
        }
    }

    /// The function as a power law, if it is one by its form.
    pub fn power_law(&self) -> Option<PowerLaw> {
        match self {
            Pointwise::Unary(UnaryFn::Ln, a) => law(None, a),
            Pointwise::Unary(UnaryFn::Sqrt, a) => of_power(0.5, a),
            Pointwise::Unary(UnaryFn::Rsqrt, a) => of_power(-0.5, a),
            Pointwise::Unary(UnaryFn::Recip, a) => of_power(-1.0, a),
            Pointwise::Unary(UnaryFn::Neg, a) => Some(a.power_law()?.then(-1.0, 0.0)),
            Pointwise::Binary(f, a, b) => match (f, a.constant(), b.constant()) {
                (BinaryFn::Pow, _, Some(power)) => of_power(power, a),
                (BinaryFn::Div, Some(c), _) => Some(of_power(-1.0, b)?.then(c, 0.0)),
                (BinaryFn::Add, _, Some(c)) => Some(a.power_law()?.then(1.0, c)),
                (BinaryFn::Add, Some(c), _) => Some(b.power_law()?.then(1.0, c)),
                (BinaryFn::Sub, _, Some(c)) => Some(a.power_law()?.then(1.0, -c)),
                (BinaryFn::Sub, Some(c), _) => Some(b.power_law()?.then(-1.0, c)),
                (BinaryFn::Mul, _, Some(c)) => Some(a.power_law()?.then(c, 0.0)),
                (BinaryFn::Mul, Some(c), _) => Some(b.power_law()?.then(c, 0.0)),
                (BinaryFn::Div, _, Some(c)) => Some(a.power_law()?.then(1.0 / c, 0.0)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn law(power: Option<f64>, inner: &Pointwise) -> Option<PowerLaw> {
    let (slope, offset) = inner.is_affine().filter(|(slope, _)| *slope != 0.0)?;
    Some(PowerLaw {
        power,
        slope,
        offset,
        outer: [1.0, 0.0],
    })
}

fn of_power(power: f64, inner: &Pointwise) -> Option<PowerLaw> {
    match is_law(power) {
        true => law(Some(power), inner).or_else(|| inner.power_law()?.raised(power)),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x() -> Pointwise {
        Pointwise::Variable
    }

    fn c(value: f64) -> Pointwise {
        Pointwise::Constant(value)
    }

    #[test]
    fn laws_are_what_the_functions_are() {
        let shifted = |f| Pointwise::unary(f, Pointwise::binary(BinaryFn::Add, x(), c(0.5)));
        let functions = [
            shifted(UnaryFn::Ln),
            shifted(UnaryFn::Rsqrt),
            Pointwise::binary(BinaryFn::Div, c(3.0), shifted(UnaryFn::Sqrt)),
            Pointwise::binary(BinaryFn::Sub, c(1.0), shifted(UnaryFn::Recip)),
            Pointwise::binary(BinaryFn::Pow, x(), c(1.7)),
            Pointwise::unary(UnaryFn::Neg, shifted(UnaryFn::Sqrt)),
        ];
        for function in functions {
            let law = function.power_law().expect("a power law");
            for at in [0.01, 0.3, 7.0] {
                let inner = law.slope * at + law.offset;
                let power = law.power.map_or_else(|| inner.ln(), |p| inner.powf(p));
                let value = law.outer[0] * power + law.outer[1];
                assert!(
                    (value - function.eval(at)).abs() < 1e-9,
                    "{function} at {at}"
                );
            }
        }
    }

    #[test]
    fn others_are_none() {
        let cube = Pointwise::binary(BinaryFn::Pow, x(), c(3.0));
        let root = Pointwise::unary(UnaryFn::Sqrt, Pointwise::of(UnaryFn::Square));
        for function in [x(), cube, root, Pointwise::of(UnaryFn::Exp)] {
            assert_eq!(function.power_law(), None, "{function}");
        }
        assert!(Pointwise::of(UnaryFn::Exp).is_exponential());
        assert!(Pointwise::power(2.0).is_square());
    }
}
