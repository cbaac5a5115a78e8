//! Whether a model is well-formed in what it hides: the verifier cannot look at it.

use std::collections::HashSet;

use super::relations::{Relation, column};
use crate::error::{VerifyError, check};
use crate::statement::model::{
    Accumulator, ColumnId, ColumnKind, Model, Port, TableId, Term, View, Visibility, shown_row_log2,
};

// verify-path: begin
/// The column that the accumulator is, as a whole or without its padding, up to constants: whatever bounds one bounds the other.
fn whole_column(model: &Model, accumulator: &Accumulator) -> Option<ColumnId> {
    let in_order = |view: &View| {
        let axes = view.index.iter().enumerate();
        let mut plain = axes.map(|(axis, map)| {
            let [(read, 1)] = *map.strides else {
                return false;
            };
            map.offset == 0 && usize::from(read) == axis
        });
        plain.all(|plain| plain)
    };
    let mut terms = accumulator.terms.iter();
    let id = match &*accumulator.columns {
        [] => {
            let term = terms.next()?;
            let once = term.coefficient == 1 && term.summed.is_empty();
            match &*term.operands {
                [view] if once && in_order(view) => view.column,
                _ => return None,
            }
        }
        [(1, id)] => *id,
        _ => return None,
    };
    let constant = |term: &Term| term.operands.is_empty() && term.summed.is_empty();
    let shape = &model.columns.get(id.0 as usize)?.shape;
    (accumulator.shape == *shape && terms.all(constant)).then_some(id)
}

/// Whether the relation confines what it reads, less the accumulator's constants, to 32 bits: what a commitment opens to.
fn is_within_32_bits(model: &Model, relation: &Relation, accumulator: &Accumulator) -> bool {
    let plain = accumulator
        .terms
        .iter()
        .filter(|term| term.operands.is_empty());
    let constants: i128 = plain.map(|term| i128::from(term.coefficient)).sum();
    let table = |id: TableId| {
        let table = model.tables.get(id.0 as usize)?;
        let first = i128::from(table.first_key);
        Some((first, first + (1i128 << table.len_log2.min(64))))
    };
    // Integers that round to these.
    let rounded = |(first, end): (i128, i128), shift: u8| {
        let [unit, half] = [shift, shift.saturating_sub(1)].map(|bits| 1i128 << bits.min(62));
        (first * unit - half, end * unit - half)
    };
    let range = match relation {
        Relation::Map(it) => table(it.table),
        Relation::Requant(it) => table(it.table).map(|keys| rounded(keys, it.shift)),
        Relation::OneHot(it) => (model.columns.get(it.iota.0 as usize))
            .and_then(|column| column.shape.first())
            .map(|len| (0, i128::from(*len))),
        _ => None,
    };
    range.is_some_and(|(first, end)| {
        first - constants >= i128::from(i32::MIN) && end - constants <= i128::from(i32::MAX) + 1
    })
}

/// That committed ports are zero in their padding: so that what a commitment is to is a tensor of the port's shape, and can be opened.
pub(super) fn zero_padding(model: &Model) -> Result<Vec<Accumulator>, VerifyError> {
    let mut zeros = Vec::new();
    for id in model.shown_columns() {
        let shape = &column(model, id)?.shape;
        if shape.iter().any(|len| !len.is_power_of_two()) {
            let inside = vec![View::identity(id, shape.len())?];
            zeros.push(Accumulator::of_column(shape.clone(), id).plus_product(
                -1,
                Vec::new(),
                inside,
            ));
        }
    }
    Ok(zeros)
}

/// Columns that nodes confine to a table's range, and those of them that are confined to 32 bits.
fn ranged_columns(model: &Model) -> [HashSet<ColumnId>; 2] {
    let [mut ranged, mut narrow] = [HashSet::new(), HashSet::new()];
    for relation in model.nodes.iter().map(|node| &node.relation) {
        for read in relation.reads() {
            let Some(id) = whole_column(model, read) else {
                continue;
            };
            if relation.bounds() {
                ranged.insert(id);
            }
            if is_within_32_bits(model, relation, read) {
                narrow.insert(id);
            }
        }
    }
    [ranged, narrow]
}

/// A hidden input is ranged by a node; what is committed is a witness column of its own, in rows of the common length, and ranged to 32 bits.
pub(super) fn check_hidden(model: &Model) -> Result<(), VerifyError> {
    let [ranged, narrow] = ranged_columns(model);
    let hidden = |port: &&Port| port.visibility != Visibility::Public;
    let is_ranged = |port: &Port| port.column().is_some_and(|id| ranged.contains(&id));
    check(
        model.inputs.iter().filter(hidden).all(is_ranged),
        "no node bounds a hidden input",
    )?;
    let mut shown = HashSet::new();
    let committed = |port: &&Port| port.visibility == Visibility::Committed;
    for port in model.ports().filter(committed) {
        let id = port
            .column()
            .ok_or(VerifyError::Key("a committed port is not one whole column"))?;
        let column = column(model, id)?;
        check(
            column.kind == ColumnKind::Witness,
            "a committed port is a constant",
        )?;
        check(shown.insert(id), "two committed ports are one column")?;
        check(
            narrow.contains(&id),
            "no node bounds a committed port to 32 bits",
        )?;
        check(
            model.row_log2 >= shown_row_log2(&column.shape)
                || column.len_log2() <= u32::from(model.row_log2),
            "rows are too short for a committed port",
        )?;
    }
    Ok(())
}
// verify-path: end

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::model::Node;
    use crate::statement::relations::Map;
    use crate::statement::relations::testing::everything;

    fn verdict(change: impl Fn(&mut Model)) -> Result<(), VerifyError> {
        let mut model = everything().model;
        change(&mut model);
        model.validate()
    }

    #[test]
    fn hidden_inputs_are_bounded() {
        let hide = |model: &mut Model| model.inputs.to_mut()[0].visibility = Visibility::Private;
        assert_eq!(verdict(hide), Ok(()));
        let unbounded = Err(VerifyError::Key("no node bounds a hidden input"));
        let loose = |model: &mut Model| {
            hide(model);
            // The index is no longer the input itself.
            if let Relation::OneHot(hot) = &mut model.nodes.to_mut()[0].relation {
                hot.index.columns.to_mut()[0].0 = 2;
            }
        };
        assert_eq!(verdict(loose), unbounded);
        let twice = |model: &mut Model| {
            hide(model);
            if let Relation::OneHot(hot) = &mut model.nodes.to_mut()[0].relation {
                hot.index.columns.to_mut()[0].0 = -1;
            }
        };
        assert_eq!(verdict(twice), unbounded);
        let mixed = |model: &mut Model| {
            hide(model);
            let input = model.inputs[0].column().expect("a column");
            let view = View::identity(input, 1).expect("a view");
            if let Relation::OneHot(hot) = &mut model.nodes.to_mut()[0].relation {
                hot.index = hot.index.clone().plus_product(-1, vec![], vec![view]);
            }
        };
        assert_eq!(verdict(mixed), unbounded);
        let shifted = |model: &mut Model| {
            hide(model);
            if let Relation::OneHot(hot) = &mut model.nodes.to_mut()[0].relation {
                hot.index = hot.index.clone().plus_constant(1);
            }
        };
        assert_eq!(verdict(shifted), Ok(()));
    }

    #[test]
    fn what_is_committed_is_a_column_of_its_own() {
        let commit = |model: &mut Model| {
            model.inputs.to_mut()[0].visibility = Visibility::Committed;
        };
        assert_eq!(verdict(commit), Ok(()));
        let output = |model: &mut Model, column: ColumnId| {
            let port = &mut model.outputs.to_mut()[0];
            port.visibility = Visibility::Committed;
            let shape = model.columns[column.0 as usize].shape.clone();
            port.value = Accumulator::of_column(shape, column);
        };
        let of = |name: &str| {
            let model = everything().model;
            let place = model.columns.iter().position(|column| column.name == name);
            ColumnId(place.expect("a column") as u32)
        };
        let ranged = |model: &mut Model, column: ColumnId, constant: i64| {
            output(model, column);
            let accumulator = model.outputs[0].value.clone().plus_constant(constant);
            model.nodes.to_mut().push(Node {
                name: "range".into(),
                relation: Relation::Map(Map {
                    accumulator,
                    table: TableId(0),
                    mapped: vec![].into(),
                }),
            });
        };
        let activated = of("activated");
        assert_eq!(verdict(|model| ranged(model, activated, 4)), Ok(()));
        let wide = Err(VerifyError::Key(
            "no node bounds a committed port to 32 bits",
        ));
        assert_eq!(verdict(|model| output(model, activated)), wide);
        assert_eq!(verdict(|model| ranged(model, activated, 1 << 32)), wide);
        // A constant counts as often as it is summed.
        let many = |model: &mut Model| {
            ranged(model, activated, 1 << 20);
            let mut node = model.nodes.last().cloned().expect("the range");
            if let Relation::Map(map) = &mut node.relation {
                map.accumulator.terms.to_mut()[0].summed = vec![1 << 20].into();
            }
            *model.nodes.to_mut().last_mut().expect("the range") = node;
        };
        assert_eq!(verdict(many), wide);
        for (name, reason) in [
            ("weights", "a committed port is a constant"),
            ("tokens", "two committed ports are one column"),
        ] {
            let both = |model: &mut Model| {
                commit(model);
                output(model, of(name));
            };
            assert_eq!(verdict(both), Err(VerifyError::Key(reason)));
        }
        let sum = |model: &mut Model| {
            model.outputs.to_mut()[0].visibility = Visibility::Committed;
        };
        let reason = "a committed port is not one whole column";
        assert_eq!(verdict(sum), Err(VerifyError::Key(reason)));
        let short = |model: &mut Model| {
            model.row_log2 = 3;
            ranged(model, activated, 4);
        };
        let reason = "rows are too short for a committed port";
        assert_eq!(verdict(short), Err(VerifyError::Key(reason)));
    }
}
