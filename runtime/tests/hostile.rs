//! Keys of less than a kilobyte that ask for all the work they can: each is answered within a second and 64 MB, and so is a proof for it.
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use support::{Builder, Show, accumulator, affine, at, term, view};
use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::model::{AxisMap, ColumnId, ColumnKind, Model, Structure, Term, Visibility};
use zkiln_runtime::protocol::{Proof, Statement, protocol_digest, verify};
use zkiln_runtime::relations::{Exact, OneHot, Relation};

const MOST_BYTES: usize = 1000;
const MOST_MEMORY: usize = 64 << 20;
const MOST_TIME: Duration = Duration::from_secs(1);
/// Longer proofs weigh what they cost.
const LONGEST_PROOF: usize = 1 << 20;

/// Counts what is allocated, and the most of it at any time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(old, layout) }
    }
}

/// The bytes of a key of this model, with a point for each row of its constants.
fn key_bytes(model: &Model) -> Vec<u8> {
    let constants = (model.columns.iter()).filter(|column| column.kind == ColumnKind::Constant);
    let rows = constants.map(|column| column.len_log2().saturating_sub(model.row_log2.into()));
    let rows: usize = rows.map(|log2| 1usize << log2).sum();
    let model = postcard::to_allocvec(model).expect("encodes");
    let mut bytes = b"zkiln-k2".to_vec();
    bytes.extend(protocol_digest());
    bytes.extend((model.len() as u64).to_le_bytes());
    bytes.extend((32 * (rows as u64 + 1)).to_le_bytes());
    bytes.extend(model);
    bytes.extend([0; 32]);
    bytes.extend(one().repeat(rows));
    bytes
}

/// Both an element of the scalar field and a point.
fn one() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
}

/// A statement and a proof of the right lengths, if they are short; of a key's ports all are private or committed.
fn made_up(key: &VerifierKey) -> Option<(Statement, Proof)> {
    let digest = protocol_digest();
    let head = [b"zkiln-p2", &digest[..]].concat();
    let head = &head[..Proof::HEADER_BYTES.min(head.len())];
    if key.proof_bytes() > LONGEST_PROOF {
        return None;
    }
    let elements = (key.proof_bytes() - Proof::HEADER_BYTES) / 32;
    let proof = Proof::from_bytes([head, &one().repeat(elements)].concat());
    let statement = Statement::from_bytes(key.model(), &[]).ok()?;
    Some((statement, proof))
}

/// That the key is answered, and a proof for it if it is accepted, in bounded time and memory.
fn assert_cheap(model: &Model) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = key_bytes(model);
    assert!(bytes.len() <= MOST_BYTES, "{} bytes", bytes.len());
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let key = VerifierKey::from_bytes(&bytes);
    let mut answer = format!("{:?}", key.as_ref().err());
    if let Ok(key) = &key
        && let Some((statement, proof)) = made_up(key)
    {
        let verdict = verify(key, &statement, &proof);
        assert!(verdict.is_err(), "a proof of ones");
        answer = format!("{:?}", verdict.err());
    }
    let time = start.elapsed();
    let memory = MOST.load(Ordering::Relaxed) - before;
    let figures = format!(
        "{} bytes of key: {time:?}, {} kB: {answer}",
        bytes.len(),
        memory >> 10
    );
    println!("{figures}");
    assert!(time <= MOST_TIME && memory <= MOST_MEMORY, "{figures}");
}

/// `y = terms(x)` of shape `[len]`, all hidden.
fn reading(
    shape: &[u32],
    len: u32,
    row_log2: u8,
    terms: impl FnOnce(&mut dyn FnMut(&[u32], &[AxisMap]) -> Term) -> Vec<Term>,
) -> Model {
    let mut b = Builder {
        show: Show::Ports,
        ..Builder::default()
    };
    let x = b.witness("x", shape);
    let y = b.witness("y", &[len]);
    let mut read = |summed: &[u32], maps: &[AxisMap]| term(1, summed, &[view(x, maps)]);
    let zero = || accumulator(shape, &[], &[]);
    b.node(
        "x",
        Relation::Exact(Exact {
            accumulator: zero(),
            output: x,
        }),
    );
    let terms = terms(&mut read);
    b.node(
        "y",
        Relation::Exact(Exact {
            accumulator: accumulator(&[len], &[], &terms),
            output: y,
        }),
    );
    let mut model = b.build(row_log2.min(60)).0;
    model.answer_log2 = 0;
    model
}

fn plain(len: u32, row_log2: u8) -> Model {
    reading(&[len], len, row_log2, |read| vec![read(&[], &[at(0)])])
}

/// A hundred constants.
fn plain_terms() -> Model {
    reading(&[4], 4, 2, |_| vec![term(1, &[], &[]); 100])
}

fn shown(mut model: Model, visibility: Visibility) -> Model {
    let y = ColumnId(1);
    let shape = model.columns[1].shape.to_vec();
    let mut b = Builder::default();
    b.output("y", accumulator(&shape, &[(1, y)], &[]));
    b.outputs[0].visibility = visibility;
    model.outputs = b.outputs.into();
    model
}

macro_rules! cheap {
    ($($name:ident: $model:expr;)+) => {
        $(
            #[test]
            fn $name() {
                assert_cheap(&$model);
            }
        )+
    };
}

cheap! {
    rows_of_2_24: plain(1, 24);
    rows_of_2_20: plain(1, 20);
    rows_of_2_16: plain(3, 16);
    rows_of_2_14: plain(3, 14);
    rows_of_2_12: plain(3, 12);
    a_long_row_in_the_clear: Model { weights: Visibility::Public, ..plain(1, 22) };
    a_row_that_one_column_fills: plain(1 << 22, 22);
    two_columns_of_2_30_in_rows_of_2_24: plain(1 << 30, 24);
    columns_of_2_24_rows: plain(1 << 25, 2);
    a_committed_port_of_2_20: shown(plain(1 << 20, 12), Visibility::Committed);
    a_private_port_of_2_30: shown(plain(1 << 30, 12), Visibility::Private);
    pieces_of_a_strided_axis: reading(&[1 << 20], 2, 3, |read| vec![read(&[], &[affine(1, &[(0, 3)])])]);
    pieces_of_many_strided_axes: reading(&[1 << 16], 2, 4, |read| {
        (1..60).map(|offset| read(&[], &[affine(offset, &[(0, 3)])])).collect()
    });
    weights_along_a_long_row: reading(&[1 << 16], 2, 12, |read| {
        (1..60).map(|offset| read(&[], &[affine(offset, &[(0, 3)])])).collect()
    });
    weights_of_many_rows: reading(&[1 << 14, 4], 2, 2, |read| {
        (1..60).map(|offset| read(&[], &[affine(offset, &[(0, 3)]), affine(0, &[])])).collect()
    });
    indices_that_a_view_combines: reading(&[4], 4, 2, |read| {
        vec![read(&[1 << 20], &[affine(0, &[(0, 1), (1, 1)])])]
    });
    indices_that_many_views_combine: reading(&[4], 4, 2, |read| {
        (0..50).map(|offset| read(&[1 << 19], &[affine(offset, &[(0, 1), (1, 1)])])).collect()
    });
    a_long_sum: reading(&[4], 4, 2, |read| vec![read(&[1 << 22], &[affine(0, &[(1, 1)])])]);
    many_axes: reading(&[1; 20], 1, 2, |read| {
        (0..10).map(|_| read(&[2; 20], &[0; 20].map(|_| affine(0, &[])))).collect()
    });
    axes_that_nothing_reads: reading(&[4], 3, 2, |read| {
        (0..30).map(|_| read(&[3; 17], &[affine(0, &[])])).collect()
    });
    tables_of_2_20: {
        let mut b = Builder { show: Show::Ports, ..Builder::default() };
        for number in 0..20 {
            b.table(&number.to_string(), 20, 0, &[]);
        }
        b.build(12).0
    };
    one_hot_rows_of_2_20: {
        let mut b = Builder { show: Show::Ports, ..Builder::default() };
        let (hot, iota) = (b.witness("hot", &[1 << 20]), b.structural("iota", 1 << 20, Structure::Index));
        let index = accumulator(&[], &[], &[term(1, &[], &[])]);
        b.node("hot", Relation::OneHot(OneHot { index, hot, iota }));
        b.build(12).0
    };
    many_constants: plain_terms();
}
