//! The verifier as a WebAssembly module: bytes in, a verdict out. It imports nothing, neither randomness nor time nor threads.
//!
//! ```sh
//! rustup target add wasm32-unknown-unknown
//! cargo build --release -p zkiln-wasm --target wasm32-unknown-unknown
//! ```
//!
//! Whoever runs it asks for [`room`] for the key, the statement and the proof, writes them there, and asks for the verdict with [`verify`]. What
//! is written stays until it is replaced: a key is written once. `tests/wasm.rs` does this.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zkiln_runtime::error::VerifyError;
use zkiln_runtime::key::VerifierKey;
use zkiln_runtime::protocol::{self, Proof, Statement};

/// Key, statement and proof.
static GIVEN: Mutex<[Vec<u8>; 3]> = Mutex::new([const { Vec::new() }; 3]);

fn given() -> MutexGuard<'static, [Vec<u8>; 3]> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where to write `len` bytes of the key (`which` is 0), the statement (1) or the proof (2); null for any other.
#[unsafe(no_mangle)]
pub extern "C" fn room(which: usize, len: usize) -> *mut u8 {
    match given().get_mut(which) {
        Some(bytes) => {
            *bytes = vec![0; len];
            bytes.as_mut_ptr()
        }
        None => std::ptr::null_mut(),
    }
}

/// Whether the proof is one of the statement under the key. Whether the statement is the one that is asked about is for the caller to see.
#[unsafe(no_mangle)]
pub extern "C" fn verify() -> bool {
    let [key, statement, proof] = &*given();
    verdict(key, statement, proof).is_ok()
}

fn verdict(key: &[u8], statement: &[u8], proof: &[u8]) -> Result<(), VerifyError> {
    let key = VerifierKey::from_bytes(key)?;
    let statement = Statement::from_bytes(key.model(), statement)?;
    protocol::verify(&key, &statement, &Proof::from_bytes(proof))
}
