//! The columns and tables of the program under construction.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

use zkiln_runtime::model::{ColumnId, ColumnKind, Structure, TableId};

use crate::lower::value::weight::Derivation;

/// A committed column and what is known of it.
#[derive(Debug)]
pub struct ColumnPlan {
    /// Unique.
    pub name: String,
    /// Constant, witness or structural.
    pub kind: ColumnKind,
    /// True lengths.
    pub shape: Vec<u32>,
    /// Least and greatest value, for certain.
    pub bounds: (i64, i64),
    /// Elements of a constant.
    pub data: Vec<i32>,
}

/// All columns, in order of creation.
#[derive(Debug, Default)]
pub struct Columns {
    list: Vec<ColumnPlan>,
    /// Names that are taken, and how many columns asked for each.
    names: HashMap<String, usize>,
    constants: HashMap<u64, Vec<(Origin, ColumnId)>>,
}

/// Where the elements of a constant come from. Equal constants are one column if they have one origin: that tensors of weights are equal is
/// nobody's to know, and what a graph reads twice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A function table.
    Table,
    /// A tensor that came about in this way.
    Tensor(Derivation),
}

impl Columns {
    fn push(&mut self, column: ColumnPlan) -> ColumnId {
        self.list.push(column);
        ColumnId(self.list.len() as u32 - 1)
    }

    fn unique(&mut self, name: &str) -> String {
        let mut candidate = name.to_string();
        let mut count = self.names.get(name).copied().unwrap_or(0);
        while self.names.contains_key(&candidate) {
            count += 1;
            candidate = format!("{name}.{count}");
        }
        self.names.insert(name.to_string(), count.max(1));
        self.names.entry(candidate.clone()).or_insert(1);
        candidate
    }

    /// A column that the prover fills with values in `bounds`.
    pub fn witness(&mut self, name: &str, shape: Vec<u32>, bounds: (i64, i64)) -> ColumnId {
        let name = self.unique(name);
        self.push(ColumnPlan {
            name,
            kind: ColumnKind::Witness,
            shape,
            bounds,
            data: vec![],
        })
    }

    /// A constant column; equal ones of one origin are one column.
    pub fn constant(
        &mut self,
        name: &str,
        shape: Vec<u32>,
        data: Vec<i32>,
        origin: Origin,
    ) -> ColumnId {
        let mut hasher = DefaultHasher::new();
        (&shape, &data, origin).hash(&mut hasher);
        let hash = hasher.finish();
        if let Entry::Occupied(known) = self.constants.entry(hash) {
            let same = |(known, id): &&(Origin, ColumnId)| {
                let plan = &self.list[id.0 as usize];
                *known == origin && plan.shape == shape && plan.data == data
            };
            if let Some(&(_, id)) = known.get().iter().find(same) {
                return id;
            }
        }
        let bounds = data.iter().fold((0, 0), |(lo, hi), &x| {
            (lo.min(i64::from(x)), hi.max(i64::from(x)))
        });
        let name = self.unique(name);
        let id = self.push(ColumnPlan {
            name,
            kind: ColumnKind::Constant,
            shape,
            bounds,
            data,
        });
        self.constants.entry(hash).or_default().push((origin, id));
        id
    }

    /// A column of so many elements that follows from a formula.
    pub fn structural(&mut self, name: &str, len: u32, structure: Structure) -> ColumnId {
        let kind = ColumnKind::Structural(structure);
        let same = |plan: &ColumnPlan| plan.kind == kind && plan.shape == [len];
        if let Some(known) = self.list.iter().position(same) {
            return ColumnId(known as u32);
        }
        let most = (0..len).map(|index| structure.at(index)).max();
        let name = self.unique(name);
        self.push(ColumnPlan {
            name,
            kind,
            shape: vec![len],
            bounds: (0, most.unwrap_or(0)),
            data: vec![],
        })
    }

    /// What is known of a column.
    pub fn get(&self, id: ColumnId) -> &ColumnPlan {
        &self.list[id.0 as usize]
    }

    /// All columns, in order of creation.
    pub fn into_list(self) -> Vec<ColumnPlan> {
        self.list
    }

    /// All columns, in order of creation.
    pub fn list(&self) -> &[ColumnPlan] {
        &self.list
    }
}

/// A lookup table.
#[derive(Debug)]
pub struct TablePlan {
    /// Unique.
    pub name: String,
    /// log2 of the number of rows.
    pub len_log2: u8,
    /// Key of row 0.
    pub first_key: i64,
    /// Constant columns.
    pub outputs: Vec<ColumnId>,
    /// Witness column.
    pub multiplicities: ColumnId,
    /// Constant column, 1 for rows that nothing may look up; if there are any.
    pub barred: Option<ColumnId>,
}

/// KeyRange of a table: `2^bits` of them, from 0 or half of them negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// log2 of their number.
    pub bits: u8,
    /// Whether half of them are negative.
    pub signed: bool,
}

impl KeyRange {
    /// The fewest keys that include `lo..=hi` and 0; unsigned if nothing is negative.
    pub fn covering(lo: i128, hi: i128) -> Self {
        let bits_of = |x: i128| (128 - x.max(0).leading_zeros()) as u8;
        if lo >= 0 {
            Self {
                bits: bits_of(hi).max(1),
                signed: false,
            }
        } else {
            Self {
                bits: bits_of(hi).max(bits_of(-lo - 1)) + 1,
                signed: true,
            }
        }
    }

    /// Key of row 0.
    pub fn first(self) -> i64 {
        if self.signed {
            -(1 << (self.bits - 1))
        } else {
            0
        }
    }

    /// Least and greatest key.
    pub fn bounds(self) -> (i64, i64) {
        (self.first(), self.first() + (1 << self.bits) - 1)
    }

    /// Every key in order.
    pub fn iter(self) -> impl Iterator<Item = i64> {
        let (lo, hi) = self.bounds();
        lo..=hi
    }
}

/// One output of a table.
pub enum Output {
    /// A value a key.
    Values(Vec<i32>),
    /// A formula in the row's number.
    Structural(Structure),
}

/// All tables; equal ones are one table.
#[derive(Debug, Default)]
pub struct Tables {
    list: Vec<TablePlan>,
}

impl Tables {
    /// The table with these keys and outputs, one value a key each; named after `label` if it is new.
    pub fn table(
        &mut self,
        columns: &mut Columns,
        label: &str,
        keys: KeyRange,
        outputs: &[Vec<i32>],
    ) -> TableId {
        let outputs = outputs.iter().cloned().map(Output::Values).collect();
        self.partial_table(columns, label, (keys.first(), keys.bits), outputs, &[])
    }

    /// A table of `2^bits` keys from `first_key`, where nothing may look up rows that are `barred`; no row is if there are none.
    pub fn partial_table(
        &mut self,
        columns: &mut Columns,
        label: &str,
        (first_key, bits): (i64, u8),
        outputs: Vec<Output>,
        barred: &[bool],
    ) -> TableId {
        let name = self.unique(label);
        let one = outputs.len() == 1;
        let outputs: Vec<ColumnId> = (outputs.into_iter().enumerate())
            .map(|(i, output)| {
                let part = if one { String::new() } else { format!("/{i}") };
                let title = format!("table/{name}{part}");
                match output {
                    Output::Values(data) => {
                        columns.constant(&title, vec![1 << bits], data, Origin::Table)
                    }
                    Output::Structural(structure) => {
                        columns.structural(&title, 1 << bits, structure)
                    }
                }
            })
            .collect();
        let bars = barred.contains(&true).then(|| {
            let rows = barred.iter().map(|barred| i32::from(*barred)).collect();
            let title = format!("table/{name}/barred");
            columns.constant(&title, vec![1 << bits], rows, Origin::Table)
        });
        if let Some(id) = self.find((first_key, bits), &outputs, bars) {
            return id;
        }
        let multiplicities = columns.witness(
            &format!("table/{name}/multiplicities"),
            vec![1 << bits],
            (0, i64::from(i32::MAX)),
        );
        self.list.push(TablePlan {
            name,
            len_log2: bits,
            first_key,
            outputs,
            multiplicities,
            barred: bars,
        });
        TableId(self.list.len() as u32 - 1)
    }

    /// `label`, or with the least number that no other table has: `exp`, `exp.2`.
    fn unique(&self, label: &str) -> String {
        let taken = |name: &str| self.list.iter().any(|table| table.name == name);
        let numbered = (2..).map(|number| format!("{label}.{number}"));
        let mut names = std::iter::once(label.to_string()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    /// The range table with these keys.
    pub fn range(&mut self, columns: &mut Columns, keys: KeyRange) -> TableId {
        self.table(
            columns,
            &format!(
                "{}{}",
                if keys.signed { "signed" } else { "range" },
                keys.bits
            ),
            keys,
            &[],
        )
    }

    /// A range table with at least these keys: one that exists, if it is not far too large.
    pub fn range_covering(&mut self, columns: &mut Columns, keys: KeyRange) -> TableId {
        let fitting =
            (keys.bits..=keys.bits + 2).find_map(|bits| self.find_range(KeyRange { bits, ..keys }));
        fitting.unwrap_or_else(|| self.range(columns, keys))
    }

    fn find(
        &self,
        (first_key, bits): (i64, u8),
        outputs: &[ColumnId],
        barred: Option<ColumnId>,
    ) -> Option<TableId> {
        let same = |t: &TablePlan| {
            (t.first_key, t.len_log2, t.barred) == (first_key, bits, barred) && t.outputs == outputs
        };
        self.list.iter().position(same).map(|i| TableId(i as u32))
    }

    fn find_range(&self, keys: KeyRange) -> Option<TableId> {
        self.find((keys.first(), keys.bits), &[], None)
    }

    /// Whether the range table with these keys exists.
    pub fn has_range(&self, keys: KeyRange) -> bool {
        self.find_range(keys).is_some()
    }

    /// All tables.
    pub fn list(&self) -> &[TablePlan] {
        &self.list
    }
}
