//! `TfIdfVectorizer` of integers: how often each n-gram of a pool occurs in each row.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::prelude::Datum;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::check_matrix;
use crate::graph::{NodeId, Op, Pointwise, Tensor};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] =
    &[op("TfIdfVectorizer", 9, count).restricted("integer tokens")];

/// `x [positions]` or `[rows, positions]`.
fn count(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let strings = scope.texts("pool_strings");
    if strings.is_some_and(|pool| !pool.is_empty()) {
        return Err(refuse(
            "strings are not numbers",
            "tokenize outside the model",
        ));
    }
    let x = scope.operand(0)?;
    let shape = scope.build.shape(x);
    let [rows, positions] = match shape[..] {
        [] => [1, 1],
        [positions] => [1, positions],
        [rows, positions] => [rows, positions],
        _ => {
            return Err(refuse(
                "its operand has more than two axes",
                "correct the model",
            ));
        }
    };
    let indexes = scope.ints("ngram_indexes").unwrap_or_default().to_vec();
    let size = indexes.iter().max().map_or(0, |most| most + 1);
    let size = usize::try_from(size).unwrap_or(0);
    let pool = pool(scope, &indexes)?;
    let tokens = pool.values().flat_map(|grams| grams.keys().flatten());
    let tokens: BTreeSet<i64> = tokens.copied().collect();
    let tokens: Vec<i64> = tokens.into_iter().collect();
    if tokens.is_empty() || size == 0 || rows == 0 || positions == 0 {
        return Err(refuse("it has nothing to count", "leave it out"));
    }
    check_matrix(rows * positions, tokens.len())?;
    let skips = usize::try_from(scope.int("max_skip_count").unwrap_or(0)).unwrap_or(0);
    let build = &mut scope.build;
    let x = build.reshape(x, &[rows, positions, 1]);
    let names = tokens.iter().map(|token| *token as f64).collect();
    let names = build.constant(Tensor::new(vec![1, 1, tokens.len()], names));
    let distance = build.subtract(x, names);
    let hits = build.within(distance, Some(0.0), Some(0.0));
    let mut frequencies: Option<NodeId> = None;
    for (&length, grams) in &pool {
        check_matrix(size, grams.len())?;
        let places = grams.values().enumerate();
        let mut matrix = Tensor::filled(vec![size, grams.len()], 0.0);
        places.for_each(|(gram, place)| matrix.data[place * grams.len() + gram] = 1.0);
        let most_distant = match length {
            1 => 1,
            _ => skips.saturating_add(1).min(positions),
        };
        for distance in 1..=most_distant {
            if distance * (length - 1) >= positions {
                break;
            }
            let found = occurrences(build, hits, &tokens, grams, distance);
            let found = build.apply_matrix(found, 1, matrix.clone());
            frequencies = Some(match frequencies {
                Some(sum) => build.add(sum, found),
                None => found,
            });
        }
    }
    let frequencies =
        frequencies.unwrap_or_else(|| build.constant(Tensor::filled(vec![rows, size], 0.0)));
    let made = weighted(scope, frequencies, size)?;
    let kept = match shape.len() {
        2 => vec![rows, size],
        _ => vec![size],
    };
    Ok(vec![(scope.build.reshape(made, &kept), f32::datum_type())])
}

/// How often each of `grams`, of one length, occurs in each row with this distance between its tokens: `[rows, grams]`. `hits` is 1 where a
/// position has a token, `[rows, positions, tokens]`.
fn occurrences(
    build: &mut Builder,
    hits: NodeId,
    tokens: &[i64],
    grams: &Grams,
    distance: usize,
) -> NodeId {
    let shape = build.shape(hits);
    let length = grams.keys().next().map_or(0, Vec::len);
    let starts = shape[1] - distance * (length - 1);
    let mut parts = Vec::new();
    for at in 0..length {
        let picked = grams.keys().map(|gram| {
            let place = tokens.binary_search(&gram[at]).unwrap_or_default();
            place as f64
        });
        let picked = build.constant(Tensor::new(vec![grams.len()], picked.collect()));
        let all = vec![shape[0], shape[1], grams.len()];
        let all = build.push(Op::Gather { axis: 2 }, vec![hits, picked], all);
        parts.push(build.slice(all, 1, at * distance, starts, 1));
    }
    let mut both = parts[0];
    for part in &parts[1..] {
        both = build.multiply(both, *part);
    }
    build.einsum("rpg->rg", &[both])
}

/// Frequencies `[rows, size]` as the mode has them: counted, or only whether there are any; times a weight each.
fn weighted(scope: &mut Scope, frequencies: NodeId, size: usize) -> Result<NodeId, Diagnostic> {
    let mut made = frequencies;
    let mode = scope.text("mode").unwrap_or("TF").to_string();
    if mode == "IDF" {
        made = scope
            .build
            .pointwise(Pointwise::step(Pointwise::Variable), made);
    }
    match (mode.as_str(), scope.floats("weights").unwrap_or_default()) {
        ("TF", _) | ("IDF" | "TFIDF", []) => {}
        ("IDF" | "TFIDF", weights) if weights.len() == size => {
            let weights = weights.iter().map(|w| f64::from(*w)).collect();
            let weights = scope.build.constant(Tensor::new(vec![1, size], weights));
            made = scope.build.multiply(made, weights);
        }
        _ => {
            return Err(refuse(
                "its mode or its weights do not fit",
                "correct the model",
            ));
        }
    }
    Ok(made)
}

/// N-grams of one length and their places in the result.
type Grams = BTreeMap<Vec<i64>, usize>;

/// For each length of n-grams that count, the n-grams.
type Pool = BTreeMap<usize, Grams>;

fn pool(scope: &Scope, indexes: &[i64]) -> Result<Pool, Diagnostic> {
    let wrong = || {
        refuse(
            "its pool of n-grams does not fit its counts",
            "correct the model",
        )
    };
    let items = scope.ints("pool_int64s").unwrap_or_default();
    let starts = scope.ints("ngram_counts").unwrap_or_default();
    let (least, most) = (scope.int("min_gram_length"), scope.int("max_gram_length"));
    let (least, most) = (least.unwrap_or(1), most.unwrap_or(1));
    let mut pool = Pool::new();
    let mut number = 0;
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(items.len() as i64);
        let (start, end) = (usize::try_from(start), usize::try_from(end));
        let range = start.map_err(|_| wrong())?..end.map_err(|_| wrong())?;
        let length = at + 1;
        for gram in items.get(range).ok_or_else(wrong)?.chunks_exact(length) {
            let place = indexes.get(number).ok_or_else(wrong)?;
            number += 1;
            if (least..=most).contains(&(length as i64)) {
                let place = usize::try_from(*place).map_err(|_| wrong())?;
                pool.entry(length).or_default().insert(gram.to_vec(), place);
            }
        }
    }
    Ok(pool)
}
