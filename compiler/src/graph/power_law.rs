//! Powers and logarithms among the functions of one variable: those that are steep near zero, and equally precise everywhere in floating
//! point.

use crate::graph::{BinaryFn, Pointwise, UnaryFn};

/// `outer[0] max(slope x + offset, floor)^power + outer[1]`, or the logarithm in place of the power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// Neither 0 nor a natural number; `None` for the natural logarithm.
    pub power: Option<f64>,
    /// Factor of the variable.
    pub slope: f64,
    /// What is added to it.
    pub offset: f64,
    /// What it is at least; 0 where nothing keeps it above.
    pub floor: f64,
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

    /// At least so much, where nothing was added: a rising power of what is kept above the number that has this power.
    fn at_least(self, least: f64) -> Option<Self> {
        let power = self.power.filter(|power| *power > 0.0)?;
        let [factor, 0.0] = self.outer else {
            return None;
        };
        let floor = libm::pow(least / factor, power.recip());
        (factor > 0.0 && least > 0.0 && floor.is_finite()).then_some(Self {
            floor: floor.max(self.floor),
            ..self
        })
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

    /// `[c, b, a]` where the function is `a x^2 + b x + c` by its form, and no line.
    pub fn quadratic(&self) -> Option<[f64; 3]> {
        let coefficients = self.polynomial()?;
        let finite = coefficients.iter().all(|c| c.is_finite());
        (finite && coefficients[2] != 0.0).then_some(coefficients)
    }

    /// Coefficients of a polynomial of degree 2 at most, by its form, those of low powers first.
    fn polynomial(&self) -> Option<[f64; 3]> {
        let times = |[c, b, a]: [f64; 3], factor: f64| [c * factor, b * factor, a * factor];
        let sum = |p: [f64; 3], q: [f64; 3]| [p[0] + q[0], p[1] + q[1], p[2] + q[2]];
        let product = |p: [f64; 3], q: [f64; 3]| {
            let low = p[1] * q[2] == 0.0 && p[2] * q[1] == 0.0 && p[2] * q[2] == 0.0;
            let squares = p[0] * q[2] + p[1] * q[1] + p[2] * q[0];
            low.then_some([p[0] * q[0], p[0] * q[1] + p[1] * q[0], squares])
        };
        match self {
            Pointwise::Variable => Some([0.0, 1.0, 0.0]),
            Pointwise::Constant(c) => Some([*c, 0.0, 0.0]),
            Pointwise::Unary(UnaryFn::Neg, a) => Some(times(a.polynomial()?, -1.0)),
            Pointwise::Unary(UnaryFn::Square, a) => product(a.polynomial()?, a.polynomial()?),
            Pointwise::Binary(BinaryFn::Add, a, b) => Some(sum(a.polynomial()?, b.polynomial()?)),
            Pointwise::Binary(BinaryFn::Sub, a, b) => {
                Some(sum(a.polynomial()?, times(b.polynomial()?, -1.0)))
            }
            Pointwise::Binary(BinaryFn::Mul, a, b) => product(a.polynomial()?, b.polynomial()?),
            Pointwise::Binary(BinaryFn::Div, a, b) => {
                Some(times(a.polynomial()?, b.constant()?.recip()))
            }
            // What is never negative.
            Pointwise::Unary(UnaryFn::Abs | UnaryFn::Relu, a) if a.constant().is_none() => {
                let positive = |[c, b, a]: &[f64; 3]| *b == 0.0 && *c >= 0.0 && *a >= 0.0;
                a.polynomial().filter(positive)
            }
            _ => Some([self.constant()?, 0.0, 0.0]),
        }
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
                (BinaryFn::Max, _, Some(c)) => a.power_law()?.at_least(c),
                (BinaryFn::Max, Some(c), _) => b.power_law()?.at_least(c),
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
    let (inner, floor) = match inner {
        Pointwise::Binary(BinaryFn::Max, a, b) => match (a.constant(), b.constant()) {
            (None, Some(floor)) if floor > 0.0 => (&**a, floor),
            (Some(floor), None) if floor > 0.0 => (&**b, floor),
            _ => return None,
        },
        inner => (inner, 0.0),
    };
    let (slope, offset) = inner.is_affine().filter(|(slope, _)| *slope != 0.0)?;
    Some(PowerLaw {
        power,
        slope,
        offset,
        floor,
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
            Pointwise::unary(
                UnaryFn::Rsqrt,
                Pointwise::binary(BinaryFn::Max, x(), c(0.1)),
            ),
            Pointwise::binary(
                BinaryFn::Div,
                c(2.0),
                Pointwise::binary(BinaryFn::Max, Pointwise::of(UnaryFn::Sqrt), c(0.3)),
            ),
        ];
        for function in functions {
            let law = function.power_law().expect("a power law");
            for at in [0.01, 0.3, 7.0] {
                let inner = (law.slope * at + law.offset).max(law.floor);
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
    fn parabolas_are_what_the_functions_are() {
        let twice = Pointwise::binary(
            BinaryFn::Add,
            Pointwise::of(UnaryFn::Square),
            Pointwise::binary(BinaryFn::Mul, x(), x()),
        );
        let mean = Pointwise::binary(BinaryFn::Div, twice, c(2.0));
        assert_eq!(mean.quadratic(), Some([0.0, 0.0, 1.0]));
        let size = Pointwise::unary(UnaryFn::Abs, mean);
        assert_eq!(size.quadratic(), Some([0.0, 0.0, 1.0]));
        let moved = Pointwise::binary(BinaryFn::Sub, c(3.0), x());
        let product = Pointwise::binary(BinaryFn::Mul, moved.clone(), x());
        assert_eq!(product.quadratic(), Some([0.0, 3.0, -1.0]));
        let cube = Pointwise::binary(BinaryFn::Mul, product, x());
        for function in [moved, cube, Pointwise::of(UnaryFn::Exp)] {
            assert_eq!(function.quadratic(), None, "{function}");
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
        assert_eq!(Pointwise::power(2.0).quadratic(), Some([0.0, 0.0, 1.0]));
    }
}
