use proptest::prelude::*;

use super::*;
use crate::statement::model::{Node, TableId};
use crate::statement::relations::testing::{Draft, everything};
use crate::statement::relations::{Exact, Map, Relation};

#[test]
fn every_relation_together() {
    let draft = everything();
    let mut trace = draft.run(&[vec![4, 0, 2]]);
    let outputs = trace.outputs(&draft.model).unwrap();
    assert_eq!(outputs[0].len(), 12);
    for node in draft.model.nodes.iter() {
        for id in node.relation.writes() {
            draft.assert_caught(&mut trace, &[(id, 0, 1)]);
        }
    }
}

/// What is wrong with the model of all relations after a change.
fn reason(change: impl FnOnce(&mut Draft)) -> &'static str {
    let mut draft = everything();
    change(&mut draft);
    match draft.model.validate() {
        Err(VerifyError::Key(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

fn column_at<'a>(draft: &'a mut Draft, name: &str) -> &'a mut Column {
    let columns = draft.model.columns.to_mut().iter_mut();
    columns
        .into_iter()
        .find(|column| column.name == name)
        .unwrap()
}

fn table_at(draft: &mut Draft) -> &mut Table {
    &mut draft.model.tables.to_mut()[3]
}

fn add_node(draft: &mut Draft, relation: Relation) {
    draft.node("added", relation);
}

/// Adds a node that reads `accumulator`.
fn read(draft: &mut Draft, accumulator: Accumulator) {
    let mapped = Vec::new().into();
    add_node(
        draft,
        Relation::Map(Map {
            accumulator,
            table: TableId(0),
            mapped,
        }),
    );
}

#[test]
fn columns_and_rows() {
    assert_eq!(
        reason(|draft| draft.model.row_log2 = 13),
        "rows are too long for what is committed"
    );
    assert_eq!(
        reason(|draft| draft.model.answer_log2 = 25),
        "an answer is too long"
    );
    assert_eq!(
        reason(|draft| column_at(draft, "hot").name = "iota".into()),
        "two columns have one name"
    );
    assert_eq!(
        reason(|draft| column_at(draft, "hot").shape.to_mut()[0] = 0),
        "an axis is empty"
    );
    assert_eq!(
        reason(|draft| column_at(draft, "hot").shape.to_mut()[0] = u32::MAX),
        "an axis is too long"
    );
    assert_eq!(
        reason(|draft| column_at(draft, "hot").shape = vec![1 << 18; 2].into()),
        "a tensor is too large"
    );
    assert_eq!(
        reason(|draft| column_at(draft, "hot").shape = vec![1; 33].into()),
        "a tensor has too many axes"
    );
    let large = |draft: &mut Draft| draft.witness("large", &[1 << 30, 1 << 4]);
    assert_eq!(
        reason(|draft| {
            large(draft);
        }),
        "the columns are too large"
    );
}

#[test]
fn tables() {
    assert_eq!(
        reason(|draft| table_at(draft).len_log2 = 21),
        "a table is too long"
    );
    assert_eq!(
        reason(|draft| table_at(draft).len_log2 = 9),
        "a table's column has the wrong shape"
    );
    assert_eq!(
        reason(|draft| table_at(draft).first_key = 1),
        "a table has no key 0"
    );
    assert_eq!(
        reason(|draft| table_at(draft).first_key = i64::MIN),
        "a table has no key 0"
    );
    let multiplicities = |draft: &mut Draft| table_at(draft).multiplicities;
    assert_eq!(
        reason(|draft| {
            let id = multiplicities(draft);
            table_at(draft).outputs.to_mut()[0] = id;
        }),
        "a table's column is of the wrong kind"
    );
    assert_eq!(
        reason(|draft| table_at(draft).outputs.to_mut()[0] = ColumnId(999)),
        "a column does not exist"
    );
    assert_eq!(
        reason(|draft| table_at(draft).outputs = vec![ColumnId(0); 3].into()),
        "a table has too many outputs"
    );
}

#[test]
fn ports() {
    fn input(draft: &mut Draft) -> &mut Port {
        &mut draft.model.inputs.to_mut()[0]
    }
    assert_eq!(
        reason(|draft| input(draft).range = (1, 0)),
        "a port's range is empty"
    );
    assert_eq!(
        reason(|draft| input(draft).range = (0, 1 << 31)),
        "an input's range is too wide"
    );
    let not_whole = "an input is not one whole column";
    assert_eq!(
        reason(|draft| input(draft).value.columns.to_mut()[0].0 = 2),
        not_whole
    );
    assert_eq!(
        reason(|draft| input(draft).value = input(draft).value.clone().plus_constant(1)),
        not_whole
    );
    let shape = "a summand has another shape than its sum";
    assert_eq!(
        reason(|draft| input(draft).value.shape = vec![4].into()),
        shape
    );
    assert_eq!(
        reason(|draft| draft.model.outputs.to_mut()[0].range = (1, 0)),
        "a port's range is empty"
    );
    let outputs = |draft: &mut Draft, id| {
        draft.model.outputs.to_mut()[0].value = Accumulator::of_column(vec![64].into(), id)
    };
    assert_eq!(
        reason(|draft| {
            let id = draft.model.tables[0].multiplicities;
            outputs(draft, id);
        }),
        "a column is read before it is filled"
    );
}

#[test]
fn order() {
    let twice = "a column is filled twice, or is a constant";
    assert_eq!(
        reason(|draft| draft.model.nodes.to_mut().swap(1, 2)),
        "a column is read before it is filled"
    );
    assert_eq!(
        reason(|draft| {
            let first: Node = draft.model.nodes[0].clone();
            draft.model.nodes.to_mut().push(first);
        }),
        twice
    );
    assert_eq!(
        reason(|draft| {
            let shared = draft.model.tables[0].multiplicities;
            draft.table("short", 0, 6, &[]);
            draft.model.tables.to_mut()[4].multiplicities = shared;
        }),
        twice
    );
    let exact = |draft: &mut Draft, output| {
        let accumulator = Accumulator::zero(vec![5].into());
        add_node(
            draft,
            Relation::Exact(Exact {
                accumulator,
                output,
            }),
        );
    };
    assert_eq!(reason(|draft| exact(draft, ColumnId(1))), twice);
    assert_eq!(
        reason(|draft| exact(draft, ColumnId(999))),
        "a column does not exist"
    );
    assert_eq!(
        reason(|draft| {
            draft.witness("idle", &[1]);
        }),
        "a column is never filled"
    );
    assert_eq!(
        reason(|draft| {
            let output = draft.witness("other", &[6]);
            exact(draft, output);
        }),
        "a summand has another shape than its sum"
    );
}

#[test]
fn terms_and_views() {
    let view = |maps: &[(i32, &[(u8, i32)])]| View {
        column: ColumnId(2),
        index: (maps.iter())
            .map(|&(offset, strides)| AxisMap {
                offset,
                strides: strides.to_vec().into(),
            })
            .collect(),
    };
    let with = |summed: Vec<u32>, operands: Vec<View>| {
        reason(|draft| {
            read(
                draft,
                Accumulator::zero(vec![3].into()).plus_product(1, summed, operands),
            )
        })
    };
    let plain = view(&[(0, &[(0, 1)]), (0, &[])]);
    assert_eq!(
        with(vec![], vec![plain.clone(); 5]),
        "a product has too many operands"
    );
    assert_eq!(with(vec![1; 32], vec![]), "a product has too many axes");
    assert_eq!(with(vec![0], vec![]), "an axis is empty");
    assert_eq!(
        with(vec![], vec![view(&[(0, &[])])]),
        "a view has too few or too many maps"
    );
    assert_eq!(
        with(vec![], vec![view(&[(0, &[(1, 1)]), (0, &[])])]),
        "a view reads along no axis"
    );
    assert_eq!(
        with(vec![2], vec![view(&[(0, &[(0, 1)]), (0, &[(0, 1)])])]),
        "a view uses an axis twice"
    );
    assert_eq!(
        with(vec![2], vec![view(&[(0, &[(0, 1), (0, 1)]), (0, &[])])]),
        "a view uses an axis twice"
    );
    let far = view(&[(0, &[(1, i32::MIN)]), (0, &[])]);
    assert_eq!(with(vec![1 << 20], vec![far]), "a view reaches too far");
    let missing = View {
        column: ColumnId(999),
        ..plain
    };
    assert_eq!(with(vec![], vec![missing]), "a column does not exist");
}

#[test]
fn lookups() {
    assert_eq!(
        reason(|draft| read(draft, Accumulator::zero(vec![1 << 30].into()))),
        "there are too many lookups"
    );
    assert_eq!(
        reason(|draft| {
            let mapped = draft.witness("mapped", &[4]);
            let accumulator = Accumulator::zero(vec![3].into());
            let mapped = vec![mapped].into();
            add_node(
                draft,
                Relation::Map(Map {
                    accumulator,
                    table: TableId(3),
                    mapped,
                }),
            );
        }),
        "a summand has another shape than its sum"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// Keys come from anywhere: no bytes may make the checks panic.
    #[test]
    fn malformed_models_do_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = postcard::to_allocvec(&everything().model).unwrap();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Ok(model) = postcard::from_bytes::<Model>(&bytes) {
            let constraints = model.constraints();
            if model.validate().is_ok() {
                prop_assert!(constraints.is_ok());
            }
        }
    }
}
