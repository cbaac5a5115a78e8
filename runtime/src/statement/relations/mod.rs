//! What can be proved. Each relation states, once for both sides, its lookups and its zero checks, and
//! gives the exact integer reference that fills its columns.
//!
//! | relation | meaning |
//! |---|---|
//! | [`Requant`] | `y = floor((acc + 2^(s-1)) / 2^s)`, optionally `out = T(y)` |
//! | [`Map`] | `out = T(acc)`, nothing rounded |
//! | [`Exact`] | `y = acc` |
//! | [`RowMax`] | `m = max_j s_j`, `(e_j, hit_j) = T(m - s_j)`: the shift of a softmax |
//! | [`Quotient`] | `q = floor(numerator / den)` |
//! | [`OneHot`] | `h[i, v] = 1 if v = index[i] else 0` |
//! | [`Round`] | `y = floor((acc + 2^(s-1)) / 2^s)` for a `y` wider than a table |
//! | [`Normalize`] | `acc = m 2^e + r`, `out = T(m)`: floating point |
//! | [`Division`] | `q = floor(num / den)`, both computed |
//! | [`Reshape`] | `y = reshape(acc)`: neighboring axes merged |
//!
//! The padding is checked like the rest, with terms zero there. The references fill it by the same formula, which gives zeros, or a
//! table's outputs at key 0, unless a whole-column summand holds something else there.

#[cfg(test)]
mod clamping;
mod columns;
mod division;
mod exact;
mod limbs;
mod map;
mod normalize;
mod one_hot;
mod quotient;
mod requant;
mod reshape;
mod round;
mod row_max;
#[cfg(test)]
pub(crate) mod testing;

use serde::{Deserialize, Serialize};

pub use columns::Columns;
pub(crate) use columns::{check_range, narrow, out_of_range, row_of, table_keys};
pub use limbs::{Limbs, MAX_BITS};

use crate::error::{ProveError, VerifyError, check};
use crate::statement::model::{
    Accumulator, Column, ColumnId, List, Model, Structure, Table, TableId,
};

/// What a kind of relation says of itself; all of it is in the relation's own file.
pub(crate) trait Provable {
    /// The exact integer reference: fills the relation's columns and records its lookups, in the order of [`Self::constrain`].
    fn fill(&self, node: &str, model: &Model, columns: &mut dyn Columns) -> Result<(), ProveError>;

    /// What is proved: adds lookups and zero checks.
    fn constrain(&self, model: &Model, constraints: &mut Constraints) -> Result<(), VerifyError>;

    /// The accumulators that must be known before the relation is filled.
    fn reads(&self) -> Vec<&Accumulator>;

    /// Columns that the relation fills.
    fn writes(&self) -> Vec<ColumnId>;

    /// Whether the constraints confine what is read to the integers of a range.
    fn bounds(&self) -> bool;
}

/// From one list: what is exported, the enum, and its dispatch.
macro_rules! relations {
    ($($module:ident::$name:ident),+ $(,)?) => {
        $(pub use $module::$name;)+

        /// One step's statement.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Relation {
            $(
                #[doc = concat!("See [`", stringify!($name), "`].")]
                $name($name),
            )+
        }

        impl Relation {
            // verify-path: begin
            fn provable(&self) -> &dyn Provable {
                match self {
                    $(Self::$name(relation) => relation,)+
                }
            }
            // verify-path: end
        }
    };
}

// The order is that of the encoding: a new relation goes last.
relations! {
    requant::Requant,
    map::Map,
    exact::Exact,
    row_max::RowMax,
    quotient::Quotient,
    one_hot::OneHot,
    round::Round,
    normalize::Normalize,
    division::Division,
    reshape::Reshape,
}

/// One value of a looked-up tuple: `accumulator / 2^shift_log2`, in the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is divided.
    pub accumulator: Accumulator,
    /// log2 of the divisor. The division is exact for an honest prover.
    pub shift_log2: u8,
}

/// For every index of a padded cube: the entries' values are a row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Where it is looked up.
    pub table: TableId,
    /// The key, then one entry for each output of the table; all of one shape.
    pub entries: Vec<Entry>,
}

/// All that a relation claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Rows of tables.
    pub lookups: Vec<Lookup>,
    /// Accumulators that are zero all over their padded cubes.
    pub zeros: Vec<Accumulator>,
}

impl Relation {
    /// The exact integer reference: fills the relation's columns and records its lookups, in the order of [`Relation::constraints`].
    ///
    /// # Errors
    /// [`ProveError::OutOfRange`] when a value is not a key of its table. Nothing is clamped.
    ///
    /// # Panics
    /// If the model does not pass [`Model::validate`], or a column that is read is not filled.
    pub fn fill(
        &self,
        node: &str,
        model: &Model,
        columns: &mut dyn Columns,
    ) -> Result<(), ProveError> {
        self.provable().fill(node, model, columns)
    }

    // verify-path: begin
    /// What is proved.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when the relation does not fit the model.
    pub fn constraints(&self, model: &Model) -> Result<Constraints, VerifyError> {
        let mut constraints = Constraints::default();
        self.provable().constrain(model, &mut constraints)?;
        Ok(constraints)
    }

    /// The accumulators that must be known before the relation is filled.
    pub fn reads(&self) -> Vec<&Accumulator> {
        self.provable().reads()
    }

    /// Columns that the relation fills.
    pub fn writes(&self) -> Vec<ColumnId> {
        self.provable().writes()
    }

    /// Whether the relation confines what it reads to the integers of a range.
    pub fn bounds(&self) -> bool {
        self.provable().bounds()
    }
    // verify-path: end
}

// verify-path: begin
impl Entry {
    /// The accumulator itself.
    pub fn exact(accumulator: Accumulator) -> Self {
        Self {
            accumulator,
            shift_log2: 0,
        }
    }

    /// One entry for each column, all of one shape.
    fn columns<'a>(
        shape: &List<u32>,
        columns: impl IntoIterator<Item = &'a ColumnId>,
    ) -> Vec<Self> {
        let entry = |&column| Self::exact(Accumulator::of_column(shape.clone(), column));
        columns.into_iter().map(entry).collect()
    }
}

impl Constraints {
    /// Adds a lookup.
    ///
    /// # Errors
    /// [`VerifyError::Key`] unless there is one entry for the key and one for each output.
    fn look_up(
        &mut self,
        model: &Model,
        id: TableId,
        entries: Vec<Entry>,
    ) -> Result<(), VerifyError> {
        if table(model, id)?.outputs.len().checked_add(1) != Some(entries.len()) {
            return Err(VerifyError::Key("a lookup does not fit its table"));
        }
        self.lookups.push(Lookup { table: id, entries });
        Ok(())
    }
}

/// That a column follows from this formula, and is nobody's to choose.
fn check_structure(
    model: &Model,
    id: Option<&ColumnId>,
    structure: Structure,
) -> Result<(), VerifyError> {
    let id = id.ok_or(VerifyError::Key("a column does not exist"))?;
    check(
        column(model, *id)?.structure() == Some(structure),
        "a column that a relation relies on is of another kind",
    )
}

pub(super) fn table(model: &Model, id: TableId) -> Result<&Table, VerifyError> {
    let table = model.tables.get(id.0 as usize);
    table.ok_or(VerifyError::Key("a table does not exist"))
}

pub(super) fn column(model: &Model, id: ColumnId) -> Result<&Column, VerifyError> {
    let column = model.columns.get(id.0 as usize);
    column.ok_or(VerifyError::Key("a column does not exist"))
}
// verify-path: end
