//! How far an output is from the float model in one sample, relative to what the output spans there.
//!
//! An error counts relative to the spread of the output *in its own sample*, so that one outlier among the samples hides nothing. Where a
//! sample's output has no spread (one element, or all equal) it counts relative to the spread over all samples. And since an error far below
//! a value's own digits is none, the spread is never taken for less than a small share of the output's magnitude, or of what is typical.
//!
//! Channels of different magnitudes (boxes beside scores, an age beside an income) are judged by themselves as well: along axis 1 and the
//! last axis, each relative to its own spread over all samples. A channel within 0..1 counts absolutely: that is what probabilities are.
//!
//! *Fillings*, as masks put them into scores, are far beyond all else. They say nothing of the others' spread, and errors of theirs are
//! relative to themselves.

use crate::graph::{BinaryFn, Dtype, Graph, NodeId, Op, Rounding, Tensor};
use crate::ports::Port;
use crate::prepare::Prepared;

/// Share of its magnitude that an output's spread is not taken to be less than.
const MAGNITUDE: f64 = 1.0 / 25.0;
/// Share of the typical spread that a quiet sample's is not taken to be less than.
const TYPICAL: f64 = 1.0 / 256.0;
/// Share of its magnitude that is taken for the spread of an output which is the same in all samples.
const OF_MAGNITUDE: f64 = 0.2;
/// Share of samples at each end that the spread over samples leaves out: outliers.
const TRIMMED: f64 = 0.05;
/// Elements that a channel must have in all samples, for its spread to be known.
const CHANNEL_ELEMENTS: usize = 16;
/// Longest axis that is taken for channels.
const MOST_CHANNELS: usize = 4096;
/// Least magnitude of a filling.
const LEAST_FILLING: f64 = 9_999.0;
/// How many times it is beyond whatever is smaller.
const FILLING_GAP: f64 = 100.0;
/// What lies in 0..1 is taken to be a probability.
const PROBABILITY: std::ops::RangeInclusive<f64> = -1e-6..=1.0 + 1e-6;

/// Least and greatest finite element of some.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub low: f64,
    pub high: f64,
}

impl Default for Span {
    /// Of no element.
    fn default() -> Self {
        Self {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }
}

impl Span {
    pub fn of(elements: impl IntoIterator<Item = f64>) -> Self {
        let mut extent = Self::default();
        elements.into_iter().for_each(|x| extent.add(x));
        extent
    }

    pub fn add(&mut self, element: f64) {
        if element.is_finite() {
            self.low = self.low.min(element);
            self.high = self.high.max(element);
        }
    }

    pub fn and(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    pub fn spread(&self) -> f64 {
        (self.high - self.low).max(0.0)
    }

    pub fn magnitude(&self) -> f64 {
        match self.low <= self.high {
            true => self.high.abs().max(self.low.abs()),
            false => 0.0,
        }
    }

    fn is_probability(&self) -> bool {
        PROBABILITY.contains(&self.low) && PROBABILITY.contains(&self.high)
    }
}

/// The greatest error of some elements, and where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    pub index: usize,
    pub got: f64,
    pub expected: f64,
}

impl Worst {
    /// Of an output; infinities and NaN of the float model count for nothing here.
    pub fn of(got: &[f64], expected: &[f64]) -> Self {
        Self::by(got, expected, |worst| Some(worst.error()))
    }

    /// By a measure of its error; of the elements that have one.
    fn by(got: &[f64], expected: &[f64], measure: impl Fn(&Self) -> Option<f64>) -> Self {
        let pairs = got.iter().zip(expected).enumerate();
        let finite = pairs.filter(|(_, (_, expected))| expected.is_finite());
        let measured = finite.filter_map(|(index, (&got, &expected))| {
            let one = Self {
                index,
                got,
                expected,
            };
            measure(&one).map(|error| (error, one))
        });
        let worst = measured.reduce(|a, b| if b.0 > a.0 { b } else { a });
        worst.map(|(_, worst)| worst).unwrap_or_default()
    }

    pub fn error(&self) -> f64 {
        (self.got - self.expected).abs()
    }
}

/// The least magnitude of fillings; infinite if there are none.
fn least_filling(elements: &[f64]) -> f64 {
    let magnitudes = elements.iter().map(|x| x.abs());
    let mut magnitudes: Vec<f64> = magnitudes.filter(|x| x.is_finite()).collect();
    if magnitudes.iter().all(|x| *x < LEAST_FILLING) {
        return f64::INFINITY;
    }
    magnitudes.sort_by(f64::total_cmp);
    let beyond =
        |pair: &&[f64]| pair[1] >= LEAST_FILLING && pair[1] >= FILLING_GAP * pair[0].max(1.0);
    let jump = magnitudes.windows(2).find(beyond);
    jump.map_or(f64::INFINITY, |pair| pair[1])
}

/// The channels of an output along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// How many there are.
    len: usize,
    /// Distance of neighbours.
    stride: usize,
}

impl Axis {
    fn channel(self, index: usize) -> usize {
        index / self.stride % self.len
    }
}

/// Axes that an output of this shape may have channels along.
fn axes(shape: &[usize]) -> impl Iterator<Item = Axis> {
    let last = shape.len().checked_sub(1);
    let second = (shape.len() > 2).then_some(1);
    let axes = second
        .into_iter()
        .chain(last.filter(|axis| Some(*axis) != second));
    let axis = |axis: usize| Axis {
        len: shape[axis],
        stride: shape[axis + 1..].iter().product(),
    };
    let axes: Vec<Axis> = axes.map(axis).collect();
    axes.into_iter()
        .filter(|axis| (2..=MOST_CHANNELS).contains(&axis.len))
}

/// Whether integers are numbers in units of a scale. The float model sums these in single precision, so that of two integers on both sides
/// of a half it may take the wrong one: they count as numbers do.
fn is_quantized(graph: &Graph, id: NodeId) -> bool {
    let node = &graph.nodes[id];
    match &node.op {
        Op::Rescale {
            rounding: Rounding::Even,
            ..
        } => true,
        Op::Binary(BinaryFn::Max | BinaryFn::Min)
        | Op::MaxPool(_)
        | Op::Reshape
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Concat { .. }
        | Op::Pad { .. }
        | Op::Broadcast => (node.inputs.iter()).any(|input| is_quantized(graph, *input)),
        _ => false,
    }
}

/// What an output spans in floats: in each sample, and in each channel.
#[derive(Clone, Debug)]
pub struct Spans {
    /// Whether its elements are integers or booleans that are equal or wrong.
    exact: bool,
    samples: Vec<Span>,
    /// The least filling of each sample.
    fillings: Vec<f64>,
    channels: Vec<(Axis, Vec<Span>)>,
    elements: usize,
}

impl Spans {
    /// Of every output of a model.
    pub fn of_outputs(prepared: &Prepared) -> Vec<Self> {
        let ports = prepared.float.outputs.iter().zip(&prepared.graph.outputs);
        let spans = |(port, (_, id)): (&Port, &(String, NodeId))| {
            let exact = port.dtype != Dtype::Float32 && !is_quantized(&prepared.graph, *id);
            Self::new(exact, &port.shape)
        };
        ports.map(spans).collect()
    }

    fn new(exact: bool, shape: &[usize]) -> Self {
        let channels = axes(shape).map(|axis| (axis, vec![Span::default(); axis.len]));
        Self {
            exact,
            samples: Vec::new(),
            fillings: Vec::new(),
            channels: channels.collect(),
            elements: shape.iter().product(),
        }
    }

    /// One more sample.
    pub fn add(&mut self, expected: &Tensor) {
        let filling = match self.exact {
            true => f64::INFINITY,
            false => least_filling(&expected.data),
        };
        let others = expected.data.iter().filter(|x| x.abs() < filling);
        self.samples.push(Span::of(others.copied()));
        self.fillings.push(filling);
        for (axis, extents) in &mut self.channels {
            for (index, &x) in expected.data.iter().enumerate() {
                extents[axis.channel(index)].add(x);
            }
        }
    }

    /// As [`Self::units`], but what lies in 0..1 counts absolutely: probabilities.
    pub fn units_of_probabilities(&self) -> Units {
        let units = self.units();
        match self.whole().is_probability() {
            true => Units {
                samples: vec![1.0; self.samples.len()],
                ..units
            },
            false => units,
        }
    }

    fn whole(&self) -> Span {
        self.samples
            .iter()
            .copied()
            .fold(Span::default(), Span::and)
    }

    /// What errors are relative to, in every sample and in every channel.
    pub fn units(&self) -> Units {
        let whole = self.whole();
        let known = self.typical(whole);
        let magnitude = Some(whole.magnitude()).filter(|magnitude| *magnitude > 0.0);
        let magnitude = magnitude.unwrap_or(1.0);
        let typical = known.unwrap_or(magnitude);
        let of_sample = |extent: &Span| match extent.spread() {
            0.0 => typical.max(MAGNITUDE * extent.magnitude()),
            spread => spread
                .max(TYPICAL * typical)
                .max(MAGNITUDE * extent.magnitude()),
        };
        let of_channel = |extent: &Span| match extent.spread() {
            // As far as can be told it is a constant.
            0.0 => f64::INFINITY,
            _ if extent.is_probability() => 1.0,
            spread => spread.max(MAGNITUDE * extent.magnitude()),
        };
        let count = self.elements * self.samples.len();
        let channels = self.channels.iter();
        let channels =
            channels.filter(|(axis, _)| count / axis.len >= CHANNEL_ELEMENTS && !self.exact);
        Units {
            exact: self.exact,
            typical: known.unwrap_or(OF_MAGNITUDE * magnitude),
            samples: self.samples.iter().map(of_sample).collect(),
            fillings: self.fillings.clone(),
            channels: channels
                .map(|(axis, extents)| (*axis, extents.iter().map(of_channel).collect()))
                .collect(),
        }
    }

    /// The median of the samples' spreads. Where they have none, the spread over samples, without those at the ends if there are many;
    /// where that is none either, nothing is known.
    fn typical(&self, whole: Span) -> Option<f64> {
        let mut spreads: Vec<f64> = self.samples.iter().map(Span::spread).collect();
        spreads.retain(|spread| *spread > 0.0);
        spreads.sort_by(f64::total_cmp);
        if let Some(median) = spreads.get(spreads.len() / 2) {
            return Some(*median);
        }
        let mut values: Vec<f64> = self.samples.iter().map(|extent| extent.low).collect();
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let trimmed = match whole.is_probability() {
            true => 0,
            false => (TRIMMED * values.len() as f64) as usize,
        };
        let inner = Span::of(values[trimmed..values.len() - trimmed].iter().copied());
        let mut spreads = [inner.spread(), whole.spread()].into_iter();
        spreads.find(|unit| *unit > 0.0)
    }
}

/// What the errors of one output are relative to.
#[derive(Clone, Debug)]
pub struct Units {
    exact: bool,
    /// Of an input that is none of the samples.
    typical: f64,
    samples: Vec<f64>,
    fillings: Vec<f64>,
    channels: Vec<(Axis, Vec<f64>)>,
}

/// The greatest relative errors of an output in one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// Greatest error of the output.
    pub worst: Worst,
    /// What it is relative to.
    pub unit: f64,
    /// Relative to the output's spread; infinite for an integer that is another one.
    pub share: f64,
    /// Relative to its channel's spread, where that is known, and of which element.
    pub channel: Option<(f64, Worst)>,
}

impl Units {
    /// Of sample number `sample`.
    pub fn deviation(&self, sample: usize, got: &[f64], expected: &[f64]) -> Deviation {
        let filling = self.fillings[sample];
        let is_filling = |one: &Worst| one.expected.abs() >= filling;
        let filled = Worst::by(got, expected, |one| {
            is_filling(one).then(|| one.error() / one.expected.abs())
        });
        let mut worst = Worst::by(got, expected, |one| (!is_filling(one)).then(|| one.error()));
        let mut unit = self.samples[sample];
        if filled.error() * unit > worst.error() * filled.expected.abs() {
            (worst, unit) = (filled, filled.expected.abs());
        }
        let share = match worst.error() {
            0.0 => 0.0,
            _ if self.exact => f64::INFINITY,
            error => error / unit,
        };
        Deviation {
            worst,
            unit,
            share,
            channel: self.channel(got, expected),
        }
    }

    /// The greatest error on an input that is none of the samples, relative to what is typical of these. A decision that falls otherwise says
    /// nothing there, so integers are not compared.
    pub fn typical_share(&self, got: &[f64], expected: &[f64]) -> f64 {
        match self.exact {
            true => 0.0,
            false => Worst::of(got, expected).error() / self.typical,
        }
    }

    fn channel(&self, got: &[f64], expected: &[f64]) -> Option<(f64, Worst)> {
        let mut greatest: Option<(f64, Worst)> = None;
        for (axis, units) in &self.channels {
            for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
                let share = (got - expected).abs() / units[axis.channel(index)];
                if expected.is_finite() && greatest.is_none_or(|(most, _)| share > most) {
                    let worst = Worst {
                        index,
                        got,
                        expected,
                    };
                    greatest = Some((share, worst));
                }
            }
        }
        greatest
    }
}

#[cfg(test)]
mod tests {
    use crate::accuracy::deviation::*;

    /// Greatest share of the output's spread, and of a channel's, in each sample.
    fn shares(shape: &[usize], dtype: Dtype, samples: &[(&[f64], &[f64])]) -> Vec<(f64, f64)> {
        let mut spans = Spans::new(dtype != Dtype::Float32, shape);
        for (_, expected) in samples {
            spans.add(&Tensor::new(shape.to_vec(), expected.to_vec()));
        }
        let units = spans.units();
        let deviation = |(number, (got, expected)): (usize, &(&[f64], &[f64]))| {
            let deviation = units.deviation(number, got, expected);
            let round = |share: f64| (share * 1e9).round() / 1e9;
            let channel = deviation.channel.map_or(0.0, |(share, _)| share);
            (round(deviation.share), round(channel))
        };
        samples.iter().enumerate().map(deviation).collect()
    }

    #[test]
    fn fillings_hide_nothing() {
        let seen = shares(
            &[1, 3],
            Dtype::Float32,
            &[
                (&[0.0, 0.6, -1e4], &[0.0, 0.5, -1e4]),
                (&[0.0, 1.0, -9e3], &[0.0, 1.0, -1e4]),
                (&[0.0, -1e4, -3.1e38], &[0.0, -2e4, -3e38]),
            ],
        );
        assert_eq!(seen, [(0.2, 0.0), (0.1, 0.0), (0.5, 0.0)]);
    }

    #[test]
    fn an_outlier_hides_nothing() {
        let seen = shares(
            &[1, 3],
            Dtype::Float32,
            &[
                (&[0.0, 0.6, 1.0], &[0.0, 0.5, 1.0]),
                (&[0.0, 0.5, 1.0], &[0.0, 0.5, 1.0]),
                (&[0.0, 5e5, 1e6], &[0.0, 5e5, 1e6]),
            ],
        );
        assert_eq!(seen, [(0.1, 0.0), (0.0, 0.0), (0.0, 0.0)]);
    }

    #[test]
    fn one_element_counts_relative_to_all_samples() {
        let seen = shares(
            &[1],
            Dtype::Float32,
            &[(&[3.0], &[2.0]), (&[12.0], &[12.0])],
        );
        assert_eq!(seen, [(0.1, 0.0), (0.0, 0.0)]);
        assert_eq!(
            shares(&[1], Dtype::Float32, &[(&[3.0], &[2.0])]),
            [(0.5, 0.0)]
        );
        assert_eq!(
            shares(&[1], Dtype::Float32, &[(&[0.0], &[0.0])]),
            [(0.0, 0.0)]
        );
    }

    #[test]
    fn one_element_of_many_samples_leaves_outliers_out() {
        let mut values: Vec<[f64; 1]> = (0..40).map(|i| [100.0 + f64::from(i)]).collect();
        values.push([1e9]);
        let got: Vec<[f64; 1]> = values.iter().map(|v| [v[0] + 3.6]).collect();
        let samples: Vec<(&[f64], &[f64])> = (got.iter().zip(&values))
            .map(|(got, value)| (got.as_slice(), value.as_slice()))
            .collect();
        let seen = shares(&[1], Dtype::Float32, &samples);
        assert_eq!(seen[0], (0.1, 0.0));
    }

    #[test]
    fn a_quiet_sample_counts_by_what_is_typical() {
        let (loud, quiet): (&[f64], &[f64]) = (&[-1.0, 1.0], &[0.0, 1e-9]);
        let seen = shares(
            &[2],
            Dtype::Float32,
            &[(loud, loud), (loud, loud), (&[0.0, 1e-3], quiet)],
        );
        assert!((seen[2].0 - 1e-3 * 128.0).abs() < 1e-6, "{seen:?}");
        let far: &[f64] = &[1000.0, 1000.0 + 1e-3];
        let seen = shares(&[2], Dtype::Float32, &[(&[1001.0, 1000.0], far)]);
        assert!((seen[0].0 - 1.0 / 40.0).abs() < 1e-6, "{seen:?}");
    }

    #[test]
    fn integers_are_equal_or_wrong() {
        let near: &[f64] = &[10_000.0, 7.0];
        let seen = shares(
            &[2],
            Dtype::Int64,
            &[(&[10_000.0, 7.0], near), (&[10_001.0, 7.0], near)],
        );
        assert_eq!(seen, [(0.0, 0.0), (f64::INFINITY, 0.0)]);
    }

    #[test]
    fn channels_count_by_themselves() {
        // 640 and 3: one is 1/200 of the other's spread.
        let rows = |error: f64| {
            let row = |i: usize| [20.0 * i as f64, (i % 4) as f64 + error];
            (0..33).flat_map(row).collect::<Vec<f64>>()
        };
        let seen = shares(&[33, 2], Dtype::Float32, &[(&rows(1.5), &rows(0.0))]);
        assert_eq!(
            seen,
            [(1.5 / 640.0, 0.5)].map(|(a, b): (f64, f64)| ((a * 1e9).round() / 1e9, b))
        );
        // Probabilities, even small ones, count absolutely.
        let scores = |error: f64| {
            let row = |i: usize| [20.0 * i as f64, 1e-4 * (i % 4) as f64 + error];
            (0..33).flat_map(row).collect::<Vec<f64>>()
        };
        let seen = shares(&[33, 2], Dtype::Float32, &[(&scores(0.01), &scores(0.0))]);
        assert_eq!(seen[0].1, 0.01);
        let few = shares(
            &[2, 2],
            Dtype::Float32,
            &[(&[0.0, 3.0, 640.0, 2.0], &[0.0, 1.0, 640.0, 2.0])],
        );
        assert_eq!(few[0].1, 0.0);
    }
}
