//! Tests of units, weights and goals.

use crate::lower::quantize::*;
use crate::lower::value::Fresh;
use crate::lower::value::weight::Weight;

fn columns() -> Columns {
    let mut columns = Columns::default();
    columns.witness("x", vec![4], (-2048, 2047));
    columns.witness("y", vec![4], (0, 100));
    columns
}

fn view(id: u32, axis: Axis, unit: f64) -> Term {
    Term::view(
        View::whole(zkiln_runtime::model::ColumnId(id), &[axis]),
        unit,
    )
}

fn quantize(terms: Vec<Term>, axis: Axis, goal: Goal) -> Quantized {
    accumulate(
        &mut columns(),
        "test",
        &Value::new(vec![vec![axis]], terms),
        &[axis],
        goal,
        12,
    )
    .expect("narrow enough")
}

#[test]
fn a_common_factor_stays_out_of_the_integers() {
    let axis = Fresh::default().axis(4);
    let exact = quantize(
        vec![view(0, axis, 3.0 / 49.0), view(1, axis, -1.0 / 49.0)],
        axis,
        Goal::Exact,
    );
    assert_eq!(
        exact
            .accumulator
            .terms
            .iter()
            .map(|term| term.coefficient)
            .collect::<Vec<_>>(),
        [3, -1]
    );
    assert_eq!(exact.unit, 1.0 / 49.0);
    assert_eq!(exact.bounds, (-3 * 2048 - 100, 3 * 2047));
}

#[test]
fn unrelated_factors_are_approximated() {
    let axis = Fresh::default().axis(4);
    let goal = Goal::Rounded {
        magnitude: 2048.0,
        levels: 2048.0,
    };
    let sum = quantize(
        vec![view(0, axis, 1.0), view(1, axis, std::f64::consts::PI)],
        axis,
        goal,
    );
    let real = |i: usize| sum.accumulator.terms[i].coefficient as f64 * sum.unit;
    assert_eq!(real(0), 1.0);
    assert!((real(1) - std::f64::consts::PI).abs() * 100.0 < 1.0 / 8.0);
    assert_eq!(sum.step_log2, -sum.unit.log2() as i32);
}

#[test]
fn weights_have_their_width_and_constants_the_unit() {
    let axis = Fresh::default().axis(4);
    let weighted = Term {
        weight: Some(Weight::new(
            vec![axis],
            vec![0.3137, -0.7073, 0.1123, 0.5003],
        )),
        ..view(0, axis, 0.25)
    };
    let constant = Term::constant(Weight::new(vec![axis], vec![1.0, 2.0, 3.0, 4.5]));
    let sum = quantize(vec![weighted, constant], axis, Goal::Output);
    assert!(sum.bounds.0 < -2048 * 1024 && sum.bounds.0 >= -2048 * 2047);
    assert_eq!(sum.unit.log2().fract(), 0.0);
}

#[test]
fn too_wide_sums_are_refused() {
    let axis = Fresh::default().axis(4);
    let (x, cube) = (view(0, axis, 1.0), 3);
    let term = Term {
        factors: vec![x.factors[0].clone(); cube],
        ..x.clone()
    };
    let value = Value::new(
        vec![vec![axis]],
        vec![
            term,
            Term {
                scalar: f64::from(30).exp2(),
                ..x
            },
        ],
    );
    assert!(accumulate(&mut columns(), "test", &value, &[axis], Goal::Exact, 12).is_ok());
    let value = value.scaled(1.0).plus(Value::new(
        vec![vec![axis]],
        vec![Term {
            scalar: f64::from(60).exp2(),
            ..view(0, axis, 1.0)
        }],
    ));
    assert!(accumulate(&mut columns(), "test", &value, &[axis], Goal::Exact, 12).is_err());
}
