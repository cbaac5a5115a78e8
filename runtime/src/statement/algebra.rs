//! Sums and products of accumulators, as the relations' constraints need them. Total: nothing here panics.

use crate::error::VerifyError;
use crate::statement::model::{Accumulator, AxisMap, ColumnId, List, MAX_OPERANDS, Term, View};

// verify-path: begin
impl View {
    /// `column` read as it lies: axis `i` of the column by axis `i` of the term.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when there are more axes than a view can name.
    pub fn identity(column: ColumnId, rank: usize) -> Result<Self, VerifyError> {
        let axis = |axis: usize| {
            Ok(AxisMap {
                offset: 0,
                strides: vec![(axis_number(axis)?, 1)].into(),
            })
        };
        let index: Vec<AxisMap> = (0..rank).map(axis).collect::<Result<_, _>>()?;
        Ok(Self {
            column,
            index: index.into(),
        })
    }

    /// A vector read along one axis of the term.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when there are more axes than a view can name.
    pub fn along(column: ColumnId, axis: usize) -> Result<Self, VerifyError> {
        let map = AxisMap {
            offset: 0,
            strides: vec![(axis_number(axis)?, 1)].into(),
        };
        Ok(Self {
            column,
            index: vec![map].into(),
        })
    }
}

fn axis_number(axis: usize) -> Result<u8, VerifyError> {
    u8::try_from(axis).map_err(|_| VerifyError::Key("a tensor has too many axes"))
}

impl Accumulator {
    /// Zero.
    pub fn zero(shape: List<u32>) -> Self {
        Self {
            shape,
            columns: List::default(),
            terms: List::default(),
        }
    }

    /// `column`, whole: in the padding too.
    pub fn of_column(shape: List<u32>, column: ColumnId) -> Self {
        Self::zero(shape).plus_column(1, column)
    }

    /// `self + factor * column`, in the padding too.
    pub fn plus_column(mut self, factor: i64, column: ColumnId) -> Self {
        self.columns.to_mut().push((factor, column));
        self
    }

    /// `self + value`; like every term, zero in the padding.
    pub fn plus_constant(self, value: i64) -> Self {
        self.plus_product(value, Vec::new(), Vec::new())
    }

    /// `self + coefficient * sum over summed axes of prod operands`.
    pub fn plus_product(mut self, coefficient: i64, summed: Vec<u32>, operands: Vec<View>) -> Self {
        self.terms.to_mut().push(Term {
            coefficient,
            summed: summed.into(),
            operands: operands.into(),
        });
        self
    }

    /// `self - other`, of the same shape.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when the shapes differ or a coefficient has no negative.
    pub fn minus(mut self, other: &Self) -> Result<Self, VerifyError> {
        if self.shape != other.shape {
            return Err(VerifyError::Key("tensors of different shapes are added"));
        }
        for &(factor, column) in other.columns.iter() {
            self.columns.to_mut().push((negative(factor)?, column));
        }
        for term in other.terms.iter() {
            let coefficient = negative(term.coefficient)?;
            let negated = Term {
                coefficient,
                ..term.clone()
            };
            self.terms.to_mut().push(negated);
        }
        Ok(self)
    }

    /// `self * column`, elementwise, of the same shape. Its whole columns become products, so that all of it is zero in the padding.
    ///
    /// # Errors
    /// [`VerifyError::Key`] when a term has no operand to spare.
    pub fn times_column(&self, column: ColumnId) -> Result<Self, VerifyError> {
        let rank = self.shape.len();
        let mut product = Self::zero(self.shape.clone());
        for &(factor, summand) in self.columns.iter() {
            let operands = vec![
                View::identity(summand, rank)?,
                View::identity(column, rank)?,
            ];
            product = product.plus_product(factor, Vec::new(), operands);
        }
        for term in self.terms.iter() {
            if term.operands.len() >= MAX_OPERANDS {
                return Err(VerifyError::Key("a product has too many operands"));
            }
            let mut term = term.clone();
            let factor = View::identity(column, rank)?;
            term.operands.to_mut().push(factor);
            product.terms.to_mut().push(term);
        }
        Ok(product)
    }
}

fn negative(value: i64) -> Result<i64, VerifyError> {
    (value.checked_neg()).ok_or(VerifyError::Key("a coefficient is too large"))
}
// verify-path: end
