//! What a unit of a port's integers is worth: one real number for all elements, or one for each index of an axis, as the columns of a table
//! of features have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `real = integer * step`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scale {
    /// The same step for all elements.
    Uniform(#[serde(with = "step")] f64),
    /// A step for each index of one axis.
    Along {
        /// Which axis of the port's shape.
        axis: usize,
        /// As many as the axis is long.
        steps: Vec<f64>,
    },
}

/// A step in JSON. Minus infinity, for which JSON has no number, is the word that it is in files of tensors.
mod step {
    use serde::de::{Deserializer, Error};
    use serde::{Deserialize, Serializer};

    const WORD: &str = "-Infinity";

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Step {
        Number(f64),
        Word(String),
    }

    pub fn serialize<S: Serializer>(step: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *step {
            f64::NEG_INFINITY => serializer.serialize_str(WORD),
            step => serializer.serialize_f64(step),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Step::deserialize(deserializer)? {
            Step::Number(step) => Ok(step),
            Step::Word(word) if word == WORD => Ok(f64::NEG_INFINITY),
            Step::Word(word) => Err(D::Error::custom(format!("`{word}` is no step"))),
        }
    }
}

/// Elements of a port that have one step: all, or those at neighbouring indices of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Which axis, its least and its greatest index; `None` for all elements.
    pub along: Option<(usize, usize, usize)>,
    /// Real value of one unit.
    pub step: f64,
}

impl Run {
    /// Least and greatest real of integers in a range.
    pub fn ends(&self, (low, high): (i64, i64)) -> [f64; 2] {
        let [one, other] = [low, high].map(|end| real(end, self.step));
        [one.min(other), one.max(other)]
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.along {
            Some((axis, first, last)) if first < last => {
                write!(f, "{first} to {last} of axis {axis}")
            }
            Some((axis, only, _)) => write!(f, "{only} of axis {axis}"),
            None => write!(f, "all"),
        }
    }
}

/// What an integer of units means.
pub fn real(integer: i64, unit: f64) -> f64 {
    // The unit may be minus infinity.
    match integer {
        0 => 0.0,
        _ => integer as f64 * unit,
    }
}

impl Scale {
    /// The step of the element at each row-major position of a tensor of `shape`.
    pub fn of(&self, shape: &[usize]) -> impl Fn(usize) -> f64 {
        let (inner, steps) = match self {
            Self::Uniform(step) => (1, std::slice::from_ref(step)),
            Self::Along { axis, steps } => {
                let inner: usize = shape.iter().skip(axis + 1).product();
                (inner.max(1), steps.as_slice())
            }
        };
        move |element| steps[element / inner % steps.len()]
    }

    /// The coarsest step.
    pub fn coarsest(&self) -> f64 {
        match self {
            Self::Uniform(step) => *step,
            Self::Along { steps, .. } => steps.iter().copied().fold(0.0, f64::max),
        }
    }

    /// Whether it is of a port of this shape.
    pub fn fits(&self, shape: &[usize]) -> bool {
        match self {
            Self::Uniform(_) => true,
            Self::Along { axis, steps } => shape.get(*axis) == Some(&steps.len()),
        }
    }

    /// Neighbouring indices with one step, in order.
    pub fn runs(&self) -> Vec<Run> {
        let (axis, steps) = match self {
            Self::Uniform(step) => {
                return vec![Run {
                    along: None,
                    step: *step,
                }];
            }
            Self::Along { axis, steps } => (*axis, steps),
        };
        let mut first = 0;
        let runs = steps.chunk_by(|step, next| step == next).map(|same| {
            let last = first + same.len() - 1;
            let run = Run {
                along: Some((axis, first, last)),
                step: same[0],
            };
            first = last + 1;
            run
        });
        runs.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::scale::*;

    #[test]
    fn steps_follow_their_axis() {
        let along = |axis| Scale::Along {
            axis,
            steps: vec![1.0, 2.0],
        };
        let steps = |scale: &Scale, shape: &[usize]| {
            let elements = 0..shape.iter().product();
            elements.map(scale.of(shape)).collect::<Vec<_>>()
        };
        assert_eq!(steps(&along(1), &[2, 2]), [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(steps(&along(0), &[2, 2]), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(steps(&Scale::Uniform(3.0), &[2]), [3.0, 3.0]);
        assert!(along(1).fits(&[3, 2]) && !along(0).fits(&[3, 2]) && !along(2).fits(&[3, 2]));
    }

    #[test]
    fn equal_neighbours_are_one_run() {
        let scale = Scale::Along {
            axis: 0,
            steps: vec![0.5, 0.5, 2.0, 0.5],
        };
        let said = scale.runs();
        let said: Vec<String> = said
            .iter()
            .map(|run| format!("{run}: {}", run.step))
            .collect();
        let expected = [
            "0 to 1 of axis 0: 0.5",
            "2 of axis 0: 2",
            "3 of axis 0: 0.5",
        ];
        assert_eq!(said, expected);
        assert_eq!(scale.coarsest(), 2.0);
        let all = Scale::Uniform(0.5).runs();
        assert_eq!((all.len(), all[0].to_string()), (1, "all".into()));
    }

    #[test]
    fn a_uniform_scale_is_a_number_in_json() {
        for (scale, text) in [
            (Scale::Uniform(0.25), "0.25"),
            (Scale::Uniform(f64::NEG_INFINITY), "\"-Infinity\""),
            (
                Scale::Along {
                    axis: 1,
                    steps: vec![0.5, 4.0],
                },
                r#"{"axis":1,"steps":[0.5,4.0]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&scale).expect("writes"), text);
            assert_eq!(serde_json::from_str::<Scale>(text).expect("reads"), scale);
        }
    }
}
