//! Spellings that several rooms share.

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal digits; none for anything else.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(16 * digit(high)? + digit(low)?).ok(),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// A number for people: four digits that count.
pub fn shown(number: f64) -> String {
    let decimals = match number.abs() {
        0.0 => return "0".into(),
        x if !(1e-3..1e6).contains(&x) => return format!("{number:.3e}"),
        x => 3 - x.log10().floor() as i32,
    };
    let text = format!("{number:.*}", decimals.max(0) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_that_count() {
        for (number, text) in [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (0.012345, "0.01235"),
            (12345.6, "12346"),
            (1.0, "1"),
            (1e-7, "1.000e-7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(shown(number), text);
        }
    }

    #[test]
    fn hexadecimal_digits_are_bytes() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        for bad in ["0", "0g", "ä", "+1"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
