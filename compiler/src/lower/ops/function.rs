//! Elementwise functions of one variable: a lookup table on the operand. Affine ones fold into the expression, polynomials of degree 2 are products,
//! powers and logarithms are in floating point.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::{MASKED, Node, Pointwise, PowerLaw, Tensor, UnaryFn, is_whole};
use crate::lower::exact_functions::is_computed;
use crate::lower::intervals::nonnegative;
use crate::lower::lowering::Lowering;
use crate::lower::ops::binary::{merged, reciprocal};
use crate::lower::ops::extremum::{maximum_to, settle_to};
use crate::lower::relative::{halves, root_at_zero};
use crate::lower::tabulate::{Tabulated, least_in_bits};
use crate::lower::tolerance::passes_scales;
use crate::lower::value::weight::Weight;
use crate::lower::value::{Term, Value};

/// Widest integers that a table with jumps is exact on: rounding them first would move the jumps.
const MOST_EXACT_BITS: u8 = 16;
/// A floor below this fraction of the range is seen by zero alone: a step of the fewest bits of what is wanted with a relative precision.
const RESOLVED: f64 = 1.0 / (1 << 21) as f64;
/// A function through zero is a power so near to it.
const NEAR_ZERO: f64 = 1e-6;
/// Places in a range where the greatest quotient is looked for.
const PLACES: i32 = 256;
/// How many more bits than activations its quotient by that power has: it falls where the function stays.
const QUOTIENT_EXTRA_BITS: u8 = 4;
/// Most bits of what is squared beside a quotient.
const SQUARED_BITS: u8 = 20;
/// Widest integers of which one table of signs is cheaper than two comparisons.
const TABLE_BITS: u8 = 12;

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    function: &Pointwise,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    lower_with(cx, node, value, function)
}

/// The function of `value`, as the value of `node`.
pub(super) fn lower_with(
    cx: &mut Lowering,
    node: &Node,
    value: Value,
    function: &Pointwise,
) -> Result<Value, Diagnostic> {
    if value.is_constant() {
        return Ok(map_constant(&value, |x| function.eval(x)));
    }
    if let Some((factor, offset)) = function.is_affine() {
        return Ok(add_number(value.scaled(factor), offset));
    }
    if let Some((line, values)) = function.by_sign() {
        return by_sign(cx, value, line, values);
    }
    let rounds = function.is_whole(false) && is_computed(function) && cx.bits.are_more();
    if node.dtype.is_integer() || rounds {
        return cx.integers_of(&value, function);
    }
    if let Some(coefficients) = function.quadratic() {
        let bits = cx.bits.norm_bits().max(cx.wanted_bits(node.inputs[0]));
        return quadratic(cx, &value, coefficients, bits);
    }
    if let (Some(slopes), true) = (halves(function), cx.is_relative(cx.current())) {
        return in_halves(cx, value, slopes);
    }
    if let (Some(root), true) = (root_at_zero(function), cx.is_factor(cx.current())) {
        return through_zero(cx, value, function, root);
    }
    let bits = cx.bits.activation_bits;
    let exact_bits = if function.may_jump() {
        MOST_EXACT_BITS
    } else {
        bits + 1
    };
    let label = label(cx, function);
    let table = |x: f64| function.eval(x);
    let tabulated = Tabulated {
        label: &label,
        bits,
        greatest: node.range.0.abs().max(node.range.1.abs()),
        least: least_wanted(cx, node, function, value.range),
        function: &table,
    };
    if let Some(made) = cx.through_exact_table(&value, tabulated, exact_bits)? {
        return Ok(made);
    }
    if let Some(law) = function.power_law() {
        return power_law(cx, value, law, &label);
    }
    if let Some(levels) = cx.levels(&value, bits).filter(|_| passes_scales(function)) {
        let even = levels.even(&value);
        let ends = [even.range.0, even.range.1].map(|end| table(end).abs());
        let tabulated = Tabulated {
            greatest: ends[0].max(ends[1]),
            ..tabulated
        };
        // Finer channels make wider sums.
        if let Ok(made) = cx.through_table(&even, tabulated) {
            return Ok(levels.restore(made, node.range));
        }
    }
    cx.through_table(&value, tabulated)
}

/// `a x^2 + b x + c`, exact where `x` is, which is rounded to `bits` bits if it has to be.
fn quadratic(
    cx: &mut Lowering,
    value: &Value,
    [c, b, a]: [f64; 3],
    bits: u8,
) -> Result<Value, Diagnostic> {
    let value = cx.short_sum(value, bits)?;
    let square = cx
        .sum_of_squares(&value, &[], value.dims.clone())?
        .scaled(a);
    if (b, c) == (0.0, 0.0) {
        return Ok(square);
    }
    let sum = square.plus(value.scaled(b));
    Ok(add_number(
        Value {
            proven: None,
            ..sum
        },
        c,
    ))
}

/// `below x` for negative `x`, else `above x`, with all bits that `x` has.
fn in_halves(
    cx: &mut Lowering,
    value: Value,
    (below, above): (f64, f64),
) -> Result<Value, Diagnostic> {
    if nonnegative(&value, &cx.columns) {
        return Ok(value.scaled(above));
    }
    let value = match value.is_plain_product() {
        true => value,
        false => settle_to(cx, value, cx.wanted_bits(cx.current()))?,
    };
    let mut factor = cx.positive(&value)?.scaled(above - below);
    factor.integer = false;
    factor
        .terms
        .push(Term::constant(Weight::new(vec![], vec![below])));
    let range = |x: f64| if x > 0.0 { above * x } else { below * x };
    let ends = [range(value.range.0), range(value.range.1)];
    // Where it rises to both sides nothing is negative.
    let rises = below <= 0.0 && above >= 0.0;
    let made = cx.multiply(value, factor.normalize())?;
    Ok(Value {
        range: (ends[0].min(ends[1]).min(0.0), ends[0].max(ends[1]).max(0.0)),
        proven: rises.then_some((0.0, f64::INFINITY)),
        ..made
    })
}

/// `x^n q(x)`, for a function that is nearly `c x^n` beside zero: it is as precise for a quiet `x` as the quotient `q`, which is smooth there.
fn through_zero(
    cx: &mut Lowering,
    value: Value,
    function: &Pointwise,
    (power, factor): (i32, f64),
) -> Result<Value, Diagnostic> {
    // The square is to fit beside the quotient.
    let bits = match power {
        1 => cx.wanted_bits(cx.current()),
        _ => SQUARED_BITS,
    };
    let value = settle_to(cx, value, bits)?;
    let quotient = |x: f64| match x.abs() < NEAR_ZERO {
        true => factor,
        false => function.eval(x) / x.powi(power),
    };
    let (low, high) = value.range;
    let place = |at: i32| low + (high - low) * f64::from(at) / f64::from(PLACES);
    let greatest = |function: &dyn Fn(f64) -> f64| {
        let sizes = (0..=PLACES).map(|at| function(place(at)).abs());
        sizes.filter(|y| y.is_finite()).fold(0.0, f64::max)
    };
    let most = greatest(&quotient).max(factor.abs());
    let bits = cx.bits.activation_bits;
    let tabulated = Tabulated {
        label: &format!("{}_by_x", label(cx, function)),
        bits,
        greatest: most,
        least: least_in_bits(most, bits + QUOTIENT_EXTRA_BITS),
        function: &quotient,
    };
    let mut product = cx.through_table(&value, tabulated)?;
    for times in 1..=power {
        product = cx.multiply(value.clone(), product)?;
        let most = greatest(&|x| quotient(x) * x.powi(times));
        product.range = (-most, most);
        product.name = cx.here().into();
    }
    Ok(product)
}

/// The least magnitude of a result that is to have a relative precision: that of exponentials and of powers over the calibrated range, and, where
/// the result is wanted relative to itself, what that takes.
pub(super) fn least_wanted(
    cx: &Lowering,
    node: &Node,
    function: &Pointwise,
    range: (f64, f64),
) -> f64 {
    let own = least_of(function, range);
    if !cx.is_relative(cx.current()) {
        return own;
    }
    let greatest = node.range.0.abs().max(node.range.1.abs());
    let wanted = least_in_bits(greatest, cx.wanted_bits(cx.current()));
    match own > 0.0 {
        true => own.min(wanted),
        false => wanted,
    }
}

/// The least magnitude of exponentials and of powers over a range.
fn least_of(function: &Pointwise, (low, high): (f64, f64)) -> f64 {
    if !function.is_exponential() && function.power_law().is_none() {
        return 0.0;
    }
    let ends = [low, high].map(|x| function.eval(x).abs());
    let least = ends[0].min(ends[1]);
    match least.is_finite() {
        true => least,
        false => 0.0,
    }
}

/// A power or a logarithm, in floating point.
fn power_law(
    cx: &mut Lowering,
    value: Value,
    law: PowerLaw,
    label: &str,
) -> Result<Value, Diagnostic> {
    let mut operand = Value {
        name: format!("{}/operand", cx.here()).into(),
        range: law.inner_range(value.range),
        ..value.scaled(law.slope)
    };
    let mut law = law;
    if law.floor > 0.0 {
        let most = operand.range.1 + law.offset.abs();
        if law.floor <= most * RESOLVED {
            // Nothing but zero is below.
            law.offset = law.offset.max(law.floor);
        } else if law.offset >= 0.0
            && nonnegative(&operand, &cx.columns)
            && let Some(floored) = floored(cx, &operand, law)?
        {
            (operand, law.offset) = (floored, 0.0);
        } else {
            let floor = Value::constant(
                &Tensor::filled(vec![1; operand.dims.len()], law.floor),
                &cx.fresh,
            );
            let moved = add_number(operand.clone(), law.offset);
            operand = maximum_to(cx, moved, floor, cx.law_bits())?;
            law.offset = 0.0;
        }
    }
    let made = match law.power {
        None => cx.logarithm(&operand, law.offset)?,
        Some(-1.0) if law.offset == 0.0 => reciprocal(cx, &operand)?,
        Some(-1.0) if operand.range.0 + law.offset < 0.0 => {
            reciprocal(cx, &add_number(operand, law.offset))?
        }
        Some(-1.0) => {
            let inverse = cx.inverse_root(&operand, law.offset, 1, label)?;
            merged(cx, inverse)?
        }
        Some(-0.5) => cx.inverse_root(&operand, law.offset, 2, label)?,
        Some(power) if power > 0.0 && law.offset < 0.0 => {
            cx.power(&add_number(operand, law.offset), 0.0, power, label)?
        }
        Some(power) => cx.power(&operand, law.offset, power, label)?,
    };
    Ok(add_number(made.scaled(law.outer[0]), law.outer[1]))
}

/// What is never negative, or its floor where that is more, exactly; `None` if no two columns hold it.
fn floored(cx: &mut Lowering, operand: &Value, law: PowerLaw) -> Result<Option<Value>, Diagnostic> {
    let moved = add_number(operand.clone(), law.offset);
    let Some(wide) = cx.in_columns(&moved)? else {
        return Ok(None);
    };
    let Some(unit) = cx
        .exact_integers(&wide, &wide.mentioned())?
        .map(|exact| exact.unit)
    else {
        return Ok(None);
    };
    let floor = (law.floor / unit).round().max(1.0) * unit;
    let above_floor = Value {
        proven: None,
        ..add_number(wide, -floor)
    };
    let above = cx.part("above", |cx| cx.positive(&above_floor))?;
    let excess = cx.multiply(above, above_floor)?;
    Ok(Some(Value {
        range: (0.0, operand.range.1 + law.offset),
        proven: Some((floor, f64::INFINITY)),
        name: operand.name.clone(),
        ..add_number(excess, floor)
    }))
}

/// `values` for the negative, zero and positive of `a x + b`.
fn by_sign(
    cx: &mut Lowering,
    value: Value,
    [slope, offset]: [f64; 2],
    [negative, zero, positive]: [f64; 3],
) -> Result<Value, Diagnostic> {
    if ![negative, zero, positive].iter().all(|y| y.abs() < MASKED) {
        return Err(refuse(
            "it makes infinities",
            "make a finite number instead, or mask with the condition where scores are",
        ));
    }
    let table = |x: f64| {
        let at = slope * x + offset;
        match at == 0.0 {
            true => zero,
            false if at < 0.0 => negative,
            false => positive,
        }
    };
    let greatest = [negative, zero, positive]
        .into_iter()
        .fold(0.0, |most: f64, y| most.max(y.abs()));
    let two_sided = negative != zero && positive != zero;
    if two_sided && cx.is_on_grid(&value)? {
        let label = cx.label();
        let tabulated = Tabulated {
            label: &label,
            bits: cx.bits.activation_bits,
            greatest,
            least: 0.0,
            function: &table,
        };
        let integer = cx.graph.nodes[cx.current()].dtype.is_integer();
        let made = match integer {
            true => cx.through_integer_table(&value, &label, TABLE_BITS, &table)?,
            false => cx.through_exact_table(&value, tabulated, TABLE_BITS)?,
        };
        if let Some(made) = made {
            return Ok(made);
        }
    }
    let shape = value.dims.clone();
    let mut line = add_number(value.scaled(slope), offset);
    line.name = cx.here().into();
    let constant = Term::constant(Weight::new(vec![], vec![zero]));
    let mut made = Value::new(shape, vec![constant]);
    for (sign, step) in [(1.0, positive - zero), (-1.0, negative - zero)] {
        if step != 0.0 {
            made = made.plus(cx.positive(&line.clone().scaled(sign))?.scaled(step));
        }
    }
    Ok(made)
}

/// The function of a constant.
pub(super) fn map_constant(value: &Value, function: impl Fn(f64) -> f64) -> Value {
    let mapped = Value {
        terms: vec![Term::constant(value.constant_part().map(function))],
        integer: false,
        ..value.clone()
    };
    Value {
        integer: mapped.is_integer(),
        ..mapped
    }
}

/// `value + number`.
pub(super) fn add_number(mut value: Value, number: f64) -> Value {
    value
        .terms
        .push(Term::constant(Weight::new(vec![], vec![number])));
    value.proven = value.proven.map(|(lo, hi)| (lo + number, hi + number));
    value.integer &= is_whole(number);
    value
}

/// Name for a table of the function.
pub(super) fn label(cx: &Lowering, function: &Pointwise) -> String {
    let known: Option<&UnaryFn> = match function {
        Pointwise::Unary(function, argument) if **argument == Pointwise::Variable => Some(function),
        _ => None,
    };
    known.map_or_else(
        || cx.label(),
        |function| format!("{function:?}").to_lowercase(),
    )
}
