//! A model in a line: `input f32[1,4] -> fc0 -> relu0 -> fc1 -> relu1 -> output f32[1,3]`.

use zkiln_runtime::model::Model;

use super::describe::made;
use super::table::numbered;
use crate::emit::interface::element;
use crate::program::{Lowered, PortInfo};

/// Layers of a longer chain are counted from its middle.
const MOST_LAYERS: usize = 12;
/// Layers shown at either end of a longer chain.
const ENDS: usize = 4;

/// Inputs, layers in the order of execution, and outputs.
pub fn signature(lowered: &Lowered) -> String {
    let mut layers = numbered(layers(&lowered.model));
    if layers.len() > MOST_LAYERS {
        let middle = ENDS..layers.len() - ENDS;
        let more = format!(".. {} more ..", middle.len());
        layers.splice(middle, [more]);
    }
    let ports = |ports: &[PortInfo]| ports.iter().map(port).collect::<Vec<_>>().join(", ");
    let mut chain = vec![ports(&lowered.inputs)];
    chain.extend(layers);
    chain.push(ports(&lowered.outputs));
    chain.retain(|part| !part.is_empty());
    chain.join(" -> ")
}

/// `input f32[1,4]`.
fn port(port: &PortInfo) -> String {
    let element = element(port.dtype);
    let lens: Vec<String> = port.shape.iter().map(usize::to_string).collect();
    if lens.is_empty() {
        format!("{} {element}", port.name)
    } else {
        format!("{} {element}[{}]", port.name, lens.join(","))
    }
}

/// Layers of the values that nodes make, without the ports.
fn layers(model: &Model) -> Vec<String> {
    let made = model.nodes.iter().flat_map(|node| made(&node.relation));
    let names = made.map(|id| &*model.columns[id.0 as usize].name);
    let is_port = |layer: &str| model.ports().any(|port| port.name == layer);
    let paths: Vec<Vec<&str>> = names
        .map(|name| name.split('/').filter(|part| !part.is_empty()).collect())
        .filter(|path: &Vec<&str>| path.first().is_some_and(|first| !is_port(first)))
        .collect();
    let shared = shared(&paths);
    let mut layers: Vec<String> = paths
        .iter()
        .filter_map(|path| path.get(shared))
        .map(|part| stem(part).to_string())
        .filter(|layer| !is_port(layer))
        .collect();
    layers.dedup();
    layers
}

/// Number of first parts that all paths share; at least one part of each is left.
fn shared(paths: &[Vec<&str>]) -> usize {
    let Some((first, others)) = paths.split_first() else {
        return 0;
    };
    let alike = |&at: &usize| others.iter().all(|path| path.get(at) == first.get(at));
    let most = paths.iter().map(Vec::len).min().unwrap_or(1);
    (0..most.saturating_sub(1)).take_while(alike).count()
}

/// `ln_f` of `ln_f.rmsnorm`; `h.0` as it is.
fn stem(part: &str) -> &str {
    let mut dots = part.match_indices('.').map(|(at, _)| at);
    let end = dots.find(|&at| part[at + 1..].starts_with(|c: char| c.is_alphabetic()));
    &part[..end.filter(|&at| at > 0).unwrap_or(part.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_the_first_parts_that_differ() {
        let paths = |names: &[&'static str]| {
            let parts = |name: &&'static str| name.split('/').collect();
            names.iter().map(parts).collect::<Vec<Vec<&str>>>()
        };
        assert_eq!(shared(&paths(&["net/a/x", "net/a/y", "net/b"])), 1);
        assert_eq!(shared(&paths(&["net/a", "net/a"])), 1);
        assert_eq!(shared(&paths(&["a", "net/a"])), 0);
        assert_eq!(shared(&[]), 0);
    }

    #[test]
    fn stems_keep_numbers() {
        assert_eq!(stem("ln_f.rmsnorm"), "ln_f");
        assert_eq!(stem("h.0"), "h.0");
        assert_eq!(stem("features.12.conv"), "features.12");
        assert_eq!(stem(".x"), ".x");
    }
}
