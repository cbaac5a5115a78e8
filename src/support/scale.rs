//! Reals of a port as integers, and back.

use zkiln_compiler::{Meaning, in_reals, integers_in_range};
use zkiln_runtime::error::ProveError;

use super::tensor::{Scalar, Tensor, filled};

/// How the integers of one port relate to reals.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// ONNX name.
    pub port: &'static str,
    /// Real value of one unit.
    pub unit: f64,
    /// Least and greatest integer.
    pub range: (i64, i64),
}

impl Scale {
    /// Every element as the nearest integer of units, halves away from zero.
    ///
    /// # Errors
    ///
    /// [`ProveError::InputRange`] for the first element out of range.
    pub fn quantize<T: Tensor>(&self, tensor: &T) -> Result<Vec<i64>, ProveError> {
        let mut elements = Vec::with_capacity(T::LEN);
        tensor.each(&mut |element| elements.push((element.to_integer(self.unit), element.real())));
        integers_in_range(self.port, self.unit, self.range, elements.into_iter())
    }

    /// The tensor of these integers of units.
    pub fn dequantize<T: Tensor>(&self, integers: &[i64]) -> T {
        filled(
            integers
                .iter()
                .map(|&integer| Scalar::from_integer(integer, self.unit)),
        )
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
