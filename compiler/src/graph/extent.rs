//! What calibration saw of a value: its least and greatest element, over all and at each index of an axis that may be channels.

use crate::graph::MASKED;

/// Longest axis that is looked at index by index.
const MOST_CHANNELS: usize = 4096;
/// Channels whose magnitudes and spreads are all within this factor of the greatest are alike, however many elements were seen.
const ALIKE: f64 = 8.0;

/// How unlikely it is to be that one of very many channels of normal numbers differs by chance, as a negative power of ten.
const CHANCE_LOG10: f64 = 6.0;
/// About how many deviations from zero the greatest of a tensor is.
const DEVIATIONS: f64 = 3.0;

/// Nothing yet.
const NOTHING: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

/// Least and greatest element at each index of one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Channels {
    /// Which axis.
    pub axis: usize,
    /// For each index; the first greater than the second where nothing was seen.
    pub ranges: Vec<(f64, f64)>,
}

/// Ranges that are not widened to contain zero. As in [`Node::range`](crate::graph::Node::range), infinities and masks are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Extent {
    /// Of all elements.
    pub all: (f64, f64),
    /// Along the axes on which channels differ.
    pub channels: Vec<Channels>,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            all: NOTHING,
            channels: Vec::new(),
        }
    }
}

/// The axes of a tensor that may be channels: the second of images, the last of everything else.
pub fn channel_axes(shape: &[usize]) -> impl Iterator<Item = usize> {
    let last = shape.len().checked_sub(1);
    let second = Some(1).filter(|second| Some(*second) < last);
    let is_channels = |axis: &usize| (2..=MOST_CHANNELS).contains(&shape[*axis]);
    second.into_iter().chain(last).filter(is_channels)
}

/// The range with a number in it, unless that is a mask or none.
fn widened((low, high): (f64, f64), x: f64) -> (f64, f64) {
    // Rarely so, which the processor predicts.
    let lower = x < low && x > -MASKED;
    let higher = x > high && x < MASKED;
    (if lower { x } else { low }, if higher { x } else { high })
}

/// What is in one of two ranges.
fn joined(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// Within which factor of the greatest channels are alike of which so many elements were seen: few may all be small, or near each other.
fn alike(elements: usize) -> f64 {
    let chance = CHANCE_LOG10 / elements.saturating_sub(1) as f64;
    (DEVIATIONS * 10f64.powf(chance)).max(ALIKE)
}

/// Greatest magnitude in a range; zero if it is empty.
pub fn magnitude((low, high): (f64, f64)) -> f64 {
    match low <= high {
        true => low.abs().max(high.abs()),
        false => 0.0,
    }
}

/// How far apart the ends are; zero if the range is empty.
pub fn spread((low, high): (f64, f64)) -> f64 {
    (high - low).max(0.0)
}

fn range_of<T: Copy + Into<f64>>(elements: &[T]) -> (f64, f64) {
    let widen = |range, x: &T| widened(range, (*x).into());
    elements.iter().fold(NOTHING, widen)
}

impl Channels {
    /// Of a row-major tensor.
    fn of<T: Copy + Into<f64>>(axis: usize, shape: &[usize], elements: &[T]) -> Self {
        let inner: usize = shape[axis + 1..].iter().product();
        let mut ranges = vec![NOTHING; shape[axis]];
        if inner == 1 {
            for row in elements.chunks_exact(shape[axis]) {
                for (range, x) in ranges.iter_mut().zip(row) {
                    *range = widened(*range, (*x).into());
                }
            }
        } else if inner > 0 {
            let rows = elements.chunks_exact(inner);
            for (channel, row) in (0..shape[axis]).cycle().zip(rows) {
                ranges[channel] = joined(ranges[channel], range_of(row));
            }
        }
        Self { axis, ranges }
    }
}

impl Extent {
    /// Of a row-major tensor.
    pub fn of<T: Copy + Into<f64>>(shape: &[usize], elements: &[T]) -> Self {
        let channels: Vec<Channels> = channel_axes(shape)
            .map(|axis| Channels::of(axis, shape, elements))
            .collect();
        let all = match channels.last() {
            Some(Channels { ranges, .. }) => ranges.iter().copied().fold(NOTHING, joined),
            None => range_of(elements),
        };
        Self { all, channels }
    }

    /// What both saw.
    pub fn join(&mut self, other: Self) {
        self.all = joined(self.all, other.all);
        if self.channels.is_empty() {
            self.channels = other.channels;
            return;
        }
        for (mine, other) in self.channels.iter_mut().zip(other.channels) {
            for (mine, other) in mine.ranges.iter_mut().zip(other.ranges) {
                *mine = joined(*mine, other);
            }
        }
    }

    /// Forgets the axes along which channels are alike, as far as so many elements show.
    pub fn keep_uneven(&mut self, elements: usize) {
        let (greatest, widest) = (magnitude(self.all), spread(self.all));
        self.channels.retain(|Channels { ranges, .. }| {
            let alike = alike(elements / ranges.len());
            let differs = |range: &(f64, f64)| {
                magnitude(*range) * alike < greatest || spread(*range) * alike < widest
            };
            ranges.iter().any(differs)
        });
    }

    /// The ranges along an axis, if its channels differ.
    pub fn along(&self, axis: usize) -> Option<&[(f64, f64)]> {
        let known = self.channels.iter().find(|channels| channels.axis == axis);
        known.map(|channels| channels.ranges.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::extent::*;

    #[test]
    fn channels_are_seen_apart() {
        let elements = [1.0f32, 100.0, -1.0, f32::INFINITY, 0.5, -300.0];
        let mut extent = Extent::of(&[3, 2], &elements);
        assert_eq!(extent.all, (-300.0, 100.0));
        assert_eq!(extent.along(1), Some(&[(-1.0, 1.0), (-300.0, 100.0)][..]));
        extent.join(Extent::of(&[3, 2], &[2.0f32, 0.0, 0.0, 0.0, 0.0, 0.0]));
        assert_eq!(extent.along(1), Some(&[(-1.0, 2.0), (-300.0, 100.0)][..]));
        let mut few = extent.clone();
        few.keep_uneven(4);
        assert!(few.along(1).is_none());
        extent.keep_uneven(12);
        assert!(extent.along(1).is_some());
        let mut even = Extent::of(&[2, 2], &[1.0f32, 2.0, -1.0, -2.0]);
        even.keep_uneven(400);
        assert_eq!(even.channels, []);
    }

    #[test]
    fn images_have_channels_on_their_second_axis_too() {
        assert_eq!(channel_axes(&[1, 3, 8, 8]).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(channel_axes(&[5, 4]).collect::<Vec<_>>(), [1]);
        assert_eq!(channel_axes(&[7]).collect::<Vec<_>>(), [0]);
        assert_eq!(channel_axes(&[]).count(), 0);
        let image: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let extent = Extent::of(&[1, 2, 2, 2], &image);
        assert_eq!(extent.along(1), Some(&[(0.0, 3.0), (4.0, 7.0)][..]));
    }
}
