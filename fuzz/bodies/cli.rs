//! The command line's `public.json`, without the rest of the command line.
#![allow(dead_code)]

#[path = "../../src/cli/error.rs"]
pub mod error;
#[path = "../../src/cli/public.rs"]
pub mod public;

/// What `public` takes from the command line's `engine`.
mod engine {
    pub use zkiln_runtime::protocol::{Commitment, Context, Shown, Statement};
}
