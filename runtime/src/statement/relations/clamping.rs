//! Clamping is not a relation of its own but composed of others, as the compiler does; these are the attacks on it.

use super::testing::Draft;
use super::{Exact, Limbs, Relation, Requant};
use crate::statement::model::{Accumulator, ColumnId, View};
use crate::witness::trace::Trace;

fn whole(column: ColumnId) -> Vec<View> {
    vec![View::identity(column, 1).unwrap()]
}

/// `y = clamp(x, -8, 7)` for `x` of 8 bits: `x = 8 u + r`, `y = inside(u) x + end(u)`.
struct Input {
    draft: Draft,
    x: ColumnId,
    upper: ColumnId,
    inside: ColumnId,
    end: ColumnId,
    y: ColumnId,
    /// The lower limb of the remainder, 2 bits; the top one has 1.
    low: ColumnId,
}

fn input() -> Input {
    let mut draft = Draft::new();
    let (x, value) = draft.input("x", &[5]);
    let inside: fn(i64) -> i32 = |u| i32::from((-1..=0).contains(&u));
    let end: fn(i64) -> i32 = |u| match u {
        -1..=0 => 0,
        ..-1 => -8,
        _ => 7,
    };
    let table = draft.table("clamp", -16, 5, &[inside, end]);
    let limbs = [("low limb", 2), ("top limb", 1)];
    let limbs = limbs.map(|(name, bits)| draft.table(name, 0, bits, &[]));
    let [upper, inside, end, y, low] =
        ["upper", "is inside", "nearest end", "y", "low"].map(|name| draft.witness(name, &[5]));
    draft.node(
        "range",
        Relation::Requant(Requant {
            accumulator: value.plus_constant(-4),
            shift: 3,
            remainder: Limbs {
                tables: limbs.to_vec().into(),
                columns: vec![low].into(),
            },
            output: upper,
            table,
            mapped: vec![inside, end].into(),
        }),
    );
    let product = [whole(inside), whole(x)].concat();
    draft.node(
        "clamped",
        Relation::Exact(Exact {
            accumulator: Accumulator::zero(vec![5].into())
                .plus_product(1, vec![], product)
                .plus_product(1, vec![], whole(end)),
            output: y,
        }),
    );
    Input {
        draft,
        x,
        upper,
        inside,
        end,
        y,
        low,
    }
}

/// The changes that make `at` hold what the prover would like: its true values and the liked ones.
fn forged(trace: &Trace, at: usize, liked: &[(ColumnId, i32)]) -> Vec<(ColumnId, usize, i32)> {
    let change =
        |&(column, value): &(ColumnId, i32)| (column, at, value - trace.column(column)[at]);
    liked.iter().map(change).collect()
}

#[test]
fn inputs_are_clamped_at_both_ends() {
    let Input { draft, y, .. } = input();
    for (given, expected) in [
        ([-128, -9, -8, -1, 0], [-8, -8, -8, -1, 0]),
        ([1, 7, 8, 100, 127], [1, 7, 7, 7, 7]),
    ] {
        let trace = draft.run(&[given.to_vec()]);
        assert_eq!(trace.column(y)[..5], expected);
        assert_eq!(trace.column(y)[5..], [0; 3]);
    }
    for outside in [-129, 128] {
        let inputs = [vec![0, 0, outside, 0, 0]];
        assert!(crate::witness::trace::run(&draft.model, &draft.constants(), &inputs).is_err());
    }
}

#[test]
fn no_input_in_its_range_is_clamped_and_none_beyond_it_is_not() {
    let Input {
        draft,
        x,
        upper,
        inside,
        end,
        y,
        low,
    } = input();
    let given = [-8, 5, 7, 8, -9];
    let mut trace = draft.run(&[given.to_vec()]);
    for column in [upper, inside, end, y, low] {
        draft.assert_all_caught(&mut trace, column);
    }
    // Every row of the table, with all that follows from it, except the true one.
    for (at, &value) in given.iter().enumerate() {
        for u in -16..16i64 {
            let is_inside = (-1..=0).contains(&u);
            let nearest = if u < 0 { -8 } else { 7 };
            let (b, d) = if is_inside { (1, 0) } else { (0, nearest) };
            if u == value.div_euclid(8) {
                continue;
            }
            let clamped = b * value as i32 + d;
            for lower in 0..4 {
                let liked = [
                    (upper, u as i32),
                    (inside, b),
                    (end, d),
                    (y, clamped),
                    (low, lower),
                ];
                let changes = forged(&trace, at, &liked);
                draft.assert_caught(&mut trace, &changes);
            }
        }
        // The true row, and another flag, end or result.
        for liked in [
            [(inside, 0), (end, 7), (y, 7)],
            [(inside, 0), (end, -8), (y, -8)],
            [(inside, 1), (end, 0), (y, value as i32)],
            [(inside, 0), (end, 0), (y, 0)],
        ] {
            let changes = forged(&trace, at, &liked);
            if changes.iter().any(|(_, _, by)| *by != 0) {
                draft.assert_caught(&mut trace, &changes);
            }
        }
    }
    assert_eq!(trace.column(x)[..5], given.map(|x| x as i32));
}

#[test]
fn no_rounded_value_in_its_range_is_clamped() {
    let mut draft = Draft::new();
    let (_, value) = draft.input("x", &[4]);
    let clamp: fn(i64) -> i32 = |key| key.clamp(-4, 3) as i32;
    let table = draft.table("clamp", -64, 7, &[clamp]);
    let limb = draft.table("limb", 0, 3, &[]);
    let (rounded, clamped) = (draft.witness("rounded", &[4]), draft.witness("y", &[4]));
    let relation = Relation::Requant(Requant {
        accumulator: value,
        shift: 3,
        remainder: Limbs {
            tables: vec![limb].into(),
            columns: vec![].into(),
        },
        output: rounded,
        table,
        mapped: vec![clamped].into(),
    });
    draft.node("boundary", relation);
    let mut trace = draft.run(&[vec![-500, -20, 17, 400]]);
    assert_eq!(trace.column(rounded), [-62, -2, 2, 50]);
    assert_eq!(trace.column(clamped), [-4, -2, 2, 3]);
    draft.assert_all_caught(&mut trace, rounded);
    draft.assert_all_caught(&mut trace, clamped);
    for at in 0..4 {
        for key in -64..64 {
            let liked = [(rounded, key), (clamped, key.clamp(-4, 3))];
            let changes = forged(&trace, at, &liked);
            if key != trace.column(rounded)[at] {
                draft.assert_caught(&mut trace, &changes);
            }
        }
    }
}
