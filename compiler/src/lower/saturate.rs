//! Saturation: what leaves its range is clamped rather than refused, and that is proved.
//!
//! A boundary is rounded to [`EXTRA_BITS`] more bits than it has, or to as few as its integers are certain to fit; a table maps these keys
//! to what the clamped ones are mapped to. What leaves the wider range is refused still.
//!
//! An input `x` of `m + 1` bits is taken with [`INPUT_EXTRA_BITS`] more, and cut: `x = 2^m u + r` with `0 <= r < 2^m`, so that `x` is in its
//! range if and only if `u` is 0 or -1. A table has `inside(u)`, which is 1 there and 0 elsewhere, and `end(u)`, the nearer end of the range
//! elsewhere and 0 there: `clamp(x) = inside(u) x + end(u)`. `u` is unique, so the clamped value is.

use zkiln_runtime::model::{Accumulator, ColumnId, Term, View};
use zkiln_runtime::relations::{Exact, Relation, Requant};

use crate::diagnostic::{Diagnostic, refuse};
use crate::lower::boundary::limbs;
use crate::lower::columns::KeyRange;
use crate::lower::lowering::Lowering;
use crate::lower::quantize::Quantized;

/// How many bits further than its own range a boundary is clamped.
const EXTRA_BITS: u8 = 3;
/// Widest keys of a boundary that is clamped.
const MOST_BITS: u8 = 17;
/// How many bits further than its own range an input is clamped.
const INPUT_EXTRA_BITS: u8 = 12;

fn term(coefficient: i64, operands: Vec<View>) -> Term {
    Term {
        coefficient,
        summed: vec![].into(),
        operands: operands.into(),
    }
}

/// What is known of an accumulator in units of `scale` that needs no rounding.
fn exact(accumulator: &Accumulator, scale: f64, range: (i64, i64)) -> Quantized {
    Quantized {
        accumulator: accumulator.clone(),
        unit: scale,
        offset: 0.0,
        step_log2: 0,
        bounds: (range.0.into(), range.1.into()),
        magnitude: i128::from(range.0.unsigned_abs()),
        cost: 0,
    }
}

impl Lowering<'_> {
    /// Whether values are clamped.
    pub fn saturates(&self) -> bool {
        let settings = self.options.settings.as_ref();
        self.options.saturate || settings.is_some_and(|settings| settings.saturate)
    }

    /// The keys that rounding `quantized` may give: `keys`, or wider ones if what leaves those is to be clamped.
    pub fn reach(&self, quantized: &Quantized, keys: KeyRange) -> KeyRange {
        let step = f64::from(quantized.step_log2).exp2();
        let certain = KeyRange::covering(
            (quantized.bounds.0 as f64 / step - 1.0).floor() as i128,
            (quantized.bounds.1 as f64 / step + 1.0).ceil() as i128,
        );
        let bits = certain.bits + u8::from(keys.signed && !certain.signed);
        let most = bits.min(keys.bits + EXTRA_BITS).min(MOST_BITS);
        match self.saturates() {
            true => KeyRange {
                bits: most.max(keys.bits),
                ..keys
            },
            false => keys,
        }
    }

    /// The input `column` as one that holds its values clamped to `keys`; and the range of the input itself.
    pub fn clamped_input(
        &mut self,
        name: &str,
        column: ColumnId,
        keys: KeyRange,
        scale: f64,
    ) -> Result<ColumnId, Diagnostic> {
        let shape = self.columns.get(column).shape.clone();
        let [inside, end, output] = self.side_of_range(name, column, keys, scale);
        let whole = |column| {
            View::identity(column, shape.len())
                .map_err(|_| refuse("its value has too many axes", "reshape it before"))
        };
        let accumulator = Accumulator {
            shape: shape.clone().into(),
            columns: vec![].into(),
            terms: vec![
                term(1, vec![whole(inside)?, whole(column)?]),
                term(1, vec![whole(end)?]),
            ]
            .into(),
        };
        let about = exact(&accumulator, scale, keys.bounds());
        let relation = Relation::Exact(Exact {
            accumulator,
            output,
        });
        let bits = u32::from(keys.bits);
        self.emit(&format!("{name}/clamped"), &about, bits, relation);
        Ok(output)
    }

    /// For each element of an input that is clamped to `keys`: whether it is inside; the nearest end where it is not, else 0; and a column
    /// for what it is clamped to.
    fn side_of_range(
        &mut self,
        name: &str,
        column: ColumnId,
        keys: KeyRange,
        scale: f64,
    ) -> [ColumnId; 3] {
        let shape = self.columns.get(column).shape.clone();
        let ends = keys.bounds();
        let lower = keys.bits - 1;
        let upper = KeyRange {
            bits: INPUT_EXTRA_BITS + 1,
            signed: true,
        };
        let inside = |u: i64| (-1..=0).contains(&u);
        let end = |u: i64| match u {
            _ if inside(u) => 0,
            ..0 => ends.0 as i32,
            _ => ends.1 as i32,
        };
        let data = [
            upper.iter().map(|u| i32::from(inside(u))).collect(),
            upper.iter().map(end).collect(),
        ];
        let table = self.tables.table(&mut self.columns, "clamp", upper, &data);
        let mut witness = |part: &str, bounds| {
            let name = format!("{name}/{part}");
            self.columns.witness(&name, shape.clone(), bounds)
        };
        let output = witness("upper", upper.bounds());
        let inside = witness("inside", (0, 1));
        let end = witness("end", ends);
        let clamped = witness("clamped", ends);
        let (columns, tables) = (&mut self.columns, &mut self.tables);
        let (shift, remainder) = limbs(columns, tables, name, &shape, lower.into(), 0);
        // Half a step down, since rounding adds it.
        let cut = Accumulator {
            shape: shape.clone().into(),
            columns: vec![(1, column)].into(),
            terms: vec![term(-(1 << (shift - 1)), vec![])].into(),
        };
        let about = exact(&cut, scale, Self::input_range(keys));
        let relation = Relation::Requant(Requant {
            accumulator: cut,
            shift: shift as u8,
            remainder,
            output,
            table,
            mapped: vec![inside, end].into(),
        });
        let bits = u32::from(upper.bits);
        self.emit(&format!("{name}/range"), &about, bits, relation);
        [inside, end, clamped]
    }

    /// What an input may be that is clamped to `keys`.
    pub fn input_range(keys: KeyRange) -> (i64, i64) {
        KeyRange {
            bits: keys.bits + INPUT_EXTRA_BITS,
            ..keys
        }
        .bounds()
    }
}

#[cfg(test)]
mod tests {
    use zkiln_runtime::error::ProveError;
    use zkiln_runtime::trace::{self, Constants};

    use crate::graph::{Dtype, Graph, Node, NodeId, Op, Pointwise, Tensor, UnaryFn};
    use crate::options::Options;
    use crate::program::Lowered;
    use crate::{Visibility, lower};

    /// `softmax(relu(x w))` and `x w` of three elements, with ranges as if `x` stayed within 1.
    fn graph() -> Graph {
        let node = |name: &str, op, inputs: &[NodeId], shape: &[usize], most: f64| Node {
            name: name.into(),
            op,
            inputs: inputs.to_vec(),
            shape: shape.to_vec(),
            dtype: Dtype::Float32,
            range: (-most, most),
            stats: vec![],
            seen: Default::default(),
        };
        let weights: Vec<f64> = (0..9).map(|i| f64::from(i * 7 % 9 - 4) / 7.3).collect();
        let product = Op::Einsum {
            inputs: vec![vec![0, 1], vec![1, 2]],
            output: vec![0, 2],
        };
        let relu = Pointwise::Unary(UnaryFn::Relu, Box::new(Pointwise::Variable));
        Graph {
            nodes: vec![
                node("x", Op::Input(Dtype::Float32), &[], &[1, 3], 1.0),
                node(
                    "w",
                    Op::Constant(Tensor::new(vec![3, 3], weights)),
                    &[],
                    &[3, 3],
                    1.0,
                ),
                node("xw", product, &[0, 1], &[1, 3], 1.0),
                node("relu", Op::Pointwise(relu), &[2], &[1, 3], 1.0),
                node(
                    "softmax",
                    Op::Softmax {
                        axis: 1,
                        hidden: vec![],
                    },
                    &[3],
                    &[1, 3],
                    1.0,
                ),
            ],
            inputs: vec![0],
            outputs: vec![("p".into(), 4), ("xw".into(), 2)],
        }
    }

    fn lowered(saturate: bool, visibility: Visibility) -> Lowered {
        let options = Options {
            saturate,
            visibility: vec![("inputs".into(), visibility)],
            activation_bits: Some(10),
            ..Options::default()
        };
        let lowered = lower(&graph(), &options, "net").expect("lowers");
        assert_eq!(lowered.model.validate(), Ok(()));
        lowered
    }

    fn run(lowered: &Lowered, x: [f64; 3]) -> Result<Vec<Vec<i64>>, ProveError> {
        let constants = Constants::new(&lowered.model, lowered.constants.clone()).expect("fit");
        let unit = lowered.inputs[0].scale.coarsest();
        let integers = x.map(|x| (x / unit).round() as i64);
        let trace = trace::run(&lowered.model, &constants, &[integers.to_vec()])?;
        trace.outputs(&lowered.model)
    }

    #[test]
    fn what_leaves_its_range_is_clamped() {
        for visibility in [
            Visibility::Public,
            Visibility::Private,
            Visibility::Committed,
        ] {
            let (strict, clamping) = (lowered(false, visibility), lowered(true, visibility));
            let greatest =
                strict.model.inputs[0].range.1 as f64 * strict.inputs[0].scale.coarsest();
            let least = strict.model.inputs[0].range.0 as f64 * strict.inputs[0].scale.coarsest();
            for x in [[0.3, -0.9, 0.5], [0.0, 0.0, 0.0], [1.0, 1.0, -1.0]] {
                assert_eq!(run(&strict, x), run(&clamping, x), "{x:?}");
            }
            for (x, ends) in [
                ([50.0, 0.1, -3000.0], [greatest, 0.1, least]),
                ([greatest * 1.01, least * 1.01, 0.0], [greatest, least, 0.0]),
            ] {
                let refused = run(&strict, x);
                assert!(
                    matches!(refused, Err(ProveError::OutOfRange { .. })),
                    "{refused:?}"
                );
                let clamped = run(&clamping, x);
                assert!(clamped.is_ok(), "{clamped:?}");
                assert_eq!(clamped, run(&clamping, ends), "{x:?}");
            }
            let far = run(&clamping, [0.0, 1e6, 0.0]);
            assert!(matches!(far, Err(ProveError::OutOfRange { .. })));
        }
    }
}
