//! `zkiln calibrate`: bits and ranges that meet a target, in a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zkiln_compiler::Options;
use zkiln_compiler::fidelity::search::{self, Labelled, Line, Report, Wanted};

use super::args;
use super::engine::FloatNetwork;
use super::error::CliError;
use super::terminal::{Progress, grouped, say, say_json, table};
use crate::tensors::{self, Finite, Side};

/// Choose bits and ranges for every tensor, and write them to a settings file
#[derive(clap::Args)]
#[command(after_help = "\
Half of the samples give the ranges, the other half is held out and gives all figures: exact integer inference, compared with
the float model. A sample may have a \"label\" beside its \"inputs\": the index that should be greatest in the first output, or a
list of them, one a row; then accuracy is reported, and may not fall by more than 0.2 points. Without --samples, seeded random
inputs are used. The settings are the cheapest found, by the predicted number of lookups and committed values.
Exit code 1, and no file, if the target is not met.

Examples:
  zkiln calibrate models/digits_mlp.onnx --samples models/digits_mlp.samples.jsonl
  zkiln calibrate models/char_gpt.onnx --samples models/char_gpt.samples.jsonl --target 0.99999 --out gpt.settings.json
  zkiln check models/digits_mlp.onnx --settings models/digits_mlp.settings.json
In a crate: include_model!(\"models/digits_mlp.onnx\", settings = \"models/digits_mlp.settings.json\")")]
pub struct Args {
    /// The ONNX file
    model: PathBuf,
    /// Length of a symbolic dimension (1 unless given); may be repeated
    #[arg(long = "dim", value_name = "NAME=N", value_parser = args::dimension)]
    dimensions: Vec<(String, usize)>,
    /// Sample inputs, one JSON object a line, with labels or without (default: seeded random inputs)
    #[arg(long, value_name = "FILE.jsonl")]
    samples: Option<PathBuf>,
    /// Least cosine similarity of every output with the float model's, averaged over the held-out samples
    #[arg(long, value_name = "SHARE", default_value_t = 0.999, value_parser = share)]
    target: f64,
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
    let float = FloatNetwork::load(&args.model, &args.dimensions)?;
    let options = Options {
        dimensions: args.dimensions.clone(),
        ..Options::default()
    };
    let samples = match &args.samples {
        Some(path) => read(path, &float)?,
        None => Vec::new(),
    };
    let wanted = Wanted {
        target: args.target,
    };
    let step = |text: &str| progress.step(text);
    let found = search::calibrate(&args.model, &options, &samples, wanted, &step)?;
    drop(progress);
    let beside = || args.model.with_extension("settings.json");
    let path = args.out.clone().unwrap_or_else(beside);
    let (settings, report) = (&found.settings, &found.report);
    if report.met {
        args::write(&path, settings.to_text().as_bytes())?;
    }
    let name = args.model.file_name().unwrap_or_default();
    let printed = Printed {
        model: name.to_string_lossy().into_owned(),
        settings: report.met.then(|| path.display().to_string()),
        activation_bits: settings.activation_bits,
        weight_bits: settings.weight_bits,
        report,
    };
    match args.json {
        true => say_json(&printed),
        false => say_report(&printed),
    }
    match report.met {
        true => Ok(()),
        false => Err(CliError::Comparison(shortfall(report))),
    }
}

fn shortfall(report: &Report) -> String {
    let (reached, target) = (report.reached, report.target);
    match (report.refused, report.accuracy) {
        (0, Some(accuracy)) if reached >= target => format!(
            "the accuracy of {:.4} is more than 0.2 points below {:.4}, that of floats",
            accuracy.integer, accuracy.float
        ),
        (0, _) => format!("the best that was found is {reached:.6}, below the target {target}"),
        (refused, _) => format!(
            "{refused} of {} held-out samples leave the calibrated ranges; give more samples",
            report.held_out
        ),
    }
}

fn read(path: &Path, float: &FloatNetwork) -> Result<Vec<Labelled>, CliError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Label {
        One(usize),
        Rows(Vec<usize>),
    }
    #[derive(Deserialize)]
    struct Document {
        label: Option<Label>,
    }
    let text = args::read_file(path)?;
    let text = String::from_utf8_lossy(&text);
    let documents = text.lines().filter(|line| !line.trim().is_empty());
    let mut samples = Vec::new();
    for (line, document) in tensors::lines(path, Side::Inputs)?.zip(documents) {
        let (place, read) = line?;
        let data = tensors::fit(read, float.inputs(), &place, Finite::Required)?;
        let wrong = |error| {
            CliError::file(
                path,
                format!("{place}: a label is an index or a list of them: {error}"),
            )
        };
        let Document { label } = serde_json::from_str(document).map_err(wrong)?;
        samples.push(Labelled {
            inputs: args::sample(float.inputs(), &data),
            label: label.map(|label| match label {
                Label::One(index) => vec![index],
                Label::Rows(rows) => rows,
            }),
        });
    }
    if samples.is_empty() {
        return Err(CliError::file(
            path,
            "expected at least one sample, got none",
        ));
    }
    Ok(samples)
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
    say(&format!(
        "{}: cosine {:.7} on {} held-out samples, ranges from {} (target {})",
        printed.model, report.reached, report.held_out, report.calibrated, report.target
    ));
    if let Some(accuracy) = report.accuracy {
        say(&format!(
            "accuracy {:.4} of {} answers, {:.4} in floats",
            accuracy.integer, accuracy.answers, accuracy.float
        ));
    }
    say(&format!(
        "{} bits, {} for weights; predicted cost {} lookups, {} with the same bits for all nodes",
        printed.activation_bits,
        printed.weight_bits,
        grouped(report.cost as u64),
        grouped(report.uniform_cost as u64)
    ));
    if let Some(path) = &printed.settings {
        say(&format!("settings in {path}"));
    }
}
