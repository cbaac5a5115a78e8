//! Reals of a port as integers, and back.

use zkiln_compiler::{Element, Meaning, in_reals, integers_in_range};
use zkiln_runtime::error::ProveError;

use super::tensor::{Scalar, Tensor, filled};

/// How the integers of one port relate to reals.
#[derive(Clone, Copy, Debug)]
pub struct Scale<U = f64> {
    /// ONNX name.
    pub port: &'static str,
    /// Real value of one unit.
    pub unit: U,
    /// Least and greatest integer.
    pub range: (i64, i64),
}

/// Real values of one unit, for each element in row-major order.
pub trait Units: Copy {
    /// That of an element.
    fn of(self, element: usize) -> f64;
}

/// One for all.
impl Units for f64 {
    fn of(self, _: usize) -> f64 {
        self
    }
}

/// One for each index of an axis.
#[derive(Clone, Copy, Debug)]
pub struct Along {
    /// How many neighbouring elements have one index: the product of the later axes' lengths.
    pub inner: usize,
    /// For each index.
    pub steps: &'static [f64],
}

impl Units for Along {
    fn of(self, element: usize) -> f64 {
        self.steps[element / self.inner % self.steps.len()]
    }
}

impl<U: Units> Scale<U> {
    /// Every element as the nearest integer of units, halves away from zero.
    ///
    /// # Errors
    ///
    /// [`ProveError::InputRange`] for the first element out of range.
    pub fn quantize<T: Tensor>(&self, tensor: &T) -> Result<Vec<i64>, ProveError> {
        let mut elements = Vec::with_capacity(T::LEN);
        tensor.each(&mut |element| {
            let unit = self.unit.of(elements.len());
            elements.push(Element {
                integer: element.to_integer(unit),
                real: element.real(),
                unit,
            });
        });
        integers_in_range(self.port, self.range, elements.into_iter())
    }

    /// The tensor of these integers of units.
    pub fn dequantize<T: Tensor>(&self, integers: &[i64]) -> T {
        let elements = integers.iter().enumerate();
        filled(elements.map(|(at, &integer)| Scalar::from_integer(integer, self.unit.of(at))))
    }
}

/// An error about a node's integers as one about real numbers; for each node the real value of one, and what zero stands for.
pub fn error_in_reals(error: ProveError, meanings: &[(&str, f64, f64)]) -> ProveError {
    let nodes = meanings.iter();
    let nodes = nodes.map(|&(node, step, offset)| (node, Meaning { step, offset }));
    in_reals(error, nodes)
}

/// The integers of one port; none if there is no such port.
pub fn tensor(tensors: &[Vec<i64>], port: usize) -> &[i64] {
    tensors.get(port).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale {
        port: "x",
        unit: 0.25,
        range: (-4, 3),
    };

    #[test]
    fn reals_in_range_roundtrip_to_the_nearest_unit() {
        let integers = SCALE.quantize(&[[-1.0f32, 0.124], [0.125, 0.75]]);
        assert_eq!(integers, Ok(vec![-4, 0, 1, 3]));
        assert_eq!(
            SCALE.dequantize::<[f32; 3]>(&[-4, 1, 3]),
            [-1.0, 0.25, 0.75]
        );
    }

    #[test]
    fn columns_have_steps_of_their_own() {
        let scale = Scale {
            port: "x",
            unit: Along {
                inner: 1,
                steps: &[0.25, 100.0],
            },
            range: (-4, 3),
        };
        let reals = [[-1.0f32, 300.0], [0.5, -100.0]];
        assert_eq!(scale.quantize(&reals), Ok(vec![-4, 3, 2, -1]));
        assert_eq!(scale.dequantize::<[[f32; 2]; 2]>(&[-4, 3, 2, -1]), reals);
        let error = scale
            .quantize(&[[0.0f32, 300.0], [2.0, 0.0]])
            .expect_err("out of range");
        assert!(error.to_string().contains("element 2: 2 is outside"));
    }

    #[test]
    fn the_first_outlier_is_named() {
        for (bad, value) in [
            (0.9f32, "0.8999999761581421"),
            (f32::NAN, "NaN"),
            (f32::INFINITY, "inf"),
        ] {
            let error = SCALE.quantize(&[0.0, bad, -9.0]).expect_err("out of range");
            assert_eq!(
                error.to_string(),
                format!(
                    "input `x`, element 1: {value} is outside the calibrated range -1..=0.75; \
                     give sample inputs that cover it when compiling"
                )
            );
        }
    }

    #[test]
    fn a_missing_port_has_no_elements() {
        assert_eq!(tensor(&[vec![1]], 0), [1]);
        assert!(tensor(&[], 0).is_empty());
    }
}
