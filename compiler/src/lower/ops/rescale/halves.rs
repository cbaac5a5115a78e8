//! How near the multiples of a real number come to halves: what decides how finely it must be known for its multiples to be rounded right.

/// Bits of a fraction of one, in fixed point.
const FRACTION_BITS: u32 = 76;
/// Longest interval that is examined, in bits.
const MOST_BITS: u32 = 46;
/// Error of a factor or a constant relative to itself: a few operations in double precision.
const ROUNDED: f64 = 1.0 / (1u64 << 50) as f64;

/// `x = factor * a + constant` for the integers `a` in `least..=greatest`, which are sums of other integers and `moved`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub factor: f64,
    pub constant: f64,
    pub least: i128,
    pub greatest: i128,
    pub moved: i128,
}

impl Line {
    /// The part of it on which `x` is in a range.
    pub fn within(self, (low, high): (f64, f64)) -> Line {
        if self.factor == 0.0 {
            return self;
        }
        let ends = [low, high].map(|x| ((x - self.constant) / self.factor).clamp(-1e36, 1e36));
        Line {
            least: self.least.max(ends[0].min(ends[1]).floor() as i128),
            greatest: self.greatest.min(ends[0].max(ends[1]).ceil() as i128),
            ..self
        }
    }

    fn len(&self) -> i128 {
        (self.greatest - self.least + 1).max(0)
    }

    fn most(&self) -> f64 {
        self.least.unsigned_abs().max(self.greatest.unsigned_abs()) as f64
    }

    /// How exactly `x` is known.
    pub fn uncertainty(&self) -> f64 {
        let fixed = f64::from(FRACTION_BITS).exp2().recip();
        ROUNDED * (self.most() * self.factor.abs() + self.constant.abs()) + self.most() * fixed
    }

    /// Greatest error of `x` if the factor and the constant, `factor * moved` included, are rounded to multiples of `2^-bits`; none if they
    /// are such multiples.
    pub fn error(&self, bits: u32) -> f64 {
        let off = |x: f64| {
            let scaled = x * f64::from(bits).exp2();
            (scaled - scaled.round()).abs() / f64::from(bits).exp2()
        };
        let summed = [self.least, self.greatest].map(|a| (a - self.moved).unsigned_abs());
        let summed = summed[0].max(summed[1]) as f64;
        let constant = self.constant + self.factor * self.moved as f64;
        match (off(self.factor), off(constant)) {
            (0.0, 0.0) => 0.0,
            (factor, constant) => factor * summed + constant + self.uncertainty(),
        }
    }

    /// For how many `a` is `x` at most `distance` from a half; `None` if there are too many to tell.
    pub fn near_halves(&self, distance: f64) -> Option<i128> {
        let len = self.len();
        if distance >= 0.5 || len == 0 {
            return Some(len);
        }
        if len >> MOST_BITS != 0
            || self.most() >= f64::from(MOST_BITS).exp2()
            || self.factor.abs() > 1e12
            || self.constant.abs() > 1e12
        {
            return None;
        }
        let modulus = 1i128 << FRACTION_BITS;
        let fixed = |x: f64| (x * f64::from(FRACTION_BITS).exp2()).round() as i128;
        let (step, width) = (fixed(self.factor).rem_euclid(modulus), fixed(distance));
        let first = step * self.least + fixed(self.constant - 0.5) + width;
        let first = first.rem_euclid(modulus);
        // `floor(v / modulus) - floor((v - 2 width - 1) / modulus)` is 1 where the fraction of `v` is at most `2 width`, else 0.
        let below = floor_sum(len, modulus, step, first + modulus - 2 * width - 1) - len;
        Some(floor_sum(len, modulus, step, first) - below)
    }
}

/// `sum of floor((a i + b) / m)` over `0 <= i < n`, for `a, b >= 0`: Euclid's algorithm on the points below a line.
fn floor_sum(mut n: i128, mut m: i128, mut a: i128, mut b: i128) -> i128 {
    let mut sum = 0;
    loop {
        sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
        (a, b) = (a % m, b % m);
        let top = a * n + b;
        if top < m {
            return sum;
        }
        (n, b) = (top / m, top % m);
        (m, a) = (a, m);
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::ops::rescale::halves::*;

    fn counted(line: &Line, distance: f64) -> i128 {
        let near = |a: &i128| {
            let x = line.factor * *a as f64 + line.constant;
            (x - x.floor() - 0.5).abs() <= distance
        };
        (line.least..=line.greatest).filter(near).count() as i128
    }

    #[test]
    fn near_halves_are_counted() {
        for (factor, constant) in [
            (0.25, 0.0),
            (0.3, 0.0),
            (-0.0173, 0.2),
            (1.0 / 7.0, -12.4),
            (std::f64::consts::PI, 0.0),
            (0.0, 0.5),
        ] {
            for distance in [1e-9, 0.0031, 0.1003, 0.4901, 0.7] {
                let line = Line {
                    factor,
                    constant,
                    least: -1234,
                    greatest: 987,
                    moved: 0,
                };
                let counted = counted(&line, distance);
                assert_eq!(
                    line.near_halves(distance),
                    Some(counted),
                    "{line:?} {distance}"
                );
            }
        }
    }

    #[test]
    fn an_interval_is_cut_to_a_range() {
        let line = Line {
            factor: -0.5,
            constant: 3.0,
            least: -100,
            greatest: 100,
            moved: 0,
        };
        let cut = line.within((0.0, 10.0));
        assert_eq!((cut.least, cut.greatest), (-14, 6));
        assert_eq!(line.within((200.0, 300.0)).near_halves(0.1), Some(0));
    }

    #[test]
    fn dyadic_lines_are_exact() {
        let line = Line {
            factor: 0.375,
            constant: 0.5,
            least: 0,
            greatest: 9,
            moved: 0,
        };
        assert_eq!(line.error(3), 0.0);
        assert!(line.error(2) > 0.0);
    }
}
