//! Nested arrays as flat sequences of elements, row-major.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

use zkiln_compiler::nearest_integer;

/// An element of a port.
pub trait Scalar: Copy + Default {
    /// As a multiple of `unit`, rounded half away from zero; `None` if there is no such integer.
    fn to_integer(self, unit: f64) -> Option<i64>;
    /// The element that is `integer` units.
    fn from_integer(integer: i64, unit: f64) -> Self;
    /// As a real number, for people.
    fn real(self) -> f64;
}

impl Scalar for f32 {
    fn to_integer(self, unit: f64) -> Option<i64> {
        nearest_integer(self.into(), unit)
    }

    fn from_integer(integer: i64, unit: f64) -> Self {
        (integer as f64 * unit) as f32
    }

    fn real(self) -> f64 {
        self.into()
    }
}

macro_rules! integer {
    ($($element:ty),*) => {
        $(
            impl Scalar for $element {
                fn to_integer(self, _: f64) -> Option<i64> {
                    self.try_into().ok()
                }

                // An output's integers are of its type.
                fn from_integer(integer: i64, _: f64) -> Self {
                    integer as $element
                }

                fn real(self) -> f64 {
                    self as f64
                }
            }

            // SAFETY: zero.
            unsafe impl Plain for $element {}
        )*
    };
}

integer!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Scalar for bool {
    fn to_integer(self, _: f64) -> Option<i64> {
        Some(self.into())
    }

    fn from_integer(integer: i64, _: f64) -> Self {
        integer != 0
    }

    fn real(self) -> f64 {
        u8::from(self).into()
    }
}

/// A tensor whose shape is its type: an element, a nested array, or a boxed one.
pub trait Tensor: Sized {
    /// `f32`, an integer or `bool`.
    type Scalar: Scalar;
    /// Number of elements.
    const LEN: usize;

    /// Every element zero.
    fn zeros() -> Self;
    /// Shows every element to `visit`, row-major.
    fn each(&self, visit: &mut impl FnMut(Self::Scalar));
    /// Lets `visit` change every element, row-major.
    fn each_mut(&mut self, visit: &mut impl FnMut(&mut Self::Scalar));
}

/// Nested arrays of elements.
///
/// # Safety
///
/// Memory that is all zero must be a valid value.
unsafe trait Plain {}

// SAFETY: zero and `false`.
unsafe impl Plain for f32 {}
unsafe impl Plain for bool {}
// SAFETY: an array is its elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

macro_rules! element {
    ($($element:ty),*) => {
        $(
            impl Tensor for $element {
                type Scalar = Self;
                const LEN: usize = 1;

                fn zeros() -> Self {
                    Self::default()
                }

                fn each(&self, visit: &mut impl FnMut(Self)) {
                    visit(*self);
                }

                fn each_mut(&mut self, visit: &mut impl FnMut(&mut Self)) {
                    visit(self);
                }
            }
        )*
    };
}

element!(f32, i8, i16, i32, i64, u8, u16, u32, u64, bool);

impl<T: Tensor, const N: usize> Tensor for [T; N] {
    type Scalar = T::Scalar;
    const LEN: usize = N * T::LEN;

    fn zeros() -> Self {
        std::array::from_fn(|_| T::zeros())
    }

    fn each(&self, visit: &mut impl FnMut(T::Scalar)) {
        self.iter().for_each(|tensor| tensor.each(visit));
    }

    fn each_mut(&mut self, visit: &mut impl FnMut(&mut T::Scalar)) {
        self.iter_mut().for_each(|tensor| tensor.each_mut(visit));
    }
}

// Boxed tensors are large: they never pass over the stack.
impl<T: Tensor + Plain> Tensor for Box<T> {
    type Scalar = T::Scalar;
    const LEN: usize = T::LEN;

    fn zeros() -> Self {
        let layout = Layout::new::<T>();
        if layout.size() == 0 {
            return Box::new(T::zeros());
        }
        // SAFETY: the layout has a size; the pointer is its allocation, not null, and holds a valid `T` by `Plain`.
        unsafe {
            let tensor = alloc_zeroed(layout).cast::<T>();
            if tensor.is_null() {
                handle_alloc_error(layout);
            }
            Box::from_raw(tensor)
        }
    }

    fn each(&self, visit: &mut impl FnMut(T::Scalar)) {
        T::each(self, visit);
    }

    fn each_mut(&mut self, visit: &mut impl FnMut(&mut T::Scalar)) {
        T::each_mut(self, visit);
    }
}

/// Every element zero.
pub fn zeros<T: Tensor>() -> T {
    T::zeros()
}

/// The tensor of these elements in row-major order, if there are as many as it has.
///
/// ```
/// assert_eq!(zkiln::from_flat(&[1.0, 2.0, 3.0, 4.0]), Some([[1.0f32, 2.0], [3.0, 4.0]]));
/// assert_eq!(zkiln::from_flat::<[f32; 3]>(&[1.0, 2.0]), None);
/// ```
pub fn from_flat<T: Tensor>(elements: &[T::Scalar]) -> Option<T> {
    (elements.len() == T::LEN).then(|| filled(elements.iter().copied()))
}

/// The elements in row-major order.
///
/// ```
/// assert_eq!(zkiln::to_flat(&[[1i64, 2], [3, 4]]), [1, 2, 3, 4]);
/// ```
pub fn to_flat<T: Tensor>(tensor: &T) -> Vec<T::Scalar> {
    let mut elements = Vec::with_capacity(T::LEN);
    tensor.each(&mut |element| elements.push(element));
    elements
}

/// The tensor of these elements; zeros for the rest.
pub fn filled<T: Tensor>(elements: impl Iterator<Item = T::Scalar>) -> T {
    let mut tensor = T::zeros();
    let mut elements = elements.fuse();
    tensor.each_mut(&mut |place| *place = elements.next().unwrap_or_default());
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_in_row_major_order() {
        let tensor: [[[i64; 2]; 1]; 3] = from_flat(&[1, 2, 3, 4, 5, 6]).expect("six elements");
        assert_eq!(tensor, [[[1, 2]], [[3, 4]], [[5, 6]]]);
        assert_eq!(to_flat(&tensor), [1, 2, 3, 4, 5, 6]);
        assert_eq!(from_flat::<bool>(&[true]), Some(true));
        assert_eq!(from_flat::<[[i64; 0]; 4]>(&[]), Some([[]; 4]));
    }

    #[test]
    fn large_tensors_never_lie_on_the_stack() {
        type Large = Box<[[[f32; 1 << 20]; 16]; 1]>;
        let elements = vec![0.5; 1 << 24];
        let tensor: Large = from_flat(&elements).expect("as many elements");
        assert_eq!(to_flat(&tensor.clone()), elements);
        assert_eq!(to_flat(&Large::zeros()), vec![0.0; 1 << 24]);
        assert!(to_flat(&Box::<[f32; 0]>::zeros()).is_empty());
    }

    #[test]
    fn reals_round_half_away_from_zero() {
        for (real, integer) in [
            (0.25, 1),
            (-0.25, -1),
            (0.24, 0),
            (-0.26, -1),
            (1.0, 2),
            (1.25, 3),
        ] {
            assert_eq!(
                Scalar::to_integer(real as f32, 0.5),
                Some(integer),
                "{real}"
            );
        }
        assert_eq!(f32::from_integer(-3, 0.5), -1.5);
    }

    #[test]
    fn what_is_no_integer_is_none() {
        for real in [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN,
        ] {
            assert_eq!(real.to_integer(1.0), None, "{real}");
        }
        assert_eq!((i64::MIN as f32).to_integer(1.0), Some(i64::MIN));
        assert_eq!((-(i64::MIN as f32)).to_integer(1.0), None);
    }

    #[test]
    fn integers_and_booleans_are_themselves() {
        assert_eq!(i64::MAX.to_integer(1.0), Some(i64::MAX));
        assert_eq!(true.to_integer(1.0), Some(1));
        assert!(bool::from_integer(1, 1.0) && !bool::from_integer(0, 1.0));
        assert_eq!(i64::from_integer(-7, 1.0), -7);
    }
}
