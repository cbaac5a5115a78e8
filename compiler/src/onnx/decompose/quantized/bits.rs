//! Operators on the bits of integers: two's complement of the element type's width.
//!
//! Bits are split off by divisions by two that round down; a negative integer keeps its sign to the end. Of two integers' bits, *and* is a
//! product, and *or* and *xor* are sums with it.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Pointwise, Rounding, Tensor, UnaryFn};
use crate::onnx::decompose::nn::ranking::is_zero;
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("BitCast", 26, cast).restricted("between integers of one width"),
    op("BitShift", 11, shift).restricted("integers of 64 bits: by one constant, or to the right"),
    op("BitwiseAnd", 18, bitwise).restricted(WITH_CONSTANT),
    op("BitwiseNot", 18, not).restricted("integers of at most 32 bits"),
    op("BitwiseOr", 18, bitwise).restricted(WITH_CONSTANT),
    op("BitwiseXor", 18, bitwise).restricted(WITH_CONSTANT),
];

/// Widest integer that one table divides by two, in bits.
const TABLE_BITS: u32 = 16;
/// Widest integers, in bits.
const MOST_BITS: u32 = 32;

/// What is said of operators on the bits of two integers.
const WITH_CONSTANT: &str = "integers of 64 bits: with one constant";

/// Width of an integer type, and whether it has a sign.
#[derive(Clone, Copy)]
struct Kind {
    bits: u32,
    signed: bool,
}

/// Integers of 64 bits: those that are proved have fewer.
const WIDE: Kind = Kind {
    bits: 64,
    signed: true,
};

fn power(bits: u32) -> f64 {
    f64::from(bits).exp2()
}

impl Kind {
    fn of(dtype: DatumType) -> Result<Kind, Diagnostic> {
        let bits = 8 * dtype.size_of() as u32;
        if !dtype.is_integer() || bits > MOST_BITS {
            return Err(refuse(
                format!("it reads the bits of {dtype:?}"),
                "use integers of up to 32 bits",
            ));
        }
        Ok(Kind {
            bits,
            signed: dtype.is_signed(),
        })
    }

    /// The integer of this type with the lowest bits of `x`.
    fn wrapped(self, build: &mut Builder, x: NodeId) -> NodeId {
        let half = if self.signed {
            power(self.bits - 1)
        } else {
            0.0
        };
        let shifted = build.add_scalar(x, half);
        let overflow = quotient(build, shifted, self.bits);
        let overflow = build.multiply_scalar(overflow, power(self.bits));
        build.binary(BinaryFn::Sub, x, overflow)
    }
}

/// `floor(x / 2^bits)`.
fn quotient(build: &mut Builder, x: NodeId, bits: u32) -> NodeId {
    if bits == 0 {
        return x;
    }
    let rank = build.rank(x);
    let constants = [power(bits).recip(), 0.0].map(|value| build.scalar(value, rank));
    let all = (f64::NEG_INFINITY, f64::INFINITY);
    build.rescale(x, constants, Rounding::Down, all)
}

/// What a table's bits leave of `x`, and these bits.
fn halves(build: &mut Builder, x: NodeId) -> [NodeId; 2] {
    let table = build.scalar(power(TABLE_BITS), build.rank(x));
    [BinaryFn::FloorDiv, BinaryFn::FloorMod].map(|part| build.binary(part, x, table))
}

/// `floor(x / 2^bits)` of integers of `kind`: wide ones are split in two first.
fn shifted(build: &mut Builder, x: NodeId, bits: u32, kind: Kind) -> NodeId {
    if kind.bits <= TABLE_BITS || bits >= TABLE_BITS {
        return quotient(build, x, bits);
    }
    let [upper, lower] = halves(build, x);
    let lower = quotient(build, lower, bits);
    let upper = build.multiply_scalar(upper, power(TABLE_BITS - bits));
    build.binary(BinaryFn::Add, upper, lower)
}

/// The bits of `x`, lowest first; the last of a signed integer weighs `-2^(n-1)`.
fn bits(build: &mut Builder, x: NodeId, kind: Kind) -> Vec<NodeId> {
    let (mut parts, mut rest, mut left) = (Vec::new(), x, kind.bits);
    while left > TABLE_BITS {
        let [upper, lower] = halves(build, rest);
        parts.push((lower, TABLE_BITS, false));
        (rest, left) = (upper, left - TABLE_BITS);
    }
    parts.push((rest, left, kind.signed));
    let mut bits = Vec::new();
    for (mut rest, count, signed) in parts {
        for _ in 1..count {
            bits.push(build.pointwise(odd(), rest));
            rest = quotient(build, rest, 1);
        }
        let last = build.multiply_scalar(rest, if signed { -1.0 } else { 1.0 });
        bits.push(build.pointwise(Pointwise::step(Pointwise::Variable), last));
    }
    bits
}

/// 1 where the variable is odd, else 0.
fn odd() -> Pointwise {
    let half = Pointwise::binary(BinaryFn::Mul, Pointwise::Constant(0.5), Pointwise::Variable);
    let even = Pointwise::binary(
        BinaryFn::Mul,
        Pointwise::Constant(2.0),
        Pointwise::unary(UnaryFn::Floor, half),
    );
    Pointwise::binary(BinaryFn::Sub, Pointwise::Variable, even)
}

/// Two operands with equal rank.
fn pair(scope: &mut Scope) -> Result<[NodeId; 2], Diagnostic> {
    let (a, b) = (scope.operand(0)?, scope.operand(1)?);
    let build = &mut scope.build;
    let rank = build.rank(a).max(build.rank(b));
    Ok([a, b].map(|x| {
        let own = build.shape(x);
        build.reshape(x, &[vec![1; rank - own.len()], own].concat())
    }))
}

/// `BitwiseAnd`, `BitwiseOr` and `BitwiseXor`.
fn bitwise(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let dtype = scope.dtype(0);
    let [a, b] = pair(scope)?;
    if dtype.size_of() == WIDE.bits as usize / 8 {
        let made = with_mask(scope, [a, b])?;
        return Ok(vec![(made, dtype)]);
    }
    let kind = Kind::of(dtype)?;
    let operator = scope.operator().to_string();
    let build = &mut scope.build;
    let (left, right) = (bits(build, a, kind), bits(build, b, kind));
    let mut both: Option<NodeId> = None;
    for (byte, (a, b)) in left.chunks(8).zip(right.chunks(8)).enumerate() {
        let last = kind.signed && 8 * (byte as u32 + 1) == kind.bits;
        let common = common_bits(build, a, b, last);
        let part = build.multiply_scalar(common, power(8 * byte as u32));
        both = Some(match both {
            None => part,
            Some(sum) => build.binary(BinaryFn::Add, sum, part),
        });
    }
    let both = both.ok_or_else(|| refuse("its integers have no bits", "correct the model"))?;
    let made = match &*operator {
        "BitwiseAnd" => both,
        operator => {
            let sum = build.binary(BinaryFn::Add, a, b);
            let times = if operator == "BitwiseXor" { 2.0 } else { 1.0 };
            let both = build.multiply_scalar(both, times);
            build.binary(BinaryFn::Sub, sum, both)
        }
    };
    Ok(vec![(made, dtype)])
}

/// Bits of integers of 64 bits and of one constant: ranges of bits, each a difference of quotients.
fn with_mask(scope: &mut Scope, operands: [NodeId; 2]) -> Result<NodeId, Diagnostic> {
    let operator = scope.operator().to_string();
    let build = &mut scope.build;
    let constant = |x: NodeId| build.graph.uniform(x);
    let found = match operands.map(constant) {
        [_, Some(mask)] => Some((operands[0], mask)),
        [Some(mask), _] => Some((operands[1], mask)),
        _ => None,
    };
    let Some((x, mask)) = found.filter(|(_, mask)| mask.abs() < power(53)) else {
        return Err(refuse(
            "it reads the bits of two 64-bit integers that are computed",
            "give it one constant, or integers of up to 32 bits",
        ));
    };
    let whole = mask as i64;
    let chosen = if whole < 0 { !whole } else { whole };
    let mut common = build.multiply_scalar(x, 0.0);
    let mut bit = 0;
    while chosen >> bit != 0 {
        let start = bit + (chosen >> bit).trailing_zeros();
        bit = start + (chosen >> start).trailing_ones();
        let (low, high) = (shifted(build, x, start, WIDE), shifted(build, x, bit, WIDE));
        let high = build.multiply_scalar(high, power(bit - start));
        let part = build.binary(BinaryFn::Sub, low, high);
        let part = build.multiply_scalar(part, power(start));
        common = build.binary(BinaryFn::Add, common, part);
    }
    if whole < 0 {
        common = build.binary(BinaryFn::Sub, x, common);
    }
    let times = match &*operator {
        "BitwiseAnd" => return Ok(common),
        "BitwiseXor" => -2.0,
        _ => -1.0,
    };
    let both = build.multiply_scalar(common, times);
    let sum = build.add_scalar(x, mask);
    Ok(build.binary(BinaryFn::Add, sum, both))
}

/// `BitShift` of integers of 64 bits to the left by one constant; what is shifted beyond them has no proof.
fn shift_wide(scope: &mut Scope) -> Result<NodeId, Diagnostic> {
    let [x, by] = pair(scope)?;
    let build = &mut scope.build;
    let known = build.graph.uniform(by);
    let Some(by) = known.filter(|by| (0.0..32.0).contains(by)) else {
        return Err(refuse(
            "it shifts 64-bit integers to the left by a computed number, or by more than 31 bits",
            "shift by one constant",
        ));
    };
    Ok(build.multiply_scalar(x, power(by as u32)))
}

/// The byte of the bits that two bytes have in common; the last bit counts negatively if it is a `sign`.
fn common_bits(build: &mut Builder, a: &[NodeId], b: &[NodeId], sign: bool) -> NodeId {
    let rank = build.rank(a[0]);
    let mut side = |bits: &[NodeId]| {
        let spread: Vec<NodeId> = (bits.iter())
            .map(|bit| {
                let mut shape = build.shape(*bit);
                shape.push(1);
                build.reshape(*bit, &shape)
            })
            .collect();
        build.concat(spread, rank)
    };
    let (a, b) = (side(a), side(b));
    let both = build.binary(BinaryFn::Mul, a, b);
    let count = build.shape(both)[rank] as u32;
    let mut weights: Vec<f64> = (0..count).map(power).collect();
    if let Some(last) = weights.last_mut().filter(|_| sign) {
        *last = -*last;
    }
    let sum = build.apply_matrix(both, rank, Tensor::new(vec![1, count as usize], weights));
    let shape = build.shape(sum);
    build.reshape(sum, &shape[..rank])
}

/// `BitwiseNot`.
fn not(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let dtype = scope.dtype(0);
    let x = scope.operand(0)?;
    let all = if dtype.is_signed() {
        -1.0
    } else {
        power(Kind::of(dtype)?.bits) - 1.0
    };
    let negated = scope.build.multiply_scalar(x, -1.0);
    Ok(vec![(scope.build.add_scalar(negated, all), dtype)])
}

/// `BitShift` by constant or computed numbers of bits.
fn shift(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let dtype = scope.dtype(0);
    let left = scope.text("direction") == Some("LEFT");
    let is_wide = dtype.size_of() == WIDE.bits as usize / 8;
    if is_wide && left {
        let made = shift_wide(scope)?;
        return Ok(vec![(made, dtype)]);
    }
    let kind = match is_wide {
        true => Kind {
            signed: dtype.is_signed(),
            ..WIDE
        },
        false => Kind::of(dtype)?,
    };
    let [x, by] = pair(scope)?;
    let build = &mut scope.build;
    let known: Option<Vec<f64>> = build.tensor(by).map(|t| t.data.clone());
    let mut sum: Option<NodeId> = None;
    let mut add = |build: &mut Builder, part: NodeId| {
        sum = Some(match sum {
            None => part,
            Some(sum) => build.binary(BinaryFn::Add, sum, part),
        });
    };
    for bits in 0..kind.bits {
        if known
            .as_ref()
            .is_some_and(|by| !by.contains(&f64::from(bits)))
        {
            continue;
        }
        let moved = if left {
            let kept = Kind {
                bits: kind.bits - bits,
                ..kind
            };
            let rest = match bits {
                0 => x,
                _ => wrapped_of(build, x, kept, kind),
            };
            build.multiply_scalar(rest, power(bits))
        } else {
            shifted(build, x, bits, kind)
        };
        let distance = build.add_scalar(by, -f64::from(bits));
        let taken = build.pointwise(is_zero(), distance);
        let part = build.binary(BinaryFn::Mul, moved, taken);
        add(build, part);
    }
    if !left && kind.signed {
        // Shifted by all its bits, or by less than none, a negative number is -1.
        let negative = build.multiply_scalar(x, -1.0);
        let negative = build.pointwise(Pointwise::step(Pointwise::Variable), negative);
        let opposite = build.multiply_scalar(by, -1.0);
        let below = build.pointwise(Pointwise::step(Pointwise::Variable), opposite);
        let beyond = build.add_scalar(by, 1.0 - f64::from(kind.bits));
        let beyond = build.pointwise(Pointwise::step(Pointwise::Variable), beyond);
        let outside = build.binary(BinaryFn::Add, below, beyond);
        let filled = build.binary(BinaryFn::Mul, negative, outside);
        let filled = build.multiply_scalar(filled, -1.0);
        add(build, filled);
    }
    let made = match sum {
        Some(sum) => sum,
        None => {
            let none = build.multiply_scalar(x, 0.0);
            let by = build.multiply_scalar(by, 0.0);
            build.binary(BinaryFn::Add, none, by)
        }
    };
    Ok(vec![(made, dtype)])
}

/// The lowest bits of `x`, an integer of `kind`, as an integer of `kept`.
fn wrapped_of(build: &mut Builder, x: NodeId, kept: Kind, kind: Kind) -> NodeId {
    let half = if kept.signed {
        power(kept.bits - 1)
    } else {
        0.0
    };
    let raised = build.add_scalar(x, half);
    let overflow = shifted(build, raised, kept.bits, kind);
    let overflow = build.multiply_scalar(overflow, power(kept.bits));
    build.binary(BinaryFn::Sub, x, overflow)
}

/// The element type with this number in ONNX.
fn numbered(dtype: i64) -> Option<DatumType> {
    Some(match dtype {
        2 => DatumType::U8,
        3 => DatumType::I8,
        4 => DatumType::U16,
        5 => DatumType::I16,
        6 => DatumType::I32,
        7 => DatumType::I64,
        9 => DatumType::Bool,
        12 => DatumType::U32,
        13 => DatumType::U64,
        _ => return None,
    })
}

/// `BitCast` between integers.
fn cast(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let from = scope.dtype(0);
    let to = scope.int("to").unwrap_or(0);
    let to = numbered(to).filter(|to| !from.is_float() && from.size_of() == to.size_of());
    let to = to.ok_or_else(|| {
        refuse(
            "it reads the bits of a float",
            "cast between integers of the same width",
        )
    })?;
    let integer = |dtype: DatumType| dtype != DatumType::Bool;
    if integer(from) != integer(to) && to == DatumType::Bool {
        return Err(refuse(
            "it reads integers as booleans",
            "compare them with zero",
        ));
    }
    let made = if integer(to) && from.is_integer() && from.is_signed() != to.is_signed() {
        Kind::of(to)?.wrapped(&mut scope.build, x)
    } else {
        x
    };
    Ok(vec![(made, to)])
}
