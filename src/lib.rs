//! An ahead-of-time compiler from ONNX models to code that proves them.
//!
//! [`include_model!`] reads a model while the program is being built and becomes a module with typed inputs and outputs that runs the
//! model, proves that it was run, and verifies such proofs. What it cannot prove does not compile.
//!
//! ```ignore
//! zkiln::include_model!("models/nanoGPT.onnx");          // -> mod nano_gpt
//!
//! let input = nano_gpt::Input { input: tokens };          // [[i64; 64]; 1]: a wrong shape does not compile
//! let proven = nano_gpt::prove(&input)?;                  // Proven { output, statement, proof }
//! println!("{:?}", proven.output.output[0][63]);          // [f32; 65]
//! nano_gpt::verify(&proven.statement, &proven.proof)?;    // what is public, and the proof: no weights, no floats
//! ```
//!
//! # Where models are compiled
//!
//! The macro compiles a model once and keeps the result in the target directory under `zkiln/`; an unchanged model costs a look at the
//! file's size and time. A build script can do the work instead, in parallel with other crates: see [`build`]. The macro then finds what the
//! script made.
//!
//! Compiling is much work for unoptimized code. Two lines of `Cargo.toml` make the compiler fast in development builds, and two more the
//! prover:
//!
//! ```toml
//! [profile.dev.build-override]
//! opt-level = 3
//!
//! [profile.dev.package."*"]
//! opt-level = 3
//! ```
//!
//! # Who sees what
//!
//! Inputs and weights are private, outputs public, unless the macro says otherwise: `visibility = { inputs = committed, weights = public }`, with
//! the words `public`, `private` and `committed`, for all of a kind or for a port by its ONNX name. Weights are hidden under a secret, `MODEL.blinding`
//! beside the model, which is made when it is missing: keep it, and the verifier key comes out the same in every build.
//!
//! What is committed is hidden under a [`Blinding`], fresh unless [`ProveOptions`] have one. What opens it is handed over with the tensor, and opens
//! no other: a [`CommitmentOpening`].
//!
//! # Replay
//!
//! A proof is worth as much in other hands, and tomorrow. Where that matters, the verifier gives a [`Context`], such as a nonce, the prover proves
//! under it (`prove_with`), and the verifier sees that `statement.context()` is the one that it gave.
//!
//! # Numbers
//!
//! A proof is about integers. A real input is rounded to the nearest multiple of its port's step (halves away from zero); one outside the
//! range that the model was calibrated for is an error, before anything is proved. Outputs are multiples of their port's step. Both
//! are written in the generated module's documentation.

// Generated code says `::zkiln`, also in this crate's own tests.
extern crate self as zkiln;

mod support;

pub use support::tensor::{Tensor, from_flat, to_flat};
pub use zkiln_compiler::Visibility;
pub use zkiln_compiler::build;
pub use zkiln_compiler::{CompileError, Diagnostic};
pub use zkiln_macros::include_model;
pub use zkiln_runtime::error::{ProveError, VerifyError};
pub use zkiln_runtime::protocol::{Blinding, Commitment, CommitmentOpening, OpeningSeed};
pub use zkiln_runtime::protocol::{Context, Proof, ProveOptions};

/// What generated modules are written in. Not for people, and not stable.
#[doc(hidden)]
pub mod __private {
    pub use std::sync::LazyLock;

    pub use zkiln_runtime::codegen::*;
    pub use zkiln_runtime::key::{ProverKey, VerifierKey};
    pub use zkiln_runtime::protocol::{self, Prover, Verifier};

    pub use crate::support::keys::{checked_prover_key, checked_verifier_key, loaded};
    pub use crate::support::scale::{Along, Scale, error_in_reals, tensor};
    pub use crate::support::shown::{commitment, integers, public};
    pub use crate::support::tensor::{Tensor, zeros};
}
