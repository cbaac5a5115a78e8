//! Where the time of proving goes: wall time of each span of target `zkiln`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Of all spans and events that are listened to.
pub const TARGET: &str = "zkiln";

/// One row of the stage table.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Stage {
    /// Name of the span.
    pub name: &'static str,
    /// How many stages it lies within.
    pub depth: usize,
    /// Wall time of all its runs.
    pub time: Duration,
}

/// A layer that sums the time of spans by name, in the order in which they first start.
#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<Vec<Stage>>>);

/// How often a span is entered at the moment, and since when it is at all: several threads may be in it at once.
struct Running {
    entered: u32,
    since: Instant,
}

impl Stages {
    /// Everything since the last call.
    pub fn take(&self) -> Vec<Stage> {
        std::mem::take(&mut *self.rows())
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, Vec<Stage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.target() == TARGET {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let depth = span.scope().skip(1).count();
        let mut rows = self.rows();
        if !rows.iter().any(|row| row.name == span.name()) {
            rows.push(Stage {
                name: span.name(),
                depth,
                time: Duration::ZERO,
            });
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<Running>() {
            Some(running) => {
                if running.entered == 0 {
                    running.since = Instant::now();
                }
                running.entered += 1;
            }
            None => extensions.insert(Running {
                entered: 1,
                since: Instant::now(),
            }),
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(running) = extensions.get_mut::<Running>() else {
            return;
        };
        running.entered = running.entered.saturating_sub(1);
        if running.entered == 0 {
            let elapsed = running.since.elapsed();
            let mut rows = self.rows();
            if let Some(row) = rows.iter_mut().find(|row| row.name == span.name()) {
                row.time += elapsed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn sums_by_name_and_knows_depth() {
        let stages = Stages::default();
        let subscriber = tracing_subscriber::registry().with(stages.clone());
        tracing::subscriber::with_default(subscriber, || {
            let _prove = tracing::info_span!(target: "zkiln", "prove").entered();
            for _ in 0..2 {
                let _commit = tracing::info_span!(target: "zkiln", "commit").entered();
                std::thread::sleep(Duration::from_millis(3));
            }
            let _other = tracing::info_span!(target: "other", "noise").entered();
            tracing::info!(target: "zkiln", "an event is not a stage");
        });
        let rows = stages.take();
        let shape: Vec<_> = rows.iter().map(|row| (row.name, row.depth)).collect();
        assert_eq!(shape, [("prove", 0), ("commit", 1)]);
        assert!(rows[1].time >= Duration::from_millis(6));
        assert!(rows[0].time >= rows[1].time);
        assert!(stages.take().is_empty());
    }
}
