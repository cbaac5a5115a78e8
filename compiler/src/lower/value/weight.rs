//! Dense real tensors with named axes: the constant factor of a term.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use crate::lower::value::Axis;

/// A dense row-major tensor labelled with axes. No axis occurs twice and none has length 1.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Axes, most significant first.
    pub axes: Vec<Axis>,
    /// Elements; shared, because values are copied freely while lowering.
    pub data: Rc<Vec<f64>>,
    /// How it came about.
    pub derivation: Derivation,
}

/// Equal elements over equal axes, however they came about.
impl PartialEq for Weight {
    fn eq(&self, other: &Self) -> bool {
        (&self.axes, &self.data) == (&other.axes, &other.data)
    }
}

/// Which constants of the graph a tensor was made from, and by which steps. What is equal and made alike was one tensor of the model, read twice;
/// what is equal by chance was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Derivation(u64);

impl Derivation {
    /// Of a constant of this number.
    pub fn of_constant(number: u32) -> Self {
        Self::step("constant", number)
    }

    fn step(name: &str, from: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (name, from).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Row-major strides of `axes`.
fn strides(axes: &[Axis]) -> Vec<i64> {
    let mut strides = vec![1; axes.len()];
    for i in (1..axes.len()).rev() {
        strides[i - 1] = strides[i] * axes[i].len as i64;
    }
    strides
}

/// Strides of a tensor over `own` along each of `axes`: zero where it is repeated.
pub fn strides_along(own: &[Axis], axes: &[Axis]) -> Vec<i64> {
    let steps = strides(own);
    axes.iter()
        .map(|axis| {
            own.iter()
                .position(|o| o.id == axis.id)
                .map_or(0, |i| steps[i])
        })
        .collect()
}

/// Calls `visit` with the positions in `N` strided tensors for every index of a row-major cube.
pub fn walk<const N: usize>(lens: &[usize], strides: [&[i64]; N], mut visit: impl FnMut([i64; N])) {
    if lens.contains(&0) {
        return;
    }
    let (outer, inner) = lens.split_at(lens.len().saturating_sub(1));
    let inner_len = inner.first().copied().unwrap_or(1);
    let inner_strides = strides.map(|s| s.last().copied().unwrap_or(0));
    let mut index = vec![0; outer.len()];
    let mut base = [0i64; N];
    loop {
        let mut at = base;
        for _ in 0..inner_len {
            visit(at);
            for (position, stride) in at.iter_mut().zip(inner_strides) {
                *position += stride;
            }
        }
        let Some(axis) = (0..outer.len())
            .rev()
            .find(|&axis| index[axis] + 1 < outer[axis])
        else {
            return;
        };
        index[axis] += 1;
        for (position, steps) in base.iter_mut().zip(strides) {
            *position += steps[axis];
            for (later, used) in index.iter().enumerate().skip(axis + 1) {
                *position -= steps[later] * *used as i64;
            }
        }
        index[axis + 1..].fill(0);
    }
}

impl Weight {
    /// A tensor over `axes` that is made from no constant; axes of length 1 are dropped.
    pub fn new(axes: Vec<Axis>, data: Vec<f64>) -> Self {
        Self::derived(axes, data, Derivation::default())
    }

    /// A tensor over `axes`; axes of length 1 are dropped.
    pub fn derived(axes: Vec<Axis>, data: Vec<f64>, derivation: Derivation) -> Self {
        Self::shared(axes, Rc::new(data), derivation)
    }

    fn shared(mut axes: Vec<Axis>, data: Rc<Vec<f64>>, derivation: Derivation) -> Self {
        axes.retain(|axis| axis.len != 1);
        debug_assert_eq!(
            axes.iter().map(|axis| axis.len).product::<usize>(),
            data.len()
        );
        Self {
            axes,
            data,
            derivation,
        }
    }

    /// `1` where `index` is in `0..len`, read along the affine map `offset + sum stride * axis`.
    pub fn inside(len: usize, offset: i64, parts: &[(Axis, i64)]) -> Self {
        let axes: Vec<Axis> = parts.iter().map(|&(axis, _)| axis).collect();
        let lens: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        let steps: Vec<i64> = parts.iter().map(|&(_, stride)| stride).collect();
        let mut data = Vec::with_capacity(lens.iter().product());
        walk(&lens, [&steps], |[at]| {
            data.push(f64::from((0..len as i64).contains(&(offset + at))))
        });
        Self::new(axes, data)
    }

    /// Whether the tensor varies along the axis `id`.
    pub fn mentions(&self, id: u32) -> bool {
        self.axes.iter().any(|axis| axis.id == id)
    }

    /// Elementwise function.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            axes: self.axes.clone(),
            data: Rc::new(self.data.iter().map(|&x| f(x)).collect()),
            derivation: Derivation::step("map", self.derivation),
        }
    }

    /// The same tensor with other axis names.
    pub fn rename(&self, name: impl Fn(Axis) -> Axis) -> Self {
        Self {
            axes: self.axes.iter().map(|&axis| name(axis)).collect(),
            data: Rc::clone(&self.data),
            derivation: self.derivation,
        }
    }

    /// The same elements in the order of `axes`, a superset of the tensor's; repeated along the others.
    pub fn over(&self, axes: &[Axis]) -> Self {
        let axes: Vec<Axis> = axes.iter().copied().filter(|axis| axis.len != 1).collect();
        if axes == self.axes {
            return self.clone();
        }
        let lens: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        let mut data = Vec::with_capacity(lens.iter().product());
        walk(&lens, [&strides_along(&self.axes, &axes)], |[at]| {
            data.push(self.data[at as usize])
        });
        Self::derived(axes, data, self.derivation)
    }

    /// The axes of either tensor, this one's first.
    pub fn union(&self, other: &Self) -> Vec<Axis> {
        let mut axes = self.axes.clone();
        axes.extend(
            other
                .axes
                .iter()
                .copied()
                .filter(|axis| !self.mentions(axis.id)),
        );
        axes
    }

    /// `f` of both, over the union of the axes.
    pub fn combine(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let axes = self.union(other);
        let lens: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        let mut data = Vec::with_capacity(lens.iter().product());
        let (left, right) = (
            strides_along(&self.axes, &axes),
            strides_along(&other.axes, &axes),
        );
        walk(&lens, [&left, &right], |[a, b]| {
            data.push(f(self.data[a as usize], other.data[b as usize]))
        });
        Self::derived(axes, data, self.with(other))
    }

    /// How something came about that is made from both.
    fn with(&self, other: &Self) -> Derivation {
        Derivation::step("both", (self.derivation, other.derivation))
    }

    /// Product over the union of the axes.
    pub fn product(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a * b)
    }

    /// `self * left + other * right` over the union of the axes.
    pub fn sum(&self, left: f64, other: &Self, right: f64) -> Self {
        self.combine(other, |a, b| a * left + b * right)
    }

    /// Sum over `summed` of the product; axes of `summed` that neither tensor mentions are ignored.
    pub fn contract(&self, other: &Self, summed: &[Axis]) -> Self {
        let union = self.union(other);
        let (inner, outer): (Vec<Axis>, Vec<Axis>) =
            union.iter().partition(|axis| summed.contains(axis));
        if inner.is_empty() {
            return self.product(other);
        }
        let axes: Vec<Axis> = outer.iter().chain(&inner).copied().collect();
        let lens: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        let mut data = vec![0.0; outer.iter().map(|axis| axis.len).product()];
        let (left, right) = (
            strides_along(&self.axes, &axes),
            strides_along(&other.axes, &axes),
        );
        let out = strides_along(&outer, &axes);
        walk(&lens, [&left, &right, &out], |[a, b, o]| {
            data[o as usize] += self.data[a as usize] * other.data[b as usize]
        });
        Self::derived(outer, data, self.with(other))
    }

    /// Sum over the axis `id`, if the tensor mentions it.
    pub fn sum_over(&self, axis: Axis) -> Self {
        Self::new(vec![], vec![1.0]).contract(self, &[axis])
    }

    /// Reads the axis `id` at `offset + sum stride * part`: the part axes take its place; zero outside.
    pub fn substitute(&self, id: u32, offset: i64, parts: &[(Axis, i64)]) -> Self {
        let Some(at) = self.axes.iter().position(|axis| axis.id == id) else {
            return self.clone();
        };
        let len = self.axes[at].len as i64;
        let own = strides(&self.axes);
        let mut axes = self.axes.clone();
        axes.splice(at..=at, parts.iter().map(|&(axis, _)| axis));
        let lens: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        let (mut index, mut rest) = (vec![0i64; axes.len()], vec![0i64; axes.len()]);
        for (i, slot) in rest.iter_mut().enumerate() {
            match i {
                i if i < at => *slot = own[i],
                i if i < at + parts.len() => index[i] = parts[i - at].1,
                i => *slot = own[i + 1 - parts.len()],
            }
        }
        let read: Vec<(usize, i64)> = parts.iter().map(|(axis, by)| (axis.len, *by)).collect();
        let derivation = Derivation::step("read", (self.derivation, at, offset, read));
        let mut data = Vec::with_capacity(lens.iter().product());
        walk(&lens, [&index, &rest], |[position, base]| {
            let position = position + offset;
            let inside = (0..len).contains(&position);
            data.push(if inside {
                self.data[(base + position * own[at]) as usize]
            } else {
                0.0
            });
        });
        Self::derived(axes, data, derivation)
    }

    /// Replaces the adjacent (after reordering) `factors`, most significant first, by the one axis `merged`.
    pub fn merge(&self, factors: &[Axis], merged: Axis) -> Self {
        if !factors.iter().any(|factor| self.mentions(factor.id)) {
            return self.clone();
        }
        let mut axes: Vec<Axis> = self
            .axes
            .iter()
            .copied()
            .filter(|axis| !factors.contains(axis))
            .collect();
        let kept = axes.len();
        axes.extend(factors);
        let ordered = self.over(&axes);
        axes.truncate(kept);
        axes.push(merged);
        Self::shared(axes, ordered.data, self.derivation)
    }

    /// The single value of all elements, if there is one.
    pub fn uniform(&self) -> Option<f64> {
        let first = *self.data.first()?;
        self.data.iter().all(|&x| x == first).then_some(first)
    }

    /// Without the axes along which nothing varies.
    pub fn reduced(&self) -> Self {
        let mut weight = self.clone();
        for axis in &self.axes {
            let at = weight
                .axes
                .iter()
                .position(|a| a == axis)
                .unwrap_or_default();
            let inner: usize = weight.axes[at + 1..].iter().map(|axis| axis.len).product();
            let repeats = |block: &[f64]| block.chunks(inner).all(|row| row == &block[..inner]);
            if axis.len > 0 && weight.data.chunks(inner * axis.len).all(repeats) {
                let data = weight
                    .data
                    .chunks(inner * axis.len)
                    .flat_map(|block| block[..inner].to_vec())
                    .collect();
                let mut axes = weight.axes.clone();
                axes.remove(at);
                weight = Self::derived(axes, data, self.derivation);
            }
        }
        weight
    }

    /// The least element.
    pub fn least(&self) -> f64 {
        self.data.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Greatest magnitude for each index of the axes that are not `summed`.
    pub fn greatest_over(&self, summed: &[Axis]) -> Self {
        let axes = self.axes.iter().copied();
        let kept: Vec<Axis> = axes.filter(|axis| !summed.contains(axis)).collect();
        let lens: Vec<usize> = self.axes.iter().map(|axis| axis.len).collect();
        let mut data = vec![0.0f64; kept.iter().map(|axis| axis.len).product()];
        let strides = [&self.axes, &kept].map(|own| strides_along(own, &self.axes));
        walk(&lens, [&strides[0], &strides[1]], |[at, to]| {
            let most = &mut data[to as usize];
            *most = most.max(self.data[at as usize].abs());
        });
        Self::derived(kept, data, Derivation::step("greatest", self.derivation))
    }

    /// Greatest magnitude.
    pub fn max_abs(&self) -> f64 {
        self.data.iter().fold(0.0, |max, x| max.max(x.abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(id: u32, len: usize) -> Axis {
        Axis { id, len }
    }

    fn counting(axes: &[Axis]) -> Weight {
        let len: usize = axes.iter().map(|axis| axis.len).product();
        Weight::new(axes.to_vec(), (0..len).map(|i| i as f64).collect())
    }

    #[test]
    fn over_transposes_and_repeats() {
        let (a, b, c) = (axis(0, 2), axis(1, 3), axis(2, 2));
        let moved = counting(&[a, b]).over(&[b, c, a]);
        assert_eq!(
            *moved.data,
            [0., 3., 0., 3., 1., 4., 1., 4., 2., 5., 2., 5.]
        );
        assert_eq!(moved.reduced().axes, [b, a]);
    }

    #[test]
    fn contract_is_a_matrix_product() {
        let (a, b, c) = (axis(0, 2), axis(1, 3), axis(2, 2));
        let product = counting(&[a, b]).contract(&counting(&[b, c]), &[b]);
        assert_eq!(*product.data, [10., 13., 28., 40.]);
        assert_eq!(*counting(&[a, b]).sum_over(a).data, [3., 5., 7.]);
    }

    #[test]
    fn substitute_reads_zero_outside() {
        let (a, b, y, k) = (axis(0, 2), axis(1, 3), axis(2, 2), axis(3, 2));
        let window = counting(&[a, b]).substitute(1, -1, &[(y, 2), (k, 1)]);
        assert_eq!(window.axes, [a, y, k]);
        assert_eq!(*window.data, [0., 0., 1., 2., 0., 3., 4., 5.]);
        assert_eq!(
            *Weight::inside(3, -1, &[(y, 2), (k, 1)]).data,
            [0., 1., 1., 1.]
        );
    }

    #[test]
    fn merge_orders_factors() {
        let (a, b, m) = (axis(0, 2), axis(1, 3), axis(2, 6));
        assert_eq!(
            *counting(&[b, a]).merge(&[a, b], m).data,
            [0., 2., 4., 1., 3., 5.]
        );
    }
}
