//! Attacks on the relations that round to wide integers, normalize and divide: any column of theirs changed, the rest left true, and the whole
//! argued for as well as can be.
mod support;

use std::borrow::Cow;

use support::{Builder, accumulator, at, term, view};
use zkiln_runtime::key::ProverKey;
use zkiln_runtime::model::{ColumnId, Model, Powers, Structure};
use zkiln_runtime::protocol::testing::prove_trace;
use zkiln_runtime::protocol::{ProveOptions, verify};
use zkiln_runtime::randomness::Randomness;
use zkiln_runtime::relations::{Division, Normalize, Relation, Round};
use zkiln_runtime::trace::{self, Constants};

/// `round(100 x / 16)`, the mantissa of `16 x` with its reciprocal, and `floor((x - 500) / x)`, of three positive `x`.
fn model() -> (Model, Vec<Vec<i32>>) {
    let mut b = Builder::default();
    let x = b.input("x", &[3], (-1000, 1000));
    let times = |k: i64| term(k, &[], &[view(x, &[at(0)])]);
    let round = Round {
        accumulator: accumulator(&[3], &[(100, x)], &[]),
        shift: 4,
        remainder: b.limbs("y/remainder", &[3], &[4]),
        output: b.witness("y", &[3]),
        least: -2048,
        range: b.limbs("y/range", &[3], &[6, 6]),
    };
    b.node("y", Relation::Round(round));
    let exponents = b.table("exponents", 3, 0, &[&|e| e as i32]);
    let powers = b.structural("powers", 8, Structure::Powers(Powers { step: 1, last: 6 }));
    let outputs = b.tables[exponents.0 as usize].outputs.to_mut();
    outputs.insert(0, powers);
    let reciprocal = |m: i64| 1024 / (m as i32 + 16).max(1);
    let normalize = Normalize {
        accumulator: accumulator(&[3], &[], &[times(16)]),
        octaves: 1,
        exponent: b.witness("e", &[3]),
        exponents,
        power: b.witness("e/power", &[3]),
        times: 1,
        factors: Cow::Owned(vec![b.witness("e/factor", &[3])]),
        shift: 6,
        remainder: b.limbs("m/remainder", &[3], &[3, 3]),
        mantissa: b.witness("m", &[3]),
        table: b.table("reciprocal", 5, -16, &[&reciprocal]),
        mapped: Cow::Owned(vec![b.witness("m/reciprocal", &[3])]),
        range: b.table("length", 5, 0, &[]),
    };
    b.node("m", Relation::Normalize(normalize));
    let division = Division {
        numerator: accumulator(&[3], &[], &[times(1), term(-500, &[], &[])]),
        divisor: accumulator(&[3], &[], &[times(1)]),
        quotient: b.witness("q", &[3]),
        least: -512,
        quotient_limbs: b.limbs("q/above", &[3], &[5, 5]),
        remainder: b.limbs("q/rest", &[3], &[5, 5]),
        slack: b.limbs("q/slack", &[3], &[5, 5]),
    };
    b.node("q", Relation::Division(division));
    b.build(3)
}

#[test]
fn no_other_columns_are_argued_for() {
    let (model, constants) = model();
    let key = ProverKey::new(model.clone(), constants.clone(), &[0; 32]).unwrap();
    let constants = Constants::new(&model, constants).unwrap();
    let inputs = [vec![1, 100, 37]];
    let argue = |change: Option<(ColumnId, usize, i32)>| {
        let mut trace = trace::run(&model, &constants, &inputs).unwrap();
        if let Some((column, at, by)) = change {
            let mut values = trace.column(column).to_vec();
            values[at] += by;
            trace.set(column, values);
        }
        let randomness = Randomness::from_seed("test", [7; 32]);
        let proven = prove_trace(
            &key,
            trace,
            &inputs,
            vec![],
            &ProveOptions::default(),
            randomness,
        );
        verify(key.verifier_key(), &proven.statement, &proven.proof)
    };
    assert_eq!(argue(None), Ok(()));
    for node in model.nodes.iter() {
        for column in node.relation.writes() {
            for (at, by) in [(0, 1), (1, -1), (2, 8)] {
                let name = &model.columns[column.0 as usize].name;
                assert!(argue(Some((column, at, by))).is_err(), "`{name}` at {at}");
            }
        }
    }
}
