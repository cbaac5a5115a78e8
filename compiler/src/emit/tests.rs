//! The emitted module of a tiny model, held against the file in `golden/`.
//!
//! `ZKILN_BLESS=1 cargo test --release -p zkiln-compiler emit` writes the files anew. The `zkiln` crate compiles and runs them.

use std::path::{Path, PathBuf};

use zkiln_runtime::codegen::*;

use crate::driver::compile::commit;
use crate::emit::{Generated, emit, located};
use crate::graph::Dtype;
use crate::program::Compiled;
use crate::program::{Lowered, Meaning, NodeReport, PortInfo, Ranges};
use crate::scale::Scale;

const X: ColumnId = ColumnId(0);
const WEIGHT: ColumnId = ColumnId(1);
const BIAS: ColumnId = ColumnId(2);
const FC: ColumnId = ColumnId(3);
const RELU: ColumnId = ColumnId(4);
const POOL: ColumnId = ColumnId(5);
const RELU_OUTPUTS: ColumnId = ColumnId(6);
const RELU_MULTIPLICITIES: ColumnId = ColumnId(7);
const RANGE_MULTIPLICITIES: ColumnId = ColumnId(8);
const RANGE_4: TableId = TableId(0);
const RELU_TABLE: TableId = TableId(1);

/// `pool(relu(fc(x)))`: a matrix product with a bias, a table, and sums of neighbours.
pub fn tiny() -> Compiled {
    let view = |column, maps: &[AxisMap]| View {
        column,
        index: maps.to_vec().into(),
    };
    let term = |summed: &'static [u32], operands: Vec<View>| Term {
        coefficient: 1,
        summed: list(summed),
        operands: operands.into(),
    };
    let fc = Requant {
        accumulator: Accumulator {
            shape: list(&[1, 3]),
            columns: list(&[]),
            terms: vec![
                term(&[4], vec![view(X, &[A, C]), view(WEIGHT, &[C, B])]),
                Term {
                    coefficient: 16,
                    ..term(&[], vec![view(BIAS, &[B])])
                },
            ]
            .into(),
        },
        shift: 4,
        remainder: Limbs {
            tables: list(&[RANGE_4]),
            columns: list(&[]),
        },
        output: FC,
        table: RELU_TABLE,
        mapped: list(&[RELU]),
    };
    let pool = Exact {
        accumulator: Accumulator {
            shape: list(&[1, 2]),
            columns: list(&[]),
            terms: vec![
                term(&[], vec![view(RELU, &[A, affine(0, &[(1, 2)])])]),
                term(&[], vec![view(RELU, &[A, affine(1, &[(1, 2)])])]),
            ]
            .into(),
        },
        output: POOL,
    };
    let column = |shape: &'static [u32], id| Accumulator {
        shape: list(shape),
        columns: vec![(1, id)].into(),
        terms: list(&[]),
    };
    let model = Model {
        name: name("tiny"),
        row_log2: 4,
        answer_log2: 2,
        columns: vec![
            witness("x", &[1, 4]),
            constant("fc.weight", &[4, 3]),
            constant("fc.bias", &[3]),
            witness("fc", &[1, 3]),
            witness("relu", &[1, 3]),
            witness("pool", &[1, 2]),
            constant("relu/outputs", &[256]),
            witness("relu/multiplicities", &[256]),
            witness("range_4/multiplicities", &[16]),
        ]
        .into(),
        tables: vec![
            Table {
                name: name("range_4"),
                len_log2: 4,
                first_key: 0,
                outputs: list(&[]),
                multiplicities: RANGE_MULTIPLICITIES,
                barred: None,
            },
            Table {
                name: name("relu"),
                len_log2: 8,
                first_key: -128,
                outputs: vec![RELU_OUTPUTS].into(),
                multiplicities: RELU_MULTIPLICITIES,
                barred: None,
            },
        ]
        .into(),
        nodes: vec![
            Node {
                name: name("fc"),
                relation: Relation::Requant(fc),
            },
            Node {
                name: name("pool"),
                relation: Relation::Exact(pool),
            },
        ]
        .into(),
        inputs: vec![Port {
            name: name("x"),
            value: column(&[1, 4], X),
            range: (-128, 127),
            visibility: Visibility::Public,
        }]
        .into(),
        outputs: vec![Port {
            name: name("type"),
            value: column(&[1, 2], POOL),
            range: (0, 254),
            visibility: Visibility::Public,
        }]
        .into(),
        weights: Visibility::Private,
    };
    let port = |title: &str, shape: &[usize], scale| PortInfo {
        name: title.into(),
        dtype: Dtype::Float32,
        shape: shape.into(),
        scale: Scale::Uniform(scale),
        range: (-1, 1),
    };
    let row = |node: &str, relation: &str, shape: &str, lookups| NodeReport {
        node: node.into(),
        relation: relation.into(),
        shape: shape.into(),
        scale_log2: 5.0,
        meaning: Some(Meaning {
            step: 0.5,
            offset: 0.0,
        }),
        bits: 8,
        lookups,
        cost: 12,
    };
    let mut constants = vec![Vec::new(); 3];
    constants[0] = vec![3, -1, 2, 0, 4, -5, 7, 1, -2, 2, 2, 2];
    constants[1] = vec![10, -20, 30];
    constants[2] = (-128..128).map(|key: i32| key.max(0)).collect();
    let lowered = Lowered {
        model,
        constants,
        inputs: vec![port("x", &[1, 4], 0.0625)],
        outputs: vec![port("type", &[1, 2], 0.03125)],
        report: vec![
            row("fc", "requant", "[1,4]x[4,3]", 8),
            row("pool", "exact", "[1,3]", 0),
        ],
        parameters: 15,
        onnx_nodes: 4,
        ranges: Ranges::Samples,
        fidelity: None,
    };
    commit(lowered, &[0; 32]).expect("the tiny model can be committed")
}

fn generated() -> Generated {
    emit(&tiny(), "tiny.onnx")
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/emit/golden")
}

#[test]
fn the_module_is_the_golden_one() {
    for (file, bytes) in generated().files() {
        let path = golden().join(&file);
        if std::env::var_os("ZKILN_BLESS").is_some() {
            std::fs::write(&path, bytes).expect("the golden file can be written");
        }
        let expected = std::fs::read(&path).expect("the golden file exists");
        let differs = format!(
            "{file} differs; bless it if that is meant:\n{}",
            String::from_utf8_lossy(bytes)
        );
        assert!(expected == bytes, "{differs}");
    }
}

#[test]
fn the_module_is_rust_of_few_words() {
    let source = generated().source;
    let file = syn::parse_file(&source).expect("the module is Rust");
    assert_eq!(file.items.len(), 1);
    let code: Vec<&str> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    for word in [
        "unsafe",
        "for ",
        "while ",
        "loop",
        "unwrap",
        "panic",
        " + ",
        " * ",
        "::zkiln_runtime",
    ] {
        assert!(
            !code
                .iter()
                .any(|line| line.contains(word) && !line.contains("impl ")),
            "`{word}` in the module"
        );
    }
}

#[test]
fn an_output_is_said_once() {
    let source = generated().source;
    assert!(source.contains("/// | `type` | output | `[1,2]` | -5 | 8 | 0 |\n"));
    assert!(source.contains("    /// `type[a, b] = pool[a, b]`\n    const TYPE: Accumulator = "));
    let mut compiled = tiny();
    compiled.lowered.model.outputs.to_mut()[0].name = name("pool");
    let source = emit(&compiled, "tiny.onnx").source;
    assert!(source.contains("/// | `pool` | exact, output | "));
    assert_eq!(source.matches("/// | `pool`").count(), 1);
    assert_eq!(source.matches("`pool[a, b] = ").count(), 1);
    let twice = |accumulator: &mut Accumulator| accumulator.columns.to_mut()[0].0 = 2;
    twice(&mut compiled.lowered.model.outputs.to_mut()[0].value);
    let source = emit(&compiled, "tiny.onnx").source;
    assert!(source.contains("/// `pool/output[a, b] = 2 pool[a, b]`\n    const POOL_OUTPUT: "));
}

#[test]
fn ports_that_are_seen_one_by_one_have_fields() {
    let source = generated().source;
    assert!(!source.contains("fn public(&self)") && !source.contains("fn commitments(&self)"));
    let mut compiled = tiny();
    let Lowered { model, outputs, .. } = &mut compiled.lowered;
    for (title, visibility) in [
        ("fc", Visibility::Private),
        ("x", Visibility::Committed),
        ("relu", Visibility::Public),
    ] {
        let port = Port {
            name: name(title),
            visibility,
            ..model.outputs[0].clone()
        };
        model.outputs.to_mut().push(port);
        outputs.push(PortInfo {
            name: title.into(),
            ..outputs[0].clone()
        });
    }
    let source = emit(&compiled, "tiny.onnx").source;
    let fields = |structure: &str| {
        let (_, after) = source.split_once(structure).expect("the struct is there");
        let (body, _) = after.split_once("\n    }").expect("it ends");
        let lines = body.lines().map(str::trim);
        let fields = lines.filter_map(|line| line.strip_prefix("pub ")?.split(':').next());
        fields.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(fields("pub struct Public {"), ["type_", "relu"]);
    assert_eq!(fields("pub struct Commitments<'a> {"), ["x"]);
    assert!(source.contains("pub fn input(&self) -> Input"));
    assert!(!source.contains("pub fn output(&self)"));
}

#[test]
fn columns_of_an_input_have_steps_of_their_own() {
    let mut compiled = tiny();
    compiled.lowered.inputs[0].scale = Scale::Along {
        axis: 1,
        steps: vec![0.5, 0.5, 0.0625, 1024.0],
    };
    let source = emit(&compiled, "tiny.onnx").source;
    for line in [
        "/// `x`, by index:",
        "/// - 0 to 1 of axis 1: -64 to 63.5 in steps of 0.5.",
        "/// - 2 of axis 1: -8 to 7.9375 in steps of 0.0625.",
        "/// - 3 of axis 1: -131072 to 130048 in steps of 1024.",
        "const X: Scale<Along> = Scale {",
        "steps: &[0.5, 0.5, 0.0625, 1024.0],",
    ] {
        assert!(source.contains(line), "{line}\n{source}");
    }
}

#[test]
fn emission_is_deterministic() {
    assert_eq!(generated(), generated());
}

#[test]
fn side_files_are_located() {
    let source = "fn f() -> &'static [u8] { include_bytes!(\"tiny.weights\") }";
    let tokens = located(source, Path::new("/cache/abc")).expect("lexes");
    assert!(tokens.to_string().contains("\"/cache/abc/tiny.weights\""));
    assert!(
        located(&generated().source, Path::new("/x"))
            .unwrap()
            .to_string()
            .contains("\"/x/tiny.commitments\"")
    );
}
