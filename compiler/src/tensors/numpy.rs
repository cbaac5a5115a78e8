//! NumPy's `.npy` and `.npz`.

use std::io::{Cursor, Read};

use crate::graph::Dtype;
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};

use crate::tensors::{FileTensor, TensorError};

/// The largest array that is unpacked from an archive.
const UNPACKED_BYTES: u64 = 1 << 32;
/// The longest header that is read; NumPy's are about a hundred bytes.
const HEADER_BYTES: usize = 4096;
/// More digits than any shape of fewer than 2^59 elements with its dtype needs: their numbers' product cannot overflow.
const HEADER_DIGITS: usize = 18;
/// Brackets within brackets: `{'shape': (1, 2)}` has two.
const HEADER_DEPTH: usize = 4;

/// One array without a name.
pub fn array(bytes: &[u8], file: &str) -> Result<FileTensor, TensorError> {
    check_header(bytes, file)?;
    let array = NpyFile::new(bytes).map_err(|e| TensorError::format(file, e))?;
    let lengths = array.shape().iter().map(|&len| usize::try_from(len).ok());
    let shape: Vec<usize> = lengths
        .collect::<Option<_>>()
        .ok_or_else(|| TensorError::format(file, "the shape is too large"))?;
    let count = shape
        .iter()
        .try_fold(1usize, |product, &len| product.checked_mul(len));
    let order = array.order();
    let (dtype, width) = element(&array.dtype()).ok_or_else(|| {
        let descr = array.dtype().descr();
        let reason = format!("elements of type {descr} are not supported; save float32, float64, integers or booleans");
        TensorError::format(file, reason)
    })?;
    // Before anything is allocated: the file must hold what its header promises.
    let promised = count.and_then(|count| count.checked_mul(width));
    if promised.is_none_or(|promised| promised > bytes.len()) {
        let reason = format!("the header promises shape {shape:?}, the file is shorter");
        return Err(TensorError::format(file, reason));
    }
    let elements = match (dtype, width) {
        (NumpyType::Bool, _) => numbers(array, |x: bool| f64::from(u8::from(x))),
        (NumpyType::Float, 4) => numbers(array, |x: f32| f64::from(x)),
        (NumpyType::Float, _) => numbers(array, |x: f64| x),
        (NumpyType::Int, 1) => numbers(array, |x: i8| f64::from(x)),
        (NumpyType::Int, 2) => numbers(array, |x: i16| f64::from(x)),
        (NumpyType::Int, 4) => numbers(array, |x: i32| f64::from(x)),
        (NumpyType::Int, _) => numbers(array, |x: i64| x as f64),
        (NumpyType::Uint, 1) => numbers(array, |x: u8| f64::from(x)),
        (NumpyType::Uint, 2) => numbers(array, |x: u16| f64::from(x)),
        (NumpyType::Uint, 4) => numbers(array, |x: u32| f64::from(x)),
        (NumpyType::Uint, _) => numbers(array, |x: u64| x as f64),
    };
    let elements = elements.map_err(|e| TensorError::format(file, e))?;
    Ok(FileTensor {
        name: None,
        dtype: Some(dtype.port()),
        data: match order {
            Order::C => elements,
            Order::Fortran => row_major(&elements, &shape),
        },
        shape: Some(shape),
    })
}

/// Every array of an archive, by its name; `numpy.savez`'s automatic names `arr_0`, `arr_1`, ... are positions.
pub fn archive(bytes: &[u8], file: &str) -> Result<Vec<FileTensor>, TensorError> {
    let mut archive =
        npyz::npz::NpzArchive::new(Cursor::new(bytes)).map_err(|e| TensorError::format(file, e))?;
    let zip = archive.zip_archive();
    let mut tensors = Vec::new();
    for index in 0..zip.len() {
        let entry = zip
            .by_index(index)
            .map_err(|e| TensorError::format(file, e))?;
        let path = entry.name().to_owned();
        let Some(name) = path.strip_suffix(".npy") else {
            return Err(TensorError::format(
                file,
                format!("`{path}` is not a NumPy array"),
            ));
        };
        let place = format!("{file}:{name}");
        let mut unpacked = Vec::new();
        entry
            .take(UNPACKED_BYTES + 1)
            .read_to_end(&mut unpacked)
            .map_err(|e| TensorError::format(&place, e))?;
        if unpacked.len() as u64 > UNPACKED_BYTES {
            return Err(TensorError::format(
                &place,
                "the array is larger than 4 GiB",
            ));
        }
        tensors.push(FileTensor {
            name: Some(name.to_owned()),
            ..array(&unpacked, &place)?
        });
    }
    Ok(by_position(tensors))
}

fn by_position(mut tensors: Vec<FileTensor>) -> Vec<FileTensor> {
    let position = |t: &FileTensor| t.name.as_deref()?.strip_prefix("arr_")?.parse::<u32>().ok();
    if tensors.iter().all(|t| position(t).is_some()) {
        tensors.sort_by_key(position);
        for tensor in &mut tensors {
            tensor.name = None;
        }
    }
    tensors
}

/// The header is a Python literal, which its parser reads by recursion, and whose numbers it multiplies unchecked.
fn check_header(bytes: &[u8], file: &str) -> Result<(), TensorError> {
    let refuse = |reason| Err(TensorError::format(file, reason));
    let Some(header) = header(bytes) else {
        return refuse("not a NumPy array");
    };
    let (mut depth, mut deepest, mut digits) = (0usize, 0, 0);
    for &byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => digits += 1,
            _ => continue,
        }
        deepest = depth.max(deepest);
    }
    if header.len() > HEADER_BYTES || deepest > HEADER_DEPTH || digits > HEADER_DIGITS {
        return refuse("its NumPy header is too long, too deep or has too large a shape");
    }
    Ok(())
}

/// After six bytes of magic, two of version and the length: two bytes in version 1, four later.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let (len, body) = match *bytes.get(6)? {
        1 => {
            let (len, body) = bytes.get(8..)?.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*len)), body)
        }
        _ => {
            let (len, body) = bytes.get(8..)?.split_first_chunk()?;
            (u32::from_le_bytes(*len) as usize, body)
        }
    };
    body.get(..len)
}

#[derive(Clone, Copy)]
enum NumpyType {
    Bool,
    Float,
    Int,
    Uint,
}

impl NumpyType {
    fn port(self) -> Dtype {
        match self {
            Self::Bool => Dtype::Bool,
            Self::Float => Dtype::Float32,
            Self::Int | Self::Uint => Dtype::Int64,
        }
    }
}

/// Type and bytes of one element.
fn element(dtype: &DType) -> Option<(NumpyType, usize)> {
    let DType::Plain(plain) = dtype else {
        return None;
    };
    Some(match (plain.type_char(), plain.size_field()) {
        (TypeChar::Bool, 1) => (NumpyType::Bool, 1),
        (TypeChar::Float, width @ (4 | 8)) => (NumpyType::Float, width as usize),
        (TypeChar::Int, width @ (1 | 2 | 4 | 8)) => (NumpyType::Int, width as usize),
        (TypeChar::Uint, width @ (1 | 2 | 4 | 8)) => (NumpyType::Uint, width as usize),
        _ => return None,
    })
}

fn numbers<T: Deserialize>(
    array: NpyFile<&[u8]>,
    to: impl Fn(T) -> f64,
) -> std::io::Result<Vec<f64>> {
    Ok(array.into_vec::<T>()?.into_iter().map(to).collect())
}

/// From first axis fastest to last axis fastest.
fn row_major(elements: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &len in shape {
        strides.push(stride);
        stride *= len;
    }
    let position = |mut index: usize| {
        let mut at = 0;
        for (&len, &stride) in shape.iter().zip(&strides).rev() {
            at += index % len * stride;
            index /= len;
        }
        at
    };
    (0..elements.len()).map(|i| elements[position(i)]).collect()
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;
    use proptest::prelude::*;

    use super::*;

    fn npy<T: npyz::AutoSerialize>(shape: &[u64], order: Order, data: &[T]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn npz(arrays: &[(&str, Vec<i64>)]) -> Vec<u8> {
        let mut cursor = Cursor::new(Vec::new());
        let mut archive = npyz::npz::NpzWriter::new(&mut cursor);
        for (name, data) in arrays {
            let mut writer = archive
                .array(name, Default::default())
                .unwrap()
                .default_dtype()
                .shape(&[data.len() as u64])
                .begin_nd()
                .unwrap();
            writer.extend(data).unwrap();
            writer.finish().unwrap();
        }
        drop(archive);
        cursor.into_inner()
    }

    #[test]
    fn reads_every_kind() {
        let read = array(&npy(&[2], Order::C, &[1.5f32, -2.0]), "x.npy").unwrap();
        assert_eq!(read.dtype, Some(Dtype::Float32));
        assert_eq!((read.shape, read.data), (Some(vec![2]), vec![1.5, -2.0]));
        let read = array(&npy(&[2], Order::C, &[3i64, -4]), "x.npy").unwrap();
        assert_eq!(
            (read.dtype, read.data),
            (Some(Dtype::Int64), vec![3.0, -4.0])
        );
        let read = array(&npy(&[1], Order::C, &[200u8]), "x.npy").unwrap();
        assert_eq!((read.dtype, read.data), (Some(Dtype::Int64), vec![200.0]));
        let read = array(&npy(&[2], Order::C, &[true, false]), "x.npy").unwrap();
        assert_eq!((read.dtype, read.data), (Some(Dtype::Bool), vec![1.0, 0.0]));
        let read = array(&npy(&[], Order::C, &[0.25f64]), "x.npy").unwrap();
        assert_eq!((read.shape, read.data), (Some(vec![]), vec![0.25]));
    }

    #[test]
    fn turns_fortran_order() {
        let read = array(
            &npy(&[2, 3], Order::Fortran, &[0i32, 3, 1, 4, 2, 5]),
            "x.npy",
        )
        .unwrap();
        assert_eq!(read.data, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn reads_archives() {
        let read = archive(&npz(&[("a", vec![1]), ("b", vec![2, 3])]), "x.npz").unwrap();
        let names: Vec<_> = read.iter().map(|t| t.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        let read = archive(&npz(&[("arr_1", vec![1]), ("arr_0", vec![2])]), "x.npz").unwrap();
        assert_eq!((read[0].name.clone(), read[0].data[0]), (None, 2.0));
    }

    #[test]
    fn refuses_without_a_panic() {
        let good = npy(&[2], Order::C, &[1.5f32, -2.0]);
        let header = |text: &str| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes
        };
        let cases = [
            Vec::new(),
            good[..good.len() - 1].to_vec(),
            header("{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}\n"),
            header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"),
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}\n"),
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,)}\n"),
            header(&"(".repeat(60_000)),
            header(&format!("\n{}", "(".repeat(3_000))),
        ];
        for case in cases {
            let message = array(&case, "x.npy").unwrap_err().to_string();
            assert!(message.starts_with("`x.npy`: "), "{message}");
        }
        assert!(archive(b"PK\x03\x04", "x.npz").is_err());
    }

    proptest! {
        /// Any damage gives an answer or an error.
        #[test]
        fn survives_damage(at in 0usize..400, byte: u8, cut in 0usize..400) {
            let mut bytes = npy(&[2, 3], Order::Fortran, &[1u16, 2, 3, 4, 5, 6]);
            let len = bytes.len();
            bytes[at % len] = byte;
            let _ = array(&bytes, "x.npy");
            bytes.truncate(cut % len);
            let _ = array(&bytes, "x.npy");
            let mut bytes = npz(&[("a", vec![1, 2]), ("b", vec![3])]);
            let len = bytes.len();
            bytes[at % len] = byte;
            let _ = archive(&bytes, "x.npz");
            bytes.truncate(cut % len);
            let _ = archive(&bytes, "x.npz");
        }
    }
}
