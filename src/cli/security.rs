//! What a proof rests on, in bits of each: for people and for machines.

use serde::Serialize;
use zkiln_runtime::commitment::{Attack, GROUP};

use super::engine::VerifierKey;

/// The argument's error, and what attacks on the group cost.
#[derive(Serialize)]
pub struct Security {
    /// The error of the interactive argument is below two to the minus this.
    statistical_bits: u32,
    group: &'static str,
    generic_attack: Cost,
    best_attack: Cost,
}

/// Of a discrete logarithm in the group.
#[derive(Serialize)]
struct Cost {
    bits: u32,
    attack: &'static str,
    source: &'static str,
}

impl From<Attack> for Cost {
    fn from(attack: Attack) -> Self {
        Self {
            bits: attack.bits,
            attack: attack.name,
            source: attack.source,
        }
    }
}

impl Security {
    pub fn of(key: &VerifierKey) -> Self {
        let security = key.security();
        Self {
            statistical_bits: security.statistical_bits,
            group: GROUP,
            generic_attack: security.generic_attack.into(),
            best_attack: security.best_attack.into(),
        }
    }

    /// One line each, of a name and a figure.
    pub fn rows(&self) -> [[String; 2]; 3] {
        let group = |cost: &Cost| format!("2^{}", cost.bits);
        [
            [
                "error of the argument, below".to_owned(),
                format!("2^-{}", self.statistical_bits),
            ],
            [
                "discrete logarithm, by a generic attack".to_owned(),
                group(&self.generic_attack),
            ],
            [
                "discrete logarithm, by the best known attack, about".to_owned(),
                group(&self.best_attack),
            ],
        ]
    }

    /// Which attacks on which group, and where their costs are from.
    pub fn sources(&self) -> String {
        let line = |Cost { attack, source, .. }: &Cost| format!("{attack}: {source}");
        format!(
            "Attacks on {}, in operations:\n  {}\n  {}",
            self.group,
            line(&self.generic_attack),
            line(&self.best_attack),
        )
    }
}
