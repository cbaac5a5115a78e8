//! What every module has: statement, proof, the three functions, and the keys that they use.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use zkiln_runtime::model::{Model, Port, Visibility};

use super::file_names;
use crate::program::{Compiled, Lowered, Meaning, NodeReport};
use crate::text::hex;

/// Statement, proof, and the functions that run, prove and verify.
pub fn api(lowered: &Lowered) -> TokenStream {
    let model = &lowered.model;
    let errors = errors(&lowered.report);
    let statement = statement(model);
    let prove = prove();
    let verify = verify();
    quote! {
        #statement

        /// What [`prove`] makes.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Proven {
            /// The model's output, public or not.
            pub output: Output,
            /// What the verifier is told.
            pub statement: Statement,
            /// That the output is the model's for the input.
            pub proof: Proof,
            /// What opens the statement's commitments: secret.
            pub openings: Vec<CommitmentOpening>,
        }

        /// Computes the model in the integers that a proof would be about, without a proof.
        pub fn run(input: &Input) -> Result<Output, ProveError> {
            let key = loaded(&PROVER_KEY)?;
            let inputs = input.to_integers()?;
            let outputs = protocol::run(key, &inputs).map_err(in_reals)?;
            Ok(Output::from_integers(&outputs))
        }

        #prove

        #errors

        #verify

        /// The verifier key as bytes: all that a verifier without this module needs.
        pub fn verifier_key() -> Result<Vec<u8>, VerifyError> {
            Ok(loaded(&VERIFIER_KEY)?.to_bytes())
        }
    }
}

/// What the verifier is told, with a method for each side that is public as a whole.
fn statement(model: &Model) -> TokenStream {
    let public = |ports: &[Port]| {
        ports
            .iter()
            .all(|port| port.visibility == Visibility::Public)
    };
    let input = public(&model.inputs).then(|| {
        quote! {
            /// The public inputs, as real numbers.
            pub fn input(&self) -> Input {
                Input::from_integers(&public(&self.0.inputs))
            }
        }
    });
    let output = public(&model.outputs).then(|| {
        quote! {
            /// The public outputs, as real numbers.
            pub fn output(&self) -> Output {
                Output::from_integers(&public(&self.0.outputs))
            }
        }
    });
    quote! {
        /// What the verifier is told: public inputs and outputs, as the integers that the proof is about, and commitments to those that are committed.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Statement(protocol::Statement);

        impl Statement {
            #input

            #output

            /// What the proof was made for.
            pub fn context(&self) -> Context {
                self.0.context
            }

            /// Canonical bytes.
            pub fn to_bytes(&self) -> Vec<u8> {
                self.0.to_bytes()
            }

            /// A statement about this model from its canonical bytes.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, VerifyError> {
                protocol::Statement::from_bytes(&MODEL, bytes).map(Self)
            }
        }
    }
}

/// The proving functions.
fn prove() -> TokenStream {
    quote! {
        /// Computes the model and proves it. All blindings are fresh.
        pub fn prove(input: &Input) -> Result<Proven, ProveError> {
            prove_with(input, &ProveOptions::default())
        }

        /// Like [`prove`], in a context, or with chosen blindings for some of the committed ports, by ONNX name: equal tensors under equal blindings
        /// have equal commitments, also in the statements of other models.
        pub fn prove_with(input: &Input, options: &ProveOptions) -> Result<Proven, ProveError> {
            let key = loaded(&PROVER_KEY)?;
            let inputs = input.to_integers()?;
            let proven = Prover::start(key, &inputs, options)
                .map_err(in_reals)?
                .commit()
                .lookups()
                .contractions()
                .opening()
                .finish();
            let protocol::Proven { outputs, statement, proof, openings } = proven;
            let output = Output::from_integers(&outputs);
            Ok(Proven { output, statement: Statement(statement), proof, openings })
        }
    }
}

/// What integers stand for that errors are about.
fn errors(report: &[NodeReport]) -> TokenStream {
    let lines = report.iter().filter_map(NodeReport::meaning);
    let lines = lines.map(|(node, Meaning { step, offset })| {
        let [step, offset] = [step, offset].map(Literal::f64_unsuffixed);
        quote! { (#node, #step, #offset) }
    });
    quote! {
        /// What the integers of a node stand for in its errors: multiples of the first number, plus the second.
        const MEANINGS: &[(&str, f64, f64)] = &[#(#lines),*];

        fn in_reals(error: ProveError) -> ProveError {
            error_in_reals(error, MEANINGS)
        }
    }
}

/// The verifying function.
fn verify() -> TokenStream {
    quote! {
        /// Checks a proof. Needs no weights. Whether the statement is the one that is asked about, its context included, is for the caller to see.
        pub fn verify(statement: &Statement, proof: &Proof) -> Result<(), VerifyError> {
            Verifier::start(loaded(&VERIFIER_KEY)?, &statement.0, proof)?
                .commit()?
                .lookups()?
                .contractions()?
                .opening()?
                .finish()
        }
    }
}

/// Sizes, digests and keys.
pub fn keys(compiled: &Compiled, weights_digest: &[u8; 32]) -> TokenStream {
    let [_, commitments, weights] = file_names(&compiled.lowered.model.name);
    let proof_bytes = Literal::usize_unsuffixed(compiled.proof_bytes);
    let statistical_bits = Literal::u32_unsuffixed(compiled.statistical_bits);
    let [digest, weights_digest] = [&compiled.digest, weights_digest].map(|digest| hex(digest));
    quote! {
        /// Length of every proof.
        pub const PROOF_BYTES: usize = #proof_bytes;
        /// The error of the interactive argument is below two to the minus this. What its commitments rest on has bits of its own: see SECURITY.md.
        pub const STATISTICAL_BITS: u32 = #statistical_bits;
        /// Digest of the verifier key: of the statement above and the commitments to the weights.
        pub const MODEL_DIGEST: [u8; 32] = digest(#digest);
        /// Digest of the file of weights.
        const WEIGHTS_DIGEST: [u8; 32] = digest(#weights_digest);

        /// Made on first use.
        static VERIFIER_KEY: LazyLock<Result<VerifierKey, VerifyError>> = LazyLock::new(load_verifier_key);
        /// Made on first use; nothing else reads the weights.
        static PROVER_KEY: LazyLock<Result<ProverKey, ProveError>> = LazyLock::new(load_prover_key);

        fn load_verifier_key() -> Result<VerifierKey, VerifyError> {
            checked_verifier_key(&MODEL, include_bytes!(#commitments), &MODEL_DIGEST)
        }

        fn load_prover_key() -> Result<ProverKey, ProveError> {
            checked_prover_key(load_verifier_key(), include_bytes!(#weights), &WEIGHTS_DIGEST)
        }
    }
}
