//! Memory of the tree: one allocation, in huge pages where the system has them, filled piece by piece.
//!
//! Page faults cost about as much as all arithmetic on what is stored.

use std::mem::MaybeUninit;

/// Least bytes for which huge pages are asked for.
const HUGE: usize = 1 << 22;

/// Unused memory for `len` values, of an empty vector that must outlive it.
pub fn reserve<T: Copy>(memory: &mut Vec<T>, len: usize) -> Room<'_, T> {
    memory.clear();
    memory.reserve_exact(len);
    let unused = memory.spare_capacity_mut();
    if size_of_val(unused) >= HUGE {
        ask_for_huge_pages(unused);
    }
    Room { unused }
}

#[cfg(target_os = "linux")]
fn ask_for_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    use std::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(address: *mut c_void, len: usize, advice: c_int) -> c_int;
    }
    const PAGE: usize = 4096;
    const HUGE_PAGES: c_int = 14;
    let range = memory.as_mut_ptr_range();
    let (from, to) = (range.start.cast::<u8>(), range.end.cast::<u8>());
    let skip = from.align_offset(PAGE);
    let len = ((to as usize) - (from as usize)).saturating_sub(skip) / PAGE * PAGE;
    // SAFETY: whole pages of an allocation of ours; the advice changes no contents, and may be ignored.
    unsafe { madvise(from.wrapping_add(skip).cast(), len, HUGE_PAGES) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages<T>(_: &mut [MaybeUninit<T>]) {}

/// Memory not yet used.
pub struct Room<'a, T> {
    unused: &'a mut [MaybeUninit<T>],
}

impl<'a, T: Copy> Room<'a, T> {
    /// The first `len` values' memory.
    pub fn take(&mut self, len: usize) -> Room<'a, T> {
        let (unused, rest) = std::mem::take(&mut self.unused).split_at_mut(len);
        self.unused = rest;
        Room { unused }
    }

    /// To be filled.
    #[inline(always)]
    pub fn fill(self) -> Filling<'a, T> {
        Filling {
            memory: self.unused,
            len: 0,
        }
    }
}

/// Memory being filled from its start.
pub struct Filling<'a, T> {
    memory: &'a mut [MaybeUninit<T>],
    /// Values written.
    len: usize,
}

impl<'a, T: Copy> Filling<'a, T> {
    /// Adds a value. Panics if there is no room.
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        self.memory[self.len].write(value);
        self.len += 1;
    }

    /// What was written.
    #[inline(always)]
    pub fn finish(self) -> &'a mut [T] {
        let written = &mut self.memory[..self.len];
        // SAFETY: `push` wrote the first `len` values, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &mut *(&raw mut *written as *mut [T]) }
    }
}
