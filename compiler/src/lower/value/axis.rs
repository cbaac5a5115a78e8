//! Index variables.

use std::cell::Cell;

/// An index variable. Axes of length 1 never occur in values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    /// Unique name.
    pub id: u32,
    /// How many indices it takes.
    pub len: usize,
}

/// Source of new axes.
#[derive(Debug, Default)]
pub struct Fresh(Cell<u32>);

impl Fresh {
    /// A number that was not given before.
    pub fn number(&self) -> u32 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }

    /// An axis that no value mentions yet.
    pub fn axis(&self, len: usize) -> Axis {
        let id = self.number();
        Axis { id, len }
    }

    /// Axes of a tensor of `shape`: one factor a dimension, none for length 1.
    pub fn dims(&self, shape: &[usize]) -> Vec<Vec<Axis>> {
        shape
            .iter()
            .map(|&len| {
                if len == 1 {
                    vec![]
                } else {
                    vec![self.axis(len)]
                }
            })
            .collect()
    }
}
