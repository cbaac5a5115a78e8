//! Preprocessing of features, and `ZipMap`: the rest of `ai.onnx.ml`.

use tract_onnx::prelude::DatumType;

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::{BinaryFn, NodeId, Op, Pointwise, Reducer, Tensor, UnaryFn};
use crate::onnx::decompose::ml::linear_models::numbers;
use crate::onnx::decompose::nn::ranking::is_zero;
use crate::onnx::decompose::operator::{ML, Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};

pub(super) const OPERATORS: &[Operator] = &[
    op("ArrayFeatureExtractor", 1, extractor).domain(ML),
    op("Binarizer", 1, binarizer).domain(ML),
    op("FeatureVectorizer", 1, vectorizer).domain(ML),
    op("Imputer", 1, imputer).domain(ML),
    op("LabelEncoder", 1, label_encoder)
        .domain(ML)
        .restricted("numeric keys and values"),
    op("Normalizer", 1, normalizer)
        .domain(ML)
        .restricted("not `MAX`"),
    op("OneHotEncoder", 1, one_hot)
        .domain(ML)
        .restricted("numeric categories"),
    op("Scaler", 1, scaler).domain(ML),
    op("ZipMap", 1, zip_map)
        .domain(ML)
        .restricted("gives the tensor of scores, in the order of the labels"),
];

/// Most categories that an element is compared with.
const MOST_CATEGORIES: usize = 4096;
/// Norms below this are replaced by it.
const LEAST_NORM: f64 = 1e-30;

/// One number for each feature, or one for all, along the last axis of `x`.
fn along_last(scope: &mut Scope, x: NodeId, list: &[f64]) -> Result<NodeId, Diagnostic> {
    let shape = scope.build.shape(x);
    let last = shape.last().copied().unwrap_or(1);
    if list.len() != 1 && list.len() != last {
        return Err(refuse(
            format!("it has {} values for {last} features", list.len()),
            "correct the model",
        ));
    }
    let mut wide = vec![1; shape.len()];
    if let Some(last) = wide.last_mut() {
        *last = list.len();
    }
    Ok(scope.build.constant(Tensor::new(wide, list.to_vec())))
}

/// `Scaler`: `(x - offset) * scale`.
fn scaler(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    let steps = [("offset", BinaryFn::Sub), ("scale", BinaryFn::Mul)];
    for (name, function) in steps {
        let list = numbers(scope, name);
        if !list.is_empty() {
            let list = along_last(scope, x, &list)?;
            x = scope.build.binary(function, x, list);
        }
    }
    Ok(vec![(x, DatumType::F32)])
}

/// `Normalizer` of rows.
fn normalizer(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let norm = scope.text("norm").unwrap_or("MAX").to_string();
    let build = &mut scope.build;
    let axis = build.rank(x).saturating_sub(1).min(1);
    let floor = |e| Pointwise::binary(BinaryFn::Max, e, Pointwise::Constant(LEAST_NORM));
    let inverse = match &*norm {
        "L1" => {
            let sizes = build.pointwise(Pointwise::of(UnaryFn::Abs), x);
            let sum = build.reduce(Reducer::Sum, &[axis], sizes);
            let least = floor(Pointwise::Variable);
            build.pointwise(Pointwise::unary(UnaryFn::Recip, least), sum)
        }
        "L2" => {
            let sum = build.reduce(Reducer::SumSquare, &[axis], x);
            let least = floor(Pointwise::Variable);
            build.pointwise(Pointwise::unary(UnaryFn::Rsqrt, least), sum)
        }
        _ => {
            return Err(refuse(
                "runtimes disagree on the norm MAX of negative numbers",
                "divide by ReduceMax of the values, or of their Abs",
            ));
        }
    };
    Ok(vec![(
        build.binary(BinaryFn::Mul, x, inverse),
        DatumType::F32,
    )])
}

/// `Binarizer`.
fn binarizer(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let threshold = scope.float("threshold").unwrap_or(0.0);
    let made = crate::onnx::decompose::ml::scores::above(&mut scope.build, x, -threshold);
    Ok(vec![(made, scope.dtype(0))])
}

/// `ArrayFeatureExtractor`: elements along the last axis.
fn extractor(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let (x, picked) = (scope.operand(0)?, scope.operand(1)?);
    let dtype = scope.dtype(0);
    let build = &mut scope.build;
    let (mut shape, count) = (build.shape(x), build.shape(picked).iter().product());
    let Some(last) = shape.len().checked_sub(1) else {
        return Err(refuse("its operand is a scalar", "correct the model"));
    };
    if let Some(indices) = build.tensor(picked)
        && let Some(index) = (indices.data.iter()).find(|i| !(0.0..shape[last] as f64).contains(i))
    {
        return Err(refuse(
            format!(
                "index {index} is out of range for an axis of length {}",
                shape[last]
            ),
            "correct the model",
        ));
    }
    let picked = build.reshape(picked, &[count]);
    shape[last] = count;
    let made = build.push(Op::Gather { axis: last }, vec![x, picked], shape.clone());
    if shape.len() == 1 {
        shape.insert(0, 1);
    }
    Ok(vec![(build.reshape(made, &shape), dtype)])
}

/// 1 where an element of `x` equals one of `list`, along a new last axis.
fn equal(build: &mut Builder, x: NodeId, list: &[f64]) -> Result<NodeId, Diagnostic> {
    if list.is_empty() || list.len() > MOST_CATEGORIES {
        return Err(refuse(
            format!("it has {} categories", list.len()),
            format!("use from 1 to {MOST_CATEGORIES}"),
        ));
    }
    let mut shape = build.shape(x);
    shape.push(1);
    let mut wide = vec![1; shape.len()];
    wide[shape.len() - 1] = list.len();
    let x = build.reshape(x, &shape);
    let list = build.constant(Tensor::new(wide, list.to_vec()));
    let difference = build.binary(BinaryFn::Sub, x, list);
    Ok(build.pointwise(is_zero(), difference))
}

/// `OneHotEncoder` of integers.
fn one_hot(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    let categories = scope.ints("cats_int64s").unwrap_or_default();
    let categories: Vec<f64> = categories.iter().map(|c| *c as f64).collect();
    if categories.is_empty() {
        return Err(refuse(
            "strings are not numbers",
            "encode the categories as integers (cats_int64s)",
        ));
    }
    let rejects = scope.int("zeros") == Some(0);
    if scope.dtype(0).is_float() {
        x = scope
            .build
            .pointwise(Pointwise::truncate(Pointwise::Variable), x);
    }
    let build = &mut scope.build;
    let hits = equal(build, x, &categories)?;
    let made = match rejects {
        true => one_of(build, hits)?,
        false => hits,
    };
    Ok(vec![(made, DatumType::F32)])
}

/// What has a one in each row, along the last axis: a row without has an index past the end, which cannot be proved.
fn one_of(build: &mut Builder, hits: NodeId) -> Result<NodeId, Diagnostic> {
    let mut shape = build.shape(hits);
    let count = shape.pop().unwrap_or(1);
    let from_end = (0..count).map(|index| index as f64 - count as f64);
    let from_end = Tensor::new(vec![1, count], from_end.collect());
    let index = build.apply_matrix(hits, shape.len(), from_end);
    let index = build.reshape(index, &shape);
    let index = build.add_scalar(index, count as f64);
    build.one_hot(index, count)
}

/// `LabelEncoder` from numbers to numbers.
fn label_encoder(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let list = |name: &str, tensor: &str| -> Option<(Vec<f64>, DatumType)> {
        if let Some(ints) = scope
            .ints(&format!("{name}_int64s"))
            .filter(|l| !l.is_empty())
        {
            return Some((ints.iter().map(|v| *v as f64).collect(), DatumType::I64));
        }
        let floats = numbers(scope, &format!("{name}_floats"));
        if !floats.is_empty() {
            return Some((floats, DatumType::F32));
        }
        scope
            .typed_tensor(tensor)
            .map(|(tensor, dtype)| (tensor.data, dtype))
    };
    let (Some((keys, _)), Some((values, dtype))) =
        (list("keys", "keys_tensor"), list("values", "values_tensor"))
    else {
        return Err(refuse(
            "strings are not numbers",
            "encode labels as integers, and translate them outside the model",
        ));
    };
    if keys.len() != values.len() || keys.iter().any(|key| key.is_nan()) {
        return Err(refuse(
            "it does not have one value for each key, or a key is NaN",
            "correct the model",
        ));
    }
    let default = match scope
        .typed_tensor("default_tensor")
        .map(|(tensor, _)| tensor)
    {
        Some(tensor) => tensor.data.first().copied().unwrap_or(0.0),
        None if dtype == DatumType::I64 => scope.int("default_int64").unwrap_or(-1) as f64,
        None => scope.float("default_float").unwrap_or(0.0),
    };
    let x = scope.operand(0)?;
    let build = &mut scope.build;
    let mut last = std::collections::BTreeMap::new();
    for (key, value) in keys.iter().zip(&values) {
        last.entry((key + 0.0).to_bits()).or_insert((*key, *value));
    }
    let (keys, values): (Vec<f64>, Vec<f64>) = last.into_values().unzip();
    let hits = equal(build, x, &keys)?;
    let axis = build.rank(hits) - 1;
    let changes = values.iter().map(|value| value - default).collect();
    let sum = build.apply_matrix(hits, axis, Tensor::new(vec![1, keys.len()], changes));
    let shape = build.shape(x);
    let sum = build.reshape(sum, &shape);
    Ok(vec![(build.add_scalar(sum, default), dtype)])
}

/// `Imputer` of numbers.
fn imputer(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let (list, replaced) = match scope.ints("imputed_value_int64s").filter(|l| !l.is_empty()) {
        Some(ints) => (
            ints.iter().map(|v| *v as f64).collect(),
            scope.int("replaced_value_int64").unwrap_or(0) as f64,
        ),
        None => (
            numbers(scope, "imputed_value_floats"),
            scope.float("replaced_value_float").unwrap_or(0.0),
        ),
    };
    if replaced.is_nan() {
        // A model's inputs are numbers.
        return Ok(vec![(x, dtype)]);
    }
    let list = along_last(scope, x, &list)?;
    let build = &mut scope.build;
    let difference = build.add_scalar(x, -replaced);
    let missing = build.pointwise(is_zero(), difference);
    Ok(vec![(build.select(missing, list, x), dtype)])
}

/// `FeatureVectorizer`: columns side by side.
fn vectorizer(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut parts = Vec::new();
    for index in 0..scope.count() {
        let part = scope.operand(index)?;
        let shape = scope.build.shape(part);
        parts.push(match shape[..] {
            [wide] => scope.build.reshape(part, &[1, wide]),
            [_, _] => part,
            _ => return Err(refuse("an operand is not a matrix", "flatten it first")),
        });
    }
    if parts.is_empty() {
        return Err(refuse("it has no operands", "correct the model"));
    }
    Ok(vec![(scope.build.concat(parts, 1), DatumType::F32)])
}

/// `ZipMap`: the scores as they are, in the order of the labels.
fn zip_map(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let x = scope.operand(0)?;
    Ok(vec![(x, scope.dtype(0))])
}
