//! `Resize` and `Upsample`: a constant matrix for each axis, or movement where every output is one input.

use crate::diagnostic::{Diagnostic, refuse};
use crate::graph::builder::Builder;
use crate::graph::limits::check_matrix;
use crate::graph::{BinaryFn, NodeId, Tensor};
use crate::onnx::decompose::operator::{Operator, op};
use crate::onnx::decompose::scope::{Scope, TypedValue};
use crate::onnx::decompose::spatial::movement::take;

pub(super) const OPERATORS: &[Operator] = &[
    op("Resize", 10, resize).restricted("constant sizes and scales"),
    op("Upsample", 1, upsample).restricted("constant scales"),
];

/// How inputs are weighted.
#[derive(Clone, Copy)]
enum Mode {
    /// The nearest one, by the rule of this name.
    Nearest(NearestMode),
    /// The two around the point.
    Linear,
    /// The four around the point, by the cubic of this parameter.
    Cubic(f64),
}

#[derive(Clone, Copy)]
enum NearestMode {
    HalfDown,
    HalfUp,
    Floor,
    Ceil,
}

/// One axis to resample.
#[derive(Clone, Copy)]
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
    /// Start and end of the region, in lengths of the axis.
    region: (f64, f64),
}

struct Plan<'n> {
    mode: Mode,
    transform: &'n str,
    antialias: bool,
    exclude_outside: bool,
    extrapolation: f64,
}

fn resize(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let old = scope.opset < 11;
    let (region, scales, sizes) = if old { (9, 1, 9) } else { (1, 2, 3) };
    let transform = scope.text("coordinate_transformation_mode");
    let transform = transform
        .unwrap_or(if old { "asymmetric" } else { "half_pixel" })
        .to_string();
    let region = match transform.as_str() {
        "tf_crop_and_resize" => scope.constant(region)?.map(|t| t.data.clone()),
        _ => None,
    };
    let given = |t: Option<&Tensor>| t.map(|t| t.data.clone()).filter(|d| !d.is_empty());
    let scales = given(scope.constant(scales)?);
    let sizes = given(scope.constant(sizes)?);
    let mode = mode(scope, old)?;
    let plan = Plan {
        mode,
        transform: &transform,
        antialias: scope.int("antialias").unwrap_or(0) != 0,
        exclude_outside: scope.int("exclude_outside").unwrap_or(0) != 0,
        extrapolation: scope.float("extrapolation_value").unwrap_or(0.0),
    };
    resample(scope, &plan, scales, sizes, region)
}

fn upsample(scope: &mut Scope) -> Result<Vec<TypedValue>, Diagnostic> {
    let scales = match scope.floats("scales") {
        Some(scales) => Some(scales.iter().map(|s| f64::from(*s)).collect()),
        None => scope.constant(1)?.map(|t| t.data.clone()),
    };
    let plan = Plan {
        mode: mode(scope, true)?,
        transform: "asymmetric",
        antialias: false,
        exclude_outside: false,
        extrapolation: 0.0,
    };
    resample(scope, &plan, scales, None, None)
}

/// Before operator set 11, positions between two inputs were rounded down.
fn mode(scope: &Scope, old: bool) -> Result<Mode, Diagnostic> {
    let rounding = scope.text("nearest_mode");
    let rounding = rounding.unwrap_or(if old { "floor" } else { "round_prefer_floor" });
    let unknown = |what: &str, name: &str| {
        refuse(
            format!("its {what} `{name}` is not supported"),
            "correct the model",
        )
    };
    Ok(match scope.text("mode").unwrap_or("nearest") {
        "nearest" => Mode::Nearest(match rounding {
            "round_prefer_floor" => NearestMode::HalfDown,
            "round_prefer_ceil" => NearestMode::HalfUp,
            "floor" => NearestMode::Floor,
            "ceil" => NearestMode::Ceil,
            other => return Err(unknown("rounding", other)),
        }),
        _ if !scope.dtype(0).is_float() => {
            return Err(refuse(
                "it interpolates integers",
                "resize floats, or use `nearest`",
            ));
        }
        "linear" | "bilinear" => Mode::Linear,
        "cubic" => Mode::Cubic(scope.float("cubic_coeff_a").unwrap_or(-0.75)),
        other => return Err(unknown("mode", other)),
    })
}

fn resample(
    scope: &mut Scope,
    plan: &Plan,
    scales: Option<Vec<f64>>,
    sizes: Option<Vec<f64>>,
    region: Option<Vec<f64>>,
) -> Result<Vec<TypedValue>, Diagnostic> {
    let mut x = scope.operand(0)?;
    let dtype = scope.dtype(0);
    let shape = scope.build.shape(x);
    if shape.contains(&0) {
        return Err(refuse("its data is empty", "correct the model"));
    }
    let axes = scope.axes("axes", shape.len())?;
    let scaled = lengths(scope, &shape, &axes, scales, sizes)?;
    if plan.transform == "tf_crop_and_resize"
        && region.as_ref().map(Vec::len) != Some(2 * axes.len())
    {
        return Err(refuse(
            "its region does not fit its axes",
            "correct the model",
        ));
    }
    for (i, (&at, (scale, to))) in axes.iter().zip(scaled).enumerate() {
        let ends = region
            .as_ref()
            .map_or((0.0, 1.0), |r| (r[i], r[axes.len() + i]));
        let axis = Axis {
            from: shape[at],
            to,
            scale,
            region: ends,
        };
        if axis.from != to || scale != 1.0 || ends != (0.0, 1.0) {
            x = plan.apply(&mut scope.build, x, at, axis)?;
        }
    }
    Ok(vec![(x, dtype)])
}

/// Scale and new length of each axis.
fn lengths(
    scope: &Scope,
    shape: &[usize],
    axes: &[usize],
    scales: Option<Vec<f64>>,
    sizes: Option<Vec<f64>>,
) -> Result<Vec<(f64, usize)>, Diagnostic> {
    let wrong = || {
        refuse(
            "its scales or sizes do not fit its axes",
            "correct the model",
        )
    };
    let lens = axes.iter().map(|axis| shape[*axis] as f64);
    let (scales, sizes): (Vec<f64>, Vec<f64>) = match (scales, sizes) {
        (Some(scales), None) if scales.len() == axes.len() => {
            let sizes = lens.zip(&scales).map(|(len, scale)| (len * scale).floor());
            let sizes = sizes.collect();
            (scales, sizes)
        }
        (None, Some(sizes)) if sizes.len() == axes.len() => {
            let scales: Vec<f64> = lens.clone().zip(&sizes).map(|(len, to)| to / len).collect();
            let policy = scope.text("keep_aspect_ratio_policy");
            let common = match policy.unwrap_or("stretch") {
                "stretch" => None,
                "not_larger" => Some(scales.iter().copied().fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(scales.iter().copied().fold(0.0, f64::max)),
                _ => return Err(wrong()),
            };
            match common {
                None => (scales, sizes),
                Some(scale) => (
                    vec![scale; axes.len()],
                    lens.map(|len| (scale * len + 0.5).floor()).collect(),
                ),
            }
        }
        _ => return Err(wrong()),
    };
    let both = scales.into_iter().zip(sizes);
    both.map(|(scale, to)| {
        if scale > 0.0 && (1.0..1e9).contains(&to) {
            Ok((scale, to as usize))
        } else {
            Err(wrong())
        }
    })
    .collect()
}

impl Plan<'_> {
    fn apply(
        &self,
        build: &mut Builder,
        x: NodeId,
        at: usize,
        axis: Axis,
    ) -> Result<NodeId, Diagnostic> {
        check_matrix(axis.to, axis.from)?;
        let mut matrix = Tensor::filled(vec![axis.to, axis.from], 0.0);
        let mut beyond = vec![0.0; axis.to];
        let rows = matrix.data.chunks_mut(axis.from);
        for (y, (row, beyond)) in rows.zip(&mut beyond).enumerate() {
            let point = self.point(axis, y as f64)?;
            let outside = point < 0.0 || point > (axis.from - 1) as f64;
            if self.transform == "tf_crop_and_resize" && outside {
                *beyond = self.extrapolation;
            } else {
                self.weigh(axis.scale, point, row);
            }
        }
        let one = |row: &[f64]| row.iter().position(|w| *w == 1.0);
        let picks: Option<Vec<usize>> = matrix.data.chunks(axis.from).map(one).collect();
        let single = matrix.data.iter().filter(|w| **w != 0.0).count() == axis.to;
        let made = match picks.filter(|_| single) {
            Some(picks) => take(build, x, at, &picks),
            None => build.apply_matrix(x, at, matrix),
        };
        if beyond.iter().all(|v| *v == 0.0) {
            return Ok(made);
        }
        let mut along = vec![1; build.rank(made)];
        along[at] = axis.to;
        let beyond = build.constant(Tensor::new(along, beyond));
        Ok(build.binary(BinaryFn::Add, made, beyond))
    }

    /// Where output `y` reads the axis.
    fn point(&self, axis: Axis, y: f64) -> Result<f64, Diagnostic> {
        let from = axis.from as f64;
        let to = axis.scale * from;
        let half_pixel = (y + 0.5) / axis.scale - 0.5;
        Ok(match self.transform {
            "half_pixel" => half_pixel,
            "pytorch_half_pixel" if to == 1.0 => -0.5,
            // The length counts, which is rounded down, and not the scale.
            "pytorch_half_pixel" if axis.to == 1 => 0.0,
            "pytorch_half_pixel" => half_pixel,
            "half_pixel_symmetric" => from / 2.0 * (1.0 - axis.to as f64 / to) + half_pixel,
            "asymmetric" => y / axis.scale,
            "align_corners" if to == 1.0 => 0.0,
            "align_corners" => y * (from - 1.0) / (to - 1.0),
            "tf_crop_and_resize" => {
                let (start, end) = axis.region;
                let inside = if to == 1.0 {
                    (end - start) * (from - 1.0) / 2.0
                } else {
                    y * (end - start) * (from - 1.0) / (to - 1.0)
                };
                inside + start * (from - 1.0)
            }
            other => {
                return Err(refuse(
                    format!("its coordinates `{other}` are not supported"),
                    "use `half_pixel`",
                ));
            }
        })
    }

    /// Weights of the inputs at a point between them; beyond the ends the ends count.
    fn weigh(&self, scale: f64, point: f64, row: &mut [f64]) {
        let last = row.len() as i64 - 1;
        let (low, frac) = (point.floor(), point - point.floor());
        // The footprint widens where a smoothing filter shrinks the axis.
        let shrink = if self.antialias { scale.min(1.0) } else { 1.0 };
        let (kernel, reach): (&dyn Fn(f64) -> f64, f64) = match &self.mode {
            Mode::Nearest(rounding) => {
                let up = match rounding {
                    NearestMode::HalfDown => frac > 0.5,
                    NearestMode::HalfUp => frac >= 0.5,
                    NearestMode::Floor => false,
                    NearestMode::Ceil => frac > 0.0,
                };
                let at = low as i64 + i64::from(up);
                row[at.clamp(0, last) as usize] = 1.0;
                return;
            }
            Mode::Linear => (&|x| (1.0 - f64::abs(x)).max(0.0), 1.0),
            Mode::Cubic(a) => (&|x| cubic(x, *a), 2.0),
        };
        let reach = (reach / shrink).ceil() as i64;
        for at in low as i64 - reach..=low as i64 + reach + 1 {
            if !self.exclude_outside || (0..=last).contains(&at) {
                row[at.clamp(0, last) as usize] += kernel(shrink * (at as f64 - point));
            }
        }
        let sum: f64 = row.iter().sum();
        if (self.antialias || self.exclude_outside) && sum != 0.0 {
            row.iter_mut().for_each(|weight| *weight /= sum);
        }
    }
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    match x.abs() {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}
