//! Whether a model is well-formed in what it hides: the verifier cannot look at it.

use std::collections::HashSet;

use super::relations::column;
use crate::error::{VerifyError, check};
use crate::statement::model::{
    Accumulator, ColumnKind, Model, Port, Term, View, Visibility, shown_row_log2,
};

// verify-path: begin
/// Whether the accumulator is the port's column, as a whole or without its padding, up to constants: whatever bounds one bounds the other.
fn is_whole(accumulator: &Accumulator, port: &Port) -> bool {
    let Some(column) = port.column() else {
        return false;
    };
    let in_order = |view: &View| {
        let axes = view.index.iter().enumerate();
        let mut plain = axes.map(|(axis, map)| {
            let [(read, 1)] = *map.strides else {
                return false;
            };
            map.offset == 0 && usize::from(read) == axis
        });
        view.column == column && plain.all(|plain| plain)
    };
    let term = |term: &Term| {
        term.coefficient == 1
            && term.summed.is_empty()
            && matches!(&*term.operands, [view] if in_order(view))
    };
    let mut terms = accumulator.terms.iter();
    let once = match &*accumulator.columns {
        [] => terms.next().is_some_and(term),
        columns => *columns == *port.value.columns,
    };
    accumulator.shape == port.value.shape && once && terms.all(|rest| rest.operands.is_empty())
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

/// A hidden input is ranged by a node; what is committed is a witness column of its own, in rows of the common length.
pub(super) fn check_hidden(model: &Model) -> Result<(), VerifyError> {
    let ranges = |port: &Port| {
        let relations = model.nodes.iter().map(|node| &node.relation);
        let mut readers = relations.filter(|relation| {
            let mut reads = relation.reads().into_iter();
            reads.any(|accumulator| is_whole(accumulator, port))
        });
        readers.any(|relation| relation.bounds())
    };
    let hidden = |port: &&Port| port.visibility != Visibility::Public;
    check(
        model.inputs.iter().filter(hidden).all(ranges),
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
    use crate::statement::model::ColumnId;
    use crate::statement::relations::Relation;
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
        assert_eq!(verdict(|model| output(model, of("activated"))), Ok(()));
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
            output(model, of("activated"));
        };
        let reason = "rows are too short for a committed port";
        assert_eq!(verdict(short), Err(VerifyError::Key(reason)));
    }
}
