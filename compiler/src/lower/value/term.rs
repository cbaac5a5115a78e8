//! Algebra of a value's terms: substitution of axes, products, canonical order.

use crate::lower::value::*;

impl Term {
    /// A constant term.
    pub fn constant(weight: Weight) -> Self {
        match weight.uniform() {
            Some(scalar) => Self {
                factors: vec![],
                weight: None,
                scalar,
                summed: vec![],
            },
            None => Self {
                factors: vec![],
                weight: Some(weight),
                scalar: 1.0,
                summed: vec![],
            },
        }
    }

    /// `unit` times a column.
    pub fn view(view: View, unit: f64) -> Self {
        Self {
            factors: vec![view],
            weight: None,
            scalar: unit,
            summed: vec![],
        }
    }

    /// Whether no column occurs in it.
    pub fn is_constant(&self) -> bool {
        self.factors.is_empty()
    }

    /// Whether some column is read along the axis `id`.
    pub fn reads(&self, id: u32) -> bool {
        self.factors.iter().any(|view| view.mentions(id))
    }

    /// Whether the term varies along the axis `id`.
    pub fn mentions(&self, id: u32) -> bool {
        self.reads(id)
            || self
                .weight
                .as_ref()
                .is_some_and(|weight| weight.mentions(id))
    }

    pub(super) fn rename(&mut self, name: &impl Fn(Axis) -> Axis) {
        self.factors.iter_mut().for_each(|view| view.rename(name));
        self.weight = self.weight.take().map(|weight| weight.rename(name));
        self.summed.iter_mut().for_each(|axis| *axis = name(*axis));
    }

    /// Gives the summed axes new names, so that the term can be multiplied by another.
    pub fn freshen(&mut self, fresh: &Fresh) {
        for axis in self.summed.clone() {
            let new = fresh.axis(axis.len);
            self.rename(&|a| if a == axis { new } else { a });
        }
    }

    /// Multiplies the constant factor, over the union of the axes.
    pub fn multiply_weight(&mut self, weight: &Weight) {
        self.weight = Some(match &self.weight {
            None => weight.clone(),
            Some(own) => own.product(weight),
        });
    }

    /// Reads `axis` at `offset + sum stride * part`, zero outside its length.
    pub(super) fn substitute(&mut self, axis: Axis, offset: i64, parts: &[(Axis, i64)]) {
        let (lo, hi) = Index {
            len: axis.len,
            offset,
            parts: parts.to_vec(),
        }
        .span(0);
        let stays = lo >= 0 && hi < axis.len as i64;
        let zero_outside = self
            .weight
            .as_ref()
            .is_some_and(|weight| weight.mentions(axis.id))
            || self
                .factors
                .iter()
                .any(|view| view.index.iter().any(|index| index.leaves_with(axis)));
        for view in &mut self.factors {
            view.index
                .iter_mut()
                .for_each(|index| index.substitute(axis.id, offset, parts));
        }
        self.weight = self
            .weight
            .take()
            .map(|weight| weight.substitute(axis.id, offset, parts));
        if !stays && !zero_outside {
            self.multiply_weight(&Weight::inside(axis.len, offset, parts));
        }
    }

    /// Sums constants over axes that no column is read along, and gives summed axes canonical names. `None` if zero.
    pub(super) fn normalize(mut self) -> Option<Self> {
        for axis in std::mem::take(&mut self.summed) {
            if self.reads(axis.id) {
                self.summed.push(axis);
            } else if self.mentions(axis.id) {
                self.weight = self.weight.take().map(|weight| weight.sum_over(axis));
            } else {
                self.scalar *= axis.len as f64;
            }
        }
        if let Some(weight) = self.weight.take() {
            match weight.uniform() {
                Some(scalar) => self.scalar *= scalar,
                None => self.weight = Some(weight.reduced()),
            }
        }
        (self.scalar != 0.0).then(|| self.canonical())
    }

    /// Orders factors and names summed axes by first occurrence, such that equal products look equal.
    fn canonical(mut self) -> Self {
        let neutral = |axis: Axis| {
            if self.summed.contains(&axis) {
                Axis { id: SUMMED, ..axis }
            } else {
                axis
            }
        };
        self.factors.sort_by_cached_key(|view| {
            let mut view = view.clone();
            view.rename(&neutral);
            view
        });
        let best = orders(self.factors.len())
            .into_iter()
            .map(|order| self.named_in(&order))
            .min_by(|a, b| a.factors.cmp(&b.factors));
        best.unwrap_or(self)
    }

    fn named_in(&self, order: &[usize]) -> Self {
        let mut term = Self {
            factors: order.iter().map(|&i| self.factors[i].clone()).collect(),
            ..self.clone()
        };
        let mut seen: Vec<Axis> = vec![];
        for index in term.factors.iter().flat_map(|view| &view.index) {
            let mut parts: Vec<_> = index
                .parts
                .iter()
                .filter(|(axis, _)| self.summed.contains(axis))
                .collect();
            parts.sort_by_key(|&&(axis, stride)| (stride, axis.len));
            for &(axis, _) in parts {
                if !seen.contains(&axis) {
                    seen.push(axis);
                }
            }
        }
        let place = |axis: Axis| seen.iter().position(|&s| s == axis);
        term.rename(&|axis| {
            place(axis).map_or(axis, |i| Axis {
                id: SUMMED + i as u32,
                ..axis
            })
        });
        term.summed.sort();
        term.factors.sort();
        term
    }

    /// Adds `other` if it is a multiple of the same columns.
    pub(super) fn absorb(&mut self, other: &Self) -> bool {
        if self.factors != other.factors || self.summed != other.summed {
            return false;
        }
        match (&self.weight, &other.weight) {
            (None, None) => self.scalar += other.scalar,
            (left, right) => {
                let one = Weight::new(vec![], vec![1.0]);
                let (left, right) = (
                    left.as_ref().unwrap_or(&one),
                    right.as_ref().unwrap_or(&one),
                );
                let joint: usize = left.union(right).iter().map(|axis| axis.len).product();
                if joint > 4 * left.data.len().max(right.data.len()).max(256) {
                    return false;
                }
                self.weight = Some(left.sum(self.scalar, right, other.scalar));
                self.scalar = 1.0;
            }
        }
        true
    }
}

/// All orders of up to three factors; the given one for more.
fn orders(len: usize) -> Vec<Vec<usize>> {
    match len {
        0 | 1 => vec![(0..len).collect()],
        2 => vec![vec![0, 1], vec![1, 0]],
        3 => vec![
            vec![0, 1, 2],
            vec![0, 2, 1],
            vec![1, 0, 2],
            vec![1, 2, 0],
            vec![2, 0, 1],
            vec![2, 1, 0],
        ],
        _ => vec![(0..len).collect()],
    }
}
