//! `zkiln open`, and the file of what opens commitments: secret, unlike the statement.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;
use zkiln_compiler::PortInfo;
use zkiln_compiler::text::{hex, unhex};

use super::args;
use super::engine::{Commitment, CommitmentOpening, OpeningSeed};
use super::error::CliError;
use super::public::Public;
use super::terminal::{say, say_json};

/// Check that the commitments of a public statement open to given tensors
#[derive(clap::Args)]
#[command(after_help = "\
Anyone who has the openings learns the tensors, and that these were committed to; nothing of other tensors that were committed under the same
blinding. Nothing else is checked: verify the proof as well.

Example:
  zkiln open --public public.json --openings openings.json")]
pub struct Args {
    /// The public statement
    #[arg(long, value_name = "FILE.json")]
    public: PathBuf,
    /// What `zkiln prove` wrote to --openings
    #[arg(long, value_name = "FILE.json")]
    openings: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `openings.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    openings: Vec<OpenTensor>,
}

/// One committed tensor.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenTensor {
    port: String,
    shape: Vec<usize>,
    integers: Vec<i64>,
    /// Hexadecimal; of this tensor alone.
    seed: String,
}

impl Openings {
    /// For the proving side's file.
    pub fn new(openings: &[CommitmentOpening], inputs: &[PortInfo], outputs: &[PortInfo]) -> Self {
        let tensor = |opening: &CommitmentOpening| {
            let mut ports = inputs.iter().chain(outputs);
            let port = ports.find(|port| port.name == opening.port);
            OpenTensor {
                port: opening.port.clone(),
                shape: port.map_or_else(Vec::new, |port| port.shape.clone()),
                integers: opening.integers.clone(),
                seed: hex(&opening.seed.to_bytes()),
            }
        };
        Self {
            openings: openings.iter().map(tensor).collect(),
        }
    }
}

impl OpenTensor {
    /// Whether it opens a commitment; `None` if it can open none.
    fn opens(&self, commitment: &str) -> Option<bool> {
        let commitment = Commitment::from_bytes(&unhex(commitment)?)?;
        let seed = OpeningSeed::from_bytes(unhex(&self.seed)?.try_into().ok()?);
        let shape = self.shape.iter().map(|&len| u32::try_from(len).ok());
        let shape: Vec<u32> = shape.collect::<Option<_>>()?;
        Some(commitment.opens_to(&shape, &self.integers, &seed))
    }
}

/// Opens every commitment of the statement.
pub fn run(args: &Args) -> Result<(), CliError> {
    let public: Public = serde_json::from_slice(&args::read_file(&args.public)?)
        .map_err(|e| CliError::file(&args.public, format!("not a public statement: {e}")))?;
    let Openings { openings } = serde_json::from_slice(&args::read_file(&args.openings)?)
        .map_err(|e| CliError::file(&args.openings, format!("not openings: {e}")))?;
    let committed = public.committed();
    for (port, commitment) in &committed {
        let opening = openings.iter().find(|opening| opening.port == *port);
        if opening.and_then(|opening| opening.opens(commitment)) != Some(true) {
            return Err(CliError::Statement(match opening {
                Some(_) => format!("the commitment to `{port}` does not open to this tensor"),
                None => format!("there is no opening of `{port}`"),
            }));
        }
    }
    let ports: Vec<&str> = committed.iter().map(|(port, _)| *port).collect();
    if args.json {
        say_json(&json!({"opened": ports}));
    } else if ports.is_empty() {
        say("nothing is committed in this statement");
    } else {
        say(&format!("opened: {}", ports.join(", ")));
    }
    Ok(())
}
