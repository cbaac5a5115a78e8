//! Inner loops over contiguous integers, compiled a second time for AVX2.

/// Defines `fn name`, which runs the AVX2 copy of its body where the machine has it.
macro_rules! vectorized {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        pub(super) fn $name($($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) $(-> $ret)? {
                    body($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

vectorized! {
    /// `sum a[i]`.
    fn sum(a: &[i32]) -> i64 {
        a.iter().map(|&a| i64::from(a)).fold(0, i64::wrapping_add)
    }
}

vectorized! {
    /// `sum a[i] * b[i]`.
    fn dot(a: &[i32], b: &[i32]) -> i64 {
        a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b)).fold(0, i64::wrapping_add)
    }
}

vectorized! {
    /// `out[i] += factor * a[i]`.
    fn add_scaled(out: &mut [i64], factor: i64, a: &[i32]) {
        if let Ok(factor) = i32::try_from(factor) {
            for (out, &a) in out.iter_mut().zip(a) {
                *out = out.wrapping_add(i64::from(factor) * i64::from(a));
            }
        } else {
            for (out, &a) in out.iter_mut().zip(a) {
                *out = out.wrapping_add(factor.wrapping_mul(a.into()));
            }
        }
    }
}

vectorized! {
    /// `out[i] += factor * a[i] * b[i]`.
    fn add_product(out: &mut [i64], factor: i64, a: &[i32], b: &[i32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            let product = i64::from(a) * i64::from(b);
            *out = out.wrapping_add(factor.wrapping_mul(product));
        }
    }
}

vectorized! {
    /// `out[i] += sum_k factors[k] * values[starts[k] + i]`.
    fn add_combination(out: &mut [i64], factors: &[i32], values: &[i32], starts: &[usize]) {
        let len = out.len();
        let (factor_quads, factor_rest) = factors.as_chunks::<4>();
        let (start_quads, start_rest) = starts.as_chunks::<4>();
        for (&[f0, f1, f2, f3], &[s0, s1, s2, s3]) in factor_quads.iter().zip(start_quads) {
            if (f0 | f1 | f2 | f3) == 0 {
                continue;
            }
            let (a, b) = (&values[s0..][..len], &values[s1..][..len]);
            let (c, d) = (&values[s2..][..len], &values[s3..][..len]);
            for i in 0..len {
                let low = (i64::from(f0) * i64::from(a[i])).wrapping_add(i64::from(f1) * i64::from(b[i]));
                let high = (i64::from(f2) * i64::from(c[i])).wrapping_add(i64::from(f3) * i64::from(d[i]));
                out[i] = out[i].wrapping_add(low.wrapping_add(high));
            }
        }
        for (&factor, &start) in factor_rest.iter().zip(start_rest) {
            for (out, &value) in out.iter_mut().zip(&values[start..][..len]) {
                *out = out.wrapping_add(i64::from(factor) * i64::from(value));
            }
        }
    }
}
