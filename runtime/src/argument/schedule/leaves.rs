//! Where lookups and tables lie among the leaves of the lookup argument.

use crate::error::VerifyError;
use crate::statement::model::{Model, TableId};
use crate::statement::relations::Lookup;

/// Most leaves, those between blocks among them.
const MAX_LEAVES: u64 = 1 << 40;

/// What a block of leaves is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Index into the model's lookups: numerator 1.
    Lookup(usize),
    /// A table: numerator minus its multiplicity.
    Table(TableId),
}

/// An aligned cube of leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// First leaf, a multiple of `2^len_log2`.
    pub first: usize,
    /// log2 of its leaves.
    pub len_log2: u32,
}

/// All leaves: lookups by falling size, then tables by rising size, each aligned to its size. Leaves between and after blocks are the fraction 0/1.
#[derive(Debug)]
pub struct LeafLayout {
    /// In order of their first leaf.
    pub blocks: Vec<Block>,
    /// Leaves of lookups.
    pub unit: usize,
    /// End of the last block.
    pub len: usize,
    /// log2 of the padded number of leaves.
    pub len_log2: usize,
}

// verify-path: begin
impl LeafLayout {
    /// Lays out the lookups and the tables of `model`.
    pub fn new(model: &Model, lookups: &[Lookup]) -> Result<Self, VerifyError> {
        let size = |lookup: &Lookup| {
            lookup
                .entries
                .first()
                .map(|entry| entry.accumulator.len_log2())
        };
        let mut order = Vec::with_capacity(lookups.len());
        for (index, lookup) in lookups.iter().enumerate() {
            order.push((
                size(lookup).ok_or(VerifyError::Key("a lookup has no entries"))?,
                BlockKind::Lookup(index),
            ));
        }
        order.sort_by_key(|&(len_log2, _)| std::cmp::Reverse(len_log2));
        let mut tables: Vec<_> = (0u32..)
            // len: tables
            .zip(model.tables.iter())
            .map(|(id, table)| (u32::from(table.len_log2), BlockKind::Table(TableId(id))))
            .collect();
        tables.sort_by_key(|&(len_log2, _)| len_log2);
        let mut layout = Self {
            blocks: Vec::with_capacity(order.len().saturating_add(tables.len())),
            unit: 0,
            len: 0,
            len_log2: 0,
        };
        for (len_log2, kind) in order {
            layout.push(kind, len_log2)?;
        }
        layout.unit = layout.len;
        for (len_log2, kind) in tables {
            layout.push(kind, len_log2)?;
        }
        layout.len_log2 = layout
            .len
            .checked_next_power_of_two()
            .ok_or(VerifyError::Key("too many lookups"))?
            .trailing_zeros() as usize;
        Ok(layout)
    }

    fn push(&mut self, kind: BlockKind, len_log2: u32) -> Result<(), VerifyError> {
        const TOO_MANY: VerifyError = VerifyError::Key("too many lookups");
        let size = 1usize.checked_shl(len_log2).ok_or(TOO_MANY)?;
        let first = self.len.checked_next_multiple_of(size).ok_or(TOO_MANY)?;
        self.blocks.push(Block {
            kind,
            first,
            len_log2,
        });
        self.len = first
            .checked_add(size)
            .filter(|&end| end as u64 <= MAX_LEAVES)
            .ok_or(TOO_MANY)?;
        Ok(())
    }
}
// verify-path: end
