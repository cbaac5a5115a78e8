//! Sums of products, eight lanes at a time, reduced late.

use super::*;

/// Sums of products, lane by lane, with one reduction for 64 of them.
#[derive(Debug)]
pub struct PackedProductSum<C> {
    low: [__m512i; 9],
    high: [__m512i; 9],
    pending: u32,
    total: Packed<C>,
}

/// Products after which the unreduced sum is still below `5.3 p` when reduced.
const PENDING_PRODUCTS: u32 = 64;

impl<C> Clone for PackedProductSum<C> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for PackedProductSum<C> {}

impl<C: MontConfig<4>> PackedProductSum<C> {
    /// The empty sum.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn new() -> Self {
        let zero = _mm512_setzero_si512();
        Self {
            low: [zero; 9],
            high: [zero; 9],
            pending: 0,
            total: Packed::zero(),
        }
    }

    /// Adds `a * b`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn add(&mut self, a: &Packed<C>, b: &Packed<C>) {
        for (i, x) in a.limbs.into_iter().enumerate() {
            for (j, y) in b.limbs.into_iter().enumerate() {
                self.low[i + j] = low(self.low[i + j], x, y);
                self.high[i + j] = high(self.high[i + j], x, y);
            }
        }
        self.pending += 1;
        if self.pending == PENDING_PRODUCTS {
            self.flush();
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn flush(&mut self) {
        let mut sums = [_mm512_setzero_si512(); 10];
        for limb in 0..9 {
            sums[limb] = _mm512_add_epi64(sums[limb], self.low[limb]);
            sums[limb + 1] = _mm512_add_epi64(sums[limb + 1], self.high[limb]);
        }
        // Below 3.2 p: adding zero brings it under the bound of a packed value.
        let reduced = Packed::reduce(sums).add(&Packed::zero());
        let total = self.total.add(&reduced);
        *self = Self::new();
        self.total = total;
    }

    /// The eight sums.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn finish(mut self) -> Packed<C> {
        self.flush();
        self.total
    }
}
