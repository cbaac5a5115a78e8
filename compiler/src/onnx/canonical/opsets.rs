//! The operator sets that a model imports.

use std::collections::BTreeMap;

use tract_onnx::pb::{ModelProto, OperatorSetIdProto};

use crate::onnx::canonical::{Fault, signatures};

/// First version of the file format whose models say which operator sets they import.
const SAYS_OPSETS: i64 = 3;

/// Version of each imported operator set, by domain.
pub(super) struct Opsets(BTreeMap<String, i64>);

/// A domain by its short name.
pub(super) fn domain(name: &str) -> &str {
    match name {
        "ai.onnx" => "",
        name => name,
    }
}

/// A domain by a name to show.
pub(super) fn shown(domain: &str) -> &str {
    match domain {
        "" => "ai.onnx",
        domain => domain,
    }
}

impl Opsets {
    /// Those of a model.
    pub fn of(model: &ModelProto) -> Result<Opsets, Fault> {
        let mut opsets = Opsets::read(&model.opset_import).map_err(Fault::File)?;
        if opsets.0.is_empty() && (1..SAYS_OPSETS).contains(&model.ir_version) {
            opsets.0.insert(String::new(), 1);
        }
        match opsets.0.is_empty() {
            true => Err(Fault::File("it imports no operator set (opset)".into())),
            false => Ok(opsets),
        }
    }

    /// Those of a list.
    pub fn read(imports: &[OperatorSetIdProto]) -> Result<Opsets, String> {
        let mut versions = BTreeMap::new();
        for import in imports {
            let domain = domain(&import.domain);
            let newest = signatures::newest(domain).unwrap_or(i64::MAX);
            if !(1..=newest).contains(&import.version) {
                return Err(format!(
                    "it imports version {} of the operator set `{}`; those from 1 to {newest} are known",
                    import.version,
                    shown(domain)
                ));
            }
            let known = versions.insert(domain.to_string(), import.version);
            if known.is_some_and(|known| known != import.version) {
                return Err(format!(
                    "it imports two versions of the operator set `{}`",
                    shown(domain)
                ));
            }
        }
        Ok(Opsets(versions))
    }

    /// The version of a domain, if it is imported.
    pub fn version(&self, domain: &str) -> Option<i64> {
        self.0.get(domain).copied()
    }

    /// Imports what another list has beyond this.
    pub fn extend(&mut self, other: Opsets) {
        for (domain, version) in other.0 {
            self.0.entry(domain).or_insert(version);
        }
    }

    /// As a list, with a version of the standard domain in any case: nodes of ours are in it.
    pub fn imports(mut self) -> Vec<OperatorSetIdProto> {
        let newest = signatures::newest("").unwrap_or(1);
        self.0.entry(String::new()).or_insert(newest);
        let imports = self.0.into_iter();
        imports
            .map(|(domain, version)| OperatorSetIdProto { domain, version })
            .collect()
    }
}
