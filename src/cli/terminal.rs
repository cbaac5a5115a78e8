//! What people see: text, tables and progress.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::stages::{Stages, TARGET};
use zkiln_compiler::{Fidelity, Ranges};

/// Writes to standard output; a reader that went away is not an error.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.write_all(b"\n");
}

/// Writes one JSON document to standard output.
pub fn say_json(value: &impl serde::Serialize) {
    let mut out = std::io::stdout().lock();
    let _ = serde_json::to_writer(&mut out, value);
    let _ = out.write_all(b"\n");
}

/// What is to be known of ranges that come from random inputs.
pub const GUESSED: &str = "value ranges are guesses from random inputs, which real inputs may leave: give typical ones with --samples";

/// Says on standard error where that is so.
pub fn note_guesses(ranges: Ranges) {
    if ranges == Ranges::Guessed {
        eprintln!("zkiln: note: {GUESSED}");
    }
}

/// An error on quiet inputs that is worth a word.
const ASTRAY: f64 = 0.05;

/// Says on standard error if inputs quieter than the samples are not computed well.
pub fn note_quiet(fidelity: Option<Fidelity>) {
    let quiet = fidelity.and_then(|fidelity| fidelity.quiet);
    if let Some(quiet) = quiet.filter(|quiet| *quiet > ASTRAY) {
        eprintln!(
            "zkiln: note: on inputs 4 to 10 times quieter than the samples an output is off by {} of what it spans: add such samples if there \
             are such inputs",
            percent(quiet)
        );
    }
}

/// A share as it is read.
pub fn percent(share: f64) -> String {
    format!("{:.3} %", 100.0 * share)
}

/// Rows of cells in aligned columns: the first to the left, all others to the right. The first row is a heading.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            text += &match column {
                0 => format!("{cell}{padding}"),
                _ => format!("  {padding}{cell}"),
            };
        }
        text.trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    if lines.len() > 1 {
        let rule = widths.iter().map(|width| width + 2).sum::<usize>();
        lines.insert(1, "-".repeat(rule.saturating_sub(2)));
    }
    lines.join("\n")
}

/// `1234567` as `1 234 567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `153600` as `153.6 kB`.
pub fn bytes(number: u64) -> String {
    let value = number as f64;
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// `0.0123 s` as `12.3 ms`.
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

/// What is being done, on a terminal; nothing anywhere else.
pub struct Progress(ProgressBar);

impl Progress {
    /// Silent with `quiet`, and when standard error is not a terminal.
    pub fn new(quiet: bool) -> Self {
        let progress = Self::silent_or_not(quiet);
        progress.listen(None);
        progress
    }

    /// As [`Self::new`], with the time of every stage.
    pub fn timed(quiet: bool) -> (Self, Stages) {
        let (progress, stages) = (Self::silent_or_not(quiet), Stages::default());
        progress.listen(Some(stages.clone()));
        (progress, stages)
    }

    fn silent_or_not(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Listens to the whole process from now on; to nothing when somebody does already.
    fn listen(&self, stages: Option<Stages>) {
        let meter = Meter(self.0.clone());
        let subscriber = tracing_subscriber::registry().with(stages).with(meter);
        let _ = tracing::subscriber::set_global_default(subscriber);
    }

    /// The step that starts now.
    pub fn step(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Shows events that say how much is `done` `of` all.
struct Meter(ProgressBar);

impl<S: Subscriber> Layer<S> for Meter {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut share = Share::default();
        event.record(&mut share);
        if let Some(percent) = share.percent() {
            self.0
                .set_message(format!("{}: {percent} %", share.message));
        }
    }
}

/// The fields of an event.
#[derive(Default)]
struct Share {
    message: String,
    done: Option<u64>,
    of: Option<u64>,
}

impl Share {
    fn percent(&self) -> Option<u64> {
        self.done?.checked_mul(100)?.checked_div(self.of?)
    }
}

impl Visit for Share {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "done" => self.done = Some(value),
            "of" => self.of = Some(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_shares() {
        let bar = ProgressBar::hidden();
        let subscriber = tracing_subscriber::registry().with(Meter(bar.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "zkiln", done = 3usize, of = 12usize, "committing");
            tracing::info!(target: "zkiln", done = 3usize, of = 0usize, "nothing");
            tracing::info!(target: "other", done = 1usize, of = 1usize, "noise");
        });
        assert_eq!(bar.message(), "committing: 25 %");
    }

    #[test]
    fn aligns_columns() {
        let cells = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        let text = table(&[cells(["a", "b"]), cells(["long", "1"]), cells(["x", "234"])]);
        assert_eq!(text, "a       b\n---------\nlong    1\nx     234");
    }

    #[test]
    fn writes_figures() {
        assert_eq!(grouped(1234567), "1 234 567");
        assert_eq!(grouped(12), "12");
        assert_eq!(bytes(153_600), "153.6 kB");
        assert_eq!(milliseconds(0.1234), "0.12 ms");
        assert_eq!(milliseconds(2500.0), "2.50 s");
    }
}
