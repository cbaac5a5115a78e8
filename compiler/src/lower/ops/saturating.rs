//! Functions that are constant on both sides of a small part of what they are applied to, in a model with more bits than the fewest: the operand is cut
//! off on both sides, as integers are that are kept in a range, and a table has all its keys in between.

use crate::diagnostic::Diagnostic;
use crate::graph::{Node, Pointwise};
use crate::lower::intervals::nonnegative;
use crate::lower::levels::power_above;
use crate::lower::lowering::Lowering;
use crate::lower::ops::function::{self, label, least_wanted};
use crate::lower::ops::rescale;
use crate::lower::tabulate::Tabulated;
use crate::lower::value::Value;
use crate::lower::window::{most_part, window};

pub(super) fn lower(
    cx: &mut Lowering,
    node: &Node,
    function: &Pointwise,
) -> Result<Value, Diagnostic> {
    let value = cx.read(node, 0)?;
    let rounds = function.by_sign().is_some() || node.dtype.is_integer() || value.is_constant();
    let most = most_part(cx.bits.activation_bits, cx.is_relative(cx.current()));
    let part = match cx.bits.are_more() && !rounds {
        true => window(
            function,
            value.range,
            nonnegative(&value, &cx.columns),
            most,
        ),
        false => None,
    };
    let Some((low, high)) = part else {
        return function::lower(cx, node, function);
    };
    let bits = cx.bits.activation_bits;
    if cx
        .exact_bits(&value)?
        .is_some_and(|exact| exact <= bits + 1)
    {
        return function::lower(cx, node, function);
    }
    let step = power_above((high - low) / f64::from((1u32 << bits) - 2));
    let least = (low / step).floor();
    let cut = cx.part("cut", |cx| rescale::cut(cx, &value, step, least, bits))?;
    let label = label(cx, function);
    let tabulated = Tabulated {
        label: &label,
        bits,
        greatest: node.range.0.abs().max(node.range.1.abs()),
        least: least_wanted(cx, node, function, value.range),
        function: &|key| function.eval((key + least) * step),
    };
    match cx.through_exact_table(&cut, tabulated, bits)? {
        Some(made) => Ok(made),
        None => function::lower(cx, node, function),
    }
}
