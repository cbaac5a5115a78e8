//! `zkiln calibrate`: bits and ranges that meet a target, in a file.

use std::path::PathBuf;

use serde::Serialize;
use zkiln_compiler::Options;
use zkiln_compiler::accuracy::{Line, Report, Wanted};
use zkiln_compiler::compile::Request;
use zkiln_compiler::tensors;

use super::args;
use super::error::CliError;
use super::terminal::{Progress, grouped, percent, say, say_json, table};

/// Choose bits and ranges for every tensor, and write them to a settings file
#[derive(clap::Args)]
#[command(after_help = "\
Half of the samples give the ranges, the other half is held out and gives all figures: exact integer inference, compared with
the float model. No output may stray further in any sample than with the bits of a model that has no settings, unless --error
says how far. A sample may have a \"label\" beside its \"inputs\": the index that should be greatest in the first output, or a
list of them, one a row; then accuracy is reported, and may not fall by more than 0.2 points. Without --samples, seeded random
inputs are used. The settings are the cheapest found, by the predicted number of lookups and committed values.
Exit code 1, and no file, if the target is not met.

Examples:
  zkiln calibrate models/digits_mlp.onnx --samples models/digits_mlp.samples.jsonl
  zkiln calibrate models/char_gpt.onnx --samples models/char_gpt.samples.jsonl --agreement 0.995
  zkiln calibrate models/digits_mlp.onnx --settings models/digits_mlp.settings.json --samples models/digits.test.jsonl
  zkiln check models/digits_mlp.onnx --settings models/digits_mlp.settings.json
In a crate: include_model!(\"models/digits_mlp.onnx\", settings = \"models/digits_mlp.settings.json\")")]
pub struct Args {
    /// The ONNX file
    model: PathBuf,
    /// Length of a symbolic dimension (1 unless given); may be repeated
    #[arg(long = "dim", value_name = "NAME=N", value_parser = args::dimension)]
    dimensions: Vec<(String, usize)>,
    /// Make an input a constant: a number, for all its elements, a list as in JSON, or a file of an array (`.npy`); may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = args::frozen)]
    freeze: Vec<(String, args::FrozenInput)>,
    /// Sample inputs, one JSON object a line, with labels or without (default: seeded random inputs; needed with --settings)
    #[arg(long, value_name = "FILE.jsonl")]
    samples: Option<PathBuf>,
    /// Least cosine similarity of every output with the float model's, averaged over the held-out samples
    #[arg(long, value_name = "SHARE", default_value_t = 0.9999, value_parser = share)]
    target: f64,
    /// Least share of rows, along the last axis of an output, whose greatest element is the float model's (default: any)
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, hide_default_value = true, value_parser = share)]
    agreement: f64,
    /// Greatest error of an output in any held-out sample, relative to its spread there, or absolute for outputs within 0..1 (default: that of the
    /// bits that a model gets without settings, or 0.005 if that is less)
    #[arg(long, value_name = "SHARE", value_parser = share)]
    error: Option<f64>,
    /// Let values that leave their range be clamped, and prove it, rather than refuse them
    #[arg(long)]
    saturate: bool,
    /// Search nothing: measure these settings, on all samples
    #[arg(long, value_name = "FILE", requires = "samples", conflicts_with_all = ["target", "agreement", "error", "out"])]
    settings: Option<PathBuf>,
    /// Where the settings go (default: MODEL.settings.json beside the model)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|x| (0.0..=1.0).contains(x));
    share.ok_or_else(|| format!("expected a number from 0 to 1, got `{text}`"))
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Printed<'a> {
    model: String,
    settings: Option<String>,
    activation_bits: u8,
    weight_bits: u8,
    #[serde(flatten)]
    report: &'a Report,
}

/// Searches, reports, writes.
pub fn run(args: &Args) -> Result<(), CliError> {
    let progress = Progress::new(args.json);
    let mut request = Request {
        options: Options {
            dimensions: args.dimensions.clone(),
            saturate: args.saturate,
            ..Options::default()
        },
        settings: args.settings.clone(),
        ..Request::new(&args.model)
    };
    args::freeze(&mut request, &args.freeze);
    let source = request.read()?;
    let samples = match &args.samples {
        Some(path) => tensors::labelled_samples(path, source.inputs())?,
        None => Vec::new(),
    };
    let step = |text: &str| progress.step(text);
    let (settings, report) = match source.settings() {
        Some(settings) => (settings.clone(), source.measure(&samples, &step)?),
        None => {
            let wanted = Wanted {
                target: args.target,
                agreement: args.agreement,
                error: args.error,
            };
            let found = source.calibrate(&samples, wanted, &step)?;
            (found.settings, found.report)
        }
    };
    drop(progress);
    let beside = || args.model.with_extension("settings.json");
    let path = args.out.clone().unwrap_or_else(beside);
    let written = report.met && args.settings.is_none();
    if written {
        args::write(&path, settings.to_text().as_bytes())?;
    }
    let name = args.model.file_name().unwrap_or_default();
    let printed = Printed {
        model: name.to_string_lossy().into_owned(),
        settings: written.then(|| path.display().to_string()),
        activation_bits: settings.activation_bits,
        weight_bits: settings.weight_bits,
        report: &report,
    };
    match args.json {
        true => say_json(&printed),
        false => say_report(&printed),
    }
    match report.met {
        true => Ok(()),
        false => Err(CliError::Comparison(shortfall(&report))),
    }
}

/// What is not met.
fn shortfall(report: &Report) -> String {
    let (reached, target) = (report.reached, report.wanted.target);
    let agreement = |line: &Line| line.figures.argmax_agreement;
    let agreed = report.outputs.iter().filter_map(agreement);
    let agreed = agreed.fold(1.0, f64::min);
    let (refused, held_out) = (report.refused, report.held_out);
    if refused > 0 {
        return format!(
            "{refused} of {held_out} held-out samples leave the calibrated ranges; give more samples"
        );
    }
    let (greatest, most) = (report.greatest, report.wanted.error);
    if let Some(most) = most.filter(|most| greatest.is_none_or(|error| error > *most)) {
        let greatest = greatest.map_or("an integer that is another one".into(), |e| {
            format!("{e:.4}")
        });
        return format!(
            "the greatest error of an output in a sample is {greatest}, more than {most:.4}"
        );
    }
    if reached < target {
        return format!("the best cosine is {reached:.7}, below the target {target}");
    }
    if agreed < report.wanted.agreement {
        let wanted = report.wanted.agreement;
        return format!("the agreement of argmaxes is {agreed:.4}, below {wanted}");
    }
    let shares = report.accuracy.map(|a| (a.integer, a.float));
    let (integer, float) = shares.unwrap_or_default();
    format!("the accuracy is {integer:.4}, more than 0.2 points below {float:.4} of floats")
}

/// The greatest error, beside that of a model without settings.
fn greatest(report: &Report) -> String {
    let shown = |error: Option<f64>| error.map_or("an integer".into(), percent);
    let default = report.default.map(|default| {
        format!(
            ", {} with the {} bits that it has without settings",
            shown(default.greatest),
            default.activation_bits
        )
    });
    format!(
        "greatest error of an output in a sample {}{}",
        shown(report.greatest),
        default.unwrap_or_default()
    )
}

fn say_report(printed: &Printed) {
    let report = printed.report;
    let heading = [
        "node",
        "bits",
        "max error",
        "mean error",
        "cosine",
        "argmax",
    ];
    let row = |line: &Line| {
        let figures = line.figures;
        let agreement = figures
            .argmax_agreement
            .map(|a| format!("{:.2} %", 100.0 * a));
        vec![
            line.name.clone(),
            line.activation_bits.to_string(),
            format!("{:.2e}", figures.max),
            format!("{:.2e}", figures.mean),
            format!("{:.7}", figures.cosine),
            agreement.unwrap_or_default(),
        ]
    };
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(report.nodes.iter().map(row));
    say(&table(&rows));
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows[0][0] = "output".into();
    rows.extend(report.outputs.iter().map(row));
    say(&format!("\n{}\n", table(&rows)));
    let ranges = match report.calibrated {
        0 => String::new(),
        count => format!(", ranges from {count} others"),
    };
    say(&format!(
        "{}: cosine {:.7} on {} held-out samples{ranges} (target {})",
        printed.model, report.reached, report.held_out, report.wanted.target
    ));
    say(&greatest(report));
    if let Some(accuracy) = report.accuracy {
        say(&format!(
            "accuracy {:.4} of {} answers, {:.4} in floats",
            accuracy.integer, accuracy.answers, accuracy.float
        ));
    }
    let uniform = report.uniform.iter().find(|uniform| uniform.met);
    let uniform = uniform.map(|uniform| {
        let cost = grouped(uniform.cost as u64);
        format!(
            ", {cost} with {} bits for all nodes",
            uniform.activation_bits
        )
    });
    say(&format!(
        "{} bits, {} for weights; predicted cost {} lookups{}",
        printed.activation_bits,
        printed.weight_bits,
        grouped(report.cost as u64),
        uniform.unwrap_or_default()
    ));
    if let Some(path) = &printed.settings {
        say(&format!("settings in {path}"));
    }
}
